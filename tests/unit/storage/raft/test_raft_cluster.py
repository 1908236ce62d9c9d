"""Integrated storage, three nodes: election, appends, the leader's death, restarts."""
import asyncio

from tests.unit.storage.raft.cluster import Network, Node, end, grow, leader_of, until

from holdfast.storage import Fence


def test_one_node_elects_itself_at_once_and_appends() -> None:
    async def run() -> None:
        node = Node(Network(), "n1")
        node.log.bootstrap("a:1")
        await node.start()
        fence = await asyncio.wait_for(node.log.lock(), 0.3)
        for _ in range(20):
            await node.write(fence, 3)
        assert node.log.durable_index == 60
        await node.close()
        node.open()
        assert node.log.durable_index == 60
        await node.start()
        again = await asyncio.wait_for(node.log.lock(), 0.3)
        assert again.term > fence.term
        await node.write(again)
        await until(lambda: node.index == 61)
        await node.close()

    asyncio.run(run())


def test_three_nodes_append_and_all_of_them_follow() -> None:
    async def run() -> None:
        nodes = await grow(Network(), 3)
        fence = await nodes[0].log.lock()
        for _ in range(50):
            await nodes[0].write(fence, 2)
        await until(lambda: all(node.index == 100 for node in nodes))
        assert nodes[0].applied == nodes[1].applied == nodes[2].applied
        await end(nodes)

    asyncio.run(run())


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

    asyncio.run(run())


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

    asyncio.run(run())
