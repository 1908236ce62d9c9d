"""A process that writes the log is killed at random instants: what it said was durable is there, and everything else is whole or absent.

HOLDFAST_KILLS kills, 50 unless told.
"""
import asyncio
import contextlib
import itertools
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from random import Random

from tests.crash import disk_writer
from tests.replicas import content

from holdfast.ids import Index, NodeId
from holdfast.replica.lmdb import LmdbReplica
from holdfast.replica.recovery import catch_up
from holdfast.storage import Snapshot
from holdfast.storage.file import FileLog

KILLS = int(os.environ.get("HOLDFAST_KILLS", "50"))
FIRST = 500                                              # batches, before the first kill: a checkpoint is due by then


class Writers:
    """The process that forks writers."""

    def __init__(self, module: str = disk_writer.__name__) -> None:
        self._process = subprocess.Popen([sys.executable, "-m", module], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                         cwd=Path(__file__).parents[2])

    def run_and_kill(self, folder: Path, after_s: float, *, once_durable: int = 0) -> int:
        """Index of the last batch that a writer said was durable before it was killed; 0: it said nothing. The time begins when it has
        said so of the batch `once_durable`, however long that takes on a machine that others use; 0: when it starts."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{folder}\n")
        self._process.stdin.flush()
        pid = int(self._process.stdout.readline().removeprefix("started "))
        timer = threading.Timer(after_s, _kill, (pid,))
        durable, waits = 0, True
        for line in itertools.chain([""], self._process.stdout):
            if line == "ended\n":
                break
            durable = int(line.removeprefix("durable ") or 0)
            if waits and durable >= once_durable:
                timer.start()
                waits = False
        timer.cancel()
        return durable

    def close(self) -> None:
        self._process.communicate(timeout=120)
        assert self._process.returncode == 0


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):        # it may have ended by itself: a leader that lost its majority does
        os.kill(pid, signal.SIGKILL)


class Model:
    """The state that batches 1 to `index` make."""

    def __init__(self) -> None:
        self.index = 0
        self.values: dict[str, bytes] = {}

    def advance(self, through: int) -> None:
        for number in range(self.index + 1, through + 1):
            for key, value in disk_writer.changes(number).items():
                if value is None:
                    self.values.pop(key, None)
                else:
                    self.values[key] = value
        self.index = through


def check(folder: Path, model: Model, durable: int) -> int:
    """What a new process finds: gives the log's last index."""
    log = FileLog(folder, NodeId("n"), sizes=disk_writer.SIZES)
    replica = LmdbReplica(folder / "replica", writable=True)
    try:
        assert log.durable_index >= max(durable, model.index)
        asyncio.run(read_back(log, model.index))
        assert model.index <= replica.index <= log.durable_index
        model.advance(replica.index)
        assert content(replica) == model.values, "the replica holds whole batches, as it was left"
        asyncio.run(catch_up(replica, log))
        model.advance(log.durable_index)
        assert replica.index == model.index
        assert content(replica) == model.values
        return log.durable_index
    finally:
        replica.close()
        log.close()


async def read_back(log: FileLog, after: int) -> None:
    if after == log.durable_index:
        return
    async for item in log.follow(Index(after)):
        assert isinstance(item, Snapshot) or item == disk_writer.batch(item.index)
        if item.index == log.durable_index:
            return


def test_kills_lose_nothing_acknowledged(tmp_path: Path) -> None:
    folder, model, dice, writers = tmp_path / "store", Model(), Random(KILLS), Writers()
    reached = []
    try:
        for number in range(KILLS):
            after_s = dice.choice((0.0, 0.01, 0.03, 0.06, 0.1)) * dice.random()
            at_least = 0 if number % 10 else reached[-1] + 1 if reached else FIRST
            durable = writers.run_and_kill(folder, after_s, once_durable=at_least)
            reached.append(check(folder, model, durable))
    finally:
        writers.close()
    assert reached[-1] > reached[0], "they did write"
    assert (folder / "checkpoint").exists()
