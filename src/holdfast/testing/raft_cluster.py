"""Members of one raft log, without the nodes around them: each appends when it leads, and applies what is committed.

Checked at every step: (1) one batch at each index, at every member, for ever; (2) an append that was acknowledged, or whose fate was said
to be "durable", is in the log, and one whose fate was "not" is not; (3) one fence holder a term; (4) no fence is given, and no hold begins,
while another member's hold of an earlier term lasts.
"""
import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import msgspec

from holdfast.ids import Index, Millis, NodeId
from holdfast.storage import Fence, FenceLost, Snapshot, Uncertain, WriteBatch
from holdfast.storage.raft import Member, RaftLog, Sizes
from holdfast.testing.history import Trace
from holdfast.testing.loop import SimLoop, SimulationError, Threads, simulation
from holdfast.testing.memory import MemoryReplica
from holdfast.testing.nemesis import USUAL, Nemesis, Plan
from holdfast.testing.process import Process
from holdfast.testing.world import MAIN, Host, World

FOLDER = Path("/raft")
SMALL = Sizes(segment=65_536, reserve=4_096, checkpoint_after=262_144, window=65_536)
FORMED_S, CALM_S = 8.0, 15.0
CHECK_EVERY_S = 0.25                                 # between two looks at whether a checkpoint is due


class RaftHost(Host):
    """`replica`: its memory, which outlives a process, not the machine."""

    replica: MemoryReplica
    log: RaftLog | None = None
    fence: Fence | None = None
    raft_id = 0


class Ledger:
    """What the log says, and what was said of it."""

    def __init__(self) -> None:
        self.chosen: dict[int, str] = {}             # index → what the first member to apply it saw
        self.acknowledged: dict[int, str] = {}
        self.refused: dict[str, str] = {}            # what must never be in it → why
        self.fences: dict[int, NodeId] = {}          # by term

    def applied(self, who: str, batch: WriteBatch) -> None:
        value = _content(batch)
        known = self.chosen.setdefault(batch.index, value)
        if known != value:
            raise SimulationError(f"{who} has {value} at {batch.index}, others have {known}")
        if value in self.refused:
            raise SimulationError(f"{who} applies {value}, of which it was said: {self.refused[value]}")

    def check(self) -> None:
        """Once all members have everything."""
        for index, value in self.acknowledged.items():
            if self.chosen.get(index) != value:
                raise SimulationError(f"{value} was acknowledged at {index}, where {self.chosen.get(index)} is")


