"""The life of a node: states, the order of effects, the rules that span the parts. Tests of a rule are named after it."""
import pytest
from tests.unit.ha.machines import (
    FORWARDING,
    KEY,
    PERFORMANCE,
    A,
    B,
    C,
    Node,
    advertisement,
    ask,
    candidate,
    fence,
    forwarded,
    of,
    peer,
    position,
    request,
    sent,
    submitted,
)

from holdfast.engine import Reply, WriteId
from holdfast.errors import InvariantError
from holdfast.ha import effect as do
from holdfast.ha import event as saw
from holdfast.ha import inbox
from holdfast.ha.effect import State
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
    ReadIndex,
    ReadIndexAsk,
    Refused,
    Selected,
    Update,
)
from holdfast.ha.requests import FULL
from holdfast.ha.rules import TIMES
from holdfast.ha.settings import Consistency
from holdfast.ha.standby import SELECTED_TRIES_MAX
from holdfast.ids import Index, Millis, Term
from holdfast.limits import DRAIN_MAX_MS, FORWARD_HOLD_MAX_MS
from holdfast.replica import Why
from holdfast.storage import FOREVER_BOOT_MS

OK = Reply(status=200, body=b"{}")


@pytest.fixture
def node() -> Node:
    return Node()


def hold(node: Node, term: int = 4) -> saw.Held:
    return saw.Held(term=Term(term), until_boot_ms=Millis(node.now + 180), cluster_ms=Millis(1_000_000))


def ran(sequence: int = 1, node: str = "a") -> saw.Ran:
    return saw.Ran(id=WriteId(node=A if node == "a" else B, incarnation=1, sequence=sequence), reply=OK)


# Unsealed

def test_an_unsealed_node_is_a_standby_that_reads_nothing_and_competes(node: Node) -> None:
    effects = node.step(saw.Unsealed(applied=Index(10)))
    assert [type(effect) for effect in effects] == [do.SetLease, do.SetWatermark, do.Changed, do.Campaign]
    assert of(effects, do.SetLease)[0].until_boot_ms == 0
    assert of(effects, do.SetWatermark)[0].index == 0, "its replica may have what no other node has yet"
    assert node.state is State.STANDBY


def test_what_cannot_be_is_refused(node: Node) -> None:
    node.unseal()
    with pytest.raises(InvariantError):
        node.step(saw.Unsealed(applied=Index(1)))
    with pytest.raises(InvariantError):
        node.step(saw.LaneStopped(term=Term(4)))
    node.lead()
    with pytest.raises(InvariantError):
        node.step(saw.FenceHeld(fence=fence(5), index=Index(10), hold_until_boot_ms=Millis(0)))


def test_a_sealed_node_refuses_and_ignores(node: Node) -> None:
    assert of(node.step(submitted(1)), do.Refuse)[0].why == "Vault is sealed"
    assert node.step(saw.ActiveSeen(advertisement=advertisement())) == ()
    assert node.hear(candidate()) == ()
    assert [type(effect) for effect in node.step(saw.SealAsked())] == [do.Left]


# A standby

def test_a_standby_dials_who_is_advertised_and_asks_to_be_selected(node: Node) -> None:
    (dial,) = of(node.unseal().step(saw.ActiveSeen(advertisement=advertisement())), do.Dial)
    assert (dial.node, dial.address, dial.channel, dial.name, dial.accepts) == (A, "a:8201", FORWARDING, "fw-3", b"fw")
    assert sent(node.step(saw.Connected(peer=peer(A), channel=FORWARDING)), Candidate) == [Candidate(term=Term(3), incarnation=1)]
    selected = Selected(term=Term(3), incarnation=1, name="ps", key=KEY, certificate=b"own", active_certificate=b"its")
    (dial,) = of(node.hear(selected), do.Dial)
    assert (dial.channel, dial.name, dial.certificate, dial.accepts) == (PERFORMANCE, "ps", b"own", b"its")
    effects = node.step(saw.Connected(peer=peer(A), channel=PERFORMANCE))
    assert node.state is State.PERFORMANCE_STANDBY
    assert sent(effects, LeaseAsk) == [LeaseAsk(term=Term(3), incarnation=1, serial=1, applied=Index(10))]


def test_a_grant_is_a_lease_counted_from_the_ask(node: Node) -> None:
    node.unseal().perform()
    asked_at = node.now
    node.now += 30
    effects = node.hear(LeaseGrant(term=Term(3), incarnation=1, serial=1, length_ms=150, watermark=Index(8), now_ms=Millis(777_000)),
                        channel=PERFORMANCE)
    assert of(effects, do.SetLease)[0].until_boot_ms == asked_at + 150
    assert of(effects, do.SetWatermark)[0].index == 8
    assert of(effects, do.SetClusterTime)[0].offset_ms == 777_000 - node.now


def test_it_asks_again_and_again(node: Node) -> None:
    node.unseal().read()
    assert len(sent(node.wait(500), LeaseAsk)) == 500 // TIMES.renew


