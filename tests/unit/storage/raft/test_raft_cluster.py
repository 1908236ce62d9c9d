"""Integrated storage, three nodes: election, appends, the leader's death, restarts."""
import asyncio
import errno
import time

import pytest
from tests.unit.storage.raft.cluster import SMALL, Network, Node, end, grow, leader_of, play, until

from holdfast.errors import UnavailableError
from holdfast.ids import Index, NodeId
from holdfast.storage import Fence, Full
from holdfast.storage.raft import Member, Timing


async def write_for_ever(node: Node, fence: Fence) -> None:
    while True:
        await node.write(fence)


def test_one_node_elects_itself_at_once_and_appends() -> None:
    async def run() -> None:
        took = float("inf")
        for _ in range(6):                           # a machine that others use too is late now and then, and not each time
            node = Node(Network(), "n1")
            node.log.bootstrap("a:1")
            began = time.monotonic()
            await node.start()
            fence = await asyncio.wait_for(node.log.lock(), 60)
            took = time.monotonic() - began
            if took < 0.3:
                break
            await node.close()
        assert took < 0.3
        for _ in range(20):
            await node.write(fence, 3)
        assert node.log.durable_index == 60
        await node.close()
        node.open()
        assert node.log.durable_index == 60
        await node.start()
        again = await asyncio.wait_for(node.log.lock(), 60)
        assert again.term > fence.term
        await node.write(again)
        await until(lambda: node.index == 61)
        await node.close()

    play(run())


def test_a_round_that_is_asked_for_begins_at_once() -> None:
    async def run() -> None:
        network = Network()
        nodes = await grow(network, 3)
        fence = await nodes[0].log.lock()
        network.delay_s = 0.002
        began = asyncio.get_running_loop().time()
        for _ in range(20):
            assert await nodes[0].log.confirm(fence)
        assert asyncio.get_running_loop().time() - began < 0.1, "each took until the next heartbeat"
        await end(nodes)

    play(run())


def test_only_a_round_that_began_after_the_question_answers_it() -> None:
    async def run() -> None:
        network = Network()
        nodes = await grow(network, 3)
        leader = nodes[0].log
        fence = await leader.lock()
        assert leader.driver is not None
        before = leader.driver.hold.begun
        leader.driver.renew()                        # asked of the others, who answer
        network.cut = {(leader.raft_id, node.log.raft_id) for node in nodes[1:]}
        asked = asyncio.create_task(leader.confirm(fence))
        await until(lambda: leader.driver is not None and leader.driver.hold.answered == before + 1)
        await asyncio.sleep(0)
        assert not asked.done()
        network.heal()
        assert await asked
        network.isolate(nodes[0])
        assert not await leader.confirm(fence), "it leads no more, and knows that in the end"
        network.heal()
        await end(nodes)

    play(run())


def test_three_nodes_append_and_all_of_them_follow() -> None:
    async def run() -> None:
        nodes = await grow(Network(), 3)
        fence = await nodes[0].log.lock()
        for _ in range(50):
            await nodes[0].write(fence, 2)
        await until(lambda: all(node.index == 100 for node in nodes))
        assert nodes[0].applied == nodes[1].applied == nodes[2].applied
        await end(nodes)

    play(run())


def test_another_node_follows_a_leader_that_was_killed_and_has_all_that_was_acknowledged() -> None:
    async def run() -> None:
        nodes = await grow(Network(), 3)
        fence = await nodes[0].log.lock()
        for _ in range(20):
            await nodes[0].write(fence)
        await nodes[0].kill()
        loop = asyncio.get_running_loop()
        died = loop.time()
        for node in nodes[1:]:
            node.log.suspect(nodes[0].log.raft_id)
        locks = [asyncio.ensure_future(node.log.lock()) for node in nodes[1:]]
        done, _ = await asyncio.wait(locks, timeout=3, return_when=asyncio.FIRST_COMPLETED)
        took = loop.time() - died
        assert done
        assert took < 0.6, took
        second: Fence = done.pop().result()
        leader = leader_of(nodes[1:])
        assert leader is not None
        assert second.term > fence.term
        for _ in range(10):
            await leader.write(second)
        await until(lambda: all(node.index == 30 for node in nodes[1:]))
        nodes[0].open()
        await nodes[0].start()
        await until(lambda: nodes[0].index == 30)
        assert nodes[0].applied == nodes[1].applied == nodes[2].applied
        for lock in locks:
            lock.cancel()
        await end(nodes)

    play(run())


def test_rule_10_a_fence_that_was_given_up_is_not_given_out_again_in_its_term() -> None:
    async def run() -> None:
        nodes = await grow(Network(), 3)
        fence = await nodes[0].log.lock()
        await nodes[0].write(fence)
        given = asyncio.ensure_future(nodes[0].log.unlock(fence, None))
        again = [asyncio.ensure_future(node.log.lock()) for node in nodes]
        done, _ = await asyncio.wait(again, timeout=3, return_when=asyncio.FIRST_COMPLETED)
        await given
        assert [task.result().term > fence.term for task in done] == [True]
        for task in again:
            task.cancel()
        await end(nodes)

    play(run())


