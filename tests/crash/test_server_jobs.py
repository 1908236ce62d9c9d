"""Work without a bound, cut off by kill -9 again and again: true the moment it is answered, and done in the end.

Peer bugs 46 and 47 at the size that a test can afford; `bench/` has the figures for a million keys and 100,000 children.
"""
from __future__ import annotations

import threading
import time

import pytest
from tests.at_once import at_once
from tests.client import Client
from tests.conftest import MakeNode
from tests.contract import world
from tests.node import Node, mount, new_token
from tests.processes import wait_until

KEYS = 30_000
CHILDREN = 600
ANSWERED_WITHIN_S = 8.0                                  # also where others use the machine; `bench/` has the figures
KILLS = (0.0, 0.05, 0.15, 0.3)                           # s after the answer, or after the next start


def _kill_again_and_again(node: Node) -> None:
    for wait_s in KILLS:
        time.sleep(wait_s)                           # the instant is what the test is about
        node.kill()
        node.start()
        node.wait_unsealed()


def _timed(client: Client, method: str, path: str, body: object = None) -> float:
    began = time.monotonic()
    client.ask(method, path, body).ok()
    return time.monotonic() - began


@pytest.fixture
def node(make_node: MakeNode) -> Node:
    return make_node(workers=1, contract=True).begin()


def test_peer_bug_46_an_unmounting_goes_on_after_every_kill(node: Node) -> None:
    client = node.client()
    mount(client, "con", "contract")
    uuid = client.get("sys/mounts").ok().data["con/"]["uuid"]
    prefix = f"mount/{uuid}/"
    client.post("con/world", {"folder": str(node.folder)}).ok()
    lease = client.get("con/creds/u1?ttl=1h").ok().json["lease_id"]
    client.post(f"con/many/{KEYS}").ok()
    wait_until(lambda: node.keys_below(prefix) >= KEYS, "all keys are written")
    for where in (client, node.main()):
        assert where.get("con/raw").status == 202
    assert _timed(client, "DELETE", "sys/mounts/con") < ANSWERED_WITHIN_S
    for where in (client, node.main()):
        assert where.get("con/raw").status == 404, "true at once, in every process"
    mount(client, "con", "contract")                 # the path is free at once
    assert client.get("con/live?list=true").status == 404, "and nothing of the old mount shows in the new one"
    _kill_again_and_again(node)
    client = node.client()
    wait_until(lambda: node.keys_below(prefix) == 0, "no key of the old mount is left")
    wait_until(lambda: world.users(node.folder) == (), "its lease was revoked by the old engine")
    assert client.post("sys/leases/lookup", {"lease_id": lease}).status == 400
    assert client.get("con/raw").status == 202, "the new mount is untouched"


def test_a_mount_killed_right_after_its_end_was_answered_stays_gone(node: Node) -> None:
    client = node.client()
    mount(client, "kv", options={"version": "1"})
    for number in range(50):
        client.post(f"kv/{number}", {"a": "b"}).ok()
    client.delete("sys/mounts/kv").ok()
    node.kill()
    node.start()
    node.wait_unsealed()
    for where in (node.client(), node.main()):
        assert where.get("kv/1").status == 404
        assert "kv/" not in where.get("sys/mounts").ok().data


def _family(client: Client, connect_again: Node) -> tuple[str, list[str]]:
    """A parent and its tree: children, and grandchildren below the first of them."""
    parent = new_token(client, "root", ttl="2h")
    children: list[str] = []

    def make(count: int) -> None:
        mine = connect_again.client(parent)
        made = [mine.post("auth/token/create", {"policies": ["default"]}).ok().auth["client_token"] for _ in range(count)]
        children.extend(made)

    at_once(make, [CHILDREN // 4] * 4)
    middle = new_token(connect_again.client(parent), "root", ttl="1h")
    return parent, [*children, middle, new_token(connect_again.client(middle), "default")]


def test_peer_bug_47_a_revoked_tree_is_dead_at_once_and_gone_in_the_end(node: Node) -> None:
    client = node.client()
    parent, family = _family(client, node)
    assert len(family) == CHILDREN + 2
    before = node.keys_below("core/token/id/")
    racing: list[str] = []
    stop = threading.Event()

    def race() -> None:
        mine = node.client(family[-2])
        while not stop.is_set():
            made = mine.post("auth/token/create", {"policies": ["default"]})
            if made.status != 200:
                return
            racing.append(made.auth["client_token"])

    thread = threading.Thread(target=race)
    thread.start()
    wait_until(lambda: len(racing) > 5, "children are made by a child meanwhile")
    assert _timed(client, "POST", "auth/token/revoke", {"token": parent}) < ANSWERED_WITHIN_S
    for where in (client, node.main()):
        for token in (parent, *family[::50], family[-2], family[-1]):
            assert where.get("auth/token/lookup-self", token=token).status == 403, "dead at once, in every process"
    stop.set()
    thread.join()
    for token in racing:
        assert client.get("auth/token/lookup-self", token=token).status == 403, "also what was made in the race"
    _kill_again_and_again(node)
    client = node.client()
    for token in (parent, *family[::20], *racing):
        assert client.get("auth/token/lookup-self", token=token).status == 403
    left = before - len(family) - 1                  # the parent is one of them, too
    wait_until(lambda: node.keys_below("core/token/id/") <= left, "the records of the tree have gone")
    assert client.get("auth/token/lookup-self").status == 200


def test_leases_of_a_revoked_token_are_revoked_after_a_kill(node: Node) -> None:
    client = node.client()
    mount(client, "con", "contract")
    client.post("con/world", {"folder": str(node.folder)}).ok()
    token = new_token(client, "root", ttl="1h")
    for number in range(20):
        client.get(f"con/creds/u{number}?ttl=1h", token=token).ok()
    assert len(world.users(node.folder)) == 20
    client.post("auth/token/revoke", {"token": token}).ok()
    node.kill()
    node.start()
    wait_until(lambda: world.users(node.folder) == (), "all users are dropped")
    drops = world.calls(node.folder, "drop")
    assert set(drops) == {f"u{number}" for number in range(20)}


def test_an_outside_call_cut_off_by_a_kill_is_undone(make_node: MakeNode) -> None:
    """The user exists, the lease does not: the record that was written before the call sees to it."""
    node = make_node(workers=1, contract=True, limits={"UNDO_MARGIN_MS": 500}).begin()
    client = node.client()
    mount(client, "con", "contract")
    client.post("con/world", {"folder": str(node.folder)}).ok()
    hanging = node.client()
    hanging.send(("GET /v1/con/creds/lost?create=late&within_ms=1500 HTTP/1.1\r\nHost: a\r\n"
                  f"X-Vault-Token: {node.root_token}\r\n\r\n").encode())
    wait_until(lambda: "lost" in world.calls(node.folder, "create"), "the call is under way")
    node.kill()
    world.release(node.folder)
    (node.folder / "users").mkdir(exist_ok=True)
    (node.folder / "users" / "lost").write_text("made outside, although nobody waited any more")
    node.start()
    node.wait_unsealed()
    assert node.client().list("sys/leases/lookup/con/creds").status == 404, "no lease was given"
    wait_until(lambda: world.users(node.folder) == (), "what was made outside is undone")
    assert "lost" in world.calls(node.folder, "drop")
