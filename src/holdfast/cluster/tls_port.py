"""The real cluster port: one listener for all protocols, and links over TLS.

Invariants:
1. A connection costs little before it has shown an accepted certificate: such connections are few, begin at a bounded rate and have little
   time; when there are too many the oldest goes, so that strangers cannot keep members out by waiting.
2. Strangers cannot fill the log.
3. No socket is inherited by another process: else its end would never be seen.
"""
import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import msgspec

from holdfast._native import PeerTls, TlsError, TlsSession
from holdfast.cluster.frame import OWN_BOUNDS, OWN_FROM, Bounds
from holdfast.cluster.hello import Hello
from holdfast.cluster.identity import Credentials
from holdfast.cluster.link import TlsLink
from holdfast.cluster.port import Alpn, Link, LinkError, Receiver
from holdfast.config.addresses import host_port
from holdfast.errors import InvariantError
from holdfast.limits import (
    CLUSTER_BACKLOG,
    CLUSTER_FRAME_MAX_BYTES,
    CLUSTER_HANDSHAKE_S,
    CLUSTER_HANDSHAKES_PER_S,
    CLUSTER_LINGER_S,
    CLUSTER_REFUSALS_LOGGED,
    CLUSTER_UNFINISHED_MAX,
)
from holdfast.telemetry.log import Logger

_MINUTE_S: Final = 60.0


class _Offer(msgspec.Struct, frozen=True):
    tls: PeerTls
    accept: Callable[[Link], Receiver]


class TlsPort:
    """`Port` over TCP and TLS.

    `introduce` says who this node is, at each new link. `bounds`: the kinds that its users know, below 0xFF00, with their largest bodies in
    bytes; a larger one than CLUSTER_FRAME_MAX_BYTES holds for bodies that `stream.Streams` puts together.
    """

    def __init__(self, introduce: Callable[[], Hello], *, bounds: Bounds, log: Logger) -> None:
        if any(kind >= OWN_FROM for kind in bounds):
            raise InvariantError(f"kinds from {OWN_FROM:#06x} up are the port's own")
        self._introduce, self._log = introduce, log
        self._bounds = {kind: min(bound, CLUSTER_FRAME_MAX_BYTES) for kind, bound in bounds.items()} | dict(OWN_BOUNDS)
        self._offers: dict[Alpn, _Offer] = {}
        self._server: asyncio.Server | None = None
        self._unfinished: dict[TlsLink, asyncio.TimerHandle] = {}    # those that came in, the oldest first
        self._dialled: dict[TlsLink, None] = {}      # and those that go out, unfinished too
        self._links: dict[TlsLink, None] = {}
        self._empty = asyncio.Event()                # there is no link
        self._empty.set()
        self._admitted = Throttle(CLUSTER_HANDSHAKES_PER_S, 1.0)
        self._logged = Throttle(CLUSTER_REFUSALS_LOGGED, _MINUTE_S)

    async def listen(self, address: str) -> str:
        if self._server is not None:
            raise InvariantError("the cluster port listens already")
        host, port = split_address(address)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._connect_in, host or None, port, backlog=CLUSTER_BACKLOG)
        found = host_port(*self._server.sockets[0].getsockname()[:2])
        self._log.info("cluster.listening", address=found)
        return found

    def offer(self, alpn: Alpn, credentials: Credentials, accept: Callable[[Link], Receiver]) -> None:
        self._offers[alpn] = _Offer(tls_of(alpn, credentials), accept)

    def withdraw(self, alpn: Alpn) -> None:
        self._offers.pop(alpn, None)

    async def dial(self, address: str, alpn: Alpn, credentials: Credentials, receiver: Receiver, *, within_s: float) -> Link:
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()

        def finished(link: TlsLink, why: str | None) -> None:
            if not ready.done():
                if why is None:
                    ready.set_result(None)
                else:
                    ready.set_exception(LinkError(f"{address}: {why}"))

        def opened(link: TlsLink) -> Receiver:
            return self._remembered(link, receiver)

        link = TlsLink(TlsSession.connect(tls_of(alpn, credentials)), self._introduce(), dials=True, remote=address,
                       bounds=self._bounds, log=self._log, opened=opened, finished=finished)
        self._dialled[link] = None
        is_linked = False
        try:
            host, port = split_address(address)
            async with asyncio.timeout(within_s):
                await loop.create_connection(lambda: link, host, port)
                await ready
            is_linked = True
        except TimeoutError as error:
            raise LinkError(f"{address}: no answer within {within_s:g} s") from error
        except (OSError, ValueError) as error:
            raise LinkError(f"{address}: {error}") from error
        finally:
            del self._dialled[link]
            if not is_linked:
                if not ready.cancel() and not ready.cancelled():
                    ready.exception()                # which nobody may have waited for
                link.abort("not waited for any longer")
                self.forget(link)
        loop.call_soon(link.start)
        return link

    async def close(self) -> None:
        self._offers.clear()
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for link in (*self._unfinished, *self._dialled):
            link.abort("this node leaves the cluster port")
        for link in list(self._links):
            link.close("this node leaves the cluster port")
        with suppress(TimeoutError):                 # those that are left have been cut off
            async with asyncio.timeout(2 * CLUSTER_LINGER_S):
                await self._empty.wait()

    # Who comes in

    def _connect_in(self) -> TlsLink:
        offers = dict(self._offers)
        session = TlsSession.accept([offer.tls for offer in offers.values()])

        def opened(link: TlsLink) -> Receiver:
            offer = offers[link.alpn]
            if self._offers.get(link.alpn) is not offer:
                raise LinkError("this is not offered here any more")
            return self._remembered(link, offer.accept(link))

        link = TlsLink(session, self._introduce(), dials=False, remote="", bounds=self._bounds, log=self._log, opened=opened,
                       finished=self._finished)
        if not self._admitted.admits(asyncio.get_running_loop().time()):
            link.abort(f"more than {CLUSTER_HANDSHAKES_PER_S} connections in a second")
            return link
        if len(self._unfinished) >= CLUSTER_UNFINISHED_MAX:
            next(iter(self._unfinished)).abort("too many connections at once that have not shown who they are")
        expire = asyncio.get_running_loop().call_later(
            CLUSTER_HANDSHAKE_S, link.abort, f"has not shown who it is within {CLUSTER_HANDSHAKE_S:g} s")
        self._unfinished[link] = expire
        return link

    def _remembered(self, link: TlsLink, receiver: Receiver) -> Receiver:
        self._links[link] = None
        self._empty.clear()
        return _Forgetting(self, link, receiver)

    def forget(self, link: TlsLink) -> None:
        """It has ended."""
        self._links.pop(link, None)
        if not self._links:
            self._empty.set()

    def _finished(self, link: TlsLink, why: str | None) -> None:
        timer = self._unfinished.pop(link, None)
        if timer is not None:
            timer.cancel()
        if why is not None and self._logged.admits(asyncio.get_running_loop().time()):
            self._log.warn("cluster.refused", remote=link.remote, why=why, unlogged_before=self._logged.take_skipped())