def test_what_is_applied_is_told(node: Node) -> None:
    node.unseal().read()
    assert sent(node.step(saw.AppliedHere(index=Index(11))), Applied) == [Applied(term=Term(3), incarnation=1, index=Index(11))]


def test_v_rises_by_updates_and_never_falls(node: Node) -> None:
    node.unseal().read()
    assert of(node.hear(Update(term=Term(3), watermark=Index(12)), channel=PERFORMANCE), do.SetWatermark)[0].index == 12
    assert node.hear(Update(term=Term(3), watermark=Index(11)), channel=PERFORMANCE) == ()


@pytest.mark.parametrize("message", [
    Update(term=Term(2), watermark=Index(99)),
    LeaseGrant(term=Term(2), incarnation=1, serial=1, length_ms=150, watermark=Index(99), now_ms=Millis(0)),
    LeaseRecall(term=Term(2)),
    Update(term=Term(4), watermark=Index(99)),
])
def test_rule_4_a_message_of_another_term_is_dropped(node: Node, message: Update) -> None:
    node.unseal().perform()
    assert node.hear(message, channel=PERFORMANCE) == ()


def test_rule_4_nor_does_the_active_node_take_one() -> None:
    node = Node().unseal().lead()
    node.step(saw.Connected(peer=peer(A), channel=PERFORMANCE))
    assert sent(node.hear(ask(term=3), channel=PERFORMANCE), LeaseGrant) == []
    assert sent(node.hear(ask(incarnation=2), channel=PERFORMANCE), LeaseGrant) == [], "of another run than the connection's"
    assert sent(node.hear(ask(), channel=PERFORMANCE), LeaseGrant)


def test_the_lease_runs_out_by_itself_when_the_connection_breaks(node: Node) -> None:
    node.unseal().read()
    effects = node.step(saw.Disconnected(node=A, channel=PERFORMANCE))
    assert of(effects, do.SetLease) == []
    assert node.state is State.STANDBY
    assert of(node.wait(20), do.Dial)[0].channel is PERFORMANCE, "which it opens again"


def test_a_forwarding_connection_that_comes_back_changes_nothing_in_the_second(node: Node) -> None:
    node.unseal().perform()
    node.step(saw.Disconnected(node=A, channel=FORWARDING))
    assert sent(node.step(saw.Connected(peer=peer(A), channel=FORWARDING)), Candidate) == []
    assert node.state is State.PERFORMANCE_STANDBY


def test_only_when_the_second_connection_cannot_be_opened_it_asks_to_be_selected_anew(node: Node) -> None:
    """A new identity costs the active node a new offer, which may break off another's handshake."""
    node.unseal().perform()
    for _ in range(SELECTED_TRIES_MAX - 1):
        node.step(saw.Disconnected(node=A, channel=PERFORMANCE))
        effects = node.wait(200)
        assert len(of(effects, do.Dial)) == 1
        assert sent(effects, Candidate) == []
    node.step(saw.Disconnected(node=A, channel=PERFORMANCE))
    effects = node.wait(1_500)
    assert of(effects, do.Dial) == []
    assert sent(effects, Candidate)


def test_a_broken_forwarding_connection_is_dialled_again_and_again(node: Node) -> None:
    node.unseal().connect()
    node.step(saw.Disconnected(node=A, channel=FORWARDING))
    times = []
    for _ in range(8):
        began = node.now
        while not of(node.wait(1), do.Dial):
            pass
        times.append(node.now - began)
        node.step(saw.Disconnected(node=A, channel=FORWARDING))
    assert times == [20, 40, 80, 160, 320, 640, 1_000, 1_000]


def test_a_newer_advertisement_takes_the_place_of_the_old(node: Node) -> None:
    node.unseal().read()
    effects = node.step(saw.ActiveSeen(advertisement=advertisement(5, C)))
    assert [effect.node for effect in of(effects, do.HangUp)] == [A, A]
    assert of(effects, do.Dial)[0].node == C
    assert node.state is State.STANDBY
    assert node.step(saw.ActiveSeen(advertisement=advertisement(5, C))) == ()


def test_an_advertisement_that_a_state_put_back_brings_cuts_nobody_off(node: Node) -> None:
    node.unseal().read()
    assert node.step(saw.ActiveSeen(advertisement=None)) == ()
    assert of(node.step(saw.ActiveSeen(advertisement=advertisement(99, C))), do.Dial)[0].node == C, "of another cluster, perhaps"
    assert of(node.step(saw.ActiveSeen(advertisement=advertisement(3, A))), do.Dial)[0].node == A, "and the active node's again"


def test_its_own_advertisement_is_nobody_to_dial(node: Node) -> None:
    assert of(node.unseal().step(saw.ActiveSeen(advertisement=advertisement(3, B))), do.Dial) == []


def test_a_recall_is_obeyed_with_the_word_zeroed_first(node: Node) -> None:
    node.unseal().read()
    effects = node.hear(LeaseRecall(term=Term(3)), channel=PERFORMANCE)
    assert of(effects, do.SetLease)[0].until_boot_ms == 0
    assert sent(effects, LeaseRelease) == [LeaseRelease(term=Term(3), incarnation=1, serial=1)]
    assert position(effects, do.SetLease) < position(effects, LeaseRelease)
    assert sent(node.wait(1_000), LeaseAsk) == [], "nor does it ask in this term again"


