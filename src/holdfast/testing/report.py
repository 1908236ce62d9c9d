"""Figures of many runs, added up, beside what a hundred hours are to reach."""
from collections import Counter
from collections.abc import Iterable

from holdfast.testing.run import ALL_WEIGHTS, Outcome

WANTED_HOURS, WANTED_CHANGES, WANTED_READS, WANTED_OF_EACH_FAULT = 100, 20_000, 10_000_000, 1_000


class Figures:
    """`seconds` of clusters' time, `cpu_s` of real processors'. `failed`: the seeds with a violation."""

    def __init__(self) -> None:
        self.runs = self.changes = self.reads = 0
        self.seconds = self.cpu_s = self.longest_gap_s = 0.0
        self.faults: Counter[str] = Counter(dict.fromkeys(ALL_WEIGHTS, 0))
        self.answers: Counter[str] = Counter()
        self.failed: list[int] = []

    @classmethod
    def of(cls, outcomes: Iterable[Outcome]) -> "Figures":
        figures = cls()
        for each in outcomes:
            figures.add(each)
        return figures

    def add(self, outcome: Outcome) -> None:
        self.runs += 1
        self.changes += outcome.changes
        self.reads += outcome.reads
        self.seconds += outcome.seconds
        self.cpu_s += outcome.cpu_s
        self.longest_gap_s = max(self.longest_gap_s, outcome.longest_gap_s)
        self.faults.update(outcome.faults)
        self.answers.update(outcome.statuses)
        if outcome.failure is not None:
            self.failed.append(outcome.seed)

    def row(self) -> dict[str, object]:
        return {"runs": self.runs, "cluster_hours": round(self.seconds / 3600, 3), "cpu_s": round(self.cpu_s),
                "changes_of_active": self.changes, "checked_reads": self.reads, "longest_gap_s": round(self.longest_gap_s, 2),
                "faults": dict(sorted(self.faults.items())), "answers": dict(sorted(self.answers.items())), "failed_seeds": self.failed}

    def table(self) -> str:
        """For people."""
        rarest = min(self.faults, key=lambda name: (self.faults[name], name))
        rows = (("cluster-hours", f"{self.seconds / 3600:.2f}", WANTED_HOURS),
                ("changes of the active node", f"{self.changes:,}", WANTED_CHANGES),
                ("checked reads", f"{self.reads:,}", WANTED_READS),
                (f"rarest of {len(self.faults)} faults: {rarest}", f"{self.faults[rarest]:,}", WANTED_OF_EACH_FAULT),
                ("violations", str(len(self.failed)), 0))
        lines = [f"{what:44} {here:>14} {wanted:>14,}" for what, here, wanted in rows]
        faults = ", ".join(f"{name} {times:,}" for name, times in sorted(self.faults.items()))
        return "\n".join([f"{'':44} {'here':>14} {'in 100 hours':>14}", *lines, f"faults: {faults}",
                          f"{self.runs} runs, {self.cpu_s:,.0f} s of processors' time"
                          + "".join(f"\nviolation: make sim SEED={seed}" for seed in self.failed)])
