"""Who becomes a member, who does not, and who is none any more: nodes that join, come back, are removed, or were configured wrongly."""
from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cluster_nodes import ACTIVE, CALM, PERFORMANCE_STANDBY, REMOVED, Cluster, Member
from tests.cluster_nodes import cluster as cluster_of
from tests.conftest import MakeCluster
from tests.links import Proxy
from tests.load import Load, is_harmed, summary
from tests.node import free_port, mount
from tests.processes import has_ended, memory_bytes, wait_until

CLUSTER = CALM
JOINED_S = 60.0
CHALLENGES = 300
CHALLENGES_COST_MAX_BYTES = 32 << 20


@contextmanager
def one_more(cluster: Cluster, **options: object) -> Iterator[Member]:
    """A further node of the shared cluster, which is none of it any more afterwards; not started."""
    member = cluster.new_member(**options)
    try:
        yield member
    finally:
        cluster.members.remove(member)
        member.end()
        for name in set(cluster.raft_members()) - {each.name for each in cluster.members}:
            cluster.active.main().post("sys/storage/raft/remove-peer", {"server_id": name}).ok()


def is_voter(cluster: Cluster, name: str) -> bool:
    return cluster.raft_members().get(name, (False, False))[1]


def test_a_fresh_node_joins_under_load_is_removed_and_comes_back_empty(cluster: Cluster, load_token: str) -> None:
    """Peer bug 34: dead-server clean-up takes no node that is only joining, a removed node knows it, and its name can come back."""
    serving = list(cluster.members)
    with one_more(cluster) as member:
        with Load(serving, load_token, folder=cluster.folder, reads_s=12, writes_s=12, keys=8) as load:
            time.sleep(0.5)
            member.start()
            member.wait_health(PERFORMANCE_STANDBY, within_s=JOINED_S)
            wait_until(lambda: is_voter(cluster, member.name), "it may vote", JOINED_S)
        load.seen.check()
        counts = load.seen.counts()
        assert not is_harmed(counts), summary(counts)
        key = next(iter(load.seen.versions()))
        here, there = (each.client().get(f"load/data/{key}").ok().data for each in (member, cluster.active))
        assert here == there
        cluster.active.main().post("sys/storage/raft/remove-peer", {"server_id": member.name}).ok()
        member.wait_health(REMOVED)
        assert member.main().get("sys/health").json["removed_from_cluster"] is True
        assert member.name not in cluster.raft_members()
        member.stop()
        member.start()
        wait_until(lambda: member.health() == REMOVED, "it still knows that it was removed")
        cluster.wait_whole(serving)
        member.stop()
        member.wipe()
        member.start()
        member.wait_health(PERFORMANCE_STANDBY, within_s=JOINED_S)


def test_joining_through_a_load_balancer(cluster: Cluster) -> None:
    """Peer bug 38: the challenge comes from one node, and its answer goes to another one."""
    balancer = Proxy(free_port(), *((member.host, member.port) for member in cluster.members))
    try:
        with one_more(cluster) as member:
            member.joins = [f"https://{balancer.address}"]
            member.write_config()
            member.start()
            member.wait_health(PERFORMANCE_STANDBY, within_s=JOINED_S)
    finally:
        balancer.close()


def test_a_second_node_of_the_same_id_is_refused(cluster: Cluster) -> None:
    """Both sides say so; the member that is there stays."""
    standby = cluster.standbys[0]
    with one_more(cluster) as member:
        member.name = standby.name
        member.write_config()
        member.start()
        wait_until(lambda: f"{standby.name}" in member.log_text and "join_failed" in member.log_text, "it says why", JOINED_S)
        assert member.health() != PERFORMANCE_STANDBY
        assert standby.health() == PERFORMANCE_STANDBY
        member.stop()
        assert cluster.wait_whole(cluster.members[:3])
        assert is_voter(cluster, standby.name)


def test_a_node_that_is_told_to_join_itself_says_so_and_harms_nobody(cluster: Cluster) -> None:
    with one_more(cluster) as member:
        member.joins = [member.address]
        member.write_config()
        member.start()
        wait_until(lambda: "join_failed" in member.log_text and member.address in member.log_text, "it says why")
        assert member.health() == 501
        cluster.wait_whole(cluster.members[:3])


