"""Between a worker and its main process, over an inherited socket: length-prefixed msgpack, in both directions at once.

What is sent in one turn of the event loop goes out in one write, but for what is flushed: under load a system call, and waking the other
process, cost more than the messages.
Invariants: (1) keys travel here and nowhere else; (2) a frame is at most FRAME_MAX_BYTES long; (3) the reader of a broken frame ends the
connection, and with it the worker; (4) messages arrive in the order of the calls of `send`.
"""
import asyncio
from collections.abc import Callable, Mapping
from struct import Struct
from typing import Generic, TypeAlias, TypeVar, cast

import msgspec

from holdfast.config.settings import TcpListener
from holdfast.core.mounts import Defaults
from holdfast.crypto import Keyring, Secret
from holdfast.engine import NOTHING_YET, Memo, NodeFacts, Place, Reply, Request
from holdfast.errors import InvariantError
from holdfast.limits import FRAME_MAX_BYTES
from holdfast.replica import Why
from holdfast.telemetry.log import Event, Level
from holdfast.telemetry.metrics import Snapshot
from holdfast.telemetry.setup import LogOptions


class TlsFiles(msgspec.Struct, frozen=True, kw_only=True):
    """What a listener's files hold, read once by main: a worker may run where it could not read them."""

    certificate: bytes                               # PEM, the chain
    key: Secret                                      # PEM
    client_ca: bytes = b""                           # PEM


class Submit(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag=1):
    """Worker to main: all that it cannot do itself. At MAIN, main runs it; at ACTIVE, its lane or the active node does."""

    number: int                                      # of this worker; a Done or Chunk names it
    request: Request
    to: Place = Place.ACTIVE                         # these three as a plain write has them: a third of what the message costs otherwise
    why: Why = Why.WRITE
    memo: Memo = NOTHING_YET


class Cancel(msgspec.Struct, frozen=True, kw_only=True, tag=2):
    """Worker to main: the client of a stream has gone."""

    number: int


class Took(msgspec.Struct, frozen=True, kw_only=True, tag=5):
    """Worker to main: the client of a stream has taken so many pieces more; as many may follow."""

    number: int
    pieces: int


class Measured(msgspec.Struct, frozen=True, kw_only=True, tag=3):
    """Worker to main: its metrics since it began; asked for by Measure."""

    number: int
    snapshot: Snapshot


class Started(msgspec.Struct, frozen=True, kw_only=True, tag=4):
    """Worker to main: it accepts connections."""

    addresses: tuple[str, ...]


class Said(msgspec.Struct, frozen=True, kw_only=True, tag=6):
    """Worker to main: an event of its log, for who follows it."""

    event: Event


class Start(msgspec.Struct, frozen=True, kw_only=True, tag=9):
    """Main to worker, first of all: what it is to be."""

    number: int                                      # of this worker, from 1 up: its name in logs
    replica_path: str
    uploads_path: str                                # the folder for bodies that are files
    words_fd: int
    listeners: tuple[TcpListener, ...]               # with the ports that main holds
    tls: tuple[TlsFiles | None, ...]                 # of each listener
    ticket_key: Secret                               # of TLS session tickets, the same in all workers
    defaults: Defaults
    facts: NodeFacts
    logs: LogOptions
    own_headers: tuple[tuple[str, str], ...]         # of every answer: X-Vault-Hostname, X-Vault-Raft-Node-ID
    max_duration_s: float                            # of a request, where the listener names none
    lock_memory: bool
    requests_level: str                              # log_requests_level: "off", or that at which requests are logged
    heard_level: Level = Level.OFF                   # at which somebody follows the node's log


class Done(msgspec.Struct, frozen=True, kw_only=True, tag=1):
    """Main to worker: the answer, as it goes on the wire. The worker waits for no index: V was passed."""

    number: int
    reply: Reply


class Begin(msgspec.Struct, frozen=True, kw_only=True, tag=2):
    """Main to worker: the answer is a stream; its chunks follow."""

    number: int
    status: int
    content_type: str
    headers: tuple[tuple[str, str], ...]


class Chunk(msgspec.Struct, frozen=True, kw_only=True, tag=3):
    """Main to worker: a piece of a stream, at most 64 KiB; an empty one ends it. None: the rest of it does not come."""

    number: int
    data: bytes | None


