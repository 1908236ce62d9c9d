"""The life of a node in its cluster, without I/O: events in, effects out.

    SEALED → STANDBY ⇄ PERFORMANCE_STANDBY → TAKING_OVER → ACTIVE → DRAINING → STANDBY

What the driver owes it
-----------------------
Calls: `step(event, now)` for whatever happened, in the order in which it was seen; `tick(now)` at `next_tick_boot_ms()` at the latest;
after each of them `take_effects()`, all of which are begun, strictly in order, before the next `step`. `now` is CLOCK_BOOTTIME in ms, read
after the event was. Nothing here waits: an effect that takes time is begun, and an event tells of its end.

Effects, and what must hold before the next one is begun:

| effect | before anything else |
| --- | --- |
| SetLease | the word is stored: no process of this node begins a read by a later time. LeaseRelease and GiveUp come after a zero |
| SetWatermark | the word is stored; on the active node then `Main.pass_to`: what waits for it leaves |
| StartLane | the lane takes work; others may come in on both channels; the advertisement has been submitted, before any other work |
| DrainLane | the lane takes nothing more: what its clients want becomes Submitted, what other nodes want RanNot. Idle: LaneDrained |
| StopLane | as DrainLane; then, in the background, fates are learned: Ran or RanNot for each Run, then LaneStopped |
| GiveUp | begun in the background; FenceGone when the fence has gone, whichever way |
| Run | given to the lane (`Main.run_for`); Ran or RanNot is a later step |
| Send | handed to the newest link, in order; it may be lost, as the link may |
| Campaign | `log.lock()` begun in the background, unless it already waits; then FenceHeld |
| others | begun |

Durable first: the machine sends nothing that promises durability but ForwardReply, whose Ran comes only after V has passed its index, and
Applied, whose AppliedHere comes only after the replica's transaction: every process of the node reads it from then on. AppliedHere on the
active node also says that the log has it durably.

A machine is that of one run of the process, through every sealing and unsealing: a second one of the same incarnation would use ids and
serials of the first again.

Events, and when they are due: Unsealed first. Held at every renewal of the hold. FenceGone as soon as the fence's loss is known, once for a
term, also after GiveUp. ActiveSeen at Unsealed, at StopLane, and whenever the newest advertisement in the replica is another one, after its
AppliedHere. Connected, Disconnected and Received of the newest link with a node alone. AuditBroken when it changes. All others as `event`
says. An event that means nothing any more (an answer that nobody waits for, a term that is over) is passed over; one that cannot be in this
state raises InvariantError.

Requests: `Submitted` may come in every state. While this node is active it is run here under an id of this node, so that a successor finds
its record if this node loses the fence before it has answered. A driver may also run its own clients' requests on the lane without telling
the machine, and submit only those that the lane hands back, whose fate is known: they did not happen.
"""
from typing import assert_never

from holdfast.errors import InvariantError
from holdfast.ha.active import Active
from holdfast.ha.effect import (
    Campaign,
    Changed,
    DrainLane,
    Effect,
    GiveUp,
    Left,
    Refuse,
    SetLease,
    SetWatermark,
    StartLane,
    State,
    StopLane,
)
from holdfast.ha.event import (
    ActiveSeen,
    AppliedHere,
    AuditBroken,
    Cancelled,
    Channel,
    Confirmed,
    Connected,
    Disconnected,
    Enrolled,
    Event,
    FenceGone,
    FenceHeld,
    Held,
    LaneDrained,
    LaneStopped,
    Ran,
    RanNot,
    ReadAsked,
    Received,
    SealAsked,
    StepDownAsked,
    Submitted,
    Unsealed,
)
from holdfast.ha.forward import Outbox
from holdfast.ha.message import (
    Applied,
    Candidate,
    ForwardRefused,
    ForwardReply,
    ForwardRequest,
    ForwardStream,
    LeaseAsk,
    LeaseGrant,
    LeaseRecall,
    LeaseRelease,
    Message,
    ReadIndex,
    ReadIndexAsk,
    Refused,
    Selected,
    Update,
)
from holdfast.ha.requests import Requests
from holdfast.ha.settings import Consistency, Settings
from holdfast.ha.standby import Standby
from holdfast.ha.watermark import NEVER
from holdfast.ids import Index, Millis, NodeId, Term
from holdfast.limits import DRAIN_MAX_MS, MUTE_GIVES_WAY_EVERY_MS
from holdfast.storage import Fence

