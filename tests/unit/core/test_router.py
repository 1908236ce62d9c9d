"""Which mount a path leads to."""
import json

import pytest
from tests.contract.one_node import OneNode

from holdfast.core.mounts import MOUNTS, MountEntry
from holdfast.engine import Method, Place


@pytest.fixture
def node() -> OneNode:
    """With the entry of sys/ that every node has."""
    node = OneNode()
    node._write(lambda txn, rng: MOUNTS.put(txn, "uuid-sys", MountEntry(uuid="uuid-sys", path="sys/", type="system", accessor="system_1")))
    return node


@pytest.mark.parametrize("token", ["", None])
@pytest.mark.parametrize("place", [Place.WORKER, Place.MAIN, Place.ACTIVE])
@pytest.mark.parametrize("method", list(Method))
def test_no_method_makes_the_table_route_to_sys(node: OneNode, method: Method, place: Place, token: str | None) -> None:
    """The entry has no engine: a list or the help of `sys`, with or without a token, once ended the process that was asked."""
    node.attempt(node.request(method, "sys", token=token), place)


@pytest.mark.parametrize(("method", "path", "status", "said"), [
    (Method.GET, "kv1", 404, []),
    (Method.DELETE, "kv1", 204, None),
    (Method.POST, "kv1", 400, ["missing path"]),
    (Method.LIST, "kv1", 404, []),
    (Method.GET, "nobody", 404, ['no handler for route "nobody". route entry not found.']),
    (Method.LIST, "nobody/", 404, ['no handler for route "nobody/". route entry not found.'])])
def test_the_final_slash_of_a_mount_may_be_left_out(node: OneNode, method: Method, path: str, status: int, said: list[str] | None) -> None:
    answered = node.call(method, path, {"a": 1} if method is Method.POST else None)
    assert answered.status == status
    assert said is None or json.loads(answered.reply.body)["errors"] == said
