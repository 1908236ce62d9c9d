"""What the connections of one listener share: its rules, its clock, and the list of them.

One timer serves all deadlines, so no request makes one: twice a second it moves the clock on, and looks who is late.
"""
import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from typing import Final, Protocol, TypeAlias

import msgspec

from holdfast._native import TlsConfig
from holdfast.config.settings import Listener as Settings
from holdfast.config.settings import ProxyProtocol, TcpListener
from holdfast.engine import Client, Reply, Request, Stream
from holdfast.http.cross_origin import RulesNow
from holdfast.http.proxy_protocol import ProxyRules
from holdfast.http.reply import OwnHeaders, Replies, errors
from holdfast.http.request import Requests
from holdfast.http.upload import Uploads
from holdfast.ids import RequestId
from holdfast.limits import HTTP_BODY_MAX_BYTES, HTTP_CONNECTIONS_MAX, HTTP_STALL_S, HTTP_TICK_S

Handler: TypeAlias = Callable[[Request], Reply | Stream | Awaitable[Reply | Stream]]
"""Answers at once where it can; then no task is made. Never raises for a request's fault."""
HandshakeFailed: TypeAlias = Callable[[Client, str], None]
"""Told of a client that could not agree with us on TLS, and why."""
NEVER: Final = float("inf")


class Held(Reply, frozen=True, kw_only=True, eq=False):
    """A reply that may leave once something has been kept, for all of a turn at once: `settle` sees to that, and gives what is to leave."""

    settle: Callable[[Reply], Reply]                 # called once, at the end of the turn, with this reply


class Waiting(Protocol):
    """A connection, as its place sees it."""

    deadline: float

    def flush(self) -> None: ...
    def expire(self) -> None: ...
    def drain(self) -> None: ...
    def abort(self) -> None: ...


class Times(msgspec.Struct, frozen=True, kw_only=True):
    """What a connection is given, in seconds, and the largest body. In the settings 0 means no bound; to us, one of our own."""

    head_s: float
    read_s: float
    idle_s: float
    write_s: float
    answer_s: float
    body_max_bytes: int


def times_of(settings: Settings, default_duration_s: float) -> Times:
    """As Go's server: without an idle timeout the read timeout counts, and without one for the head, too."""
    read_s = settings.http_read_timeout_s or NEVER
    duration_s = settings.max_request_duration_s
    size = settings.max_request_size_bytes
    return Times(
        head_s=settings.http_read_header_timeout_s or read_s, read_s=read_s, idle_s=settings.http_idle_timeout_s or read_s,
        write_s=settings.http_write_timeout_s or HTTP_STALL_S, answer_s=(default_duration_s if duration_s is None else duration_s) or NEVER,
        body_max_bytes=min(size, HTTP_BODY_MAX_BYTES) if size > 0 else HTTP_BODY_MAX_BYTES)


