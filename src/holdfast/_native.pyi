"""What Python would do too slowly or not at all: request heads, TLS, words in shared memory, the shape of JSON. In Rust, `native/`."""
from collections.abc import Sequence
from typing import Literal, TypeAlias, final

_Head: TypeAlias = tuple[int, str, str, str | None, bytes | None, bytes | None, int, int, list[tuple[str, bytes]] | None]
"""`http/head.py` says what stands where."""

class HeadError(ValueError):
    """A request head that is not understood; the message names the rule and shows nothing of the head."""

class TlsError(ValueError):
    """A TLS configuration that cannot be used."""

def parse_head(data: bytes, start: int = 0, scanned: int = 0, /) -> _Head | None:
    """The head at `start`, all of whose lines must end in CR LF; None: it has not ended yet.

    What stands before `scanned` was seen in an earlier call, without an end in it. Raises HeadError. 0.35 us.
    """

def check_json(
    data: bytes, depth: int, string: int, entries: int, elements: int, /,
) -> Literal["depth", "string", "entries", "elements"] | None:
    """Which limit the JSON text breaks first; None: it keeps all. 0: no limit. About 1 ns a byte. Not a parser: other faults pass."""

@final
class TlsConfig:
    """A server's certificate, key and rules, checked as a whole; never changed, so a reload makes another one.

    `certificates` (leaf first), `key`, `client_ca`: PEM. `ticket_keys`: 32 bytes each; the first one makes session tickets, all open them;
    none: no resumption. Suites by IANA's names; empty: all; those of TLS 1.3 cannot be left out. Raises TlsError.
    """

    def __new__(
        cls, *, certificates: bytes, key: bytes, ticket_keys: Sequence[bytes],
        client: Literal["none", "possession", "verify"] = "possession", client_ca: bytes | None = None,
        min_version: str = "tls12", max_version: str = "tls13", suites: Sequence[str] = (),
    ) -> TlsConfig: ...

@final
class TlsConnection:
    """One server connection, from its first byte on: bytes in, plaintext and bytes to send out."""

    def __new__(cls, config: TlsConfig) -> TlsConnection: ...
    def receive(self, data: bytes, /) -> tuple[bytes | None, bytes | None, bool]:
        """Bytes from the network: (plaintext, bytes to send, whether the peer has ended the session or broken the protocol)."""

    def send(self, data: bytes, /) -> bytes | None:
        """Plaintext to the bytes that carry it, with whatever else is to be sent. None while the handshake goes on: then it is kept."""

    def close(self) -> bytes | None:
        """The bytes that end the session in good order."""

    @property
    def is_handshaking(self) -> bool: ...
    @property
    def is_resumed(self) -> bool: ...
    @property
    def error(self) -> str | None:
        """Why the session failed, if it did."""

    @property
    def peer_certificate(self) -> bytes | None:
        """The client's own certificate as DER, if it gave one; it holds the key."""

@final
class Words:
    """Signed 64-bit words in memory shared by processes; each operation is atomic and sequentially consistent. IndexError: no such word."""

    @staticmethod
    def create(count: int) -> Words:
        """New words, all 0. Raises OSError."""

    @staticmethod
    def open(fd: int) -> Words:
        """The words behind an inherited descriptor, which stays the caller's. Raises OSError."""

    @property
    def fd(self) -> int: ...
    def __len__(self) -> int: ...
    def load(self, index: int, /) -> int: ...
    def store(self, index: int, value: int, /) -> None: ...
    def fetch_add(self, index: int, amount: int, /) -> int:
        """Adds, wrapping around; gives what was there before."""

    def fetch_max(self, index: int, value: int, /) -> int:
        """Raises the word to `value` unless it is higher; gives what was there before."""