def test_without_a_working_audit_device_it_gives_up_its_lease(node: Node) -> None:
    node.unseal().read()
    effects = node.step(saw.AuditBroken(broken=True))
    assert position(effects, do.SetLease) < position(effects, LeaseRelease)
    assert sent(node.wait(1_000), LeaseAsk) == []
    assert node.state is State.PERFORMANCE_STANDBY
    node.step(saw.AuditBroken(broken=False))
    assert sent(node.wait(1), LeaseAsk)


def test_a_device_that_broke_before_keeps_it_from_asking(node: Node) -> None:
    node.unseal().step(saw.AuditBroken(broken=True))
    node.perform()
    assert node.asks == []


def test_disable_performance_standby_on_the_standby() -> None:
    node = Node(disable_performance_standby=True).unseal()
    node.step(saw.ActiveSeen(advertisement=advertisement()))
    assert sent(node.step(saw.Connected(peer=peer(A), channel=FORWARDING)), Candidate) == []
    assert sent(node.wait(5_000), Candidate) == []


def test_disable_performance_standby_on_the_active_node() -> None:
    active = Node(disable_performance_standby=True).unseal().lead()
    (refused,) = sent(active.hear(candidate()), Refused)
    assert refused.final
    node = Node().unseal().connect(4)
    node.hear(refused)
    assert sent(node.wait(5_000), Candidate) == []


def test_a_candidate_that_hears_nothing_asks_again(node: Node) -> None:
    node.unseal().connect()
    assert len(sent(node.wait(3_000), Candidate)) == 3


# Sealing a standby

def test_a_sealed_standby_has_zeroed_its_lease_before_it_says_so(node: Node) -> None:
    node.unseal().read()
    node.step(submitted(1))
    effects = node.step(saw.SealAsked())
    assert position(effects, do.SetLease) < position(effects, LeaseRelease) < position(effects, do.HangUp) < position(effects, do.Left)
    assert of(effects, do.Refuse)[0].why == "Vault is sealed"
    assert node.state is State.SEALED
    assert node.machine.next_tick_boot_ms() > node.now + 1_000_000
    node.unseal()
    assert node.state is State.STANDBY


def test_unsealed_again_it_uses_no_id_and_no_serial_twice(node: Node) -> None:
    node.unseal().read()
    (first,) = sent(node.step(submitted(1)), ForwardRequest)
    node.step(saw.AuditBroken(broken=True))
    node.step(saw.SealAsked())
    node.step(saw.AuditBroken(broken=False))
    node.unseal().perform()
    assert node.asks[0].serial == 2
    (second,) = sent(node.step(submitted(2)), ForwardRequest)
    assert (first.origin.id.sequence, second.origin.id.sequence, second.origin.floor) == (1, 2, 2)


# Taking over

def test_rule_9_nothing_before_everything_of_earlier_terms_is_applied(node: Node) -> None:
    node.unseal(applied=10)
    effects = node.step(saw.FenceHeld(fence=fence(), index=Index(12), hold_until_boot_ms=Millis(node.now + 180)))
    assert node.state is State.TAKING_OVER
    assert of(effects, do.StartLane) == []
    assert of(node.step(hold(node)), do.SetLease) == []
    assert node.hear(ask(), channel=PERFORMANCE) == ()
    node.step(saw.AppliedHere(index=Index(11)))
    assert node.state is State.TAKING_OVER
    effects = node.step(saw.AppliedHere(index=Index(12)))
    assert node.state is State.ACTIVE
    assert of(effects, do.SetWatermark)[0].index == 12, "V starts there"
    assert position(effects, do.SetWatermark) < position(effects, do.StartLane)
    assert effects.index(of(effects, do.SetLease)[0]) > position(effects, do.StartLane)


def test_while_it_waits_for_its_replica_no_tick_is_due(node: Node) -> None:
    node.unseal()
    node.step(saw.FenceHeld(fence=fence(), index=Index(12), hold_until_boot_ms=Millis(0)))
    node.wait(TIMES.gate)
    assert node.state is State.TAKING_OVER
    assert node.machine.next_tick_boot_ms() > node.now


def test_a_standby_that_takes_over_gives_up_its_own_lease_and_links(node: Node) -> None:
    node.unseal().read()
    effects = node.step(saw.FenceHeld(fence=fence(), index=Index(10), hold_until_boot_ms=Millis(node.now + 180)))
    assert of(effects, do.SetLease)[0].until_boot_ms == 0
    assert len(of(effects, do.HangUp)) == 2
    assert position(effects, do.HangUp) < position(effects, do.StartLane)


def test_a_fence_that_goes_before_it_was_used(node: Node) -> None:
    node.unseal().step(saw.FenceHeld(fence=fence(), index=Index(12), hold_until_boot_ms=Millis(0)))
    effects = node.step(saw.FenceGone(term=Term(4)))
    assert node.state is State.STANDBY
    assert of(effects, do.Campaign)
    assert of(effects, do.StopLane) == []