def test_a_node_of_another_cluster_stays_there(cluster: Cluster) -> None:
    """It has a state already: naming this cluster in its configuration changes nothing, and this cluster never hears of it."""
    with cluster_of(1) as other:
        other.begin()
        other[0].stop()
        other[0].joins = [cluster.active.address]
        other[0].write_config()
        other.restart(other[0])
        other.wait_whole()
        assert set(other.raft_members()) == {"n0"}
        assert len(cluster.raft_members()) == 3
        answer = other[0].main().post("sys/storage/raft/join", {"leader_api_addr": cluster.active.address}).ok()
        assert answer.json == {"joined": True}, "whoever has a state is where it belongs, as in Vault"
        assert len(cluster.raft_members()) == 3


def test_a_node_with_another_seal_key_does_not_get_in(cluster: Cluster) -> None:
    with one_more(cluster) as member:
        text = member.config.read_text()
        member.config.write_text(text.replace('current_key    = "A', 'current_key    = "B'))
        assert member.config.read_text() != text
        member.start()
        wait_until(lambda: "join_failed" in member.log_text, "it says why")
        assert member.name not in cluster.raft_members()


def test_join_challenges_cost_no_memory(cluster: Cluster) -> None:
    """Peer bug 41, CVE-2024-8185: many of them, from anybody, answered or refused, none of them kept."""
    active = cluster.active
    client = active.client("")
    client.post("sys/storage/raft/bootstrap/challenge", {"server_id": "warm"})
    before = memory_bytes(active.pid)
    for number in range(CHALLENGES):
        assert client.post("sys/storage/raft/bootstrap/challenge", {"server_id": f"{number}-" + "x" * 100}).status in (200, 400, 429, 503)
    assert client.post("sys/storage/raft/bootstrap/challenge", {"server_id": "x" * 100_000}).status == 400
    wrong = {"server_id": "a", "raft_id": 1, "answer": "AAAA", "cluster_addr": "a:1"}
    assert client.post("sys/storage/raft/bootstrap/answer", wrong).status == 400
    assert memory_bytes(active.pid) - before < CHALLENGES_COST_MAX_BYTES
    client.close()
    cluster.wait_whole()


def test_three_nodes_with_shares(make_cluster: MakeCluster) -> None:
    """Each node is unsealed by itself; one that was killed comes back sealed, and needs as many shares as ever."""
    found = make_cluster(3, static=False, shares=3, threshold=2).begin()
    mount(found.active.client(), "kv")
    standby = found.standbys[0]
    standby.kill()
    found.active.client().post("kv/data/a", {"data": {"while": "away"}}).ok()
    standby.start()
    wait_until(lambda: standby.health() == 503, "sealed")
    standby.client("").post("sys/unseal", {"key": standby.shares[1]}).ok()
    assert standby.health() == 503
    standby.client("").post("sys/unseal", {"key": standby.shares[2]}).ok()
    found.wait_whole()
    assert standby.client().get("kv/data/a").ok().data["data"] == {"while": "away"}


def test_a_dead_node_is_removed_by_autopilot_only_if_asked(cluster: Cluster, short_path: Path) -> None:
    """Peer bug 34: clean-up is off by default, and refuses a configuration that would make it dangerous."""
    client = cluster.active.main()
    assert client.get("sys/storage/raft/autopilot/configuration").ok().data["cleanup_dead_servers"] is False
    hasty = {"cleanup_dead_servers": True, "min_quorum": 3, "dead_server_last_contact_threshold": "1s"}
    for wrong in ({"cleanup_dead_servers": True}, hasty):
        assert client.post("sys/storage/raft/autopilot/configuration", wrong).status == 400
    state = client.get("sys/storage/raft/autopilot/state").ok().data
    assert state["healthy"] is True
    assert state["failure_tolerance"] == 1
    assert state["leader"] == cluster.active.name
    standby = cluster.standbys[0]
    pid = standby.pid
    standby.kill()
    assert has_ended(pid)
    wait_until(lambda: client.get("sys/storage/raft/autopilot/state").ok().data["healthy"] is False, "not healthy any more")
    assert standby.name in cluster.raft_members()
    assert cluster.active.health() == ACTIVE
