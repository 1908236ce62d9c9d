"""X-Vault-Index: what a write gives, a later read can ask for, on every process; what this cluster never gave, is refused."""
from __future__ import annotations

import base64
import shutil

from tests.client import Client
from tests.conftest import MakeNode
from tests.node import Node, mount, policy


def _fields(index: str) -> list[str]:
    return base64.b64decode(index).decode().split(":")


def test_every_write_says_its_number_and_no_read_does(node: Node, client: Client, kv: str) -> None:
    first = client.post(f"{kv}/data/a", {"data": {"x": "1"}}).ok().index
    second = client.post(f"{kv}/data/a", {"data": {"x": "2"}}).ok().index
    version, cluster, number, replicated, mac = _fields(first)
    assert (version, cluster, replicated, len(mac)) == ("v1", client.get("sys/health").json["cluster_id"], "0", 64)
    assert _fields(second)[2] == str(int(number) + 1)
    assert int(_fields(second)[2]) == client.get("sys/health").json["last_wal"]
    assert client.get(f"{kv}/data/a").ok().index == ""
    assert client.post(f"{kv}/data/a", {"data": {"x": "3"}, "options": {"cas": 7}}).index == "", "refused, so nothing was written"


def test_a_read_that_asks_for_a_state_that_is_here_gets_it(node: Node, client: Client, kv: str) -> None:
    for turn in range(50):
        index = client.post(f"{kv}/data/a", {"data": {"turn": turn}}).ok().index
        for where in (client, node.main()):
            assert where.get(f"{kv}/data/a", headers={"X-Vault-Index": index}).ok().data["data"] == {"turn": turn}


def test_what_this_cluster_never_gave_is_refused(node: Node, client: Client, kv: str) -> None:
    index = client.post(f"{kv}/data/a", {"data": {"x": "1"}}).ok().index
    version, cluster, number, replicated, mac = _fields(index)
    forged = [
        "nonsense", "AAAA", base64.b64encode(b"v1:a:1:0:00").decode(), index[:-4],
        _state(version, cluster, str(int(number) + 1), replicated, mac), _state(version, "other", number, replicated, mac),
        _state("v2", cluster, number, replicated, mac), "A" * 3_000,
    ]
    for where in (client, node.main()):
        for state in forged:
            refused = where.get(f"{kv}/data/a", headers={"X-Vault-Index": state})
            assert refused.status == 400, f"{state[:60]!r}: {refused}"
            assert "X-Vault-Index" in refused.errors[0]
        for state in (index, ""):                    # an empty one asks for nothing: clients send it that have none yet
            assert where.get(f"{kv}/data/a", headers={"X-Vault-Index": state}).status == 200


def _state(*fields: str) -> str:
    return base64.b64encode(":".join(fields).encode()).decode()


def test_a_state_that_is_not_here_is_412(make_node: MakeNode) -> None:
    """A node restored from a copy that is older than what a client has seen."""
    node = make_node(more="replication {\n allow_forwarding_via_header = true\n}").begin()
    mount(node.client(), "kv")
    node.client().post("kv/data/a", {"data": {"x": "old"}}).ok()
    node.stop()
    copy = node.folder / "copy"
    shutil.copytree(node.data, copy)
    node.start()
    index = node.client().post("kv/data/a", {"data": {"x": "new"}}).ok().index
    node.stop()
    shutil.rmtree(node.data)
    copy.rename(node.data)
    node.start()
    for where in (node.client(), node.main()):
        for inconsistent in ({}, {"X-Vault-Inconsistent": "forward-active-node"}, {"X-Vault-Inconsistent": "fail"}):
            refused = where.get("kv/data/a", headers={"X-Vault-Index": index, **inconsistent})
            assert (refused.status, refused.errors) == (412, ["required index state not present"])
        refused = where.post("kv/data/a", {"data": {"x": "1"}}, headers={"X-Vault-Index": index})
        assert refused.status == 412
        assert where.get("kv/data/a").ok().data["data"] == {"x": "old"}


def test_asking_for_the_active_node(make_node: MakeNode, node: Node, client: Client) -> None:
    asked = {"X-Vault-Forward": "active-node"}
    refused = client.get("sys/mounts", headers=asked)
    assert refused.status == 400, "not enabled, and said so"
    assert "allow_forwarding_via_header" in refused.errors[0]
    allowed = make_node(more="replication {\n allow_forwarding_via_header = true\n}").begin()
    for where in (allowed.client(), allowed.main()):
        assert where.get("sys/mounts", headers=asked).status == 200
        assert where.get("sys/mounts", headers={"X-Vault-Forward": "elsewhere"}).status == 200, "another value is as none"
        assert where.get("sys/mounts", headers={"X-Vault-Inconsistent": "sometimes"}).status == 200


def test_what_one_client_wrote_another_reads_at_once(make_node: MakeNode) -> None:
    """Read your writes, and others': after the answer to a write no process serves the state before it (peer bug 26)."""
    node = make_node(workers=2).begin()
    root, main = node.client(), node.main()
    mount(root, "kv", options={"version": "1"})
    policy(root, "reads", 'path "kv/*" { capabilities = ["read"] }')
    readers = [node.client() for _ in range(6)]
    for turn in range(40):
        root.post("kv/a", {"turn": turn}).ok()
        token = root.post("auth/token/create", {"policies": ["reads"]}).ok().auth["client_token"]
        for reader in (*readers, main):
            assert reader.get("kv/a", token=token).ok().data == {"turn": turn}
        root.post("auth/token/revoke", {"token": token}).ok()
        for reader in (*readers, main):
            assert reader.get("kv/a", token=token).status == 403