# Active

def test_the_hold_is_the_active_nodes_own_lease(node: Node) -> None:
    node.unseal().lead()
    node.now += 50
    assert of(node.step(hold(node)), do.SetLease)[0].until_boot_ms == node.now + 180
    assert of(node.step(hold(node, 3)), do.SetLease) == [], "of another term"


def test_a_candidate_is_enrolled_and_told(node: Node) -> None:
    node.unseal().lead()
    (enrol,) = of(node.hear(candidate()), do.Enrol)
    assert enrol.peer == peer(A)
    (selected,) = sent(node.step(saw.Enrolled(peer=peer(A), name="ps", key=KEY, certificate=b"b", active_certificate=b"a")), Selected)
    assert (selected.term, selected.incarnation, selected.name) == (4, 1, "ps")
    assert node.hear(candidate(3)) == (), "a candidate of another term"


def test_rule_1_v_is_published_before_it_is_told(node: Node) -> None:
    node.unseal().lead().with_standby()
    assert of(node.step(saw.AppliedHere(index=Index(11))), do.SetWatermark) == []
    effects = node.hear(Applied(term=Term(4), incarnation=1, index=Index(11)), channel=PERFORMANCE)
    assert of(effects, do.SetWatermark)[0].index == 11
    assert sent(effects, Update) == [Update(term=Term(4), watermark=Index(11))]
    assert position(effects, do.SetWatermark) < position(effects, Update)


def test_rule_1_v_rises_by_itself_when_a_holder_is_silent(node: Node) -> None:
    node.unseal().lead().with_standby()
    node.step(saw.AppliedHere(index=Index(11)))
    began = node.now
    while not of(node.wait(1), do.SetWatermark):
        pass
    assert node.now - began == TIMES.lease + TIMES.margin


def test_rule_5_a_lost_connection_leaves_v_where_it_is(node: Node) -> None:
    node.unseal().lead().with_standby()
    node.step(saw.AppliedHere(index=Index(11)))
    assert of(node.step(saw.Disconnected(node=A, channel=PERFORMANCE)), do.SetWatermark) == []


def test_a_grant_is_sent_after_v(node: Node) -> None:
    node.unseal().lead()
    node.step(saw.Connected(peer=peer(A), channel=PERFORMANCE))
    node.step(hold(node))
    (grant,) = sent(node.hear(ask(), channel=PERFORMANCE), LeaseGrant)
    assert (grant.term, grant.serial, grant.length_ms, grant.watermark, grant.now_ms) == (4, 1, 150, 10, 1_000_000)


def test_messages_of_the_second_connection_do_not_count_on_the_first(node: Node) -> None:
    node.unseal().lead()
    node.step(saw.Connected(peer=peer(A), channel=FORWARDING))
    assert node.hear(ask(), channel=FORWARDING) == ()


# Losing the fence

def test_deposed_it_stops_reading_before_anything_else(node: Node) -> None:
    node.unseal().lead().with_standby()
    effects = node.step(saw.FenceGone(term=Term(4)))
    assert [type(effect) for effect in effects[:2]] == [do.SetLease, do.StopLane]
    assert of(effects, do.SetLease)[0].until_boot_ms == 0
    assert node.state is State.STANDBY
    assert of(effects, do.Campaign) == [], "not before every fate is known"
    assert of(node.step(saw.LaneStopped(term=Term(4))), do.Campaign)
    assert of(node.step(hold(node)), do.SetLease) == []


def test_the_loss_of_another_fence_means_nothing(node: Node) -> None:
    node.unseal().lead()
    assert node.step(saw.FenceGone(term=Term(3))) == ()
    assert node.state is State.ACTIVE


def test_deposed_it_passes_on_v_of_the_new_active_node(node: Node) -> None:
    """What it had made durable is answered when all leaseholders have it."""
    node.unseal().lead().with_standby()
    node.step(saw.AppliedHere(index=Index(11)))
    node.step(saw.FenceGone(term=Term(4)))
    node.step(saw.LaneStopped(term=Term(4)))
    node.perform(5)
    assert of(node.hear(Update(term=Term(5), watermark=Index(11)), channel=PERFORMANCE), do.SetWatermark)[0].index == 11


# Stepping down

def test_rule_10_the_order_of_a_step_down(node: Node) -> None:
    node.unseal().lead().with_standby()
    effects = node.step(saw.StepDownAsked())
    assert node.state is State.DRAINING
    assert of(effects, do.DrainLane)
    assert sent(effects, LeaseRecall) == [LeaseRecall(term=Term(4))]
    assert of(effects, do.GiveUp) == []
    assert of(node.step(saw.LaneDrained(term=Term(4))), do.GiveUp) == [], "the standby has its lease still"
    effects = node.hear(LeaseRelease(term=Term(4), incarnation=1, serial=1), channel=PERFORMANCE)
    assert [type(effect) for effect in effects] == [do.SetLease, do.StopLane, do.GiveUp]
    assert of(effects, do.SetLease)[0].until_boot_ms == 0
    assert of(effects, do.GiveUp)[0].to == A
    effects = node.step(saw.FenceGone(term=Term(4)))
    assert node.state is State.STANDBY
    assert of(effects, do.StopLane) == [], "that was done"
    assert of(node.step(saw.LaneStopped(term=Term(4))), do.Campaign)


