"""The thread that writes, and what stands in for it: the same promises."""
import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event, get_ident

import pytest

from holdfast.storage.writer import PooledWriter, Writer, WriterThread, write
from holdfast.testing.pool import InlinePool

WRITERS = [lambda: WriterThread("writer"), lambda: PooledWriter(ThreadPoolExecutor(1)), lambda: PooledWriter(InlinePool())]


@pytest.mark.parametrize("make", WRITERS)
def test_what_is_handed_over_is_done_in_order_and_told_on_the_loop(make: Callable[[], Writer]) -> None:
    async def hand_over() -> None:
        writer, all_told, loops_thread = make(), asyncio.Event(), get_ident()

        def told(number: int, error: BaseException | None) -> None:
            assert get_ident() == loops_thread
            assert error is None
            seen.append(("told", number))
            if number == 9:
                all_told.set()

        for number in range(10):
            writer.start(lambda error, number=number: told(number, error), seen.append, ("done", number))  # type: ignore[misc]
            assert ("told", number) not in seen, "only in a later turn"
        await all_told.wait()
        writer.close()

    seen: list[tuple[str, int]] = []
    asyncio.run(hand_over())
    for what in ("done", "told"):
        assert [each for each in seen if each[0] == what] == [(what, number) for number in range(10)]


@pytest.mark.parametrize("make", WRITERS)
def test_what_a_call_raises_is_told_and_the_next_one_is_done(make: Callable[[], Writer]) -> None:
    async def hand_over() -> None:
        writer, done = make(), list[int]()

        def fail() -> None:
            raise OSError("no space")

        with pytest.raises(OSError, match="no space"):
            await write(writer, fail)
        await write(writer, done.append, 1)
        assert done == [1]
        writer.close()

    asyncio.run(hand_over())


def test_who_waits_no_longer_is_not_told() -> None:
    async def hand_over() -> None:
        writer, may_go_on, done = WriterThread("writer"), Event(), list[int]()
        waiting = asyncio.get_running_loop().create_task(write(writer, may_go_on.wait))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        waiting.cancel()
        may_go_on.set()
        await write(writer, done.append, 1)
        assert waiting.cancelled()
        assert done == [1]
        writer.close()

    asyncio.run(hand_over())


def test_closing_waits_for_what_is_under_way_though_the_loop_has_gone() -> None:
    writer, may_go_on, done = WriterThread("writer"), Event(), list[int]()

    async def hand_over() -> None:
        writer.start(lambda error: None, may_go_on.wait)  # type: ignore[arg-type]
        writer.start(lambda error: None, done.append, 1)

    asyncio.run(hand_over())
    may_go_on.set()
    writer.close()
    assert done == [1]
    WriterThread("never begun").close()
