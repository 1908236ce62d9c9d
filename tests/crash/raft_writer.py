"""Three members of a raft log in one process that append as fast as they can and say what was acknowledged, until it is killed.

It imports everything once and forks a cluster for each line of its input, a folder. Clusters say `started PID`, then `durable INDEX` after
each append; when one has ended, the parent says `ended`.
"""
import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from random import Random

from tests.crash.disk_writer import batch, fork_for_each_line

from holdfast.ids import NodeId
from holdfast.node.clock import SystemClock
from holdfast.replica.lmdb import LmdbReplica
from holdfast.replica.recovery import catch_up
from holdfast.storage import Fence, Snapshot
from holdfast.storage.raft import Member, RaftLog, Sizes, Timing

SIZES = Sizes(segment=64 << 10, reserve=0, checkpoint_after=192 << 10, window=64 << 10)
TIMING = Timing(heartbeat=50, suspicion_min=300, suspicion_max=400)
COUNT = 3


class Node:
    """One member, and its end of the network: the others' logs."""

    def __init__(self, folder: Path, name: str, nodes: "dict[int, Node]") -> None:
        self.log = RaftLog(folder / name, NodeId(name), boot_ms=SystemClock().boot_ms, sizes=SIZES, timing=TIMING)
        self.replica = LmdbReplica(folder / name / "replica", writable=True)
        self.name, self._nodes = name, nodes
        self.changed = asyncio.Event()
        self.tasks: list[asyncio.Future[None]] = []

    async def recover(self) -> None:
        self.log.note_applied(self.replica.index)
        await catch_up(self.replica, self.log)

    async def start(self) -> None:
        self._nodes[self.log.raft_id] = self
        await self.log.start(self, on_change=self.changed.set)
        self.tasks = [asyncio.ensure_future(self._follow()), asyncio.ensure_future(self._tend())]

    def send(self, to: int, address: str, data: bytes) -> None:
        if to in self._nodes:
            asyncio.get_running_loop().call_soon(self._nodes[to].log.receive, data)

    def send_snapshot(self, to: int, address: str, header: bytes, chunks: AsyncIterator[bytes], done: Callable[[bool], None]) -> None:
        async def carry() -> None:
            await self._nodes[to].log.receive_snapshot(header, chunks)
            done(True)

        self.tasks.append(asyncio.ensure_future(carry()))

    async def _follow(self) -> None:
        async for found in self.log.follow_groups(self.replica.index):
            if isinstance(found, Snapshot):
                await self.replica.install(found)
            else:
                self.replica.apply(found)
            self.log.note_applied(self.replica.index)

    async def _tend(self) -> None:
        while True:
            if self.log.needs_checkpoint:
                await self.log.checkpoint(self.replica.copy())
            await asyncio.sleep(0.02)

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.log.close()
        self.replica.close()


async def open_cluster(folder: Path) -> tuple[list[Node], Node, Fence]:
    """All members, the one that leads, and its fence."""
    nodes: dict[int, Node] = {}
    members = [Node(folder, f"n{number}", nodes) for number in range(1, COUNT + 1)]
    for node in members:
        await node.recover()
    if not any(node.log.members.now for node in members):
        members[0].log.bootstrap("n1:1")
    for node in members:
        await node.start()
    locks = [asyncio.ensure_future(node.log.lock()) for node in members]
    done, waiting = await asyncio.wait(locks, return_when=asyncio.FIRST_COMPLETED)
    for lock in waiting:
        lock.cancel()
    fence = done.pop().result()
    leader = next(node for node in members if node.name == fence.holder)
    known = {member.id for member in leader.log.status.members if member.voter}
    for node in members:
        if node.name not in known:
            await leader.log.add(Member(id=NodeId(node.name), raft_id=node.log.raft_id, address=f"{node.name}:1", voter=True), voter=True)
    return members, leader, fence


async def write(folder: Path) -> None:
    _, leader, fence = await open_cluster(folder)
    dice = Random(leader.log.durable_index)
    while True:
        first = leader.log.durable_index + 1
        group = [batch(number) for number in range(first, first + dice.choice((1, 2, 5, 20)))]
        await leader.log.append(group, fence)
        os.write(1, b"durable %d\n" % group[-1].index)


if __name__ == "__main__":
    fork_for_each_line(write)
