"""Every operation of every route, once through a standby of one cluster and once at the active node of another: the same answers.

Most of the peers' bugs with standby reads show in this one test: a route that a standby answers wrongly, or does not pass on, fails it.
What is about the one node that was asked is left to `test_what_is_about_one_node`.
"""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from tests.cluster_nodes import CALM, Cluster, cluster
from tests.peer_bugs.script import SCRIPT, Step
from tests.peer_bugs.test_every_route import Conversation, Same

ABOUT_THE_NODE = ("sys/health", "sys/leader", "sys/step-down", "sys/metrics", "sys/ha-status")
RAFT = "sys/storage/raft/"
SNAPSHOTS = ("sys/storage/raft/snapshot", "sys/storage/raft/snapshot-force")
LOOSE = ("sys/storage/raft/autopilot/state", "sys/storage/raft/configuration")
"""How far the log has come, when whom was heard of: two clusters differ there."""


@pytest.fixture(scope="module")
def clusters() -> Iterator[tuple[Cluster, Cluster]]:
    """Of two nodes each, so that the test is no slower than it must be."""
    with cluster(2, contract=True, **CALM) as one, cluster(2, contract=True, **CALM) as other:
        yield one.begin(), other.begin()


class OfCluster(Same):
    """Addresses are told by the part that their node has."""

    def __init__(self, found: Cluster) -> None:
        active, standby = found.active, found.standbys[0]
        super().__init__(active)
        self._here = {str(found.folder): "<folder>"}
        for part, member in (("active", active), ("standby", standby)):
            self._here |= {
                member.address: f"<{part}>", f"127.0.0.1:{member.port}": f"<{part}>", str(member.folder): "<folder of a node>",
                f"https://{member.cluster_address}": f"<{part} cluster>", member.cluster_address: f"<{part} cluster>"}


def _conversation(found: Cluster) -> Conversation:
    talk = Conversation(found.active)
    talk._same = OfCluster(found)
    return talk


def test_through_a_standby_every_operation_answers_as_at_the_active_node(clusters: tuple[Cluster, Cluster]) -> None:
    through, at = clusters
    standby, active = through.standbys[0].client(), at.active.client()
    one, other = _conversation(through), _conversation(at)
    wrong: list[str] = []
    for number, step in enumerate(_script()):
        (from_standby, answer), (from_active, expected) = one.say(standby, step), other.say(active, step)
        where = f"step {number}: {step.method} {step.path}"
        is_expected = step.path.startswith(RAFT) or answer.status == expected.status == step.status
        if not is_expected:
            wrong.append(f"{where}: {answer.status} from the standby, {expected.status} from the active node, not {step.status}: "
                         f"{answer.body!r} and {expected.body!r}")
        elif from_standby != from_active:
            wrong.append(f"{where}:\n--- standby\n{from_standby}\n--- active\n{from_active}")
    assert not wrong, f"{len(wrong)} of {len(_script())} steps\n" + "\n".join(wrong)
    assert through.states()[through.standbys[0].name] == 473


def _script() -> list[Step]:
    """Without what is about one node, and without the end, where it is sealed."""
    chosen = [step for step in SCRIPT[:-9] if step.path.partition("?")[0] not in (*ABOUT_THE_NODE, *SNAPSHOTS)]
    return [replace(step, loose=step.loose or step.path in LOOSE) for step in chosen]


def test_what_is_about_one_node(clusters: tuple[Cluster, Cluster]) -> None:
    found, _ = clusters
    active, standby = found.active, found.standbys[0]
    for member, is_active in ((active, True), (standby, False)):
        for client in (member.client(), member.main()):
            leader = client.get("sys/leader").ok().json
            assert leader["ha_enabled"] is True
            assert leader["is_self"] is is_active
            assert leader["performance_standby"] is not is_active
            assert leader["leader_address"] == active.address
            assert leader["leader_cluster_address"] == f"https://{active.cluster_address}"
            assert (leader["active_time"] == "0001-01-01T00:00:00Z") is not is_active
            health = client.get("sys/health")
            assert health.status == (200 if is_active else 473)
            assert health.json["standby"] is health.json["performance_standby"] is not is_active
            assert client.get("sys/health?standbyok=true").status == (200 if is_active else 473)
            assert client.get("sys/health?perfstandbyok=true").status == 200
            assert client.get("sys/health?performancestandbycode=299").status == (200 if is_active else 299)
            assert client.ask("HEAD", "sys/health").status == (200 if is_active else 473)
            nodes = client.get("sys/ha-status").ok().data["nodes"]
            assert {node["api_address"]: node["active_node"] for node in nodes} == {active.address: True, standby.address: False}
            assert client.get("sys/metrics").status == 200


def test_snapshots_and_standbys(clusters: tuple[Cluster, Cluster]) -> None:
    """One that is saved goes through a standby, unless its client asks to be sent on; one that is put back always is, as in Vault."""
    found, _ = clusters
    active, standby = found.active, found.standbys[0]
    for node in (active, standby):
        assert node.client().get(SNAPSHOTS[0]).header("content-type") == "application/gzip"
        for path in SNAPSHOTS:
            assert node.client().ask("POST", path, raw=b"something").status == (400 if node is active else 307)
    sent = standby.client().ask("GET", SNAPSHOTS[0], headers={"X-Vault-No-Request-Forwarding": "true"})
    assert (sent.status, sent.header("location")) == (307, f"{active.address}/v1/{SNAPSHOTS[0]}")


def test_a_standby_is_sealed_and_unsealed(clusters: tuple[Cluster, Cluster]) -> None:
    """`sys/seal` is about the node that is asked, on a performance standby too: it is not passed on."""
    found, _ = clusters
    standby, active = found.standbys[0], found.active
    assert standby.client().post("sys/seal").status == 204
    standby.wait_health(503)
    assert active.health() == 200
    assert standby.main().get("sys/leader").status == 503
    assert standby.cli("status").returncode == 2
    standby.stop()
    found.restart(standby)
    found.wait_whole()
