"""What a workload found, and how it is shown."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


class Skipped(Exception):
    """This workload cannot run here; says what is missing."""


class Failed(Exception):
    """What was measured is not what was meant: answers were refused, or something did not come true."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One run under load. `cpu_us`: processor time of all the server's processes for one request; None: not ours to ask."""

    requests: int
    requests_s: float
    p50_ms: float
    p99_ms: float
    cpu_us: float | None = None

    def __str__(self) -> str:
        cpu = f"  {self.cpu_us:6.1f} µs CPU a request" if self.cpu_us is not None else ""
        return f"{self.requests_s:9,.0f}/s  p50 {self.p50_ms:7.2f} ms  p99 {self.p99_ms:7.2f} ms{cpu}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """`rows`: a name and its figures, or plain words. `ratios`: what is compared, the ratio, and what it should reach (None: no target)."""

    rows: Sequence[tuple[str, object]]
    ratios: Sequence[tuple[str, float, str | None]] = ()

    def lines(self) -> list[str]:
        width = max((len(name) for name, _ in self.rows), default=0)
        return [*(f"  {name:{width}}  {what}" for name, what in self.rows),
                *(f"  ratio {what}: {ratio:.2f}" + (f"   (to reach: {target})" if target else "") for what, ratio, target in self.ratios)]


def middle(runs: Sequence[Figures]) -> Figures:
    """The medians of several runs of one server, each figure by itself."""
    cpu = [run.cpu_us for run in runs if run.cpu_us is not None]
    return Figures(requests=sum(run.requests for run in runs), requests_s=median(run.requests_s for run in runs),
                   p50_ms=median(run.p50_ms for run in runs), p99_ms=median(run.p99_ms for run in runs),
                   cpu_us=median(cpu) if cpu else None)


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that so many percent of all do not exceed; of at least one value."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]
