"""What the kernel says of processes, and waiting for a condition with an end."""
from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

POLL_S = 0.003
WITHIN_S = 60.0                                      # a hundred times what anything takes on a quiet machine: only a failure waits so long


def wait_until(holds: Callable[[], object], what: str, within_s: float = WITHIN_S) -> None:
    """Returns as soon as it holds; fails with `what` when it does not in time."""
    deadline = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s} s: {what}")
        time.sleep(POLL_S)


def command_line(pid: int) -> list[str]:
    """Empty once the process has ended, also while nobody has waited for it."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []


def has_ended(pid: int) -> bool:
    """Whether it has let go of everything: files and ports go after the memory that holds the command line."""
    try:
        return state(pid) in "ZX"
    except OSError:
        return True


def workers_of(main: int) -> list[int]:
    """The read workers that this main process has started, also those that have outlived it: their command line names it."""
    return _started_by("holdfast.node.worker_process", main)


def all_of(main: int) -> list[int]:
    """Whatever it and its workers have started."""
    workers = workers_of(main)
    return [*workers, *_started_by("holdfast.node.heavy_process", main, *workers)]


def _started_by(module: str, *parents: int) -> list[int]:
    wanted, found = {str(parent) for parent in parents}, []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            words = command_line(int(entry))
            if module in words and not wanted.isdisjoint(words):
                found.append(int(entry))
    return sorted(found)


def state(pid: int) -> str:
    """One letter, as `ps` shows it."""
    return _stat(pid)[0]


def threads(pid: int) -> str:
    """What each thread of it does, as the kernel sees it: its name, state, scheduling class and where it waits."""
    lines = []
    for task in sorted(Path(f"/proc/{pid}/task").iterdir()):
        with contextlib.suppress(OSError):               # it has ended meanwhile
            fields = (task / "stat").read_text().rpartition(") ")[2].split()
            lines.append(f"{(task / 'comm').read_text().strip()} {fields[0]} class {fields[38]} {(task / 'wchan').read_text()}")
    return "\n".join(lines)


def cpu_s(pid: int) -> float:
    """Processor time that the process has used, in user and kernel mode."""
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_bytes(pid: int) -> int:
    """Anonymous memory, private and shared, that is resident."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"process {pid} has ended")


def _stat(pid: int) -> list[str]:
    """The fields after the command's name, which may hold anything."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
