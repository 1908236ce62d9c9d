"""`make sim`: runs of a simulated cluster, each from a seed.

    python -m holdfast.testing --seed 17       one run, with its trace's hash; its last lines if it fails
    python -m holdfast.testing --hours 2       runs of other seeds, until so many cluster-hours have gone by
"""
import argparse
import json
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from itertools import count, islice
from multiprocessing import get_context

from msgspec.structs import replace

from holdfast.telemetry.log import Level
from holdfast.testing.run import Outcome, add_up, run_one, run_seed, scenario_of

TAIL_LINES = 200
TOLD_EVERY_H = 0.1


def show_one(seed: int) -> int:
    """Once more, with everything that its nodes have to say."""
    scenario = scenario_of(seed)
    outcome = run_one(seed, replace(scenario, keep=100_000, options=replace(scenario.options, log_level=Level.INFO)))
    if outcome.failure is not None:
        print("\n".join([line for line in outcome.tail if ">" not in line.split(" ", 2)[1]][-TAIL_LINES:]))
        print(f"seed {seed}: {outcome.failure}")
    print(json.dumps({"seed": seed, **add_up([outcome])}))
    print(f"seed {seed}: trace {run_seed(seed).digest}")
    return int(outcome.failure is not None)


def run_hours(hours: float, first: int, jobs: int) -> int:
    """Until so many cluster-hours have gone by; every failure with the command that shows it again."""
    outcomes: list[Outcome] = []
    done_s, told_h = 0.0, 0.0
    seeds = count(first)
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        while done_s < hours * 3600:
            for outcome in pool.map(run_seed, islice(seeds, jobs * 4)):
                outcomes.append(outcome)
                done_s += outcome.seconds
                if outcome.failure is not None:
                    print(f"seed {outcome.seed}: {outcome.failure[:2000]}\nagain: make sim SEED={outcome.seed}", flush=True)
            if done_s / 3600 >= told_h + TOLD_EVERY_H:
                told_h = done_s / 3600
                print(json.dumps(add_up(outcomes)), flush=True)
    print(json.dumps(add_up(outcomes)))
    return int(any(outcome.failure is not None for outcome in outcomes))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m holdfast.testing", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seed", type=int, help="run this one alone")
    parser.add_argument("--hours", type=float, default=0.5, help="cluster-hours to run")
    parser.add_argument("--first", type=int, default=None, help="the first seed; drawn if it is not given")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    asked = parser.parse_args()
    if asked.seed is not None:
        return show_one(asked.seed)
    first = asked.first if asked.first is not None else int.from_bytes(os.urandom(4)) * 1_000
    print(f"seeds from {first} on", flush=True)
    return run_hours(asked.hours, first, asked.jobs)


if __name__ == "__main__":
    sys.exit(main())
