"""Replies to bytes.

Everything before the length is made once per status, type and second. Invariant: no header value carries a line end to the wire.
"""
import re
import time
from collections.abc import Mapping
from email.utils import formatdate
from functools import lru_cache
from typing import TypeAlias

import msgspec

from holdfast.engine import Reply, Stream
from holdfast.errors import InvariantError

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
NO_TRANSPORT_DOWNGRADE = ("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
_REASONS = {
    200: "OK", 201: "Created", 202: "Accepted", 204: "No Content", 206: "Partial Content", 301: "Moved Permanently", 302: "Found",
    304: "Not Modified", 307: "Temporary Redirect", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found",
    405: "Method Not Allowed", 408: "Request Timeout", 409: "Conflict", 412: "Precondition Failed", 413: "Request Entity Too Large",
    415: "Unsupported Media Type", 429: "Too Many Requests", 500: "Internal Server Error", 501: "Not Implemented", 502: "Bad Gateway",
    503: "Service Unavailable", 504: "Gateway Timeout",
}
_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_WITHOUT_BODY = frozenset((204, 304))                # what followed the head, its reader would take for the next answer
JSON = "application/json"
HOSTNAME, RAFT_NODE_ID = "X-Vault-Hostname", "X-Vault-Raft-Node-ID"
OwnHeaders: TypeAlias = tuple[tuple[str, str], ...]


class _Errors(msgspec.Struct, frozen=True):
    errors: tuple[str, ...]


def errors(status: int, *messages: str) -> Reply:
    """Vault's body for what went wrong."""
    return Reply(status=status, body=msgspec.json.encode(_Errors(messages)) + b"\n")


def header_line(name: str, value: str) -> bytes:
    """Raises InvariantError: what stands in a header of an answer is ours, and checked where it came in."""
    if not _is_name(name) or not ((value.isascii() and value.isprintable()) or _HEADER_VALUE.fullmatch(value)):
        raise InvariantError(f"no header of an answer: {name[:64]!r}")
    return f"{name}: {value}\r\n".encode("latin-1")


@lru_cache(maxsize=64)
def _is_name(name: str) -> bool:
    return _HEADER_NAME.fullmatch(name) is not None


def _canonical(name: str) -> str:
    return "-".join(part.capitalize() for part in name.split("-"))


class Replies:
    """Writes the replies of one listener. `custom`: headers by "default", "2xx" or "200"; `own`: headers of every answer, but for one that
    brings its own of that name: another node has made it."""

    def __init__(self, custom: Mapping[str, Mapping[str, str]], own: OwnHeaders = ()) -> None:
        self._custom = {key: {_canonical(name): value for name, value in headers.items()} for key, headers in custom.items()}
        self._own = dict(own)
        self._json: dict[int, bytes] = {}            # up to the length's value
        self._others: dict[tuple[int, str, OwnHeaders], bytes] = {}
        self._date = ""
        self.tick()

    def tick(self) -> None:
        """Called at least once a second."""
        date = formatdate(time.time(), usegmt=True)
        if date != self._date:
            self._date = date
            self._json.clear()
            self._others.clear()

    def bytes_of(self, reply: Reply) -> bytes:
        """The common answer: to no HEAD, and the connection goes on."""
        body, headers = reply.body, reply.headers
        if not body or reply.content_type != JSON or (headers and self._own):
            return self.any_bytes_of(reply)
        prefix = self._json.get(reply.status)
        if prefix is None:
            if reply.status in _WITHOUT_BODY:
                return self.any_bytes_of(reply)
            prefix = self._json[reply.status] = self._prefix(reply.status, JSON) + b"Content-Length: "
        if not headers:
            return b"%b%d\r\n\r\n%b" % (prefix, len(body), body)
        return b"%b%d\r\n%b\r\n%b" % (prefix, len(body), b"".join([header_line(name, value) for name, value in headers]), body)

    def any_bytes_of(self, reply: Reply, *, head_only: bool = False, connection: str = "") -> bytes:
        """Any answer. `connection`: what the header of that name says; empty: none."""
        status, body = reply.status, reply.body
        parts = [self._start(status, reply.content_type, reply.headers)]
        if connection:
            parts.append(header_line("Connection", connection))
        if status in _WITHOUT_BODY:
            body = b""
        elif body or not head_only:
            parts.append(b"Content-Length: %d\r\n" % len(body))
        parts.append(b"\r\n")
        if not head_only:
            parts.append(body)
        return b"".join(parts)

    def start_of(self, stream: Stream, *, chunked: bool, connection: str) -> bytes:
        """The head of a stream."""
        parts = [self._start(stream.status, stream.content_type, stream.headers)]
        if connection:
            parts.append(header_line("Connection", connection))
        if chunked:
            parts.append(b"Transfer-Encoding: chunked\r\n")
        return b"".join((*parts, b"\r\n"))

    def _start(self, status: int, content_type: str, headers: OwnHeaders) -> bytes:
        """Status line and headers; those of the answer itself last."""
        brought = tuple(header for header in headers if header[0] in self._own) if self._own else ()
        key = (status, content_type, brought)
        found = self._others.get(key)
        if found is None:
            found = self._others[key] = self._prefix(status, content_type, brought)
        lines = (header_line(name, value) for name, value in headers if (name, value) not in brought)
        return b"".join((found, *lines))

    def _prefix(self, status: int, content_type: str, brought: OwnHeaders = ()) -> bytes:
        headers = {"Cache-Control": "no-store", "Content-Type": content_type, **self._own, **dict((NO_TRANSPORT_DOWNGRADE,)),
                   **dict(brought)}
        for key in ("default", f"{status // 100}xx", str(status)):
            headers.update(self._custom.get(key, {}))
        if not content_type:
            del headers["Content-Type"]
        headers["Date"] = self._date
        lines = (header_line(name, value) for name, value in headers.items())
        return b"".join((f"HTTP/1.1 {status} {_REASONS.get(status, 'Status')}\r\n".encode(), *lines))


def chunk(data: bytes) -> bytes:
    """One piece of a chunked answer; an empty one would end it."""
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"
