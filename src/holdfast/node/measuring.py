"""What a process counts of its requests, and what main tells of its node. Source of the names: Vault, "Telemetry"."""
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from holdfast.core.lease_store import IRREVOCABLE, LEASES
from holdfast.core.mounts import load_mounts
from holdfast.engine import NodeFacts, Txn
from holdfast.limits import LEASES_COUNTED_MAX
from holdfast.telemetry.metrics import Metrics
from holdfast.telemetry.runtime import add_runtime

OF_THE_STATE = ("core.mount_table.num_entries", "expire.num_leases", "expire.num_irrevocable_leases")
"""What only the active node tells."""


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


@contextmanager
def took(metrics: Metrics, *names: str) -> Iterator[None]:
    """How long what is inside takes, whether it ends well or not."""
    began_ns = time.perf_counter_ns()
    try:
        yield
    finally:
        for name in names:
            metrics.summary(name).observe_ns(time.perf_counter_ns() - began_ns)


def count_audit_failures(metrics: Metrics) -> Callable[[Sequence[bytes]], None]:
    """To be told of the lines that no device took: an alert on either name means that the node serves nothing."""
    failures = {b'","type":"request",': metrics.counter("audit.log_request_failure"),
                b'","type":"response",': metrics.counter("audit.log_response_failure")}

    def failed(lines: Sequence[bytes]) -> None:
        for mark, counter in failures.items():
            if any(mark in line for line in lines):
                counter.add()

    return failed


def set_state_gauges(metrics: Metrics, txn: Txn) -> None:
    """What the newest state says, now and then: how many mounts of each kind, leases, and leases that no engine could revoke (of more than
    LEASES_COUNTED_MAX not how many)."""
    entries = txn.derive(load_mounts).by_path.values()
    for is_auth, kind in ((False, "logical"), (True, "auth")):
        for is_local in (False, True):
            count = sum(entry.is_auth is is_auth and entry.local is is_local for entry in entries)
            metrics.gauge("core.mount_table.num_entries", type=kind, local=str(is_local).lower()).set(float(count))
    metrics.gauge("expire.num_leases").set(float(len(LEASES.names(txn, limit=LEASES_COUNTED_MAX))))
    metrics.gauge("expire.num_irrevocable_leases").set(float(len(txn.names(IRREVOCABLE, limit=LEASES_COUNTED_MAX))))


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
        "core.replication.write_undo_logs": lambda _: False,
    }
    for name, holds in states.items():
        metrics.gauge(name).read_from(lambda holds=holds: float(holds(facts())))  # type: ignore[misc]  # bound at each turn
    metrics.gauge("wal.last_wal").read_from(lambda: float(index()))
