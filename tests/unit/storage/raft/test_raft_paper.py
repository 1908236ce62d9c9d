"""What the paper on Raft (Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm") and the thesis ask of a driver.

Sections of the paper as 5.2, of the thesis as T 3.10.
"""
import asyncio
import threading

import pytest
from tests.unit.storage.raft.cluster import Network, Node, boot_ms, end, grow, leader_of, play, until

from holdfast.errors import BadRequest, UnavailableError
from holdfast.ids import Index, Millis, NodeId
from holdfast.storage import Fence, FenceLost, Uncertain
from holdfast.storage.raft import Member, Timing
from holdfast.testing.disk import FakeDisk

QUICK = Timing(heartbeat=50, suspicion_min=300, suspicion_max=400)


async def first_fence(nodes: list[Node]) -> tuple[Node, Fence]:
    """Of whichever of them leads next."""
    locks = [asyncio.ensure_future(node.log.lock()) for node in nodes]
    done, others = await asyncio.wait(locks, timeout=8, return_when=asyncio.FIRST_COMPLETED)
    for lock in others:
        lock.cancel()
    fence = done.pop().result()
    return next(node for node in nodes if node.name == fence.holder), fence


def test_5_2_terms_only_grow_and_each_has_one_fence() -> None:
    async def run() -> None:
        nodes = await grow(Network(), 3, timing=QUICK)
        terms = []
        leader, fence = await first_fence(nodes)
        for _ in range(4):
            terms.append(fence.term)
            await leader.write(fence)
            await leader.log.unlock(fence, None)
            leader, fence = await first_fence(nodes)
        assert terms == sorted(set(terms))
        await end(nodes)

    play(run())


def test_5_3_entries_of_a_deposed_leader_that_no_majority_has_are_replaced_and_their_fate_is_settled() -> None:
    async def run() -> None:
        network = Network()
        nodes = await grow(network, 3, timing=QUICK)
        fence = await nodes[0].log.lock()
        await nodes[0].write(fence, 5)
        network.isolate(nodes[0])
        lonely = asyncio.ensure_future(nodes[0].write(fence, 3))
        leader, second = await first_fence(nodes[1:])
        await leader.write(second, 2)
        with pytest.raises(Uncertain):
            await lonely
        assert nodes[0].log.hold_until_boot_ms(fence) == 0
        fate = asyncio.ensure_future(nodes[0].log.fate(Index(8)))
        await asyncio.sleep(0.05)
        assert not fate.done(), "nobody can know yet"
        network.heal()
        assert await asyncio.wait_for(fate, 60) is False
        await until(lambda: all(node.index == 7 for node in nodes))
        assert nodes[0].applied == nodes[1].applied == nodes[2].applied
        await end(nodes)

    play(run())


def test_5_4_an_append_whose_leader_died_after_a_majority_had_it_is_durable() -> None:
    async def run() -> None:
        network = Network()
        nodes = await grow(network, 3, timing=QUICK)
        fence = await nodes[0].log.lock()
        await nodes[0].write(fence, 5)
        for node in nodes[1:]:
            network.cut.add((node.log.raft_id, nodes[0].log.raft_id))    # they hear, and are not heard
        lonely = asyncio.ensure_future(nodes[0].write(fence, 3))
        with pytest.raises(Uncertain):
            await lonely
        network.heal()
        leader, second = await first_fence(nodes)
        assert await nodes[0].log.fate(Index(8)) is True
        await leader.write(second)
        await until(lambda: all(node.index == 9 for node in nodes))
        await end(nodes)

    play(run())


