"""Reads what is committed, in order: from memory, from the journal where whoever follows lags, from a checkpoint where both are gone.

Invariants: (1) batches are given in order, each once, and none that is not committed; (2) where the log goes on from a state that came from
elsewhere, that state is given first, and nothing that came before it afterwards.
"""
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Protocol, TypeVar

from holdfast.errors import IntegrityError
from holdfast.ids import Index
from holdfast.limits import FOLLOW_BYTES
from holdfast.storage import checkpoint
from holdfast.storage.batch import WriteBatch
from holdfast.storage.log import Snapshot
from holdfast.storage.raft import form
from holdfast.storage.raft.disk import RaftDisk, Row
from holdfast.storage.raft.driver import Driver
from holdfast.storage.raft.form import Base
from holdfast.storage.raft.waiting import Waiters
from holdfast.storage.reading import Trimmed

T = TypeVar("T")
ASK_AGAIN_S = 1.0                                        # for a state that is missing here


class InPool(Protocol):
    """Runs what waits for the disk in another thread."""

    def __call__(self, call: Callable[..., T], *args: object) -> Awaitable[T]: ...


class Home(Protocol):
    """The log that is followed."""

    @property
    def driver(self) -> Driver | None: ...
    @property
    def durable_index(self) -> Index: ...
    @property
    def is_taking_state(self) -> bool: ...
    def base_changed(self) -> None:
        """A state of the log's own has become the checkpoint."""

    def lacks_state(self) -> None:
        """The state of an entry is not here: somebody else has to send all of his."""


class Following:
    """What all who follow one log share. `news`: woken when more is committed, or a snapshot has come in."""

    def __init__(self, home: Home, disk: RaftDisk, in_pool: InPool) -> None:
        self._home, self._disk, self._in_pool = home, disk, in_pool
        self.news = Waiters()

    @property
    def commit(self) -> int:
        """Index of the last entry that is known to be committed, and is here."""
        driver = self._home.driver
        return driver.committed if driver is not None else self._disk.state.commit

    async def groups(self, after: Index) -> AsyncIterator[list[WriteBatch] | Snapshot]:
        """From the batch after `after` on. Raises IntegrityError."""
        if after > self._home.durable_index:
            raise IntegrityError(f"batches after {after} are wanted, but the log ends at {self._home.durable_index}")
        at = -1
        while True:
            try:
                if at < 0:
                    if after == 0 and self._disk.checkpoint is not None:
                        raise Trimmed                    # or as good as: the shorter way
                    at = await self.locate(after)
                rows = await self._read(at)
                if not rows:
                    if self.commit <= at:
                        await self.news.wait()
                    continue
                if _is_install(rows[0]):
                    await self._adopt(rows[0])
                    raise Trimmed
                rows = rows[:next((number for number, row in enumerate(rows) if _is_install(row)), len(rows))]
                at = rows[-1][0]
                found = [batch for _, _, kind, data in rows if kind == 0 and data for batch in form.read_group(data) if batch.index > after]
                if found:
                    after = found[-1].index
                    yield found
            except Trimmed:
                last, base = self._disk.now
                if last is None or last.index < after:
                    raise IntegrityError(f"batch {after + 1} is in neither the log nor a checkpoint") from None
                if last.index == after and at >= 0:      # it has that state: each one installed has a higher index than all before it
                    at = base.index
                    continue
                chunks = checkpoint.chunks(self._disk.disk, self._disk.folder, last)
                try:
                    first = await self._in_pool(next, chunks, b"")
                except FileNotFoundError:
                    if self._disk.checkpoint is last:
                        raise
                    continue                             # a newer one has taken its place before its file was opened
                yield Snapshot(index=last.index, generation=last.generation, chunks=self._chunks(first, chunks))
                at, after = base.index, last.index

    async def locate(self, after: Index) -> int:
        """The last committed entry before the first one with a batch after `after`. Raises Trimmed."""
        commit = self.commit
        if after == self._home.durable_index and self._disk.known_through() >= self._disk.state.commit:
            return commit                                # the usual case: it has everything
        return await self._in_pool(self._disk.locate, after, commit)

    async def _read(self, at: int) -> Sequence[Row]:
        commit, driver = self.commit, self._home.driver
        if at < self._disk.base.index:
            raise Trimmed
        if at >= commit:
            return ()
        if driver is not None and (rows := driver.node.entries(at, commit, FOLLOW_BYTES)) is not None:
            return rows
        return await self._in_pool(self._disk.read, at, commit, FOLLOW_BYTES)

    async def _adopt(self, row: Row) -> None:
        """The state that an entry installs becomes the checkpoint. Where it is missing, and not on its way, raft has to send the whole of a
        later one: once it was asked to, it takes nothing else, but entries for a while, where the leader may need it to commit them."""
        index, term, _, data = row
        is_asked = False
        while self._disk.base.index < index:
            base = Base(index=index, term=term, members=self._disk.members.at(index), terms=self._disk.terms.up_to(index))
            if not is_asked and await self._in_pool(self._disk.install_restored, form.read_install(data), base):
                self._home.base_changed()
                return
            if is_asked or not self._home.is_taking_state:
                is_asked = True
                self._home.lacks_state()
            await self.news.wait(ASK_AGAIN_S)

    async def _chunks(self, first: bytes, others: Iterator[bytes]) -> AsyncIterator[bytes]:
        chunk = first
        while chunk:
            yield chunk
            chunk = await self._in_pool(next, others, b"")


def _is_install(row: Row) -> bool:
    return row[2] == 0 and bool(row[3]) and form.kind_of(row[3]) == form.INSTALL
