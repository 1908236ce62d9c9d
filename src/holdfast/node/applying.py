"""Batches that are durable, into the replica: by whoever runs the lane, and by whoever follows the log."""
import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from holdfast.errors import UnavailableError
from holdfast.storage import WriteBatch, tell_unwritable

AT_ONCE_BYTES = 65_536                               # a group of at most this is applied in 0.3 ms: changing threads may take longer
AGAIN_S = 0.5                                        # without room for the replica: somebody else fills the disk


class Replica(Protocol):
    def apply(self, batches: Sequence[WriteBatch]) -> None: ...


async def apply(group: Sequence[WriteBatch], replica: Replica, pool: Callable[[Callable[[], object]], Awaitable[object]]) -> None:
    """`pool`: threads for what would hold up the event loop. Where there is no room it is tried until there is: waiting loses nothing."""
    while True:
        try:
            if is_small(group):
                replica.apply(group)
            else:
                await pool(lambda: replica.apply(group))
            return
        except UnavailableError as error:
            tell_unwritable("the replica cannot be written", error)
            await asyncio.sleep(AGAIN_S)


def is_small(group: Sequence[WriteBatch]) -> bool:
    return sum(sum(map(len, filter(None, batch.changes.values()))) for batch in group) <= AT_ONCE_BYTES
