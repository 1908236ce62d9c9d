"""The active node's part, for one term: leases to the others, V, who is connected, rounds for who trusts no clock.

Invariants: (1) V is published here, to the lane too, before a grant or an update that carries it is sent; (2) a message of another term is
dropped; (3) what is answered to `ReadIndexAsk` was confirmed in a round that began after the ask came.
"""
from collections.abc import Callable
from typing import TypeAlias

from holdfast.ha.effect import Confirm, Effect, Enrol, LetRead, Refuse, Send, SetWatermark
from holdfast.ha.event import Channel, Enrolled
from holdfast.ha.forward import TOO_MANY
from holdfast.ha.message import (
    Applied,
    Candidate,
    LeaseAsk,
    LeaseRecall,
    LeaseRelease,
    Peer,
    ReadIndex,
    ReadIndexAsk,
    Refused,
    Selected,
    Update,
)
from holdfast.ha.settings import Consistency, Settings
from holdfast.ha.watermark import Watermark
from holdfast.ids import Index, Millis, NodeId
from holdfast.limits import READ_ROUNDS_WAITING_MAX
from holdfast.storage import Fence

Emit: TypeAlias = Callable[[Effect], None]


class Active:
    """`index`: everything of earlier terms, which this node has applied. `after_round`: the last one of those, so that no number is used
    twice."""

    def __init__(self, settings: Settings, fence: Fence, emit: Emit, *, index: Index, hold_until: Millis, cluster_offset_ms: int | None,
                 after_round: int) -> None:
        self.fence = fence
        self._settings, self._emit = settings, emit
        self.watermark = Watermark(settings.rules, settings.times, term=fence.term, index=index, hold_until=hold_until,
                                   cluster_offset_ms=cluster_offset_ms)
        self._published = index
        self._performance: dict[NodeId, Peer] = {}       # who has the second connection
        self._is_ending = False
        self._readers: frozenset[NodeId] = frozenset()   # who had a lease when it began to end
        self._asked_rounds: dict[Peer, int] = {}         # since the round under way began; to the newest number
        self._own_reads: list[tuple[int, Millis]] = []   # tickets, and since when they wait
        self._round = after_round
        self._round_for: tuple[dict[Peer, int], list[tuple[int, Millis]], Index] | None = None

    @property
    def last_round(self) -> int:
        return self._round

    def connected(self, peer: Peer, channel: Channel) -> None:
        if channel is Channel.PERFORMANCE:
            self._performance[peer.node] = peer

    def disconnected(self, node: NodeId, channel: Channel, now: Millis) -> None:
        if channel is Channel.PERFORMANCE:
            self._performance.pop(node, None)
            self.watermark.disconnected(node, now)

    def candidate(self, peer: Peer, message: Candidate) -> None:
        """A standby would read by itself."""
        if message.term != self.fence.term or message.incarnation != peer.incarnation:
            return
        if self._settings.disable_performance_standby:
            self._refuse(peer, "performance standbys are disabled on the active node")
        elif self._is_ending:
            self._refuse(peer, "this node is about to step down")
        else:
            self._emit(Enrol(peer=peer))

    def enrolled(self, event: Enrolled) -> None:
        self._emit(Send(node=event.peer.node, channel=Channel.FORWARDING, message=Selected(
            term=self.fence.term, incarnation=event.peer.incarnation, name=event.name, key=event.key, certificate=event.certificate,
            active_certificate=event.active_certificate)))

    def received(self, peer: Peer, message: LeaseAsk | LeaseRelease | Applied | ReadIndexAsk, now: Millis) -> None:
        """Over the second connection."""
        if message.term != self.fence.term or message.incarnation != peer.incarnation:
            return
        match message:
            case LeaseAsk():
                self.watermark.asked(peer, message, now)
            case LeaseRelease():
                self.watermark.released(peer, message.serial, now)
            case Applied():
                self.watermark.applied(peer, message.index, now)
            case ReadIndexAsk():
                self._asked_rounds[peer] = message.number
                self._begin_round()

    def read_asked(self, ticket: int, since: Millis) -> None:
        """A read of this node's own that may begin only after a round, and has waited since then."""
        if len(self._own_reads) >= READ_ROUNDS_WAITING_MAX:
            self._emit(Refuse(ticket=ticket, why=TOO_MANY))
            return
        self._own_reads.append((ticket, since))
        self._begin_round()

    def confirmed(self, number: int, now: Millis) -> None:
        """The round is over."""
        if number != self._round or self._round_for is None:
            return
        (peers, tickets, index), self._round_for = self._round_for, None
        offset_ms = self.watermark.cluster_offset_ms
        now_ms = Millis(0 if offset_ms is None else now + offset_ms)
        for peer, asked in sorted(peers.items()):
            self._emit(Send(node=peer.node, channel=Channel.PERFORMANCE, message=ReadIndex(
                term=self.fence.term, incarnation=peer.incarnation, number=asked, index=index, now_ms=now_ms)))
        for ticket, _ in tickets:
            self._emit(LetRead(ticket=ticket))
        self._begin_round()

    def recall(self, now: Millis) -> None:
        """The fence is to be given on: no more grants, and what was granted is asked back."""
        self._is_ending = True
        self._readers = frozenset(holder.node for holder in self.watermark.holders(now))
        self.watermark.stop_granting()
        for node in sorted(self._performance):
            self._emit(Send(node=node, channel=Channel.PERFORMANCE, message=LeaseRecall(term=self.fence.term)))

    def successor(self) -> NodeId | None:
        """Who has most of those that read by themselves: what keeps a node from reading would keep it from answering. None: let the log
        choose."""
        known = [(node in self._readers, self.watermark.applied_of(node), node) for node in sorted(self._performance)]
        return max(known, key=lambda found: found[:2])[2] if known else None

    def has_reader(self, now: Millis) -> bool:
        """Somebody else answers reads, as far as is known here: has a lease, or where there are none, a link for it."""
        return bool(self.watermark.holders(now) if self._settings.consistency is Consistency.STRONG else self._performance)

    def publish(self) -> None:
        """After every change: V first, then what carries it."""
        value = self.watermark.value
        if value > self._published:
            self._published = value
            self._emit(SetWatermark(index=value))
            for node in sorted(self._performance):
                self._emit(Send(node=node, channel=Channel.PERFORMANCE, message=Update(term=self.fence.term, watermark=value)))
        for peer, grant in self.watermark.take_grants():
            self._emit(Send(node=peer.node, channel=Channel.PERFORMANCE, message=grant))

    def waiting_reads(self) -> tuple[tuple[int, Millis], ...]:
        """Tickets of this node's own reads that no round has been confirmed for, and since when they wait."""
        return (*(self._round_for[1] if self._round_for else ()), *self._own_reads)

    def _begin_round(self) -> None:
        """One at a time: what comes meanwhile shares the next. What was shown to anybody is at most V."""
        if self._round_for is not None or not (self._asked_rounds or self._own_reads):
            return
        self._round += 1
        self._round_for = (self._asked_rounds, self._own_reads, self.watermark.value)
        self._asked_rounds, self._own_reads = {}, []
        self._emit(Confirm(number=self._round))

    def _refuse(self, peer: Peer, why: str) -> None:
        self._emit(Send(node=peer.node, channel=Channel.FORWARDING, message=Refused(term=self.fence.term, final=True, why=why)))
