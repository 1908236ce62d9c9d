"""What a node of a cluster gauges, under Vault's names: raft's indexes everywhere, the other members at the active node alone.

Source of the names: Vault, "Telemetry": integrated storage, autopilot.
"""
from holdfast.engine import AutopilotFacts, NodeFacts
from holdfast.storage.raft import RaftStatus
from holdfast.telemetry.metrics import Metrics

OF_MEMBERS = ("autopilot.healthy", "autopilot.failure_tolerance", "autopilot.node.healthy", "raft.peers",
              "raft_storage.follower.last_heartbeat_ms", "raft_storage.follower.applied_index_delta")
"""What only the active node knows."""


def set_cluster_gauges(metrics: Metrics, facts: NodeFacts, status: RaftStatus) -> None:
    """Whenever the metrics are asked for."""
    own = facts.node_id
    for name, value in (("applied_index", status.applied), ("commit_index", status.committed), ("term", status.term),
                        ("fsm_pending", max(0, status.committed - status.applied))):
        metrics.gauge(f"raft_storage.stats.{name}", peer_id=own).set(float(value))
    for name in OF_MEMBERS:                              # a member that has gone, or a part that this node has no more, is not shown
        metrics.drop_gauges(name)
    if facts.is_active:
        metrics.gauge("raft.peers").set(float(len(status.members)))
        if facts.autopilot is not None:
            _set_members(metrics, facts.autopilot)


def _set_members(metrics: Metrics, autopilot: AutopilotFacts) -> None:
    metrics.gauge("autopilot.healthy").set(float(all(each.is_healthy for each in autopilot.servers)))
    metrics.gauge("autopilot.failure_tolerance").set(float(autopilot.failure_tolerance))
    newest = max((each.index for each in autopilot.servers), default=0)
    for each in autopilot.servers:
        metrics.gauge("autopilot.node.healthy", node_id=each.member.id).set(float(each.is_healthy))
        if each.member.id != autopilot.leader:
            metrics.gauge("raft_storage.follower.last_heartbeat_ms", peer_id=each.member.id).set(float(each.contact_ms))
            metrics.gauge("raft_storage.follower.applied_index_delta", peer_id=each.member.id).set(float(newest - each.index))