def test_rule_10_grants_that_nobody_gives_back_are_outwaited(node: Node) -> None:
    node.unseal().lead().with_standby()
    began = node.now
    node.step(saw.StepDownAsked())
    node.step(saw.LaneDrained(term=Term(4)))
    assert of(node.wait(TIMES.lease + TIMES.margin - 1), do.GiveUp) == []
    assert of(node.wait(1), do.GiveUp)
    assert node.now - began == TIMES.lease + TIMES.margin


def test_rule_10_no_hold_again_in_that_term(node: Node) -> None:
    node.unseal().lead()
    node.step(saw.StepDownAsked())
    assert of(node.step(hold(node)), do.SetLease), "it reads until it gives up"
    node.step(saw.LaneDrained(term=Term(4)))
    assert of(node.step(hold(node)), do.SetLease) == []
    node.step(saw.Connected(peer=peer(A), channel=PERFORMANCE))
    assert sent(node.hear(ask(), channel=PERFORMANCE), LeaseGrant) == []


def test_rule_10_a_hung_lane_does_not_stop_it(node: Node) -> None:
    node.unseal().lead()
    node.step(saw.StepDownAsked())
    assert of(node.wait(DRAIN_MAX_MS - 1), do.GiveUp) == []
    effects = node.wait(1)
    assert position(effects, do.SetLease) < position(effects, do.StopLane) < position(effects, do.GiveUp)


def test_a_fence_that_goes_while_it_drains(node: Node) -> None:
    node.unseal().lead().with_standby()
    node.step(saw.StepDownAsked())
    effects = node.step(saw.FenceGone(term=Term(4)))
    assert [type(effect) for effect in effects[:2]] == [do.SetLease, do.StopLane]
    assert of(node.step(saw.LaneStopped(term=Term(4))), do.Campaign)


def test_the_successor_is_who_has_most(node: Node) -> None:
    node.unseal().lead().with_standby(A, 10).with_standby(C, 10)
    node.step(saw.AppliedHere(index=Index(11)))
    node.hear(Applied(term=Term(4), incarnation=1, index=Index(11)), of=peer(C), channel=PERFORMANCE)
    node.step(saw.StepDownAsked())
    node.step(saw.LaneDrained(term=Term(4)))
    assert of(node.wait(500), do.GiveUp)[0].to == C


def test_the_successor_is_rather_one_that_reads(node: Node) -> None:
    """One that does not may have no audit device that works."""
    node.unseal().lead().with_standby(C, 10)
    for channel in (FORWARDING, PERFORMANCE):
        node.step(saw.Connected(peer=peer(A), channel=channel))
    node.hear(Applied(term=Term(4), incarnation=1, index=Index(12)), channel=PERFORMANCE)
    node.step(saw.StepDownAsked())
    node.step(saw.LaneDrained(term=Term(4)))
    assert of(node.wait(500), do.GiveUp)[0].to == C


def test_without_a_working_audit_device_the_active_node_gives_its_place_to_one_that_reads(node: Node) -> None:
    node.unseal().lead()
    assert node.step(saw.AuditBroken(broken=True)) == (), "nobody else could do better"
    assert node.state is State.ACTIVE
    node.step(saw.AuditBroken(broken=False))
    node.with_standby()
    assert of(node.step(saw.AuditBroken(broken=True)), do.DrainLane)
    node.step(saw.LaneDrained(term=Term(4)))
    assert of(node.wait(500), do.GiveUp)[0].to == A
    node.step(saw.FenceGone(term=Term(4)))
    node.step(saw.LaneStopped(term=Term(4)))
    node.perform(5)
    assert node.asks == [], "it reads nothing itself until a device works again"
    assert sent(node.step(saw.AuditBroken(broken=False)), LeaseAsk) or sent(node.wait(1), LeaseAsk)


def test_whoever_comes_to_read_takes_the_place_of_an_active_node_without_a_working_audit_device(node: Node) -> None:
    """It broke while nobody else read, or before this node led: nothing tells of it again."""
    node.unseal().step(saw.AuditBroken(broken=True))
    node.lead()
    assert node.state is State.ACTIVE
    node.with_standby()
    assert node.state is State.DRAINING


@pytest.mark.parametrize("consistency", [Consistency.STRICT, Consistency.SESSION])
def test_where_nobody_has_a_lease_whoever_is_connected_counts(consistency: Consistency) -> None:
    node = Node(consistency=consistency).unseal().lead()
    node.step(saw.Connected(peer=peer(A), channel=PERFORMANCE))
    assert of(node.step(saw.AuditBroken(broken=True)), do.DrainLane)


