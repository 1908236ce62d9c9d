"""Moving a mount: one write, and what it lent ends."""
from pathlib import Path

import pytest
from tests.contract import world
from tests.contract.engine import CONTRACT, CONTRACT_AUTH
from tests.contract.one_node import OneNode

from holdfast.engine import Method
from holdfast.limits import MOVES_KEPT, UNMOUNT_WAIT_MS

GET, POST, DELETE = Method.GET, Method.POST, Method.DELETE


@pytest.fixture
def node(tmp_path: Path) -> OneNode:
    one = OneNode({"contract/": CONTRACT, "auth/contract/": CONTRACT_AUTH})
    assert one.call(POST, "contract/world", {"folder": str(tmp_path)}).status == 204
    return one


def move(node: OneNode, source: str, target: str) -> str:
    seen = node.call(POST, "sys/remount", {"from": source, "to": target})
    assert seen.status == 200
    id = seen.json["migration_id"]
    assert seen.json["data"] == {"migration_id": id}
    assert isinstance(id, str)
    return id


def status(node: OneNode, id: str) -> str:
    info = node.call(GET, f"sys/remount/status/{id}").json["data"]["migration_info"]
    assert isinstance(info["status"], str)
    return info["status"]


def test_the_keys_come_along_and_the_old_path_is_free(node: OneNode) -> None:
    node.call(POST, "kv1/a", {"x": 1})
    id = move(node, "kv1", "team/kv")
    assert node.call(GET, "team/kv/a").json["data"] == {"x": 1}
    assert node.call(GET, "kv1/a").status == 404
    assert node.call(POST, "sys/mounts/kv1", {"type": "kv"}).status == 204
    assert status(node, id) == "in-progress"
    node.run_due()
    assert node.call(GET, f"sys/remount/status/{id}").json["data"] == {"migration_id": id, "migration_info": {
        "source_mount": "kv1/", "target_mount": "team/kv/", "status": "success"}}


def test_what_it_lent_ends_and_what_it_lends_at_the_new_path_lives(node: OneNode, tmp_path: Path) -> None:
    node.call(POST, "contract/creds/old", {})
    move(node, "contract/", "/moved")
    node.call(POST, "moved/creds/new", {})
    node.run_due()
    assert world.users(tmp_path) == ("new",)


def test_whom_an_auth_method_let_in_is_out(node: OneNode) -> None:
    who = node.call(POST, "auth/contract/login/ann", {}, token=None).json["auth"]["client_token"]
    move(node, "auth/contract", "auth/other")
    assert node.call(GET, "auth/token/lookup-self", token=who).status == 403
    assert node.call(POST, "auth/other/login/ann", {}, token=None).status == 200


def test_unmounting_after_a_move_waits_for_leases_under_the_old_path(node: OneNode, tmp_path: Path) -> None:
    node.call(POST, "contract/creds/ann", {"revoke": "fail-2"})
    move(node, "contract", "moved")
    node.call(DELETE, "sys/mounts/moved")
    node.run_due()
    assert world.users(tmp_path) == ("ann",)
    assert node.keys("mount/uuid-contract/") != ()
    for _ in range(60):
        node.now_ms += UNMOUNT_WAIT_MS
        node.run_due()
    assert world.users(tmp_path) == ()
    assert node.keys("mount/uuid-contract/") == ()
    assert node.keys("core/lease/") == ()


@pytest.mark.parametrize(("source", "target", "error"), [
    ("", "x", "both 'from' and 'to' path must be specified as a string"),
    ("x", "", "both 'from' and 'to' path must be specified as a string"),
    ("x ", "y", "'from' path cannot contain trailing whitespace"),
    ("x", " y", "'to' path cannot contain trailing whitespace"),
    ("none", "y", 'no matching mount at "none/"'),
    ("kv1", "secret", 'path already in use at "secret/"'),
    ("kv1", "secret/below", 'path already in use at "secret/"'),
    ("kv1", "kv1/below", 'path already in use at "kv1/"'),
    ("sys", "x", 'cannot remount "sys/"'),
    ("kv1", "cubbyhole/x", 'cannot remount to destination "cubbyhole/x/"'),
    ("auth/userpass", "x", 'cannot remount auth mount to non-auth mount "x/"'),
    ("auth/token", "auth/x", 'cannot remount "auth/token/"'),
    ("auth/userpass", "auth/token/x", 'cannot remount to destination "auth/token/x/"'),
    ("kv1", "auth/x", 'cannot remount to destination "auth/x/"'),
    ("kv1", "a//b", "path 'a//b/' has a segment that is empty, a dot or two, or begins or ends with a blank"),
    ("kv1", "a\nb", "path cannot contain non-printable characters"),
])
def test_refused(node: OneNode, source: str, target: str, error: str) -> None:
    seen = node.call(POST, "sys/remount", {"from": source, "to": target})
    assert (seen.status, seen.json["errors"], dict(seen.changes)) == (400, [error], {})


def test_an_unknown_move(node: OneNode) -> None:
    assert node.call(GET, "sys/remount/status/none").status == 404


def test_old_moves_are_forgotten(node: OneNode) -> None:
    first = move(node, "kv1", "kv-0")
    for number in range(MOVES_KEPT):
        node.now_ms += 1
        node.run_due()
        move(node, f"kv-{number}", f"kv-{number + 1}")
    assert node.call(GET, f"sys/remount/status/{first}").status == 404
    assert len(node.keys("core/move/")) == MOVES_KEPT