class _Forgetting:
    """A link's receiver, which also takes the ended link off the port's list."""

    __slots__ = ("_link", "_port", "_receiver", "received")

    def __init__(self, port: TlsPort, link: TlsLink, receiver: Receiver) -> None:
        self._port, self._link, self._receiver = port, link, receiver
        self.received = receiver.received

    def closed(self, why: str) -> None:
        self._port.forget(self._link)
        self._receiver.closed(why)


class Throttle:
    """So many in so much time, and the number of those that were not admitted."""

    def __init__(self, count: int, per_s: float) -> None:
        self._count, self._per_s = count, per_s
        self._left, self._until = count, 0.0
        self._skipped = 0

    def admits(self, now: float) -> bool:
        if now >= self._until:
            self._left, self._until = self._count, now + self._per_s
        if self._left == 0:
            self._skipped += 1
            return False
        self._left -= 1
        return True

    def take_skipped(self) -> int:
        skipped, self._skipped = self._skipped, 0
        return skipped


def tls_of(alpn: Alpn, credentials: Credentials) -> PeerTls:
    """Raises LinkError if key and certificate are not a pair."""
    own = credentials.own
    try:
        return PeerTls(alpn=alpn, certificate=own.certificate, key=own.key.value, accepts=credentials.accepts)
    except TlsError as error:
        raise LinkError(f"identity {own.name}: {error}") from error


def split_address(address: str) -> tuple[str, int]:
    """Raises ValueError."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65_535:
        raise ValueError(f"not host:port: {address!r}")
    return host.removeprefix("[").removesuffix("]"), int(port)
