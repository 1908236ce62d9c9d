"""Nodes whose cluster address changes: one at a time they are found again by themselves, all at once by `raft/peers.json`."""
from __future__ import annotations

import json

from tests.cluster_nodes import Cluster, Member, cluster
from tests.node import free_port, mount
from tests.processes import wait_until

SOON = {"stanza": '  performance_multiplier = 3\n  autopilot_update_interval = "1s"\n  autopilot_reconcile_interval = "2s"\n'}


def move(member: Member) -> None:
    member.stop()
    member.cluster_port = free_port()
    member.write_config()


def addresses(found: Cluster) -> dict[str, str]:
    servers = found.active.main().get("sys/storage/raft/configuration").ok().data["config"]["servers"]
    return {server["node_id"]: server["address"] for server in servers}


def configured(found: Cluster) -> dict[str, str]:
    return {member.name: member.cluster_address for member in found.members}


def test_one_after_the_other_all_move_the_active_one_too() -> None:
    with cluster(**SOON) as found:
        found.begin()
        mount(found.active.client(), "kept", options={"version": "1"})
        active = found.active
        for member in [*found.standbys, active]:
            move(member)
            found.restart(member)
            found.wait_whole()
            wait_until(lambda: addresses(found) == configured(found), "the log says where they are", 60)
            member.client().post("kept/a", {"value": member.name}).ok()
            for each in found.members:
                assert each.client().get("kept/a").ok().data["value"] == member.name
        assert all(voter for _, voter in found.raft_members().values())
        found.kill_all()
        for member in found.members:
            member.start()
        found.wait_whole()
        for member in found.members:
            assert member.client().get("kept/a").ok().data["value"] == active.name
            assert "process.defect" not in member.log_text, member.tail


def test_all_at_once_move_with_a_file_that_says_where_to() -> None:
    with cluster(**SOON) as found:
        found.begin()
        client = found.active.client()
        mount(client, "kept", options={"version": "1"})
        client.post("kept/a", {"value": "b"}).ok()
        for member in found.members:
            move(member)
        text = json.dumps([{"id": name, "address": address} for name, address in configured(found).items()])
        for member in found.members:
            (member.data / "raft").mkdir()
            (member.data / "raft" / "peers.json").write_text(text)
            member.start()
        found.wait_whole()
        assert addresses(found) == configured(found)
        for member in found.members:
            assert member.client().get("kept/a").ok().data["value"] == "b"
            member.client().post(f"kept/{member.name}", {"value": "c"}).ok()
