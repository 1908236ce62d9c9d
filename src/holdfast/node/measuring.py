"""What a process counts of its requests, and what main tells of its node. Source of the names: Vault, "Telemetry"."""
import os
import time
from collections.abc import Callable

from holdfast.engine import NodeFacts
from holdfast.telemetry.metrics import Metrics
from holdfast.telemetry.runtime import add_runtime


def new_metrics() -> Metrics:
    """Of this process."""
    metrics = Metrics(f"{os.getpid()}-{time.time_ns()}")
    add_runtime(metrics)
    return metrics


class RequestMetrics:
    """Kept by whoever serves requests; counting is an addition."""

    def __init__(self, metrics: Metrics) -> None:
        self.metrics = metrics
        self.handled = metrics.summary("core.handle_request").observe_ns
        self.now_ns = time.perf_counter_ns
        self.in_flight = 0                           # of requests that were not answered at once
        metrics.gauge("core.in_flight_requests").read_from(lambda: float(self.in_flight))


def add_node_gauges(metrics: Metrics, facts: Callable[[], NodeFacts], index: Callable[[], int]) -> None:
    """Main's alone: what is true of the node, whatever its processes."""
    states: dict[str, Callable[[NodeFacts], bool]] = {
        "core.unsealed": lambda known: not known.sealed,
        "core.active": lambda known: known.is_active,
        "core.performance_standby": lambda known: known.performance_standby,
        "core.replication.performance.primary": lambda _: False,
        "core.replication.performance.secondary": lambda _: False,
        "core.replication.dr.primary": lambda _: False,
        "core.replication.dr.secondary": lambda _: False,
    }
    for name, holds in states.items():
        metrics.gauge(name).read_from(lambda holds=holds: float(holds(facts())))  # type: ignore[misc]  # bound at each turn
    metrics.gauge("wal.last_wal").read_from(lambda: float(index()))
