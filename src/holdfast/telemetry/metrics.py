"""What a process counts and measures, under Vault's names: counters, gauges, and summaries in milliseconds.

A part of the program asks once for what it counts (`metrics.counter("token.creation", auth_method="userpass")`) and keeps it: counting
itself is an addition. Main collects the snapshots of its workers (`telemetry.collect`).

Invariants:
1. A name has one kind. Asking twice gives the same counter.
2. Counting never fails and never waits. Since Python 3.10 no thread is switched within `x += n`, so no count is lost between threads.
3. At most METRIC_SERIES_MAX series; what comes past them shares one series of its name, without labels but `overflow`.

Left to others: prefix, host name, filter (`telemetry.exposition`).
"""
from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from typing import TypeVar

import msgspec

from holdfast.errors import InvariantError
from holdfast.limits import METRIC_SERIES_MAX
from holdfast.telemetry.buckets import BOUNDS, BUCKETS, Distribution, added


class Series(msgspec.Struct, frozen=True, order=True):
    """A name without prefix, in Vault's dots (`core.handle_request`), and labels in the order of their names."""

    name: str
    labels: tuple[tuple[str, str], ...] = ()


class Number(msgspec.Struct, frozen=True):
    series: Series
    value: float


class Summed(msgspec.Struct, frozen=True):
    series: Series
    values: Distribution


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The state of one process, or of several together. `process`: which one, never used twice; empty for several."""

    process: str = ""
    counters: tuple[Number, ...] = ()
    gauges: tuple[Number, ...] = ()
    summaries: tuple[Summed, ...] = ()


class Counter:
    """Counts up, in steps of one."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def add(self, count: int = 1) -> None:
        self.value += count


class Gauge:
    """A value as it is now; not shown before it is set."""

    __slots__ = ("_read", "value")

    def __init__(self) -> None:
        self.value: float | None = None
        self._read: Callable[[], float] | None = None

    def set(self, value: float) -> None:
        self.value = value

    def read_from(self, read: Callable[[], float]) -> None:
        """The value is asked for whenever a snapshot is taken. `read` is quick and does not raise."""
        self._read = read

    def current(self) -> float | None:
        return self.value if self._read is None else self._read()


class Summary:
    """Values, mostly lengths of time in milliseconds."""

    __slots__ = ("_buckets", "_parts", "_sum")

    def __init__(self) -> None:
        self._buckets, self._sum = [0] * BUCKETS, 0.0
        self._parts: tuple[Summary, ...] = ()

    def include(self, part: Summary) -> None:
        """What that one observes is shown here too, added up when it is asked for: observing it once is enough."""
        self._parts = (*self._parts, part)

    def observe(self, value: float) -> None:
        """Milliseconds, or whatever else the name says."""
        self._buckets[bisect_right(BOUNDS, value)] += 1
        self._sum += value

    def observe_ns(self, nanoseconds: int) -> None:
        """The same for a length of time. Every request passes here: written out, it is one call."""
        value = nanoseconds / 1e6
        self._buckets[bisect_right(BOUNDS, value)] += 1
        self._sum += value

    def distribution(self) -> Distribution:
        buckets = {number: count for number, count in enumerate(self._buckets) if count}
        own = Distribution(sum(buckets.values()), self._sum, buckets)
        return added((own, *(part.distribution() for part in self._parts))) if self._parts else own


T = TypeVar("T", Counter, Gauge, Summary)


class Metrics:
    """The metrics of one process. `process` names it in snapshots: its pid and when it started."""

    def __init__(self, process: str, *, series_max: int = METRIC_SERIES_MAX) -> None:
        self._process, self._series_max = process, series_max
        self._kinds: dict[str, type[Counter | Gauge | Summary]] = {}
        self._counters: dict[Series, Counter] = {}
        self._gauges: dict[Series, Gauge] = {}
        self._summaries: dict[Series, Summary] = {}

    def counter(self, name: str, /, **labels: str) -> Counter:
        return self._find(self._counters, Counter, name, labels)

    def gauge(self, name: str, /, **labels: str) -> Gauge:
        return self._find(self._gauges, Gauge, name, labels)

    def summary(self, name: str, /, **labels: str) -> Summary:
        return self._find(self._summaries, Summary, name, labels)

    def drop_gauges(self, name: str) -> None:
        """All gauges of a name are gone: what they told of is no more, or is told anew."""
        for series in [each for each in self._gauges if each.name == name]:
            del self._gauges[series]

    def snapshot(self) -> Snapshot:
        """What was counted since the process began. What was never touched is left out."""
        gauges = ((series, gauge.current()) for series, gauge in tuple(self._gauges.items()))
        summaries = (Summed(series, summary.distribution()) for series, summary in tuple(self._summaries.items()))
        return Snapshot(
            process=self._process,
            counters=tuple(Number(series, counter.value) for series, counter in tuple(self._counters.items()) if counter.value),
            gauges=tuple(Number(series, value) for series, value in gauges if value is not None),
            summaries=tuple(each for each in summaries if each.values.count))

    def _find(self, table: dict[Series, T], kind: type[T], name: str, labels: dict[str, str]) -> T:
        series = Series(name, tuple(sorted(labels.items())))
        found = table.get(series)
        if found is not None:
            return found
        if self._kinds.setdefault(name, kind) is not kind:
            raise InvariantError(f"metric {name!r} is a {self._kinds[name].__name__.lower()}, not a {kind.__name__.lower()}")
        if len(self._counters) + len(self._gauges) + len(self._summaries) >= self._series_max:
            series = Series(name, (("overflow", "true"),))
        return table.setdefault(series, kind())


def merge(snapshots: Iterable[Snapshot]) -> Snapshot:
    """All of them together: everything adds up, gauges too, as each process sets what is its own."""
    counters, gauges, summaries = dict[Series, float](), dict[Series, float](), dict[Series, list[Distribution]]()
    for snapshot in snapshots:
        for table, numbers in ((counters, snapshot.counters), (gauges, snapshot.gauges)):
            for number in numbers:
                table[number.series] = table.get(number.series, 0.0) + number.value
        for summed in snapshot.summaries:
            summaries.setdefault(summed.series, []).append(summed.values)
    return Snapshot(
        counters=tuple(Number(series, counters[series]) for series in sorted(counters)),
        gauges=tuple(Number(series, gauges[series]) for series in sorted(gauges)),
        summaries=tuple(Summed(series, added(summaries[series])) for series in sorted(summaries)))
