"""Calls to the outside, each in a thread of its own.

A thread cannot be taken from a call that hangs, so these share no pool with anything: not with the disk, not with heavy computing.
Invariants: (1) a mount whose outside hangs has at most OUTSIDE_OF_ONE_MOUNT of the threads, and holds up no other; (2) the threads are
daemons: a process that is to end does not wait for them; what they did is undone by the due queue.
"""
import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from holdfast.errors import OutsideError
from holdfast.limits import OUTSIDE_AT_ONCE, OUTSIDE_OF_ONE_MOUNT


class OutsideCalls:
    """The calls under way, on one event loop."""

    def __init__(self) -> None:
        self._under_way: Counter[str] = Counter()

    async def call(self, function: Callable[[], object], share: str) -> object:
        """Its result, or what it raises. `share`: the mount it is for. Raises OutsideError: too many hang already.

        Whoever stops waiting leaves the thread behind; it counts until the call returns.
        """
        if self._under_way[share] >= OUTSIDE_OF_ONE_MOUNT or self._under_way.total() >= OUTSIDE_AT_ONCE:
            raise OutsideError("too many calls to the outside wait for an answer already")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[object] = loop.create_future()
        self._under_way[share] += 1

        def ended(result: object, error: BaseException | None) -> None:
            self._under_way[share] -= 1
            if answer.done():
                return                                   # nobody waits any more
            if error is None:
                answer.set_result(result)
            else:
                answer.set_exception(error)

        def run() -> None:
            result, failure = None, None
            try:
                result = function()
            except Exception as error:  # noqa: BLE001 — whatever the outside raises is for who waits
                failure = error
            with suppress(RuntimeError):                 # the loop has ended: the process is about to
                loop.call_soon_threadsafe(ended, result, failure)

        threading.Thread(target=run, name="outside", daemon=True).start()
        return await answer
