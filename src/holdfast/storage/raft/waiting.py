"""Those who wait for something to have changed. On one event loop."""
import asyncio


class Waiters:
    """Each waits for the next `wake`, and looks then whether it is what it waited for."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()

    def __bool__(self) -> bool:
        """Does anybody wait?"""
        return bool(self._waiting)

    async def wait(self, within_s: float | None = None) -> None:
        """Until `wake`, or so long at most."""
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        self._waiting.add(waiter)
        timer = loop.call_later(within_s, _resolve, waiter) if within_s is not None else None
        try:
            await waiter
        finally:
            self._waiting.discard(waiter)
            if timer is not None:
                timer.cancel()

    def wake(self) -> None:
        waiting, self._waiting = self._waiting, set()
        for waiter in waiting:
            _resolve(waiter)


def _resolve(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)
