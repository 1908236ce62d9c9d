"""What the nodes of a real cluster say of themselves and of each other, through the API and on the command line."""
from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.client import Answer
from tests.cluster_nodes import CALM, STANDBY, Cluster, Member
from tests.conftest import MakeCluster
from tests.processes import wait_until

QUICK_AUTOPILOT = '  autopilot_update_interval = "100ms"\n  autopilot_reconcile_interval = "100ms"\n'
POLICY = 'path "a" { capabilities = ["read"] }'
CLUSTER = CALM


def both(member: Member) -> list[Answer]:
    """sys/health of a worker and of the main process."""
    return [client.get("sys/health") for client in (member.client(""), member.main(""))]


def rows(text: str) -> dict[str, str]:
    lines = [line.split("    ", 1) for line in text.splitlines()[2:]]
    return {line[0].strip(): line[1].strip() for line in lines}


def test_health_of_each_kind_of_node(cluster: Cluster) -> None:
    active = cluster.active
    for answer in both(active):
        assert answer.status == 200
        assert (answer.json["standby"], answer.json["removed_from_cluster"]) == (False, False)
        assert answer.json["last_wal"] > 0
        assert "ha_connection_healthy" not in answer.json
    for member in cluster.standbys:
        wait_until(lambda member=member: all(  # type: ignore[misc]
            "ha_connection_healthy" in answer.json for answer in both(member)), "an echo was answered")
        for answer in both(member):
            assert answer.status == 473
            seen = answer.json
            assert (seen["standby"], seen["performance_standby"], seen["ha_connection_healthy"]) == (True, True, True)
            assert seen["replication_dr_mode"] == seen["replication_performance_mode"] == "disabled"
            assert abs(seen["clock_skew_ms"]) < 5_000      # one clock, and a machine that is late with answers
            assert seen["echo_duration_ms"] >= 0
        assert member.client("").get("sys/health?perfstandbyok=true").status == 200


def test_leader_is_the_same_at_each_node(cluster: Cluster) -> None:
    active = cluster.active
    for member in cluster.members:
        seen = member.client("").get("sys/leader").ok().json
        assert (seen["ha_enabled"], seen["is_self"]) == (True, member is active)
        assert (seen["leader_address"], seen["leader_cluster_address"]) == (active.address, f"https://{active.cluster_address}")
        assert (seen["active_time"] > "2020") is (member is active)
        assert 0 < seen["raft_applied_index"] <= seen["raft_committed_index"]
        assert seen["performance_standby"] is (member is not active)
        assert (seen["performance_standby_last_remote_wal"] > 0) is (member is not active)


def test_the_raft_configuration_is_the_same_at_each_node_with_its_index(cluster: Cluster) -> None:
    found = [member.client().get("sys/storage/raft/configuration").ok().data["config"] for member in cluster.members]
    assert found[0]["index"] > 1, "of the entry that last changed the members: the first one names the first member alone"
    assert all(each == found[0] for each in found)


def test_ha_status_of_each_node_names_all(cluster: Cluster) -> None:
    names = {member.address for member in cluster.members}
    for member in cluster.members:
        wait_until(lambda member=member: {  # type: ignore[misc]
            node["api_address"] for node in member.client().get("sys/ha-status").ok().json["nodes"]} == names, "all are known")
        nodes = member.client().get("sys/ha-status").ok().data["nodes"]
        assert [node["api_address"] for node in nodes if node["active_node"]] == [cluster.active.address]
        assert all((node["last_echo"] is None) is node["active_node"] for node in nodes)


def test_status_on_the_command_line(cluster: Cluster) -> None:
    active = cluster.active
    seen = active.cli("status")
    assert (seen.returncode, seen.stderr) == (0, "")
    assert list(rows(seen.stdout))[-7:] == [
        "HA Enabled", "HA Cluster", "HA Mode", "Active Since", "Raft Committed Index", "Raft Applied Index", "Last WAL"]
    for member in cluster.standbys:
        seen = member.cli("status")
        assert seen.returncode == 0
        found = rows(seen.stdout)
        assert list(found)[-9:] == [
            "Removed From Cluster", "HA Enabled", "HA Cluster", "HA Mode", "Active Node Address", "Performance Standby Node",
            "Performance Standby Last Remote WAL", "Raft Committed Index", "Raft Applied Index"]
        assert (found["HA Mode"], found["Active Node Address"], found["Performance Standby Node"]) == ("standby", active.address, "true")


