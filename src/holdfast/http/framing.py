"""From the bytes of one connection to its requests, without I/O.

Invariants: (1) what cannot be understood in one way alone is refused, and nothing behind it is read; (2) what is kept is bounded by one
head, one body, and what the last read brought; (3) nothing of one request reaches the next.
"""
from enum import Enum, auto
from typing import TypeAlias

from holdfast._native import HeadError, parse_head
from holdfast.http.body import Body, Chunked, Counted, Kept, Refused, too_large
from holdfast.http.head import API, CHUNKED, CONTINUE, END, FLAGS, LENGTH, METHOD, PATH, PLAIN, UPLOADS, Head, last
from holdfast.http.upload import Spool
from holdfast.limits import HTTP_HEAD_MAX_BYTES

Message: TypeAlias = tuple[Head, bytes | Spool]


class Waits(Enum):
    """For what the connection waits."""

    REQUEST = auto()                                 # nothing of the next one is there
    HEAD = auto()
    BODY = auto()


def whole(data: bytes, body_max_bytes: int) -> tuple[Head, bytes] | None:
    """Head and body, if these bytes are one request and nothing else. None: they are for `Framing` to judge."""
    try:
        head = parse_head(data)
    except HeadError:
        return None
    if head is None or head[FLAGS] & CHUNKED:
        return None
    end, length = head[END], head[LENGTH]
    if end > HTTP_HEAD_MAX_BYTES or (end + length if length > 0 else end) != len(data):
        return None
    if length > 0 and (length > body_max_bytes or _is_upload(head)):
        return None
    return head, data[end:]


def _is_upload(head: Head) -> bool:
    path = head[PATH] if head[FLAGS] & PLAIN else head[PATH].removeprefix(API)
    return path.rstrip("/") in UPLOADS and head[METHOD] in ("POST", "PUT")


class Framing:
    """`receive` bytes, then take messages until there is none. After Refused no further call, nor after a message that is the last of its
    connection. `has_uploads`: when there is none because the body of a file begins, whose head is `upload`, then `take_into` goes on."""

    __slots__ = ("_at", "_body", "_body_max", "_data", "_has_uploads", "_head", "_scanned", "_sink", "empty", "owes_continue", "upload")

    def __init__(self, body_max_bytes: int, *, has_uploads: bool = False) -> None:
        self._body_max, self._has_uploads = body_max_bytes, has_uploads
        self.upload: Head | None = None              # of the request whose spool is to be given
        self._data = b""
        self._at = 0                                 # what stands before has been taken
        self._scanned = 0                            # no head ends before
        self._head: Head | None = None               # of the request whose body is coming
        self._body: Body | None = None
        self._sink: Kept | Spool | None = None       # where that goes
        self.empty = True                            # all that came in was taken, as whole requests
        self.owes_continue = False                   # the client waits for 100 before it sends the body

    @property
    def waits(self) -> Waits:
        if self._head is not None:
            return Waits.BODY
        return Waits.HEAD if self._at < len(self._data) else Waits.REQUEST

    @property
    def kept_bytes(self) -> int:
        """What came in and has not been taken yet."""
        return len(self._data) - self._at + (self._sink.kept_bytes if self._sink is not None else 0)

    @property
    def spool(self) -> Spool | None:
        """The file that the body is going to."""
        return self._sink if isinstance(self._sink, Spool) else None

    def receive(self, data: bytes) -> None:
        self.empty = False
        if self._at == len(self._data):
            self._data = data
            self._at = self._scanned = 0
        else:
            self._scanned -= self._at
            self._data, self._at = self._data[self._at:] + data, 0

    def next(self) -> Message | None:
        """The next whole request; None: more bytes are needed. Raises Refused."""
        if self._head is not None:
            return self._go_on(self._head)
        data, at = self._data, self._at
        if at == len(data):
            return None
        try:
            head = parse_head(data, at, self._scanned)
        except HeadError as error:
            raise Refused(400, str(error)) from error
        end = len(data) if head is None else head[END]
        if end - at > HTTP_HEAD_MAX_BYTES:
            raise Refused(400, f"a request head is at most {HTTP_HEAD_MAX_BYTES} bytes")
        self._scanned = end
        if head is None:
            return None
        self._at = end
        if head[LENGTH] <= 0 and not head[FLAGS] & CHUNKED:
            self.empty = end == len(data)
            return head, b""
        return self._begin_body(head)

    def _begin_body(self, head: Head) -> Message | None:
        if self._has_uploads and _is_upload(head):
            self.upload = head
            return None
        length, most = head[LENGTH], self._body_max
        if length > most:
            raise too_large(most)
        end = self._at + length
        if length >= 0 and end <= len(self._data):
            body = self._data[self._at:end]
            self._at = self._scanned = end
            self.empty = end == len(self._data)
            return head, body
        return self._take_body(head, Kept(most))

    def take_into(self, spool: Spool) -> Message | None:
        """As `next`. Raises Refused."""
        head, self.upload = self.upload, None
        assert head is not None
        return (last(head), spool) if spool.is_declined else self._take_body(head, spool)

    def _take_body(self, head: Head, sink: Kept | Spool) -> Message | None:
        self._body = Chunked(sink) if head[LENGTH] < 0 else Counted(head[LENGTH], sink)
        self._head, self._sink = head, sink
        self.owes_continue = bool(head[FLAGS] & CONTINUE) and self._at == len(self._data)
        return self._go_on(head)

    def _go_on(self, head: Head) -> Message | None:
        body, sink = self._body, self._sink
        assert body is not None
        assert sink is not None
        if self._at < len(self._data):
            self._at = self._scanned = body.take(self._data, self._at)
        if not body.done:
            return None
        content = sink.content()
        self._head = self._body = self._sink = None
        self.owes_continue = False
        self.empty = self._at == len(self._data)
        return head, content
