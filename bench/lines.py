"""Many connections from this process: to fill a store, and to ask at set times (open loop)."""
from __future__ import annotations

import asyncio
import ssl
import time
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

from bench.figures import Failed
from bench.wrk import Ask

FILLING_CONNECTIONS = 96


class Line(asyncio.Protocol):
    """One connection; what is asked on it is answered in order."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[tuple[int, bytes]]] = deque()
        self._held = bytearray()
        self._transport: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]   # uvloop's is one in all but its bases

    def ask(self, request: bytes) -> asyncio.Future[tuple[int, bytes]]:
        """Status and body."""
        answer: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()
        self._waiting.append(answer)
        self._transport.write(request)
        return answer

    def data_received(self, data: bytes) -> None:
        held = self._held
        held += data
        while (head_end := held.find(b"\r\n\r\n") + 4) > 3:
            head = bytes(held[:head_end]).lower()
            at = head.find(b"\r\ncontent-length: ")
            end = head_end + (int(head[at + 18:head.index(b"\r\n", at + 18)]) if at >= 0 else 0)
            if len(held) < end:
                return
            self._waiting.popleft().set_result((int(head[9:12]), bytes(held[head_end:end])))
            del held[:end]

    def connection_lost(self, exc: Exception | None) -> None:
        for answer in self._waiting:
            if not answer.done():
                answer.set_exception(Failed(f"a connection ended before its answer: {exc}"))

    def close(self) -> None:
        self._transport.close()


async def to_unix(path: Path) -> Line:
    _, line = await asyncio.get_running_loop().create_unix_connection(Line, str(path))
    return line


async def to_tls(port: int, context: ssl.SSLContext) -> Line:
    _, line = await asyncio.get_running_loop().create_connection(Line, "127.0.0.1", port, ssl=context, server_hostname="localhost")
    return line


def rendered(ask: Ask) -> bytes:
    """The request as it goes on the wire."""
    method, path, token, body = ask
    head = f"{method} {path} HTTP/1.1\r\nHost: bench\r\nX-Vault-Token: {token}\r\n"
    return f"{head}Content-Length: {len(body.encode())}\r\n\r\n{body}".encode()


async def fill(path: Path, asks: Iterable[Ask], *, keep: bool = False) -> list[bytes]:
    """Sends every request through the unix socket, many at a time. Gives the bodies in order if they are kept. Raises Failed."""
    bodies: dict[int, bytes] = {}
    feed: Iterator[tuple[int, Ask]] = enumerate(asks)

    async def work() -> None:
        line = await to_unix(path)
        try:
            for number, ask in feed:
                status, body = await line.ask(rendered(ask))
                if status >= 300:
                    raise Failed(f"{ask[0]} {ask[1]}: {status} {body[:200]!r}")
                if keep:
                    bodies[number] = body
        finally:
            line.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(FILLING_CONNECTIONS):
            group.create_task(work())
    return [bodies[number] for number in sorted(bodies)]


async def at_times(lines: Iterable[Line], asks: Iterator[bytes], *, rate_s: float, seconds: float) -> list[float]:
    """Open loop: request n is due at n/rate, whatever became of those before it. Gives the ms from due to answered, of each."""
    idle: asyncio.Queue[Line] = asyncio.Queue()
    for line in lines:
        idle.put_nowait(line)
    took: list[float] = []

    async def send(request: bytes, due: float) -> None:
        line = await idle.get()
        status, body = await line.ask(request)
        took.append((time.monotonic() - due) * 1000)
        idle.put_nowait(line)
        if status >= 300:
            raise Failed(f"{status} {body[:200]!r}")

    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for number in range(int(rate_s * seconds)):
            due = began + number / rate_s
            if (wait := due - time.monotonic()) > 0:
                await asyncio.sleep(wait)
            group.create_task(send(next(asks), due))
    return took
