"""What every process of a node does at its start, and a few things that only a process knows."""
import asyncio
import gc
import os
import shutil
import sys

from holdfast._native import uuids
from holdfast.errors import HoldfastError, InvariantError
from holdfast.ids import RequestId
from holdfast.storage import UNWRITABLE
from holdfast.telemetry.log import Logger
from holdfast.telemetry.setup import places

EX_SOFTWARE = 70                                     # <sysexits.h>: an internal error
DISK_AGAIN_S = 10.0                                  # whoever fills a disk has time to see it; each try would be a line
GC_THRESHOLDS = (50_000, 20, 100)                    # collections cost milliseconds; requests leave next to no cycles
SWITCH_S = 0.0005                                    # ten times as often as usual: about what the lane takes for a group


def settle_memory() -> None:
    """After everything is imported: what is here now stays, and is not looked through again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def share_interpreter() -> None:
    """For a process whose threads wait for the disk between a few lines of their own: while the event loop is busy, each of them would hold
    an append up for 5 ms, and with it every answer that waits for it."""
    sys.setswitchinterval(SWITCH_S)


def stop_on_defects(loop: asyncio.AbstractEventLoop, logger: Logger, disk: str = "") -> None:
    """What nothing else caught is reported, where it happened and no values; after an InvariantError the process ends, because its state is
    not what the code believes. A worker is replaced, a node is started again by whoever supervises it. A storage that cannot be written is
    no defect of ours: the line names its folder, `disk`, and what is free there; one in DISK_AGAIN_S is enough."""
    told_at = -DISK_AGAIN_S

    def handle(_: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        nonlocal told_at
        error = context.get("exception")
        found = error if isinstance(error, BaseException) else None
        message = str(context.get("message"))
        if UNWRITABLE in context:
            if loop.time() - told_at >= DISK_AGAIN_S:
                told_at = loop.time()
                logger.error("storage.cannot_write", why=str(found), doing=message, disk=disk,
                             free_bytes=_free_bytes(disk))
            return
        logger.error("process.defect", error=type(found).__name__ if found else message, at=places(found),
                     why=str(found) if isinstance(found, HoldfastError) else None)
        if isinstance(found, InvariantError):
            os._exit(EX_SOFTWARE)

    loop.set_exception_handler(handle)


def _free_bytes(disk: str) -> int | None:
    try:
        return shutil.disk_usage(disk).free if disk else None
    except OSError:
        return None


class RandomPool:
    """Random bytes of the operating system, drawn many at once: a system call costs more than the rest of a read's bookkeeping."""

    POOL_BYTES = 4_096

    def __init__(self) -> None:
        self._pool, self._at = b"", 0
        self._ids: list[str] = []

    def draw(self, size: int) -> bytes:
        """`size` bytes that are given to nobody else."""
        at = self._at
        if at + size > len(self._pool):
            self._pool, at = os.urandom(max(size, self.POOL_BYTES)), 0
        self._at = at + size
        return self._pool[at:at + size]

    def seed(self) -> bytes:
        """32 bytes: of one request's random stream."""
        return self.draw(32)

    def request_id(self) -> RequestId:
        """A random UUID (RFC 9562, version 4)."""
        if not self._ids:
            self._ids = uuids(os.urandom(self.POOL_BYTES))
        return self._ids.pop()  # type: ignore[return-value]  # a NewType call costs


RANDOM = RandomPool()
"""Of this process; not for several threads."""
