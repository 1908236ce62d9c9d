"""Streams from main through a worker to a client that is slow, or gone; and those that end before their end."""
import asyncio
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import cast

import pytest

from holdfast.engine import Stream
from holdfast.errors import UnavailableError
from holdfast.limits import STREAM_CHUNKS_MAX
from holdfast.node.message import Begin, Cancel, Channel, Chunk, Took, ToWorker
from holdfast.node.spawn import WorkerProcess
from holdfast.node.worker import Streaming

PIECES = 4 * STREAM_CHUNKS_MAX


class Source:
    """Of a stream: how much of it was asked for, whether it was closed. `fails_at`: there its other node goes."""

    def __init__(self, fails_at: int = -1) -> None:
        self.given, self.is_closed, self._fails_at = 0, False, fails_at

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        try:
            for number in range(PIECES):
                if number == self._fails_at:
                    raise UnavailableError("the other side has gone")
                self.given += 1
                yield b"%d," % number
        finally:
            self.is_closed = True

    def stream(self) -> Stream:
        return Stream(status=200, content_type="text/plain", chunks=self.pieces())


class Ends:
    """Both ends of the socket between main and one worker; the worker's has one stream."""

    def __init__(self) -> None:
        self.main = WorkerProcess(cast(asyncio.subprocess.Process, None), lambda *_: None, lambda _: None, lambda _: None)
        self.worker: Channel[ToWorker] = Channel(ToWorker, self._received, lambda: None)
        self.stream = Streaming(lambda pieces: self.worker.send(Took(number=1, pieces=pieces)), lambda: self.worker.send(Cancel(number=1)))
        self.has_begun = asyncio.Event()

    async def connect(self) -> None:
        loop = asyncio.get_running_loop()
        for channel, sock in zip((self.main.channel, self.worker), socket.socketpair(), strict=True):
            await loop.create_unix_connection(lambda channel=channel: channel, sock=sock)  # type: ignore[misc]

    def close(self) -> None:
        self.main.channel.close()
        self.worker.close()

    def _received(self, message: ToWorker) -> None:
        if isinstance(message, Begin):
            self.has_begun.set()
        elif isinstance(message, Chunk):
            self.stream.offer(message.data)


async def settled(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():                       # noqa: ASYNC110 -- what is waited for tells nobody
            await asyncio.sleep(0.001)


def played(story: Callable[[Ends], Awaitable[None]]) -> None:
    async def run() -> None:
        ends = Ends()
        await ends.connect()
        try:
            await story(ends)
        finally:
            ends.close()

    asyncio.run(run())


def test_a_slow_client_gets_all_of_it_and_main_waits_for_it() -> None:
    async def story(ends: Ends) -> None:
        source = Source()
        ends.main.answer(1, source.stream())
        await settled(lambda: source.given > STREAM_CHUNKS_MAX)
        for _ in range(50):
            await asyncio.sleep(0)
        assert source.given == STREAM_CHUNKS_MAX + 1, "one more is at hand"
        got = b"".join([piece async for piece in ends.stream])
        assert got == b"".join(b"%d," % number for number in range(PIECES))
        await settled(lambda: source.is_closed)

    played(story)


@pytest.mark.parametrize("fails_at", [0, 3])
def test_one_that_breaks_off_ends_for_the_client_too(fails_at: int) -> None:
    async def story(ends: Ends) -> None:
        source = Source(fails_at)
        ends.main.answer(1, source.stream())
        got: list[bytes] = []
        with pytest.raises(UnavailableError):
            async with asyncio.timeout(10):
                got.extend([piece async for piece in ends.stream])
        await settled(lambda: source.is_closed)

    played(story)


def test_a_client_that_goes_before_the_first_piece_ends_it() -> None:
    async def story(ends: Ends) -> None:
        source = Source()
        ends.main.answer(1, source.stream())
        await ends.has_begun.wait()
        await ends.stream.aclose()
        await settled(lambda: source.is_closed)

    played(story)


def test_it_ends_with_its_worker() -> None:
    async def story(ends: Ends) -> None:
        source = Source()
        ends.main.answer(1, source.stream())
        await settled(lambda: source.given > STREAM_CHUNKS_MAX)
        ends.worker.close()
        await settled(lambda: source.is_closed)

    played(story)
