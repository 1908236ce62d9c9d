"""Work that nobody waits for: held until it ends, which the event loop does not do, and heard of when it fails."""
import asyncio
from collections.abc import Callable, Coroutine


class Background:
    """The tasks of one part of a process. `failed` is told what one of them raised; without it the event loop is."""

    def __init__(self, failed: Callable[[BaseException], None] | None = None) -> None:
        self._failed = failed
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, coroutine: Coroutine[None, None, None]) -> "asyncio.Task[None]":
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self.ended)
        return task

    def cancel(self) -> None:
        """All but the one that asks: what it has begun, it ends."""
        for task in self._tasks - {asyncio.current_task()}:
            task.cancel()

    def ended(self, task: "asyncio.Task[None]") -> None:
        """For a task that somebody else holds, too."""
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        if self._failed is not None:
            self._failed(error)
        else:
            task.get_loop().call_exception_handler({"message": "work in the background failed", "exception": error})
