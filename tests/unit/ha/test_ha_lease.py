"""A standby's side of the read leases. Tests are named after the rule that they are about."""
import pytest

from holdfast.ha.lease import ASKS_KEPT, Lease
from holdfast.ha.message import LeaseAsk, LeaseGrant, LeaseRelease
from holdfast.ha.rules import RULES, TIMES
from holdfast.ids import Index, Millis, Term

TERM, NOW = Term(4), Millis(50_000)


@pytest.fixture
def lease() -> Lease:
    made = Lease(RULES, TIMES, 7)
    made.begin(TERM, NOW)
    return made


def grant(serial: int, *, term: int = TERM, incarnation: int = 7, length_ms: int = 150) -> LeaseGrant:
    return LeaseGrant(term=Term(term), incarnation=incarnation, serial=serial, length_ms=length_ms, watermark=Index(1), now_ms=Millis(0))


def after(ms: int) -> Millis:
    return Millis(NOW + ms)


def test_it_asks_at_once_and_then_at_every_renewal(lease: Lease) -> None:
    assert lease.ask(NOW, Index(9)) == LeaseAsk(term=TERM, incarnation=7, serial=1, applied=Index(9))
    assert lease.ask(after(TIMES.renew - 1), Index(9)) is None
    assert lease.next_ask == after(TIMES.renew)
    again = lease.ask(after(TIMES.renew), Index(12))
    assert again is not None
    assert (again.serial, again.applied) == (2, 12)


def test_nobody_to_ask_nothing_to_ask() -> None:
    made = Lease(RULES, TIMES, 7)
    assert made.next_ask is None
    assert made.ask(NOW, Index(1)) is None
    assert made.release() is None


def test_rule_3_it_counts_from_the_ask(lease: Lease) -> None:
    lease.ask(NOW, Index(9))
    assert lease.granted(grant(1), after(90))
    assert lease.until == after(150)


def test_rule_3_a_later_grant_of_an_older_ask_shortens_nothing(lease: Lease) -> None:
    lease.ask(NOW, Index(9))
    lease.ask(after(50), Index(9))
    assert lease.granted(grant(2), after(60))
    assert lease.granted(grant(1), after(61))
    assert lease.until == after(200)


@pytest.mark.parametrize("length_ms", [0, -1, TIMES.lease + 1, 1 << 62])
def test_rule_3_no_length_that_nobody_grants(lease: Lease, length_ms: int) -> None:
    lease.ask(NOW, Index(9))
    assert not lease.granted(grant(1, length_ms=length_ms), NOW)
    assert lease.until == 0


@pytest.mark.parametrize("wrong", [grant(1, term=3), grant(1, term=5), grant(1, incarnation=6), grant(2), grant(0)])
def test_rule_4_a_grant_for_somebody_else_does_not_count(lease: Lease, wrong: LeaseGrant) -> None:
    lease.ask(NOW, Index(9))
    assert not lease.granted(wrong, NOW)
    assert lease.until == 0


def test_rule_4_a_release_voids_what_is_under_way(lease: Lease) -> None:
    lease.ask(NOW, Index(9))
    lease.ask(after(50), Index(9))
    lease.granted(grant(1), after(55))
    assert lease.release() == LeaseRelease(term=TERM, incarnation=7, serial=2)
    assert lease.until == 0
    assert not lease.granted(grant(1), after(60))
    assert not lease.granted(grant(2), after(60))
    third = lease.ask(after(100), Index(9))
    assert third is not None
    assert third.serial == 3, "serials are never used again"
    assert lease.granted(grant(3), after(101))


def test_rule_4_what_was_asked_of_an_earlier_term_does_not_count(lease: Lease) -> None:
    lease.ask(NOW, Index(9))
    lease.begin(Term(5), after(10))
    assert not lease.granted(grant(1), after(11))
    assert not lease.granted(grant(1, term=5), after(11))


def test_what_is_held_runs_out_by_itself_when_the_active_node_has_gone(lease: Lease) -> None:
    lease.ask(NOW, Index(9))
    lease.granted(grant(1), after(1))
    lease.pause()
    assert lease.until == after(150)
    assert lease.next_ask is None


def test_asks_kept_are_bounded(lease: Lease) -> None:
    for step in range(10 * ASKS_KEPT):
        lease.ask(after(step * TIMES.renew), Index(9))
    assert len(lease._asked) == ASKS_KEPT
