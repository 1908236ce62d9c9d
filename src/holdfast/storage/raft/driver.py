"""The loop around raft: messages in, ticks, and what raft wants done, in raft's order. Lives on one event loop.

Invariants: (1) messages that speak of entries, votes or terms leave only once these are durable here, but for a leader's own appends in a
term that is durable; (2) one write to the disk is under way at a time, and what raft asks for meanwhile goes out as the next one; (3) no
vote is given and no campaign begun while the gate is shut, but for a transfer; (4) ticks that are late are not made up for. Leaves to
others: what entries mean.
"""
import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from enum import IntEnum
from functools import partial
from typing import Protocol, TypeAlias

from holdfast._native import RaftNode, Ready
from holdfast.ids import Millis
from holdfast.limits import RAFT_PERSIST_BYTES
from holdfast.storage.log import Uncertain
from holdfast.storage.raft.disk import RaftDisk, Staged
from holdfast.storage.raft.form import Base, HardState
from holdfast.storage.raft.gate import Gate, Hold
from holdfast.storage.raft.timing import Timing
from holdfast.storage.writer import Writer, write

Message: TypeAlias = tuple[int, int, bytes]
"""Of raft, encoded: whom it is for, of what kind it is."""
VOTES_TICKS = 4                                          # at least between two campaigns of one node
AGAIN_S = 0.1                                            # after a write that failed


class Role(IntEnum):
    """raft's StateRole."""

    FOLLOWER = 0
    CANDIDATE = 1
    LEADER = 2
    PRE_CANDIDATE = 3


class Kind(IntEnum):
    """Those of raft's messages that somebody here looks at."""

    DROPPED = -1
    APPEND = 3
    VOTE = 5
    SNAPSHOT = 7
    HEARTBEAT = 8
    PRE_VOTE = 17


class Events(Protocol):
    """Who is told what raft did. Called between raft's steps; must not call back into the driver's pump."""

    def send(self, to: int, kind: int, data: bytes) -> None: ...
    def committed(self, ready: Ready) -> None: ...
    def hold_renewed(self) -> None: ...
    def role_changed(self) -> None:
        """Who leads, in which term, or whether a snapshot is wanted."""
    def staged(self, index: int) -> tuple[Staged, Base]: ...
    def installed(self) -> None: ...
    def disk_hangs(self) -> None: ...
    def disk_failed(self, error: Exception) -> None: ...
    def failed(self, error: BaseException) -> None: ...


