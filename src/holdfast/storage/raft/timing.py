"""How long things take: the times that the protocol of the read leases is built on, in ms of CLOCK_BOOTTIME.

Invariants: (1) `vote_gate` is at least `hold` and a margin for clocks that run at different speeds; (2) whoever follows suspects a silent
leader no sooner than its gate opens.
"""
import msgspec

from holdfast.errors import InvariantError


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """`suspicion_*`: of a leader that is silent, without a hint that it is gone; `multiplier` stretches these two alone."""

    tick: int = 25
    heartbeat: int = 100                # of raft itself; a leader's rounds for its hold are heartbeats too, and more frequent
    renew: int = 50
    hold: int = 180
    vote_gate: int = 200
    lease: int = 150
    margin: int = 10                    # 5 % of the gate: clocks of machines differ by a thousandth of that
    suspicion_min: int = 600
    suspicion_max: int = 1_200
    multiplier: int = 1
    retry: int = 30                     # between two campaigns of a node that has good reason to suspect its leader
    rank: int = 40                      # by so much later each next member campaigns, so that votes do not split
    persist: int = 1_000                # a disk that takes longer has hung
    settle: int = 10_000                # an append that is not answered by then has an unknown outcome
    transfer: int = 1_000               # a successor that has not taken over by then will not

    def __post_init__(self) -> None:
        if self.vote_gate < self.hold + self.margin or self.lease > self.hold or self.suspicion_min < self.vote_gate + self.tick:
            raise InvariantError(f"these times break the rules of the read leases: {self}")

    def election_ticks(self, draw: int) -> int:
        """Ticks without a leader after which a node campaigns, counted from when its gate opens. `draw`: any 64 bits."""
        low, high = ((span * self.multiplier - self.vote_gate) // self.tick for span in (self.suspicion_min, self.suspicion_max))
        return low + draw % (high - low + 1)


TIMING = Timing()
