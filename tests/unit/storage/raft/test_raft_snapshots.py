"""Checkpoints, compaction, and followers whose entries are gone."""

import asyncio

import pytest
from tests.unit.storage.raft.cluster import Network, Node, end, grow, play, until

from holdfast.ids import Index
from holdfast.storage import Fence, Uncertain
from holdfast.storage.raft import Member, Sizes

TINY = Sizes(segment=1 << 16, reserve=1 << 12, checkpoint_after=1 << 18, window=1 << 15)


async def fill(node: Node, fence: Fence, count: int) -> None:
    for _ in range(count):
        await node.write(fence, size=1_000)


def test_a_checkpoint_lets_go_of_the_log_before_it_and_a_start_needs_only_what_follows() -> None:
    async def run() -> None:
        node = Node(Network(), "n1", sizes=TINY)
        node.tends = False
        node.log.bootstrap("a:1")
        await node.start()
        fence = await node.log.lock()
        await fill(node, fence, 200)
        assert node.log.needs_checkpoint
        before = len(node.disk.names(node.disk_folder / "log"))
        await until(lambda: node.index == 200)
        await node.checkpoint()
        assert not node.log.needs_checkpoint
        assert len(node.disk.names(node.disk_folder / "log")) < before
        await fill(node, fence, 5)
        await node.kill()
        node.reset()
        node.open()
        assert node.log.durable_index == 205
        await node.start()
        await until(lambda: node.index == 205)
        assert node.snapshots == [200]
        await node.close()

    play(run())


def test_a_follower_whose_entries_are_gone_gets_a_snapshot_and_what_follows_it() -> None:
    async def run() -> None:
        network = Network()
        nodes = await grow(network, 3, sizes=TINY)
        fence = await nodes[0].log.lock()
        network.isolate(nodes[2])
        await fill(nodes[0], fence, 100)
        await until(lambda: nodes[0].index == 100)
        await nodes[0].checkpoint()
        await fill(nodes[0], fence, 100)
        network.heal()
        await fill(nodes[0], fence, 10)
        await until(lambda: nodes[2].index == 210)       # the first checkpoint is older than the entries in memory: there is another
        assert nodes[2].applied == nodes[0].applied
        assert nodes[2].snapshots
        await end(nodes)

    play(run())


def test_a_new_member_learns_by_snapshot_and_restarts_from_it() -> None:
    async def run() -> None:
        network = Network()
        first = Node(network, "n1", sizes=TINY)
        first.log.bootstrap("a:1")
        await first.start()
        fence = await first.log.lock()
        await fill(first, fence, 150)
        await until(lambda: first.index == 150)
        await first.checkpoint()
        second = Node(network, "n2", seed=2, sizes=TINY)
        await second.start()
        await first.log.add(Member(id=second.name, raft_id=second.log.raft_id, address="b:1", voter=True), voter=True)
        await fill(first, fence, 20)
        await until(lambda: second.index == 170)
        assert second.snapshots == [150]
        assert second.applied == first.applied
        await second.kill()
        second.reset()
        second.open()
        assert second.log.durable_index >= 150
        assert {member.id for member in second.log.status.members if member.voter} == {"n1", "n2"}
        await second.start()
        await until(lambda: second.index == 170)
        await end([first, second])

    play(run())


def test_a_snapshot_that_does_not_arrive_is_sent_again() -> None:
    async def run() -> None:
        network = Network()
        first = Node(network, "n1", sizes=TINY)
        first.log.bootstrap("a:1")
        await first.start()
        fence = await first.log.lock()
        await fill(first, fence, 150)
        await until(lambda: first.index == 150)
        await first.checkpoint()
        network.snapshots_to_fail = 3
        second = Node(network, "n2", seed=2, sizes=TINY)
        await second.start()
        await first.log.add(Member(id=second.name, raft_id=second.log.raft_id, address="b:1", voter=False), voter=False)
        await until(lambda: second.index == 150)
        assert network.snapshots_to_fail == 0
        names = second.disk.names(second.disk_folder)
        assert sum(name.startswith(("state-", "incoming-")) for name in names) == 1, "a state that did not arrive whole leaves nothing"
        await end([first, second])

    play(run())


@pytest.mark.parametrize("damage", ["cut", "flipped", "longer"])
def test_a_state_that_is_not_what_its_header_says_is_refused(damage: str) -> None:
    async def run() -> None:
        network = Network()
        first = Node(network, "n1", sizes=TINY)
        first.log.bootstrap("a:1")
        await first.start()
        fence = await first.log.lock()
        await fill(first, fence, 150)
        await until(lambda: first.index == 150)
        await first.checkpoint()
        network.damage = damage
        second = Node(network, "n2", seed=2, sizes=TINY)
        await second.start()
        await first.log.add(Member(id=second.name, raft_id=second.log.raft_id, address="b:1", voter=False), voter=False)
        await until(lambda: network.refused > 2)
        assert second.index == 0
        network.damage = ""
        await until(lambda: second.index == 150)
        await end([first, second])

    play(run())


@pytest.mark.parametrize("arrives", [False, True])
def test_the_fate_of_an_append_is_told_though_a_snapshot_has_taken_the_place_of_its_entry(arrives: bool) -> None:
    async def run() -> None:
        network = Network()
        nodes = await grow(network, 3, sizes=TINY)
        fence = await nodes[0].log.lock()
        await fill(nodes[0], fence, 5)
        for node in nodes[1:]:
            network.cut.add((node.log.raft_id, nodes[0].log.raft_id))    # nobody is heard by the leader any more
        if not arrives:
            network.isolate(nodes[0])
        with pytest.raises(Uncertain):
            await nodes[0].write(fence)
        network.isolate(nodes[0])
        locks = [asyncio.ensure_future(node.log.lock()) for node in nodes[1:]]
        done, others = await asyncio.wait(locks, return_when=asyncio.FIRST_COMPLETED)
        for lock in others:
            lock.cancel()
        second = done.pop().result()
        leader = next(node for node in nodes if node.name == second.holder)
        await fill(leader, second, 100)
        await until(lambda: leader.index == leader.log.durable_index)
        await leader.checkpoint()
        network.heal()
        assert await nodes[0].log.fate(Index(6)) is arrives
        await until(lambda: nodes[0].index == leader.log.durable_index)
        assert nodes[0].snapshots
        assert nodes[0].applied == leader.applied
        await end(nodes)

    play(run())