class RaftCluster(World):
    """The members, held against one ledger."""

    hosts: dict[str, RaftHost]                       # type: ignore[assignment]

    def __init__(self, loop: SimLoop, count: int, trace: Trace) -> None:
        super().__init__(loop, tuple(f"n{number}" for number in range(1, count + 1)), trace)
        self.ledger = Ledger()
        self.changes = self.appends = 0              # fences given, batches acknowledged
        self._holds: dict[str, tuple[int, float]] = {}   # host → (term, until, by the simulation's time)
        self._count = 0
        self.is_quiet = False
        self.network.trace = self._traced

    def new_host(self, name: str) -> RaftHost:
        host = RaftHost(self.loop, name, self.dice)
        host.replica = MemoryReplica()
        return host

    def launch(self, host: Host) -> None:
        assert isinstance(host, RaftHost)
        host.log = host.fence = None
        self.begin(host, MAIN, lambda process: self._run(host, process))

    def lost_power(self, host: Host) -> None:
        assert isinstance(host, RaftHost)
        host.replica = MemoryReplica()

    def leader(self) -> Host | None:
        """Who has the fence, as far as it knows."""
        return next((host for host in self.hosts.values() if host.is_up and host.fence is not None), None)

    # One member

    async def _run(self, host: RaftHost, process: Process) -> None:
        loop = self.loop
        log = RaftLog(FOLDER, NodeId(host.name), disk=host.disk, boot_ms=host.machine.boot_ms, draw=process.random.randbytes,
                      sizes=SMALL, appender=Threads(loop, 1), maker=Threads(loop, 2))
        host.log, host.raft_id = log, log.raft_id
        if host.name == "n1" and host.life == 1:
            log.bootstrap(address_of(host.name))
        log.note_applied(host.replica.index)
        self.network.mailbox(process, address_of(host.name), log.receive)
        await log.start(_Datagrams(self, host, process), on_change=_nothing)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow(host, log))
            group.create_task(self._lead(host, log, process))
            group.create_task(self._tend(host, log))

    async def _follow(self, host: RaftHost, log: RaftLog) -> None:
        async for found in log.follow_groups(host.replica.index):
            if isinstance(found, Snapshot):
                self.note(f"{host.name} installs {found.index}")
                await host.replica.install(found)
            else:
                for batch in found:
                    self.ledger.applied(host.name, batch)
                host.replica.apply(found)
            log.note_applied(host.replica.index)

    async def _lead(self, host: RaftHost, log: RaftLog, process: Process) -> None:
        dice = process.random
        while True:
            fence = await log.lock()
            self._fenced(host, fence)
            host.fence = fence
            adding = asyncio.ensure_future(self._add_others(log))
            try:
                while True:
                    await asyncio.sleep(dice.expovariate(30))
                    if self.is_quiet and dice.random() < 0.9:
                        continue
                    await self._append(host, log, fence, dice.randrange(1, 4))
                    if dice.random() < 0.002:
                        self.note(f"{host.name} unlocks {fence.term}")
                        host.fence = None
                        self._holds.pop(host.name, None)             # nobody here relies on it any more
                        await log.unlock(fence, None)
            except FenceLost:
                self.note(f"{host.name} has lost {fence.term}")
            finally:
                host.fence = None
                adding.cancel()

    async def _append(self, host: RaftHost, log: RaftLog, fence: Fence, count: int) -> None:
        group = []
        for number in range(count):
            self._count += 1
            value = f"{host.name}.{host.life}.{self._count}"
            group.append(WriteBatch(index=Index(host.replica.index + 1 + number), time_ms=Millis(self._count),
                                    changes={f"k{self._count % 50}": value.encode()}))
        try:
            await log.append(group, fence)
        except FenceLost as error:
            self._refused(group, str(error))
            raise
        except Uncertain:
            if not await log.fate(group[-1].index):
                self._refused(group, "fate: not durable")
                raise FenceLost("its fate is settled: not durable") from None
        self.appends += count
        for batch in group:
            self.ledger.acknowledged[batch.index] = _content(batch)
        await _until(lambda: host.replica.index >= group[-1].index)      # an active node's overlay would have it

    def _refused(self, group: list[WriteBatch], why: str) -> None:
        for batch in group:
            value = _content(batch)
            self.ledger.refused[value] = why
            if self.ledger.chosen.get(batch.index) == value:
                raise SimulationError(f"{value} is in the log at {batch.index}, and it was said: {why}")

    async def _add_others(self, log: RaftLog) -> None:
        """The first leader takes the others in; later ones go on where it stopped."""
        for host in self.hosts.values():
            await _until(lambda: host.raft_id != 0)  # noqa: B023 — awaited before the next one
            member = Member(id=NodeId(host.name), raft_id=host.raft_id, address=address_of(host.name), voter=True)
            while not any(known.id == member.id and known.voter for known in log.status.members):
                try:
                    await log.add(member, voter=True)
                except Exception as error:  # noqa: BLE001 — tried again until it is in
                    self.note(f"add {member.id}: {error}")
                    await asyncio.sleep(0.5)

    async def _tend(self, host: RaftHost, log: RaftLog) -> None:
        while True:
            await asyncio.sleep(CHECK_EVERY_S)
            if log.needs_checkpoint:
                self.note(f"{host.name} checkpoint {host.replica.index}")
                await log.checkpoint(host.replica.copy())

    # Checks

    def _fenced(self, host: RaftHost, fence: Fence) -> None:
        self.changes += 1
        self.note(f"{host.name} holds the fence of {fence.term}")
        known = self.ledger.fences.setdefault(fence.term, fence.holder)
        if known != fence.holder or fence.holder != host.name:
            raise SimulationError(f"the fence of term {fence.term} was given to {known} and {host.name}")
        for name, (term, until) in self._holds.items():
            if name != host.name and until > self.loop.now and term < fence.term:
                raise SimulationError(f"{host.name} has the fence of {fence.term} while {name} holds {term} for another "
                                      f"{(until - self.loop.now) * 1000:.0f} ms")

    def _traced(self, text: str) -> None:
        self.note(text)
        for host in self.hosts.values():
            if host.fence is not None and host.log is not None and host.is_up:
                self._look(host, host.log, host.fence)

    def _look(self, host: RaftHost, log: RaftLog, fence: Fence) -> None:
        until_ms = log.hold_until_boot_ms(fence)
        until = host.machine.when(until_ms / 1000) if until_ms else 0.0
        if until <= self.loop.now or self._holds.get(host.name) == (fence.term, until):
            return
        self._holds[host.name] = fence.term, until
        for name, (term, other_until) in self._holds.items():
            if name != host.name and other_until > self.loop.now and term != fence.term:
                raise SimulationError(f"{host.name} holds {fence.term} until {until:.4f} and {name} holds {term} until {other_until:.4f}")

    def check_settled(self) -> None:
        """After a calm: everybody has everything, and everything that was promised is there."""
        indexes = {host.name: host.replica.index for host in self.hosts.values()}
        if max(indexes.values()) - min(indexes.values()) > 20:
            raise SimulationError(f"some lag behind in a calm: {indexes}")
        self.ledger.check()


