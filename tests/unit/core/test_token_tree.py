"""Token trees: revoking a parent, revoking it alone, expiry of parents, and what they leave behind. Invariant 10."""
from pathlib import Path

import pytest
from tests.unit.core.token_node import GET, POST, TokenNode

from holdfast.core import due, jobs, token_store
from holdfast.core.marks import MARK, ORPHANS
from holdfast.core.outcome import Answer, Commit, Forward
from holdfast.core.secret_names import token_name
from holdfast.core.token_store import ENTRIES, TokenEntry
from holdfast.engine import Memo, Place
from holdfast.ids import Millis, RequestId
from holdfast.limits import DUE_TOKENS_MAX, JOB_KEYS_MAX

MANY = 5_000


@pytest.fixture
def node(tmp_path: Path) -> TokenNode:
    one = TokenNode(tmp_path)
    one.policy("maker", 'path "auth/token/*" { capabilities = ["update", "sudo"] }\npath "contract/*" { capabilities = ["update"] }')
    return one


def family(node: TokenNode) -> tuple[str, str, str]:
    """A token, its child, and that one's child."""
    parent = node.create({"policies": ["maker"]})
    child = node.create({}, token=parent)
    return parent, child, node.create({}, token=child)


def children_of(node: TokenNode, token: str, count: int) -> list[str]:
    """So many children, written as core writes them, without a request for each; gives their ids."""
    parent = token_name(node.txn(), token)
    above = ENTRIES.get(node.txn(), parent)
    assert above is not None
    ids = [f"{n:064x}" for n in range(count)]
    for first in range(0, count, 50):                            # a batch costs its size squared: each name is looked up amid its writes
        txn = node.txn()
        for n in range(first, min(first + 50, count)):
            token_store.put_new(txn, ids[n], TokenEntry(
                accessor=f"accessor{n}", policies=("maker",), path="auth/token/create", created_ms=Millis(node.now_ms), index=above.index,
                parent=parent, ttl_s=3600, expires_ms=Millis(node.now_ms + 3_600_000)))
        node._commit(txn.changes())
    return ids


def test_revoking_ends_all_below_at_once(node: TokenNode) -> None:
    parent, child, grandchild = family(node)
    seen = node.post("auth/token/revoke", {"token": parent})
    assert seen.status == 204
    for token in (parent, child, grandchild):
        assert node.call(GET, "auth/token/lookup-self", token=token).status == 403
        assert not node.is_alive(token)
    node.run_due()
    assert len(node.keys("core/token/")) == 2                    # the root token's
    assert node.keys("core/due/") == node.keys("core/mark/") == ()


def test_revoke_self_ends_all_below(node: TokenNode) -> None:
    parent, child, grandchild = family(node)
    assert node.post("auth/token/revoke-self", token=child).status == 204
    assert [node.is_alive(token) for token in (parent, child, grandchild)] == [True, False, False]


def test_an_expired_parent_ends_its_children_before_anything_is_cleared_away(node: TokenNode) -> None:
    parent = node.create({"policies": ["maker"], "ttl": "1h"})
    child = node.create({"ttl": "10h"}, token=parent)
    orphan = node.create({"ttl": "10h", "no_parent": True}, token=parent)
    node.advance(3600)
    assert [node.is_alive(token) for token in (parent, child, orphan)] == [False, False, True]
    node.run_due()
    assert [node.is_alive(token) for token in (parent, child, orphan)] == [False, False, True]
    assert len(node.keys("core/token/id/")) == 2


def test_renewing_a_parent_lets_its_children_live(node: TokenNode) -> None:
    parent = node.create({"policies": ["maker"], "ttl": "1h"})
    child = node.create({"ttl": "10h"}, token=parent)
    node.post("auth/token/renew-self", {"increment": "9h"}, token=parent)
    node.advance(3 * 3600)
    assert node.is_alive(child)


def test_revoking_alone_makes_orphans(node: TokenNode) -> None:
    parent, child, grandchild = family(node)
    batch = node.create({"type": "batch"}, token=parent)
    assert node.post("auth/token/revoke-orphan", {"token": parent}).status == 204
    assert [node.is_alive(token) for token in (parent, child, grandchild, batch)] == [False, True, True, False]
    node.run_due()
    assert [node.is_alive(token) for token in (parent, child, grandchild, batch)] == [False, True, True, False]
    data = node.call(GET, "auth/token/lookup-self", token=child).json["data"]
    assert data["orphan"] is True
    assert node.keys("core/mark/") == ()


def test_an_orphan_to_be_can_be_revoked_before_it_is_one(node: TokenNode) -> None:
    parent, child, grandchild = family(node)
    node.post("auth/token/revoke-orphan", {"token": parent})
    node.post("auth/token/revoke", {"token": child})
    assert not node.is_alive(grandchild)
    node.run_due()
    assert not node.is_alive(grandchild)
    assert len(node.keys("core/token/")) == 2
    assert node.keys("core/mark/") == ()


def test_orphans_of_a_dead_tree_are_not_brought_back(node: TokenNode) -> None:
    parent, child, grandchild = family(node)
    node.post("auth/token/revoke", {"token": parent})
    assert node.post("auth/token/revoke-orphan", {"token": child}).json["errors"] == ["token to revoke not found"]
    assert not node.is_alive(grandchild)


