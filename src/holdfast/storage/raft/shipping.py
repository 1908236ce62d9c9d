"""States on their way between members, beside raft's messages: a checkpoint for a follower whose entries are gone, or one to be installed
everywhere. At most one comes in at a time; each goes in chunks of at most 1 MiB.

Invariants: (1) raft is told of every snapshot that it asked to send whether it arrived; (2) raft sees an incoming snapshot only once the
state is whole and durable here; (3) a state that nobody takes leaves nothing behind.
"""
import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial

from holdfast.errors import IntegrityError, UnavailableError
from holdfast.ids import Index
from holdfast.limits import RAFT_STATE_MAX_BYTES
from holdfast.storage import checkpoint
from holdfast.storage.checkpoint import Checkpoint
from holdfast.storage.raft import form
from holdfast.storage.raft.disk import RaftDisk, Staged
from holdfast.storage.raft.driver import Driver
from holdfast.storage.raft.following import InPool
from holdfast.storage.raft.form import Base, Member
from holdfast.storage.raft.members import learners, voters
from holdfast.storage.raft.staging import Staging
from holdfast.storage.raft.transport import StateHeader, Transport, read_header, write_header


class Shipping:
    """What one node sends and takes while raft runs."""

    def __init__(self, driver: Driver, disk: RaftDisk, transport: Transport, in_pool: InPool) -> None:
        self._driver, self._disk, self._transport, self._in_pool = driver, disk, transport, in_pool
        self._offered: tuple[Checkpoint, Base] | None = None
        self._going: dict[int, int] = {}                 # by raft id, where the state stands in raft's log
        self._coming = asyncio.Lock()
        self._spreading: set[asyncio.Future[bool]] = set()   # to members that may take longer than a majority
        self.staged: dict[int, Staged] = {}              # for raft to install, by where the state stands in its log

    @property
    def needed_from(self) -> int | None:
        """Entries after it are needed by followers that a state is on its way to."""
        return min(self._going.values(), default=None)

    def offer(self) -> None:
        """The checkpoint is a new one."""
        made, base = self._disk.now
        if made is not None:
            self._offered = made, base
            self._driver.node.offer_snapshot(base.index, base.term, voters(base.members), learners(base.members))

    def send_snapshot(self, to: int, address: str, message: bytes) -> None:
        """What raft wants sent to a follower whose entries are gone."""
        if self._offered is None or to in self._going:
            self._driver.node.report_snapshot(to, False)
            return
        made, base = self._offered
        self._going[to] = base.index
        self._send(to, address, made, form.write_base(base), message, partial(self._arrived, to))

    async def spread(self, staged: Staged, members: Sequence[Member]) -> None:
        """To all others; returns when a majority of the voters has it, this node among them. Raises UnavailableError: no majority."""
        sending = {asyncio.ensure_future(self._send_state(member, staged)): member for member in members
                   if member.raft_id != self._disk.raft_id}
        self._spreading |= sending.keys()
        for task in sending:
            task.add_done_callback(self._spreading.discard)
        missing = len(voters(members)) // 2              # of the others, if this node is a voter: a leader is
        waiting = set(sending)
        while missing > 0 and waiting:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            missing -= sum(1 for task in done if task.result() and sending[task].voter)
        if missing > 0:
            raise UnavailableError("too few members took the state: a majority is needed")

    async def _send_state(self, member: Member, staged: Staged) -> bool:
        """Has the member taken it?"""
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        made = Checkpoint(format=checkpoint.FORMAT, index=staged.index, generation=staged.generation, sequence=0, file=staged.file,
                          size=staged.size, digest=staged.digest)
        self._send(member.raft_id, member.address, made, "", b"", lambda arrived: None if answer.done() else answer.set_result(arrived))
        return await answer

    async def receive(self, data: bytes, chunks: AsyncIterator[bytes]) -> Staged | None:
        """Takes a state to its end. None: raft has it, or has no use for it. Raises IntegrityError: it is not what its header says;
        UnavailableError: another one is coming in; OSError."""
        header = read_header(data)
        if header is None:
            raise IntegrityError("the header of a state cannot be read")
        if header.size > RAFT_STATE_MAX_BYTES:
            raise IntegrityError(f"a state of {header.size} bytes: the limit is {RAFT_STATE_MAX_BYTES}")
        if self._coming.locked():
            raise UnavailableError("another state is coming in")
        async with self._coming:
            base = form.read_base(header.base) if header.message else None
            if base is not None and base.index <= (self._disk.base.index if self._disk.lacks_state else self._driver.committed):
                self._driver.receive(header.message, is_snapshot=True)       # it answers that it has come so far without
                return None
            staged = await self._stage(header, chunks)
            if base is None:
                return staged
            await self._hand_over(base, staged, header.message)
            return None

    async def stage(self, index: int, generation: int, chunks: AsyncIterator[bytes], size_max: int) -> Staged:
        """A state from elsewhere than a member. Raises what taking the chunks raises; IntegrityError: too long; OSError."""
        async with self._coming:
            return await self._stage(StateHeader(index=Index(index), generation=generation, size=size_max, digest=""), chunks)

    async def discard(self, staged: Staged) -> None:
        """It has no use any more."""
        path = self._disk.folder / staged.file
        await self._in_pool(lambda: self._disk.disk.remove(path) if self._disk.disk.exists(path) else None)

    async def _stage(self, header: StateHeader, chunks: AsyncIterator[bytes]) -> Staged:
        staging = await self._in_pool(Staging, self._disk)
        try:
            async for chunk in chunks:
                await self._in_pool(staging.write, chunk, header.size)
            staged = await self._in_pool(staging.finish, header.index, header.generation, header.base)
            if header.digest and (staged.size, staged.digest) != (header.size, header.digest):
                raise IntegrityError("a state is not what its header says")
        except (Exception, asyncio.CancelledError):
            await asyncio.shield(asyncio.ensure_future(self._in_pool(staging.discard)))
            raise
        return staged

    async def _hand_over(self, base: Base, staged: Staged, message: bytes) -> None:
        self.staged[base.index] = staged
        self._driver.receive(message, is_snapshot=True)
        self._driver.pump()
        if base.index not in self._driver.installing:    # raft had no use for it after all
            del self.staged[base.index]
            await self.discard(staged)

    def _send(self, to: int, address: str, made: Checkpoint, base: str, message: bytes, done: Callable[[bool], None]) -> None:
        header = StateHeader(index=made.index, generation=made.generation, size=made.size, digest=made.digest, base=base, message=message)
        self._transport.send_snapshot(to, address, write_header(header), self._chunks(made), done)

    def _arrived(self, to: int, arrived: bool) -> None:
        self._going.pop(to, None)
        self._driver.report_snapshot(to, arrived)

    async def _chunks(self, of: Checkpoint) -> AsyncIterator[bytes]:
        chunks = checkpoint.chunks(self._disk.disk, self._disk.folder, of)
        while chunk := await self._in_pool(next, chunks, b""):
            yield chunk
