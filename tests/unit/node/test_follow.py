"""Who is told what while a node follows the log."""
import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from holdfast.crypto import KEYRING
from holdfast.ids import Index, Millis
from holdfast.node.follow import Follower
from holdfast.replica import Reader
from holdfast.storage import Snapshot, WriteBatch


class FakeReplica:
    def __init__(self) -> None:
        self.index = Index(0)

    def open(self) -> Reader:
        raise AssertionError("nobody asked for a state")

    def apply(self, batches: Sequence[WriteBatch]) -> None:
        self.index = batches[-1].index

    async def install(self, snapshot: Snapshot) -> None:
        self.index = snapshot.index


class FakeLog:
    def __init__(self, *groups: Sequence[WriteBatch] | Snapshot) -> None:
        self._groups = groups

    async def follow_groups(self, after: Index) -> AsyncIterator[Sequence[WriteBatch] | Snapshot]:
        for group in self._groups:
            yield group


async def no_chunks() -> AsyncIterator[bytes]:
    return
    yield b""


async def in_pool(call: Callable[[], object]) -> object:
    return call()


def batch(index: int, *keys: str) -> WriteBatch:
    return WriteBatch(index=Index(index), time_ms=Millis(0), changes=dict.fromkeys(keys, b"v"))


def test_who_is_active_is_asked_only_where_it_may_be_another_one() -> None:
    told: list[str] = []
    pool: Callable[[Callable[[], object]], Awaitable[object]] = in_pool
    log = FakeLog(
        [batch(1, "a"), batch(2, "core/leade", "core/leaders")], [batch(3, "b"), batch(4, "a", "core/leader/1")], [batch(5, "a")],
        [batch(6, KEYRING)], Snapshot(index=Index(9), generation=1, chunks=no_chunks()), [batch(10)])

    async def follow() -> None:
        follower = Follower(log, FakeReplica(), None, pool, lambda index: told.append(str(index)),
                            lambda said_by_batch: told.append("said" if said_by_batch else "look"))
        with contextlib.suppress(StopAsyncIteration):
            await follower.run()

    asyncio.run(follow())
    assert told == ["2", "4", "said", "5", "6", "look", "9", "look", "10"]