def test_5_4_2_a_new_leader_has_the_fence_only_when_its_own_entry_is_committed_and_all_before_it_applied() -> None:
    async def run() -> None:
        network = Network()
        nodes = await grow(network, 3, timing=QUICK)
        fence = await nodes[0].log.lock()
        await nodes[0].write(fence, 5)
        for node in nodes[1:]:
            assert node.following is not None
            await until(lambda node=node: node.index == 5)  # type: ignore[misc]
            node.following.cancel()                      # its replica stands still
        await nodes[0].write(fence, 5)
        await until(lambda: all(node.log.durable_index == 10 for node in nodes))
        before = nodes[0].log.status.last
        await nodes[0].kill()
        await until(lambda: leader_of(nodes[1:]) is not None)
        leader = leader_of(nodes[1:])
        assert leader is not None
        lock = asyncio.ensure_future(leader.log.lock())
        await until(lambda: leader.log.status.applied > before)
        await asyncio.sleep(0.05)
        assert not lock.done()
        leader.log.note_applied(Index(10))
        assert (await asyncio.wait_for(lock, 60)).holder == leader.name
        for node in nodes[1:]:
            node.following = None
        await end(nodes[1:])

    play(run())


def test_t_3_10_leadership_goes_to_the_node_that_is_named_at_once() -> None:
    async def run() -> None:
        nodes = await grow(Network(), 3)
        leader, fence = await first_fence(nodes)
        for wanted in ("n3", "n2", "n1", "n3"):
            if leader.name == wanted:
                continue
            began = boot_ms()
            await leader.log.unlock(fence, NodeId(wanted))
            assert leader.log.hold_until_boot_ms(fence) == 0
            with pytest.raises(FenceLost):
                await leader.write(fence)
            leader, fence = await first_fence(nodes)
            assert leader.name == wanted
            assert boot_ms() - began < 150, "no gate and no silence to wait for"
            await leader.write(fence)
        await end(nodes)

    play(run())


def test_t_3_10_a_transfer_that_fails_ends_in_stepping_down_and_no_hold_comes_back_in_that_term() -> None:
    async def run() -> None:
        network = Network()
        timing = Timing(heartbeat=50, suspicion_min=300, suspicion_max=400, transfer=100)
        nodes = await grow(network, 3, timing=timing)
        fence = await nodes[0].log.lock()
        await until(lambda: nodes[0].log.hold_until_boot_ms(fence) > boot_ms())
        network.isolate(nodes[0])
        await nodes[0].log.unlock(fence, None)
        assert not nodes[0].is_leader
        assert nodes[0].log.hold_until_boot_ms(fence) == 0
        network.heal()
        _, second = await first_fence(nodes)
        assert second.term > fence.term
        await end(nodes)

    play(run())


def test_t_9_6_a_node_that_was_cut_off_does_not_depose_the_leader_when_it_returns() -> None:
    async def run() -> None:
        network = Network()
        nodes = await grow(network, 3, timing=QUICK)
        fence = await nodes[0].log.lock()
        network.isolate(nodes[2])
        nodes[2].log.suspect(nodes[0].log.raft_id)
        for _ in range(30):
            await nodes[0].write(fence)
            await asyncio.sleep(0.02)
        network.heal()
        for _ in range(20):
            await nodes[0].write(fence)
            await asyncio.sleep(0.01)
        await until(lambda: nodes[2].index == 50)
        assert nodes[0].log.status.term == fence.term
        await end(nodes)

    play(run())


def test_8_a_hold_is_a_majoritys_word_and_ends_without_it() -> None:
    async def run() -> None:
        network = Network()
        timing = Timing()
        nodes = await grow(network, 3, timing=timing)
        fence = await nodes[0].log.lock()
        await until(lambda: nodes[0].log.hold_until_boot_ms(fence) > boot_ms())
        assert nodes[0].log.hold_until_boot_ms(fence) <= boot_ms() + timing.hold
        network.isolate(nodes[0])
        cut = boot_ms()
        await until(lambda: nodes[0].log.hold_until_boot_ms(fence) <= boot_ms(), 1)
        assert boot_ms() - cut <= timing.hold + 50
        await until(lambda: leader_of(nodes[1:]) is not None)
        assert boot_ms() - cut >= timing.vote_gate - timing.heartbeat
        await end(nodes)

    play(run())


