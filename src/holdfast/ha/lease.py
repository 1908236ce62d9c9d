"""A standby's side of the read leases: when to ask, and until when it may read.

Invariants:
1. A lease counts from when it was asked for, by this node's own clock (rule 3).
2. A grant counts only for an ask of this incarnation in this term that was not released since (rule 4).
3. What is released here has been zeroed in the workers' word before the release is sent: the machine's order of effects.

Left to others: applying, and publishing `until` to the workers.
"""
from holdfast.ha.message import LeaseAsk, LeaseGrant, LeaseRelease
from holdfast.ha.rules import Rules, Times
from holdfast.ids import Index, Millis, Term

ASKS_KEPT = 16                                       # of which an answer still counts: those of some ten renewals


class Lease:
    """`incarnation` names this run of the node's process."""

    def __init__(self, rules: Rules, times: Times, incarnation: int) -> None:
        self._rules, self._times, self._incarnation = rules, times, incarnation
        self._term: Term | None = None
        self._serial = 0
        self._asked: dict[int, Millis] = {}
        self._ask_at = Millis(0)
        self._until = Millis(0)

    @property
    def until(self) -> Millis:
        """Reads may begin before then."""
        return self._until

    @property
    def next_ask(self) -> Millis | None:
        """None: there is nobody to ask."""
        return None if self._term is None else self._ask_at

    def begin(self, term: Term, now: Millis) -> None:
        """There is an active node to ask, in this term. What an earlier one granted runs out by itself."""
        if term != self._term:
            self._asked.clear()
        self._term, self._ask_at = term, now

    def pause(self) -> None:
        """Asks no more; what is held runs out."""
        self._term = None

    def ask(self, now: Millis, applied: Index) -> LeaseAsk | None:
        """The next ask, if it is due. It is to be sent at once."""
        if self._term is None or now < self._ask_at:
            return None
        self._serial += 1
        self._asked[self._serial] = now
        if len(self._asked) > ASKS_KEPT:
            del self._asked[min(self._asked)]
        self._ask_at = Millis(now + self._times.renew)
        return LeaseAsk(term=self._term, incarnation=self._incarnation, serial=self._serial, applied=applied)

    def granted(self, grant: LeaseGrant, now: Millis) -> bool:
        """Whether it counts."""
        asked_at = self._asked.get(grant.serial)
        if self._rules.names_leases and (grant.term != self._term or grant.incarnation != self._incarnation or asked_at is None):
            return False
        if not 0 < grant.length_ms <= self._times.lease:
            return False
        since = asked_at if asked_at is not None and self._rules.counts_from_the_ask else now
        self._until = Millis(max(self._until, since + grant.length_ms))
        return True

    def release(self) -> LeaseRelease | None:
        """Holds nothing from here on; what was asked for is void. To be sent once the workers' word is zero. None: nobody to send to."""
        self._until = Millis(0)
        if self._rules.names_leases:
            self._asked.clear()
        if self._term is None:
            return None
        return LeaseRelease(term=self._term, incarnation=self._incarnation, serial=self._serial)
