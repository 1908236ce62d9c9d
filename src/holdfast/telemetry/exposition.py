"""Metrics as text: Prometheus' format, and the JSON of Vault's sys/metrics.

`core.active` is `vault.core.active`; a gauge has the host's name behind the prefix unless `disable_hostname`; the filter looks at that
name. In Prometheus' format it is `vault_core_active`.

Invariants:
1. A name that the filter does not let through is in neither format.
2. Whatever labels hold, the text is one that Prometheus reads.
"""
from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import groupby
from math import isfinite, isnan
from typing import TypeVar

import msgspec

from holdfast.telemetry.buckets import Distribution
from holdfast.telemetry.metrics import Number, Series, Snapshot, Summed

T = TypeVar("T", Number, Summed)
QUANTILES = (0.5, 0.9, 0.99)
OF_THE_CLUSTER, CLUSTER = "core.", "cluster"
"""Gauges that say of which cluster they are, as in Vault: one board shows several clusters by it."""
_FORBIDDEN = re.compile(r"[^a-zA-Z0-9_:]")
_IN_LABELS = re.compile(r'[\\"\n]')
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n"}


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The `telemetry` stanza, as far as names go. `prefix_filter`: `+vault.token`, `-vault.expire`."""

    prefix: str = "vault"
    hostname: str = ""
    disable_hostname: bool = False
    enable_hostname_label: bool = False
    filter_default: bool = True
    prefix_filter: tuple[str, ...] = ()
    prometheus_retention_s: float = 86_400.0


class Naming:
    """Names and labels as they are shown. `cluster`: the name of the cluster, where it is known."""

    def __init__(self, options: Options, cluster: str = "") -> None:
        self._options, self._cluster = options, cluster
        self._allowed = {rule[1:]: rule[0] == "+" for rule in options.prefix_filter if rule[:1] in ("+", "-")}

    def shown(self, series: Series, *, is_gauge: bool) -> Series | None:
        """With prefix and host; None: filtered out."""
        options, parts = self._options, [series.name]
        if is_gauge and options.hostname and not options.disable_hostname and not options.enable_hostname_label:
            parts.insert(0, options.hostname)
        name = ".".join((options.prefix, *parts)) if options.prefix else ".".join(parts)
        if not self._is_allowed(name):
            return None
        labels = series.labels
        if is_gauge and series.name.startswith(OF_THE_CLUSTER) and CLUSTER not in dict(labels):
            labels = tuple(sorted((*labels, (CLUSTER, self._cluster))))
        if options.enable_hostname_label and options.hostname:
            labels = tuple(sorted((*labels, ("host", options.hostname))))
        return Series(name, labels)

    def _is_allowed(self, name: str) -> bool:
        """The longest prefix that fits decides."""
        matching = [prefix for prefix in self._allowed if name.startswith(prefix)]
        return self._allowed[max(matching, key=len)] if matching else self._options.filter_default


class Interval(msgspec.Struct, frozen=True):
    """What came between two times."""

    from_s: float
    to_s: float
    found: Snapshot


def prometheus_body(total: Snapshot, window: Snapshot, naming: Naming) -> bytes:
    """`total`: counts, sums and gauges; `window`: the quantiles' values."""
    recent = {summed.series: summed.values for summed in window.summaries}
    counters = ((shown, [_line(shown, each.value)]) for each, shown in _named(total.counters, naming))
    gauges = ((shown, [_line(shown, each.value)]) for each, shown in _named(total.gauges, naming, is_gauge=True))
    summaries = ((shown, _summary_lines(shown, each.values, recent.get(each.series, Distribution())))
                 for each, shown in _named(total.summaries, naming))
    blocks = [*_families("counter", counters), *_families("gauge", gauges), *_families("summary", summaries)]
    lines: list[str] = []
    for name, kind, samples in sorted(blocks):
        lines += (f"# HELP {name} {name}", f"# TYPE {name} {kind}", *samples)
    return "".join(f"{line}\n" for line in lines).encode(errors="backslashreplace")


