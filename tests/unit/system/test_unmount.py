"""Unmounting: true at once, cleared away in steps that any node can go on with. Invariants 9 and 10."""
from pathlib import Path

import pytest
from tests.contract import world
from tests.contract.engine import CONTRACT, CONTRACT_AUTH
from tests.contract.one_node import OneNode

from holdfast.core import due, jobs
from holdfast.core.mounts import MOUNTS, MountEntry
from holdfast.core.outcome import Commit
from holdfast.engine import Memo, Method, Place
from holdfast.ids import Millis, RequestId
from holdfast.limits import JOB_KEYS_MAX, UNMOUNT_WAIT_MS

GET, LIST, POST, DELETE = Method.GET, Method.LIST, Method.POST, Method.DELETE


@pytest.fixture
def node(tmp_path: Path) -> OneNode:
    one = OneNode({"contract/": CONTRACT, "auth/contract/": CONTRACT_AUTH})
    assert one.call(POST, "contract/world", {"folder": str(tmp_path)}).status == 204
    return one


def entry(node: OneNode, uuid: str) -> MountEntry | None:
    return MOUNTS.get(node._txn(Place.ACTIVE), uuid)


def fill(node: OneNode, count: int) -> None:
    node.replica.seed({f"mount/uuid-kv1/secret/{n:06}": b"{}" for n in range(count)})


def test_the_path_is_free_at_once_and_the_old_keys_go(node: OneNode) -> None:
    fill(node, 3 * JOB_KEYS_MAX)
    node.call(POST, "kv1/a", {"x": 1})
    seen = node.call(DELETE, "sys/mounts/kv1")
    assert (seen.status, len(seen.changes)) == (204, 2)          # the entry and the job, however many keys there are
    assert node.call(GET, "kv1/a").status == 404
    assert "kv1/" not in node.call(GET, "sys/mounts").json["data"]
    assert node.call(POST, "sys/mounts/kv1", {"type": "kv"}).status == 204
    assert node.call(GET, "kv1/a").status == 404
    node.call(POST, "kv1/new", {"x": 2})
    assert len(node.keys("mount/uuid-kv1/")) > 3 * JOB_KEYS_MAX
    node.run_due()
    assert node.keys("mount/uuid-kv1/") == ()
    assert entry(node, "uuid-kv1") is None
    assert node.keys("core/due/") == ()
    assert node.call(GET, "kv1/new").json["data"] == {"x": 2}


def test_a_step_takes_a_bounded_number_of_keys_and_moves_its_cursor_with_them(node: OneNode) -> None:
    fill(node, 2 * JOB_KEYS_MAX + 10)
    node.call(DELETE, "sys/mounts/kv1")
    left = [len(node.keys("mount/uuid-kv1/"))]
    while head := due.next_due(node._txn(Place.ACTIVE), Millis(node.now_ms), 1).due:
        # Another node, which knows only what is in the replica, does each step.
        outcome = jobs.execute(node.access, head[0].key, node._attempt(Place.ACTIVE, RequestId(head[0].key), Memo()))
        assert isinstance(outcome, Commit)
        assert len(outcome.changes) <= JOB_KEYS_MAX + 2
        node._commit(outcome.changes)
        left.append(len(node.keys("mount/uuid-kv1/")))
    assert left == sorted(left, reverse=True)
    assert left[-1] == 0


def test_disabling_twice_is_disabling_once(node: OneNode) -> None:
    node.call(DELETE, "sys/mounts/kv1")
    assert dict(node.call(DELETE, "sys/mounts/kv1").changes) == {}
    assert node.call(DELETE, "sys/mounts/none").status == 204
    assert node.call(DELETE, "sys/auth/none").status == 204


def test_the_path_below_a_mount_is_not_the_mount(node: OneNode) -> None:
    assert dict(node.call(DELETE, "sys/mounts/kv1/below").changes) == {}


def test_what_protects_itself(node: OneNode) -> None:
    assert node.call(DELETE, "sys/mounts/cubbyhole").json["errors"] == ['cannot unmount "cubbyhole/"']
    assert node.call(DELETE, "sys/mounts/auth/userpass").json["errors"] == ['cannot unmount "auth/userpass/"']


def test_leases_are_revoked_by_the_old_engine_before_its_keys_go(node: OneNode, tmp_path: Path) -> None:
    lease = node.call(POST, "contract/creds/ann", {}).json["lease_id"]
    assert world.users(tmp_path) == ("ann",)
    node.call(DELETE, "sys/mounts/contract")
    assert node.call(POST, "sys/mounts/contract", {"type": "contract"}).status == 204
    node.run_due()
    node.now_ms += UNMOUNT_WAIT_MS
    node.run_due()
    assert world.users(tmp_path) == ()
    assert node.keys("core/lease/") == ()
    assert entry(node, "uuid-contract") is None
    assert node.keys("mount/uuid-contract/") == ()
    assert lease.startswith("contract/creds/ann/")


def test_the_mount_stays_while_a_lease_cannot_be_revoked_and_goes_when_that_is_given_up(node: OneNode, tmp_path: Path) -> None:
    node.call(POST, "contract/creds/ann", {"revoke": "fail"})
    node.call(DELETE, "sys/mounts/contract")
    node.run_due()
    assert node.keys("mount/uuid-contract/") != ()
    for _ in range(2_000):
        if entry(node, "uuid-contract") is None:
            break
        head = due.next_due(node._txn(Place.ACTIVE), Millis(node.now_ms), 1)
        node.now_ms = max(node.now_ms, head.next_ms or node.now_ms)
        node.run_due()
    assert entry(node, "uuid-contract") is None
    assert node.keys("mount/uuid-contract/") == ()
    assert len(node.keys("core/lease/irrevocable/")) == 1


def test_leases_of_a_new_mount_on_the_path_live_on(node: OneNode, tmp_path: Path) -> None:
    node.call(POST, "contract/creds/old", {})
    node.call(DELETE, "sys/mounts/contract")
    node.call(POST, "sys/mounts/contract", {"type": "contract"})
    node.call(POST, "contract/world", {"folder": str(tmp_path)})
    node.call(POST, "contract/creds/new", {})
    node.run_due()
    node.now_ms += UNMOUNT_WAIT_MS
    node.run_due()
    assert world.users(tmp_path) == ("new",)
    assert len(node.keys("core/lease/id/")) == 1


def test_the_tokens_of_an_auth_method_are_dead_at_once(node: OneNode) -> None:
    who = node.call(POST, "auth/contract/login/ann", {}, token=None).json["auth"]["client_token"]
    assert node.call(POST, "sys/capabilities-self", {"path": "x"}, token=who).status == 200
    node.call(DELETE, "sys/auth/contract")
    assert node.call(POST, "sys/capabilities-self", {"path": "x"}, token=who).status == 403
    node.run_due()
    assert node.call(POST, "sys/auth/contract", {"type": "contract"}).status == 204
    assert node.call(POST, "sys/capabilities-self", {"path": "x"}, token=who).status == 403
    assert len(node.keys("core/token/id/")) == 1
    assert node.keys("identity/alias/") == ()
