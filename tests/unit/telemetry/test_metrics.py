"""Counting in one process, and adding up."""
from __future__ import annotations

import statistics
from math import isnan

import msgspec
import pytest
from tests.at_once import at_once

from holdfast.errors import InvariantError
from holdfast.telemetry.buckets import Distribution, added
from holdfast.telemetry.metrics import Metrics, Number, Series, Snapshot, merge
from holdfast.telemetry.runtime import add_runtime


def distribution(*values: float) -> Distribution:
    metrics = Metrics("p")
    summary = metrics.summary("s")
    for value in values:
        summary.observe(value)
    return summary.distribution()


def test_what_was_counted_is_in_the_snapshot() -> None:
    metrics = Metrics("p1")
    metrics.counter("token.creation", method="userpass").add()
    metrics.counter("token.creation", method="userpass").add(2)
    metrics.counter("token.untouched")
    metrics.gauge("core.active").set(1)
    metrics.gauge("core.unset")
    metrics.gauge("core.asked").read_from(lambda: 7.5)
    metrics.summary("core.untouched")
    metrics.summary("core.handle_request").observe_ns(2_500_000)
    snapshot = metrics.snapshot()
    assert snapshot.process == "p1"
    assert snapshot.counters == (Number(Series("token.creation", (("method", "userpass"),)), 3),)
    assert snapshot.gauges == (Number(Series("core.active"), 1), Number(Series("core.asked"), 7.5))
    assert [(each.series.name, each.values.count, each.values.sum) for each in snapshot.summaries] == [("core.handle_request", 1, 2.5)]
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(snapshot), type=Snapshot) == snapshot


def test_a_name_has_one_kind() -> None:
    metrics = Metrics("p")
    metrics.counter("a")
    with pytest.raises(InvariantError, match="metric 'a' is a counter, not a gauge"):
        metrics.gauge("a")
    assert metrics.counter("a") is metrics.counter("a")


def test_labels_have_no_order() -> None:
    metrics = Metrics("p")
    assert metrics.counter("a", x="1", y="2") is metrics.counter("a", y="2", x="1")


def test_series_are_bounded() -> None:
    metrics = Metrics("p", series_max=2)
    for number in range(5):
        metrics.counter("a", number=str(number)).add()
    found = {each.series.labels: each.value for each in metrics.snapshot().counters}
    assert found == {(("number", "0"),): 1, (("number", "1"),): 1, (("overflow", "true"),): 3}


def test_gauges_of_a_name_can_be_told_anew() -> None:
    metrics = Metrics("p")
    metrics.gauge("secret.kv.count", mount_point="a/").set(1)
    metrics.gauge("core.active").set(1)
    metrics.drop_gauges("secret.kv.count")
    assert [each.series.name for each in metrics.snapshot().gauges] == ["core.active"]


def test_no_count_is_lost_between_threads() -> None:
    metrics = Metrics("p")
    counter, summary = metrics.counter("a"), metrics.summary("b")

    def count(_: int) -> None:
        for _ in range(20_000):
            counter.add()
            summary.observe(1.0)

    at_once(count, range(4))
    assert (counter.value, summary.distribution().count, summary.distribution().sum) == (80_000, 80_000, 80_000.0)


def test_quantiles_are_near() -> None:
    values = [number / 7 for number in range(1, 10_001)]
    found = distribution(*values)
    for fraction in (0.01, 0.5, 0.9, 0.99, 1.0):
        exact = values[max(0, round(fraction * len(values)) - 1)]
        assert found.quantile(fraction) == pytest.approx(exact, rel=0.025)
    assert found.mean == pytest.approx(statistics.mean(values))
    assert found.deviation == pytest.approx(statistics.stdev(values), rel=0.025)
    assert [found.least, found.most] == pytest.approx([values[0], values[-1]], rel=0.025)


def test_one_value_is_exact_and_none_is_no_number() -> None:
    one = distribution(12.34)
    assert (one.quantile(0.5), one.least, one.most, one.deviation) == (12.34, 12.34, 12.34, 0.0)
    none = distribution()
    assert isnan(none.quantile(0.5))
    assert (none.least, none.most, none.mean, none.deviation) == (0.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize("value", [-1.0, 0.0, 1e-9, 1e12, float("inf")])
def test_no_value_is_too_small_or_too_large(value: float) -> None:
    assert distribution(value, 1.0).count == 2


def test_a_distribution_is_the_sum_of_its_parts() -> None:
    first, second = distribution(1, 2, 3), distribution(1, 2, 3, 400, 400)
    assert second.since(first) == distribution(400, 400)
    assert added((first, distribution(400, 400))) == second
    assert added(()) == Distribution()


def test_processes_add_up() -> None:
    snapshots = []
    for process in ("a", "b"):
        metrics = Metrics(process)
        metrics.counter("c").add(2)
        metrics.counter("c", only=process).add()
        metrics.gauge("g").set(3)
        metrics.summary("s").observe(5)
        snapshots.append(metrics.snapshot())
    total = merge(snapshots)
    assert total.process == ""
    assert [(each.series.labels, each.value) for each in total.counters] == [((), 4), ((("only", "a"),), 1), ((("only", "b"),), 1)]
    assert [each.value for each in total.gauges] == [6]
    assert [(each.values.count, each.values.sum) for each in total.summaries] == [(2, 10.0)]


def test_a_process_tells_of_its_memory() -> None:
    metrics = Metrics("p")
    add_runtime(metrics)
    found = {each.series.name: each.value for each in metrics.snapshot().gauges}
    assert 1 << 20 < found["runtime.alloc_bytes"] < found["runtime.sys_bytes"]
    assert "runtime.num_goroutines" not in found, "there are none"
    assert found["runtime.total_gc_runs"] >= 0
