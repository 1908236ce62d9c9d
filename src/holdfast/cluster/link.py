"""One TLS connection to another node, of either side: handshake, hellos, frames, end.

Invariants:
1. Nothing is read as a frame before the other side has proved that it holds an accepted certificate's key.
2. Nothing is given out before both hellos have been found good.
3. What is sent in one turn of the event loop goes out in one write.
4. What breaks a rule ends this link, with the reason in this node's log and, where it can still be said, in the other one's.
5. `closed` of the receiver is called once, from `connection_lost` alone.
"""
import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from enum import Enum, auto
from typing import Final, cast

from holdfast._native import TlsSession
from holdfast.cluster.frame import GREETING_VERSION, HEAD, HEAD_BYTES, Bounds, FrameReader, Own, encode_frame
from holdfast.cluster.hello import Hello, HelloRefused, agree, clock_difference_ms, decode_hello, encode_hello
from holdfast.cluster.port import Alpn, LinkError, Receiver
from holdfast.config.addresses import host_port
from holdfast.errors import InvariantError
from holdfast.limits import (
    CLUSTER_KEEPALIVE_S,
    CLUSTER_LINGER_S,
    CLUSTER_PENDING_HIGH_BYTES,
    CLUSTER_PENDING_LOW_BYTES,
    CLUSTER_PENDING_MAX_BYTES,
    CLUSTER_REASON_MAX_BYTES,
    CLUSTER_RESEND_MAX_MS,
    CLUSTER_SILENCE_MS,
    CLUSTER_UNSENT_BYTES,
)
from holdfast.telemetry.log import Logger

_TCP_NOTSENT_LOWAT: Final = 25                       # of Linux; the socket module has no name for these
_TCP_RTO_MAX_MS: Final = 44                          # since 6.15


class Phase(Enum):
    SHAKING = auto()                                 # the TLS handshake
    GREETING = auto()                                # waits for the other side's hello
    OPEN = auto()
    ENDING = auto()                                  # the last words are on their way
    ENDED = auto()


SHAKING, GREETING, OPEN, ENDING, ENDED = Phase


