"""Frames: version (1 byte), kind (2), length of the body (4), body; numbers big-endian.

Invariants:
1. A length is checked against its kind's bound as soon as the head is there, before anything of the body is kept.
2. A kind that is not known is passed over without being kept, once for each link with a line in the log.
3. What breaks a rule ends the reading: frames before it are given out, nothing behind it is looked at.

Kinds from 0xFF00 up are the port's own (here and in `stream`); all below are free for those who use it, who give each kind's bound.
"""
from collections.abc import Mapping
from enum import IntEnum
from struct import Struct
from typing import Final, TypeAlias

from holdfast.limits import (
    CLUSTER_CHUNK_BYTES,
    CLUSTER_FRAME_MAX_BYTES,
    CLUSTER_HELLO_MAX_BYTES,
    CLUSTER_REASON_MAX_BYTES,
    CLUSTER_STREAM_HEADER_MAX_BYTES,
    CLUSTER_UNKNOWN_LOGGED,
)

FRAME_VERSION: Final = 1                             # the newest one
GREETING_VERSION: Final = 1                          # of hellos, for ever, and of what is said before they are found good
HEAD: Final = Struct(">BHI")
HEAD_BYTES: Final = HEAD.size
Bounds: TypeAlias = Mapping[int, int]
"""Kind to the largest body in bytes."""


class Own(IntEnum):
    """The port's own kinds."""

    HELLO = 0xFF00                                   # first each way: `hello.Hello`
    GOODBYE = 0xFF01                                 # last, if it comes to that: why, as UTF-8
    STREAM_OPEN = 0xFF10                             # `stream` has what is in these
    STREAM_CHUNK = 0xFF11
    STREAM_END = 0xFF12
    STREAM_CREDIT = 0xFF13
    STREAM_CANCEL = 0xFF14


OWN_FROM: Final = 0xFF00
_GREETINGS: Final = (Own.HELLO, Own.GOODBYE)
STREAM_HEAD_BYTES: Final = 16                        # at most what stands before a header, a chunk or a reason
OWN_BOUNDS: Final[Bounds] = {
    Own.HELLO: CLUSTER_HELLO_MAX_BYTES,
    Own.GOODBYE: CLUSTER_REASON_MAX_BYTES,
    Own.STREAM_OPEN: STREAM_HEAD_BYTES + CLUSTER_STREAM_HEADER_MAX_BYTES,
    Own.STREAM_CHUNK: STREAM_HEAD_BYTES + CLUSTER_CHUNK_BYTES,
    Own.STREAM_END: STREAM_HEAD_BYTES + CLUSTER_REASON_MAX_BYTES,
    Own.STREAM_CREDIT: STREAM_HEAD_BYTES,
    Own.STREAM_CANCEL: STREAM_HEAD_BYTES + CLUSTER_REASON_MAX_BYTES,
}


def encode_frame(kind: int, body: bytes, version: int = FRAME_VERSION) -> bytes:
    return HEAD.pack(version, kind, len(body)) + body


class FrameReader:
    """Bytes of one direction of a link to frames. `failure`: the rule that was broken; from then on nothing comes any more.

    `greets`: the first frame must be a hello or a goodbye and is given out alone; what is behind it waits for `begin`, because it may be of
    another version.
    """

    __slots__ = ("_bounds", "_buffer", "_greets", "_pass_over", "_unknown", "_waits", "failure", "has_unknown", "version")

    def __init__(self, bounds: Bounds, version: int = GREETING_VERSION, *, greets: bool = False) -> None:
        self._bounds, self.version, self._greets = bounds, version, greets
        self._waits = False                          # for `begin`
        self._buffer = bytearray()
        self._pass_over = 0                          # bytes still to come of a frame of an unknown kind
        self._unknown: dict[int, bool] = {}          # kinds that were passed over, and whether that has been told
        self.has_unknown = False                     # whether `take_unknown` has something
        self.failure: str | None = None

    @property
    def is_between_frames(self) -> bool:
        return not self._buffer and not self._pass_over

    def take_unknown(self) -> list[int]:
        """Kinds that were passed over for the first time since the last call."""
        new = [kind for kind, told in self._unknown.items() if not told]
        self._unknown.update(dict.fromkeys(new, True))
        self.has_unknown = False
        return new

    def begin(self, version: int) -> list[tuple[int, bytes]]:
        """The first frame was good: the frames behind it that have come, and from now on all."""
        self._greets = self._waits = False
        self.version = version
        return self.take(b"")

    def take(self, data: bytes) -> list[tuple[int, bytes]]:
        """The frames, as (kind, body), that `data` makes whole."""
        if self.failure is not None:
            return []
        if self._pass_over:
            passed = min(self._pass_over, len(data))
            self._pass_over -= passed
            data = data[passed:]
        buffer = self._buffer
        if self._waits:
            buffer += data
            return []
        if not buffer:                               # nearly always: whole frames, and nothing kept
            frames, end = self._scan(data)
            if end < len(data):
                buffer += memoryview(data)[end:]
        else:
            buffer += data
            frames, end = self._scan(buffer)
            del buffer[:end]
        return frames

    def _scan(self, data: bytes | bytearray) -> tuple[list[tuple[int, bytes]], int]:
        """The whole frames at the beginning of `data`, and where what is kept begins."""
        frames: list[tuple[int, bytes]] = []
        start, size = 0, len(data)
        while size - start >= HEAD_BYTES:
            version, kind, length = HEAD.unpack_from(data, start)
            if version != self.version:
                return self._fail(frames, size, f"a frame of version {version}: this link has version {self.version}")
            if self._greets and kind not in _GREETINGS:
                return self._fail(frames, size, f"the first frame is of kind {kind:#06x}: it must be a hello")
            bound = self._bounds.get(kind)
            limit = CLUSTER_FRAME_MAX_BYTES if bound is None else bound
            if length > limit:
                return self._fail(frames, size, f"a frame of kind {kind:#06x} with {length} bytes: the limit is {limit}")
            end = start + HEAD_BYTES + length
            if bound is None:
                if len(self._unknown) < CLUSTER_UNKNOWN_LOGGED:
                    self.has_unknown = not self._unknown.setdefault(kind, False) or self.has_unknown
                if end > size:
                    self._pass_over = end - size
                    return frames, size
            elif end > size:
                break
            else:
                frames.append((kind, bytes(data[start + HEAD_BYTES:end])))
            start = end
            if self._greets:
                self._waits = True
                break
        return frames, start

    def _fail(self, frames: list[tuple[int, bytes]], size: int, why: str) -> tuple[list[tuple[int, bytes]], int]:
        self.failure = why
        return frames, size
