"""Workers that are lost, and what comes in their place."""
from __future__ import annotations

import asyncio
import errno

from tests.unit.cluster.logs import Heard

from holdfast.node.message import Start
from holdfast.node.spawn import Pool, WorkerProcess
from holdfast.telemetry.log import Logger


class Process:
    """One that has ended."""

    pid, returncode = 1, -9

    async def wait(self) -> int:
        return self.returncode


class NoneToBeHad(Pool):
    """The first `failures` tries find no process to be had."""

    def __init__(self, log: Logger, failures: int) -> None:
        super().__init__(1, (), lambda *asked: None, log, lambda event: None)
        self.failures, self.began = failures, asyncio.Event()

    async def _exec(self, number: int) -> WorkerProcess:
        if self.failures:
            self.failures -= 1
            raise OSError(errno.EAGAIN, "no process to be had")
        self.began.set()
        return self.worker(number)

    async def _begin(self, number: int, worker: WorkerProcess, first: Start) -> None:
        """It works at once."""

    def worker(self, number: int) -> WorkerProcess:
        return WorkerProcess(Process(), self._submit, self._said, lambda lost: self._replace(number, lost))  # type: ignore[arg-type]  # a fake


def test_a_lost_worker_is_replaced_even_if_no_process_can_be_had_at_first() -> None:
    async def scene() -> Heard:
        heard = Heard()
        pool = NoneToBeHad(heard.log, failures=2)
        lost = pool.worker(1)
        lost.channel.connection_lost(None)
        await asyncio.wait_for(pool.began.wait(), 10)
        lost.started.exception()
        return heard

    heard = asyncio.run(scene())
    assert [event.name for event in heard.events] == ["worker.lost", "worker.failed", "worker.failed"]
    assert all("no process to be had" in str(why) for why in heard.whys("worker.failed"))