def _families(kind: str, shown: Iterable[tuple[Series, list[str]]]) -> Iterator[tuple[str, str, list[str]]]:
    """Samples of one name together: Prometheus demands it."""
    by_name = sorted(((_flat(series.name), series.labels, lines) for series, lines in shown), key=lambda each: each[:2])
    for name, group in groupby(by_name, key=lambda each: each[0]):
        yield name, kind, [line for _, _, lines in group for line in lines]


def _summary_lines(shown: Series, values: Distribution, recent: Distribution) -> list[str]:
    return [
        *(_line(shown, recent.quantile(quantile), ("quantile", str(quantile))) for quantile in QUANTILES),
        _line(shown, values.sum, suffix="_sum"), _line(shown, values.count, suffix="_count"),
    ]


def _named(numbers: Iterable[T], naming: Naming, *, is_gauge: bool = False) -> Iterator[tuple[T, Series]]:
    for each in numbers:
        shown = naming.shown(each.series, is_gauge=is_gauge)
        if shown is not None:
            yield each, shown


def _line(series: Series, value: float, *more: tuple[str, str], suffix: str = "") -> str:
    labels = ",".join(f'{_flat(name)}="{_escaped(text)}"' for name, text in (*series.labels, *more))
    return f"{_flat(series.name)}{suffix}{f'{{{labels}}}' if labels else ''} {_number(value)}"


def _escaped(text: str) -> str:
    return _IN_LABELS.sub(lambda match: _ESCAPES[match[0]], text)


def _flat(name: str) -> str:
    flat = _FORBIDDEN.sub("_", name)
    return f"_{flat}" if flat[:1].isdigit() else flat


def _number(value: float) -> str:
    if isnan(value):
        return "NaN"
    if not isfinite(value):
        return "+Inf" if value > 0 else "-Inf"
    return repr(_short(value))


class _GaugeOut(msgspec.Struct, frozen=True, rename="pascal"):
    name: str
    value: float | int
    labels: dict[str, str]


class _SampleOut(msgspec.Struct, frozen=True, rename="pascal"):
    name: str
    count: int
    rate: float | int
    sum: float | int
    min: float | int
    max: float | int
    mean: float | int
    stddev: float | int
    labels: dict[str, str]


class _BodyOut(msgspec.Struct, frozen=True, rename="pascal"):
    timestamp: str
    gauges: list[_GaugeOut]
    points: list[str]
    counters: list[_SampleOut]
    samples: list[_SampleOut]


def json_body(interval: Interval, naming: Naming) -> bytes:
    """`Rate` is the sum per second of the interval; a counter's steps are ones."""
    found, length_s = interval.found, max(interval.to_s - interval.from_s, 1e-3)
    return msgspec.json.encode(_BodyOut(
        timestamp=datetime.fromtimestamp(round(interval.from_s), UTC).strftime("%Y-%m-%d %H:%M:%S +0000 UTC"),
        gauges=[_GaugeOut(shown.name, _short(each.value), dict(shown.labels))
                for each, shown in _sorted(found.gauges, naming, is_gauge=True)],
        points=[],
        counters=[_counted(shown, each.value, length_s) for each, shown in _sorted(found.counters, naming)],
        samples=[_measured(shown, each.values, length_s) for each, shown in _sorted(found.summaries, naming)]))


def _sorted(numbers: Iterable[T], naming: Naming, *, is_gauge: bool = False) -> list[tuple[T, Series]]:
    return sorted(_named(numbers, naming, is_gauge=is_gauge), key=lambda pair: pair[1])


def _counted(shown: Series, value: float, length_s: float) -> _SampleOut:
    return _SampleOut(shown.name, round(value), _short(value / length_s), _short(value), 1, 1, 1, 0, dict(shown.labels))


def _measured(shown: Series, values: Distribution, length_s: float) -> _SampleOut:
    return _SampleOut(
        shown.name, values.count, _short(values.sum / length_s), _short(values.sum), _short(values.least), _short(values.most),
        _short(values.mean), _short(values.deviation), dict(shown.labels))


def _short(value: float) -> float | int:
    """A whole number is written without a point, as Go writes it."""
    return int(value) if isfinite(value) and value == int(value) and abs(value) < 1e15 else value
