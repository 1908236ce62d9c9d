"""The body of one request, as its bytes come in.

Invariants: (1) what is kept never exceeds the limit of its sink, whatever was announced; (2) every line of a chunked body ends in CR LF, is
bounded, and is a size or a trailer and nothing else; (3) trailers are checked and thrown away: nothing in them can change a request, and
those that another reader could take for framing are refused.
"""
import re
from enum import Enum, auto
from typing import Protocol

from holdfast.limits import HTTP_CHUNK_LINE_MAX_BYTES, HTTP_CHUNKS_MAX, HTTP_TRAILERS_MAX_BYTES

_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?")
_TRAILER = re.compile(rb"(?!(?i:content-length|host|transfer-encoding):)[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*")


class Refused(Exception):
    """The bytes of this connection cannot be understood, or not be taken: answered with `status`, then the connection ends."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status, self.why = status, why


def too_large(limit: int) -> Refused:
    return Refused(413, f"http: request body too large: max_request_size is {limit} bytes")


class Sink(Protocol):
    """Where a body goes. `limit`: bytes of the whole."""

    limit: int
    chunks_max: int

    def write(self, piece: bytes) -> None: ...

    def too_large(self) -> Refused: ...


class Kept:
    """In memory."""

    chunks_max = HTTP_CHUNKS_MAX

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._content = bytearray()
        self.kept_bytes = 0

    def write(self, piece: bytes) -> None:
        self._content += piece
        self.kept_bytes += len(piece)

    def too_large(self) -> Refused:
        return too_large(self.limit)

    def content(self) -> bytes:
        return bytes(self._content)


class Body(Protocol):
    """Takes bytes of the connection from `at` on."""

    def take(self, data: bytes, at: int) -> int:
        """Where the body's own bytes end in `data`. Raises Refused."""

    @property
    def done(self) -> bool: ...


class Counted:
    """A body of a length that the head gives."""

    def __init__(self, length: int, sink: Sink) -> None:
        """Raises Refused: it is too long."""
        if length > sink.limit:
            raise sink.too_large()
        self._missing, self._sink = length, sink

    @property
    def done(self) -> bool:
        return self._missing == 0

    def take(self, data: bytes, at: int) -> int:
        piece = data[at:at + self._missing]
        self._missing -= len(piece)
        self._sink.write(piece)
        return at + len(piece)


class _At(Enum):
    SIZE = auto()
    DATA = auto()
    DATA_END = auto()
    TRAILERS = auto()
    DONE = auto()


class Chunked:
    """A body in chunks. Extensions of a chunk are skipped, as RFC 9112 asks."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._at = _At.SIZE
        self._line = b""                             # the beginning of a line whose end has not come
        self._missing = 0                            # of the current chunk
        self._chunks = self._trailers = self._size = 0

    @property
    def done(self) -> bool:
        return self._at is _At.DONE

    def take(self, data: bytes, at: int) -> int:
        while at < len(data) and self._at is not _At.DONE:
            if self._at is _At.SIZE and not self._line and (end := self._take_chunk(data, at)):
                at = end
            elif self._at is _At.DATA:
                piece = data[at:at + self._missing]
                self._sink.write(piece)
                self._missing -= len(piece)
                at += len(piece)
                if not self._missing:
                    self._at = _At.DATA_END
            else:
                at = self._take_line(data, at)
        return at

    def _take_chunk(self, data: bytes, at: int) -> int:
        """Where the chunk that begins at `at` ends, if all of it is there; else 0."""
        end = data.find(b"\r\n", at, at + HTTP_CHUNK_LINE_MAX_BYTES)
        size = _SIZE.fullmatch(data, at, end) if end >= 0 else None
        if size is None:
            return 0
        begin = end + 2
        end = begin + int(size[1], 16)
        if end == begin or data[end:end + 2] != b"\r\n":
            return 0
        self._count_chunk(end - begin)
        self._sink.write(data[begin:end])
        return end + 2

    def _take_line(self, data: bytes, at: int) -> int:
        end = data.find(b"\n", at)
        line = self._line + (data[at:] if end < 0 else data[at:end + 1])
        if len(line) > HTTP_CHUNK_LINE_MAX_BYTES:
            raise Refused(400, f"a line of a chunked body is at most {HTTP_CHUNK_LINE_MAX_BYTES} bytes")
        if end < 0:
            self._line = line
            return len(data)
        if not line.endswith(b"\r\n"):
            raise Refused(400, "line feed without carriage return in a chunked body")
        self._line = b""
        self._read(line[:-2])
        return end + 1

    def _read(self, line: bytes) -> None:
        match self._at:
            case _At.SIZE:
                self._begin_chunk(line)
            case _At.DATA_END if line:
                raise Refused(400, "a chunk is longer than its size")
            case _At.DATA_END:
                self._at = _At.SIZE
            case _ if line:
                self._trailers += len(line)
                if self._trailers > HTTP_TRAILERS_MAX_BYTES or not _TRAILER.fullmatch(line):
                    raise Refused(400, "malformed trailer")
            case _:
                self._at = _At.DONE

    def _begin_chunk(self, line: bytes) -> None:
        size = _SIZE.fullmatch(line)
        if size is None:
            raise Refused(400, "malformed chunk size")
        self._missing = int(size[1], 16)
        self._count_chunk(self._missing)
        self._at = _At.DATA if self._missing else _At.TRAILERS

    def _count_chunk(self, size: int) -> None:
        self._chunks += 1
        self._size += size
        if self._chunks > self._sink.chunks_max:
            raise Refused(400, f"a body has at most {self._sink.chunks_max} chunks")
        if self._size > self._sink.limit:
            raise self._sink.too_large()
