"""A node's metrics over its processes and over time, in both formats."""
from __future__ import annotations

import json

import pytest

from holdfast.limits import METRIC_PROCESSES_MAX
from holdfast.telemetry.collect import Collector
from holdfast.telemetry.exposition import Naming, Options, prometheus_body
from holdfast.telemetry.metrics import Metrics, Series, Snapshot

START_S = 1_700_000_000.0


def process(name: str, count: int = 0, *durations_ms: float, gauge: float | None = None) -> Snapshot:
    metrics = Metrics(name)
    metrics.counter("token.creation", auth_method="userpass").add(count)
    for duration_ms in durations_ms:
        metrics.summary("core.handle_request").observe(duration_ms)
    if gauge is not None:
        metrics.gauge("core.active", cluster="c1").set(gauge)
    return metrics.snapshot()


def collector(**options: object) -> Collector:
    return Collector(Options(**{"hostname": "h1", "disable_hostname": True, **options}), now_s=START_S)  # type: ignore[arg-type]


def lines(body: bytes) -> dict[str, str]:
    """Values of a Prometheus text by series, its comments left out."""
    return dict(line.rsplit(" ", 1) for line in body.decode().splitlines() if not line.startswith("#"))


def test_the_text_format_whole() -> None:
    body = collector().prometheus([process("main", 2, 4.0, gauge=1), process("w1", 1)], now_s=START_S + 1)
    assert body.decode() == (
        "# HELP vault_core_active vault_core_active\n"
        "# TYPE vault_core_active gauge\n"
        'vault_core_active{cluster="c1"} 1\n'
        "# HELP vault_core_handle_request vault_core_handle_request\n"
        "# TYPE vault_core_handle_request summary\n"
        'vault_core_handle_request{quantile="0.5"} 4\n'
        'vault_core_handle_request{quantile="0.9"} 4\n'
        'vault_core_handle_request{quantile="0.99"} 4\n'
        "vault_core_handle_request_sum 4\n"
        "vault_core_handle_request_count 1\n"
        "# HELP vault_token_creation vault_token_creation\n"
        "# TYPE vault_token_creation counter\n"
        'vault_token_creation{auth_method="userpass"} 3\n')


def test_vaults_json_whole() -> None:
    found = json.loads(collector().json([process("main", 2, 4.0, 8.0, gauge=1)], now_s=START_S + 4))
    assert found["Timestamp"] == "2023-11-14 22:13:20 +0000 UTC"
    assert found["Gauges"] == [{"Name": "vault.core.active", "Value": 1, "Labels": {"cluster": "c1"}}]
    assert isinstance(found["Gauges"][0]["Value"], int)
    assert found["Points"] == []
    assert found["Counters"] == [{
        "Name": "vault.token.creation", "Count": 2, "Rate": 0.5, "Sum": 2, "Min": 1, "Max": 1, "Mean": 1, "Stddev": 0,
        "Labels": {"auth_method": "userpass"}}]
    sample = found["Samples"][0]
    assert (sample["Name"], sample["Count"], sample["Sum"], sample["Mean"], sample["Rate"], sample["Labels"]) == (
        "vault.core.handle_request", 2, 12, 6, 3, {})
    assert [sample["Min"], sample["Max"], sample["Stddev"]] == pytest.approx([4, 8, 2.83], rel=0.06)
    assert list(sample) == ["Name", "Count", "Rate", "Sum", "Min", "Max", "Mean", "Stddev", "Labels"]


def test_json_tells_of_the_last_whole_interval() -> None:
    node = collector()
    node.tick([process("main", 10, 1.0)], now_s=START_S + 10)
    node.tick([process("main", 15, 1.0)], now_s=START_S + 20)
    found = json.loads(node.json([process("main", 99, 1.0, gauge=0)], now_s=START_S + 25))
    assert found["Timestamp"] == "2023-11-14 22:13:30 +0000 UTC"
    assert [(each["Count"], each["Rate"]) for each in found["Counters"]] == [(5, 0.5)]
    assert found["Samples"] == []
    assert [each["Value"] for each in found["Gauges"]] == [0]


def test_without_a_timer_the_intervals_lie_between_the_questions() -> None:
    node = collector()
    node.json([process("main", 10)], now_s=START_S + 30)
    found = json.loads(node.json([process("main", 16)], now_s=START_S + 90))
    assert [(each["Count"], each["Rate"]) for each in found["Counters"]] == [(6, 0.1)]


def test_quantiles_are_of_the_last_intervals_and_counts_of_all_time() -> None:
    node = collector()
    slow = (900.0,) * 100
    node.tick([process("main", 0, *slow)], now_s=START_S + 10)
    node.tick([process("main", 0, *slow)], now_s=START_S + 20)
    found = lines(node.prometheus([process("main", 0, *slow, 5.0)], now_s=START_S + 25))
    assert float(found['vault_core_handle_request{quantile="0.99"}']) == pytest.approx(5.0, rel=0.03)
    assert found["vault_core_handle_request_count"] == "101"
    node.tick([process("main", 0, *slow, 5.0)], now_s=START_S + 30)
    node.tick([process("main", 0, *slow, 5.0)], now_s=START_S + 40)
    found = lines(node.prometheus([process("main", 0, *slow, 5.0)], now_s=START_S + 45))
    assert found['vault_core_handle_request{quantile="0.5"}'] == "NaN"


