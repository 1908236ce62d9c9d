"""The active node's side of the read leases: who holds one, and how far answers may show what was written (V).

Invariants:
1. V never falls. It passes an index only when that is durable and applied here, and by every holder of an unexpired grant (rule 1).
2. A grant is made only while this node holds, to an incarnation whose reported index is at least V, for at most what is left of the hold;
   it counts here until now + length + margin (rule 3).
3. A holder is an incarnation of a node. It stops being one when its grants have expired, or by its own release; nothing else (rules 4, 5).
4. Who held up a write gets no grant for a while, which grows (rule 6).

A node that lags a little when it asks would never catch up with V under a steady stream of writes: so V waits for it, for at most
JOIN_WAIT_MS, as it would for a holder; once it reports V it gets its grant.

Left to others: when this node holds and what is durable (the log), and what waits for V (the lane, and the gate).
"""
from collections import deque

import msgspec

from holdfast.ha.message import LeaseAsk, LeaseGrant, Peer
from holdfast.ha.rules import Rules, Times
from holdfast.ids import Index, Millis, NodeId, Term
from holdfast.limits import BACK_OFF_FORGIVEN_MS, BACK_OFF_MS, HELD_UP_MS, JOIN_LAG_MAX, JOIN_WAIT_MS, UNACKNOWLEDGED_TIMES_MAX

NEVER = Millis(1 << 62)


class _Standing(msgspec.Struct):
    """What is known of one incarnation."""

    applied: Index = Index(0)
    until: int = 0                                   # the last of its grants ends here, by this node's clock
    serial: int = 0                                  # of its newest grant
    released: int = 0                                # every ask up to this serial is void
    joining: LeaseAsk | None = None                  # V waits for it …
    joining_until: int = 0                           # … no longer than this
    refused_until: int = 0                           # it held up a write
    back_off_ms: int = 0
    blamed_at: int = 0
    heard_at: int = 0


