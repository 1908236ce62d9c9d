"""The metrics of a node: what all its processes counted, the ended ones too, and what came in the last interval.

Main hands in the snapshots of its processes whenever it is asked for metrics, and by a timer every INTERVAL_S.

Invariants:
1. A counter never falls, though workers end, start, or are too slow to answer: the last that was heard of a process counts on.
2. Gauges are those of the processes that answered now.
3. Memory is bounded: past METRIC_PROCESSES_MAX, the figures of the oldest process that is gone are added to one common sum.
"""
from __future__ import annotations

from collections.abc import Hashable, Sequence

import msgspec

from holdfast.limits import METRIC_PROCESSES_MAX
from holdfast.telemetry.buckets import Distribution
from holdfast.telemetry.exposition import Interval, Naming, Options, json_body, prometheus_body
from holdfast.telemetry.metrics import Number, Series, Snapshot, Summed, merge

INTERVAL_S = 10.0                      # Vault's


class _Mark(msgspec.Struct, frozen=True):
    """The sum at a time."""

    at_s: float
    total: Snapshot


class Collector:
    """One for a node, in main. Not for several threads."""

    def __init__(self, options: Options, *, now_s: float) -> None:
        self._options = options
        self._heard: dict[str, Snapshot] = {}          # by process, the one that was heard of longest ago first
        self._past = Snapshot()                        # processes that are gone
        self._marks: tuple[_Mark, ...] = (_Mark(now_s, Snapshot()),)       # at most two: where the last interval began, and ended
        self._changed: dict[Series, tuple[Hashable, float]] = {}

    @property
    def has_prometheus(self) -> bool:
        """False: the retention time is 0, and sys/metrics refuses the format."""
        return self._options.prometheus_retention_s > 0

    def tick(self, snapshots: Sequence[Snapshot], *, now_s: float) -> None:
        """Called every INTERVAL_S; between two calls lies an interval."""
        self._mark(self._total(snapshots), now_s)

    def prometheus(self, snapshots: Sequence[Snapshot], *, now_s: float, cluster: str = "") -> bytes:
        """The text format, version 0.0.4. `cluster`: its name, where it is known. Quantiles are those of the last 10 to 20 seconds, counts
        and sums of all time."""
        total = self._total(snapshots)
        self._mark(total, now_s, if_due=True)
        fresh = self._without_old(total, now_s)
        return prometheus_body(fresh, _difference(fresh, self._marks[0].total), Naming(self._options, cluster))

    def json(self, snapshots: Sequence[Snapshot], *, now_s: float, cluster: str = "") -> bytes:
        """Vault's JSON: the last whole interval; before there is one, the time since the start."""
        total = self._total(snapshots)
        self._mark(total, now_s, if_due=True)
        first = self._marks[0]
        last = self._marks[1] if len(self._marks) == 2 else _Mark(now_s, total)
        found = _difference(last.total, first.total)
        shown = Interval(first.at_s, last.at_s, msgspec.structs.replace(found, gauges=total.gauges))
        return json_body(shown, Naming(self._options, cluster))

    def _total(self, snapshots: Sequence[Snapshot]) -> Snapshot:
        for snapshot in snapshots:
            self._heard.pop(snapshot.process, None)
            self._heard[snapshot.process] = snapshot
        while len(self._heard) > max(METRIC_PROCESSES_MAX, len(snapshots)):
            oldest = self._heard.pop(next(iter(self._heard)))
            self._past = msgspec.structs.replace(merge((self._past, oldest)), gauges=())
        total = merge((self._past, *self._heard.values()))
        return msgspec.structs.replace(total, gauges=merge(snapshots).gauges)

    def _mark(self, total: Snapshot, now_s: float, *, if_due: bool = False) -> None:
        if not if_due or now_s - self._marks[-1].at_s >= INTERVAL_S:
            self._marks = (self._marks[-1], _Mark(now_s, total))

    def _without_old(self, total: Snapshot, now_s: float) -> Snapshot:
        """Counters and summaries in which nothing has moved for the retention time are left out, as Vault forgets them."""
        def is_fresh(series: Series, state: Hashable) -> bool:
            before, since_s = self._changed.get(series, (None, now_s))
            if before != state:
                since_s = now_s
                self._changed[series] = (state, now_s)
            return now_s - since_s <= self._options.prometheus_retention_s

        return msgspec.structs.replace(
            total, counters=tuple(each for each in total.counters if is_fresh(each.series, each.value)),
            summaries=tuple(each for each in total.summaries if is_fresh(each.series, each.values.count)))


def _difference(later: Snapshot, earlier: Snapshot) -> Snapshot:
    """What came in between; what did not move is left out."""
    counted = {number.series: number.value for number in earlier.counters}
    summed = {each.series: each.values for each in earlier.summaries}
    counters = (Number(each.series, each.value - counted.get(each.series, 0.0)) for each in later.counters)
    summaries = (Summed(each.series, each.values.since(summed.get(each.series, Distribution()))) for each in later.summaries)
    return Snapshot(counters=tuple(each for each in counters if each.value), gauges=later.gauges,
                    summaries=tuple(each for each in summaries if each.values.count))
