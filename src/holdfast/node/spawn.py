"""The workers of a node: started, told, replaced when they end, and ended with their main process.

A worker is started by exec, never forked: LMDB and the event loop do not survive a fork. It inherits one socket, over which keys travel and
nothing else can listen, and the shared words.
"""
import asyncio
import os
import socket
import sys
from collections.abc import Callable
from functools import partial

from msgspec.structs import replace

from holdfast.core import envelope
from holdfast.crypto import Keyring, Secret
from holdfast.engine import Memo, NodeFacts, Place, Request, Stream
from holdfast.errors import HandlerError, HoldfastError, UnavailableError
from holdfast.limits import RESPAWN_DELAYS_S, STREAM_CHUNKS_MAX
from holdfast.node.background import Background
from holdfast.node.commit import Promise
from holdfast.node.message import (
    Begin,
    Cancel,
    Channel,
    Chunk,
    Done,
    Drain,
    Facts,
    FromWorker,
    Hear,
    Keys,
    Measure,
    Measured,
    Reload,
    Said,
    Start,
    Started,
    Submit,
    TicketKey,
    Took,
)
from holdfast.node.serving import Served, close_stream
from holdfast.replica import Why
from holdfast.telemetry.log import Event, Level, Logger
from holdfast.telemetry.metrics import Snapshot
from holdfast.version import VERSION

ENDS_WITHIN_S = 1.0                                  # a worker that has lost its channel answers nothing any more
SubmitTo = Callable[[Request, Place, Why, Memo, Promise], None]


class Asked:
    """A request of a worker, told of its answer as a future is, but at once: nothing else waits for it."""

    __slots__ = ("_is_done", "_number", "_worker")

    def __init__(self, worker: "WorkerProcess", number: int) -> None:
        self._worker, self._number, self._is_done = worker, number, False

    def done(self) -> bool:
        return self._is_done

    def set_result(self, served: Served, /) -> None:
        self._is_done = True
        self._worker.answer(self._number, served)

    def set_exception(self, error: BaseException, /) -> None:
        if not isinstance(error, UnavailableError):      # damage, or a defect: the client learns nothing of it
            asyncio.get_running_loop().call_exception_handler({"message": "a worker's request failed", "exception": error})
        self.set_result(envelope.failed(error if isinstance(error, HoldfastError) else HandlerError(type(error).__name__)))


