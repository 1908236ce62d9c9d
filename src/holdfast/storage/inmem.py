"""The log in memory: for tests and `-dev`. Nothing of it survives the process. Several nodes may share one.

Invariant: it keeps every batch, so nobody who follows ever needs a snapshot.
"""
import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence

from holdfast.errors import IntegrityError, InvariantError
from holdfast.ids import Index, Millis, NodeId, Term
from holdfast.storage.batch import WriteBatch
from holdfast.storage.log import FOREVER_BOOT_MS, Fence, FenceLost, Snapshot

ALONE = NodeId("this")


class Shared:
    """What nodes that use the same log have in common."""

    def __init__(self) -> None:
        self.batches: list[WriteBatch] = []
        self.fence: Fence | None = None
        self.term = Term(0)
        self.wanting: deque[tuple[NodeId, asyncio.Future[None]]] = deque()
        self.followers: set[asyncio.Future[None]] = set()


class InmemLog:
    """One node's end of the log."""

    def __init__(self, node: NodeId = ALONE, shared: Shared | None = None) -> None:
        self._node, self._shared = node, shared or Shared()

    @property
    def durable_index(self) -> Index:
        """Index of the last batch."""
        return Index(len(self._shared.batches))

    async def append(self, group: Sequence[WriteBatch], fence: Fence) -> None:
        """Raises FenceLost, or InvariantError: a number is left out or comes twice."""
        if fence != self._shared.fence:
            raise FenceLost(f"term {fence.term} has ended")
        for number, batch in enumerate(group, self.durable_index + 1):
            if batch.index != number:
                raise InvariantError(f"batch {batch.index} after batch {number - 1}")
        self._shared.batches.extend(group)
        for waiter in self._shared.followers:
            if not waiter.done():
                waiter.set_result(None)
        self._shared.followers.clear()

    async def fate(self, index: Index) -> bool:
        return index <= self.durable_index

    async def follow(self, after: Index) -> AsyncIterator[WriteBatch | Snapshot]:
        if after > self.durable_index:
            raise IntegrityError(f"batches after {after} are wanted, but the log ends at {self.durable_index}")
        while True:
            while after < self.durable_index:
                after = Index(after + 1)
                yield self._shared.batches[after - 1]
            waiter = asyncio.get_running_loop().create_future()
            self._shared.followers.add(waiter)
            try:
                await waiter
            finally:
                self._shared.followers.discard(waiter)

    async def lock(self) -> Fence:
        shared = self._shared
        while shared.fence is not None:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            entry = self._node, turn
            shared.wanting.append(entry)
            try:
                await turn
            finally:
                if entry in shared.wanting:
                    shared.wanting.remove(entry)
        shared.term = Term(shared.term + 1)
        shared.fence = Fence(term=shared.term, holder=self._node)
        return shared.fence

    async def unlock(self, fence: Fence, to: NodeId | None) -> None:
        shared = self._shared
        if fence != shared.fence:
            return
        shared.fence = None
        wanting = sorted(shared.wanting, key=lambda entry: entry[0] != to)     # the chosen one first, the others as they came
        for _, turn in wanting:
            if not turn.done():
                turn.set_result(None)

    def hold_until_boot_ms(self, fence: Fence) -> Millis:
        return FOREVER_BOOT_MS if fence == self._shared.fence else Millis(0)