class Watermark:
    """One term of this node as active. Every call brings the time; `take_grants` after it."""

    def __init__(self, rules: Rules, times: Times, *, term: Term, index: Index, hold_until: Millis, cluster_offset_ms: int | None) -> None:
        """`index`: this node has applied everything of earlier terms, and this is the last of it (rule 9). `cluster_offset_ms`: as `hold`
        tells it; None: not known yet, so nothing is granted, for a grant tells cluster time."""
        self._rules, self._times, self._term = rules, times, term
        self._value = self._here = index
        self._hold_until = hold_until
        self._standings: dict[Peer, _Standing] = {}
        self._applied_at: deque[tuple[Index, Millis]] = deque()      # when indexes above V were applied here
        self._grants: list[tuple[Peer, LeaseGrant]] = []
        self._cluster_offset_ms = cluster_offset_ms
        self._grants_none = False
        self._next_tick: Millis | None = NEVER           # None: to be found anew

    @property
    def value(self) -> Index:
        """V."""
        return self._value

    @property
    def hold_until(self) -> Millis:
        return self._hold_until

    @property
    def cluster_offset_ms(self) -> int | None:
        """As it was told last."""
        return self._cluster_offset_ms

    def holders(self, now: Millis) -> tuple[Peer, ...]:
        """Who may be reading by itself, sorted."""
        return tuple(sorted(holder for holder, standing in self._standings.items() if standing.until > now))

    def applied_of(self, node: NodeId) -> Index:
        """The highest index that a node is known to have."""
        return max((standing.applied for holder, standing in self._standings.items() if holder.node == node), default=Index(0))

    def all_ended_at(self) -> Millis:
        """From then on nobody reads under a lease of this term, unless another is granted."""
        return Millis(max((standing.until for standing in self._standings.values()), default=0))

    def hold(self, until: Millis, cluster_offset_ms: int) -> None:
        """The hold was renewed. `cluster_offset_ms`: cluster time less CLOCK_BOOTTIME."""
        self._hold_until = max(self._hold_until, until)
        self._cluster_offset_ms = cluster_offset_ms

    def end_hold(self) -> None:
        """Given up for good: nothing is granted any more."""
        self.stop_granting()
        self._hold_until = Millis(0)

    def stop_granting(self) -> None:
        self._grants_none, self._next_tick = True, None
        for standing in self._standings.values():
            standing.joining = None

    def applied_here(self, index: Index, now: Millis) -> None:
        """Durable, and in this node's replica."""
        if index > self._here:
            self._here = index
            if len(self._applied_at) == UNACKNOWLEDGED_TIMES_MAX:
                self._applied_at[-1] = (index, self._applied_at[-1][1])
            else:
                self._applied_at.append((index, now))
        self._advance(now)

    def applied(self, holder: Peer, index: Index, now: Millis) -> None:
        """A standby's replica has everything up to `index`."""
        self._hear(holder, index, now)
        self._advance(now)

    def asked(self, holder: Peer, ask: LeaseAsk, now: Millis) -> None:
        """A grant, or nothing: then the standby forwards, and asks again."""
        standing = self._hear(holder, ask.applied, now)
        self._advance(now)
        if self._rules.names_leases and ask.serial <= standing.released:
            return
        if standing.applied >= self._value or not self._rules.grants_the_caught_up:
            self._grant(holder, standing, ask, now)
        elif standing.joining:
            standing.joining = ask                       # the newer one makes the longer lease
        elif self._may_join(standing, now):
            standing.joining, standing.joining_until, self._next_tick = ask, now + JOIN_WAIT_MS, None

    def released(self, holder: Peer, serial: int, now: Millis) -> None:
        """It holds nothing of what was asked for up to `serial`, and will not."""
        standing = self._standings.get(holder)
        if standing is not None:
            standing.released = max(standing.released, serial)
            standing.joining = None if standing.joining and standing.joining.serial <= serial else standing.joining
            if serial >= standing.serial or not self._rules.names_leases:
                standing.until = 0
        self._advance(now)

    def disconnected(self, node: NodeId, now: Millis) -> None:
        """Says nothing about its workers: they may go on reading."""
        for holder, standing in self._standings.items():
            if holder.node == node:
                standing.joining = None
                if not self._rules.keeps_holders:
                    standing.until = 0
        self._advance(now)

    def tick(self, now: Millis) -> None:
        self._advance(now)

    def next_tick(self) -> Millis:
        """When V may rise by itself."""
        if self._next_tick is None:
            ends = [standing.until for standing in self._standings.values() if standing.until and standing.applied < self._here]
            ends += [standing.joining_until for standing in self._standings.values() if standing.joining]
            self._next_tick = Millis(min(ends, default=NEVER)) if self._applied_at else NEVER
        return self._next_tick

    def take_grants(self) -> tuple[tuple[Peer, LeaseGrant], ...]:
        """Each is recorded already. To be sent after V has been published, which may have risen in the same step."""
        grants, self._grants = tuple(self._grants), []
        return grants

    def _hear(self, holder: Peer, index: Index, now: Millis) -> _Standing:
        standing = self._standings.get(holder)
        if standing is None:
            self._forget(holder.node, now)
            standing = self._standings[holder] = _Standing()
        standing.applied, standing.heard_at = max(standing.applied, index), now
        return standing

    def _forget(self, node: NodeId, now: Millis) -> None:
        """Earlier incarnations, unless one of them may still be reading."""
        for holder in [holder for holder in self._standings if holder.node == node]:
            if self._standings[holder].until <= now or not self._rules.keeps_holders:
                del self._standings[holder]

    def _advance(self, now: Millis) -> None:
        """V rises as far as it may; who asked and has caught up with it gets its grant. Comes after every change but a grant's."""
        self._next_tick = None
        for holder, standing in self._standings.items():
            if standing.joining and now >= standing.joining_until:
                standing.joining = None
                if self._here > self._value:
                    self._blame(standing, now)
            elif standing.joining and standing.applied >= self._value:
                ask, standing.joining = standing.joining, None
                self._grant(holder, standing, ask, now)
        bound = self._here
        if self._rules.waits_for_holders:
            for standing in self._standings.values():
                if standing.applied < bound and (standing.until > now or standing.joining):
                    bound = standing.applied
        if bound > self._value:
            self._value = bound
        self._look_for_the_slow(now)
        for standing in self._standings.values():
            if standing.until <= now:
                standing.until = 0                       # not looked at again

    def _look_for_the_slow(self, now: Millis) -> None:
        waited = self._applied_at
        if not waited:
            return
        for standing in self._standings.values():
            if standing.until > waited[0][1] and standing.applied < waited[0][0] and now - waited[0][1] >= HELD_UP_MS:
                self._blame(standing, now)
        while waited and waited[0][0] <= self._value:
            waited.popleft()

    def _blame(self, standing: _Standing, now: Millis) -> None:
        """Rule 6. What it holds, it holds until it ends."""
        if now < standing.refused_until:
            return
        first, longest = BACK_OFF_MS
        forgiven = now - standing.blamed_at >= BACK_OFF_FORGIVEN_MS
        standing.back_off_ms = first if forgiven or not standing.back_off_ms else min(2 * standing.back_off_ms, longest)
        standing.refused_until, standing.blamed_at = now + standing.back_off_ms, now

    def _may_join(self, standing: _Standing, now: Millis) -> bool:
        return not (self._grants_none or now < standing.refused_until or self._value - standing.applied > JOIN_LAG_MAX)

    def _grant(self, holder: Peer, standing: _Standing, ask: LeaseAsk, now: Millis) -> None:
        length = self._times.lease
        if self._rules.caps_by_the_hold:
            length = min(length, self._hold_until - now)
        offset_ms = self._cluster_offset_ms
        if self._grants_none or now < standing.refused_until or now >= self._hold_until or length <= 0 or offset_ms is None:
            return
        standing.until, self._next_tick = max(standing.until, now + length + self._times.margin), None
        standing.serial = max(standing.serial, ask.serial)
        self._grants.append((holder, LeaseGrant(
            term=self._term, incarnation=holder.incarnation, serial=ask.serial, length_ms=length, watermark=self._value,
            now_ms=Millis(now + offset_ms))))
