"""Nodes of integrated storage in one process: real logs, a disk in memory each, and a network that delivers, delays, loses and cuts.

Their time is that of the event loop: virtual in `play`, the machine's under asyncio's own loop.
"""
import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

from holdfast.errors import HoldfastError
from holdfast.ids import Index, Millis, NodeId
from holdfast.storage import Fence, Snapshot, StateCopy, WriteBatch
from holdfast.storage.raft import Member, RaftLog, Sizes, Timing
from holdfast.testing.disk import FakeDisk
from holdfast.testing.loop import simulation

FOLDER = Path("/raft")
SMALL = Sizes(segment=1 << 18, reserve=1 << 12, checkpoint_after=1 << 20, window=1 << 20)


BOOTED_BEFORE_S = 1_000


def play(story: Coroutine[None, None, None]) -> None:
    """In virtual time: what is waited for has happened at once."""
    with simulation(7) as loop:
        loop.run_until_complete(story)


def boot_ms() -> Millis:
    return Millis(int((asyncio.get_running_loop().time() + BOOTED_BEFORE_S) * 1000))


class Network:
    """Delivers in the loop's next turn, in order; `cut` pairs get nothing."""

    def __init__(self, seed: int = 0) -> None:
        self.nodes: dict[int, Node] = {}
        self.cut: set[tuple[int, int]] = set()
        self.found_at: dict[int, str] = {}               # by raft id: nothing reaches it that is sent elsewhere
        self.loss = 0.0
        self.delay_s = 0.0
        self.sent = 0
        self.snapshots_to_fail = 0
        self.damage = ""
        self.refused = 0
        self.dice = Random(seed)

    def isolate(self, node: "Node") -> None:
        for other in self.nodes:
            self.cut |= {(other, node.log.raft_id), (node.log.raft_id, other)}

    def heal(self) -> None:
        self.cut.clear()

    def deliver(self, sender: int, to: int, data: bytes) -> None:
        self.sent += 1
        if (sender, to) in self.cut or self.dice.random() < self.loss:
            return
        node = self.nodes.get(to)
        if node is None:
            return
        if self.delay_s:
            asyncio.get_running_loop().call_later(self.delay_s * self.dice.random(), node.log.receive, data)
        else:
            asyncio.get_running_loop().call_soon(node.log.receive, data)


