"""The same seed is the same run, to the last frame, whatever the interpreter's hashes are."""
import os
import subprocess
import sys
from pathlib import Path

import holdfast

PROGRAM = """
from msgspec.structs import replace
from holdfast.testing.raft_cluster import run_members
from holdfast.testing.run import run_one, busy_of
outcome = run_one(11, replace(busy_of(11), seconds=4.0))
print(outcome.failure, outcome.digest, run_members(5, seconds=8).digest)
"""
SOURCES = Path(holdfast.__file__).parents[1]


def run(hash_seed: str) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(SOURCES)}
    return subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, timeout=300, check=True).stdout


def test_the_same_seed_gives_the_same_trace() -> None:
    first = run("0")
    assert first.startswith("None ")
    assert {run(hash_seed) for hash_seed in ("1", "4242")} == {first}