def test_a_node_that_was_sealed_and_unsealed_goes_on_where_the_others_are() -> None:
    async def run() -> None:
        nodes = await grow(Network(), 3)
        fence = await nodes[0].log.lock()
        await nodes[0].write(fence, 5)
        for node in (nodes[2], nodes[1], nodes[2]):
            await until(lambda node=node: node.index == nodes[0].log.durable_index)  # type: ignore[misc]
            await node.stop()
            assert node.log.durable_index == node.index
            await nodes[0].write(fence, 3)
            await node.start()
        await until(lambda: all(node.index == 14 for node in nodes))
        await nodes[0].stop()
        assert nodes[0].log.hold_until_boot_ms(fence) == 0
        await nodes[0].start()
        await until(lambda: leader_of(nodes) is not None)
        leader = leader_of(nodes)
        assert leader is not None
        second = await leader.log.lock()
        await leader.write(second)
        await until(lambda: all(node.index == 15 for node in nodes))
        await end(nodes)

    play(run())


def test_a_full_disk_takes_nothing_and_takes_again_once_there_is_room() -> None:
    async def run() -> None:
        nodes = await grow(Network(), 3)
        fence = await nodes[0].log.lock()
        await nodes[0].write(fence)
        nodes[0].disk.free = SMALL.reserve - 1
        with pytest.raises(Full):
            await write_for_ever(nodes[0], fence)        # until the disk is asked again
        last = nodes[0].log.durable_index
        assert not await nodes[0].log.fate(Index(last + 1)), "nothing was appended"
        nodes[0].disk.free = 1 << 40
        await nodes[0].write(fence)
        await until(lambda: all(node.index == last + 1 for node in nodes))
        await end(nodes)

    play(run())


def test_a_follower_whose_disk_fails_tries_again_until_it_takes_what_it_was_sent() -> None:
    async def run() -> None:
        nodes = await grow(Network(), 3)
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)     # the node logs it
        fence = await nodes[0].log.lock()
        await nodes[0].write(fence)
        nodes[1].disk.fail_syncs = [errno.EIO]
        for _ in range(5):
            await nodes[0].write(fence)
        await until(lambda: nodes[1].index == 6)
        nodes[2].disk.fail_writes = [errno.ENOSPC]
        for _ in range(5):
            await nodes[0].write(fence)
        await until(lambda: all(node.index == 11 for node in nodes))
        for node in nodes:
            node.disk.lose_power()
            await node.close()
            node.reset()
            node.open()
            await node.start()
        await until(lambda: all(node.index == 11 for node in nodes))
        await end(nodes)

    asyncio.run(run())


def test_a_new_member_that_nobody_reaches_stays_a_learner_and_can_be_removed_meanwhile() -> None:
    async def run() -> None:
        timing = Timing(settle=200)
        nodes = await grow(Network(), 1, timing=timing)
        lost = Member(id=NodeId("lost"), raft_id=99, address="x:1", voter=True)
        adding = asyncio.ensure_future(nodes[0].log.add(lost, voter=True))
        await until(lambda: len(nodes[0].log.status.members) == 2)
        with pytest.raises(UnavailableError, match="stays a learner"):
            await adding
        adding = asyncio.ensure_future(nodes[0].log.promote(lost.raft_id))
        await asyncio.sleep(0.02)
        await nodes[0].log.remove(lost.raft_id)
        with pytest.raises(UnavailableError, match="was removed"):
            await adding
        fence = await nodes[0].log.lock()
        await nodes[0].write(fence)
        await end(nodes)

    play(run())


@pytest.mark.parametrize("who", [0, 2], ids=["the leader of before", "a follower"])
def test_a_member_that_comes_back_at_another_address_is_found_there_and_the_log_says_so(who: int) -> None:
    async def run() -> None:
        network = Network()
        nodes = await grow(network, 3)
        fence = await nodes[0].log.lock()
        last = await nodes[0].write(fence, 3)
        await until(lambda: all(node.index == last for node in nodes))
        moved = nodes[who]
        await moved.kill()
        moved.reset()
        moved.open()
        moved.address = network.found_at[moved.log.raft_id] = "elsewhere:1"
        await moved.start()
        await until(lambda: (leader := leader_of(nodes)) is not None and leader.log.driver is not None and leader.log.driver.may_hold)
        leader = leader_of(nodes)
        assert leader is not None
        if leader is not nodes[0] or who == 0:
            fence = await leader.log.lock()
        last = await leader.write(fence)
        await until(lambda: moved.index == last)
        await leader.log.follow_moves()
        await until(lambda: all({member.id: member.address for member in node.log.members.sorted()}[moved.name] == "elsewhere:1"
                                for node in nodes))
        assert [member.voter for member in leader.log.members.sorted()] == [True] * 3
        last = await leader.write(fence)
        await until(lambda: moved.index == last)
        await end(nodes)

    play(run())