def test_one_that_cannot_lead_is_not_asked_to_again_and_again(node: Node) -> None:
    node.unseal().step(saw.AuditBroken(broken=True))
    node.lead().with_standby()
    began = node.now
    node.step(saw.LaneDrained(term=Term(4)))
    node.wait(500)
    node.step(saw.FenceGone(term=Term(4)))
    node.step(saw.LaneStopped(term=Term(4)))
    node.lead(term=5)
    for channel in (FORWARDING, PERFORMANCE):
        node.step(saw.Connected(peer=peer(A), channel=channel))
    for serial in range(2, 15):
        node.step(saw.Held(term=Term(5), until_boot_ms=Millis(node.now + 180), cluster_ms=Millis(1_000_000)))
        node.hear(ask(serial=serial, term=5), channel=PERFORMANCE)
        assert (node.state is State.DRAINING) == (node.now >= began + 10_000)
        node.wait(1_000)


def test_nobody_is_selected_while_it_drains(node: Node) -> None:
    node.unseal().lead().step(saw.StepDownAsked())
    assert sent(node.hear(candidate()), Refused)


def test_a_step_down_elsewhere_is_nothing(node: Node) -> None:
    assert node.unseal().step(saw.StepDownAsked()) == ()


def test_sealing_the_active_node_gives_the_fence_on_first(node: Node) -> None:
    node.unseal().lead().step(submitted(1))
    effects = node.step(saw.SealAsked())
    assert of(effects, do.DrainLane)
    node.step(saw.LaneDrained(term=Term(4)))
    effects = node.step(saw.FenceGone(term=Term(4)))
    assert node.state is State.SEALED
    assert of(effects, do.Left) == [], "the lane may need the keys"
    assert of(effects, do.Refuse)[0].why == "Vault is sealed"
    effects = node.step(saw.LaneStopped(term=Term(4)))
    assert [type(effect) for effect in effects] == [do.Left]
    node.unseal()
    assert node.state is State.STANDBY


@pytest.mark.parametrize("first", ["lane", "fence"])
def test_the_two_ends_of_giving_up_come_in_either_order(node: Node, first: str) -> None:
    node.unseal().lead().step(saw.StepDownAsked())
    node.step(saw.LaneDrained(term=Term(4)))
    events: list[saw.Event] = [saw.LaneStopped(term=Term(4)), saw.FenceGone(term=Term(4))]
    effects = [node.step(event) for event in (events if first == "lane" else events[::-1])]
    assert of(effects[0], do.Campaign) == []
    assert of(effects[1], do.Campaign)


def test_sealing_while_taking_over(node: Node) -> None:
    node.unseal().step(saw.FenceHeld(fence=fence(), index=Index(12), hold_until_boot_ms=Millis(0)))
    assert of(node.step(saw.SealAsked()), do.GiveUp)
    assert of(node.step(saw.AppliedHere(index=Index(12))), do.StartLane) == []
    assert of(node.step(saw.FenceGone(term=Term(4))), do.Left)
    assert node.state is State.SEALED


# Requests

def test_a_standby_forwards_and_answers(node: Node) -> None:
    node.unseal().connect()
    (message,) = sent(node.step(submitted(5)), ForwardRequest)
    assert (message.term, message.origin.id, message.request) == (3, WriteId(node=B, incarnation=1, sequence=1), request())
    (answer,) = of(node.hear(ForwardReply(id=message.origin.id, reply=OK)), do.Answer)
    assert (answer.ticket, answer.reply) == (5, OK)
    assert node.hear(ForwardReply(id=message.origin.id, reply=OK)) == ()


def test_what_comes_while_there_is_no_active_node_is_held_and_sent_on(node: Node) -> None:
    node.unseal().step(submitted(1))
    node.step(submitted(2))
    node.step(saw.ActiveSeen(advertisement=advertisement()))
    effects = node.step(saw.Connected(peer=peer(A), channel=FORWARDING))
    assert [message.origin.id.sequence for message in sent(effects, ForwardRequest)] == [1, 2]


def test_what_is_held_for_too_long_is_refused(node: Node) -> None:
    node.unseal().step(submitted(1))
    (refused,) = of(node.wait(FORWARD_HOLD_MAX_MS), do.Refuse)
    assert (refused.ticket, refused.why) == (1, "no active Vault instance found")


def test_in_flight_goes_to_the_successor_under_the_same_id(node: Node) -> None:
    node.unseal().connect()
    (first,) = sent(node.step(submitted(1, Why.NO_LEASE)), ForwardRequest)
    node.step(saw.ActiveSeen(advertisement=advertisement(5, C)))
    (second,) = sent(node.step(saw.Connected(peer=peer(C), channel=FORWARDING)), ForwardRequest)
    assert (second.term, second.why, second.origin) == (5, Why.WRITE, first.origin)


def test_a_refusal_is_held_for_the_successor_or_told(node: Node) -> None:
    node.unseal().connect()
    (message,) = sent(node.step(submitted(1)), ForwardRequest)
    assert node.hear(ForwardRefused(id=message.origin.id, hold=True, why="draining")) == ()
    assert sent(node.wait(1_000), ForwardRequest) == []
    node.step(saw.ActiveSeen(advertisement=advertisement(5, C)))
    (again,) = sent(node.step(saw.Connected(peer=peer(C), channel=FORWARDING)), ForwardRequest)
    (refused,) = of(node.hear(ForwardRefused(id=again.origin.id, hold=False, why="full"), of=peer(C)), do.Refuse)
    assert (refused.ticket, refused.why) == (1, "full")


