"""The standby's part: who is active, the two connections to it, the lease, and what is asked of it.

Invariants: (1) the newest advertisement counts, by its term; (2) what is sent to the active node names its term; (3) the workers'
lease word is zero before a release is sent; (4) V never falls.
"""
from collections import deque
from collections.abc import Callable
from typing import TypeAlias

from holdfast.ha.advertisement import Advertisement
from holdfast.ha.effect import Dial, Effect, HangUp, LetRead, Refuse, Send, SetClusterTime, SetLease, SetWatermark
from holdfast.ha.event import Channel
from holdfast.ha.forward import NO_ACTIVE, TOO_MANY, Outbox
from holdfast.ha.lease import Lease
from holdfast.ha.message import Applied, Candidate, LeaseGrant, Message, ReadIndex, ReadIndexAsk, Refused, Selected
from holdfast.ha.settings import Consistency, Settings
from holdfast.ha.watermark import NEVER
from holdfast.ids import Index, Millis
from holdfast.limits import FORWARD_HOLD_MAX_MS, READ_ROUNDS_WAITING_MAX, REDIAL_MS
from holdfast.storage import FOREVER_BOOT_MS

Emit: TypeAlias = Callable[[Effect], None]
EVERYTHING = Index(1 << 62)
"""A watermark that holds nothing back."""
CANDIDATE_AGAIN_MS = 1_000                           # an active node that does not answer a candidate has lost its words
SELECTED_TRIES_MAX = 6                               # to open the second connection, before it asks to be selected anew


