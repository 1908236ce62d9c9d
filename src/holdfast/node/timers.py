"""The due queue, worked off: leases and tokens that expire, jobs that go on, undos, whatever comes at its time.

Nothing here grows with data: only the head of the queue is read. Invariants: (1) an entry is worked on once at a time; (2) work in the
queue takes at most half of the lane, whatever waits; (3) while the clock has jumped, nothing expires.
"""
import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol

from holdfast.core.cluster_time import ClusterTime
from holdfast.core.due import next_due
from holdfast.core.lane import Due, Task
from holdfast.errors import UnavailableError
from holdfast.ids import Millis
from holdfast.limits import DUE_AT_ONCE, DUE_OF_ONE_MOUNT
from holdfast.node.attempts import Attempts
from holdfast.node.background import Background
from holdfast.node.serving import Served
from holdfast.telemetry.log import Logger

PUT_OFF_S = 1.0                                      # after the storage could not write, until the queue is looked at again
POLL_S = 0.05                                        # what was queued with a time that has come is begun within this


class Submitter(Protocol):
    def submit(self, task: Task) -> Awaitable[Served]: ...


class Timers:
    """Runs on the active node, from its unsealing to its sealing."""

    def __init__(self, committer: Submitter, attempts: Attempts, time: ClusterTime, now: Callable[[], Millis], logger: Logger) -> None:
        self._committer, self._attempts, self._time, self._now, self._logger = committer, attempts, time, now, logger
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._shares: dict[str, int] = {}            # entries under way by whose they are
        self._background = Background()
        self._loop_task: asyncio.Task[None] | None = None
        self._warned = self._put_off = False

    def start(self) -> None:
        self._loop_task = self._background.begin(self._loop())

    async def stop(self) -> None:
        """What is under way ends; the rest stays in the queue."""
        if self._loop_task is not None:
            self._loop_task.cancel()
            await asyncio.wait({self._loop_task})
        if self._under_way:
            await asyncio.wait(set(self._under_way.values()))

    async def _loop(self) -> None:
        while True:
            if self._put_off:
                self._put_off = False
                await asyncio.sleep(PUT_OFF_S)
            now_ms = self._now()
            if self._may_expire():
                self._begin(now_ms)
            await asyncio.sleep(POLL_S) if not self._under_way else await self._wait_any()

    def _may_expire(self) -> bool:
        if self._time.has_jumped is not self._warned:
            self._warned = self._time.has_jumped
            self._logger.error("expiration.clock_jumped", holds=self._warned)
        return not self._warned

    def _begin(self, now_ms: Millis) -> None:
        """Begins what is due and not under way, as far as there is room."""
        after = ""
        while len(self._under_way) < DUE_AT_ONCE:
            busy = frozenset(share for share, count in self._shares.items() if count >= DUE_OF_ONE_MOUNT)
            head = self._attempts.read(partial(next_due, now_ms=now_ms, limit=DUE_AT_ONCE, busy=busy, after=after))
            for entry in head.due:
                if entry.key not in self._under_way and self._has_room(entry.share):
                    self._under_way[entry.key] = asyncio.get_running_loop().create_task(self._run(entry.key, entry.share))
                    self._shares[entry.share] = self._shares.get(entry.share, 0) + 1
            if not head.after:
                return
            after = head.after

    def _has_room(self, share: str) -> bool:
        return len(self._under_way) < DUE_AT_ONCE and (not share or self._shares.get(share, 0) < DUE_OF_ONE_MOUNT)

    async def _wait_any(self) -> None:
        """Until something ends; then a pause as long as it took the lane, which is for requests."""
        began = asyncio.get_running_loop().time()
        await asyncio.wait(set(self._under_way.values()), timeout=POLL_S, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.sleep(min(POLL_S, asyncio.get_running_loop().time() - began))

    async def _run(self, key: str, share: str) -> None:
        try:
            await self._committer.submit(Due(key))
        except UnavailableError as error:
            self._put_off = True
            self._logger.warn("expiration.put_off", why=str(error))
        finally:
            del self._under_way[key]
            self._shares[share] -= 1
            if not self._shares[share]:
                del self._shares[share]
