"""What is counted beside requests: logins, tokens made, audit entries that nobody took, what the state says."""
import asyncio
from collections.abc import Awaitable

import pytest
from tests.unit.core.token_node import TokenNode

from holdfast.core.lease_store import IRREVOCABLE
from holdfast.engine import Client, Method, Reply, Request
from holdfast.ids import RequestId
from holdfast.node.logins import Logins
from holdfast.node.measuring import count_audit_failures, set_state_gauges
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
