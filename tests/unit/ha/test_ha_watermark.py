"""The active node's side of the read leases. Tests are named after the rule that they are about."""
from itertools import pairwise

import pytest

from holdfast.errors import InvariantError
from holdfast.ha.message import LeaseAsk, LeaseGrant, Peer
from holdfast.ha.rules import RULES, TIMES, Times
from holdfast.ha.watermark import NEVER, Watermark
from holdfast.ids import Index, Millis, NodeId, Term
from holdfast.limits import BACK_OFF_FORGIVEN_MS, BACK_OFF_MS, HELD_UP_MS, JOIN_LAG_MAX, JOIN_WAIT_MS, UNACKNOWLEDGED_TIMES_MAX

B, B2, C = Peer(NodeId("b"), 1), Peer(NodeId("b"), 2), Peer(NodeId("c"), 1)
TERM, START = Term(4), 10_000
HOLD = 180


class Active:
    """A Watermark whose clock is at `now`, and whose hold reaches HOLD on."""

    def __init__(self, index: int = 10) -> None:
        self.now = START
        self.watermark = Watermark(RULES, TIMES, term=TERM, index=Index(index), hold_until=Millis(START + HOLD), cluster_offset_ms=0)
        self.serial = 0

    @property
    def v(self) -> int:
        return self.watermark.value

    def hold(self, until: int | None = None) -> None:
        self.watermark.hold(Millis(self.now + HOLD if until is None else until), 0)

    def here(self, index: int) -> None:
        self.watermark.applied_here(Index(index), Millis(self.now))

    def has(self, peer: Peer, index: int) -> None:
        self.watermark.applied(peer, Index(index), Millis(self.now))

    def ask(self, peer: Peer, applied: int, serial: int = 0) -> LeaseGrant | None:
        self.serial = serial or self.serial + 1
        self.watermark.asked(peer, LeaseAsk(term=TERM, incarnation=peer.incarnation, serial=self.serial, applied=Index(applied)),
                             Millis(self.now))
        return self.granted()

    def granted(self) -> LeaseGrant | None:
        grants = self.watermark.take_grants()
        assert len(grants) <= 1
        return grants[0][1] if grants else None

    def release(self, peer: Peer, serial: int) -> None:
        self.watermark.released(peer, serial, Millis(self.now))

    def at(self, now: int) -> None:
        self.now = now
        self.watermark.tick(Millis(now))

    def wait(self, ms: int) -> None:
        self.at(self.now + ms)


@pytest.fixture
def active() -> Active:
    return Active()


# Rule 1

def test_rule_1_alone_v_is_what_is_applied(active: Active) -> None:
    assert active.v == 10, "it starts at what earlier terms left"
    active.here(12)
    assert active.v == 12


def test_rule_1_v_waits_for_every_holder(active: Active) -> None:
    assert active.ask(B, 10)
    assert active.ask(C, 10)
    active.here(13)
    assert active.v == 10
    active.has(B, 13)
    assert active.v == 10
    active.has(C, 12)
    assert active.v == 12
    active.has(C, 13)
    assert active.v == 13


def test_rule_1_v_never_passes_what_is_applied_here(active: Active) -> None:
    assert active.ask(B, 10)
    active.has(B, 15)
    assert active.v == 10


def test_rule_1_v_does_not_wait_for_who_holds_nothing(active: Active) -> None:
    active.has(B, 3)
    active.here(11)
    assert active.v == 11


def test_rule_1_v_never_falls(active: Active) -> None:
    assert active.ask(B, 10)
    active.here(11)
    active.has(B, 11)
    active.has(B, 4)
    active.here(5)
    assert active.v == 11


# Rule 3

def test_rule_3_only_while_this_node_holds(active: Active) -> None:
    active.at(START + HOLD)
    assert active.ask(B, 10) is None
    active.hold()
    assert active.ask(B, 10)


@pytest.mark.parametrize(("left", "length"), [(HOLD, 150), (151, 150), (150, 150), (149, 149), (1, 1), (0, None)])
def test_rule_3_no_longer_than_what_is_left_of_the_hold(active: Active, left: int, length: int | None) -> None:
    active.at(START + HOLD - left)
    grant = active.ask(B, 10)
    assert (grant.length_ms if grant else None) == length


def test_rule_3_only_to_who_has_everything_up_to_v(active: Active) -> None:
    assert active.ask(B, 9) is None
    assert active.ask(C, 10)