class WorkerProcess:
    """One worker, as main sees it."""

    def __init__(self, process: asyncio.subprocess.Process, submit: SubmitTo, said: Callable[[Event], None],
                 lost: Callable[["WorkerProcess"], None]) -> None:
        self.process = process
        self._submit, self._said = submit, said
        self._lost = lost
        self.channel: Channel[FromWorker] = Channel(FromWorker, self._received, self._gone)
        self.started: asyncio.Future[Started] = asyncio.get_running_loop().create_future()
        self._measuring: dict[int, asyncio.Future[Snapshot]] = {}
        self._measurements = 0
        self._streams: dict[int, asyncio.Task[None]] = {}
        self._room: dict[int, asyncio.Semaphore] = {}        # for further pieces of each

    def _received(self, message: FromWorker) -> None:
        match message:
            case Submit(number=number):
                self._submit(message.request, message.to, message.why, message.memo, Asked(self, number))
            case Cancel(number=number):
                if number in self._streams:
                    self._streams[number].cancel()
            case Took(number=number, pieces=pieces):
                for _ in range(pieces if number in self._room else 0):
                    self._room[number].release()
            case Measured(number=number, snapshot=snapshot):
                waiting = self._measuring.pop(number, None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(snapshot)
            case Started():
                if not self.started.done():
                    self.started.set_result(message)
            case Said(event=event):
                self._said(event)

    def answer(self, number: int, served: Served) -> None:
        """To the worker's request of this number, once."""
        if not isinstance(served, Stream):
            self.channel.send(Done(number=number, reply=envelope.passed_on(served)))
            return
        room = self._room[number] = asyncio.Semaphore(STREAM_CHUNKS_MAX)
        task = self._streams[number] = asyncio.get_running_loop().create_task(self._stream(number, served, room))
        task.add_done_callback(partial(self._streamed, number))

    async def _stream(self, number: int, stream: Stream, room: asyncio.Semaphore) -> None:
        """As fast as its client takes it. One that fails half way ends there too, so that nobody waits for the rest."""
        send, end = self.channel.send, None
        send(Begin(number=number, status=stream.status, content_type=stream.content_type, headers=stream.headers))
        try:
            async for data in stream.chunks:
                if data:                                 # an empty one would end it
                    await room.acquire()
                    send(Chunk(number=number, data=data))
            end = b""
        except UnavailableError:                         # of another node, which has gone: no defect
            pass
        finally:
            send(Chunk(number=number, data=end))
            await close_stream(stream)                   # its client may have gone

    def _streamed(self, number: int, streamed: "asyncio.Task[None]") -> None:
        del self._streams[number], self._room[number]
        if not streamed.cancelled() and (error := streamed.exception()) is not None:
            asyncio.get_running_loop().call_exception_handler({"message": "a stream of a worker failed", "exception": error})

    def _gone(self) -> None:
        for streaming in self._streams.values():
            streaming.cancel()
        self._lost(self)

    async def measure(self, within_s: float) -> Snapshot | None:
        """Its metrics; None if it does not answer in time."""
        self._measurements += 1
        number = self._measurements
        waiting: asyncio.Future[Snapshot] = asyncio.get_running_loop().create_future()
        self._measuring[number] = waiting
        self.channel.send(Measure(number=number))
        try:
            async with asyncio.timeout(within_s):
                return await waiting
        except TimeoutError:
            self._measuring.pop(number, None)            # it may have come in the same turn of the loop
            return None


class Pool:
    """All workers of a node. They are launched early, so that they import what they need while main opens its storage."""

    def __init__(self, count: int, inherited: tuple[int, ...], submit: SubmitTo, logger: Logger, said: Callable[[Event], None]) -> None:
        self._count, self._inherited, self._submit, self._logger, self._said = count, inherited, submit, logger, said
        self._first: Start | None = None             # what each is told when it starts; its facts are kept up to date here
        self._workers: dict[int, WorkerProcess] = {}
        self._keyring: Keyring | None = None
        self._background = Background()
        self._failures: dict[int, int] = {}
        self._ending = False

    async def launch(self) -> None:
        """Begins the processes, which then wait to be told."""
        await asyncio.gather(*(self._exec(number) for number in range(1, self._count + 1)))

    async def start(self, first: Start) -> None:
        """Tells every worker, and returns when all accept connections. Raises UnavailableError: one ended before."""
        self._first = first
        await asyncio.gather(*(self._begin(number, worker, first) for number, worker in tuple(self._workers.items())))

    def publish(self, facts: NodeFacts) -> None:
        if self._first is not None:
            self._first = replace(self._first, facts=facts)
            self._tell(Facts(facts=facts))

    def give_keys(self, keyring: Keyring | None) -> None:
        self._keyring = keyring
        if self._first is not None:
            self._tell(Keys(keyring=keyring))

    def reload(self, told: Reload) -> None:
        """Also what workers that come later are told."""
        first = self._first
        assert first is not None, "a node is reloaded after it has started"
        listeners = tuple(replace(listener, custom_response_headers=headers)
                          for listener, headers in zip(first.listeners, told.headers, strict=True))
        self._first = replace(first, tls=told.tls, ticket_key=told.ticket_key, listeners=listeners,
                              logs=replace(first.logs, level=told.log_level), requests_level=told.requests_level)
        self._tell(told)

    def use_ticket_key(self, key: Secret) -> None:
        if self._first is not None:
            self._first = replace(self._first, ticket_key=key)
            self._tell(TicketKey(key=key))

    def hear(self, level: Level) -> None:
        """From now on the workers' events of this level come to `said`."""
        if self._first is not None:
            self._first = replace(self._first, heard_level=level)
            self._tell(Hear(level=level))

    async def measure(self, within_s: float) -> tuple[Snapshot, ...]:
        """The metrics of those that answer in time."""
        found = await asyncio.gather(*(worker.measure(within_s) for worker in self._workers.values()))
        return tuple(snapshot for snapshot in found if snapshot is not None)

    async def drain(self, within_s: float) -> None:
        """Every worker finishes what it has begun and ends; the ones that do not in time are ended."""
        self._ending = True
        self._tell(Drain(within_s=within_s))
        ending = [worker.process for worker in self._workers.values()]
        if not ending:
            return
        waiting = [asyncio.create_task(process.wait()) for process in ending]
        await asyncio.wait(waiting, timeout=within_s + 1)
        for process in ending:
            if process.returncode is None:
                process.kill()
        await asyncio.wait(waiting)

    def _tell(self, message: Facts | Keys | Reload | TicketKey | Hear | Drain) -> None:
        for worker in self._workers.values():
            worker.channel.send(message)

    async def _exec(self, number: int) -> WorkerProcess:
        ours, theirs = socket.socketpair()
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "holdfast.node.worker_process", str(theirs.fileno()), str(os.getpid()), VERSION,
                stdin=asyncio.subprocess.DEVNULL, pass_fds=(theirs.fileno(), *self._inherited), close_fds=True)
        finally:
            theirs.close()
        worker = WorkerProcess(process, self._submit, self._said, lambda lost: self._replace(number, lost))
        await asyncio.get_running_loop().create_unix_connection(lambda: worker.channel, sock=ours)
        self._workers[number] = worker
        return worker

    async def _begin(self, number: int, worker: WorkerProcess, first: Start) -> None:
        worker.channel.send(replace(first, number=number))
        if self._keyring is not None:
            worker.channel.send(Keys(keyring=self._keyring))
        await worker.started
        self._failures[number] = 0
        self._logger.info("worker.started", number=number, pid=worker.process.pid)

    def _replace(self, number: int, lost: WorkerProcess) -> None:
        """Its channel has ended: so has it, or it must."""
        if not lost.started.done():
            lost.started.set_exception(UnavailableError(f"worker {number} ended before it accepted connections"))
        self._workers.pop(number, None)
        if not self._ending:
            self._background.begin(self._again(number, lost))

    async def _ended(self, lost: WorkerProcess) -> int:
        """The exit code. It ends by itself, and says why, or it is ended."""
        try:
            async with asyncio.timeout(ENDS_WITHIN_S):
                return await lost.process.wait()
        except TimeoutError:
            lost.process.kill()
            return await lost.process.wait()

    async def _again(self, number: int, lost: WorkerProcess) -> None:
        code = await self._ended(lost)
        self._logger.error("worker.lost", number=number, pid=lost.process.pid, exit=code)
        while True:
            failures = self._failures.get(number, 0)
            self._failures[number] = failures + 1
            await asyncio.sleep(RESPAWN_DELAYS_S[min(failures, len(RESPAWN_DELAYS_S) - 1)])
            if self._ending:
                return
            try:
                worker = await self._exec(number)
                if self._first is not None:
                    await self._begin(number, worker, self._first)
                return
            except UnavailableError as error:            # it began, and has ended: its own end brings the next one
                self._logger.error("worker.failed", number=number, why=str(error))
                return
            except OSError as error:                     # no process, memory or descriptor to be had just now
                self._logger.error("worker.failed", number=number, why=str(error))
