"""A worker: answers reads from the node's replica, and hands everything else to its main process.

In every respect a performance standby of its own node. Invariants: (1) nothing of an attempt that leaves for main is kept; (2) a worker
whose main process has gone ends at once.
"""
import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import assert_never

from holdfast.core import envelope
from holdfast.core.outcome import Answer, Commit, Do, Forward, Heavy, Outcome, Outside
from holdfast.engine import NOTHING_YET, Memo, Place, Reply, Request, Rng, Stream
from holdfast.errors import AuditError, InvariantError, UnavailableError
from holdfast.ha.gate import WATERMARK, Verdict
from holdfast.ids import Index
from holdfast.limits import FORWARDS_MAX, STREAM_CHUNKS_MAX, WATERMARK_WAIT_MS
from holdfast.node.attempts import Attempts, Devices
from holdfast.node.message import Begin, Cancel, Chunk, Done, FromWorker, Submit
from holdfast.replica import Why

WATERMARK_POLL_S = 0.0005                            # V is a word in shared memory: nothing wakes who waits for it


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

    def __init__(self, attempts: Attempts, devices: Devices, send: Callable[[FromWorker], None]) -> None:
        self._attempts, self._devices, self._send = attempts, devices, send
        self._numbers = 0
        self._waiting: dict[int, asyncio.Future[Reply | Stream]] = {}
        self._streams: dict[int, Streaming] = {}

    def serve(self, request: Request) -> Reply | Awaitable[Reply | Stream]:
        """One request, from bytes parsed to bytes to send. Never raises for a request's fault. A read is answered at once."""
        outcome, verdict, rng = self._attempts.first(request)
        if type(outcome) is Answer and verdict is Verdict.GO:
            return self._audited(outcome) if outcome.audit else outcome.reply
        return self._go_on(request, outcome, verdict, rng)

    async def _go_on(self, request: Request, outcome: Outcome, verdict: Verdict, rng: Rng) -> Reply | Stream:
        memo = NOTHING_YET
        while True:
            match outcome:
                case Answer(index=index):
                    if verdict is Verdict.GO or await self._passed(index):
                        return self._audited(outcome)
                    return await self._submit(request, Place.ACTIVE, Why.NO_LEASE, memo)
                case Heavy(key=key, compute=compute):
                    memo = memo.having(key, await asyncio.to_thread(compute))
                    rng.rewind()
                case Forward(to=to, why=why):
                    return await self._submit(request, to, why, memo)
                case Commit() | Outside() | Do():
                    raise InvariantError("only a main process can carry this out")
                case other:
                    assert_never(other)
            outcome, verdict = self._attempts.attempt(request, memo, rng)

    def _audited(self, answer: Answer) -> Reply:
        """The answer, once the devices have its entries."""
        if not answer.audit:
            return answer.reply
        reader = self._attempts.replica.open()
        try:
            self._devices.write(reader, [(entry.device, entry.request + entry.response) for entry in answer.audit])
        except AuditError as error:
            return envelope.failed(error)
        finally:
            reader.close()
        return answer.reply

    async def _passed(self, index: Index) -> bool:
        """Waits for V, a shared word; the answer stays as it is, so that no newer state has to be waited for."""
        attempts = self._attempts
        deadline = attempts.clock.boot_ms() + WATERMARK_WAIT_MS
        while attempts.words.load(WATERMARK) < index:
            if attempts.clock.boot_ms() >= deadline:
                return False
            await asyncio.sleep(WATERMARK_POLL_S)
        return True

    async def _submit(self, request: Request, to: Place, why: Why, memo: Memo) -> Reply | Stream:
        if len(self._waiting) >= FORWARDS_MAX:
            return envelope.failed(UnavailableError(f"{FORWARDS_MAX} requests of this worker wait already"))
        self._numbers += 1
        answer = asyncio.get_running_loop().create_future()
        self._waiting[self._numbers] = answer
        self._send(Submit(number=self._numbers, request=request, to=to, why=why, memo=memo))
        return await asyncio.shield(answer)

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

    def _resolve(self, number: int, answer: Reply | Stream) -> None:
        waiting = self._waiting.pop(number)
        if not waiting.done():
            waiting.set_result(answer)

    def _cancel(self, number: int) -> None:
        if self._streams.pop(number, None) is not None:
            self._send(Cancel(number=number))
