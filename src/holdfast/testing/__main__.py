"""`make sim`: runs of a simulated cluster, each from a seed.

    python -m holdfast.testing --seed 17       one run, with its trace's hash; its last lines if it fails
    python -m holdfast.testing --hours 2       runs of other seeds, until so many cluster-hours have gone by
    python -m holdfast.testing --sum FILE …    the figures of outcomes that were written down before
"""
import argparse
import json
import os
import sys
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from itertools import count
from multiprocessing import get_context
from pathlib import Path

import msgspec
from msgspec.structs import replace

from holdfast.telemetry.log import Level
from holdfast.testing.report import Figures
from holdfast.testing.run import Outcome, be_quick, run_one, run_seed, scenario_of

TAIL_LINES = 200
TOLD_EVERY_H = 0.5


def show_one(seed: int) -> int:
    """Once more, with everything that its nodes have to say."""
    scenario = scenario_of(seed)
    outcome = run_one(seed, replace(scenario, keep=100_000, options=replace(scenario.options, log_level=Level.INFO)))
    if outcome.failure is not None:
        print("\n".join([line for line in outcome.tail if ">" not in line.split(" ", 2)[1]][-TAIL_LINES:]))
        print(f"seed {seed}: {outcome.failure}")
    print(json.dumps({"seed": seed, **Figures.of([outcome]).row()}))
    print(f"seed {seed}: trace {run_seed(seed).digest}")
    return int(outcome.failure is not None)


def outcomes_of(first: int, jobs: int) -> Iterator[Outcome]:
    """Of one seed after another, as they end; without end."""
    seeds = count(first)
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=be_quick) as pool:
        running: set[Future[Outcome]] = set()
        try:
            while True:
                running |= {pool.submit(run_seed, next(seeds)) for _ in range(jobs - len(running))}
                done, running = wait(running, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        finally:
            pool.shutdown(cancel_futures=True)


def run_hours(hours: float, first: int, jobs: int, out: Path | None) -> int:
    """Until so many cluster-hours have gone by; every failure with the command that shows it again."""
    figures, told_h = Figures(), 0.0
    outcomes = outcomes_of(first, jobs)
    while figures.seconds < hours * 3600:
        outcome = next(outcomes)
        figures.add(outcome)
        if out is not None:
            with out.open("ab") as file:
                file.write(msgspec.json.encode(outcome) + b"\n")
        if outcome.failure is not None:
            print(f"seed {outcome.seed}: {outcome.failure[:2000]}\nagain: make sim SEED={outcome.seed}", flush=True)
        if figures.seconds / 3600 >= told_h + TOLD_EVERY_H:
            told_h = figures.seconds / 3600
            print(json.dumps(figures.row()), flush=True)
    print(figures.table(), flush=True)
    return int(bool(figures.failed))


def sum_up(files: list[Path]) -> int:
    """Of the same version of the program, or several."""
    figures = Figures()
    for path in files:
        for line in path.read_bytes().splitlines():
            figures.add(msgspec.json.decode(line, type=Outcome))
    print(figures.table())
    return int(bool(figures.failed))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m holdfast.testing", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seed", type=int, help="run this one alone")
    parser.add_argument("--hours", type=float, default=0.5, help="cluster-hours to run")
    parser.add_argument("--first", type=int, default=None, help="the first seed; drawn if it is not given")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--out", type=Path, default=None, help="a file to which a line of JSON is added for each seed")
    parser.add_argument("--sum", type=Path, nargs="+", default=None, help="files of such lines")
    asked = parser.parse_args()
    if asked.sum is not None:
        return sum_up(asked.sum)
    if asked.seed is not None:
        return show_one(asked.seed)
    first = asked.first if asked.first is not None else int.from_bytes(os.urandom(4)) * 1_000
    print(f"seeds from {first} on", flush=True)
    return run_hours(asked.hours, first, asked.jobs, asked.out)


if __name__ == "__main__":
    sys.exit(main())
