"""Calls to the outside: one that hangs holds up nobody else, and no process waits for it."""
import asyncio
import threading
from collections.abc import Iterator

import pytest

from holdfast.errors import OutsideError
from holdfast.limits import OUTSIDE_AT_ONCE, OUTSIDE_OF_ONE_MOUNT
from holdfast.node.outside import OutsideCalls


@pytest.fixture
def release() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def test_a_result_and_an_error_come_back() -> None:
    def fails() -> None:
        raise ValueError("no such database")

    async def main() -> None:
        calls = OutsideCalls()
        assert await calls.call(lambda: 7, "db") == 7
        with pytest.raises(ValueError, match="no such database"):
            await calls.call(fails, "db")
        assert await calls.call(lambda: threading.current_thread().daemon, "db") is True

    asyncio.run(main())


def test_37_a_mount_that_hangs_has_its_share_and_no_more(release: threading.Event) -> None:
    async def main() -> None:
        calls = OutsideCalls()
        hung = [asyncio.ensure_future(calls.call(release.wait, "hangs")) for _ in range(OUTSIDE_OF_ONE_MOUNT)]
        await asyncio.sleep(0)
        with pytest.raises(OutsideError, match="too many calls"):
            await calls.call(lambda: 1, "hangs")
        assert await calls.call(lambda: 2, "other") == 2
        release.set()
        await asyncio.gather(*hung)
        assert await calls.call(lambda: 3, "hangs") == 3

    asyncio.run(main())


def test_who_stops_waiting_leaves_a_thread_that_counts_until_it_ends(release: threading.Event) -> None:
    async def main() -> None:
        calls = OutsideCalls()
        for _ in range(OUTSIDE_OF_ONE_MOUNT):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await calls.call(release.wait, "hangs")
        with pytest.raises(OutsideError):
            await calls.call(lambda: 1, "hangs")
        release.set()
        while True:
            try:
                assert await calls.call(lambda: 1, "hangs") == 1
                return
            except OutsideError:
                await asyncio.sleep(0)

    asyncio.run(main())


def test_all_mounts_together_have_a_bound(release: threading.Event) -> None:
    async def main() -> None:
        calls = OutsideCalls()
        hung = [asyncio.ensure_future(calls.call(release.wait, f"mount{number // OUTSIDE_OF_ONE_MOUNT}"))
                for number in range(OUTSIDE_AT_ONCE)]
        await asyncio.sleep(0)
        with pytest.raises(OutsideError):
            await calls.call(lambda: 1, "one more")
        release.set()
        await asyncio.gather(*hung)

    asyncio.run(main())