class TlsLink(asyncio.Protocol):
    """`Link` over a TLS connection.

    `opened` is called once both hellos are good, and gives the receiver; `finished` once the handshake is over, well or not: with None, or
    with the reason for which there is no link.
    """

    __slots__ = ("_alpn", "_bounds", "_dials", "_finished", "_held", "_loop", "_opened", "_out", "_out_bytes", "_own", "_phase", "_reader",
                 "_receiver", "_resumed", "_session", "_transport", "_version", "_why", "certificate", "log", "peer", "remote", "was_reset")

    def __init__(self, session: TlsSession, own: Hello, *, dials: bool, remote: str, bounds: Bounds, log: Logger,
                 opened: "Callable[[TlsLink], Receiver]", finished: "Callable[[TlsLink, str | None], None]") -> None:
        self._session, self._own, self._dials, self._bounds, self.log = session, own, dials, bounds, log
        self._opened, self._finished = opened, finished
        self._loop = asyncio.get_running_loop()
        self._reader = FrameReader(bounds, greets=True)
        self._transport = cast("asyncio.Transport", None)    # set when it is connected
        self._receiver = cast("Receiver", None)      # set when the link opens, as are the next four
        self._alpn = cast("Alpn", None)
        self.peer = cast("Hello", None)
        self.certificate = b""
        self._version = GREETING_VERSION             # until the hellos have agreed on one
        self._phase = SHAKING
        self._held: list[tuple[int, bytes]] | None = [] if dials else None   # until who dialled has the link: what has come for it
        self._out: list[bytes] = []                  # frames of this turn of the event loop
        self._out_bytes = 0
        self._resumed: asyncio.Future[None] | None = None    # there while much is pending
        self._why: str | None = None                 # set when an end has been decided on
        self.remote = remote
        self.was_reset = False

    # What its owner calls

    @property
    def alpn(self) -> Alpn:
        return self._alpn

    @property
    def pending_bytes(self) -> int:
        return self._out_bytes + self._transport.get_write_buffer_size()

    def send(self, kind: int, body: bytes) -> None:
        if self._phase is not OPEN:
            return
        if len(body) > self._bounds.get(kind, -1):
            raise InvariantError(f"a frame of kind {kind:#06x} with {len(body)} bytes: the limit is {self._bounds.get(kind)}")
        out = self._out
        if not out:
            self._loop.call_soon(self._flush)
        out.append(HEAD.pack(self._version, kind, len(body)))
        out.append(body)
        self._out_bytes += HEAD_BYTES + len(body)
        if self._out_bytes > CLUSTER_PENDING_LOW_BYTES:
            self._flush()

    async def drained(self) -> None:
        self._flush()
        while self._resumed is not None:
            await asyncio.shield(self._resumed)
        if self._phase is not OPEN:
            raise LinkError(f"{self.remote}: {self._why or 'the link has ended'}")

    def close(self, why: str = "") -> None:
        if self._held is not None:
            self._held.clear()
        if self._phase is not ENDING and self._phase is not ENDED:
            self._end(why or "closed by this node", tell=why)

    def abort(self, why: str) -> None:
        """At once, whatever is pending."""
        if self._phase is not ENDED:
            self._why = self._why or why
            self._phase = ENDING
            if self._transport is not None:          # else it was never connected
                self._transport.abort()

    def start(self) -> None:
        """Who dialled has the link: what has come for it is given out, be it the end."""
        held = self._held
        while held:                                  # `close` empties it
            self._receiver.received(*held.pop(0))
        self._held = None
        if self._phase is ENDED:
            self._receiver.closed(self._why or "")

    # The transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if not self.remote:
            name = transport.get_extra_info("peername")
            self.remote = host_port(*name[:2]) if name else "unknown"     # who has gone already has no name
        if self._phase is ENDING:                    # not wanted any more
            self._transport.abort()
            return
        self._transport.set_write_buffer_limits(high=CLUSTER_PENDING_HIGH_BYTES, low=CLUSTER_PENDING_LOW_BYTES)
        prepare(transport.get_extra_info("socket"))
        if self._dials:
            self._write(self._session.send(b""))

    def data_received(self, data: bytes) -> None:
        if self._phase is ENDED:
            return
        session = self._session
        plain, out, ended = session.receive(data)
        if out is not None:
            self._transport.write(out)
        if self._phase is SHAKING and not session.is_handshaking and session.error is None:
            self._greet()
        if plain is not None and self._phase is not ENDING:
            self._give_out(self._reader.take(plain))
            self._judge()
        if session.error is not None:
            self._refuse(session.error)
        elif ended:
            self._shut()

    def connection_lost(self, exc: Exception | None) -> None:
        was, self._phase = self._phase, ENDED
        if self._why is None:
            self.was_reset = was is OPEN and (exc is None or isinstance(exc, OSError))
            self._why = _why_lost(exc, was, is_between_frames=self._reader.is_between_frames)
            if not self._reader.is_between_frames:
                self.log.warn("cluster.link_broken", remote=self.remote, why=self._why)
        self._out.clear()
        self.resume_writing()
        if self._receiver is None:
            self._finished(self, self._why)
        elif self._held is None:
            self._receiver.closed(self._why)

    def pause_writing(self) -> None:
        if self._resumed is None:
            self._resumed = self._loop.create_future()

    def resume_writing(self) -> None:
        resumed, self._resumed = self._resumed, None
        if resumed is not None and not resumed.done():
            resumed.set_result(None)

    # Hellos

    def _greet(self) -> None:
        """TLS is up, so the other side is a member; the one that dialled speaks first."""
        session = self._session
        alpn, certificate = session.alpn, session.peer_certificate
        if alpn is None or certificate is None:
            self._refuse("does not say what the connection is for")
            return
        self._alpn, self.certificate = Alpn(alpn), certificate
        self._phase = GREETING
        if self._dials:
            self._say(Own.HELLO, encode_hello(self._own))

    def _meet(self, kind: int, body: bytes) -> None:
        """The other side's first frame."""
        if kind == Own.GOODBYE:
            self._hear_goodbye(body)
            return
        try:
            peer = decode_hello(body)
            self._version = agree(self._own, peer)
        except HelloRefused as refused:
            self._refuse(str(refused))
            return
        self.peer = peer
        ahead_ms = clock_difference_ms(self._own, peer)
        if ahead_ms:
            self.log.warn("cluster.clocks_differ", remote=self.remote, peer=peer.node, peer_ahead_ms=ahead_ms)
        self._phase = OPEN
        if not self._dials:                          # before whatever is sent first
            self._out.append(encode_frame(Own.HELLO, encode_hello(self._own), GREETING_VERSION))
        try:
            self._receiver = self._opened(self)
        except LinkError as refused:
            self._phase = GREETING
            self._out.clear()
            self._refuse(refused.why)
            return
        self._flush()
        self._finished(self, None)
        self._give_out(self._reader.begin(self._version))

    # Frames

    def _give_out(self, frames: list[tuple[int, bytes]]) -> None:
        for kind, body in frames:
            phase = self._phase
            if phase is OPEN:
                if kind == Own.GOODBYE:
                    self._hear_goodbye(body)
                elif self._held is not None:
                    self._held.append((kind, body))
                else:
                    self._receiver.received(kind, body)
            elif phase is GREETING:
                self._meet(kind, body)
            else:
                return

    def _judge(self) -> None:
        reader = self._reader
        if reader.has_unknown:
            for kind in reader.take_unknown():
                self.log.info("cluster.kind_unknown", remote=self.remote, kind=f"{kind:#06x}")
        if reader.failure is not None:
            self._refuse(reader.failure)

    def _hear_goodbye(self, body: bytes) -> None:
        text = body.decode(errors="replace")
        self._why = f"the other side has ended the link: {text}" if text else "the other side has ended the link"
        self._phase = ENDING
        self._shut()

    # The end

    def _refuse(self, why: str) -> None:
        """The other side breaks a rule, or is not who it should be."""
        if self._phase is ENDING or self._phase is ENDED:
            return
        if self._receiver is not None:               # before, whoever waits for the handshake says it
            self.log.warn("cluster.link_broken", remote=self.remote, why=why)
        self._end(why, tell=why)

    def _end(self, why: str, *, tell: str) -> None:
        self._flush()
        self._why = why
        if self._phase is not SHAKING and self._session.error is None:
            self._say(Own.GOODBYE, tell.encode()[:CLUSTER_REASON_MAX_BYTES])
            self._write(self._session.close())
        self._phase = ENDING
        self._shut()

    def _shut(self) -> None:
        """What is written may still go out, if the other side takes it soon."""
        self._transport.close()
        self._loop.call_later(CLUSTER_LINGER_S, self._transport.abort)

    # Writing

    def _flush(self) -> None:
        out = self._out
        if not out or self._phase is ENDED:
            return
        self._out, self._out_bytes = [], 0
        self._write(self._session.send(b"".join(out)))
        if self._transport.get_write_buffer_size() > CLUSTER_PENDING_MAX_BYTES:
            why = f"takes nothing: {CLUSTER_PENDING_MAX_BYTES} bytes are waiting for it"
            self.log.warn("cluster.link_broken", remote=self.remote, why=why)
            self.abort(why)

    def _say(self, kind: int, body: bytes) -> None:
        self._write(self._session.send(encode_frame(kind, body, GREETING_VERSION if kind == Own.HELLO else self._version)))

    def _write(self, data: bytes | None) -> None:
        if data is not None:
            self._transport.write(data)