def test_members_and_autopilot_on_the_command_line(cluster: Cluster) -> None:
    names = {member.name for member in cluster.members}
    for member in cluster.members:
        peers = member.cli("operator", "raft", "list-peers", "-format=json", token=cluster.root_token)
        servers = json.loads(peers.stdout)["data"]["config"]["servers"]
        assert {server["node_id"] for server in servers} == names
        assert [server["node_id"] for server in servers if server["leader"]] == [cluster.active.name]

        def healthy(member: Member = member) -> bool:
            state = member.cli("operator", "raft", "autopilot", "state", "-format=json", token=cluster.root_token)
            return state.returncode == 0 and bool(state.stdout) and json.loads(state.stdout)["Healthy"] is True

        wait_until(healthy, "autopilot finds all healthy")
    shown = json.loads(cluster.standbys[0].cli("operator", "members", "-format=json", token=cluster.root_token).stdout)
    assert len(shown["Nodes"]) >= 1


def test_metrics_of_each_kind_of_node(cluster: Cluster) -> None:
    active = cluster.active
    wait_until(lambda: b"last_heartbeat_ms" in active.client().get("sys/metrics?format=prometheus").ok().body, "the members were looked at")
    for member in cluster.members:
        gauges = {gauge["Name"]: gauge["Value"] for gauge in member.client().get("sys/metrics").ok().json["Gauges"]}
        is_active = member is active
        assert [value for name, value in gauges.items() if name.endswith("core.active")] == [float(is_active)]
        assert [value for name, value in gauges.items() if name.endswith("core.performance_standby")] == [float(not is_active)]
        assert any(name.endswith("raft_storage.stats.applied_index") and value > 0 for name, value in gauges.items())
        for wanted in ("raft.peers", "autopilot.healthy", "raft_storage.follower.last_heartbeat_ms"):
            assert any(name.endswith(wanted) for name in gauges) is is_active, wanted
        prometheus = member.client().get("sys/metrics?format=prometheus").ok().body
        assert is_active or b"_ha_rpc_client_echo_count" in prometheus


def test_each_answer_says_which_node_has_made_it(cluster: Cluster) -> None:
    standby = cluster.standbys[0]
    client = standby.client()
    assert client.get("sys/mounts").ok().header("X-Vault-Raft-Node-ID") == standby.name
    assert client.post("sys/policies/acl/named", {"policy": POLICY}).ok().header("X-Vault-Raft-Node-ID") == cluster.active.name
    assert cluster.active.client().get("sys/mounts").ok().header("X-Vault-Raft-Node-ID") == cluster.active.name


def test_a_client_that_wants_no_forwarding_is_redirected(cluster: Cluster) -> None:
    active, standby = cluster.active, cluster.standbys[0]
    for client in (standby.client(), standby.main()):
        asked = {"X-Vault-No-Request-Forwarding": "1"}
        written = client.post("sys/policies/acl/redirected", {"policy": POLICY}, headers=asked)
        assert (written.status, written.header("Location")) == (307, f"{active.address}/v1/sys/policies/acl/redirected")
        assert client.get("sys/mounts", headers=asked).status == 200, "a read needs no other node"


def test_forwarding_by_header_has_to_be_allowed(cluster: Cluster) -> None:
    for asked in ({"X-Vault-Forward": "active-node"}, {"X-Vault-Inconsistent": "forward-active-node"}):
        assert cluster.standbys[0].client().get("sys/mounts", headers=asked).status == 400


def test_a_snapshot_is_saved_through_a_standby(cluster: Cluster, tmp_path: Path) -> None:
    file = tmp_path / "cluster.snap"
    saved = cluster.standbys[0].cli("operator", "raft", "snapshot", "save", str(file), token=cluster.root_token)
    assert (saved.returncode, saved.stdout, saved.stderr) == (0, "", "")
    seen = cluster.standbys[0].cli("operator", "raft", "snapshot", "inspect", "-format=json", str(file))
    assert set(json.loads(seen.stdout)["Servers"]) == {member.name for member in cluster.members}


