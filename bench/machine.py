"""What is measured on: commit, processor, disk; and what the kernel counts of a process."""
from __future__ import annotations

import os
import platform
import subprocess
import time
from pathlib import Path
from statistics import median

REPOSITORY = Path(__file__).parents[1]
PAGE_SIZED_APPEND = 4_096                            # about what a group of a few batches has


def describe(folder: Path) -> list[str]:
    """Commit, machine and disk, a line each."""
    cpu = next((line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                if line.startswith("model name")), platform.machine())
    return [
        f"commit   {_commit()}",
        f"machine  {len(os.sched_getaffinity(0))} cores of {cpu}, Linux {platform.release()}, Python {platform.python_version()}, "
        f"load {os.getloadavg()[0]:.1f} before",
        f"disk     {_file_system(folder)}; storage \"file\": each group of writes is one append and one fdatasync",
    ]


def cores() -> tuple[str, str] | None:
    """One core for the server, one for the load; None: there is but one."""
    found = sorted(os.sched_getaffinity(0))
    return (str(found[0]), str(found[1])) if len(found) > 1 else None


def pinned(core: str) -> tuple[str, ...]:
    """The words before a command that keep it on one core."""
    return ("taskset", "-c", core)


def append_us(folder: Path, *, count: int) -> float:
    """The median cost of one append with fdatasync to a file whose space is there already, as the log's is."""
    path = folder / "append-probe"
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        data, took = os.urandom(PAGE_SIZED_APPEND), []
        os.write(fd, bytes(PAGE_SIZED_APPEND * count))
        os.fsync(fd)
        for number in range(count):
            began = time.perf_counter()
            os.pwrite(fd, data, number * PAGE_SIZED_APPEND)
            os.fdatasync(fd)
            took.append(time.perf_counter() - began)
        return median(took) * 1e6
    finally:
        os.close(fd)
        path.unlink()


def anonymous_kib(pid: int) -> int:
    """Private and shared anonymous memory of a process that is resident: what it would need if nothing of it were on a disk."""
    found = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    return sum(int(found[name].split()[0]) for name in ("Anonymous", "Pss_Shmem"))


def _commit() -> str:
    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=REPOSITORY, capture_output=True, text=True, check=False).stdout.strip()

    changed = " with changes" if git("status", "--porcelain", "--untracked-files=no", "--", "src", "native") else ""
    return (git("rev-parse", "--short", "HEAD") or "unknown") + changed


def _file_system(folder: Path) -> str:
    """The mount that a folder lies on."""
    best = ("", "?", "?")
    for line in Path("/proc/self/mounts").read_text().splitlines():
        device, place, kind = line.split()[:3]
        if folder.is_relative_to(place) and len(place) >= len(best[0]):
            best = (place, kind, device)
    return f"{best[1]} on {best[2]}"
