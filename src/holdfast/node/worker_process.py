"""The process of a worker: `python -m holdfast.node.worker_process FD MAIN VERSION`, started by main alone.

It takes its orders from the inherited socket, and ends when that ends.
"""
import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from pathlib import Path

import uvloop
from msgspec.structs import replace

from holdfast._native import Words
from holdfast.core.access import Access
from holdfast.crypto import Secret
from holdfast.engine import Place
from holdfast.errors import InvariantError
from holdfast.http import Listening, Uploads, listen
from holdfast.node import harden
from holdfast.node.attempts import Attempts
from holdfast.node.background import Background
from holdfast.node.clock import SystemClock
from holdfast.node.devices import AuditDevices, open_sink, try_device
from holdfast.node.listeners import tls_config
from holdfast.node.logins import Logins
from holdfast.node.measuring import RequestMetrics, count_audit_failures, measure_grants, new_metrics
from holdfast.node.message import (
    Begin,
    Channel,
    Chunk,
    Done,
    Drain,
    Facts,
    Hear,
    Keys,
    Measure,
    Measured,
    Reload,
    Said,
    Start,
    Started,
    TicketKey,
    TlsFiles,
    ToWorker,
)
from holdfast.node.process import RANDOM, settle_memory, stop_on_defects
from holdfast.node.registry import ENGINES
from holdfast.node.request_log import FailedHandshakes, RequestLog, defects
from holdfast.node.tending import audit_trouble, tend_devices
from holdfast.node.worker import Worker
from holdfast.replica.lmdb import LmdbReplica
from holdfast.system import build
from holdfast.telemetry.log import Level, Logs, level_named
from holdfast.telemetry.monitor import follow
from holdfast.telemetry.setup import capture_libraries, open_logs
from holdfast.version import VERSION