def test_step_down_through_a_standby(cluster: Cluster) -> None:
    before = cluster.active
    standby = cluster.standbys[0]
    done = standby.cli("operator", "step-down", token=cluster.root_token)
    assert (done.returncode, done.stdout) == (0, f"Success! Stepped down: {standby.address}\n")
    assert cluster.wait_active(other_than=before) is not before


@pytest.mark.parametrize("which", ["active", "standby"])
def test_a_sealed_node_says_so_and_the_others_serve(cluster: Cluster, which: str) -> None:
    member = cluster.active if which == "active" else cluster.standbys[0]
    assert member.client().post("sys/seal").status == 204
    for answer in both(member):
        assert answer.status == 503
    leader = member.client("").get("sys/leader")
    assert (leader.status, leader.errors) == (503, ["Vault is sealed"])
    assert member.cli("status").returncode == 2
    others = [each for each in cluster.members if each is not member]
    cluster.wait_whole(others)
    for other in others:
        assert other.client().get("sys/mounts").status == 200
    member.stop()
    cluster.restart(member)


def test_a_node_without_a_vote_stays_without_it(make_cluster: MakeCluster) -> None:
    """Autopilot gives no vote to who joined without one, or lost it on purpose."""
    cluster = make_cluster(1)
    cluster[0].options = QUICK_AUTOPILOT
    cluster[0].write_config()
    cluster.begin().active.client().post("sys/storage/raft/autopilot/configuration", {"server_stabilization_time": "1s"}).ok()
    member = cluster.new_member()
    member.options = f"  retry_join_as_non_voter = true\n{QUICK_AUTOPILOT}"
    member.write_config()
    member.start()
    cluster.wait_whole()

    def is_voter() -> bool:
        return cluster.raft_members()[member.name][1]

    def has_been_looked_at() -> bool:
        """So often that it would have its vote."""
        server = cluster.active.client().get("sys/storage/raft/autopilot/state").ok().data["servers"][member.name]
        since = datetime.fromisoformat(server["stable_since"][:19] + "+00:00")
        return server["healthy"] is True and (datetime.now(UTC) - since).total_seconds() > 4

    wait_until(has_been_looked_at, "it is well for long")
    assert not is_voter()
    for change, expected in (("promote", True), ("demote", False)):
        cluster.active.client().post(f"sys/storage/raft/{change}", {"server_id": member.name}).ok()
        wait_until(lambda expected=expected: is_voter() is expected, change)  # type: ignore[misc]


def test_a_plain_standby_answers_for_itself(make_cluster: MakeCluster) -> None:
    """Clients send their token wherever they ask; nothing moves on here that the state its token stands in could be held against."""
    cluster = make_cluster(1).begin()
    plain = cluster.new_member(more="disable_performance_standby = true\n")
    plain.start()
    plain.wait_health(STANDBY)
    cluster.active.client().post("sys/policies/acl/newer", {"policy": POLICY}).ok()
    for connect in (plain.client, plain.main):
        for token in ("", cluster.root_token, "unknown"):
            client = connect(token)
            assert (client.get("sys/health").status, client.get("sys/health?standbyok=1").status) == (STANDBY, 200)
            assert client.get("sys/init").ok().json == {"initialized": True}
            assert client.get("sys/seal-status").status == client.get("sys/leader").status == 200
        refused = connect(cluster.root_token).post("sys/seal")
        assert (refused.status, refused.errors) == (500, ["vault cannot seal when in standby mode; please restart instead"])
        refused = connect(cluster.root_token).get("sys/metrics")
        assert (refused.status, refused.errors) == (400, ["cannot forward local-only request"])


def test_a_join_that_fails_says_why(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(1)
    member = cluster[0]
    member.start()
    nobody = "https://127.0.0.1:1"
    for given, why in ((nobody, "Connection refused"), ("nonsense", "is no address")):
        refused = member.client("").post("sys/storage/raft/join", {"leader_api_addr": given})
        assert refused.status == 500
        assert refused.errors[0].startswith("failed to join raft cluster: ")
        assert given in refused.errors[0]
        assert why in refused.errors[0]
    assert member.client("").post("sys/storage/raft/join", {"leader_api_addr": nobody, "retry": True}).ok().json == {"joined": False}
    wait_until(lambda: f"raft.join_failed: leader={nobody}" in member.log_text, "each failure is told")
    assert "process.defect" not in member.log_text
