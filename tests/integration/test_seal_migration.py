"""The seal of a store is changed while its data stays: by key shares, from shares to a seal that opens itself and back."""
from __future__ import annotations

from typing import Any

from tests.cluster_nodes import ACTIVE, PERFORMANCE_STANDBY, SEALED, Member
from tests.conftest import MakeCluster, MakeNode
from tests.node import STATIC, Node, mount
from tests.processes import wait_until

RETIRED = STATIC.replace("current_key_id", "disabled       = true\n  current_key_id")


def configure(node: Node, *, static: bool, more: str = "") -> None:
    """From its next start on."""
    node.static, node.more = static, more
    node.write_config()


def status_of(node: Node) -> Any:
    return node.main("").get("sys/seal-status").ok().json


def give(node: Node, shares: list[str], *, migrate: bool = True) -> Any:
    for share in shares:
        seen = node.client("").post("sys/unseal", {"key": share, "migrate": migrate}).ok().json
    return seen


def wait_changed(node: Node) -> None:
    wait_until(lambda: status_of(node)["migration"] is False, "the seal was changed")


def test_there_and_back(make_node: MakeNode) -> None:
    node = make_node(static=False)
    node.start()
    node.initialise(shares=3, threshold=2)
    for share in node.shares[:2]:
        node.client("").post("sys/unseal", {"key": share}).ok()
    node.wait_unsealed()
    mount(node.client(), "kv", options={"version": "1"})
    node.client().post("kv/a", {"x": "kept"}).ok()
    node.stop()

    configure(node, static=True)
    node.start()
    seen = status_of(node)
    assert (seen["type"], seen["sealed"], seen["migration"], seen["t"], seen["n"]) == ("shamir", True, True, 2, 3)
    refused = node.client("").post("sys/unseal", {"key": node.shares[0]})
    assert (refused.status, "migrate" in refused.errors[0]) == (400, True)
    shown = node.cli("operator", "unseal", "-migrate", node.shares[0])
    assert (shown.returncode, "Seal Migration in Progress" in shown.stdout, "1/2" in shown.stdout) == (0, True, True)
    assert give(node, node.shares[1:2])["sealed"] is False
    wait_changed(node)
    seen = status_of(node)
    assert (seen["type"], seen["recovery_seal"], seen["t"], seen["n"]) == ("static", True, 2, 3)
    assert node.client().get("kv/a").ok().data == {"x": "kept"}
    node.stop()
    node.start()
    node.wait_unsealed()
    assert node.client().get("kv/a").ok().data == {"x": "kept"}
    node.stop()

    configure(node, static=False, more=RETIRED)
    node.start()
    seen = status_of(node)
    assert (seen["type"], seen["sealed"], seen["migration"]) == ("static", True, True)
    assert give(node, node.shares[1:])["sealed"] is False
    wait_changed(node)
    node.stop()
    configure(node, static=False)
    node.start()
    seen = status_of(node)
    assert (seen["type"], seen["migration"], seen["recovery_seal"], seen["t"], seen["n"]) == ("shamir", False, False, 2, 3)
    refused = node.client("").post("sys/unseal", {"key": node.shares[0], "migrate": True})
    assert refused.status == 400
    give(node, node.shares[:2], migrate=False)
    node.wait_unsealed()
    assert node.client().get("kv/a").ok().data == {"x": "kept"}


def test_wrong_shares_change_nothing(make_node: MakeNode) -> None:
    node = make_node(static=False).begin()
    node.stop()
    configure(node, static=True)
    node.start()
    assert node.client("").post("sys/unseal", {"key": "00" * 32, "migrate": True}).status == 400
    assert status_of(node)["migration"] is True
    node.stop()
    configure(node, static=False)
    node.start()
    node.unseal()


def test_a_store_that_the_configuration_does_not_open_is_told_at_once(make_node: MakeNode) -> None:
    node = make_node(static=True).begin()
    node.stop()
    configure(node, static=False)
    node.launch()
    wait_until(lambda: node.process is not None and node.process.poll() is not None, "it has ended")
    assert 'sealed by "static"' in node.log_text


def test_a_cluster_node_by_node(make_cluster: MakeCluster) -> None:
    """Standbys first; the last one to start anew is the active one, and somebody who knows the new seal changes it."""
    cluster = make_cluster(3, static=False, shares=1, threshold=1).begin()
    first = cluster.active
    mount(first.client(), "kv", options={"version": "1"})
    first.client().post("kv/a", {"x": "kept"}).ok()
    order: list[Member] = [*cluster.standbys, first]
    for member in order:
        member.stop()
        configure(member, static=True, more=member.more)
        member.start()
        if status_of(member)["sealed"]:
            assert member.health() == SEALED
            give(member, member.shares)
        member.wait_health(ACTIVE, PERFORMANCE_STANDBY)
    for member in order:
        wait_changed(member)
        assert status_of(member)["type"] == "static"
        assert member.client().get("kv/a").ok().data == {"x": "kept"}
    cluster.kill_all()
    for member in order:
        member.start()
    cluster.wait_whole()
    assert cluster.active.client().get("kv/a").ok().data == {"x": "kept"}
