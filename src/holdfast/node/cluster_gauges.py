"""What a node of a cluster gauges and counts, under Vault's names: raft's indexes everywhere, the other members at the active node alone,
what it forwards at a standby.

Source of the names: Vault, "Telemetry": high availability, integrated storage, autopilot. Times are in ms.
"""
from collections.abc import Callable, Sequence

from holdfast.engine import AutopilotFacts, NodeFacts
from holdfast.ha.effect import State
from holdfast.ids import Millis
from holdfast.storage import Fence, Log, WriteBatch
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
    metrics.counter("raft.state.candidate").value = float(status.campaigns)
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


class LifeMetrics:
    """What the driver of a node's life tells of it. `boot_ms`: CLOCK_BOOTTIME."""

    def __init__(self, metrics: Metrics, boot_ms: Callable[[], Millis]) -> None:
        self._metrics, self._boot_ms = metrics, boot_ms
        self._state, self._since = State.SEALED, boot_ms()
        self._forward = metrics.summary("ha.rpc.client.forward")
        self._forward_errors = metrics.counter("ha.rpc.client.forward.errors")
        self._contact = metrics.summary("raft.leader.lastContact")

    def changed(self, state: State) -> None:
        """How long the state before took, where that has a name."""
        before, took_ms = self._state, float(self._boot_ms() - self._since)
        self._state, self._since = state, self._boot_ms()
        if before is State.TAKING_OVER:
            self._metrics.summary("core.post_unseal" if state is State.ACTIVE else "core.leadership_setup_failed").observe(took_ms)
        elif before is State.DRAINING:
            self._metrics.summary("core.step_down").observe(took_ms)
        if state is State.TAKING_OVER:
            self._metrics.counter("raft.state.leader").add()
        elif state is State.STANDBY and before is not State.PERFORMANCE_STANDBY:
            self._metrics.counter("raft.state.follower").add()

    def lane_stopped(self, began: Millis) -> None:
        """Everything that only the active node does has ended."""
        self._metrics.summary("core.pre_seal").observe(float(self._boot_ms() - began))

    def hold_renewed(self, began: Millis) -> None:
        """A majority has answered a round that began then."""
        self._contact.observe(float(self._boot_ms() - began))

    def forwarded(self, began: Millis, *, failed: bool) -> None:
        """To the active node, and its answer is here; or there was none."""
        if failed:
            self._forward_errors.add()
        else:
            self._forward.observe(float(self._boot_ms() - began))


class MeasuredLog:
    """A raft log, and how long its appends take."""

    def __init__(self, log: Log, metrics: Metrics, now_ns: Callable[[], int]) -> None:
        self._log, self._now_ns = log, now_ns
        self._took, self._appends = metrics.summary("raft.commitTime").observe_ns, metrics.counter("raft.apply")
        self.fate, self.follow, self.lock, self.unlock = log.fate, log.follow, log.lock, log.unlock
        self.hold_until_boot_ms = log.hold_until_boot_ms

    async def append(self, group: Sequence[WriteBatch], fence: Fence) -> None:
        """As the log's own."""
        began_ns = self._now_ns()
        await self._log.append(group, fence)
        self._took(self._now_ns() - began_ns)
        self._appends.add()
