"""Who does, in another thread, what waits for the disk and must keep its order.

Each group costs one hand-over. By an executor of the standard library that is a future of its kind, one of the event loop's,
their locks and callbacks, and a turn of the loop more: twice what a queue and a call cost.

Invariants: (1) one call is under way at a time, in the order in which they were handed over; (2) `done` is called once for each, on the
event loop from which it was handed over, in a later turn of it.
"""
import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import Protocol, TypeAlias

Call: TypeAlias = Callable[..., None]
Done: TypeAlias = Callable[[BaseException | None], object]
"""Told what the call raised; None: it is done."""
_Task: TypeAlias = tuple[asyncio.AbstractEventLoop, Done, Call, tuple[object, ...]]


class Writer(Protocol):
    def start(self, done: Done, call: Call, *arguments: object) -> None: ...
    def close(self) -> None:
        """Takes no more, and waits for what is under way."""


class WriterThread:
    """One thread, begun with its first call."""

    def __init__(self, name: str) -> None:
        self._queue: SimpleQueue[_Task | None] = SimpleQueue()
        self._thread = Thread(target=_work, args=(self._queue,), name=name, daemon=True)     # nobody waits for what nobody closed

    def start(self, done: Done, call: Call, *arguments: object) -> None:
        if self._thread.ident is None:
            self._thread.start()
        self._queue.put((asyncio.get_running_loop(), done, call, arguments))

    def close(self) -> None:
        self._queue.put(None)
        if self._thread.ident is not None:
            self._thread.join()


class PooledWriter:
    """By an executor of one thread, or of none."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def start(self, done: Done, call: Call, *arguments: object) -> None:
        def tell(answer: "asyncio.Future[None]") -> None:
            done(asyncio.CancelledError() if answer.cancelled() else answer.exception())

        asyncio.get_running_loop().run_in_executor(self._executor, call, *arguments).add_done_callback(tell)

    def close(self) -> None:
        self._executor.shutdown()


async def write(writer: Writer, call: Call, *arguments: object) -> None:
    """Returns when the call is done. Raises what it raises."""
    answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def tell(error: BaseException | None) -> None:
        if answer.done():                                # nobody waits any more
            return
        answer.set_result(None) if error is None else answer.set_exception(error)

    writer.start(tell, call, *arguments)
    await answer


def _work(queue: "SimpleQueue[_Task | None]") -> None:
    while (task := queue.get()) is not None:
        loop, done, call, arguments = task
        error: BaseException | None = None
        try:
            call(*arguments)
        except BaseException as raised:  # noqa: BLE001 — whoever handed it over is told
            error = raised
        with suppress(RuntimeError):                     # the loop has been closed meanwhile: there is nobody to tell
            loop.call_soon_threadsafe(done, error)
        del task, loop, done, call, arguments, error     # nothing of it is kept until the next one comes
