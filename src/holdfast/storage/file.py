"""The `file` backend: one node, durable. A journal on disk, a checkpoint behind it, and the threads that wait for the disk.

Invariants: (1) one process has the folder open; (2) one append is under way at a time, in one thread, which also settles fates; (3) the
journal is trimmed only behind a checkpoint that is durable. Leaves to others: applying to the replica, and making the copy that
`checkpoint` stores.
"""
import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec

from holdfast.errors import IntegrityError, InvariantError
from holdfast.ids import Index, Millis, NodeId, Term
from holdfast.limits import CHECKPOINT_AFTER_BYTES, CHECKPOINT_AFTER_MAX_BYTES, DISK_RESERVE_BYTES, FOLLOW_BYTES, SEGMENT_BYTES
from holdfast.storage import checkpoint
from holdfast.storage.batch import WriteBatch
from holdfast.storage.checkpoint import Checkpoint
from holdfast.storage.disk import Disk, OsDisk
from holdfast.storage.journal import Journal
from holdfast.storage.log import FOREVER_BOOT_MS, Fence, FenceLost, Snapshot, StateCopy
from holdfast.storage.reading import Reading, Trimmed
from holdfast.storage.writer import PooledWriter, WriterThread, write

T = TypeVar("T")
JOURNAL_FOLDER, LOCK_NAME = "log", "lock"


class Sizes(msgspec.Struct, frozen=True, kw_only=True):
    """In bytes; see `limits`."""

    segment: int = SEGMENT_BYTES
    reserve: int = DISK_RESERVE_BYTES
    checkpoint_after: int = CHECKPOINT_AFTER_BYTES


SIZES = Sizes()


