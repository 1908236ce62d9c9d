"""What is counted beside requests: logins, tokens made, audit entries that nobody took, what the state says."""
import asyncio
from collections.abc import Awaitable

import pytest
from tests.unit.core.token_node import TokenNode

from holdfast.core.lease_store import IRREVOCABLE
from holdfast.engine import Client, Method, Reply, Request
from holdfast.ids import RequestId
from holdfast.limits import METRIC_ROUTES_MAX
from holdfast.node.logins import Logins
from holdfast.node.measuring import GRANTED, RequestMetrics, count_audit_failures, measure_grants, set_state_gauges
from holdfast.node.serving import Served
from holdfast.telemetry.metrics import Metrics, Series


def counters(metrics: Metrics) -> dict[Series, float]:
    return {number.series: number.value for number in metrics.snapshot().counters}


def gauges(metrics: Metrics) -> dict[Series, float]:
    return {number.series: number.value for number in metrics.snapshot().gauges}


def ask(metrics: Metrics, path: str, *, method: Method = Method.POST, status: int = 200) -> None:
    def serve(request: Request) -> Served | Awaitable[Served]:
        return Reply(status=status)

    async def whole() -> Served:
        answer = Logins(metrics, serve).serve(Request(id=RequestId("1"), method=method, path=path, client=Client(address="")))
        return await answer if isinstance(answer, Awaitable) else answer

    assert asyncio.run(whole()).status == status


@pytest.mark.parametrize(("path", "mount"), [
    ("auth/userpass/login/bob", "auth/userpass/"), ("auth/team/eu/login", "auth/team/eu/"), ("auth/token/create", "auth/token/"),
    ("auth/token/create-orphan", "auth/token/"), ("auth/token/create/app", "auth/token/"),
])
def test_a_token_made_is_counted_at_its_mount(path: str, mount: str) -> None:
    metrics = Metrics("1")
    ask(metrics, path)
    ask(metrics, path, status=400)
    assert counters(metrics) == {Series("token.creation", (("mount_point", mount),)): 1.0}
    timed = [summed.values.count for summed in metrics.snapshot().summaries]
    assert timed == ([] if mount == "auth/token/" else [2]), "a login is timed, whatever came of it"


@pytest.mark.parametrize(("method", "path"), [
    (Method.GET, "auth/userpass/login/bob"), (Method.POST, "auth/token/renew-self"), (Method.POST, "auth/userpass/users/bob"),
    (Method.POST, "secret/login"), (Method.POST, "auth/token/roles/login"), (Method.POST, "auth/userpass/loginx"),
])
def test_nothing_else_is(method: Method, path: str) -> None:
    metrics = Metrics("1")
    ask(metrics, path, method=method)
    assert (counters(metrics), metrics.snapshot().summaries) == ({}, ())


def test_a_request_is_observed_once_and_counts_at_its_mount_and_in_the_whole() -> None:
    metrics = Metrics("1")
    requests = RequestMetrics(metrics)
    for method, mount in ((Method.GET, "secret/"), (Method.POST, "auth/team/eu/"), (Method.GET, "secret/"), (Method.LIST, "")):
        observe = requests.routes.get((method, mount)) or requests.route(method, mount)
        observe(2_000_000)
    counted = {each.series.name: (each.values.count, each.values.sum) for each in metrics.snapshot().summaries}
    assert counted == {"core.handle_request": (4, 8.0), "route.read.secret-": (2, 4.0), "route.update.auth-team-eu-": (1, 2.0)}


def test_past_the_bound_mounts_share_the_whole() -> None:
    metrics = Metrics("1")
    requests = RequestMetrics(metrics)
    for number in range(METRIC_ROUTES_MAX + 5):
        requests.route(Method.GET, f"m{number}/")(1_000_000)
    found = metrics.snapshot().summaries
    assert len(found) == METRIC_ROUTES_MAX + 1
    assert next(each.values.count for each in found if each.series.name == "core.handle_request") == METRIC_ROUTES_MAX + 5


def test_what_a_token_may_do_is_timed_when_it_is_looked_up() -> None:
    node = TokenNode()
    metrics, nows = Metrics("1"), iter(range(0, 100_000_000, 3_000_000))
    measure_grants(node.access, metrics, lambda: next(nows))
    for _ in range(2):
        assert node.call(Method.GET, "auth/token/lookup-self", token=node.root).status == 200
    node.call(Method.GET, "sys/replication/status", token=None)
    timed = {each.series.name: (each.values.count, each.values.sum) for each in metrics.snapshot().summaries}
    assert timed.keys() == set(GRANTED)
    assert set(timed.values()) == {(1, 3.0)}, "the second one found it in the cache, the third one has no token"


def test_entries_that_no_device_took() -> None:
    metrics = Metrics("1")
    failed = count_audit_failures(metrics)
    failed([b'{"time":"2026","type":"request","auth":{}}\n'])
    failed([b'{"time":"2026","type":"request","auth":{}}\n{"time":"2026","type":"response","auth":{}}\n'])
    assert counters(metrics) == {Series("audit.log_request_failure"): 2.0, Series("audit.log_response_failure"): 1.0}


def test_what_the_state_says() -> None:
    node, metrics = TokenNode(), Metrics("1")
    txn = node.txn()
    for number in range(3):
        txn.put(f"{IRREVOCABLE}contract/creds/a/{number}", b"")
    node._commit(txn.changes())
    set_state_gauges(metrics, node.txn())
    shown = gauges(metrics)
    assert shown[Series("expire.num_irrevocable_leases")] == 3
    assert shown[Series("core.mount_table.num_entries", (("local", "false"), ("type", "auth")))] == 3
