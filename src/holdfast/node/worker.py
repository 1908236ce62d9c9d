"""A worker: answers reads from the node's replica, and hands everything else to its main process.

In every respect a performance standby of its own node. Invariants: (1) nothing of an attempt that leaves for main is kept; (2) a worker
whose main process has gone ends at once.
"""
import asyncio
from collections.abc import AsyncGenerator, Callable
from functools import partial
from typing import Any, assert_never

from holdfast.core import envelope
from holdfast.core.outcome import Commit, Do, Outside
from holdfast.engine import Memo, Place, Request, Stream
from holdfast.errors import InvariantError, UnavailableError
from holdfast.limits import FORWARDS_MAX, STREAM_CHUNKS_MAX
from holdfast.node.attempts import Attempts, Devices
from holdfast.node.measuring import RequestMetrics
from holdfast.node.message import Begin, Cancel, Chunk, Done, FromWorker, Submit, Took
from holdfast.node.serving import Served, Serving
from holdfast.replica import Why

BEGIN_AFTER = 8                                          # requests: a main that has no others may begin, while the worker reads on


class Streaming(AsyncGenerator[bytes, None]):
    """A stream that main sends piece by piece, STREAM_CHUNKS_MAX ahead of `took` at most. `ended`: nobody wants more of it, also if nobody
    ever wanted any."""

    def __init__(self, took: Callable[[int], None], ended: Callable[[], None]) -> None:
        self._chunks: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._took, self._ended, self._untold = took, ended, 0
        self.offer = self._chunks.put_nowait             # a piece from main

    async def asend(self, value: None) -> bytes:
        """Raises UnavailableError: the rest does not come."""
        if self._untold == STREAM_CHUNKS_MAX // 2:       # the client has them, or it would not ask
            self._took(self._untold)
            self._untold = 0
        if data := await self._chunks.get():
            self._untold += 1
            return data
        self._ended()
        if data is None:
            raise UnavailableError("a stream has ended before its end")
        raise StopAsyncIteration

    async def athrow(self, *error: Any) -> bytes:
        self._ended()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self._ended()


class Worker:
    """`send` and `flush` are those of the channel to main."""

    def __init__(self, attempts: Attempts, devices: Devices, metrics: RequestMetrics, send: Callable[[FromWorker], None],
                 flush: Callable[[], None]) -> None:
        self._send, self._flush, self._loop = send, flush, asyncio.get_running_loop()
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
        self._send(Submit(number=self._numbers, request=request, to=to, why=why, memo=memo.portable()))
        if len(self._waiting) == BEGIN_AFTER:
            self._flush()
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
                stream = self._streams[number] = Streaming(partial(self._took, number), partial(self._cancel, number))
                self._resolve(number, Stream(status=message.status, content_type=message.content_type, headers=message.headers,
                                             chunks=stream))
            case Chunk(data=data):
                if number in self._streams:
                    self._streams[number].offer(data)
            case other:
                assert_never(other)

    def _resolve(self, number: int, answer: Served) -> None:
        waiting = self._waiting.pop(number)
        if not waiting.done():
            waiting.set_result(answer)

    def _took(self, number: int, pieces: int) -> None:
        self._send(Took(number=number, pieces=pieces))

    def _cancel(self, number: int) -> None:
        if self._streams.pop(number, None) is not None:
            self._send(Cancel(number=number))