def test_gauges_of_the_core_say_of_which_cluster_they_are() -> None:
    metrics = Metrics("main")
    metrics.gauge("core.unsealed").set(1.0)
    metrics.gauge("raft.peers").set(3.0)
    node = Collector(Options(disable_hostname=True), now_s=START_S)
    for cluster in ("", "c1"):
        body = node.prometheus([metrics.snapshot()], now_s=START_S, cluster=cluster)
        assert lines(body) == {f'vault_core_unsealed{{cluster="{cluster}"}}': "1", "vault_raft_peers": "3"}


def test_a_counter_never_falls_when_a_worker_ends_or_is_slow() -> None:
    node = collector()
    key = 'vault_token_creation{auth_method="userpass"}'
    seen = [
        float(lines(node.prometheus(snapshots, now_s=START_S + at_s))[key])
        for at_s, snapshots in enumerate([
            [process("main", 1), process("w1", 10)], [process("main", 2)], [process("main", 2), process("w1", 11)],
            [process("main", 2), process("w2", 1)], [process("main", 3), process("w2", 2)]])
    ]
    assert seen == [11, 12, 13, 14, 16]


def test_gauges_are_of_those_that_answered() -> None:
    node = collector()
    node.prometheus([process("main", gauge=1), process("w1", gauge=1)], now_s=START_S)
    assert lines(node.prometheus([process("main", gauge=1)], now_s=START_S))['vault_core_active{cluster="c1"}'] == "1"


def test_processes_that_are_gone_are_bounded_and_still_counted() -> None:
    node = collector()
    for number in range(METRIC_PROCESSES_MAX * 2):
        body = node.prometheus([process("main", 1), process(f"w{number}", 1, gauge=5)], now_s=START_S)
    counted = str(METRIC_PROCESSES_MAX * 2 + 1)
    assert lines(body) == {'vault_token_creation{auth_method="userpass"}': counted, 'vault_core_active{cluster="c1"}': "5"}


def test_what_does_not_move_for_the_retention_time_is_forgotten_until_it_moves() -> None:
    node = collector(prometheus_retention_s=100.0)
    assert lines(node.prometheus([process("main", 1)], now_s=START_S))
    assert lines(node.prometheus([process("main", 1)], now_s=START_S + 100))
    assert not lines(node.prometheus([process("main", 1)], now_s=START_S + 101))
    assert lines(node.prometheus([process("main", 2)], now_s=START_S + 102))


def test_no_retention_is_no_prometheus() -> None:
    assert collector().has_prometheus
    assert not collector(prometheus_retention_s=0.0).has_prometheus


@pytest.mark.parametrize(("options", "gauge", "counter"), [
    ({}, "vault_core_active", "vault_token_creation"),
    ({"disable_hostname": False}, "vault_h1_core_active", "vault_token_creation"),
    ({"disable_hostname": False, "hostname": ""}, "vault_core_active", "vault_token_creation"),
    ({"prefix": "my.app"}, "my_app_core_active", "my_app_token_creation"),
    ({"prefix": ""}, "core_active", "token_creation"),
])
def test_names(options: dict[str, object], gauge: str, counter: str) -> None:
    body = collector(**options).prometheus([process("main", 1, gauge=1)], now_s=START_S)
    assert {name.partition("{")[0] for name in lines(body)} == {gauge, counter}


def test_the_host_as_a_label() -> None:
    body = collector(disable_hostname=False, enable_hostname_label=True).prometheus([process("main", 1, gauge=1)], now_s=START_S)
    assert set(lines(body)) == {'vault_core_active{cluster="c1",host="h1"}', 'vault_token_creation{auth_method="userpass",host="h1"}'}


@pytest.mark.parametrize(("rules", "default", "shown"), [
    ((), True, {"a.b", "a.b.c", "d"}), ((), False, set()), (("-vault.a",), True, {"d"}), (("+vault.a.b",), False, {"a.b", "a.b.c"}),
    (("-vault.a", "+vault.a.b.c"), True, {"a.b.c", "d"}), (("+vault.a.b.c", "-vault.a"), True, {"a.b.c", "d"}),
])
def test_the_longest_prefix_filters(rules: tuple[str, ...], default: bool, shown: set[str]) -> None:
    naming = Naming(Options(prefix_filter=rules, filter_default=default))
    assert {name for name in ("a.b", "a.b.c", "d") if naming.shown(Series(name), is_gauge=False)} == shown


def test_names_and_labels_are_made_fit_for_prometheus() -> None:
    metrics = Metrics("p")
    metrics.counter("core.seal-with-request", **{"mount-point": 'a"b\\c\nd'}).add()
    metrics.counter("core.seal with request").add()
    metrics.gauge("9lives").set(float("inf"))
    body = prometheus_body(metrics.snapshot(), Snapshot(), Naming(Options(prefix=""))).decode()
    assert body == (
        "# HELP _9lives _9lives\n# TYPE _9lives gauge\n_9lives +Inf\n"
        "# HELP core_seal_with_request core_seal_with_request\n# TYPE core_seal_with_request counter\n"
        'core_seal_with_request 1\ncore_seal_with_request{mount_point="a\\"b\\\\c\\nd"} 1\n')