def test_a_client_that_has_gone_hears_nothing(node: Node) -> None:
    node.unseal().connect()
    (message,) = sent(node.step(submitted(1)), ForwardRequest)
    node.step(saw.Cancelled(ticket=1))
    assert node.hear(ForwardReply(id=message.origin.id, reply=OK)) == ()


def test_a_stream_goes_to_who_waits(node: Node) -> None:
    node.unseal().connect()
    (message,) = sent(node.step(submitted(1)), ForwardRequest)
    header = ForwardStream(id=message.origin.id, status=200, content_type="application/gzip")
    (answer,) = of(node.hear(header), do.AnswerStream)
    assert (answer.ticket, answer.header) == (1, header)
    (answer,) = of(node.hear(header), do.AnswerStream)
    assert answer.ticket is None


def test_the_active_node_runs_a_request_once(node: Node) -> None:
    node.unseal().lead()
    message = forwarded()
    (run,) = of(node.hear(message), do.Run)
    assert (run.request, run.why, run.origin) == (message.request, message.why, message.origin)
    assert node.hear(message) == (), "it joins the first"
    assert sent(node.step(ran()), ForwardReply) == [ForwardReply(id=message.origin.id, reply=OK)]
    assert of(node.hear(message), do.Run), "the lane finds its record"


@pytest.mark.parametrize(("message", "hold"), [
    (forwarded(term=3), True),
    (forwarded(term=5), True),
    (forwarded(node=C), False),
    (forwarded(incarnation=2), False),
])
def test_the_active_node_refuses_what_is_not_for_it(node: Node, message: ForwardRequest, hold: bool) -> None:
    effects = node.unseal().lead().hear(message)
    assert of(effects, do.Run) == []
    assert [refused.hold for refused in sent(effects, ForwardRefused)] == [hold]


@pytest.mark.parametrize("state", [State.STANDBY, State.TAKING_OVER, State.DRAINING])
def test_who_is_not_active_refuses_and_has_it_held(node: Node, state: State) -> None:
    node.unseal()
    if state is State.DRAINING:
        node.lead().step(saw.StepDownAsked())
    elif state is State.TAKING_OVER:
        node.lead(index=99)
    assert node.state is state
    assert [refused.hold for refused in sent(node.hear(forwarded()), ForwardRefused)] == [True]


def test_what_the_lane_hands_back_is_held_by_who_sent_it(node: Node) -> None:
    node.unseal().lead().hear(forwarded())
    node.step(saw.FenceGone(term=Term(4)))
    (refused,) = sent(node.step(saw.RanNot(id=forwarded().origin.id, term=Term(4))), ForwardRefused)
    assert (refused.id, refused.hold) == (forwarded().origin.id, True)


def test_what_was_durable_is_answered_after_the_fence_has_gone(node: Node) -> None:
    node.unseal().lead().hear(forwarded())
    node.step(saw.FenceGone(term=Term(4)))
    assert sent(node.step(ran()), ForwardReply)


def test_a_standby_that_becomes_active_runs_what_it_held_itself(node: Node) -> None:
    """Under the same id: the active node before may have done it."""
    node.unseal().connect()
    (message,) = sent(node.step(submitted(1, Why.NO_LEASE)), ForwardRequest)
    effects = node.step(saw.FenceHeld(fence=fence(), index=Index(10), hold_until_boot_ms=Millis(node.now + 180)))
    (run,) = of(effects, do.Run)
    assert (run.origin, run.why) == (message.origin, Why.WRITE)
    assert position(effects, do.StartLane) < position(effects, do.Run)
    (answer,) = of(node.step(ran(node="b")), do.Answer)
    assert answer.ticket == 1


def test_the_active_nodes_own_are_sent_on_after_a_step_down(node: Node) -> None:
    node.unseal().lead()
    (run,) = of(node.step(submitted(1)), do.Run)
    node.step(saw.StepDownAsked())
    assert of(node.step(submitted(2)), do.Run) == [], "held while it drains"
    node.step(saw.RanNot(id=run.origin.id, term=run.term))
    node.step(saw.LaneDrained(term=Term(4)))
    node.step(saw.FenceGone(term=Term(4)))
    node.step(saw.LaneStopped(term=Term(4)))
    node.step(saw.ActiveSeen(advertisement=advertisement(5)))
    effects = node.step(saw.Connected(peer=peer(A), channel=FORWARDING))
    assert [message.origin.id.sequence for message in sent(effects, ForwardRequest)] == [1, 2]
    assert sent(effects, ForwardRequest)[0].origin == run.origin


def test_what_the_lane_hands_back_late_goes_to_the_successor_at_once(node: Node) -> None:
    node.unseal().lead()
    (run,) = of(node.step(submitted(1)), do.Run)
    node.step(saw.FenceGone(term=Term(4)))
    node.connect(5)
    effects = node.step(saw.RanNot(id=run.origin.id, term=run.term))
    assert [message.term for message in sent(effects, ForwardRequest)] == [5]