def test_47_a_parent_of_many_is_revoked_in_one_small_batch(node: TokenNode) -> None:
    parent = node.create({"policies": ["maker"]})
    ids = children_of(node, parent, MANY)
    seen = node.post("auth/token/revoke", {"token": parent})
    assert (seen.status, len(seen.changes)) == (204, 7)
    for id in (ids[0], ids[MANY // 2], ids[-1]):
        entry = ENTRIES.get(node.txn(), id)
        assert entry is not None
        assert token_store.bounds(node.txn(), entry) is None
    batches = node.run_due()
    assert batches < MANY // 100
    assert len(node.keys("core/token/")) == 2
    assert node.keys("core/due/") == node.keys("core/mark/") == ()


def test_47_children_made_in_the_race_are_dead_too(node: TokenNode) -> None:
    parent, child, _ = family(node)
    request = node.request(POST, "auth/token/create", {}, token=child)
    at_worker = node.attempt(request, Place.WORKER)              # the child is alive when it asks
    assert isinstance(at_worker, Forward)
    node.post("auth/token/revoke", {"token": parent})
    late = node.attempt(request, Place.ACTIVE)                   # and dead when the lane gets to it
    assert isinstance(late, Answer)
    assert late.reply.status == 403


def test_47_every_step_is_small_and_any_node_goes_on_with_it(node: TokenNode) -> None:
    parent = node.create({"policies": ["maker"]})
    children_of(node, parent, 1_000)
    node.post("auth/token/revoke", {"token": parent})
    left = [len(node.keys("core/token/id/"))]
    while head := due.next_due(node.txn(), Millis(node.now_ms), 1).due:
        # A step is run twice, as by two nodes one after the other: the second finds nothing to do, or goes on.
        outcome = jobs.execute(node.access, head[0].key, node._attempt(Place.ACTIVE, RequestId(head[0].key), Memo()))
        assert isinstance(outcome, Commit)
        assert len(outcome.changes) <= JOB_KEYS_MAX + 20
        node._commit(outcome.changes)
        left.append(len(node.keys("core/token/id/")))
    assert left == sorted(left, reverse=True)
    assert left[-1] == 1


def test_an_orphaning_of_many_takes_several_steps(node: TokenNode) -> None:
    parent = node.create({"policies": ["maker"]})
    ids = children_of(node, parent, 2_000)
    node.post("auth/token/revoke-orphan", {"token": parent})
    id = token_name(node.txn(), parent)
    steps = 0
    while ORPHANS.get(node.txn(), id) == MARK:
        head = due.next_due(node.txn(), Millis(node.now_ms), 1).due
        node._do(head[0].key, Memo())
        steps += 1
        for child in (ids[0], ids[-1]):
            entry = ENTRIES.get(node.txn(), child)
            assert entry is not None
            assert token_store.bounds(node.txn(), entry) is not None
    assert steps == 5
    entries = ENTRIES.all(node.txn())
    assert all(not entry.parent for entry in entries.values())


def test_expired_tokens_go_many_to_a_batch(node: TokenNode) -> None:
    parent = node.create({"policies": ["maker"], "ttl": "10h"})
    children_of(node, parent, 1_000)
    node.advance(3600)
    assert 1_000 // DUE_TOKENS_MAX <= node.run_due() <= 1_000 // DUE_TOKENS_MAX + 2
    assert len(node.keys("core/token/id/")) == 2
    assert node.is_alive(parent)


def test_a_tokens_leases_and_cubbyhole_go_with_it(node: TokenNode) -> None:
    parent, child, _ = family(node)
    for n in range(20):
        node.post(f"contract/token/t{n}", {}, token=child)
        node.post(f"cubbyhole/{n}", {"x": n}, token=child)
    lease = node.post("contract/token/last", {}, token=child).json["lease_id"]
    node.post("auth/token/revoke", {"token": parent})
    assert node.post("sys/leases/lookup", {"lease_id": lease}).json["errors"] == ["invalid lease"]
    node.run_due()
    for prefix in ("core/lease/", "mount/uuid-cubbyhole/", "mount/uuid-contract/live/", "core/due/", "core/mark/"):
        assert node.keys(prefix) == (), prefix


def test_a_deep_tree_dies_as_one(node: TokenNode) -> None:
    tokens = [node.create({"policies": ["maker"]})]
    for _ in range(60):
        tokens.append(node.create({}, token=tokens[-1]))
    assert node.is_alive(tokens[-1])
    node.post("auth/token/revoke", {"token": tokens[1]})
    assert not node.is_alive(tokens[-1])
    node.run_due()
    assert len(node.keys("core/token/id/")) == 2


def test_revoking_alone_ends_its_leases_and_spares_its_children(node: TokenNode) -> None:
    parent = node.create({"policies": ["maker"]})
    child = node.create({}, token=parent)
    node.post("contract/token/a", {}, token=parent)
    node.post("auth/token/revoke-orphan", {"token": parent})
    steps = due.next_due(node.txn(), Millis(node.now_ms), 10).due
    assert [step.kind for step in steps] == ["orphans", "remains"]
    for step in reversed(steps):                                 # in whichever order they come
        node._do(step.key, Memo())
    node.run_due()
    assert node.is_alive(child)
    assert node.keys("core/lease/") == node.keys("core/mark/") == ()
