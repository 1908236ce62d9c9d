"""The due queue: its order, its head, and what its keys say. Invariant 16."""
import pytest
from tests.unit.core.token_node import TokenNode

from holdfast.core import due
from holdfast.core.due import Kind
from holdfast.ids import Millis
from holdfast.limits import DUE_SCAN_MAX

NOW = 1_700_000_000_000


@pytest.fixture
def node() -> TokenNode:
    return TokenNode()


def queue(node: TokenNode, *entries: tuple[int, Kind, str]) -> list[str]:
    txn = node.txn()
    keys = [due.put(txn, at_ms, kind, id) for at_ms, kind, id in entries]
    node._commit(txn.changes())
    return keys


def test_a_key_says_time_kind_id_and_share() -> None:
    entry = due.read(due.key(NOW, Kind.LEASE, "uuid/db/creds/a/x"))
    assert (entry.at_ms, entry.kind, entry.id, entry.share) == (NOW, Kind.LEASE, "uuid/db/creds/a/x", "uuid")
    token = due.read(due.key(-5, Kind.TOKEN, "ff"))
    assert (token.at_ms, token.share) == (0, "")


def test_keys_are_in_the_order_of_their_times() -> None:
    times = [0, 1, 15, 16, 255, NOW, NOW + 1, 1 << 62]
    keys = [due.key(time, Kind.TOKEN, "a") for time in times]
    assert sorted(keys) == keys


def test_the_head_is_what_is_due_and_when_the_next_will_be(node: TokenNode) -> None:
    late, first, second = queue(node, (NOW + 500, Kind.TOKEN, "c"), (NOW - 5, Kind.TOKEN, "a"), (NOW, Kind.LOCK, "b"))
    head = due.next_due(node.txn(), Millis(NOW), 10)
    assert [entry.key for entry in head.due] == [first, second]
    assert (head.next_ms, head.after) == (NOW + 500, "")
    assert late not in [entry.key for entry in head.due]


def test_an_empty_queue_has_no_next(node: TokenNode) -> None:
    assert due.next_due(node.txn(), Millis(NOW), 10) == due.Head(due=(), next_ms=None, after="")


def test_more_than_the_limit_is_asked_for_again(node: TokenNode) -> None:
    keys = queue(node, *((NOW, Kind.TOKEN, f"{n:03}") for n in range(7)))
    found, after = [], ""
    for _ in range(3):
        head = due.next_due(node.txn(), Millis(NOW), 3, after=after)
        found += [entry.key for entry in head.due]
        after = head.after
    assert found == keys
    assert (head.next_ms, head.after) == (None, "")


def test_busy_shares_are_passed_over_and_the_scan_is_bounded(node: TokenNode) -> None:
    """Peer bug 37: however many leases there are, a new active node looks at a bounded number of them; `bench/ha` has a million."""
    queue(node, *((NOW - 1, Kind.LEASE, f"slow/{n:06}") for n in range(DUE_SCAN_MAX + 5)), (NOW, Kind.LEASE, "fast/x"))
    head = due.next_due(node.txn(), Millis(NOW), 3, busy={"slow"})
    assert head.due == ()
    assert head.after
    assert [entry.id for entry in due.next_due(node.txn(), Millis(NOW), 3, busy={"slow"}, after=head.after).due] == ["fast/x"]


def test_what_is_core_s_own_is_never_busy(node: TokenNode) -> None:
    queue(node, (NOW, Kind.TOKEN, "a"))
    assert len(due.next_due(node.txn(), Millis(NOW), 3, busy={""}).due) == 1
