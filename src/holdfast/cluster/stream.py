"""Large bodies over any link, in pieces, beside its other frames.

Each side numbers the streams that it sends. A stream is OPEN (number 4 bytes, shape 1, kind 2, size 8, header), CHUNKs (number, data) and
an END (number, 0 or 1 for broken off, reason). The receiver gives CREDIT (number, count 2) for each piece that has been taken, and for a
good END; or CANCEL (number, reason).

Invariants:
1. Of one stream at most CLUSTER_STREAM_AHEAD pieces are under way or not taken: memory on both sides is bounded, however large the body.
2. A piece goes out only while little is pending on the link, so that a small frame waits behind little.
3. A receiver learns of a good end only if it has all pieces in order; otherwise its iterator raises LinkError.
4. A body that is put together again counts against a bound of the link; what would go over it is held back, not refused.

A Streams stands between a link and its receiver: frames that are not of streams pass through.
"""
import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import suppress
from enum import IntEnum
from struct import Struct
from struct import error as StructError
from typing import Final

from holdfast.cluster.frame import OWN_FROM, Bounds, Own
from holdfast.cluster.port import Link, LinkError, Receiver
from holdfast.errors import InvariantError
from holdfast.limits import (
    CLUSTER_CHUNK_BYTES,
    CLUSTER_REASON_MAX_BYTES,
    CLUSTER_STREAM_AHEAD,
    CLUSTER_STREAM_HEADER_MAX_BYTES,
    CLUSTER_STREAM_STALL_S,
    CLUSTER_STREAMS_MAX,
    CLUSTER_WHOLE_BYTES,
    CLUSTER_WHOLE_MAX_BYTES,
)

_OPEN: Final = Struct(">IBHQ")
_NUMBER: Final = Struct(">I")
_END: Final = Struct(">IB")
_CREDIT: Final = Struct(">IH")


class _Shape(IntEnum):
    STREAM = 0                                       # given out piece by piece
    WHOLE = 1                                        # put together, and then received as one body


class _Broken(Exception):
    """The other side breaks a rule: the link ends."""


class Incoming:
    """A stream from the other side, to be iterated once, by one task. Ends in LinkError if not all of it comes."""

    def __init__(self, kind: int, header: bytes, taken: Callable[[], None], cancelled: Callable[[str], None]) -> None:
        self.kind, self.header = kind, header
        self._taken, self._cancelled = taken, cancelled
        self._chunks: deque[bytes] = deque()
        self._arrived: asyncio.Future[None] | None = None
        self._is_whole = self._end_is_taken = False
        self._waits_for_confirm = False
        self._why: str | None = None                 # why nothing more comes, if that is not the good end

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        while not self._chunks:
            if self._why is not None:
                raise LinkError(self._why)
            if self._is_whole:
                raise StopAsyncIteration
            self._arrived = asyncio.get_running_loop().create_future()
            await self._arrived
        chunk = self._chunks.popleft()
        self._taken()
        self._take_end_if_last()
        return chunk

    def confirm_later(self) -> None:
        """When it is opened: the sender hears that all was taken only by `confirm`, when it is durable, say."""
        self._waits_for_confirm = True

    def confirm(self) -> None:
        """All of it was taken; or what there was of it is enough."""
        if not self._is_whole or self._chunks:
            self.cancel("the rest of it is not needed")
        elif not self._end_is_taken:
            self._take_end()

    def cancel(self, why: str) -> None:
        """Wants no more of it; the sender is told."""
        if self._why is None and not self._end_is_taken:
            self._why = why
            self._chunks.clear()
            self._cancelled(why)
            self._wake()

    # What Streams calls

    @property
    def waiting(self) -> int:
        return len(self._chunks)

    def push(self, chunk: bytes) -> None:
        self._chunks.append(chunk)
        self._wake()

    def finish(self) -> None:
        self._is_whole = True
        self._take_end_if_last()
        self._wake()

    def fail(self, why: str) -> None:
        if self._why is None and not self._is_whole:
            self._why = why
            self._chunks.clear()
            self._wake()

    def _take_end_if_last(self) -> None:
        if self._is_whole and not self._chunks and not self._waits_for_confirm:
            self._take_end()

    def _take_end(self) -> None:
        """The end counts as a piece."""
        self._end_is_taken = True
        self._taken()

    def _wake(self) -> None:
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)


class _Assembly:
    """A body being put together. `is_admitted`: it counts against the bound, and its pieces are taken."""

    __slots__ = ("is_admitted", "kind", "parts", "received", "size", "untaken")

    def __init__(self, kind: int, size: int) -> None:
        self.kind, self.size = kind, size
        self.parts: list[bytes] = []
        self.received = self.untaken = 0
        self.is_admitted = False


class _Outgoing:
    __slots__ = ("changed", "untaken", "why")

    def __init__(self) -> None:
        self.untaken = 0
        self.why: str | None = None                  # why it cannot go on
        self.changed: asyncio.Future[None] | None = None

    def wake(self) -> None:
        if self.changed is not None and not self.changed.done():
            self.changed.set_result(None)