class FileLog:
    """Opening it locks the folder and recovers: what was acknowledged is there, whatever happened to the process or the machine.

    Raises UnavailableError: another process has the folder; IntegrityError: acknowledged batches are missing or damaged; OSError.
    """

    def __init__(self, folder: str | Path, node: NodeId, *, disk: Disk | None = None, sizes: Sizes = SIZES,
                 draw: Callable[[int], bytes] = os.urandom, appender: Executor | None = None, maker: Executor | None = None) -> None:
        self._folder, self._node, self._sizes = Path(folder), node, sizes
        self._disk = disk or OsDisk()
        self._disk.make_folder(self._folder)
        self._process_lock = self._disk.lock(self._folder / LOCK_NAME)
        try:
            self._checkpoint: Checkpoint | None = checkpoint.load(self._disk, self._folder)
            self._journal = Journal(self._disk, self._folder / JOURNAL_FOLDER, segment_bytes=sizes.segment, reserve_bytes=sizes.reserve,
                                    draw=draw, checkpoint=_extent(self._checkpoint))
        except BaseException:
            self._process_lock.close()
            raise
        self._writer = PooledWriter(appender) if appender is not None else WriterThread("log-append")
        self._maker = maker or ThreadPoolExecutor(2, "log-make")         # segments, checkpoints, reading: slow, and in nobody's way
        self._fence: Fence | None = None
        self._term = self._journal.term
        self._unlocked = asyncio.Event()
        self._appended: set[asyncio.Future[None]] = set()                # followers that have caught up
        self._checkpointing = False
        self._maker.submit(self._prepare)

    @property
    def durable_index(self) -> Index:
        """Index of the last batch that is durable."""
        return self._journal.durable_index

    @property
    def needs_checkpoint(self) -> bool:
        """The log has grown so long behind the last checkpoint that a start would be slow; and none is being made."""
        last = self._checkpoint
        after = min(max(self._sizes.checkpoint_after, last.size if last else 0), CHECKPOINT_AFTER_MAX_BYTES)
        return not self._checkpointing and self._journal.bytes_since(last.sequence if last else 1) >= after

    async def append(self, group: Sequence[WriteBatch], fence: Fence) -> None:
        """Raises FenceLost; Full: nothing happened, no space; Uncertain; InvariantError: a gap in the numbers."""
        if fence != self._fence:
            raise FenceLost(f"term {fence.term} has ended")
        await write(self._writer, self._journal.append, group, fence.term)
        for follower in self._appended:
            if not follower.done():
                follower.set_result(None)
        self._appended.clear()
        if not self._journal.is_prepared:
            self._maker.submit(self._prepare)

    async def fate(self, index: Index) -> bool:
        """What is not known to be durable is made sure not to be. Raises Uncertain: the disk takes nothing; nothing may go on then."""
        await write(self._writer, self._journal.settle)
        return index <= self._journal.durable_index

    async def follow(self, after: Index) -> AsyncIterator[WriteBatch | Snapshot]:
        """Raises IntegrityError: the log is damaged, or ends before `after`: whoever asks did not get that from here."""
        if after > self.durable_index:
            raise IntegrityError(f"batches after {after} are wanted, but the log ends at {self.durable_index}")
        while True:
            reading = Reading(self._journal, self._disk, after)
            try:
                if after == 0 and self._checkpoint is not None:
                    raise Trimmed                        # or as good as: the shorter way
                while True:
                    for batch in await self._in(self._maker, reading.take, FOLLOW_BYTES):
                        yield batch
                        after = batch.index
                    await self._wait_beyond(after)
            except Trimmed:
                last = self._checkpoint
                if last is None or last.index <= after:
                    raise IntegrityError(f"batch {after + 1} is in neither the log nor a checkpoint") from None
            finally:
                reading.close()
            yield Snapshot(index=last.index, generation=last.generation, chunks=self._chunks(last))
            after = last.index

    async def lock(self) -> Fence:
        """At once, unless this process holds it already."""
        while self._fence is not None:
            self._unlocked.clear()
            await self._unlocked.wait()
        self._term = Term(max(self._term, self._journal.term) + 1)
        self._fence = Fence(term=self._term, holder=self._node)
        return self._fence

    async def unlock(self, fence: Fence, to: NodeId | None) -> None:
        """There is nobody to give it to."""
        if fence == self._fence:
            self._fence = None
            self._unlocked.set()

    def hold_until_boot_ms(self, fence: Fence) -> Millis:
        return FOREVER_BOOT_MS if fence == self._fence else Millis(0)

    async def checkpoint(self, copy: StateCopy) -> None:
        """Makes a copy of the replica's state the checkpoint, and lets go of the log before it. No space: the old one stays, for now.

        Raises what taking the copy raises, or OSError.
        """
        where = self._journal.segment_of(copy.index)
        if where is None or copy.index == 0:
            raise InvariantError(f"a checkpoint of index {copy.index}, but the log has no such batch")
        if self._checkpoint is not None and (copy.generation, copy.index) == (self._checkpoint.generation, self._checkpoint.index):
            copy.chunks.close()
            return
        self._checkpointing = True
        try:
            self._checkpoint = await self._in(self._maker, partial(checkpoint.save, self._disk, self._folder, copy,
                                                                   sequence=where[1].sequence))
            await self._in(self._maker, self._journal.trim, self._checkpoint.index)
        finally:
            self._checkpointing = False

    def close(self) -> None:
        """Waits for what is under way; the folder can be opened again."""
        self._writer.close()
        self._maker.shutdown()
        self._journal.close()
        self._process_lock.close()

    async def _chunks(self, of: Checkpoint) -> AsyncIterator[bytes]:
        chunks = checkpoint.chunks(self._disk, self._folder, of)
        while chunk := await self._in(self._maker, next, chunks, b""):
            yield chunk

    async def _wait_beyond(self, index: Index) -> None:
        if self.durable_index > index:
            return
        follower = asyncio.get_running_loop().create_future()
        self._appended.add(follower)
        try:
            await follower
        finally:
            self._appended.discard(follower)

    def _prepare(self) -> None:
        with contextlib.suppress(OSError):               # the append that needs it tries again, and says what is wrong
            self._journal.prepare()

    async def _in(self, pool: Executor, call: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(pool, call, *args)


def _extent(found: Checkpoint | None) -> tuple[Index, int]:
    return (found.index, found.sequence) if found else (Index(0), 0)