class Standby:
    """Lives as long as the machine; idle while this node is active."""

    def __init__(self, settings: Settings, outbox: Outbox, emit: Emit) -> None:
        self._settings, self._outbox, self._emit = settings, outbox, emit
        self._lease = Lease(settings.rules, settings.times, settings.incarnation)
        self._active: Advertisement | None = None
        self._is_connected = False
        self._is_performance = False
        self._dial_at: Millis | None = None
        self._redial_ms = 0
        self._candidate_at: Millis | None = None
        self._selected: Selected | None = None           # with what the second connection is opened
        self._tries = 0
        self._open_at: Millis | None = None
        self._applied = self._watermark = Index(0)
        self._cluster_offset_ms: int | None = None
        self._may_read = True                            # False: no audit device works
        self._reads: deque[tuple[int, Millis]] = deque()         # tickets that wait for the next round
        self._asked_reads: deque[tuple[int, int, Millis]] = deque()      # … for the answer of the round of this number
        self._confirmed_reads: deque[tuple[Index, int, Millis]] = deque()        # … for this index to be applied
        self._round = 0

    @property
    def is_performance(self) -> bool:
        return self._is_performance

    @property
    def watermark(self) -> Index:
        return self._watermark

    @property
    def cluster_offset_ms(self) -> int | None:
        """As the active node told it last; None: none has."""
        return self._cluster_offset_ms

    @property
    def active(self) -> Advertisement | None:
        return self._active

    def seen(self, found: Advertisement | None, now: Millis) -> None:
        """The newest advertisement of the replica."""
        known = self._active
        if found is None or (known is not None and (found.term, found.node) == (known.term, known.node)):
            return
        self.leave(now)
        if found.node != self._settings.node:
            self._active, self._redial_ms = found, REDIAL_MS[0]
            self._dial(now)

    def leave(self, now: Millis) -> None:
        """There is no active node to talk to. The lease runs out by itself."""
        active, self._active = self._active, None
        if active is not None:
            self._drop_performance()
            self._drop_forwarding(now)
            self._emit(HangUp(node=active.node, channel=Channel.PERFORMANCE))
            self._emit(HangUp(node=active.node, channel=Channel.FORWARDING))
        self._dial_at = self._candidate_at = self._open_at = self._selected = None

    def release(self) -> None:
        """Reads nothing by itself from here on."""
        released = self._lease.release()
        self._emit(SetLease(until_boot_ms=Millis(0)))
        if released is not None and self._is_performance:
            self._tell(Channel.PERFORMANCE, released)
        self._lease.pause()

    @property
    def is_mute(self) -> bool:
        """None of this node's audit devices works: it answers nothing."""
        return not self._may_read

    def may_read(self, allowed: bool) -> None:
        """Whether the audit devices let it; `release` or `begin_reading` follows, if this node is a standby."""
        self._may_read = allowed

    def connected(self, channel: Channel, now: Millis) -> None:
        active = self._active
        if active is None:
            return
        if channel is Channel.FORWARDING:
            self._is_connected, self._dial_at, self._redial_ms = True, None, REDIAL_MS[0]
            if self._selected is None and not self._settings.disable_performance_standby:
                self._candidate_at = now
        else:
            self._is_performance, self._candidate_at, self._open_at, self._tries = True, None, None, 0
            self.begin_reading(now)
        self.tick(now)

    def disconnected(self, channel: Channel, now: Millis) -> None:
        if self._active is None:
            return
        if channel is Channel.FORWARDING:
            self._drop_forwarding(now)
            self._dial_at = Millis(now + self._redial_ms)
            self._redial_ms = min(2 * self._redial_ms, REDIAL_MS[1])
        else:
            self._drop_performance()
            self._tries += 1
            if self._tries < SELECTED_TRIES_MAX:         # a new identity would cost the active node more, and others their handshakes
                self._open_at = Millis(now + REDIAL_MS[0] * self._tries)
            else:
                self._selected, self._candidate_at = None, Millis(now + CANDIDATE_AGAIN_MS)

    def selected(self, message: Selected) -> None:
        active = self._active
        if active is not None and message.term == active.term and message.incarnation == self._settings.incarnation:
            self._selected, self._tries, self._candidate_at = message, 0, None
            self._open()

    def refused(self, message: Refused, now: Millis) -> None:
        if self._active is not None and message.term == self._active.term:
            self._candidate_at = None if message.final else Millis(now + CANDIDATE_AGAIN_MS)

    def granted(self, grant: LeaseGrant, now: Millis) -> None:
        if self._may_read and self._lease.granted(grant, now):
            self.pass_to(grant.watermark)
            self._hear_time(grant.now_ms, now)
            if self._settings.consistency is Consistency.STRONG:
                self._emit(SetLease(until_boot_ms=self._lease.until))

    def pass_to(self, watermark: Index) -> None:
        """V, as the active node of this term says it."""
        if watermark > self._watermark:
            self._watermark = watermark
            if self._settings.consistency is not Consistency.SESSION and self._settings.rules.asks_the_gate:
                self._emit(SetWatermark(index=watermark))

    def applied_here(self, index: Index) -> None:
        self._applied = index
        if not self._settings.rules.asks_the_gate:
            self._emit(SetWatermark(index=index))
        active = self._active
        if active is not None and self._is_performance and self._lease.next_ask is not None:
            self._tell(Channel.PERFORMANCE, Applied(term=active.term, incarnation=self._settings.incarnation, index=index))
        self._let_read()

    def start_at(self, applied: Index, watermark: Index) -> None:
        """What the replica has, and what is known of V."""
        self._applied, self._watermark = applied, watermark

    def read_asked(self, ticket: int, since: Millis) -> None:
        """A read that may begin only after a round, and has waited since then."""
        if len(self._reads) + len(self._asked_reads) + len(self._confirmed_reads) >= READ_ROUNDS_WAITING_MAX:
            self._emit(Refuse(ticket=ticket, why=TOO_MANY))
            return
        self._reads.append((ticket, since))
        self._ask_round()

    def take_reads(self) -> tuple[tuple[int, Millis], ...]:
        """Those that wait, and since when: whoever takes them answers for them. A round that was under way for them is void."""
        taken = (*((ticket, since) for _, ticket, since in (*self._confirmed_reads, *self._asked_reads)), *self._reads)
        for waiting in (self._confirmed_reads, self._asked_reads, self._reads):
            waiting.clear()
        return taken

    def read_index(self, answer: ReadIndex, now: Millis) -> None:
        if answer.incarnation != self._settings.incarnation:
            return
        if answer.now_ms:
            self._hear_time(answer.now_ms, now)          # there are no grants to tell it
        self.pass_to(answer.index)                       # it was V when the round began
        while self._asked_reads and self._asked_reads[0][0] <= answer.number:
            _, ticket, since = self._asked_reads.popleft()
            self._confirmed_reads.append((answer.index, ticket, since))
        self._let_read()
        self._ask_round()

    def tick(self, now: Millis) -> None:
        if self._dial_at is not None and now >= self._dial_at:
            self._dial(now)
        self.forward_held()
        if self._open_at is not None and now >= self._open_at:
            self._open()
        if self._is_connected and self._candidate_at is not None and now >= self._candidate_at:
            self._candidate_at = Millis(now + CANDIDATE_AGAIN_MS)
            self._tell(Channel.FORWARDING, Candidate(term=self._known().term, incarnation=self._settings.incarnation))
        ask = self._lease.ask(now, self._applied)
        if ask is not None:
            self._tell(Channel.PERFORMANCE, ask)
        self.refuse_late_reads(now)

    def forward_held(self) -> None:
        """What waits goes to the active node, if it can be reached."""
        if self._is_connected:
            for message in self._outbox.send_held(self._known().term):
                self._tell(Channel.FORWARDING, message)

    def next_tick(self) -> Millis:
        due = self._lease.next_ask or NEVER
        if self._dial_at is not None:
            due = min(due, self._dial_at)
        if self._open_at is not None:
            due = min(due, self._open_at)
        if self._candidate_at is not None and self._is_connected:
            due = min(due, self._candidate_at)
        return min(due, self.reads_due())

    def reads_due(self) -> Millis:
        """When one will have waited for too long."""
        oldest = (waiting[0][-1] for waiting in (self._reads, self._asked_reads, self._confirmed_reads) if waiting)
        return min((Millis(since + FORWARD_HOLD_MAX_MS) for since in oldest), default=NEVER)

    def _known(self) -> Advertisement:
        assert self._active is not None, "there is a connection, so there is an active node"
        return self._active

    def _tell(self, channel: Channel, message: Message) -> None:
        self._emit(Send(node=self._known().node, channel=channel, message=message))

    def _dial(self, now: Millis) -> None:
        active = self._known()
        self._dial_at = None
        self._emit(Dial(node=active.node, address=active.cluster_address, channel=Channel.FORWARDING, name=active.name, key=active.key,
                        certificate=active.certificate, accepts=active.certificate))

    def _open(self) -> None:
        """The second connection."""
        active, selected = self._known(), self._selected
        self._open_at = None
        if selected is None or self._is_performance:
            return
        self._emit(Dial(node=active.node, address=active.cluster_address, channel=Channel.PERFORMANCE, name=selected.name,
                        key=selected.key, certificate=selected.certificate, accepts=selected.active_certificate))

    def begin_reading(self, now: Millis) -> None:
        """By itself, if it is a performance standby and nothing speaks against it."""
        active = self._active
        if active is None or not self._is_performance or not self._may_read:
            return
        match self._settings.consistency:
            case Consistency.STRONG:
                self._lease.begin(active.term, now)
            case Consistency.SESSION:
                self._emit(SetWatermark(index=EVERYTHING))
                self._emit(SetLease(until_boot_ms=FOREVER_BOOT_MS))
            case Consistency.STRICT:
                self._ask_round()

    def _drop_forwarding(self, now: Millis) -> None:
        self._is_connected = False
        self._outbox.hold_all(now)

    def _drop_performance(self) -> None:
        self._is_performance = False
        self._lease.pause()
        while self._asked_reads:                         # they are asked for again
            _, ticket, since = self._asked_reads.pop()
            self._reads.appendleft((ticket, since))

    def _ask_round(self) -> None:
        """One at a time: what comes meanwhile shares the next."""
        if not self._reads or self._asked_reads or not self._is_performance:
            return
        self._round += 1
        self._asked_reads.extend((self._round, ticket, since) for ticket, since in self._reads)
        self._reads.clear()
        self._tell(Channel.PERFORMANCE, ReadIndexAsk(term=self._known().term, incarnation=self._settings.incarnation, number=self._round))

    def _hear_time(self, now_ms: Millis, now: Millis) -> None:
        """What has expired is judged by cluster time, whatever the clock of this node says."""
        self._cluster_offset_ms = now_ms - now
        self._emit(SetClusterTime(offset_ms=self._cluster_offset_ms))

    def _let_read(self) -> None:
        while self._confirmed_reads and self._confirmed_reads[0][0] <= self._applied:
            self._emit(LetRead(ticket=self._confirmed_reads.popleft()[1]))

    def refuse_late_reads(self, now: Millis) -> None:
        for waiting in (self._reads, self._asked_reads, self._confirmed_reads):
            while waiting and now - waiting[0][-1] >= FORWARD_HOLD_MAX_MS:
                self._emit(Refuse(ticket=waiting.popleft()[-2], why=NO_ACTIVE))