class Streams:
    """The `Receiver` to give to a port; `inner` gets what is not of streams, and the bodies that are put together again.

    `bounds` are those of the port, unclipped: the largest body of each kind. `opened` is called with each stream that the other side
    begins, and returns at once; what it does not iterate or cancel stays.
    """

    def __init__(self, inner: Receiver, *, bounds: Bounds, opened: Callable[[Incoming], None] | None = None) -> None:
        self._inner, self._bounds, self._opened = inner, bounds, opened
        self._link: Link | None = None
        self._numbers = 0
        self._sending: dict[int, _Outgoing] = {}
        self._slots = asyncio.Semaphore(CLUSTER_STREAMS_MAX)
        self._incoming: dict[int, Incoming] = {}
        self._assemblies: dict[int, _Assembly] = {}
        self._assembled_bytes = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed: str | None = None

    def bind(self, link: Link) -> None:
        """The link that it stands on: before anything is sent, or has been received."""
        self._link = link

    @property
    def link(self) -> Link:
        if self._link is None:
            raise InvariantError("streams without a link")
        return self._link

    def send(self, kind: int, body: bytes) -> None:
        """As `Link.send`, for a body of any size up to the kind's bound. A long one may arrive after later short ones."""
        if len(body) <= CLUSTER_WHOLE_BYTES:
            self.link.send(kind, body)
        elif len(body) > min(self._bounds.get(kind, -1), CLUSTER_WHOLE_MAX_BYTES):
            raise InvariantError(f"a body of kind {kind:#06x} with {len(body)} bytes: the limit is {self._bounds.get(kind)}")
        elif self._closed is None:
            task = asyncio.get_running_loop().create_task(self._send_alone(kind, body))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def send_stream(self, kind: int, header: bytes, chunks: AsyncIterator[bytes]) -> None:
        """Returns once the other side has taken all of it. Raises LinkError; what `chunks` raises ends the stream and is raised too.

        A generator is closed in any case.
        """
        if len(header) > CLUSTER_STREAM_HEADER_MAX_BYTES:
            raise InvariantError(f"a stream's header of {len(header)} bytes: the limit is {CLUSTER_STREAM_HEADER_MAX_BYTES}")
        await self._send(kind, _Shape.STREAM, 0, header, chunks)

    async def send_whole(self, kind: int, body: bytes) -> None:
        """As `send`; for a long body it returns once the other side has all of it: whoever waits for that keeps the order. LinkError."""
        if len(body) <= CLUSTER_WHOLE_BYTES:
            self.link.send(kind, body)
            return

        async def whole() -> AsyncIterator[bytes]:
            yield body

        await self._send(kind, _Shape.WHOLE, len(body), b"", whole())

    async def _send_alone(self, kind: int, body: bytes) -> None:
        with suppress(LinkError):                    # the link has ended, and with it what was sent
            await self.send_whole(kind, body)

    async def _send(self, kind: int, shape: _Shape, size: int, header: bytes, chunks: AsyncIterator[bytes]) -> None:
        async with self._slots:
            if self._closed is not None:
                raise LinkError(self._closed)
            self._numbers = number = (self._numbers + 1) & 0xFFFF_FFFF
            sending = self._sending[number] = _Outgoing()
            self.link.send(Own.STREAM_OPEN, _OPEN.pack(number, shape, kind, size) + header)
            try:
                async for chunk in chunks:
                    for start in range(0, len(chunk), CLUSTER_CHUNK_BYTES):
                        await self._send_piece(number, sending, chunk[start:start + CLUSTER_CHUNK_BYTES])
                await self._room(sending, CLUSTER_STREAM_AHEAD)
                sending.untaken += 1
                self.link.send(Own.STREAM_END, _END.pack(number, 0))
                await self._room(sending, 1)
            except BaseException:
                if sending.why is None:              # else the other side has ended it
                    self.link.send(Own.STREAM_END, _END.pack(number, 1) + b"its sender has broken it off")
                raise
            finally:
                del self._sending[number]
                if isinstance(chunks, AsyncGenerator):
                    await chunks.aclose()            # what it holds open is let go now, not when somebody finds it

    async def _send_piece(self, number: int, sending: _Outgoing, piece: bytes) -> None:
        await self._room(sending, CLUSTER_STREAM_AHEAD)
        await self.link.drained()
        sending.untaken += 1
        self.link.send(Own.STREAM_CHUNK, _NUMBER.pack(number) + piece)

    @staticmethod
    async def _room(sending: _Outgoing, below: int) -> None:
        """Returns once fewer pieces than `below` are not taken."""
        while sending.why is None and sending.untaken >= below:
            sending.changed = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(CLUSTER_STREAM_STALL_S):
                    await sending.changed
            except TimeoutError as error:
                raise LinkError(f"nothing of a stream was taken for {CLUSTER_STREAM_STALL_S:g} s") from error
        if sending.why is not None:
            raise LinkError(sending.why)

    # Receiving

    def received(self, kind: int, body: bytes) -> None:
        if kind < OWN_FROM:
            self._inner.received(kind, body)
            return
        try:
            self._take(kind, body)
        except (_Broken, StructError) as error:
            self.link.close(f"a broken stream: {error}")

    def closed(self, why: str) -> None:
        self._closed = why
        for sending in self._sending.values():
            sending.why = sending.why or why
            sending.wake()
        for incoming in list(self._incoming.values()):
            incoming.fail(why)
        self._incoming.clear()
        self._assemblies.clear()
        self._inner.closed(why)

    def _take(self, kind: int, body: bytes) -> None:
        if kind == Own.STREAM_CHUNK:
            (number,) = _NUMBER.unpack_from(body)
            self._chunk(number, body[_NUMBER.size:])
        elif kind == Own.STREAM_CREDIT:
            number, count = _CREDIT.unpack_from(body)
            if number in self._sending:
                self._sending[number].untaken -= count
                self._sending[number].wake()
        elif kind == Own.STREAM_OPEN:
            number, shape, inner_kind, size = _OPEN.unpack_from(body)
            self._open(number, shape, inner_kind, size, body[_OPEN.size:])
        elif kind == Own.STREAM_END:
            number, broken = _END.unpack_from(body)
            self._end(number, _text(body[_END.size:]) if broken else None)
        elif kind == Own.STREAM_CANCEL:
            (number,) = _NUMBER.unpack_from(body)
            if number in self._sending:
                self._sending[number].why = f"the other side wants no more of it: {_text(body[_NUMBER.size:])}"
                self._sending[number].wake()

    def _open(self, number: int, shape: int, kind: int, size: int, header: bytes) -> None:
        if number in self._incoming or number in self._assemblies:
            raise _Broken(f"number {number} is open already")
        if len(self._incoming) + len(self._assemblies) >= 2 * CLUSTER_STREAMS_MAX:
            raise _Broken(f"more than {2 * CLUSTER_STREAMS_MAX} are open")
        bound = self._bounds.get(kind)
        if shape == _Shape.WHOLE and bound is not None and size <= min(bound, CLUSTER_WHOLE_MAX_BYTES):
            self._assemblies[number] = _Assembly(kind, size)
            self._admit()
        elif shape == _Shape.WHOLE and bound is not None:
            raise _Broken(f"a body of kind {kind:#06x} with {size} bytes: the limit is {bound}")
        elif shape == _Shape.STREAM and bound is not None and self._opened is not None:
            incoming = Incoming(kind, header, lambda: self._credit(number, 1), lambda why: self._cancel(number, why))
            self._incoming[number] = incoming
            self._opened(incoming)
        else:                                        # of a newer version: it is told, and goes on without
            self._cancel(number, f"streams of kind {kind:#06x} are not taken here")

    def _chunk(self, number: int, data: bytes) -> None:
        if len(data) > CLUSTER_CHUNK_BYTES:
            raise _Broken(f"a piece of {len(data)} bytes: the limit is {CLUSTER_CHUNK_BYTES}")
        incoming, assembly = self._incoming.get(number), self._assemblies.get(number)
        if incoming is not None:
            if incoming.waiting >= CLUSTER_STREAM_AHEAD:
                raise _Broken(f"more than {CLUSTER_STREAM_AHEAD} pieces ahead")
            incoming.push(data)
        elif assembly is not None:
            assembly.parts.append(data)
            assembly.received += len(data)
            if assembly.received > assembly.size or assembly.untaken >= CLUSTER_STREAM_AHEAD:
                raise _Broken("more pieces than were announced or admitted")
            if assembly.is_admitted:
                self._credit(number, 1)
            else:
                assembly.untaken += 1

    def _end(self, number: int, broken: str | None) -> None:
        incoming, assembly = self._incoming.pop(number, None), self._assemblies.pop(number, None)
        if incoming is not None and broken is None:
            incoming.finish()
        elif incoming is not None:
            incoming.fail(f"the other side: {broken}")
        elif assembly is not None:
            if assembly.is_admitted:
                self._assembled_bytes -= assembly.size
            if broken is None and assembly.received != assembly.size:
                raise _Broken(f"{assembly.received} bytes of {assembly.size} that were announced")
            self._admit()
            if broken is None:
                self._credit(number, assembly.untaken + 1)
                self._inner.received(assembly.kind, b"".join(assembly.parts))

    def _admit(self) -> None:
        """In the order in which they came; one alone always has room."""
        for number, assembly in self._assemblies.items():
            if assembly.is_admitted:
                continue
            if self._assembled_bytes and self._assembled_bytes + assembly.size > CLUSTER_WHOLE_MAX_BYTES:
                return
            assembly.is_admitted = True
            self._assembled_bytes += assembly.size
            if assembly.untaken:
                self._credit(number, assembly.untaken)
                assembly.untaken = 0

    def _credit(self, number: int, count: int) -> None:
        if self._closed is None:
            self.link.send(Own.STREAM_CREDIT, _CREDIT.pack(number, count))

    def _cancel(self, number: int, why: str) -> None:
        self._incoming.pop(number, None)
        if self._closed is None:
            self.link.send(Own.STREAM_CANCEL, _NUMBER.pack(number) + why.encode()[:CLUSTER_REASON_MAX_BYTES])


def _text(data: bytes) -> str:
    return data.decode(errors="replace")