SEALED, STANDBY, PERFORMANCE_STANDBY = State.SEALED, State.STANDBY, State.PERFORMANCE_STANDBY
TAKING_OVER, ACTIVE, DRAINING = State.TAKING_OVER, State.ACTIVE, State.DRAINING
IS_SEALED = "Vault is sealed"


class Machine:
    """One node. `step` and `tick` change it; `take_effects` gives what is to be done."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._state = SEALED
        self._effects: list[Effect] = []
        self._outbox = Outbox(settings.node, settings.incarnation)
        self._requests = Requests(settings, self._outbox, self._effects.append)
        self._standby = Standby(settings, self._outbox, self._effects.append)
        self._active: Active | None = None               # while the fence is ours, and until it has gone
        self._held: FenceHeld | None = None              # what TAKING_OVER waits with
        self._applied = Index(0)
        self._stopping: Fence | None = None              # a lane whose fates are not all known
        self._is_sealing = False
        self._is_drained = self._gave_up = False
        self._drain_until = Millis(0)
        self._gives_way_from = Millis(0)                 # where no audit device works
        self._last_round = 0                             # of the terms before

    @property
    def state(self) -> State:
        return self._state

    @property
    def outbox(self) -> Outbox:
        """To be looked at."""
        return self._outbox

    @property
    def standby(self) -> Standby:
        """To be looked at."""
        return self._standby

    @property
    def active(self) -> Active | None:
        """To be looked at; None: the fence is not this node's."""
        return self._active

    def take_effects(self) -> tuple[Effect, ...]:
        effects = tuple(self._effects)
        self._effects.clear()                            # the list is shared with both parts
        return effects

    def next_tick_boot_ms(self) -> Millis:
        """NEVER: nothing happens by itself."""
        state, active = self._state, self._active
        due = self._outbox.next_tick or NEVER
        if state is PERFORMANCE_STANDBY or state is STANDBY:
            due = min(due, self._standby.next_tick())
        elif state is TAKING_OVER:
            due = min(due, self._standby.reads_due())
        if active is not None:
            due = min(due, active.watermark.next_tick())
            if state is DRAINING and not self._gave_up:
                due = min(due, max(active.watermark.all_ended_at(), Millis(0 if self._is_drained else self._drain_until)))
        return due

    def tick(self, now: Millis) -> None:
        """Time has passed."""
        if self._state is SEALED:
            return
        self._requests.tick(now)
        if self._state in (STANDBY, PERFORMANCE_STANDBY):
            self._standby.tick(now)
        elif self._state is TAKING_OVER:
            self._standby.refuse_late_reads(now)
        if self._active is not None:
            self._active.watermark.tick(now)
        self._go_on(now)

    def step(self, event: Event, now: Millis) -> None:
        """Something has happened."""
        if isinstance(event, Unsealed):
            self._unsealed(event)
            return
        if self._state is SEALED:
            self._step_sealed(event)
            return
        self._take(event, now)
        self._go_on(now)

    def _take(self, event: Event, now: Millis) -> None:
        match event:
            case Received():
                self._received(event, now)
            case AppliedHere():
                self._applied_here(event, now)
            case Held():
                self._hold_renewed(event, now)
            case Submitted():
                self._submitted(event, now)
            case Ran():
                self._requests.ran(event)
            case RanNot():
                self._ran_not(event, now)
            case Cancelled(ticket=ticket):
                self._outbox.cancel(ticket)
            case Connected() | Disconnected() | ActiveSeen() | Enrolled():
                self._link_changed(event, now)
            case FenceHeld() | FenceGone() | LaneDrained() | LaneStopped():
                self._fence_changed(event, now)
            case SealAsked():
                self._seal_asked(now)
            case StepDownAsked():
                if self._state is ACTIVE:
                    self._drain(now)
            case AuditBroken(broken=broken):
                self._audit_changed(broken, now)
            case ReadAsked(ticket=ticket):
                if self._active is not None:
                    self._active.read_asked(ticket, now)
                else:
                    self._standby.read_asked(ticket, now)
            case Confirmed(number=number):
                if self._active is not None:
                    self._active.confirmed(number, now)
            case Unsealed():
                raise InvariantError(f"unsealed in state {self._state.value}")
            case other:
                assert_never(other)

    def _go_on(self, now: Millis) -> None:
        """What follows from whatever has changed."""
        state = self._state
        if state is TAKING_OVER:
            self._take_over(now)
        elif state is PERFORMANCE_STANDBY or state is STANDBY:
            self._become(PERFORMANCE_STANDBY if self._standby.is_performance else STANDBY)
        active = self._active
        if active is not None:
            active.publish()
            if self._state is ACTIVE:
                self._give_way_if_mute(now)
            if self._state is DRAINING:
                self._give_up_if_drained(now)

    def _become(self, state: State) -> None:
        if state is not self._state:
            self._state = state
            self._effects.append(Changed(state=state))

    # Unsealed and sealed

    def _unsealed(self, event: Unsealed) -> None:
        if self._state is not SEALED or self._stopping is not None:
            raise InvariantError(f"unsealed in state {self._state.value}")
        self._applied = event.applied
        self._standby.start_at(event.applied, Index(0))
        # What the replica has may be more than others have: V is not known until the active node says it.
        self._effects += (SetLease(until_boot_ms=Millis(0)), SetWatermark(index=Index(0)))
        self._become(STANDBY)
        self._effects.append(Campaign())

    def _step_sealed(self, event: Event) -> None:
        """Late news of what this node was a part of."""
        match event:
            case AuditBroken(broken=broken):
                self._standby.may_read(not broken)
            case SealAsked():
                if self._stopping is None:
                    self._effects.append(Left())
            case LaneStopped(term=term):
                if self._stopping is not None and self._stopping.term == term:
                    self._stopping = None
                    self._effects.append(Left())
            case Submitted(ticket=ticket) | ReadAsked(ticket=ticket):
                self._effects.append(Refuse(ticket=ticket, why=IS_SEALED))
            case AppliedHere(index=index):
                self._applied = index
            case Ran(id=id) | RanNot(id=id):
                self._requests.forget(id)
            case _:
                pass

    def _seal_asked(self, now: Millis) -> None:
        self._is_sealing = True
        if self._state is ACTIVE:
            self._drain(now)
        elif self._state is TAKING_OVER:
            held = self._held
            assert held is not None, "taking over begins with a fence"
            self._effects.append(GiveUp(fence=held.fence, to=None))
        elif self._state is not DRAINING:
            self._seal(now)

    def _seal(self, now: Millis) -> None:
        self._standby.release()
        self._standby.leave(now)
        for ticket, _ in self._standby.take_reads():
            self._effects.append(Refuse(ticket=ticket, why=IS_SEALED))
        self._requests.refuse_all(IS_SEALED)
        self._is_sealing = False
        self._become(SEALED)
        if self._stopping is None:
            self._effects.append(Left())

    # The fence

    def _fence_changed(self, event: FenceHeld | FenceGone | LaneDrained | LaneStopped, now: Millis) -> None:
        match event:
            case FenceHeld():
                self._fence_held(event, now)
            case FenceGone():
                self._fence_gone(event, now)
            case LaneDrained(term=term):
                if self._active is not None and term == self._active.fence.term:
                    self._is_drained = True
            case LaneStopped(term=term):
                self._lane_stopped(term)
            case other:
                assert_never(other)

    def _fence_held(self, event: FenceHeld, now: Millis) -> None:
        if self._state not in (STANDBY, PERFORMANCE_STANDBY) or self._stopping is not None:
            raise InvariantError(f"the fence came in state {self._state.value}")
        self._standby.release()
        self._standby.leave(now)
        self._held = event
        self._become(TAKING_OVER)

    def _take_over(self, now: Millis) -> None:
        """Once everything of earlier terms is applied: V starts there."""
        held, rules = self._held, self._settings.rules
        assert held is not None, "taking over begins with a fence"
        if self._is_sealing or (self._applied < held.index and rules.awaits_own_term):
            return
        active = self._active = Active(self._settings, held.fence, self._effects.append, index=self._applied,
                                       hold_until=held.hold_until_boot_ms, cluster_offset_ms=self._standby.cluster_offset_ms,
                                       after_round=self._last_round)
        self._held, self._is_drained, self._gave_up = None, False, False
        self._effects += (SetWatermark(index=active.watermark.value), StartLane(fence=held.fence))
        self._show_hold(held.hold_until_boot_ms)
        self._become(ACTIVE)
        for ticket, since in self._standby.take_reads():
            active.read_asked(ticket, since)
        self._requests.run_held(held.fence.term)

    def _show_hold(self, until: Millis) -> None:
        if self._settings.consistency is not Consistency.STRICT:
            self._effects.append(SetLease(until_boot_ms=until))

    def _hold_renewed(self, event: Held, now: Millis) -> None:
        active = self._active
        if self._held is not None and event.term == self._held.fence.term:
            self._held = FenceHeld(fence=self._held.fence, index=self._held.index, hold_until_boot_ms=event.until_boot_ms)
        elif active is not None and event.term == active.fence.term:
            if self._gave_up and self._settings.rules.ends_hold_at_transfer:
                return                                   # never again in this term
            active.watermark.hold(event.until_boot_ms, event.cluster_ms - now)
            self._show_hold(event.until_boot_ms)

    def _fence_gone(self, event: FenceGone, now: Millis) -> None:
        active = self._active
        if self._held is not None and event.term == self._held.fence.term:
            self._held = None
            self._return_to_standby(now)
            if not self._is_sealing:
                self._effects.append(Campaign())
        elif active is not None and event.term == active.fence.term:
            if not self._gave_up:
                self._effects += (SetLease(until_boot_ms=Millis(0)), StopLane(fence=active.fence))
                self._stopping = active.fence
            for ticket, since in active.waiting_reads():
                self._standby.read_asked(ticket, since)
            self._standby.start_at(self._applied, active.watermark.value)
            self._last_round = active.last_round
            self._active = None
            self._return_to_standby(now)
            if self._stopping is None and self._state is STANDBY:        # the lane had stopped before
                self._effects.append(Campaign())

    def _return_to_standby(self, now: Millis) -> None:
        self._become(STANDBY)
        if self._is_sealing:
            self._seal(now)

    def _lane_stopped(self, term: Term) -> None:
        if self._stopping is None or self._stopping.term != term:
            raise InvariantError(f"the lane of term {term} was not stopping")
        self._stopping = None
        if self._active is None:                         # else the fence has still to go
            self._effects.append(Campaign())

    # Stepping down

    def _drain(self, now: Millis) -> None:
        """Hold new writes, flush, collect the leases; then the fence is given on."""
        active = self._active_part()
        active.recall(now)
        self._drain_until = Millis(now + DRAIN_MAX_MS)
        self._become(DRAINING)
        self._effects.append(DrainLane(fence=active.fence))

    def _give_up_if_drained(self, now: Millis) -> None:
        active, rules = self._active_part(), self._settings.rules
        if self._gave_up or not (self._is_drained or now >= self._drain_until):
            return
        if now < active.watermark.all_ended_at() and rules.collects_before_transfer:
            return
        self._gave_up, self._stopping = True, active.fence
        if rules.ends_hold_at_transfer:
            active.watermark.end_hold()
            self._effects.append(SetLease(until_boot_ms=Millis(0)))
        self._effects += (StopLane(fence=active.fence), GiveUp(fence=active.fence, to=active.successor()))

    def _active_part(self) -> Active:
        assert self._active is not None, "the state says that the fence is ours"
        return self._active

    # The replica

    def _applied_here(self, event: AppliedHere, now: Millis) -> None:
        self._applied = event.index
        if self._active is not None:
            self._active.watermark.applied_here(event.index, now)
        else:
            self._standby.applied_here(event.index)

    def _audit_changed(self, broken: bool, now: Millis) -> None:
        """None of the devices works: a standby gives its lease back; the active node gives way (`_go_on`)."""
        self._standby.may_read(not broken)
        if self._state in (STANDBY, PERFORMANCE_STANDBY):
            if broken:
                self._standby.release()
            else:
                self._standby.begin_reading(now)

    def _give_way_if_mute(self, now: Millis) -> None:
        """It answers nothing: its place is for one that reads, as soon as there is any. That one may be kept from leading."""
        if self._standby.is_mute and now >= self._gives_way_from and self._active_part().has_reader(now):
            self._gives_way_from = Millis(now + MUTE_GIVES_WAY_EVERY_MS)
            self._drain(now)

    # Connections

    def _link_changed(self, event: Connected | Disconnected | ActiveSeen | Enrolled, now: Millis) -> None:
        active, standby = self._active, self._standby
        match event:
            case Connected(peer=peer, channel=channel):
                if active is not None:
                    active.connected(peer, channel)
                elif self._is_active_node(peer.node):
                    standby.connected(channel, now)
            case Disconnected(node=node, channel=channel):
                if active is not None:
                    active.disconnected(node, channel, now)
                elif self._is_active_node(node):
                    standby.disconnected(channel, now)
            case ActiveSeen(advertisement=advertisement):
                if self._state in (STANDBY, PERFORMANCE_STANDBY):
                    standby.seen(advertisement, now)
            case Enrolled():
                if active is not None:
                    active.enrolled(event)
            case other:
                assert_never(other)

    def _is_active_node(self, node: NodeId) -> bool:
        return self._standby.active is not None and self._standby.active.node == node

    def _received(self, event: Received, now: Millis) -> None:
        peer, message = event.peer, event.message
        if isinstance(message, ForwardRequest):
            active = self._active if self._state is ACTIVE else None
            self._requests.asked_to_run(peer, message, active.fence.term if active is not None else None)
        elif self._active is not None:
            match message:
                case LeaseAsk() | LeaseRelease() | Applied() | ReadIndexAsk():
                    if event.channel is Channel.PERFORMANCE:
                        self._active.received(peer, message, now)
                case Candidate():
                    self._active.candidate(peer, message)
                case _:
                    pass                                 # meant for the standby that this node was
        elif self._is_active_node(peer.node):
            self._received_from_active(message, now)
        elif isinstance(message, ForwardReply | ForwardStream):
            self._requests.answered(message)             # of one that was active until just now

    def _received_from_active(self, message: Message, now: Millis) -> None:
        standby = self._standby
        term = standby.active.term if standby.active is not None else None
        match message:
            case ForwardReply() | ForwardStream():
                self._requests.answered(message)
            case ForwardRefused() if term is not None:
                self._requests.refused(message, term, now)
            case Selected():
                standby.selected(message)
            case Refused():
                standby.refused(message, now)
            case LeaseGrant() | Update() | LeaseRecall() | ReadIndex() if message.term != term and self._settings.rules.names_leases:
                pass
            case LeaseGrant():
                standby.granted(message, now)
            case Update(watermark=watermark):
                standby.pass_to(watermark)
            case LeaseRecall():
                standby.release()
            case ReadIndex():
                standby.read_index(message, now)
            case _:
                pass                                     # meant for the active node that this one was

    # Requests

    def _submitted(self, event: Submitted, now: Millis) -> None:
        self._requests.submit(event, now)
        if self._state is ACTIVE:
            self._requests.run_held(self._active_part().fence.term)
        elif self._state in (STANDBY, PERFORMANCE_STANDBY):
            self._standby.forward_held()

    def _ran_not(self, event: RanNot, now: Millis) -> None:
        active_in = self._active.fence.term if self._active is not None else None
        self._requests.ran_not(event.id, event.term, now, active_in=active_in)
        if self._state is ACTIVE:
            self._requests.run_held(self._active_part().fence.term)
        elif self._state in (STANDBY, PERFORMANCE_STANDBY):
            self._standby.forward_held()