class Driver:
    """One run of raft, from start to stop."""

    def __init__(self, node: RaftNode, disk: RaftDisk, writer: Writer, maker: Executor, events: Events, *, timing: Timing,
                 boot_ms: Callable[[], Millis], rank: Callable[[int], int], draw: Callable[[], int]) -> None:
        self.node, self._disk, self._writer, self._maker, self._events = node, disk, writer, maker, events
        self._timing, self._boot_ms, self._rank, self._draw = timing, boot_ms, rank, draw
        self._loop = asyncio.get_running_loop()
        self.gate = Gate(timing, boot_ms())
        self.hold = Hold(timing, self.gate)
        self.term, self.leader, self.role, self.committed = node.status[0], node.status[1], Role(node.status[2]), node.status[3]
        self._state = disk.state                         # as of the last ready that is durable, or on its way
        self._durable_term = self.term
        self._early: dict[int, Sequence[Message]] = {}      # by ready: messages of a term that is not durable yet
        self._queue: list[Ready] = []                    # to be made durable, in order
        self._is_writing = self._fails = False
        self._watch: asyncio.TimerHandle                 # while it writes
        self._trying: asyncio.Task[None] | None = None   # the long way
        self._idle: asyncio.Future[None] | None = None   # for whoever waits until nothing is written
        self._pumping = self._stopped = False
        self._followed = self.leader                     # the last leader that there was
        self._patience = self._next_patience()           # ticks for which it waits though it might campaign
        self._silence = 0                                # ticks without a leader, since the gate opened
        self._suspects = self._hanging = self._wants_snapshot = False
        self._suspected = 0                              # who led then
        self._is_candidate_for_long = False
        self._untold = False                             # committed, and the followers do not know it yet
        self.led_term = 0                                # the term whose own empty entry is committed and durable here
        self.installing: set[int] = set()                # indexes of snapshots that raft has taken and that are not installed yet
        self._tick_timer = self._loop.call_later(timing.tick / 1000, self._tick)
        self._campaign_timer: asyncio.TimerHandle | None = None

    async def stop(self) -> None:
        """Takes no more, and waits for the write under way."""
        self._stopped = True
        self._tick_timer.cancel()
        if self._campaign_timer is not None:
            self._campaign_timer.cancel()
        if self._trying is not None:
            self._trying.cancel()
        if self._is_writing:
            self._idle = self._loop.create_future()
            await self._idle
        self._disk.stopped_at(self.committed)

    def receive(self, data: bytes, *, is_snapshot: bool = False) -> tuple[int, int]:
        """One of raft's messages: (its type, who sent it)."""
        now = self._boot_ms()
        kind, sender, leads = self.node.step(data, self.gate.is_shut(now), is_snapshot)
        if leads:
            self.gate.heard_leader(now)
            self._suspects = False
            self._silence = 0
        elif kind == Kind.VOTE:
            self._silence = min(self._silence, self._timing.election_ticks - VOTES_TICKS)    # another one may be about to lead
        if kind != Kind.DROPPED:
            self.pump_soon()
        return kind, sender

    def pump_soon(self) -> None:
        """All that comes in one turn of the loop is answered together."""
        if not self._pumping:
            self._pumping = True
            self._loop.call_soon(self.pump)

    def pump(self) -> None:
        """Does what raft wants done now, and sees to the rest."""
        self._pumping = False
        if self._stopped:
            return
        try:
            while (ready := self.node.ready()) is not None:
                self._take(ready)
        except Exception as error:  # noqa: BLE001 — raft's state may be torn: nothing of it may go on
            self._fail(error)

    def propose(self, data: bytes, term: int) -> int | None:
        """The index of the entry; None: this node does not lead in that term, or is about to lead no more."""
        index = self.node.propose(data, term)
        self._untold = False                             # what is committed travels with it
        self.pump()
        return index

    def campaign(self) -> None:
        """At once, whatever the gate says: for the only voter."""
        if self.has_written:
            self.node.campaign()
            self.pump()

    @property
    def has_written(self) -> bool:
        """All that raft has is durable here. Raft ends the process where a leader begins with less, as an only voter would."""
        return not self._is_writing and not self._queue

    def suspect(self) -> None:
        """The leader may be gone: campaigns as soon as the gate opens, each member a little later than the one before it."""
        if not self._suspects and self.role is not Role.LEADER and not self._stopped:
            self._suspects, self._suspected = True, self.leader
            self._plan_campaign(self._wait_for_gate())

    def renew(self) -> None:
        """Asks a majority whether this node still leads."""
        if self.role is not Role.LEADER or self.led_term != self.term or self._stopped:
            return                                       # raft would say nothing: there is nothing of its term yet
        context = self.hold.begin_round(self.term, self._boot_ms())
        if context is not None:
            self.node.read_index(context)
            self.pump()

    def report_snapshot(self, to: int, arrived: bool) -> None:
        """Whether a snapshot that raft wanted sent has arrived."""
        self.node.report_snapshot(to, arrived)
        self.pump_soon()

    @property
    def may_hold(self) -> bool:
        """Does it lead, with its own term's empty entry committed, and has not given up to?"""
        return self.leads(self.led_term) and self.hold.is_allowed(self.led_term)

    def leads(self, term: int) -> bool:
        return self.role is Role.LEADER and self.term == term and not self._stopped

    def transfer(self, to: int) -> None:
        self.node.transfer_leader(to)
        self.pump()

    def step_down(self) -> None:
        self.node.step_down()
        self.pump()

    def _take(self, ready: Ready) -> None:
        if ready.hard_state is not None:
            self.term = ready.hard_state[0]
        if self.term == self._durable_term:
            self._send(ready.messages)
        else:                                            # an only voter leads as soon as it campaigns: it would lead twice in one term
            self._early[ready.number] = ready.messages
        if ready.soft_state is not None:
            self.leader, self.role = ready.soft_state[0], Role(ready.soft_state[1])
            self._followed = self.leader or self._followed
            if self.role is not Role.LEADER:
                self.hold.void()
                self._patience = self._next_patience()
            self._tick_in(self._timing.tick)             # a follower's is far ahead
            self._events.role_changed()
        if ready.read_states:
            for context in ready.read_states:
                self.hold.confirmed(context)
            self._events.hold_renewed()
        if ready.snapshot is not None:
            self.installing.add(ready.snapshot[0])
        if ready.committed:
            self.committed = ready.committed
            if self.role is Role.LEADER and self.led_term != self.term and self.node.term_at(self.committed) == self.term:
                self.led_term = self.term
                self._loop.call_soon(self.renew)
            self._events.committed(ready)
            if self.role is Role.LEADER and not self._untold:
                self._untold = True
                self._loop.call_soon(self._tell_commit)
        if ready.must_sync or self._queue or self._is_writing:
            self._queue.append(ready)
            if not self._is_writing:
                self._write_next()
        else:
            if ready.hard_state is not None:             # a new commit index: written along with what is next
                self._state = HardState(*ready.hard_state)
            self._is_durable(ready)

    def _tell_commit(self) -> None:
        """To the followers, unless the next append has done so."""
        if self._untold and not self._stopped:
            self._untold = False
            self.node.broadcast()
            self.pump()

    def _is_durable(self, ready: Ready) -> None:
        if ready.hard_state is not None:
            self._durable_term = ready.hard_state[0]
        if self._early:
            self._send(self._early.pop(ready.number, ()))
        self._send(ready.messages_after)
        self.node.persisted(ready.number)

    def _send(self, messages: Sequence[Message]) -> None:
        for to, kind, data in messages:
            self._events.send(to, kind, data)

    def _write_next(self) -> None:
        """One flush for as many readies as wait; those that need none follow at once."""
        while self._queue and not self._is_writing and not self._stopped:
            group = self._next_group()
            for ready in group:
                if ready.hard_state is not None:
                    self._state = HardState(*ready.hard_state)
            if not any(ready.must_sync for ready in group):
                for ready in group:
                    self._is_durable(ready)
                continue
            self._is_writing = True
            self._watch = self._loop.call_later(self._timing.persist / 1000, self._hangs)
            if group[0].snapshot is None:
                chunks = [chunk for ready in group for chunk in ready.entries]
                self._writer.start(partial(self._written, group), self._disk.persist, self._state, chunks)
            else:
                self._try_again(group)

    def _written(self, group: Sequence[Ready], error: BaseException | None) -> None:
        if isinstance(error, (Uncertain, OSError)) and not self._stopped:
            if not self._fails:
                self._fails = True
                self._events.disk_failed(error)
            self._try_again(group, after_s=AGAIN_S)
            return
        self._is_writing = self._hanging = self._fails = False
        self._watch.cancel()
        if error is not None and not isinstance(error, asyncio.CancelledError) and not self._stopped:
            self._fail(error)
        elif error is None and not self._stopped:
            for ready in group:
                self._is_durable(ready)
            self.pump()
            self._write_next()
            if not self._disk.journal.is_prepared:
                self._loop.run_in_executor(self._maker, self._disk.prepare)
        self._wake_stop()

    def _wake_stop(self) -> None:
        if self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    def _try_again(self, group: Sequence[Ready], after_s: float = 0.0) -> None:
        self._trying = self._loop.create_task(self._persist(group, after_s))
        self._trying.add_done_callback(partial(self._tried, group))

    def _tried(self, group: Sequence[Ready], trying: "asyncio.Task[None]") -> None:
        self._written(group, asyncio.CancelledError() if trying.cancelled() else trying.exception())

    def _next_group(self) -> list[Ready]:
        """As many as one write may hold; a snapshot goes alone, so that what comes before and after it keeps its place."""
        size, count = 0, 0
        for ready in self._queue:
            size += sum(len(chunk[3]) for chunk in ready.entries)
            if count and (size > RAFT_PERSIST_BYTES or ready.snapshot is not None):
                break
            count += 1
            if ready.snapshot is not None:
                break
        group, self._queue = self._queue[:count], self._queue[count:]
        return group

    async def _persist(self, group: Sequence[Ready], after_s: float) -> None:
        """The long way: a snapshot first, or after a write that failed. Raises what the disk raises."""
        if after_s:
            await asyncio.sleep(after_s)
            await write(self._writer, self._disk.settle)
        snapshot = group[0].snapshot
        if snapshot is not None and self._disk.base.index < snapshot[0]:
            await write(self._writer, self._disk.install, *self._events.staged(snapshot[0]))
            self.installing.discard(snapshot[0])
            self.committed = snapshot[0]
            self._events.installed()
        await write(self._writer, self._disk.persist, self._state, [chunk for ready in group for chunk in ready.entries])

    def _hangs(self) -> None:
        self._hanging = True
        self._events.disk_hangs()

    def _fail(self, error: BaseException) -> None:
        self._stopped = True
        self._tick_timer.cancel()
        self.hold.void()
        self._events.failed(error)

    def _tick(self) -> None:
        if self._stopped:
            return
        timing, wait = self._timing, self._wait_for_gate()
        if self.role is Role.LEADER:
            self._tick_in(timing.renew)
            self.renew()
            for _ in range(timing.ticks_a_renewal):
                self.node.tick()
        elif wait or self._hanging:
            self._tick_in(wait + timing.tick)            # a follower counts from when its gate opens, so never campaigns before
            return
        else:
            self._tick_in(timing.tick)
            self._silence += 1
            self.node.tick()
        if self._silence >= self._timing.election_ticks + self._patience and self.has_written:
            self._silence = self._timing.election_ticks - VOTES_TICKS    # if nothing comes of it: again, after another draw
            self._patience = self._next_patience()
            self.node.campaign()
        self.pump()
        if self.node.wants_snapshot is not self._wants_snapshot:
            self._wants_snapshot = not self._wants_snapshot
            self._events.role_changed()

    def _next_patience(self) -> int:
        return self._timing.patience(self._rank(self._followed), self._draw())

    def _tick_in(self, ms: int) -> None:
        self._tick_timer.cancel()
        self._tick_timer = self._loop.call_later(ms / 1000, self._tick)

    def _wait_for_gate(self) -> int:
        return max(0, self.gate.opens_at - self._boot_ms())

    def _plan_campaign(self, after_ms: int) -> None:
        if self._campaign_timer is not None:
            self._campaign_timer.cancel()
        self._campaign_timer = self._loop.call_later(after_ms / 1000, self._gate_opened)

    def _gate_opened(self) -> None:
        if not self._may_campaign():
            return
        if wait := self._wait_for_gate():
            self._plan_campaign(wait)
            return
        self.node.forget_leader()                        # so that it can vote for another member that comes first
        self.pump()
        self._plan_again(self._rank(self._suspected) * self._timing.rank)

    def _plan_again(self, after_ms: int) -> None:
        self._campaign_timer = self._loop.call_later(after_ms / 1000, self._campaign_on_suspicion)

    def _campaign_on_suspicion(self) -> None:
        if not self._may_campaign():
            return
        if self._wait_for_gate():
            self._suspects = False                       # a leader spoke, or another member was voted for
            return
        wait = self._timing.retry + self._rank(self._suspected) * self._timing.rank
        if self.role is Role.CANDIDATE and not self._is_candidate_for_long:
            self._is_candidate_for_long = True           # the votes may still be on their way
            self._plan_again(self._timing.votes + wait)
            return
        if self.leader == 0 and self.has_written:
            self._is_candidate_for_long = False
            self.node.campaign()
            self.pump()
        self._plan_again(wait)

    def _may_campaign(self) -> bool:
        return self._suspects and not self._stopped and not self._hanging and self.role is not Role.LEADER