def test_rule_3_counted_here_with_a_margin(active: Active) -> None:
    active.ask(B, 10)
    active.here(11)
    active.at(START + TIMES.lease + TIMES.margin - 1)
    assert active.v == 10
    assert active.watermark.holders(Millis(active.now)) == (B,)
    active.wait(1)
    assert active.v == 11
    assert active.watermark.holders(Millis(active.now)) == ()


def test_rule_3_the_tick_comes_when_the_last_grant_ends(active: Active) -> None:
    assert active.watermark.next_tick() == NEVER
    active.ask(B, 10)
    assert active.watermark.next_tick() == NEVER, "nothing waits for it"
    active.here(11)
    assert active.watermark.next_tick() == START + TIMES.lease + TIMES.margin


def test_rule_3_nothing_is_granted_before_cluster_time_is_known() -> None:
    """A grant tells it: who took a wrong one would take tokens that have expired."""
    active = Active()
    active.watermark = Watermark(RULES, TIMES, term=TERM, index=Index(10), hold_until=Millis(START + HOLD), cluster_offset_ms=None)
    assert active.ask(B, 10) is None
    active.watermark.hold(Millis(START + HOLD), 5_000)
    grant = active.ask(B, 10)
    assert grant is not None
    assert grant.now_ms == START + 5_000


def test_rule_3_the_times_cannot_break_it() -> None:
    for wrong in ({"margin": 0}, {"lease": 200}, {"renew": 150}, {"gate": 150}):
        with pytest.raises(InvariantError):
            Times(**wrong)


def test_who_lags_a_little_is_waited_for(active: Active) -> None:
    """Or under a steady stream of writes nobody would ever get a lease."""
    assert active.ask(B, 7) is None
    active.here(11)
    assert active.v == 10, "V waits"
    active.has(B, 9)
    assert active.granted() is None
    active.has(B, 10)
    grant = active.granted()
    assert grant is not None
    assert (grant.serial, grant.watermark) == (1, 10)
    active.has(B, 11)
    assert active.v == 11


def test_who_is_waited_for_in_vain_is_left_behind_and_backs_off(active: Active) -> None:
    active.ask(B, 7)
    active.here(11)
    assert active.watermark.next_tick() == START + JOIN_WAIT_MS
    active.wait(JOIN_WAIT_MS)
    assert active.v == 11
    assert active.ask(B, 11) is None
    active.wait(BACK_OFF_MS[0])
    active.hold()
    assert active.ask(B, 11)


def test_who_is_waited_for_and_asks_again_is_granted_what_it_asked_last(active: Active) -> None:
    active.ask(B, 7)
    active.wait(JOIN_WAIT_MS - 5)
    assert active.ask(B, 8) is None
    active.has(B, 10)
    grant = active.granted()
    assert grant is not None
    assert grant.serial == 2


def test_who_lags_while_nothing_is_written_is_not_blamed(active: Active) -> None:
    active.ask(B, 7)
    active.wait(JOIN_WAIT_MS)
    assert active.ask(B, 10)


def test_who_lags_far_is_not_waited_for() -> None:
    active = Active(index=JOIN_LAG_MAX + 10)
    active.ask(B, 9)
    active.here(JOIN_LAG_MAX + 11)
    assert active.v == JOIN_LAG_MAX + 11
    active.ask(B, 11)
    active.here(JOIN_LAG_MAX + 12)
    assert active.v == JOIN_LAG_MAX + 11


def test_who_is_waited_for_and_goes_is_not_waited_for(active: Active) -> None:
    active.ask(B, 7)
    active.here(11)
    active.watermark.disconnected(B.node, Millis(active.now))
    assert active.v == 11


# Rule 4

def test_rule_4_a_release_ends_a_lease_at_once(active: Active) -> None:
    active.ask(B, 10, serial=3)
    active.here(11)
    active.release(B, 3)
    assert active.v == 11
    assert active.watermark.all_ended_at() == 0


def test_rule_4_a_release_of_an_older_serial_ends_nothing(active: Active) -> None:
    active.ask(B, 10, serial=3)
    active.here(11)
    active.release(B, 2)
    assert active.v == 10


def test_rule_4_a_release_voids_asks_that_are_under_way(active: Active) -> None:
    active.ask(B, 10, serial=2)
    active.release(B, 4)
    assert active.ask(B, 10, serial=3) is None, "sent before the release, arrived after it"
    assert active.ask(B, 10, serial=4) is None
    assert active.ask(B, 10, serial=5)


def test_rule_4_a_release_ends_the_waiting_too(active: Active) -> None:
    active.ask(B, 7, serial=2)
    active.here(11)
    active.release(B, 2)
    assert active.v == 11
    active.has(B, 11)
    assert active.granted() is None


