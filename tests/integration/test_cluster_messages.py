"""A node that is wrong here is told so, and so are those that it is wrong for: each says in its log what is wrong and what to do."""
from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from tests.cluster_nodes import CALM, PERFORMANCE_STANDBY, REMOVED, SEALED, Cluster, Member
from tests.cluster_nodes import cluster as cluster_of
from tests.processes import wait_until

WITHIN_S = 60.0
HOUR_MS = 3_600_000


@pytest.fixture(scope="module")
def three() -> Iterator[Cluster]:
    with cluster_of(3, **CALM) as found:
        yield found.begin()


def say(member: Member, *wanted: str) -> None:
    wait_until(lambda: any(all(each in line for each in wanted) for line in member.log_text.splitlines()),
               f"{member.name} says {wanted}", WITHIN_S)


def test_two_nodes_of_one_id(three: Cluster) -> None:
    standby = three.standbys[0]
    twin = three.new_member()
    try:
        twin.name = standby.name
        twin.write_config()
        twin.start()
        say(twin, "raft.join_failed", f"a member with the id {standby.name} is at {standby.cluster_address}", "another node_id")
        say(three.active, "raft.join_refused", f"node={standby.name}", f"address={twin.cluster_address}", f"{standby.name} is a member at")
    finally:
        three.members.remove(twin)
        twin.end()


def test_two_nodes_of_one_cluster_address(three: Cluster) -> None:
    active, other = three.active, three.new_member()
    try:
        text = other.config.read_text().replace(f"https://{other.cluster_address}", f"https://{active.cluster_address}")
        other.config.write_text(text)
        other.start()
        say(other, "raft.join_failed", f"a member with the id {active.name} is at {active.cluster_address}", "a cluster_addr of its own")
        say(active, "raft.join_refused", f"node={other.name}", f"{active.name} is a member at")
        assert other.name not in three.raft_members(active)
    finally:
        three.members.remove(other)
        other.end()


def test_a_leader_that_is_asked_without_tls(three: Cluster) -> None:
    alone = three.new_member()
    try:
        alone.joins = [three.active.address.replace("https", "http")]
        alone.write_config()
        alone.start()
        say(alone, "raft.join_failed", "400 Client sent an HTTP request to an HTTPS server")
    finally:
        three.members.remove(alone)
        alone.end()


def test_a_node_that_names_itself(three: Cluster) -> None:
    alone = three.new_member()
    try:
        alone.joins = [alone.address]
        alone.write_config()
        alone.start()
        say(alone, "raft.join_failed", f"{alone.address} is this node itself")
        answer = alone.main("").post("sys/storage/raft/join", {"leader_api_addr": alone.address})
        assert answer.status == 400
        assert "this node itself" in answer.errors[0]
    finally:
        three.members.remove(alone)
        alone.end()


def test_a_node_whose_clock_is_wrong(three: Cluster) -> None:
    """It takes part all the same: no promise hangs on what a wall clock says."""
    standby = three.standbys[0]
    standby.stop()
    standby.env["HOLDFAST_TEST_CLOCK_MS"] = str(HOUR_MS)
    standby.start()
    standby.wait_health(PERFORMANCE_STANDBY)
    for member in (standby, three.active):
        say(member, "cluster.clocks_differ", "peer_ahead_ms=")
    standby.stop()
    del standby.env["HOLDFAST_TEST_CLOCK_MS"]
    standby.start()
    three.wait_whole()


def test_a_node_of_another_cluster(three: Cluster) -> None:
    """Whose cluster has become another one behind the address of a member: its certificate is of another authority."""
    standby = three.standbys[0]
    standby.stop()
    with cluster_of(1) as other:
        stranger = other[0]
        stranger.cluster_port = standby.cluster_port
        stranger.write_config()
        other.begin()
        say(three.active, "cluster.peer_unreachable", standby.cluster_address)
        say(stranger, "cluster.refused")
        assert three.active.health() == 200
    standby.start()
    three.wait_whole()


def test_a_wiped_node_comes_back_under_its_old_id(three: Cluster) -> None:
    """At its address it is the node that was there, without its disk: it is taken in anew, and nobody has to remove it first."""
    standby = three.standbys[0]
    standby.kill()
    standby.wipe()
    standby.start()
    standby.wait_health(PERFORMANCE_STANDBY, within_s=WITHIN_S)
    say(three.active, "raft.member_replaced", f"node={standby.name}", "empty folder")
    three.wait_whole()


def test_a_node_whose_cluster_port_is_taken_stays_sealed_and_says_why(three: Cluster) -> None:
    """It was an unsealed standby from then on that served nobody, and that could be neither sealed nor unsealed."""
    standby = three.standbys[0]
    standby.main().post("sys/seal").ok()
    with socket.create_server((standby.host, standby.cluster_port)):
        for _ in range(2):
            answer = standby.main("").post("sys/unseal", {"key": standby.shares[0]})
            assert answer.status == 503
            assert answer.errors[0].startswith(f"the cluster port {standby.cluster_address} cannot be had: ")
            standby.wait_health(SEALED)
            assert standby.main("").get("sys/leader").errors == ["Vault is sealed"]
    standby.main("").post("sys/unseal", {"key": standby.shares[0]}).ok()
    three.wait_whole()


def test_a_removed_node(three: Cluster) -> None:
    """Last, as it is one of the three."""
    standby = three.standbys[0]
    wait_until(lambda: all(voter for _, voter in three.raft_members().values()), "all may vote", WITHIN_S)
    three.active.main().post("sys/storage/raft/remove-peer", {"server_id": standby.name}).ok()
    standby.wait_health(REMOVED)
    say(standby, "raft.removed", "empty folder")
    say(three.active, "raft.member_removed", f"node={standby.name}", "wiped")
    standby.stop()
    standby.start()
    standby.wait_health(REMOVED)
    wait_until(lambda: standby.log_text.count("raft.removed") == 2, "it says so at each start", WITHIN_S)
    answer = standby.main("").post("sys/unseal", {"key": standby.shares[0]})
    assert (answer.status, standby.health()) == (400, REMOVED)
    assert "it needs an empty folder" in answer.errors[0]
    assert standby.main("").get("sys/seal-status").ok().json["sealed"] is True