def test_past_its_bounds_the_active_node_says_so(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "INBOX_MAX", 1)
    node.unseal().lead().hear(forwarded(1))
    (refused,) = sent(node.hear(forwarded(2)), ForwardRefused)
    assert (refused.hold, refused.why) == (False, FULL)
    (own,) = of(node.step(submitted(9)), do.Refuse)
    assert (own.ticket, own.why) == (9, FULL)


# Consistency

def test_session_reads_what_it_has_without_a_lease() -> None:
    node = Node(consistency=Consistency.SESSION).unseal()
    node.connect()
    node.hear(Selected(term=Term(3), incarnation=1, name="ps", key=KEY, certificate=b"b", active_certificate=b"a"))
    effects = node.step(saw.Connected(peer=peer(A), channel=PERFORMANCE))
    assert of(effects, do.SetLease)[0].until_boot_ms == FOREVER_BOOT_MS
    assert of(effects, do.SetWatermark)[0].index > 1 << 60
    assert sent(node.wait(1_000), LeaseAsk) == []
    assert of(node.hear(Update(term=Term(3), watermark=Index(12)), channel=PERFORMANCE), do.SetWatermark) == []
    effects = node.step(saw.FenceHeld(fence=fence(), index=Index(10), hold_until_boot_ms=Millis(node.now + 180)))
    assert of(effects, do.SetLease)[0].until_boot_ms == 0
    assert of(effects, do.SetWatermark)[0].index == 10, "active, it is as strong as any"


def test_strict_reads_after_a_round_and_shares_rounds() -> None:
    node = Node(consistency=Consistency.STRICT).unseal().perform()
    assert node.asks == []
    (first,) = sent(node.step(saw.ReadAsked(ticket=1)), ReadIndexAsk)
    assert sent(node.step(saw.ReadAsked(ticket=2)), ReadIndexAsk) == []
    assert sent(node.step(saw.ReadAsked(ticket=3)), ReadIndexAsk) == []
    effects = node.hear(ReadIndex(term=Term(3), incarnation=1, number=first.number, index=Index(10)), channel=PERFORMANCE)
    assert [effect.ticket for effect in of(effects, do.LetRead)] == [1], "what came later needs a later round"
    (second,) = sent(effects, ReadIndexAsk)
    effects = node.hear(ReadIndex(term=Term(3), incarnation=1, number=second.number, index=Index(12)), channel=PERFORMANCE)
    assert of(effects, do.LetRead) == [], "its replica is behind"
    effects = node.step(saw.AppliedHere(index=Index(12)))
    assert [effect.ticket for effect in of(effects, do.LetRead)] == [2, 3]


def test_strict_at_the_active_node() -> None:
    node = Node(consistency=Consistency.STRICT).unseal().lead()
    assert of(node.step(hold(node)), do.SetLease) == [], "no clock is trusted"
    (confirm,) = of(node.step(saw.ReadAsked(ticket=1)), do.Confirm)
    assert of(node.step(saw.ReadAsked(ticket=2)), do.Confirm) == []
    effects = node.step(saw.Confirmed(number=confirm.number))
    assert [effect.ticket for effect in of(effects, do.LetRead)] == [1]
    (second,) = of(effects, do.Confirm)
    assert second.number == confirm.number + 1
    assert [effect.ticket for effect in of(node.step(saw.Confirmed(number=second.number)), do.LetRead)] == [2]


def test_a_round_for_a_standby_tells_v_of_when_it_began() -> None:
    node = Node().unseal().lead()
    node.step(saw.Connected(peer=peer(A), channel=PERFORMANCE))
    (confirm,) = of(node.hear(ReadIndexAsk(term=Term(4), incarnation=1, number=7), channel=PERFORMANCE), do.Confirm)
    node.step(saw.AppliedHere(index=Index(11)))
    (answer,) = sent(node.step(saw.Confirmed(number=confirm.number)), ReadIndex)
    assert (answer.number, answer.index) == (7, 10)


def test_a_round_that_its_connection_lost_is_asked_for_again() -> None:
    node = Node(consistency=Consistency.STRICT).unseal().perform()
    node.step(saw.ReadAsked(ticket=1))
    node.step(saw.Disconnected(node=A, channel=PERFORMANCE))
    (again,) = sent(node.step(saw.Connected(peer=peer(A), channel=PERFORMANCE)), ReadIndexAsk)
    effects = node.hear(ReadIndex(term=Term(3), incarnation=1, number=again.number, index=Index(1)), channel=PERFORMANCE)
    assert [effect.ticket for effect in of(effects, do.LetRead)] == [1]


def test_a_read_that_gets_no_round_is_refused() -> None:
    node = Node(consistency=Consistency.STRICT).unseal()
    node.step(saw.ReadAsked(ticket=1))
    assert [effect.ticket for effect in of(node.wait(FORWARD_HOLD_MAX_MS), do.Refuse)] == [1]