class WorkerProcess:
    """What the socket says, done."""

    def __init__(self, ending: "asyncio.Future[None]") -> None:
        self._ending = ending
        self.channel: Channel[ToWorker] = Channel(ToWorker, self._received, self._lost)
        self._early: list[ToWorker] = []
        self._metrics = new_metrics()
        self._listening: list[Listening] = []
        self._worker: Worker | None = None
        self._attempts: Attempts
        self._devices: AuditDevices
        self._logs: Logs
        self._start: Start
        self._log: RequestLog
        self._hearing: asyncio.Task[None] | None = None
        self._background = Background(self._defect)

    def _lost(self) -> None:
        if not self._ending.done():
            self._ending.set_result(None)                # main has gone

    def _received(self, message: ToWorker) -> None:
        worker = self._worker
        if worker is None:
            if isinstance(message, Start):
                self._background.begin(self._begin(message))
            else:
                self._early.append(message)
            return
        match message:
            case Done() | Begin() | Chunk():
                worker.received(message)
            case Facts(facts=facts):
                self._attempts.facts = facts
            case Keys(keyring=keyring):
                self._attempts.use_keys(keyring)
                if keyring is None:
                    self._devices.close()
            case Measure(number=number):
                self.channel.send(Measured(number=number, snapshot=self._metrics.snapshot()))
            case Reload():
                self._reload(message)
            case TicketKey(key=key):
                self._use_tls(self._start.tls, key)
            case Hear(level=level):
                self._hear(level)
            case Drain(within_s=within_s):
                self._background.begin(self._drain(within_s))
            case Start():
                raise InvariantError("a worker is started once")

    def _reload(self, told: Reload) -> None:
        self._logs.set_level(level_named(told.log_level))
        self._devices.reopen()
        self._use_tls(told.tls, told.ticket_key)
        handler = self._log.handler(told.requests_level)
        for listening, headers in zip(self._listening, told.headers, strict=True):
            listening.use_headers(headers)
            listening.use_handler(handler)

    def _use_tls(self, files: tuple[TlsFiles | None, ...], key: Secret) -> None:
        self._start = replace(self._start, tls=files, ticket_key=key)
        for listening, settings, of in zip(self._listening, self._start.listeners, files, strict=True):
            if of is not None:
                listening.use_tls(tls_config(settings, of, key))

    def _hear(self, level: Level) -> None:
        if self._hearing is not None:
            self._hearing.cancel()
        self._hearing = None if level is Level.OFF else self._background.begin(self._tell(level))

    async def _tell(self, level: Level) -> None:
        """What this process logs, to main."""
        async with contextlib.aclosing(follow(self._logs, level)) as events:
            async for event in events:
                self.channel.send(Said(event=event))

    async def _begin(self, start: Start) -> None:
        self._start = start
        self._logs = open_logs(start.logs)
        logger = self._logs.logger("worker").bind(number=start.number)
        capture_libraries(logger)
        stop_on_defects(asyncio.get_running_loop(), logger)
        replica = LmdbReplica(start.replica_path)
        if start.lock_memory:
            harden.lock_memory([replica.file])
        access = Access(ENGINES, build, start.defaults, try_device, defects(logger))
        measure_grants(access, self._metrics, time.perf_counter_ns)
        self._attempts = attempts = Attempts(access, replica, Words.open(start.words_fd), SystemClock(), Place.WORKER, RANDOM.seed)
        attempts.facts = start.facts
        self._devices = AuditDevices(open_sink, audit_trouble(logger), count_audit_failures(self._metrics))
        worker = Worker(attempts, self._devices, RequestMetrics(self._metrics), self.channel.send, self.channel.flush)
        self._log = RequestLog(Logins(self._metrics, worker.serve).serve, self._logs.logger("core"))
        failed = FailedHandshakes(self._logs.logger("http"), asyncio.get_running_loop().time)
        for settings, files in zip(start.listeners, start.tls, strict=True):
            tls = tls_config(settings, files, start.ticket_key) if files is not None else None
            self._listening.append(await listen(
                settings, self._log.handler(start.requests_level), tls=tls, reuse_port=True, new_request_id=RANDOM.request_id,
                own_headers=start.own_headers, default_duration_s=start.max_duration_s, cross_origin=attempts.cross_origin,
                handshake_failed=failed, uploads=Uploads(Path(start.uploads_path), worker.admission)))
        settle_memory()
        self._hear(start.heard_level)
        self._worker = worker
        for message in self._early:
            self._received(message)
        self._background.begin(tend_devices(attempts, self._devices))
        self.channel.send(Started(addresses=tuple(address for each in self._listening for address in each.addresses)))

    async def _drain(self, within_s: float) -> None:
        for listening in self._listening:
            listening.stop_accepting()
        await asyncio.gather(*(listening.drain(within_s) for listening in self._listening))
        self._lost()

    def _defect(self, error: BaseException) -> None:
        """Nothing here may fail: main starts another worker."""
        if not self._ending.done():
            self._ending.set_exception(error)


async def run(fd: int) -> None:
    """Until main is gone or says so."""
    loop = asyncio.get_running_loop()
    ending: asyncio.Future[None] = loop.create_future()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, lambda: None)    # for the whole process group: main says what they mean
    worker = WorkerProcess(ending)
    await loop.create_unix_connection(lambda: worker.channel, sock=socket.socket(fileno=fd))
    try:
        await ending
    except Exception as error:
        loop.call_exception_handler({"message": "a worker's own task failed", "exception": error})
        raise


def main() -> None:
    if sys.argv[3] != VERSION:                           # the program was changed while main runs: the two may not mean the same by a word
        sys.exit(f"this worker is of version {VERSION}, its main process of {sys.argv[3]}: the node must be started anew")
    harden.forbid_core_dumps()
    harden.die_with(int(sys.argv[2]))
    uvloop.run(run(int(sys.argv[1])))
    os._exit(0)                                          # main has gone, or every client has its answer: nothing is left to tidy up


if __name__ == "__main__":
    main()
