"""When this node may hold, and when it may vote: rules 7 and 8 of the read leases, by this node's CLOCK_BOOTTIME. Pure.

Invariants: (1) a hold ends at most `timing.hold` after a moment before the round that confirmed it; (2) whoever heard from a leader, or has
just started, gives no vote for `timing.vote_gate`; a leader neither, from the moment its hold counts from; (3) a hold given up does not
come back in the same term.
"""
from holdfast.ids import Millis
from holdfast.storage.raft.timing import Timing


class Gate:
    """Who may be voted for: nobody, until it opens."""

    def __init__(self, timing: Timing, now: Millis) -> None:
        self._timing = timing
        self.opens_at = Millis(now + timing.vote_gate)

    def is_shut(self, now: Millis) -> bool:
        return now < self.opens_at

    def heard_leader(self, at: Millis) -> None:
        """Also of this node itself, when it leads."""
        self.opens_at = max(self.opens_at, Millis(at + self._timing.vote_gate))


class Hold:
    """Until when no other node can be elected. Rounds are named by contexts that never come twice in the life of the process."""

    def __init__(self, timing: Timing, gate: Gate) -> None:
        self._timing, self._gate = timing, gate
        self._term = self._given_up_in = 0
        self._until = Millis(0)
        self._rounds: dict[bytes, Millis] = {}
        self.begun = self.answered = 0                   # numbers of the last round that began, and of the last that a majority answered

    def until(self, term: int) -> Millis:
        return self._until if term == self._term else Millis(0)

    def is_allowed(self, term: int) -> bool:
        """Not once it was given up in that term."""
        return term != self._given_up_in

    def begin_round(self, term: int, now: Millis) -> bytes | None:
        """The context to ask a majority with; None: this node must not hold in that term."""
        if not self.is_allowed(term):
            return None
        if term != self._term:
            self.void()
            self._term = term
        self.begun += 1
        context = self.begun.to_bytes(8)
        self._rounds[context] = now
        self._gate.heard_leader(now)
        return context

    def confirmed(self, context: bytes) -> None:
        """A majority has answered. An earlier round that is still open says nothing new."""
        since = self._rounds.pop(context, None)
        if since is None:
            return
        self.answered = int.from_bytes(context)
        self._until = max(self._until, Millis(since + self._timing.hold))
        self._rounds = {other: at for other, at in self._rounds.items() if other > context}

    def void(self) -> None:
        """Leadership is lost, or the members have changed: what was confirmed, and the rounds under way, count for nothing."""
        self._until = Millis(0)
        self._rounds.clear()

    def give_up(self, term: int) -> Millis:
        """Never again in this term. Gives until when others may have relied on it."""
        until = self.until(term)
        self.void()
        self._given_up_in = term
        return until