def prepare(sock: socket.socket) -> None:
    """Small frames leave at once, and a machine that is gone is noticed."""
    tcp = socket.IPPROTO_TCP
    sock.setsockopt(tcp, socket.TCP_NODELAY, 1)
    sock.setsockopt(tcp, socket.TCP_USER_TIMEOUT, CLUSTER_SILENCE_MS)
    sock.setsockopt(tcp, _TCP_NOTSENT_LOWAT, CLUSTER_UNSENT_BYTES)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(tcp, socket.TCP_KEEPIDLE, CLUSTER_KEEPALIVE_S)
    sock.setsockopt(tcp, socket.TCP_KEEPINTVL, CLUSTER_KEEPALIVE_S)
    sock.setsockopt(tcp, socket.TCP_KEEPCNT, 3)
    with suppress(OSError):                          # older kernels: after a cut of some seconds it takes as long again to go on
        sock.setsockopt(tcp, _TCP_RTO_MAX_MS, CLUSTER_RESEND_MAX_MS)


def _why_lost(exc: Exception | None, was: Phase, *, is_between_frames: bool) -> str:
    if exc is None:
        how = "the other side has gone"
    else:                                            # of anything but the network nobody knows what its text holds
        how = f"lost: {exc}" if isinstance(exc, OSError) else f"a defect of this node: {type(exc).__name__}"
    if was is SHAKING:
        return f"{how}, before the TLS handshake ended"
    if was is GREETING:
        return f"{how}, before its hello"
    return how if is_between_frames else f"{how}, in the middle of a frame"
