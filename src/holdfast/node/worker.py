"""A worker: answers reads from the node's replica, and hands everything else to its main process.

In every respect a performance standby of its own node. Invariants: (1) nothing of an attempt that leaves for main is kept; (2) a worker
whose main process has gone ends at once.
"""
import asyncio
from collections.abc import AsyncIterator, Callable
from typing import assert_never

from holdfast.core import envelope
from holdfast.core.outcome import Commit, Do, Outside
from holdfast.engine import Memo, Place, Request, Stream
from holdfast.errors import InvariantError, UnavailableError
from holdfast.limits import FORWARDS_MAX, STREAM_CHUNKS_MAX
from holdfast.node.attempts import Attempts, Devices
from holdfast.node.measuring import RequestMetrics
from holdfast.node.message import Begin, Cancel, Chunk, Done, FromWorker, Submit
from holdfast.node.serving import Served, Serving
from holdfast.replica import Why


class Streaming:
    """A stream that main sends piece by piece."""

    def __init__(self, ended: Callable[[], None]) -> None:
        self._chunks: asyncio.Queue[bytes] = asyncio.Queue(STREAM_CHUNKS_MAX)
        self._ended = ended

    def offer(self, data: bytes) -> None:
        """A piece from main; one that finds the queue full ends the stream, for its client does not keep up."""
        try:
            self._chunks.put_nowait(data)
        except asyncio.QueueFull:
            self._ended()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            while data := await self._chunks.get():
                yield data
        finally:
            self._ended()


class Worker:
    """`send` is the channel to main."""

    def __init__(self, attempts: Attempts, devices: Devices, metrics: RequestMetrics, send: Callable[[FromWorker], None]) -> None:
        self._send, self._loop = send, asyncio.get_running_loop()
        self._numbers = 0
        self._waiting: dict[int, asyncio.Future[Served]] = {}
        self._streams: dict[int, Streaming] = {}
        serving = Serving(attempts, devices, metrics, self._submit, self._refuse)
        self.serve, self.admission = serving.serve, serving.admission

    def _submit(self, request: Request, to: Place, why: Why, memo: Memo) -> "asyncio.Future[Served]":
        answer: asyncio.Future[Served] = self._loop.create_future()
        if len(self._waiting) >= FORWARDS_MAX:
            answer.set_result(envelope.failed(UnavailableError(f"{FORWARDS_MAX} requests of this worker wait already")))
            return answer
        self._numbers += 1
        self._waiting[self._numbers] = answer
        self._send(Submit(number=self._numbers, request=request, to=to, why=why, memo=memo))
        return answer

    async def _refuse(self, request: Request, outcome: Commit | Outside | Do) -> Served:
        raise InvariantError(f"only a main process can carry out a {type(outcome).__name__}")

    def received(self, message: Done | Begin | Chunk) -> None:
        """An answer, or a piece of one, from main."""
        number = message.number
        match message:
            case Done(reply=reply):
                self._resolve(number, reply)
            case Begin():
                stream = self._streams[number] = Streaming(lambda: self._cancel(number))
                self._resolve(number, Stream(status=message.status, content_type=message.content_type, headers=message.headers,
                                             chunks=aiter(stream)))
            case Chunk(data=data):
                if number in self._streams:
                    self._streams[number].offer(data)
            case other:
                assert_never(other)

    def _resolve(self, number: int, answer: Served) -> None:
        waiting = self._waiting.pop(number)
        if not waiting.done():
            waiting.set_result(answer)

    def _cancel(self, number: int) -> None:
        if self._streams.pop(number, None) is not None:
            self._send(Cancel(number=number))