class _Datagrams:
    """`storage.raft.Transport` over datagrams; snapshots go beside them, in pieces that a cut ends."""

    def __init__(self, cluster: RaftCluster, host: RaftHost, process: Process) -> None:
        self._cluster, self._host, self._process = cluster, host, process
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, to: int, address: str, data: bytes) -> None:
        if self._process.is_alive and address:
            self._cluster.network.post(self._host.name, address, data)

    def send_snapshot(self, to: int, address: str, header: bytes, chunks: AsyncIterator[bytes], done: Callable[[bool], None]) -> None:
        task = asyncio.ensure_future(self._send_snapshot(address, header, chunks, done))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send_snapshot(self, address: str, header: bytes, chunks: AsyncIterator[bytes], done: Callable[[bool], None]) -> None:
        cluster, name = self._cluster, address.partition(":")[0]
        taken = [chunk async for chunk in chunks]
        for _ in taken:
            await asyncio.sleep(cluster.network.delay(self._host.name, name))
            if not cluster.network.is_open(self._host.name, name):
                done(False)
                return
        target = cluster.hosts[name]
        if target.log is None or not target.is_up or target.main is None:
            done(False)
            return
        cluster.note(f"{self._host.name} sends a snapshot to {name}")
        answer: asyncio.Future[bool] = cluster.loop.create_future()
        cluster.loop.call_soon(lambda: asyncio.ensure_future(self._arrive(target, header, taken, answer)), context=target.main.enter())
        try:
            async with asyncio.timeout(5):
                done(await answer)
        except TimeoutError:
            done(False)

    async def _arrive(self, target: RaftHost, header: bytes, taken: list[bytes], answer: "asyncio.Future[bool]") -> None:
        async def chunks() -> AsyncIterator[bytes]:
            for chunk in taken:
                yield chunk

        log = target.log
        is_good = False
        if log is not None:
            await log.receive_snapshot(header, chunks())
            is_good = True
        self._cluster.loop.call_soon(lambda: None if answer.done() else answer.set_result(is_good), context=self._process.enter())


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 — what is waited for tells nobody
        await asyncio.sleep(0.001)


def _content(batch: WriteBatch) -> str:
    return ",".join(f"{key}={value.decode() if value is not None else None}" for key, value in batch.changes.items())


def address_of(name: str) -> str:
    return f"{name}:8201"


def _nothing() -> None:
    """Nobody wants to know."""


class RaftOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """Of one run. `fences`: how often one was given."""

    digest: str
    fences: int
    appends: int
    faults: Mapping[str, int]


def run_members(seed: int, *, seconds: float, count: int = 3, plan: Plan = USUAL) -> RaftOutcome:
    """Faults, a calm, and the checks at its end. Raises SimulationError."""
    trace = Trace()
    with simulation(seed) as loop:
        cluster = RaftCluster(loop, count, trace)
        for host in cluster.hosts.values():
            cluster.start(host)
        loop.run_for(FORMED_S)
        loop.run_until_complete(Nemesis(cluster, plan, leader=cluster.leader).run(seconds))
        cluster.calm()
        cluster.is_quiet = True
        before = cluster.appends
        loop.run_for(CALM_S)
        if cluster.appends == before:
            raise SimulationError("nothing is appended in a calm")
        cluster.check_settled()
        return RaftOutcome(digest=trace.digest, fences=cluster.changes, appends=cluster.appends,
                           faults=dict(sorted(cluster.faults.items())))