class HangingDisk(FakeDisk):
    """Flushes wait for as long as it hangs."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.free_to_go = threading.Event()
        self.free_to_go.set()

    def sync(self, inode: object) -> None:
        self.free_to_go.wait(20)
        super().sync(inode)  # type: ignore[arg-type]


def test_t_10_2_1_a_leader_whose_disk_hangs_gives_leadership_away() -> None:
    async def run() -> None:
        network = Network()
        timing = Timing(heartbeat=50, suspicion_min=300, suspicion_max=400, persist=200)
        disk = HangingDisk(1)
        nodes = [Node(network, "n1", disk=disk, timing=timing), *(Node(network, f"n{n}", seed=n, timing=timing) for n in (2, 3))]
        nodes[0].log.bootstrap("a1:1")
        for node in nodes:
            await node.start()
        fence = await nodes[0].log.lock()
        for node in nodes[1:]:
            await nodes[0].log.add(Member(id=node.name, raft_id=node.log.raft_id, address="b:1", voter=True), voter=True)
        await nodes[0].write(fence)
        disk.free_to_go.clear()
        stuck = asyncio.ensure_future(nodes[0].write(fence, 2))
        leader, second = await asyncio.wait_for(first_fence(nodes[1:]), 60)
        await leader.write(second)
        with pytest.raises(Uncertain):
            await stuck
        assert nodes[0].log.hold_until_boot_ms(fence) == 0
        disk.free_to_go.set()
        assert await asyncio.wait_for(nodes[0].log.fate(Index(3)), 60) is True, "the others had it before they elected"
        await until(lambda: all(node.index == 4 for node in nodes))
        await end(nodes)

    asyncio.run(run())


def test_6_members_come_as_learners_and_leave_and_the_one_removed_knows_it() -> None:
    async def run() -> None:
        network = Network()
        nodes = await grow(network, 3, timing=QUICK)
        fence = await nodes[0].log.lock()
        await nodes[0].write(fence, 3)
        assert [member.voter for member in nodes[0].log.status.members] == [True] * 3
        await nodes[0].log.demote(nodes[1].log.raft_id)
        assert {member.id: member.voter for member in nodes[0].log.status.members} == {"n1": True, "n2": False, "n3": True}
        await nodes[0].log.promote(nodes[1].log.raft_id)
        network.isolate(nodes[2])
        await asyncio.gather(*(nodes[0].log.remove(nodes[2].log.raft_id) for _ in range(2)))      # the second one finds it done
        assert {member.id for member in nodes[0].log.status.members} == {"n1", "n2"}
        assert not nodes[2].log.is_removed, "nobody could tell it"
        network.heal()
        await until(lambda: nodes[2].log.is_removed)
        await nodes[0].log.remove(nodes[2].log.raft_id)
        with pytest.raises(BadRequest, match="no member any more"):
            await nodes[0].log.promote(nodes[2].log.raft_id)
        with pytest.raises(UnavailableError):
            await nodes[1].log.remove(nodes[0].log.raft_id)
        await nodes[0].write(fence, 3)
        await until(lambda: nodes[1].index == 6)
        await end(nodes)

    play(run())


def test_6_a_leader_that_removes_itself_leads_no_more_and_says_so() -> None:
    async def run() -> None:
        nodes = await grow(Network(), 3, timing=QUICK)
        fence = await nodes[0].log.lock()
        with pytest.raises(BadRequest, match="is a member already"):
            await nodes[0].log.add(Member(id=NodeId("n2"), raft_id=77, address="x:1", voter=True), voter=True)
        await nodes[0].log.remove(nodes[0].log.raft_id)
        assert await nodes[0].log.held(fence, Millis(1 << 62)) is None
        assert nodes[0].log.is_removed
        leader, second = await first_fence(nodes[1:])
        await leader.write(second)
        await leader.log.demote(next(node.log.raft_id for node in nodes[1:] if node is not leader))
        with pytest.raises(BadRequest, match="last voter"):
            await leader.log.remove(leader.log.raft_id)
        await end(nodes)

    play(run())
