"""The process behind `tests.load`: an open-loop client of several nodes, and a probe of what the machine itself was late with.

Reads its order (`Order`, JSON, one line) from stdin; says `ready` when the first connections stand; works until stdin says `stop` or ends;
then writes what it saw (`Seen`, MessagePack) to the file of the order. Nothing is sent twice. A request is due at its time, whatever became
of those before it, and has a connection of its own until it is answered.
"""
from __future__ import annotations

import asyncio
import os
import random
import signal
import ssl
import sys
import time
from collections.abc import Iterator
from heapq import heapify, heapreplace
from pathlib import Path

import msgspec
import uvloop

LATE_S = 10.0                                        # an answer later than this is none
SWEEP_S = 0.1
AGAIN_S = 0.1                                        # before the next try of a node that takes no connection
CONNECTIONS_MAX = 1_000                              # to one node
PROBE_S = 0.005
SYNC_EVERY_S = 0.05


class Target(msgspec.Struct):
    name: str
    host: str
    port: int
    reads_s: float
    writes_s: float


class Order(msgspec.Struct):
    """`keys`: how many of them, each written and read by all; 0: each write has a key of its own. `probe`: a file to sync, on the disk."""

    targets: list[Target]
    ca: str
    token: str
    mount: str
    prefix: str                                      # of the keys: no other load has them
    keys: int
    connections: int
    seed: int
    out: str
    probe: str


class Sample(msgspec.Struct, array_like=True):
    """One request. `due`, `sent`, `returned`: CLOCK_MONOTONIC; `sent` 0: never, there was no connection. `status` 0: no answer in time."""

    target: int
    write: bool
    key: int
    value: int
    due: float
    sent: float = 0.0
    returned: float = 0.0
    status: int = 0
    version: int = 0
    error: str = ""


class Lag(msgspec.Struct, array_like=True):
    """What was late at that second, in ms: a process that only sleeps, a sync of one page, this process's own loop."""

    second: int
    scheduler_ms: float
    disk_ms: float
    loop_ms: float


class Seen(msgspec.Struct):
    samples: list[Sample]
    lags: list[Lag]
    cpu_s: float


class _Metadata(msgspec.Struct):
    version: int = 0


class _Value(msgspec.Struct):
    n: int = 0


class _Secret(msgspec.Struct):
    version: int = 0
    data: _Value | None = None
    metadata: _Metadata | None = None


class _Body(msgspec.Struct):
    data: _Secret | None = None


_body = msgspec.json.Decoder(_Body)


