"""The `raft` backend: integrated storage, a log that a majority of the members has.

An append is one entry. What a standby follows is read from memory, or from the journal where it lags.

Invariants: (1) an append is told to be durable only when its own entry, by index and term, is committed and durable here; (2) its fate is
settled only once it is committed, or an entry of a later term stands where it would have to be, or before; (3) the fence of a term is given
out once, by the leader of that term, when its node has applied all that was committed before the term; (4) batches are followed in order,
each once. Leaves to others: applying to the replica, leases, whom to trust.
"""
import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import msgspec

from holdfast._native import RaftNode, Ready
from holdfast.errors import InvariantError, UnavailableError
from holdfast.ids import Index, Millis, NodeId, Term
from holdfast.limits import (
    CHECKPOINT_AFTER_BYTES,
    DISK_RESERVE_BYTES,
    RAFT_CHECKPOINT_AFTER_MAX_BYTES,
    RAFT_INFLIGHT_MAX,
    RAFT_MESSAGE_BYTES,
    RAFT_PERSIST_BYTES,
    RAFT_STATE_MAX_BYTES,
    RAFT_UNCOMMITTED_MAX_BYTES,
    RAFT_WINDOW_BYTES,
    RAFT_WINDOW_MAX_BYTES,
    SEGMENT_BYTES,
)
from holdfast.storage.batch import WriteBatch
from holdfast.storage.disk import Disk, OsDisk
from holdfast.storage.log import Fence, FenceLost, Full, Snapshot, StateCopy, Uncertain, Unsettled, tell_unwritable
from holdfast.storage.raft import form, transport
from holdfast.storage.raft.changing import Changing
from holdfast.storage.raft.disk import RaftDisk, Staged
from holdfast.storage.raft.driver import Driver, Kind, Role
from holdfast.storage.raft.following import Following
from holdfast.storage.raft.form import Base, Member
from holdfast.storage.raft.members import learners, voters
from holdfast.storage.raft.shipping import Shipping
from holdfast.storage.raft.status import RaftStatus, status_of
from holdfast.storage.raft.terms import Terms
from holdfast.storage.raft.timing import TIMING, Timing
from holdfast.storage.raft.transport import FromMember, NotAMember, Transport
from holdfast.storage.raft.waiting import Waiters
from holdfast.storage.reading import Trimmed
from holdfast.storage.writer import PooledWriter, WriterThread, write

T = TypeVar("T")
INTRODUCING = frozenset({Kind.HEARTBEAT, Kind.VOTE, Kind.PRE_VOTE})
"""Messages that may be the first ones that a node gets of a member that it does not know yet: they say where to answer."""
SPACE_EVERY_MS = 100
SPACE_PLENTY = 16                                        # times the reserve: of a disk with less it is asked at each append
WRITTEN_AT_ONCE_BYTES = 1 << 20                          # of an entry: 2 ms, where the longest takes a hundred
ADDRESSES_MAX = 64                                       # kept of such members


class Sizes(msgspec.Struct, frozen=True, kw_only=True):
    """In bytes; see `limits`."""

    segment: int = SEGMENT_BYTES
    reserve: int = DISK_RESERVE_BYTES
    checkpoint_after: int = CHECKPOINT_AFTER_BYTES
    window: int = RAFT_WINDOW_BYTES


SIZES = Sizes()


class Pending:
    """An append under way: its entry, and the last batch in it."""

    __slots__ = ("answer", "index", "is_lost", "last", "term", "verdict")

    def __init__(self, index: int, term: int, last: Index, answer: "asyncio.Future[None]") -> None:
        self.index, self.term, self.last, self.answer = index, term, last, answer
        self.verdict: bool | None = None                 # whether it is durable, once that is settled
        self.is_lost = False                             # it cannot be settled


