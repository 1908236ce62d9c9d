"""The log as it is written, for sys/monitor: a stream of lines, or of events, at a level of its own.

Invariant: whoever reads too slowly loses lines, is told how many, and slows nobody down.
"""
from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncGenerator

from holdfast.limits import MONITOR_LINES_MAX
from holdfast.telemetry.log import Event, Format, Level, Logs, line_of


async def monitor(logs: Logs, level: Level, format: Format, *, lines_max: int = MONITOR_LINES_MAX) -> AsyncGenerator[bytes]:
    """The events of `follow` as lines."""
    async with contextlib.aclosing(follow(logs, level, lines_max=lines_max)) as events:
        async for event in events:
            yield line_of(event, format)


async def follow(logs: Logs, level: Level, *, lines_max: int = MONITOR_LINES_MAX) -> AsyncGenerator[Event]:
    """Events from the first `anext` on, until it is closed or the log ends: at most `lines_max` wait for the reader."""
    queue = _Queue(level, asyncio.get_running_loop(), lines_max)
    logs.add_listener(queue)
    try:
        while not queue.ended:
            await queue.wait_filled()
            events, dropped = queue.take()
            for event in events:
                yield event
            if dropped:
                yield Event(Level.WARN, "monitor", "monitor.dropped", time.time(), {"lines": dropped})
    finally:
        logs.remove_listener(queue)


class _Queue:
    """Filled on any thread with the log's lock held, emptied on the loop's."""

    def __init__(self, level: Level, loop: asyncio.AbstractEventLoop, lines_max: int) -> None:
        self.level, self._loop, self._lines_max = level, loop, lines_max
        self._events: deque[Event] = deque()
        self._dropped, self._told, self._filled = 0, False, asyncio.Event()
        self.ended = False

    def hear(self, event: Event) -> None:
        if len(self._events) >= self._lines_max:
            self._dropped += 1
        else:
            self._events.append(event)
        self._tell()

    def end(self) -> None:
        self.ended = True
        self._tell()

    def _tell(self) -> None:
        if not self._told:
            self._told = True
            try:
                self._loop.call_soon_threadsafe(self._filled.set)
            except RuntimeError:       # the loop is closed, and the reader gone with it
                self._dropped += 1

    async def wait_filled(self) -> None:
        await self._filled.wait()
        self._filled.clear()

    def take(self) -> tuple[list[Event], int]:
        self._told = False             # before it is emptied: what comes in between wakes the reader once more
        events = [self._events.popleft() for _ in range(len(self._events))]
        dropped, self._dropped = self._dropped, 0
        return events, dropped
