"""What every log promises: one suite for the one in memory, the one on disk and the one on a disk made of memory."""
import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

from holdfast.errors import IntegrityError, InvariantError
from holdfast.ids import Index, Millis, NodeId, Term
from holdfast.storage import FOREVER_BOOT_MS, Fence, FenceLost, Snapshot, WriteBatch
from holdfast.storage.disk import BLOCK_BYTES
from holdfast.storage.file import FileLog, Sizes
from holdfast.storage.inmem import InmemLog
from holdfast.testing.disk import FakeDisk
from holdfast.testing.pool import InlinePool

AnyLog: TypeAlias = InmemLog | FileLog
NODE = NodeId("n1")
SMALL = Sizes(segment=4 * BLOCK_BYTES, reserve=0)


@pytest.fixture(params=["inmem", "file", "file on a fake disk"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AnyLog]:
    if request.param == "inmem":
        yield InmemLog(NODE)
        return
    if request.param == "file":
        opened = FileLog(tmp_path / "store", NODE, sizes=SMALL)
    else:
        opened = FileLog(Path("/store"), NODE, disk=FakeDisk(), sizes=SMALL, appender=InlinePool(), maker=InlinePool())
    yield opened
    opened.close()


def group(first: int, count: int = 1) -> list[WriteBatch]:
    return [WriteBatch(index=Index(number), time_ms=Millis(number), changes={f"k/{number}": b"v" * 900, "gone": None})
            for number in range(first, first + count)]


async def take(log: AnyLog, after: int, count: int) -> list[WriteBatch | Snapshot]:
    following = log.follow(Index(after))
    found = [await asyncio.wait_for(anext(following), 60) for _ in range(count)]
    await following.aclose()  # type: ignore[attr-defined]
    return found


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        await asyncio.wait_for(test(), 120)
    asyncio.run(whole())


def test_what_was_appended_is_followed_in_order_each_once(log: AnyLog) -> None:
    async def test() -> None:
        fence = await log.lock()
        for first, count in ((1, 1), (2, 5), (7, 30), (37, 1)):
            await log.append(group(first, count), fence)
        assert log.durable_index == 37
        assert await take(log, 0, 37) == group(1, 37)
        assert await take(log, 20, 17) == group(21, 17)
    run(test)


def test_a_follower_waits_for_what_is_yet_to_come(log: AnyLog) -> None:
    async def test() -> None:
        fence = await log.lock()
        await log.append(group(1), fence)
        waiting = asyncio.create_task(take(log, 1, 3))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not waiting.done()
        await log.append(group(2, 2), fence)
        await log.append(group(4), fence)
        assert await waiting == group(2, 3)
    run(test)


def test_several_follow_at_once(log: AnyLog) -> None:
    async def test() -> None:
        fence = await log.lock()
        waiting = [asyncio.create_task(take(log, 0, 3)) for _ in range(3)]
        for number in (1, 2, 3):
            await log.append(group(number), fence)
        assert await asyncio.gather(*waiting) == [group(1, 3)] * 3
    run(test)


def test_following_from_beyond_the_end_is_refused(log: AnyLog) -> None:
    async def test() -> None:
        with pytest.raises(IntegrityError):
            await take(log, 5, 1)
    run(test)


def test_a_gap_in_the_numbers_is_a_defect(log: AnyLog) -> None:
    async def test() -> None:
        fence = await log.lock()
        await log.append(group(1), fence)
        for bad in (group(3), group(1), group(2) + group(4)):
            with pytest.raises(InvariantError):
                await log.append(bad, fence)
        assert log.durable_index == 1
        await log.append(group(2), fence)
    run(test)


def test_fate_tells_what_is_durable(log: AnyLog) -> None:
    async def test() -> None:
        fence = await log.lock()
        await log.append(group(1, 2), fence)
        assert [await log.fate(Index(number)) for number in (1, 2, 3)] == [True, True, False]
        await log.append(group(3), fence)
        assert await log.fate(Index(3))
    run(test)


def test_nobody_appends_without_the_fence(log: AnyLog) -> None:
    async def test() -> None:
        with pytest.raises(FenceLost):
            await log.append(group(1), Fence(term=Term(1), holder=NODE))
        first = await log.lock()
        await log.unlock(first, None)
        with pytest.raises(FenceLost):
            await log.append(group(1), first)
        second = await log.lock()
        assert second.term > first.term
        assert second.holder == NODE
        with pytest.raises(FenceLost):
            await log.append(group(1), first)
        await log.append(group(1), second)
    run(test)


def test_the_fence_has_one_holder(log: AnyLog) -> None:
    async def test() -> None:
        first = await log.lock()
        waiting = asyncio.create_task(log.lock())
        for _ in range(10):
            await asyncio.sleep(0)
        assert not waiting.done()
        await log.unlock(first, NODE)
        second = await waiting
        await log.unlock(first, None)                    # an old fence gives nothing up
        await log.append(group(1), second)
    run(test)


def test_the_hold_ends_with_the_fence(log: AnyLog) -> None:
    async def test() -> None:
        fence = await log.lock()
        assert log.hold_until_boot_ms(fence) == FOREVER_BOOT_MS
        await log.unlock(fence, None)
        assert log.hold_until_boot_ms(fence) == 0
    run(test)


def test_nothing_to_append_is_nothing(log: AnyLog) -> None:
    async def test() -> None:
        fence = await log.lock()
        await log.append([], fence)
        assert log.durable_index == 0
    run(test)