class Keys(msgspec.Struct, frozen=True, kw_only=True, tag=4):
    """None: sealed, forget them now."""

    keyring: Keyring | None


class Facts(msgspec.Struct, frozen=True, kw_only=True, tag=5):
    facts: NodeFacts


class Measure(msgspec.Struct, frozen=True, kw_only=True, tag=6):
    number: int


class Reload(msgspec.Struct, frozen=True, kw_only=True, tag=7):
    """The operator's SIGHUP, or sys/config/reload. Audit files are opened anew."""

    tls: tuple[TlsFiles | None, ...]                 # of each TCP listener
    ticket_key: Secret
    headers: tuple[Mapping[str, Mapping[str, str]], ...]   # of each TCP listener's answers
    log_level: str
    requests_level: str


class TicketKey(msgspec.Struct, frozen=True, kw_only=True, tag=10):
    """Main to worker: what session tickets are sealed under from now on; older ones count no more."""

    key: Secret


class Hear(msgspec.Struct, frozen=True, kw_only=True, tag=11):
    """Main to worker: somebody follows the node's log at this level; OFF: nobody."""

    level: Level


class Drain(msgspec.Struct, frozen=True, kw_only=True, tag=8):
    """Accept no more, finish what has begun, then exit."""

    within_s: float


FromWorker: TypeAlias = Submit | Cancel | Took | Measured | Started | Said
ToWorker: TypeAlias = Start | Done | Begin | Chunk | Keys | Facts | Measure | Reload | TicketKey | Hear | Drain
In = TypeVar("In")

_LENGTH = Struct(">I")
_LENGTH_BYTES = _LENGTH.size
_NO_LENGTH = bytes(_LENGTH_BYTES)


class Channel(asyncio.Protocol, Generic[In]):
    """One end of the socket. `received` is called for each message, in order; `lost` once, when the other end has gone."""

    def __init__(self, kind: object, received: Callable[[In], None], lost: Callable[[], None]) -> None:
        self._decode: Callable[[memoryview], In] = msgspec.msgpack.Decoder(kind).decode
        self._encoder = msgspec.msgpack.Encoder()
        self._received, self._lost = received, lost
        self._begun = bytearray()                    # of a frame that is not whole
        self._wanted = _LENGTH_BYTES                 # so many bytes must `_begun` have before it is looked at again
        self._out = bytearray()                      # of this turn of the loop, since the last write
        self._transport: asyncio.Transport | None = None
        self._loop: asyncio.AbstractEventLoop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)     # uvloop's is one in all but its bases
        self._loop = asyncio.get_running_loop()      # asked once: it costs more than to queue a message

    def data_received(self, data: bytes) -> None:
        if self._begun:
            self._begun += data
            if len(self._begun) < self._wanted:
                return
            data = bytes(self._begun)
            self._begun.clear()
        frames, at = memoryview(data), 0
        self._wanted = _LENGTH_BYTES
        while len(data) - at >= _LENGTH_BYTES:
            start = at + _LENGTH_BYTES
            end = start + _LENGTH.unpack_from(data, at)[0]
            if end - at > FRAME_MAX_BYTES:
                raise InvariantError(f"a frame of {end - at} bytes: the limit is {FRAME_MAX_BYTES}")
            if len(data) < end:
                self._wanted = end - at
                break
            self._received(self._decode(frames[start:end]))
            at = end
        self._begun += frames[at:]

    def send(self, message: FromWorker | ToWorker) -> None:
        """Queues a message."""
        if self._transport is None or self._transport.is_closing():
            return                                   # `lost` has been or is being called: it answers what was under way
        out = self._out
        if not out:
            self._loop.call_soon(self.flush)
        start = len(out)
        out += _NO_LENGTH
        self._encoder.encode_into(message, out, start + _LENGTH_BYTES)
        _LENGTH.pack_into(out, start, len(out) - start - _LENGTH_BYTES)

    def flush(self) -> None:
        """What is queued goes out now, not when the turn ends."""
        out, self._out = self._out, bytearray()
        if out and self._transport is not None and not self._transport.is_closing():
            self._transport.write(out)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost()

    def close(self) -> None:
        self.flush()
        if self._transport is not None:
            self._transport.close()