class RaftLog:
    """Opening it locks the folder and recovers. `boot_ms`: CLOCK_BOOTTIME. Raises what `RaftDisk` raises."""

    def __init__(self, folder: str | Path, node: NodeId, *, disk: Disk | None = None, boot_ms: Callable[[], Millis],
                 draw: Callable[[int], bytes] = os.urandom, timing: Timing = TIMING, sizes: Sizes = SIZES,
                 appender: Executor | None = None, maker: Executor | None = None) -> None:
        self._node, self._boot_ms, self._draw, self._timing, self._sizes = node, boot_ms, draw, timing, sizes
        # The journal takes votes and other leaders' entries for longer than this node takes appends.
        self._disk = RaftDisk(disk or OsDisk(), Path(folder), node, draw=draw, segment_bytes=sizes.segment,
                              reserve_bytes=sizes.reserve // 4)
        self._writer = PooledWriter(appender) if appender is not None else WriterThread("raft-append")
        self._maker = maker or ThreadPoolExecutor(2, "raft-make")
        self.members = self._disk.members
        self.voters_changed_boot_ms = boot_ms()
        self._changing = Changing(self, timing, boot_ms)
        self.durable_index = self._disk.wal_at(self._disk.known_through())
        self._applied = self.durable_index
        self.driver: Driver | None = None
        self._transport: Transport
        self._on_change: Callable[[], None] = _nothing
        self._fence: Fence | None = None
        self._pending: Pending | None = None
        self._campaigns = 0
        self._noted = 0                                  # the last entry whose term is known to have been committed
        self._space_due = Millis(0)                      # when the disk is asked again how much is free
        self._contacts: dict[int, Millis] = {}
        self._addresses: dict[int, str] = {}             # of who spoke to this node before it knew the members
        self._moved: dict[int, str] = {}                 # of members who say that they are found elsewhere than the log says
        self._own_address = ""
        self._following = Following(self, self._disk, self._in_maker)
        self._waiters = Waiters()                        # for the fence, its end, a fate
        self._told_removed = False
        self._states_coming = 0                          # from members
        self._tasks: set[asyncio.Task[None]] = set()
        self._shipping: Shipping                         # while raft runs
        self._checkpoint_at: int | None = None           # where the state stands in raft's log that is being made the checkpoint

    @property
    def raft_id(self) -> int:
        return self._disk.raft_id

    @property
    def is_whole(self) -> bool:
        """Is all here that it knows to be committed? Else a state has to come from another member. Before `start`."""
        return self._disk.known_through() >= self._disk.state.commit

    @property
    def named(self) -> tuple[Member, ...]:
        """The members that `raft/peers.json` named when this was opened; empty: there was no such file."""
        return self._disk.named

    @property
    def generation(self) -> int:
        """Of the state that the log continues; grows with each restore."""
        return self._disk.generation

    @property
    def status(self) -> RaftStatus:
        return status_of(self._disk, self.driver, self._contacts, is_removed=self.is_removed, campaigns=self._campaigns)

    @property
    def is_removed(self) -> bool:
        """Is this node a member no more?"""
        return self.members.is_removed or self._told_removed

    def bootstrap(self, address: str) -> None:
        """Makes this node the first member of a new cluster; before `start`. `address`: of its cluster port."""
        self._disk.bootstrap(address)

    async def start(self, transport: Transport, *, on_change: Callable[[], None], address: str = "") -> None:
        """Takes part in raft. `on_change`: called when the leader, the term or the members have changed. `address`: where this node's
        cluster port is found now; empty: where the log says."""
        if self.driver is not None:
            raise InvariantError("raft runs already")
        disk, timing = self._disk, self._timing
        await write(self._writer, disk.settle)           # what an earlier run of raft did not come to write
        if disk.known_through() < disk.state.commit:     # a state is missing here: until it has come, this node must not hold the fence
            self.durable_index = max(self.durable_index, await self._in_maker(disk.wal_at, disk.state.commit))
        base, entries = await self._in_maker(disk.window, self._sizes.window)
        members = disk.members.sorted()
        node = RaftNode(
            id=disk.raft_id, hard_state=(disk.state.term, disk.state.vote, disk.state.commit), voters=voters(members),
            learners=learners(members), base=base, entries=entries,
            election_ticks=timing.election_ticks, heartbeat_ticks=timing.heartbeat // timing.tick,
            message_bytes=RAFT_MESSAGE_BYTES, uncommitted_bytes=RAFT_UNCOMMITTED_MAX_BYTES, inflight=RAFT_INFLIGHT_MAX,
            chunk_bytes=RAFT_PERSIST_BYTES, campaign_ticks=timing.election_ticks + timing.patience_max + 1)
        node.compact(self._sizes.window, disk.state.commit)
        if disk.lacks_first_members:
            node.compact(0, 1)                           # who has nothing needs the first entry: gets a checkpoint instead
        self._own_address, self._moved = address, {}
        self._transport, self._on_change, self._pending, self._noted = transport, on_change, None, disk.state.commit
        self.driver = Driver(node, disk, self._writer, self._maker, self, timing=timing, boot_ms=self._boot_ms, rank=self._rank,
                             draw=lambda: int.from_bytes(self._draw(8)))
        self._shipping = Shipping(self.driver, disk, transport, self._in_maker)
        self._shipping.offer()
        if self.members.is_alone and not self.members.were_ever_others:
            self.driver.campaign()                      # nobody else could lead, or be reading: no gate and no silence to wait for

    async def stop(self) -> None:
        """Takes no more part. What is under way ends as Uncertain."""
        driver, self.driver = self.driver, None
        if driver is None:
            return
        self._lose("raft has stopped")
        if self._pending is not None:
            self._pending.is_lost = True
        await driver.stop()
        for task in self._tasks:
            task.cancel()
        if self.members.is_removed:                      # there will be no next record, with which that becomes durable
            with contextlib.suppress(OSError, Full, Uncertain):      # then the others tell it again
                await write(self._writer, self._disk.persist, self._disk.state, ())
        self._contacts.clear()
        self._following.news.wake()

    async def close(self) -> None:
        """The folder can be opened again."""
        await self.stop()
        self._writer.close()
        self._maker.shutdown()
        self._disk.close()

    def receive(self, data: bytes) -> None:
        """A message from a member, already authenticated."""
        driver = self.driver
        if driver is None or not data:
            return
        if data[0] == transport.OURS:
            self._receive_ours(driver, data)
            return
        _, sender = driver.receive(data)
        self._contacts[sender] = self._boot_ms()

    async def receive_snapshot(self, header: bytes, chunks: AsyncIterator[bytes]) -> None:
        """A state from a member, already authenticated. Returns once all of it is taken. Raises IntegrityError, UnavailableError,
        OSError."""
        if self.driver is None:
            raise UnavailableError("this node takes no part in raft")
        self._states_coming += 1
        try:
            staged = await self._shipping.receive(header, chunks)
            if staged is not None:
                await self._in_maker(self._disk.keep_restored, staged)
        finally:
            self._states_coming -= 1
            self._following.news.wake()

    def suspect(self, raft_id: int) -> None:
        """A hint that the member may be gone: its connection was reset. If it led, this node campaigns as soon as the gate opens."""
        driver = self.driver
        if driver is None:
            return
        if driver.role is Role.LEADER:
            driver.node.report_unreachable(raft_id)      # what was on its way is lost: asks where to go on before it sends more
        elif driver.leader in (raft_id, 0):
            driver.suspect()

    async def append(self, group: Sequence[WriteBatch], fence: Fence) -> None:
        """Raises FenceLost; Full: nothing happened, no space; Uncertain; InvariantError: a gap in the numbers."""
        driver = self.driver
        if driver is None or fence != self._fence:
            raise FenceLost(f"term {fence.term} has ended")
        if self._pending is not None:
            raise InvariantError("one append at a time")
        for number, batch in enumerate(group, self.durable_index + 1):
            if batch.index != number:
                raise InvariantError(f"batch {batch.index} after batch {number - 1}")
        self._check_space()
        if _is_long(group):
            data = await self._in_maker(form.write_group, group)
            if self.driver is not driver or fence != self._fence:
                raise FenceLost(f"term {fence.term} has ended")
        else:
            data = form.write_group(group)
        await self._propose(driver, data, group[-1].index, fence)

    def _check_space(self) -> None:
        """Asks the system now and then: it costs as much as the rest of an append here, and what a tenth of a second brings is little."""
        now = self._boot_ms()
        if now >= self._space_due:
            free = self._disk.disk.free_bytes(self._disk.folder)
            if free < self._sizes.reserve:
                raise Full(f"no space left on the storage device: less than {self._sizes.reserve} bytes are free")
            if free >= SPACE_PLENTY * self._sizes.reserve:
                self._space_due = Millis(now + SPACE_EVERY_MS)

    async def _propose(self, driver: Driver, data: bytes, last: Index, fence: Fence) -> None:
        index = driver.propose(data, fence.term)
        if index is None:
            raise FenceLost(f"term {fence.term} ends")
        loop = asyncio.get_running_loop()
        pending = self._pending = Pending(index, fence.term, last, loop.create_future())
        deadline = loop.call_later(self._timing.settle / 1000, _give_up, pending.answer)
        try:
            await pending.answer
        finally:
            deadline.cancel()
            if pending.verdict is not None:
                self._pending = None

    async def fate(self, index: Index) -> bool:
        """Waits until it is settled. Raises Unsettled: this node stops, or its log has been replaced by a snapshot."""
        pending = self._pending
        while pending is not None and pending.verdict is None:
            if pending.is_lost:
                self._pending = None
                raise Unsettled("raft has stopped, or a snapshot has taken the place of the append")
            await self.change()
        self._pending = None
        if pending is None or index > pending.last:
            return index <= self.durable_index
        return bool(pending.verdict)

    async def follow(self, after: Index) -> AsyncIterator[WriteBatch | Snapshot]:
        """Raises IntegrityError: the log is damaged, or ends before `after`: whoever asks did not get that from here."""
        async for found in self.follow_groups(after):
            if isinstance(found, Snapshot):
                yield found
            else:
                for batch in found:
                    yield batch

    def follow_groups(self, after: Index) -> AsyncIterator[list[WriteBatch] | Snapshot]:
        """As `follow`, as many batches at once as there are."""
        return self._following.groups(after)

    async def lock(self) -> Fence:
        """When this node leads, and has applied all that was committed before its term."""
        while True:
            driver = self.driver
            if driver is not None and driver.may_hold and self._fence is None:
                if self._applied >= self.durable_index:
                    self._fence = Fence(term=Term(driver.term), holder=self._node)
                    return self._fence
            elif driver is not None and driver.role is Role.FOLLOWER and self.members.is_alone:
                wait_ms = driver.gate.opens_at - self._boot_ms() if self.members.were_ever_others else 0
                wait_ms = wait_ms if driver.has_written else max(wait_ms, self._timing.tick)
                if wait_ms > 0:                          # rule 8: who led before, or a standby without a vote, may still be reading
                    await self.change(wait_ms / 1000)
                    continue
                driver.campaign()
                if driver.leads(driver.term):
                    continue
            await self.change()

    async def held(self, fence: Fence, after: Millis) -> Millis | None:
        """Until when no other node can hold it, as soon as that is later than `after`; None: it is held no more."""
        while self._fence == fence:
            if (until := self.hold_until_boot_ms(fence)) > after:
                return until
            await self.change()
        return None

    async def confirm(self, fence: Fence) -> bool:
        """Has a majority answered a round that began after this call? False: the fence is held no more."""
        driver = self.driver
        if driver is None:
            return False
        before = driver.hold.begun                       # counted, not timed: of two moments in one millisecond nobody knows the later one
        driver.renew()
        while self._fence == fence:
            if driver.hold.answered > before:
                return True
            await self.change()
        return False

    async def unlock(self, fence: Fence, to: NodeId | None) -> None:
        """Gives leadership to `to`, or to the voter that lacks least. Whoever relied on the hold has let go of it before."""
        driver = self.driver
        if fence != self._fence or driver is None:
            return
        driver.hold.give_up(fence.term)
        self._lose("the fence is given up")
        await self._hand_over(driver, fence.term, to)

    def hold_until_boot_ms(self, fence: Fence) -> Millis:
        if self.driver is None or fence != self._fence:
            return Millis(0)
        return self.driver.hold.until(fence.term)

    @property
    def needs_checkpoint(self) -> bool:
        """The log has grown so long behind the last checkpoint that a start would be slow, or a follower needs one; none is being made."""
        if self._checkpoint_at is not None:
            return False
        if self.driver is not None and self.driver.node.wants_snapshot:
            return True
        last = self._disk.checkpoint
        after = min(max(self._sizes.checkpoint_after, last.size if last else 0), RAFT_CHECKPOINT_AFTER_MAX_BYTES)
        return self._disk.journal.bytes_since(last.sequence if last else 1) >= after

    async def checkpoint(self, copy: StateCopy) -> None:
        """Makes a copy of the replica's state the checkpoint, and lets go of the log before it. No space: the old one stays, for now.

        Raises what taking the copy raises, InvariantError, or OSError.
        """
        if copy.index > self.durable_index:
            raise InvariantError(f"a checkpoint of index {copy.index}, but the log has no such batch")
        self._checkpoint_at = self._disk.base.index
        try:
            if copy.index < self._disk.base_wal:
                copy.chunks.close()                      # a snapshot came in meanwhile
                return
            at = self._checkpoint_at = await self._following.locate(copy.index)
            term = await self._in_maker(self._disk.term_at, at)
            base = Base(index=at, term=term, members=self.members.at(at), terms=self._disk.terms.up_to(at))
            await self._in_maker(self._disk.save, copy, base)
            self.base_changed()
        except Trimmed:                                  # … or while this looked for its place in the log
            copy.chunks.close()
        finally:
            self._checkpoint_at = None

    def note_applied(self, index: Index) -> None:
        """The replica has all batches up to `index`. Before `start` it also tells what was committed: a replica holds nothing else."""
        if self.driver is None and index > self.durable_index:
            self._learn_commit(index)
        self._applied = max(self._applied, index)
        self._wake_next_holder()

    async def install(self, index: Index, generation: int, chunks: AsyncIterator[bytes]) -> None:
        """Puts a state in the place of everything, at every member: by the holder of the fence, who appends nothing meanwhile. Those who
        follow get it as a Snapshot. `index`: of the state, higher than any before; `generation`: likewise.

        Raises FenceLost, Uncertain (ask `fate`), UnavailableError: too few members took it; what taking the chunks raises; OSError.
        """
        driver, fence = self.driver, self._fence
        if driver is None or fence is None or self._pending is not None:
            raise FenceLost("this node may not append now")
        if index <= self.durable_index or generation <= self.generation:
            raise InvariantError(f"a state of index {index} and generation {generation} after {self.durable_index} and {self.generation}")
        staged = await self._shipping.stage(index, generation, chunks, RAFT_STATE_MAX_BYTES)
        await self._in_maker(self._disk.keep_restored, staged)
        staged = self._disk.restored or staged
        await self._shipping.spread(staged, self.members.sorted())
        entry = form.Install(index=index, generation=generation, size=staged.size, digest=staged.digest)
        if self.driver is not driver or fence != self._fence:
            raise FenceLost(f"term {fence.term} has ended")
        await self._propose(driver, form.write_install(entry), index, fence)

    async def add(self, member: Member, *, voter: bool) -> None:
        """The leader alone: a learner first; with `voter`, a voter once it has caught up. Raises BadRequest, UnavailableError."""
        await self._changing.add(member, voter=voter)

    async def promote(self, raft_id: int) -> None:
        """The leader alone: a learner becomes a voter once it has caught up. Raises BadRequest, UnavailableError."""
        await self._changing.promote(raft_id)

    async def demote(self, raft_id: int) -> None:
        """The leader alone: a voter becomes a learner. Raises BadRequest, UnavailableError."""
        await self._changing.demote(raft_id)

    async def remove(self, raft_id: int) -> None:
        """The leader alone; if it is itself, it leads no more. Who is no member is removed already. Raises BadRequest, UnavailableError."""
        await self._changing.remove(raft_id)

    async def follow_moves(self) -> None:
        """The leader alone: the log says where members are found now that have another address than before. Raises UnavailableError."""
        for raft_id, address in (*self._moved.items(), (self.raft_id, self._own_address)):
            member = self.members.now.get(raft_id)
            if member is not None and address and member.address != address:
                await self._changing.add(msgspec.structs.replace(member, address=address), voter=member.voter)

    # What the driver tells.

    def send(self, to: int, kind: int, data: bytes) -> None:
        member = self.members.now.get(to)
        address = self._moved.get(to) or (member.address if member is not None else self._addresses.get(to, ""))
        if kind == Kind.SNAPSHOT:
            self._shipping.send_snapshot(to, address, data)
            return
        if kind in INTRODUCING or member is None or not member.voter:
            own = self.members.now.get(self.raft_id)
            known = own.address if own else ""
            address_now = self._own_address or known
            data = transport.write(FromMember(raft_id=self.raft_id, address=address_now, message=data,
                                              moved=own is not None and address_now != known))
        self._transport.send(to, address, data)

    def committed(self, ready: Ready) -> None:
        driver = self.driver
        if driver is None:
            return
        if ready.changes:
            before = voters(self.members.sorted())
            for index, context in ready.changes:
                change = form.read_change(context)
                self.members.apply(index, change)
                self._moved.pop(change.member.raft_id, None)
            if before != voters(self.members.sorted()):
                self.voters_changed_boot_ms = self._boot_ms()
            driver.hold.void()
            asyncio.get_running_loop().call_soon(driver.renew)
            self._waiters.wake()
            self._changed_soon()
        self._disk.terms.extend(self._noted, ready.committed, driver.node.term_at)
        self._noted = ready.committed
        if ready.mark is not None:
            self.durable_index = form.last_index(ready.mark)
        if self._pending is not None:
            self._settle(driver, self._pending)
        self._wake_next_holder()
        self._compact(driver)
        self._following.news.wake()

    def hold_renewed(self) -> None:
        self._waiters.wake()

    def role_changed(self) -> None:
        driver = self.driver
        if driver is not None and driver.role is Role.CANDIDATE:
            self._campaigns += 1
        if driver is not None and driver.role is not Role.LEADER:
            self._lose("leadership is lost")
        self._waiters.wake()
        self._changed_soon()

    def staged(self, index: int) -> tuple[Staged, Base]:
        staged = self._shipping.staged[index]
        return staged, form.read_base(staged.base)

    def installed(self) -> None:
        disk = self._disk
        self._shipping.staged.pop(disk.base.index, None)
        self._disk.lacks_state = False
        self._shipping.offer()
        disk.members.reset(disk.base.index, disk.base.members)
        self._moved.clear()
        disk.terms, self._noted = Terms(disk.base.terms), disk.base.index
        pending = self._pending
        if pending is not None and pending.verdict is None and pending.index <= disk.base.index:
            known = disk.terms.of(pending.index)
            pending.verdict = known == pending.term if known else None
            pending.is_lost = not known                  # so long ago that nobody can tell any more what stood at its place
            self._waiters.wake()
        self.durable_index = max(self.durable_index, disk.base_wal)      # a state that was missing may come after what is committed
        self._following.news.wake()
        self._changed_soon()

    def disk_hangs(self) -> None:
        """Whoever leads must have a disk: the others can append without this one's, and it would serve nobody."""
        driver = self.driver
        if driver is None or driver.role is not Role.LEADER or not self._successor(None):
            return
        until = driver.hold.give_up(driver.term)
        self._lose("the disk does not answer")
        wait_ms = max(0, until + self._timing.margin - self._boot_ms())      # a transfer passes the gates that keep what was promised
        handing_over = asyncio.get_running_loop().create_task(self._hand_over(driver, driver.term, None, wait_ms))
        self._tasks.add(handing_over)
        handing_over.add_done_callback(self._tasks.discard)

    def disk_failed(self, error: Exception) -> None:
        tell_unwritable("the raft log cannot be written: trying again", error)

    def failed(self, error: BaseException) -> None:
        self.driver = None
        if self._pending is not None:
            self._pending.is_lost = True
        self._lose("raft has failed")
        torn = InvariantError("raft cannot go on: its state may be torn")
        torn.__cause__ = error
        asyncio.get_running_loop().call_exception_handler({"message": str(torn), "exception": torn})

    async def _hand_over(self, driver: Driver, term: int, to: NodeId | None, wait_ms: int = 0) -> None:
        """Gives leadership to another voter. If that fails, this node still does not lead in this term any more."""
        await asyncio.sleep(wait_ms / 1000)
        deadline = self._boot_ms() + self._timing.transfer
        successor = self._successor(to)
        if successor and driver.leads(term):
            driver.transfer(successor)
            while driver.leads(term) and self._boot_ms() < deadline:
                await self.change((deadline - self._boot_ms()) / 1000)
        if driver.leads(term):
            driver.step_down()

    def _compact(self, driver: Driver) -> None:
        """Keeps what followers may need: more of it while a state is on its way to one of them, or is made for it."""
        if driver.node.window_bytes > self._sizes.window:
            needed = [driver.committed, *(at for at in (self._shipping.needed_from, self._checkpoint_at) if at is not None)]
            driver.node.compact(self._sizes.window, min(needed))
            if driver.node.window_bytes > RAFT_WINDOW_MAX_BYTES:
                driver.node.compact(RAFT_WINDOW_MAX_BYTES, driver.committed)

    def _settle(self, driver: Driver, pending: Pending) -> None:
        if pending.is_lost:
            return
        if driver.committed >= pending.index:
            term = driver.node.term_at(pending.index)
            if term == 0:                                # not in memory any more: what stood there, nobody can tell
                pending.is_lost = True
                self._waiters.wake()
                return
            pending.verdict = term == pending.term
        elif driver.node.term_at(driver.committed) > pending.term:
            pending.verdict = False
        else:
            return
        if pending.answer.done():
            self._waiters.wake()                    # its fate is asked for
        elif pending.verdict:
            pending.answer.set_result(None)
        else:
            pending.answer.set_exception(FenceLost(f"term {pending.term} has ended: another leader's entry stands in its place"))

    def _lose(self, why: str) -> None:
        self._fence = None
        if self._pending is not None and not self._pending.answer.done():
            self._pending.answer.set_exception(Uncertain(f"the outcome of an append is not known: {why}"))
        self._waiters.wake()

    def _receive_ours(self, driver: Driver, data: bytes) -> None:
        match transport.read(data):
            case FromMember(raft_id=raft_id, address=address, message=message, moved=moved):
                self._contacts[raft_id] = self._boot_ms()
                if raft_id not in self.members.now:
                    self._meet(raft_id, address)
                elif moved:
                    self._moved[raft_id] = address
                else:
                    self._moved.pop(raft_id, None)
                driver.receive(message)
            case NotAMember(changed_at=changed_at):
                if self.raft_id in self.members.now and changed_at > self.members.changed_at:
                    self._told_removed = True
                    self._changed_soon()
            case _:
                pass

    def _meet(self, raft_id: int, address: str) -> None:
        """Somebody who is no member as far as this node knows: a newer one than its log, or one that was removed."""
        if len(self._addresses) < ADDRESSES_MAX:
            self._addresses[raft_id] = address
        if self.raft_id in self.members.now:
            self._transport.send(raft_id, address, transport.write(NotAMember(changed_at=self.members.changed_at)))

    def _wake_next_holder(self) -> None:
        """The fence may be had now."""
        if self._fence is None and self.driver is not None and self.driver.role is Role.LEADER:
            self._waiters.wake()

    def _learn_commit(self, index: Index) -> None:
        disk = self._disk
        at = disk.locate(index, disk.extents.last)
        if disk.wal_at(at) == index:
            disk.learn_commit(at)
            self.durable_index = index

    def _successor(self, to: NodeId | None) -> int:
        """A voter's raft id; 0: there is no other."""
        members = self.members.now
        matched = {raft_id: at for raft_id, at, _ in self.driver.node.progress} if self.driver else {}
        others = [member for member in members.values() if member.voter and member.raft_id != self.raft_id]
        others.sort(key=lambda member: (member.id != to, -matched.get(member.raft_id, 0), member.raft_id))
        return others[0].raft_id if others else 0

    @property
    def heard_boot_ms(self) -> Millis:
        """When a message of another one came in last."""
        return max(self._contacts.values(), default=Millis(0))

    def _rank(self, leader: int) -> int:
        """This node's place among the voters that may follow that leader. Without the state it would lead for nothing: it comes last, or it
        would keep whoever has the state from leading."""
        if self._disk.lacks_state:
            return len(self.members.now)
        return sum(1 for raft_id in voters(self.members.sorted()) if raft_id < self.raft_id and raft_id != leader)

    async def change(self, within_s: float | None = None) -> None:
        """Waits for leader, term, members or a fate to have changed."""
        await self._waiters.wait(within_s)

    def base_changed(self) -> None:
        """The checkpoint is a new one."""
        self.members.trim(self._disk.base.index)
        if self.driver is not None:
            self._shipping.offer()
            self.driver.pump_soon()

    @property
    def is_taking_state(self) -> bool:
        """A state is on its way here: perhaps the one that an entry names."""
        return self._states_coming > 0

    def lacks_state(self) -> None:
        """The state of an entry is not here: somebody else has to send all of his."""
        driver = self.driver
        if driver is not None:
            self._disk.lacks_state = True
            if not driver.node.request_snapshot():
                driver.step_down()                       # if it leads: somebody else has the state
            driver.pump()

    def _changed_soon(self) -> None:
        asyncio.get_running_loop().call_soon(self._on_change)

    async def _in_maker(self, call: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._maker, call, *args)


def _is_long(group: Sequence[WriteBatch]) -> bool:
    """Would writing it down hold up heartbeats? What is longer than GROUP_MAX_BYTES is one batch."""
    return sum(len(value) for value in group[-1].changes.values() if value is not None) > WRITTEN_AT_ONCE_BYTES


def _nothing() -> None:
    """Before `start`, nobody wants to know."""


def _give_up(answer: "asyncio.Future[None]") -> None:
    if not answer.done():
        answer.set_exception(Uncertain("an append took too long: its outcome is not known"))
