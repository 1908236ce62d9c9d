"""Gauges of a node of a cluster."""
from msgspec.structs import replace

from holdfast.engine import AutopilotFacts, NodeFacts, RaftMember, ServerHealth
from holdfast.ids import Millis, NodeId
from holdfast.node.cluster_gauges import set_cluster_gauges
from holdfast.storage.raft import Member, RaftStatus
from holdfast.telemetry.metrics import Metrics

MEMBERS = tuple(Member(id=NodeId(name), raft_id=at, address=f"{name}:8201", voter=True) for at, name in enumerate(("n1", "n2"), 1))
STATUS = RaftStatus(term=7, leader=NodeId("n1"), is_leader=True, is_removed=False, committed=100, applied=98,
                    last=100, members=MEMBERS, peers=())


def server(name: str, *, healthy: bool, index: int, contact_ms: int) -> ServerHealth:
    member = RaftMember(id=NodeId(name), raft_id=int(name[1:]), address=f"{name}:8201", voter=True)
    return ServerHealth(member=member, contact_ms=contact_ms, term=7, index=index, is_healthy=healthy, since_ms=Millis(0))


AUTOPILOT = AutopilotFacts(leader=NodeId("n1"), failure_tolerance=1, servers=(
    server("n1", healthy=True, index=100, contact_ms=0), server("n2", healthy=False, index=90, contact_ms=12_000)))
ACTIVE = NodeFacts(node_id="n1", is_active=True, sealed=False, autopilot=AUTOPILOT)


def shown(metrics: Metrics) -> dict[str, float]:
    return {f"{number.series.name} {'/'.join(value for _, value in number.series.labels)}".strip(): number.value
            for number in metrics.snapshot().gauges}


def test_an_active_node_and_then_none() -> None:
    metrics = Metrics("p")
    set_cluster_gauges(metrics, ACTIVE, STATUS)
    own = {"raft_storage.stats.applied_index n1": 98.0, "raft_storage.stats.commit_index n1": 100.0, "raft_storage.stats.term n1": 7.0,
           "raft_storage.stats.fsm_pending n1": 2.0}
    assert shown(metrics) == {
        **own, "raft.peers": 2.0, "autopilot.healthy": 0.0, "autopilot.failure_tolerance": 1.0, "autopilot.node.healthy n1": 1.0,
        "autopilot.node.healthy n2": 0.0, "raft_storage.follower.last_heartbeat_ms n2": 12_000.0,
        "raft_storage.follower.applied_index_delta n2": 10.0}
    set_cluster_gauges(metrics, replace(ACTIVE, is_active=False, autopilot=None), replace(STATUS, is_leader=False))
    assert shown(metrics) == own


def test_how_often_it_stood_for_election() -> None:
    metrics = Metrics("p")
    for campaigns in (1, 3):
        set_cluster_gauges(metrics, ACTIVE, replace(STATUS, campaigns=campaigns))
    counted, = metrics.snapshot().counters
    assert (counted.series.name, counted.value) == ("raft.state.candidate", 3.0)


def test_a_member_that_has_gone_is_not_shown() -> None:
    metrics = Metrics("p")
    set_cluster_gauges(metrics, ACTIVE, STATUS)
    set_cluster_gauges(metrics, replace(ACTIVE, autopilot=replace(AUTOPILOT, servers=AUTOPILOT.servers[:1])), STATUS)
    assert not [name for name in shown(metrics) if name.endswith("n2")]
