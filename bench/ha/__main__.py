"""`python -m bench.ha`: runs the workloads one after the other, prints one table, leaves nothing behind."""
from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.figures import Failed, Skipped
from bench.ha.failover import big, cut, kill, pause, standby_stopped, step_down
from bench.ha.standby import forward_writes, fresh_tokens, read_latency, standby_read_cpu
from bench.ha.world import Row, Told, World
from bench.machine import append_us, describe

WORKLOADS: tuple[Callable[[World], Told], ...] = (
    kill, pause, cut, step_down, standby_stopped, forward_writes, standby_read_cpu, fresh_tokens, read_latency, big)
NOT_BY_ITSELF = {"big"}                              # an hour: only when it is asked for


def main() -> int:
    """0: all that could run here ran; 1: one failed, or none could."""
    names = [workload.__name__ for workload in WORKLOADS]
    parser = argparse.ArgumentParser(prog="python -m bench.ha", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="once each, small: shows that everything runs, the figures mean nothing")
    parser.add_argument("--only", action="append", metavar="NAME", help=f"one or more of {', '.join(names)}, apart by | or by commas")
    parser.add_argument("--turns", type=int, help="how often each thing is done, instead of as often as the table says")
    parser.add_argument("--size", type=int, help="of big: keys, and as many leases; of fresh_tokens: tokens")
    parser.add_argument("--folder", type=Path, help="on the disk that is to be measured; otherwise the temporary folder")
    options = parser.parse_args()
    wanted = {name for given in options.only or () for name in given.replace("|", ",").split(",")}
    if unknown := wanted - set(names):
        parser.error(f"no workload {', '.join(sorted(unknown))}")
    folder = Path(tempfile.mkdtemp(prefix="hf-", dir=options.folder))
    try:
        print("\n".join(describe(folder)))
        print(f"append   {append_us(folder, count=200):.0f} µs with fdatasync, the median of 200", flush=True)
        chosen = [each for each in WORKLOADS if (each.__name__ in wanted if wanted else each.__name__ not in NOT_BY_ITSELF)]
        return _run(chosen, World(folder=folder, quick=options.quick, turns=options.turns, size=options.size))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(chosen: list[Callable[[World], Told]], world: World) -> int:
    rows: list[Row] = []
    failed = 0
    for workload in chosen:
        print(f"\n{workload.__name__}: {(workload.__doc__ or '').strip()}", flush=True)
        place = World(folder=world.folder / workload.__name__, quick=world.quick, turns=world.turns, size=world.size)
        place.folder.mkdir()
        try:
            told = workload(place)
        except (Skipped, pytest.skip.Exception) as why:
            print(f"  skipped: {why}", flush=True)
        except (Failed, AssertionError, OSError, ExceptionGroup) as why:
            failed += 1
            print(f"  failed: {why}", flush=True)
        else:
            rows += told.rows
            print("\n".join(f"  {note}" for note in told.notes), flush=True)
            print("\n".join(f"  {row.what}: {row.found}" for row in told.rows), flush=True)
        shutil.rmtree(place.folder, ignore_errors=True)
    if rows:
        print("\n" + "\n".join(_table(rows)))
    return 1 if failed or not rows else 0


def _table(rows: list[Row]) -> list[str]:
    heads = Row(what="What", found="Found", reach="At most, or at least", peers="Peers")
    lines = [(row.what, row.found, row.reach, row.peers or "–") for row in (heads, *rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(3)]
    shown = ["  ".join((*(text.ljust(width) for text, width in zip(line[:3], widths, strict=True)), line[3])) for line in lines]
    return [shown[0], "  ".join("-" * width for width in (*widths, len("Peers"))), *shown[1:]]


if __name__ == "__main__":
    sys.exit(main())