class Place:
    """One listener's share in every connection. `own_headers`: of every answer, unless it brings one of the same name."""

    def __init__(self, settings: Settings, serve: Handler, *, tls: TlsConfig | None, new_request_id: Callable[[], RequestId],
                 own_headers: OwnHeaders = (), default_duration_s: float = 90.0, cross_origin: RulesNow = lambda: None,
                 handshake_failed: HandshakeFailed = lambda client, why: None, uploads: Uploads | None = None) -> None:
        self.uploads = uploads
        self.serve, self.tls, self.cross_origin, self.handshake_failed = serve, tls, cross_origin, handshake_failed
        self.times = times_of(settings, default_duration_s)
        self.requests = Requests(settings, new_request_id)
        self._own_headers = own_headers
        self.replies = Replies(settings.custom_response_headers, own_headers)
        self.proxy = _proxy_rules(settings)
        self.draining = False
        self.unfinished_bytes = 0                    # of requests that are not whole yet, as the connections count them
        self._loop = asyncio.get_running_loop()
        self.now = self._loop.time()
        self.idle_until = self.now + self.times.idle_s   # the deadline of who begins to wait now
        self._connections: set[Waiting] = set()
        self._replying: list[Waiting] = []           # who has replies to write at the end of this turn
        self._tasks: set[asyncio.Future[Reply | Stream] | asyncio.Task[None]] = set()    # and answers that others will give
        self._empty = asyncio.Event()
        self._empty.set()
        self._timer = self._loop.call_later(HTTP_TICK_S, self._tick)

    def use_headers(self, custom: Mapping[str, Mapping[str, str]]) -> None:
        """For answers from now on, by "default", "2xx" or "200"."""
        self.replies = Replies(custom, self._own_headers)

    def admits(self, connection: Waiting, peer: str) -> bool:
        """Takes it in, unless its peer may not come or there are too many."""
        if self.draining or len(self._connections) >= HTTP_CONNECTIONS_MAX or (self.proxy is not None and self.proxy.refuses(peer)):
            return False
        self._connections.add(connection)
        self._empty.clear()
        return True

    def believes(self, peer: str) -> bool:
        """Whether the PROXY header of this peer counts."""
        return self.proxy is not None and self.proxy.believes(peer)

    def forget(self, connection: Waiting) -> None:
        self._connections.discard(connection)
        self._note_empty()

    def has_replies(self, connection: Waiting) -> None:
        """Its `flush` is called when this turn of the loop ends, with those of the others."""
        if not self._replying:
            self._loop.call_soon(self.flush)
        self._replying.append(connection)

    def flush(self) -> None:
        """Ends a turn: what every connection has to say is written."""
        replying, self._replying = self._replying, []
        for connection in replying:
            try:
                connection.flush()
            except Exception as error:  # noqa: BLE001 -- one connection must not take others with it; the loop is told
                self.failed(error)
                connection.abort()

    def spawn(self, coroutine: Coroutine[None, None, None]) -> None:
        """Runs to its end, even if its connection does not last."""
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        self._empty.clear()
        task.add_done_callback(self._ended)

    def expect(self, answer: "asyncio.Future[Reply | Stream]", then: "Callable[[asyncio.Future[Reply | Stream]], None]") -> None:
        """`then` is called with the answer when it has come, even if its connection does not last."""
        self._tasks.add(answer)
        self._empty.clear()
        answer.add_done_callback(partial(self._came, then))

    def _came(self, then: "Callable[[asyncio.Future[Reply | Stream]], None]", answer: "asyncio.Future[Reply | Stream]") -> None:
        try:
            if not answer.cancelled():
                then(answer)
        finally:
            self._tasks.discard(answer)
            self._note_empty()

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        self._note_empty()
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failed(error)

    def _note_empty(self) -> None:
        if not self._connections and not self._tasks:
            self._empty.set()

    def failed(self, error: BaseException) -> Reply:
        """A defect of ours: the loop's handler is told, the client learns nothing of it."""
        self._loop.call_exception_handler({"message": "a request ended in an unexpected error", "exception": error})
        return errors(500, "internal error")

    def _tick(self) -> None:
        self._timer = self._loop.call_later(HTTP_TICK_S, self._tick)     # first, so that nothing below can end it
        self.now = now = self._loop.time()
        self.idle_until = now + self.times.idle_s
        self.replies.tick()
        for connection in [each for each in self._connections if each.deadline <= now]:
            connection.expire()

    async def drain(self, within_s: float) -> None:
        """Ends every connection once it has its answer, all of them after `within_s`; waits for what has begun."""
        self.draining = True
        for connection in list(self._connections):
            connection.drain()
        try:
            await asyncio.wait_for(self._empty.wait(), within_s)
        except TimeoutError:
            self.abort()

    def abort(self) -> None:
        """Ends every connection now."""
        self.draining = True
        for connection in list(self._connections):
            connection.abort()

    def close(self) -> None:
        self.abort()
        self._timer.cancel()
        for task in list(self._tasks):
            task.cancel()


def _proxy_rules(settings: Settings) -> ProxyRules | None:
    if not isinstance(settings, TcpListener) or settings.proxy_protocol_behavior is ProxyProtocol.OFF:
        return None
    return ProxyRules(settings.proxy_protocol_behavior, settings.proxy_protocol_authorized_addrs)
