"""What nobody waits for is heard of when it fails."""
from __future__ import annotations

import asyncio

import pytest

from holdfast.node.background import Background


async def fails() -> None:
    raise ValueError("of the work")


async def never_ends() -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("is_told", [True, False])
def test_a_failure_is_told_though_somebody_holds_the_task(is_told: bool) -> None:
    async def scene() -> None:
        told: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["exception"]))
        held = Background(told.append if is_told else None).begin(fails())
        await asyncio.wait({held})
        await asyncio.sleep(0)
        assert [str(error) for error in told] == ["of the work"]

    asyncio.run(scene())


def test_all_are_cancelled_but_the_one_that_asks() -> None:
    async def scene() -> None:
        background, ended = Background(), asyncio.Event()

        async def ends_the_rest() -> None:
            background.cancel()
            await asyncio.sleep(0)
            ended.set()

        waits = background.begin(never_ends())
        await background.begin(ends_the_rest())
        assert waits.cancelled()
        assert ended.is_set()

    asyncio.run(scene())
