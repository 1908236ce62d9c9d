"""What the workloads share: a cluster in a folder of its own, its load, and one row of the table."""
from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from tests.cluster_nodes import Cluster, Member
from tests.load import Counts, History, Load, Worst, prepare

SETTLE_S = 1.5                                       # under load, before anything happens
CONNECTIONS = 100                                    # to each node, opened before anything happens: clients that were there already


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table. `peers`: their figure, "" where there is none."""

    what: str
    found: str
    reach: str
    peers: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a workload ends in. `notes`: what else there is to know."""

    rows: Sequence[Row]
    notes: Sequence[str] = ()


@dataclass(slots=True, kw_only=True)
class Turns:
    """The same thing done many times, as the clients of `Counts` saw it."""

    counts: list[Counts] = field(default_factory=list)

    @property
    def failed(self) -> int:
        return sum(each.failed for each in self.counts)

    @property
    def stalls_ms(self) -> list[float]:
        return [each.stall.ms for each in self.counts]

    @property
    def median_ms(self) -> float:
        return median(self.stalls_ms)

    @property
    def worst(self) -> Worst:
        return max((each.stall for each in self.counts), key=lambda stall: stall.ms)

    @property
    def stall(self) -> str:
        return f"median {self.median_ms:.0f} ms, worst {self.worst}"

    @property
    def notes(self) -> list[str]:
        """What was offered and what became of it; what failed, in its own words."""
        sums = {name: sum(getattr(each, name) for each in self.counts) for name in ("offered", "completed", "held", "failed")}
        found = ["clients of nodes that lived: " + ", ".join(f"{name} {value:,}" for name, value in sums.items()),
                 "times without a write, ms: " + " ".join(f"{each:.0f}" for each in self.stalls_ms),
                 f"slowest answer: {max((each.worst for each in self.counts), key=lambda worst: worst.ms)}"]
        errors: dict[str, int] = {}
        for each in self.counts:
            for told, count in each.errors.items():
                errors[told] = errors.get(told, 0) + count
        return found + [f"failed {count} times: {told}" for told, count in sorted(errors.items(), key=lambda pair: -pair[1])[:8]]


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """`quick`: shows that everything runs; the figures mean nothing. `turns`: how often a thing is done; None: as the table says."""

    folder: Path
    quick: bool
    turns: int | None = None
    size: int | None = None

    def times(self, full: int) -> int:
        return self.turns if self.turns is not None else 1 if self.quick else full

    def seconds(self, full: float) -> float:
        return min(full, 1.0) if self.quick else full

    def sized(self, full: int, quick: int) -> int:
        return self.size if self.size is not None else quick if self.quick else full

    @contextmanager
    def cluster(self, name: str = "c", **options: object) -> Iterator[tuple[Cluster, str]]:
        """Three nodes that serve, and a token for the mount of the load; they end with the block."""
        found = Cluster(self.folder / name, 3, **options)  # type: ignore[arg-type]   # whatever a cluster takes
        try:
            found.begin()
            yield found, prepare(found.active)
        finally:
            found.end()

    def watched(self, cluster: Cluster, token: str, happen: Callable[[], object], *, survivors: Sequence[Member], after_s: float,
                ) -> tuple[Counts, History]:
        """Load on all nodes; `happen` after a while; counted from then on at the survivors. The whole history is checked."""
        load = Load(cluster.members, token, folder=self.folder, connections=20 if self.quick else CONNECTIONS)
        with load:
            time.sleep(SETTLE_S)
            began = time.monotonic()
            happen()
            time.sleep(after_s)
        load.seen.check()
        return load.seen.counts(since=began, nodes=survivors), load.seen