class Connection(asyncio.Protocol):
    """One request at a time."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._held = bytearray()
        self._sample: Sample | None = None
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]   # uvloop's is one in all but its bases

    def ask(self, sample: Sample, request: bytes) -> None:
        self._sample = sample
        sample.sent = time.monotonic()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        held = self._held
        held += data
        head_end = held.find(b"\r\n\r\n") + 4
        if head_end < 4:
            return
        head = bytes(held[:head_end]).lower()
        at = head.find(b"\r\ncontent-length: ")
        end = head_end + (int(head[at + 18:head.index(b"\r\n", at + 18)]) if at >= 0 else 0)
        if len(held) >= end:
            body = bytes(held[head_end:end])
            held.clear()
            self._answered(int(head[9:12]), body, keeps=b"\r\nconnection: close" not in head)

    def _answered(self, status: int, body: bytes, *, keeps: bool) -> None:
        sample, self._sample = self._sample, None
        if sample is not None:
            self._pool.answered(sample, status, body)
        if keeps:
            self._pool.idle.append(self)
        else:
            self.drop()

    def late(self) -> None:
        """Nobody waits any longer."""
        self._sample = None
        self.drop()

    def drop(self) -> None:
        self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        sample, self._sample = self._sample, None
        self._pool.lost(self, sample, repr(exc) if exc else "closed")


class Pool:
    """The connections to one node, and the requests that are under way there."""

    def __init__(self, target: Target, context: ssl.SSLContext, wanted: int) -> None:
        self._target, self._context, self._wanted = target, context, wanted
        self.idle: list[Connection] = []
        self._open: set[Connection] = set()
        self._opening = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting: dict[int, tuple[Sample, bytes, Connection | None]] = {}   # by id of the sample, in the order of their times
        self._down_until = 0.0

    def ask(self, sample: Sample, request: bytes) -> None:
        if self.idle:
            connection = self.idle.pop()
            self._waiting[id(sample)] = sample, request, connection
            connection.ask(sample, request)
        elif time.monotonic() < self._down_until and not self._open:
            sample.error, sample.returned = "no connection", time.monotonic()
        else:
            self._waiting[id(sample)] = sample, request, None
            if len(self._open) + self._opening < CONNECTIONS_MAX:
                self._dial(sample)

    def answered(self, sample: Sample, status: int, body: bytes) -> None:
        sample.returned, sample.status = time.monotonic(), status
        self._waiting.pop(id(sample), None)
        if status == 200:
            data = _body.decode(body).data
            if data is not None:
                sample.version = data.version or (data.metadata.version if data.metadata else 0)
                if not sample.write and data.data is not None:
                    sample.value = data.data.n
        elif status != 404 or sample.write:
            sample.error = body[:200].decode(errors="replace").strip()

    def lost(self, connection: Connection, sample: Sample | None, why: str) -> None:
        self._open.discard(connection)
        if connection in self.idle:
            self.idle.remove(connection)
        if sample is not None:
            self._waiting.pop(id(sample), None)
            sample.returned, sample.error = time.monotonic(), why

    def sweep(self, now: float) -> None:
        """Who has waited too long waits no more. Connections for those who have none, where there are free ones by now."""
        for sample, request, connection in list(self._waiting.values()):
            if now - sample.due > LATE_S:
                del self._waiting[id(sample)]
                sample.returned, sample.error = now, sample.error or "no answer in time"
                if connection is not None:
                    connection.late()
            elif connection is None and self.idle:
                free = self.idle.pop()
                self._waiting[id(sample)] = sample, request, free
                free.ask(sample, request)

    async def warm(self) -> None:
        """So many connections as are wanted from the start; a node that takes none is no error."""
        await asyncio.gather(*(self._connect(None) for _ in range(self._wanted)))

    @property
    def is_done(self) -> bool:
        return not self._waiting

    def _dial(self, sample: Sample) -> None:
        task = asyncio.get_running_loop().create_task(self._connect(sample))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, sample: Sample | None) -> None:
        self._opening += 1
        try:
            async with asyncio.timeout(LATE_S):
                _, connection = await asyncio.get_running_loop().create_connection(
                    lambda: Connection(self), self._target.host, self._target.port, ssl=self._context, server_hostname="localhost")
        except (OSError, TimeoutError) as error:
            self._down_until = time.monotonic() + AGAIN_S
            if sample is not None and id(sample) in self._waiting:
                del self._waiting[id(sample)]
                sample.returned, sample.error = time.monotonic(), f"no connection: {error}"
            return
        finally:
            self._opening -= 1
        self._open.add(connection)
        found = self._waiting.get(id(sample)) if sample is not None else None
        if found is not None and found[2] is None:
            self._waiting[id(sample)] = found[0], found[1], connection
            connection.ask(found[0], found[1])
        else:
            self.idle.append(connection)


class Client:
    """The schedule, and all that was seen."""

    def __init__(self, order: Order) -> None:
        self.order = order
        context = ssl.create_default_context(cafile=order.ca)
        self.pools = [Pool(target, context, order.connections) for target in order.targets]
        self.samples: list[Sample] = []
        self.loop_ms: dict[int, float] = {}
        self._rng = random.Random(order.seed)
        self._quiet = asyncio.Event()
        self._value = 0
        self._tail = f" HTTP/1.1\r\nHost: localhost\r\nX-Vault-Token: {order.token}\r\n"

    async def run(self, stop: asyncio.Event) -> None:
        times = self._times(time.monotonic() + SWEEP_S)
        sweeper = asyncio.get_running_loop().create_task(self._sweep())
        while not stop.is_set():
            due, number, write = next(times)
            if (wait := due - time.monotonic()) > 0:
                await asyncio.sleep(wait)
            elif -wait > LATE_S:
                continue                             # this process was stopped itself
            second, lag = int(due), (time.monotonic() - due) * 1000
            self.loop_ms[second] = max(self.loop_ms.get(second, 0.0), lag)
            self._ask(due, number, write)
        self._quiet.clear()
        await self._quiet.wait()                     # the sweep ends every request in time
        sweeper.cancel()

    def _times(self, began: float) -> Iterator[tuple[float, int, bool]]:
        """When which node is asked for what, in order; the nodes take turns."""
        streams = [(rate, number, write) for number, target in enumerate(self.order.targets)
                   for write, rate in ((False, target.reads_s), (True, target.writes_s)) if rate > 0]
        heap = [(began + phase / (len(streams) * rate), 1 / rate, number, write) for phase, (rate, number, write) in enumerate(streams)]
        heapify(heap)
        while heap:
            due, every, number, write = heap[0]
            yield due, number, write
            heapreplace(heap, (due + every, every, number, write))

    def _ask(self, due: float, number: int, write: bool) -> None:
        self._value += 1
        order = self.order
        key = self._rng.randrange(order.keys) if order.keys else self._value if write else self._rng.randrange(1, self._value + 1)
        sample = Sample(number, write, key, self._value if write else 0, due)
        self.samples.append(sample)
        path = f"/v1/{order.mount}/data/{order.prefix}{key}"
        if write:
            body = f'{{"data":{{"n":{self._value}}}}}'
            request = f"POST {path}{self._tail}Content-Length: {len(body)}\r\n\r\n{body}"
        else:
            request = f"GET {path}{self._tail}\r\n"
        self.pools[number].ask(sample, request.encode())

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            for pool in self.pools:
                pool.sweep(time.monotonic())
            if all(pool.is_done for pool in self.pools):
                self._quiet.set()
            else:
                self._quiet.clear()


async def work(order: Order) -> Client:
    client, stop = Client(order), asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), stop.set)
    await asyncio.gather(*(pool.warm() for pool in client.pools))
    print("ready", flush=True)
    await client.run(stop)
    return client


def probe(path: Path, seen: Path) -> None:
    """In a process of its own: sleeps a little, again and again, and notes what it was late by, each second's worst; ends with its parent.
    """
    fd, notes = (os.open(each, os.O_RDWR | os.O_CREAT, 0o600) for each in (path, seen))
    os.pwrite(fd, bytes(4096), 0)
    parent, second, late, disk, synced = os.getppid(), 0, 0.0, 0.0, 0.0
    while os.getppid() == parent:
        began = time.monotonic()
        time.sleep(PROBE_S)
        now = time.monotonic()
        if int(now) != second:
            os.write(notes, f"{second} {late} {disk}\n".encode())
            second, late, disk = int(now), 0.0, 0.0
        late = max(late, (now - began - PROBE_S) * 1000)
        if now - synced > SYNC_EVERY_S:
            os.pwrite(fd, bytes(4096), 0)
            os.fdatasync(fd)
            synced = time.monotonic()
            disk = max(disk, (synced - now) * 1000)


def main() -> None:
    with os.fdopen(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as stdin:
        order = msgspec.json.decode(stdin.readline(), type=Order)    # unbuffered: what follows is for the loop
    out, lags = Path(order.out), Path(order.out + ".lags")
    child = os.fork()
    if child == 0:
        probe(Path(order.probe), lags)
        os._exit(0)
    client = uvloop.run(work(order))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    found = [(int(second), float(late), float(disk)) for second, late, disk in map(str.split, lags.read_text().splitlines())]
    used = os.times()
    out.write_bytes(msgspec.msgpack.encode(Seen(
        samples=client.samples, cpu_s=used.user + used.system,
        lags=[Lag(second, late, disk, client.loop_ms.get(second, 0.0)) for second, late, disk in found])))


if __name__ == "__main__":
    main()
