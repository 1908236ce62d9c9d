"""How long things take: the times that the protocol of the read leases is built on, in ms of CLOCK_BOOTTIME.

Invariants: (1) `vote_gate` is at least `hold` and a margin for clocks that run at different speeds; (2) whoever follows suspects a silent
leader no sooner than some heartbeats after its gate has opened.
"""
import msgspec

from holdfast.errors import InvariantError

PLACES = 4                              # of members that wait one behind the other, between suspicion_min and suspicion_max
LATER_TICKS = 2                         # the first one too: those whose votes it wants must have waited for long enough as well


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """`suspicion_*`: of a leader that is silent, without a hint that it is gone; `multiplier` stretches these two alone.

    A leader that stops without a word has spoken within `renew` before. From that word on, the first member campaigns after 650 to 725 ms
    (suspicion_min, LATER_TICKS and its draw); the second one, in case that one is gone too or lacks entries, after 800 to 875; the last
    ones after 1,175 at most. Timers that are late come on top. Then it takes two rounds and a flush at two nodes to be elected, a round
    and a flush for the first entry of the term, and as long as a standby needs to follow that and to dial.
    """

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
    votes: int = 120                    # for which such a node waits for votes before it begins anew: two flushes and a round
    persist: int = 1_000                # a disk that takes longer has hung
    settle: int = 10_000                # an append that is not answered by then has an unknown outcome
    transfer: int = 1_000               # a successor that has not taken over by then will not

    def __post_init__(self) -> None:
        if self.renew % self.tick:
            raise InvariantError(f"a leader ticks when it renews its hold, which must be a number of ticks: {self}")
        is_safe = self.vote_gate >= self.hold + self.margin and self.lease <= self.hold
        if not is_safe or self.suspicion_min - self.vote_gate <= self.heartbeat or self.suspicion_max < self.suspicion_min:
            raise InvariantError(f"these times break the rules of the read leases: {self}")

    @property
    def ticks_a_renewal(self) -> int:
        """A leader wakes once for both."""
        return self.renew // self.tick

    @property
    def election_ticks(self) -> int:
        """Ticks without a leader after which a node may vote for another one, and campaign, counted from when its gate opens."""
        return (self.suspicion_min * self.multiplier - self.vote_gate) // self.tick

    @property
    def patience_max(self) -> int:
        return (self.suspicion_max - self.suspicion_min) * self.multiplier // self.tick

    def patience(self, rank: int, draw: int) -> int:
        """Ticks by which one campaign comes later than it might: each member has a place behind the one before it, or votes would split,
        and draws within that, so that no two stay in step. `rank`: how many are before it; `draw`: any number."""
        place = self.patience_max // PLACES
        return min(LATER_TICKS + min(rank, PLACES - 1) * place + draw % (place // 2 + 1), self.patience_max)


TIMING = Timing()
