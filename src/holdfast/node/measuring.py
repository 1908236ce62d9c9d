"""What a process counts of its requests, and what main tells of its node. Source of the names: Vault, "Telemetry"."""
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

from holdfast.core.access import Access, Grant
from holdfast.core.lease_store import IRREVOCABLE, LEASES
from holdfast.core.mounts import load_mounts
from holdfast.core.tokens import Principal
from holdfast.engine import Method, NodeFacts, Txn
from holdfast.limits import LEASES_COUNTED_MAX, METRIC_ROUTES_MAX
from holdfast.telemetry.metrics import Metrics
from holdfast.telemetry.runtime import add_runtime

OF_THE_STATE = ("core.mount_table.num_entries", "expire.num_leases", "expire.num_irrevocable_leases")
"""What only the active node tells."""
GRANTED = ("core.check_token", "core.fetch_acl_and_token", "token.lookup")
"""One look at the state here, so the three are alike: the first is observed, the others show it."""
OPERATIONS = {Method.GET: "read", Method.HEAD: "read", Method.LIST: "list", Method.POST: "update", Method.PATCH: "patch",
              Method.DELETE: "delete", Method.HELP: "help"}
"""As Vault calls them. What it calls a create is an update too: whether something was there is not asked for the sake of a figure."""
Observe: TypeAlias = Callable[[int], None]


def new_metrics() -> Metrics:
    """Of this process."""
    metrics = Metrics(f"{os.getpid()}-{time.time_ns()}")
    add_runtime(metrics)
    return metrics


class RequestMetrics:
    """Kept by whoever serves requests; counting is an addition: each request is observed once, at its mount, and all mounts together
    are `core.handle_request`."""

    def __init__(self, metrics: Metrics) -> None:
        self.metrics = metrics
        self.now_ns = time.perf_counter_ns
        self.in_flight = 0                           # of requests that were not answered at once
        self._all = metrics.summary("core.handle_request")
        self.routes: dict[tuple[Method, str], Observe] = {}      # by method and the path of the mount: what `route` has given
        metrics.gauge("core.in_flight_requests").read_from(lambda: float(self.in_flight))

    def route(self, method: Method, mount: str) -> Observe:
        """To be told of each request of this kind, in ns. `mount`: its path; empty where none was found."""
        if not mount or len(self.routes) >= METRIC_ROUTES_MAX:
            return self._all.observe_ns
        summary = self.metrics.summary(f"route.{OPERATIONS[method]}.{mount.replace('/', '-')}")
        self._all.include(summary)
        self.routes[method, mount] = summary.observe_ns
        return summary.observe_ns


def measure_grants(access: Access, metrics: Metrics, now_ns: Callable[[], int]) -> None:
    """Times what a token may do, when it is looked up: most requests find it in the cache, and cost nothing here."""
    looked_up = metrics.summary(GRANTED[0])
    for name in GRANTED[1:]:
        metrics.summary(name).include(looked_up)
    grant, observe = access.grant, looked_up.observe_ns

    def measured(txn: Txn, method: Method, path: str, principal: Principal | None) -> Grant:
        began_ns = now_ns()
        try:
            return grant(txn, method, path, principal)
        finally:
            if principal is not None:
                observe(now_ns() - began_ns)

    access.grant = measured


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
