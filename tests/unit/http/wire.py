"""Connections without a network, in virtual time; and what is needed to talk to real ones."""
import asyncio
import itertools
import re
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from holdfast.config.settings import TcpListener
from holdfast.engine import Reply, Request
from holdfast.http.connection import Connection
from holdfast.http.place import Handler, Place
from holdfast.ids import RequestId

T = TypeVar("T")
PLAIN = TcpListener(tls_disable=True)
HOST = b"Host: vault\r\n"


class _Skipping(selectors.DefaultSelector):
    """Never waits: it moves the clock on instead."""

    skipped_s = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if not ready and timeout is not None:
            self.skipped_s += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time passes only while nobody has anything to do. For tests without sockets."""

    def __init__(self) -> None:
        self._skipping = _Skipping()
        super().__init__(self._skipping)

    def time(self) -> float:
        return self._skipping.skipped_s


def run_virtual(test: Coroutine[Any, Any, T]) -> T:
    """A test in virtual time; nothing may be left over."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(test)


class FakeTransport(asyncio.Transport):
    """Keeps what is written. `takes`: how much the client takes before it stops reading; `take` makes it go on."""

    def __init__(self, peer: tuple[str, int] = ("203.0.113.7", 40_000), takes: int = 1 << 40) -> None:
        super().__init__()
        self.peer, self.takes = peer, takes
        self.written = bytearray()
        self.held = 0
        self.closing = self.aborted = self.ended = self.reading_paused = False
        self.protocol: Connection

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self.peer if name == "peername" else default

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.ended, "written after the end"
        self.written += data
        self.takes -= len(data)
        if self.takes < 0 and not self.held:
            self.held = 1
            self.protocol.pause_writing()

    def take(self) -> None:
        self.takes, self.held = 1 << 40, 0
        self.protocol.resume_writing()

    def get_write_buffer_size(self) -> int:
        return max(0, -self.takes)

    def pause_reading(self) -> None:
        self.reading_paused = True

    def resume_reading(self) -> None:
        self.reading_paused = False

    def write_eof(self) -> None:
        self.ended = True

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        if not self.closing:
            self.closing = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    def abort(self) -> None:
        self.aborted = True
        self.close()


def new_ids() -> Callable[[], RequestId]:
    counter = itertools.count(1)
    return lambda: RequestId(f"id-{next(counter)}")


def echo(request: Request) -> Reply:
    """Shows what came in."""
    body = request.body.decode("latin-1")
    return Reply(status=200, body=f"{request.method.value} {request.path} {body}".encode())


class Wire:
    """One connection of a place, and what its client sees."""

    def __init__(self, place: Place, *, takes: int = 1 << 40, peer: tuple[str, int] = ("203.0.113.7", 40_000)) -> None:
        self.place = place
        self.transport = FakeTransport(peer, takes)
        self.connection = self.transport.protocol = Connection(place)
        self.connection.connection_made(self.transport)

    def send(self, data: bytes) -> None:
        assert not self.transport.reading_paused, "sent to who does not read"
        self.connection.data_received(data)
        self.place.flush()

    @property
    def received(self) -> bytes:
        return bytes(self.transport.written)

    @property
    def ended(self) -> bool:
        """Nothing more will be said."""
        return self.transport.ended or self.transport.closing

    @property
    def statuses(self) -> list[int]:
        return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", self.received)]


def place(serve: Handler = echo, settings: TcpListener = PLAIN, **options: Any) -> Place:
    return Place(settings, serve, tls=None, new_request_id=new_ids(), **options)


def get(path: str, *headers: bytes) -> bytes:
    return b"GET /v1/" + path.encode() + b" HTTP/1.1\r\n" + HOST + b"".join(each + b"\r\n" for each in headers) + b"\r\n"


def post(path: str, body: bytes, *headers: bytes) -> bytes:
    lines = b"".join(each + b"\r\n" for each in headers)
    return b"POST /v1/" + path.encode() + b" HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n" % len(body) + lines + b"\r\n" + body
