"""sys/locked-users: who is locked out, and letting them in again."""
import pytest
from tests.unit.core.token_node import GET, TokenNode

EMPTY = {"by_namespace": [{"namespace_id": "root", "namespace_path": "", "counts": 0, "mount_accessors": []}], "total": 0}


@pytest.fixture
def node() -> TokenNode:
    one = TokenNode()
    for name in ("alice", "bob"):
        assert one.post(f"auth/userpass/users/{name}", {"password": "right"}).status == 204
    return one


def log_in(node: TokenNode, name: str, password: str) -> int:
    return node.post(f"auth/userpass/login/{name}", {"password": password}, token=None).status


def lock(node: TokenNode, name: str) -> None:
    assert [log_in(node, name, "wrong") for _ in range(5)] == [400] * 5
    assert log_in(node, name, "right") == 403


def accessor(node: TokenNode) -> str:
    found: str = node.call(GET, "sys/auth/userpass").json["data"]["accessor"]
    return found


def shown(node: TokenNode, **query: str) -> object:
    return node.call(GET, "sys/locked-users", query=query).json["data"]


def test_who_is_locked_is_shown_until_the_lock_ends(node: TokenNode) -> None:
    assert shown(node) == EMPTY
    lock(node, "bob")
    lock(node, "alice")
    of_mount = {"mount_accessor": accessor(node), "counts": 2, "alias_identifiers": ["alice", "bob"]}
    of_root = {"namespace_id": "root", "namespace_path": "", "counts": 2, "mount_accessors": [of_mount]}
    assert shown(node) == shown(node, mount_accessor=accessor(node)) == {"by_namespace": [of_root], "total": 2}
    assert shown(node, mount_accessor="auth_none_1") == EMPTY
    node.advance(900)
    assert shown(node) == EMPTY


def test_an_operator_ends_a_lock_and_no_other(node: TokenNode) -> None:
    lock(node, "alice")
    lock(node, "bob")
    unlock = f"sys/locked-users/{accessor(node)}/unlock"
    assert [node.post(f"{unlock}/alice", {}).status for _ in range(2)] == [204, 204]
    assert (log_in(node, "alice", "right"), log_in(node, "bob", "right")) == (200, 403)


def test_what_was_counted_is_forgotten_too(node: TokenNode) -> None:
    assert [log_in(node, "alice", "wrong") for _ in range(4)] == [400] * 4
    assert node.post(f"sys/locked-users/{accessor(node)}/unlock/alice", {}).status == 204
    assert (log_in(node, "alice", "wrong"), log_in(node, "alice", "right")) == (400, 200)


def test_an_accessor_that_there_is_not(node: TokenNode) -> None:
    refused = node.post("sys/locked-users/auth_none_1/unlock/alice", {})
    assert (refused.status, refused.json["errors"]) == (400, ["no auth method has the accessor 'auth_none_1'"])
