"""A state restored everywhere: staged at a majority, then one entry of the log."""
import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.unit.storage.raft.cluster import Network, Node, end, grow, play, until
from tests.unit.storage.raft.test_raft_paper import QUICK, first_fence
from tests.unit.storage.raft.test_raft_snapshots import TINY

from holdfast.errors import InvariantError, UnavailableError
from holdfast.ids import Index, Millis
from holdfast.storage import Fence, WriteBatch

RESTORED = repr((500, {500: {"restored": b"1"}})).encode()


async def chunks(state: bytes = RESTORED) -> AsyncIterator[bytes]:
    for at in range(0, len(state), 7):
        yield state[at:at + 7]


def fence_of(node: Node) -> Fence:
    fence = node.log._fence
    assert fence is not None
    return fence


async def ready(network: Network) -> tuple[list[Node], Node]:
    nodes = await grow(network, 3, timing=QUICK, sizes=TINY)
    fence = await nodes[0].log.lock()
    for _ in range(30):
        await nodes[0].write(fence)
    return nodes, nodes[0]


def test_a_restored_state_reaches_every_member_and_the_log_goes_on_from_it() -> None:
    async def run() -> None:
        nodes, leader = await ready(Network())
        await leader.log.install(Index(500), 1, chunks())
        assert leader.log.durable_index == 500
        await until(lambda: all(node.index == 500 for node in nodes))
        leader, fence = await first_fence([nodes[0]]) if nodes[0].log._fence is None else (nodes[0], nodes[0].log._fence)
        await leader.write(fence, 3)
        await until(lambda: all(node.index == 503 for node in nodes))
        assert all(sorted(node.applied) == [500, 501, 502, 503] for node in nodes)
        assert all(node.log.generation == 1 for node in nodes)
        for node in nodes:
            await node.kill()
        for node in nodes:
            node.reset()
            node.open()
            await node.start()
        await until(lambda: all(node.index == 503 for node in nodes))
        assert all(node.snapshots == [500, 500] for node in nodes)
        await end(nodes)

    play(run())


def test_a_member_that_was_away_gets_it_when_it_returns() -> None:
    async def run() -> None:
        network = Network()
        nodes, leader = await ready(network)
        network.isolate(nodes[2])
        await leader.log.install(Index(500), 1, chunks())
        fence = fence_of(leader)
        await leader.write(fence, 3)
        await until(lambda: all(node.index == 503 for node in nodes[:2]))
        network.heal()
        await until(lambda: nodes[2].index == 503)
        assert sorted(nodes[2].applied) == [500, 501, 502, 503]
        await end(nodes)

    play(run())


def test_a_state_that_comes_after_its_entry_is_taken_all_the_same() -> None:
    """The entry counts once a majority has the state; this member is still at it."""
    async def run() -> None:
        nodes, leader = await ready(Network())
        third = nodes[2]
        asked, kept, keep = 0, asyncio.Event(), third.log._disk.keep_restored
        lacks_state = third.log.lacks_state

        def ask() -> None:
            nonlocal asked
            asked += 1
            lacks_state()

        async def late(header: bytes, chunks: AsyncIterator[bytes]) -> None:
            third.log._states_coming += 1
            staged = await third.log._shipping.receive(header, chunks)
            await kept.wait()
            assert staged is not None
            keep(staged)
            third.log._states_coming -= 1
            third.log._following.news.wake()

        third.log.receive_snapshot = late  # type: ignore[method-assign]
        third.log.lacks_state = ask  # type: ignore[method-assign]
        await leader.log.install(Index(500), 1, chunks())
        await until(lambda: third.log.durable_index == 500)
        await until(lambda: nodes[1].index == 500)
        assert third.index == 30
        kept.set()
        await until(lambda: third.index == 500)
        assert asked == 0
        await end(nodes)

    play(run())


def test_who_lacks_the_state_comes_last() -> None:
    async def run() -> None:
        nodes, _ = await ready(Network())
        first = min(nodes, key=lambda node: node.log.raft_id)
        assert first.log._rank(0) == 0
        first.log._disk.lacks_state = True
        assert all(first.log._rank(0) > node.log._rank(0) for node in nodes if node is not first)
        await end(nodes)

    play(run())


def test_without_a_majority_nothing_happens() -> None:
    async def run() -> None:
        network = Network()
        nodes, leader = await ready(network)
        network.snapshots_to_fail = 2
        with pytest.raises(UnavailableError, match="too few members"):
            await leader.log.install(Index(500), 1, chunks())
        with pytest.raises(InvariantError):
            await leader.log.install(Index(30), 1, chunks())
        fence = fence_of(leader)
        await leader.write(fence)
        await until(lambda: all(node.index == 31 for node in nodes))
        await leader.log.install(Index(500), 1, chunks())
        await until(lambda: all(node.index == 500 for node in nodes))
        await end(nodes)

    play(run())


def test_a_checkpoint_that_a_state_has_overtaken_is_given_up() -> None:
    async def run() -> None:
        nodes, leader = await ready(Network())
        following = leader.log._following
        locate = following.locate

        async def late(after: Index) -> int:
            """Where it stands in the log, of which nothing is left by then."""
            at = await locate(after)
            await leader.log.install(Index(500), 1, chunks())
            await until(lambda: leader.index == 500)
            return at

        following.locate = late  # type: ignore[method-assign]
        await leader.checkpoint()
        following.locate = locate  # type: ignore[method-assign]
        assert leader.log._disk.base_wal == 500
        await leader.checkpoint()
        await end(nodes)

    play(run())


@pytest.mark.parametrize("is_lost", [False, True])
def test_a_node_that_died_between_the_entry_and_its_checkpoint_finds_the_state_again(is_lost: bool) -> None:
    async def run() -> None:
        nodes, leader = await ready(Network())
        third = nodes[2]
        assert third.following is not None
        await until(lambda: third.index == 30)
        third.following.cancel()                         # it stages and stores the entry, and does not adopt the state
        await leader.log.install(Index(500), 1, chunks())
        await until(lambda: third.log.durable_index == 500)
        await leader.log.append([WriteBatch(index=Index(501), time_ms=Millis(0), changes={})], fence_of(leader))
        await until(lambda: third.log.durable_index == 501)
        third.following = None
        await third.kill()
        if is_lost:
            for name in third.disk.names(third.disk_folder):
                if name.startswith("restore-"):
                    third.disk.remove(third.disk_folder / name)
        third.open()
        assert third.log.durable_index == 30 if is_lost else third.log.durable_index >= 500
        assert third.log.is_whole is not is_lost
        await third.start()
        await until(lambda: third.index == 501)
        await third.kill()
        for name in third.disk.names(third.disk_folder):
            assert not name.startswith("restore-") or name.startswith("restore-00000001"), name
        await end(nodes[:2])

    play(run())
