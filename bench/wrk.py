"""Closed-loop load by wrk: so many connections, each with one request under way."""
from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from tests.processes import cpu_s

from bench.figures import Failed, Figures, Skipped, middle
from bench.machine import cores, pinned

CONNECTIONS = 32
SCRIPT = Path(__file__).with_name("requests.lua")
Ask: TypeAlias = tuple[str, str, str, str]           # method, path from the first slash, token, body


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A server under load. `pids`: its processes now; empty where they are not ours to ask."""

    name: str
    url: str
    requests: Path
    pids: Callable[[], Sequence[int]]


def require() -> None:
    """Raises Skipped."""
    if shutil.which("wrk") is None:
        raise Skipped("wrk is not installed (Debian: apt install wrk)")
    if cores() is not None and shutil.which("taskset") is None:
        raise Skipped("taskset is not installed (Debian: apt install util-linux)")


def write_requests(path: Path, asks: Iterable[Ask]) -> Path:
    """The file of requests that wrk sends in rotation."""
    with path.open("w") as file:
        for ask in asks:
            assert not any("\t" in part or "\n" in part for part in ask), "requests are lines of fields"
            file.write("\t".join(ask) + "\n")
    return path


def run(contender: Contender, seconds: float, connections: int = CONNECTIONS) -> Figures:
    """One run. Raises Failed: an answer was refused, or a connection broke."""
    pids = contender.pids()
    before = sum(map(cpu_s, pids))
    process = begin(contender, seconds, connections)
    found = ended(process, contender.name)
    after = sum(map(cpu_s, pids))
    return Figures(requests=found["requests"], requests_s=found["requests"] / found["duration_us"] * 1e6, p50_ms=found["p50_us"] / 1e3,
                   p99_ms=found["p99_us"] / 1e3, cpu_us=(after - before) / found["requests"] * 1e6 if pids else None)


def begin(contender: Contender, seconds: float, connections: int) -> subprocess.Popen[str]:
    """A run that goes on beside what is measured; `ended` waits for it."""
    both = cores()
    return subprocess.Popen(
        [*(pinned(both[1]) if both else ()), "wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "10s",
         "-s", str(SCRIPT), contender.url, "--", str(contender.requests)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str], name: str) -> dict[str, int]:
    """What wrk has found. Raises Failed."""
    out, errors = process.communicate()
    if process.returncode != 0:
        raise Failed(f"wrk: {errors.strip() or out.strip()}")
    found: dict[str, int] = json.loads(out.strip().splitlines()[-1])
    if found["refused"] or found["broken"] or not found["requests"]:
        raise Failed(f"{name}: {found['refused']} answers refused, {found['broken']} connections broken, of {found['requests']}")
    return found


def alternate(contenders: Sequence[Contender], *, seconds: float, rounds: int) -> dict[str, Figures]:
    """A B A B …, so that what else the machine does meets all of them; medians by name. Where there are several rounds, a short run of
    each goes before."""
    runs: dict[str, list[Figures]] = {contender.name: [] for contender in contenders}
    for contender in contenders if rounds > 1 else ():
        run(contender, 1)
    for _ in range(rounds):
        for contender in contenders:
            runs[contender.name].append(run(contender, seconds))
    return {name: middle(found) for name, found in runs.items()}
