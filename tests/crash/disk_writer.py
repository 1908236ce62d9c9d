"""A process that appends as fast as it can and says what was acknowledged, until it is killed.

It imports everything once and forks a writer for each line of its input, a folder, before it has opened anything. Writers say
`started PID`, then `durable INDEX` after each append; when one has ended, the parent says `ended`.
"""
import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from random import Random

from holdfast.ids import Index, Millis, NodeId
from holdfast.replica.lmdb import LmdbReplica
from holdfast.replica.recovery import catch_up
from holdfast.storage import Changes, WriteBatch
from holdfast.storage.file import FileLog, Sizes

SIZES = Sizes(segment=64 << 10, reserve=0, checkpoint_after=192 << 10)


def changes(number: int) -> Changes:
    """What batch `number` writes, in whichever life."""
    return {f"k/{number % 97}": b"%d," % number * (1 + number % 300), f"d/{number % 13}": None if number % 2 else b"%d" % number,
            f"long/{'x' * (number % 3 * 700)}": b"%d" % number}


def batch(number: int) -> WriteBatch:
    return WriteBatch(index=Index(number), time_ms=Millis(number), changes=changes(number))


async def write(folder: Path) -> None:
    log = FileLog(folder, NodeId("n"), sizes=SIZES)
    replica = LmdbReplica(folder / "replica", writable=True)
    await catch_up(replica, log)
    fence, dice = await log.lock(), Random(log.durable_index)
    checkpoint: asyncio.Task[None] | None = None
    while True:
        first = log.durable_index + 1
        group = [batch(number) for number in range(first, first + dice.choice((1, 2, 5, 20)))]
        await log.append(group, fence)
        os.write(1, b"durable %d\n" % group[-1].index)
        replica.apply(group)
        if log.needs_checkpoint and (checkpoint is None or checkpoint.done()):
            checkpoint = asyncio.create_task(log.checkpoint(replica.copy()))


def fork_for_each_line(write: Callable[[Path], Coroutine[None, None, None]]) -> None:
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            os.write(1, b"started %d\n" % os.getpid())
            asyncio.run(write(Path(line.strip())))
        os.waitpid(pid, 0)
        os.write(1, b"ended\n")


if __name__ == "__main__":
    fork_for_each_line(write)
