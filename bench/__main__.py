"""`python -m bench`: runs the workloads, prints ratios side by side, leaves nothing behind."""
from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench.ends import revoke_tree
from bench.figures import Failed, Result, Skipped
from bench.machine import append_us, describe
from bench.reads import kv_read, kv_read_audit, kv_read_tokens
from bench.upkeep import memory, start
from bench.world import Peer, World
from bench.writes import kv_write, logins_beside_writes

WORKLOADS: tuple[Callable[[World], Result], ...] = (
    kv_read, kv_read_audit, kv_read_tokens, kv_write, logins_beside_writes, revoke_tree, memory, start)


def main() -> int:
    """0: all that could run here ran; 1: one failed, or none could."""
    names = [workload.__name__ for workload in WORKLOADS]
    parser = argparse.ArgumentParser(prog="python -m bench", description="Named workloads, each with ratios from one run.")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: shows that everything runs, the figures mean nothing")
    parser.add_argument("--only", action="append", choices=names, metavar="NAME", help=f"one of {', '.join(names)}; may be repeated")
    parser.add_argument("--peer", metavar="URL", help="a Vault-compatible server for kv_read and kv_write to run against as well")
    parser.add_argument("--peer-token", metavar="TOKEN", default="", help="a token of it that may mount and unmount")
    parser.add_argument("--folder", type=Path, help="on the disk that is to be measured; otherwise the temporary folder")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="holdfast-bench-", dir=options.folder))
    try:
        print("\n".join(describe(folder)))
        print(f"append   {append_us(folder, count=200):.0f} µs with fdatasync, the median of 200", flush=True)
        peer = Peer(url=options.peer.rstrip("/"), token=options.peer_token) if options.peer else None
        chosen = [workload for workload in WORKLOADS if not options.only or workload.__name__ in options.only]
        return _run(chosen, folder, quick=options.quick, peer=peer)
    finally:
        shutil.rmtree(folder)


def _run(chosen: list[Callable[[World], Result]], folder: Path, *, quick: bool, peer: Peer | None) -> int:
    ran = failed = 0
    for workload in chosen:
        print(f"\n{workload.__name__}: {(workload.__doc__ or '').strip()}", flush=True)
        place = folder / workload.__name__
        place.mkdir()
        try:
            result = workload(World(folder=place, quick=quick, peer=peer))
        except Skipped as why:
            print(f"  skipped: {why}", flush=True)
        except (Failed, AssertionError, OSError, ExceptionGroup) as why:
            failed += 1
            print(f"  failed: {why}", flush=True)
        else:
            ran += 1
            print("\n".join(result.lines()), flush=True)
        shutil.rmtree(place)
    if not ran:
        print("\nnothing ran")
    return 1 if failed or not ran else 0


if __name__ == "__main__":
    sys.exit(main())