# Rule 5

def test_rule_5_a_broken_connection_ends_no_lease(active: Active) -> None:
    active.ask(B, 10)
    active.here(11)
    active.watermark.disconnected(B.node, Millis(active.now))
    assert active.v == 10


def test_rule_5_a_new_incarnation_ends_no_lease_of_the_one_before(active: Active) -> None:
    active.ask(B, 10)
    active.here(11)
    active.has(B2, 11)
    assert active.ask(B2, 11)
    assert active.v == 10, "workers of the first may still be reading"
    assert active.watermark.holders(Millis(active.now)) == (B, B2)
    active.at(START + TIMES.lease + TIMES.margin)
    assert active.v == 11


def test_rule_5_an_incarnation_that_holds_nothing_is_forgotten(active: Active) -> None:
    active.ask(B, 10)
    active.wait(TIMES.lease + TIMES.margin)
    active.has(B2, 10)
    assert [*active.watermark._standings] == [B2]


def test_a_grant_that_has_ended_asks_for_no_more_ticks(active: Active) -> None:
    active.ask(B, 10)
    active.wait(50)
    active.ask(C, 10)
    active.here(11)
    active.at(START + TIMES.lease + TIMES.margin)
    assert active.watermark.next_tick() == START + HOLD + TIMES.margin, "that of c, which its hold cut short; the one of b is over"


# Rule 6

def stall(active: Active) -> None:
    """A write waits for b, which says nothing, until its lease has ended."""
    active.hold()
    assert active.ask(B, active.v)
    active.here(active.v + 1)
    before = active.v
    active.wait(TIMES.lease + TIMES.margin)
    assert active.v == before + 1


def test_rule_6_who_held_up_a_write_gets_no_lease_for_a_growing_time(active: Active) -> None:
    pauses = []
    for _ in range(10):
        stall(active)
        began = active.now
        active.hold()
        while active.ask(B, active.v) is None:
            active.wait(10)
            active.hold()
        pauses.append(active.now - began)
        active.release(B, active.serial)
    assert pauses[0] == pytest.approx(BACK_OFF_MS[0], abs=20)
    assert all(2 * before - 40 <= after for before, after in pairwise(pauses[:7]))
    assert max(pauses) <= BACK_OFF_MS[1]


def test_rule_6_good_conduct_is_rewarded(active: Active) -> None:
    stall(active)
    active.wait(BACK_OFF_MS[0])
    stall(active)
    active.wait(BACK_OFF_FORGIVEN_MS)
    stall(active)
    active.wait(BACK_OFF_MS[0])
    active.hold()
    assert active.ask(B, active.v)


def test_rule_6_a_slow_answer_is_enough(active: Active) -> None:
    active.ask(B, 10)
    active.here(11)
    active.wait(HELD_UP_MS)
    active.has(B, 11)
    active.hold()
    assert active.ask(B, 11) is None
    active.here(12)
    assert active.v == 11, "but what it holds, it holds"


def test_rule_6_what_keeps_up_is_not_blamed(active: Active) -> None:
    for index in range(11, 60):
        active.hold()
        assert active.ask(B, index - 1)
        active.here(index)
        active.wait(HELD_UP_MS - 1)
        active.has(B, index)


def test_moments_kept_are_bounded(active: Active) -> None:
    active.ask(B, 10)
    for index in range(11, 11 + 3 * UNACKNOWLEDGED_TIMES_MAX):
        active.here(index)
    assert len(active.watermark._applied_at) == UNACKNOWLEDGED_TIMES_MAX
    active.has(B, active.watermark._here)
    assert active.v == 10 + 3 * UNACKNOWLEDGED_TIMES_MAX
    assert not active.watermark._applied_at


# Rule 10

def test_rule_10_nothing_is_granted_once_granting_has_stopped(active: Active) -> None:
    active.ask(B, 10)
    active.ask(C, 7)
    active.watermark.stop_granting()
    active.hold()
    assert active.ask(B, 10) is None
    active.has(C, 10)
    assert active.granted() is None, "nor to who was being waited for"
    assert active.watermark.all_ended_at() == START + TIMES.lease + TIMES.margin


def test_a_grant_tells_cluster_time_and_v(active: Active) -> None:
    active.watermark.hold(Millis(START + HOLD), 1_000_000)
    grant = active.ask(B, 10)
    assert grant == LeaseGrant(term=TERM, incarnation=1, serial=1, length_ms=150, watermark=Index(10), now_ms=Millis(START + 1_000_000))
