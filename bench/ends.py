"""What has no bound is true at once, and the work behind it goes on after kill -9: a token's children, a mount's keys."""
from __future__ import annotations

import time
from collections.abc import Callable
from itertools import islice

import uvloop
from tests.client import Answer
from tests.node import Node, mount, new_token
from tests.processes import wait_until

from bench.figures import Failed, Result
from bench.lines import fill
from bench.world import World, tokens
from holdfast.replica.lmdb import LmdbReplica

CHILDREN, KEYS = 100_000, 1_000_000
SAMPLE = 20
KILL_AFTER_S = 0.3
DONE_WITHIN_S = 900.0
TARGET = "answered within 1 s, goal 0.1 s"


def revoke_tree(world: World) -> Result:
    """Revokes a token with 100,000 children; unmounts 1,000,000 keys. kill -9 while the jobs are at work."""
    with world.node(one_core=False) as node:
        children = world.size(CHILDREN, 500)
        rows = [*_revoke(node, children), *_unmount(node, world.size(KEYS, 500))]
    return Result(rows=[*rows, ("to reach", TARGET)])


def _revoke(node: Node, count: int) -> list[tuple[str, str]]:
    parent = new_token(node.main(), "root")
    before = _count(node, "core/token/id/")
    made = tokens(node, count, parent, policies=["default"])
    took = _timed(lambda: node.client().post("auth/token/revoke", {"token": parent}))
    for token in (parent, *made[::max(1, count // SAMPLE)]):
        for client in (node.client(token), node.main(token)):
            _expect(client.get("auth/token/lookup-self"), 403)
    return [(f"revoke {count:,} children", f"answered in {took * 1000:.0f} ms, none of them may go on"),
            ("… their records", _killed_and_done(node, "core/token/id/", before - 1))]


def _unmount(node: Node, count: int) -> list[tuple[str, str]]:
    root = node.main()
    mount(root, "many", options={"version": "1"})
    uuid = root.get("sys/mounts").data["many/"]["uuid"]
    uvloop.run(fill(node.unix, (("POST", f"/v1/many/{number // 1000}/{number}", node.root_token, '{"v":"1"}') for number in range(count))))
    took = _timed(lambda: node.client().delete("sys/mounts/many"))
    for client in (node.client(), node.main()):
        _expect(client.get("many/0/0"), 404)
    mount(node.client(), "many")                     # the path is free at once
    return [(f"unmount {count:,} keys", f"answered in {took * 1000:.0f} ms, nothing of them is found"),
            ("… their records", _killed_and_done(node, f"mount/{uuid}/", 0))]


def _timed(ask: Callable[[], Answer]) -> float:
    began = time.monotonic()
    ask().ok()
    return time.monotonic() - began


def _expect(answer: Answer, status: int) -> None:
    if answer.status != status:
        raise Failed(f"{answer.status} instead of {status}: {answer.body[:200]!r}")


def _killed_and_done(node: Node, prefix: str, stay: int) -> str:
    """kill -9 amid the job; then the node starts again, and what is left goes."""
    time.sleep(KILL_AFTER_S)
    node.kill()
    left = _count(node, prefix) - stay
    began = time.monotonic()
    node.start()
    node.wait_unsealed()
    wait_until(lambda: _count(node, prefix, stay + 1) <= stay, f"the records below {prefix} have gone", DONE_WITHIN_S)
    return f"{left:,} were left at kill -9; all gone {time.monotonic() - began:.1f} s after the new start"


def _count(node: Node, prefix: str, limit: int | None = None) -> int:
    """Keys below a prefix, in the node's own replica; at most `limit` of them."""
    replica = LmdbReplica(node.data / "replica")
    try:
        reader = replica.open()
        try:
            return sum(1 for _ in islice(reader.keys(prefix), limit))
        finally:
            reader.close()
    finally:
        replica.close()