class Wire:
    """One node's end of the network."""

    def __init__(self, network: Network, own: int) -> None:
        self._network, self._own = network, own
        self.tasks: set[asyncio.Task[None]] = set()

    def send(self, to: int, address: str, data: bytes) -> None:
        if self._network.found_at.get(to, address) == address:
            self._network.deliver(self._own, to, data)

    def send_snapshot(self, to: int, address: str, header: bytes, chunks: AsyncIterator[bytes], done: Callable[[bool], None]) -> None:
        async def carry() -> None:
            node = self._network.nodes.get(to)
            if node is None or (self._own, to) in self._network.cut:
                done(False)
                return
            try:
                await node.log.receive_snapshot(header, self._carried(chunks))
            except (OSError, HoldfastError):
                self._network.refused += 1
                done(False)
            else:
                done(True)
            finally:
                assert isinstance(chunks, AsyncGenerator)
                await chunks.aclose()

        task = asyncio.get_running_loop().create_task(carry())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


    async def _carried(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        network = self._network
        if network.snapshots_to_fail:
            network.snapshots_to_fail -= 1
            yield await anext(chunks)
            raise ConnectionResetError("the link was reset")
        first = await anext(chunks)
        if network.damage == "cut":
            yield first[:-1]
            return
        yield bytes((first[0] ^ 1,)) + first[1:] if network.damage == "flipped" else first
        async for chunk in chunks:
            yield chunk
        if network.damage == "longer":
            yield b"x"


class Node:
    """A node with a replica that is a list of batches."""

    def __init__(self, network: Network, name: str, *, disk: FakeDisk | None = None, seed: int = 1, timing: Timing | None = None,
                 sizes: Sizes = SMALL) -> None:
        self.network, self.name, self.disk = network, NodeId(name), disk or FakeDisk(seed)
        self.dice = Random(seed)
        self.timing, self.sizes = timing or Timing(), sizes
        self.applied: dict[int, WriteBatch] = {}
        self.snapshots: list[Index] = []
        self.index = Index(0)
        self.following: asyncio.Task[None] | None = None
        self.tending: asyncio.Task[None] | None = None
        self.tends = True                                # makes a checkpoint when the log wants one
        self.disk_folder = FOLDER
        self.address = ""                                # where it says that it is found; empty: where the log says
        self.open()

    def reset(self) -> None:
        """The replica is gone."""
        self.index = Index(0)
        self.applied.clear()

    def open(self) -> None:
        self.log = RaftLog(FOLDER, self.name, disk=self.disk, boot_ms=boot_ms, draw=self.dice.randbytes, timing=self.timing,
                           sizes=self.sizes, appender=ThreadPoolExecutor(1))     # of which a simulation's loop makes its own

    async def start(self) -> None:
        self.network.nodes[self.log.raft_id] = self
        self.wire = Wire(self.network, self.log.raft_id)
        self.changed = asyncio.Event()
        await self.log.start(self.wire, on_change=self.changed.set, address=self.address)
        loop = asyncio.get_running_loop()
        self.following, self.tending = loop.create_task(self._follow()), loop.create_task(self._tend())

    async def _follow(self) -> None:
        async for found in self.log.follow_groups(self.index):
            if isinstance(found, Snapshot):
                self.take_state(b"".join([chunk async for chunk in found.chunks]))
                self.snapshots.append(found.index)
            else:
                for batch in found:
                    assert batch.index == self.index + 1, f"{self.name}: batch {batch.index} after {self.index}"
                    self.applied[batch.index] = batch
                    self.index = batch.index
            self.log.note_applied(self.index)

    async def _tend(self) -> None:
        while True:
            await self.changed.wait()
            self.changed.clear()
            if self.tends and self.log.needs_checkpoint:
                await self.checkpoint()

    async def checkpoint(self) -> None:
        state = self.state()

        def chunks() -> Generator[bytes, None, None]:
            for at in range(0, len(state), 1_000):
                yield state[at:at + 1_000]

        await self.log.checkpoint(StateCopy(index=self.index, generation=self.log.generation, chunks=chunks()))

    def state(self) -> bytes:
        return repr((self.index, {index: batch.changes for index, batch in self.applied.items()})).encode()

    def take_state(self, state: bytes) -> None:
        index, changes = eval(state)
        self.index = index
        self.applied = {number: WriteBatch(index=number, time_ms=Millis(0), changes=found) for number, found in changes.items()}

    async def stop(self) -> None:
        for task in (self.following, self.tending):
            if task is not None:
                task.cancel()
                await asyncio.wait([task])
                if not task.cancelled() and (error := task.exception()) is not None:
                    raise error
        await self.log.stop()
        self.network.nodes.pop(self.log.raft_id, None)
        carrying = tuple(self.wire.tasks)
        for task in carrying:
            task.cancel()
        await asyncio.gather(*carrying, return_exceptions=True)

    async def close(self) -> None:
        await self.stop()
        await self.log.close()

    async def kill(self) -> None:
        """The process dies; what it wrote stays with the kernel."""
        self.network.nodes.pop(self.log.raft_id, None)
        self.disk.kill()
        await self.close()

    @property
    def is_leader(self) -> bool:
        return self.log.status.is_leader

    async def write(self, fence: Fence, count: int = 1, *, first: int | None = None, size: int = 10) -> Index:
        """One group, which this node also applies."""
        begin = first or self.log.durable_index + 1
        group = [WriteBatch(index=Index(index), time_ms=Millis(0), changes={f"k{index}": b"x" * size}) for index in
                 range(begin, begin + count)]
        await self.log.append(group, fence)
        return group[-1].index


async def until(condition: Callable[[], bool], within_s: float = 60.0) -> None:
    """Looks again and again. Raises TimeoutError."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 — conditions of many kinds, which tell nobody
            await asyncio.sleep(0.002)


async def grow(network: Network, count: int, *, timing: Timing | None = None, sizes: Sizes = SMALL) -> list[Node]:
    """A cluster of so many voters; the first one leads."""
    nodes = [Node(network, f"n{number}", seed=number, timing=timing, sizes=sizes) for number in range(1, count + 1)]
    nodes[0].log.bootstrap("a1:1")
    for node in nodes:
        await node.start()
    await until(lambda: nodes[0].is_leader)
    for number, node in enumerate(nodes[1:], 2):
        await nodes[0].log.add(Member(id=node.name, raft_id=node.log.raft_id, address=f"a{number}:1", voter=True), voter=True)
    return nodes


async def end(nodes: list[Node]) -> None:
    for node in nodes:
        await node.close()


def leader_of(nodes: list[Node]) -> Node | None:
    return next((node for node in nodes if node.is_leader), None)
