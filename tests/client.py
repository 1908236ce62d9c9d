"""A small HTTP client that hides nothing: any method, any path as it is written, every header of the answer, the bytes of the body.

One connection at a time, kept alive; nothing is ever sent twice, so that what was acknowledged is what was asked.
"""
from __future__ import annotations

import json
import select
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Connect = Callable[[], socket.socket]
ANSWER_WITHIN_S = 30.0


class Closed(ConnectionError):
    """The server ended the connection in the middle of an answer."""


@dataclass(frozen=True)
class Answer:
    """`headers`: as they came, names in lower case."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str:
        """The one header of this name, "" if there is none; two are a defect."""
        found = [value for each, value in self.headers if each == name.lower()]
        assert len(found) <= 1, f"{name} came {len(found)} times"
        return found[0] if found else ""

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def data(self) -> Any:
        return self.json["data"]

    @property
    def auth(self) -> Any:
        return self.json["auth"]

    @property
    def errors(self) -> list[str]:
        found: list[str] = self.json["errors"] if self.body else []
        return found

    @property
    def index(self) -> str:
        """X-Vault-Index: "" unless something was written."""
        return self.header("X-Vault-Index")

    def ok(self) -> Answer:
        """This answer, which must be no refusal."""
        assert self.status < 300, f"{self.status}: {self.body[:500]!r}"
        return self


class Client:
    """`token` goes with every request that does not name another one."""

    def __init__(self, connect: Connect, token: str = "") -> None:
        self._connect, self.token = connect, token
        self._sock: socket.socket | None = None
        self._held = b""                             # read, and not yet taken

    def as_token(self, token: str) -> Client:
        """The same server on a connection of its own."""
        return Client(self._connect, token)

    def close(self) -> None:
        if self._sock is not None:
            self._sock.close()
        self._sock, self._held = None, b""

    def get(self, path: str, **more: Any) -> Answer:
        return self.ask("GET", path, **more)

    def list(self, path: str, **more: Any) -> Answer:
        return self.ask("LIST", path, **more)

    def post(self, path: str, body: object = None, **more: Any) -> Answer:
        return self.ask("POST", path, body, **more)

    def patch(self, path: str, body: object, **more: Any) -> Answer:
        return self.ask("PATCH", path, body, headers={"Content-Type": "application/merge-patch+json", **more.pop("headers", {})}, **more)

    def delete(self, path: str, **more: Any) -> Answer:
        return self.ask("DELETE", path, **more)

    def ask(self, method: str, path: str, body: object = None, *, token: str | None = None, headers: Mapping[str, str] | None = None,
            raw: bytes | None = None, prefix: str = "/v1/") -> Answer:
        """`path` stands in the request as it is; `raw` is a body as it is. Raises OSError, Closed."""
        sent = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
        lines = {"Host": "holdfast", **(headers or {})}
        if given := self.token if token is None else token:
            lines["X-Vault-Token"] = given
        if sent or method in ("POST", "PUT", "PATCH"):
            lines["Content-Length"] = str(len(sent))
        head = f"{method} {prefix}{path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items()) + "\r\n"
        self.send(head.encode("latin-1") + sent)
        return self.receive(head_only=method == "HEAD")

    def send(self, data: bytes) -> None:
        """Bytes as they are, over the connection that there is, or a new one."""
        self._close_if_ended()
        if self._sock is None:
            self._sock = self._connect()
            self._sock.settimeout(ANSWER_WITHIN_S)
        try:
            self._sock.sendall(data)
        except OSError:
            self.close()
            raise

    def _close_if_ended(self) -> None:
        """A server may end a connection while nothing is under way. What came in otherwise is kept; session tickets come at any time."""
        sock = self._sock
        if sock is None or self._held or not select.select([sock], [], [], 0)[0]:
            return
        sock.settimeout(0)
        try:
            self._held = sock.recv(1 << 16)
            if not self._held:
                self.close()
        except (BlockingIOError, ssl.SSLWantReadError):
            pass                                     # a session ticket, and nothing else
        except OSError:
            self.close()
        finally:
            if self._sock is not None:
                sock.settimeout(ANSWER_WITHIN_S)

    def receive(self, *, head_only: bool = False) -> Answer:
        """The next answer of this connection."""
        try:
            answer, ends = self._read_answer(head_only)
        except OSError:
            self.close()
            raise
        if ends:
            self.close()
        return answer

    def stream(self) -> tuple[Answer, Callable[[], bytes]]:
        """The head of an answer in chunks, and what gives its next chunk; empty at the end."""
        status, headers = self._read_head()
        return Answer(status, headers, b""), self._read_chunk

    @property
    def is_ended(self) -> bool:
        """Whether the server has nothing more to say on this connection: it ends, and nothing comes before that."""
        if self._sock is None:
            return True
        return not self._held and self._more() == b""

    def _read_answer(self, head_only: bool) -> tuple[Answer, bool]:
        status, headers = self._read_head()
        while status == 100:
            status, headers = self._read_head()
        ends = ("connection", "close") in headers
        if head_only or status in (204, 304):
            return Answer(status, headers, b""), ends
        if ("transfer-encoding", "chunked") in headers:
            chunks = list(iter(self._read_chunk, b""))
            return Answer(status, headers, b"".join(chunks)), ends
        length = next((int(value) for name, value in headers if name == "content-length"), None)
        if length is None:
            assert ends, f"an answer without a length: {headers}"
            body, self._held = self._held, b""
            while more := self._more():
                body += more
            return Answer(status, headers, body), True
        return Answer(status, headers, self._take(length)), ends

    def _read_head(self) -> tuple[int, tuple[tuple[str, str], ...]]:
        first, *lines = self._line(b"\r\n\r\n").decode("latin-1").split("\r\n")
        version, status, _ = first.split(" ", 2)
        assert version == "HTTP/1.1", first
        headers = tuple((name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines))
        return int(status), headers

    def _read_chunk(self) -> bytes:
        size = int(self._line(b"\r\n"), 16)
        data = self._take(size)
        assert self._take(2) == b"\r\n"
        return data

    def _line(self, end: bytes) -> bytes:
        while end not in self._held:
            self._hold_more()
        line, _, self._held = self._held.partition(end)
        return line

    def _take(self, size: int) -> bytes:
        while len(self._held) < size:
            self._hold_more()
        data, self._held = self._held[:size], self._held[size:]
        return data

    def _hold_more(self) -> None:
        more = self._more()
        if not more:
            raise Closed("the server closed the connection before its answer was whole")
        self._held += more

    def _more(self) -> bytes:
        assert self._sock is not None
        try:
            return self._sock.recv(1 << 16)
        except ConnectionResetError:
            return b""
