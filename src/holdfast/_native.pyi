"""What Python would do too slowly or not at all: request heads, TLS, ciphers, words in shared memory, the shape of JSON, raft.

In Rust, `native/`.
"""
from collections.abc import Sequence
from typing import Literal, TypeAlias, final

_Head: TypeAlias = tuple[int, str, str, str | None, bytes | None, bytes | None, int, int, list[tuple[str, bytes]] | None]
"""`http/head.py` says what stands where."""

class HeadError(ValueError):
    """A request head that is not understood; the message names the rule and shows nothing of the head."""

class TlsError(ValueError):
    """A TLS configuration that cannot be used."""

def parse_head(data: bytes, start: int = 0, scanned: int = 0) -> _Head | None:
    """The head at `start`, all of whose lines must end in CR LF; None: it has not ended yet.

    What stands before `scanned` was seen in an earlier call, without an end in it. Raises HeadError. 0.35 us.
    """

def check_json(
    data: bytes, depth: int, string: int, entries: int, elements: int,
) -> Literal["depth", "string", "entries", "elements"] | None:
    """Which limit the JSON text breaks first; None: it keeps all. 0: no limit. About 1 ns a byte. Not a parser: other faults pass."""

def uuids(random: bytes) -> list[str]:
    """One UUID (RFC 9562, version 4) as text for each 16 bytes; a rest is passed over. 0.1 us each."""

@final
class AesGcm:
    """AES-256-GCM under one key. A box is: bytes of the caller's, nonce 12 B, ciphertext, tag 16 B."""

    def __new__(cls, key: bytes) -> AesGcm:
        """`key`: 32 bytes, else IndexError."""

    def seal(self, head: bytes, nonce: bytes, value: bytes, name: str) -> bytes:
        """The box of `value`: behind `head`, bound to `name`. 0.2 us."""

    def open(self, sealed: bytes, at: int, name: str) -> bytes | None:
        """What the box holds, whose nonce begins at `at`. None: it was not sealed so, under this key and name. 0.2 us."""

@final
class HmacSha256:
    """HMAC-SHA-256 (RFC 2104) under one key."""

    def __new__(cls, key: bytes) -> HmacSha256: ...
    def of(self, value: bytes) -> bytes: ...
    def labelled(self, label: str, text: str) -> str:
        """`label` and the 64 hex digits of a text's UTF-8."""

def hashed_json(mac: HmacSha256, label: str, text: bytes) -> bytes | None:
    """A JSON object as an audit entry shows it: without white space, `mac.labelled(label, …)` in the place of each string that is no key.

    `text` is known to be JSON; other text gives bytes that are none. None: no object or an empty one, or there is an escape in it.
    """

@final
class TlsConfig:
    """A listener's certificate, key and rules, checked as a whole; never changed, so a reload makes another one.

    `certificates` (leaf first), `key`, `client_ca`: PEM. `ticket_keys`: 32 bytes each; the first one makes session tickets, all open them;
    none: no resumption. Suites by IANA's names; empty: all; those of TLS 1.3 cannot be left out. Raises TlsError.
    """

    def __new__(
        cls, *, certificates: bytes, key: bytes, ticket_keys: Sequence[bytes],
        client: Literal["none", "possession", "verify"] = "possession", client_ca: bytes | None = None,
        min_version: str = "tls12", max_version: str = "tls13", suites: Sequence[str] = (),
    ) -> TlsConfig: ...

@final
class PeerTls:
    """One protocol's certificate and key between nodes, and the certificates that it takes; never changed. For either side.

    `certificate` and `accepts`: DER; `key`: PKCS #8 DER. A certificate is taken if it is one of `accepts` byte for byte; chain, name and
    dates are not looked at. TLS 1.2 or 1.3, no resumption. Raises TlsError.
    """

    def __new__(cls, *, alpn: str, certificate: bytes, key: bytes, accepts: Sequence[bytes]) -> PeerTls: ...

@final
class TlsSession:
    """One connection, from its first byte on: bytes in, plaintext and bytes to send out. After an error nothing more is taken."""

    def __new__(cls, config: TlsConfig) -> TlsSession:
        """A listener's side."""

    @staticmethod
    def accept(offers: Sequence[PeerTls]) -> TlsSession:
        """The side that listens, between nodes; what the other one asks for (ALPN) picks the offer, before any certificate is shown."""

    @staticmethod
    def connect(config: PeerTls) -> TlsSession:
        """The side that dials. `send(b"")` gives its first bytes."""

    def receive(self, data: bytes) -> tuple[bytes | None, bytes | None, bool]:
        """Bytes from the network: (plaintext, bytes to send, whether the peer has ended the session or broken the protocol)."""

    def send(self, data: bytes) -> bytes | None:
        """Plaintext to the bytes that carry it, with whatever else is to be sent. None while the handshake goes on: then it is kept."""

    def close(self) -> bytes | None:
        """The bytes that end the session in good order."""

    @property
    def is_handshaking(self) -> bool: ...
    @property
    def error(self) -> str | None:
        """Why the session failed, if it did: what the other side does or shows, in words that follow its name."""

    @property
    def alpn(self) -> str | None:
        """What both agreed on, once they have."""

    @property
    def peer_certificate(self) -> bytes | None:
        """The other side's certificate as DER, if it gave one, once it has proved that it holds the key."""

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
    def load(self, index: int) -> int: ...
    def store(self, index: int, value: int) -> None: ...

class RaftError(RuntimeError):
    """Raft cannot go on: its state may be torn."""

@final
class Ready:
    """What raft wants done, in this order: `messages` sent; a snapshot, `entries` and `hard_state` durable; `messages_after` sent;
    `RaftNode.persisted(number)`. Only a leader's messages go before they are durable."""

    number: int
    messages: list[tuple[int, int, bytes]]
    """(to, type, message)"""
    messages_after: list[tuple[int, int, bytes]]
    must_sync: bool
    hard_state: tuple[int, int, int] | None
    """(term, vote, commit)"""
    entries: list[tuple[int, int, bytes, bytes]]
    """(index of the first, of the last, the first 16 bytes of data among them, entries as `raft_entries` reads them)"""
    snapshot: tuple[int, int] | None
    """(index, term)"""
    committed: int
    """Index of the last entry that is newly committed and durable here; 0: none."""
    mark: bytes | None
    """The first 16 bytes of the last one of them that carries data."""
    changes: list[tuple[int, bytes]]
    """Changes of members among them, which raft has applied: (index, context)."""
    soft_state: tuple[int, int] | None
    """(leader, role)"""
    read_states: list[bytes]
    """Contexts of `read_index` that a majority has confirmed."""

@final
class RaftNode:
    """One member of raft. Not for several threads."""

    def __new__(
        cls, *, id: int, hard_state: tuple[int, int, int], voters: Sequence[int], learners: Sequence[int], base: tuple[int, int],
        entries: Sequence[bytes], election_ticks: int, heartbeat_ticks: int, message_bytes: int, uncommitted_bytes: int, inflight: int,
        chunk_bytes: int, campaign_ticks: int | None = None,
    ) -> RaftNode:
        """`base`: index and term of the entry before the first one given; `voters`, `learners`: as of `hard_state`'s commit. After
        `election_ticks` without a leader it may vote for another one; after `campaign_ticks`, those unless told, it campaigns itself."""

    def tick(self) -> None: ...
    def step(self, data: bytes, gated: bool, is_snapshot: bool = False) -> tuple[int, int, bool]:
        """A message from a member: (its type, -1: not taken; who sent it; whether it is of a leader whose term is not over).

        `gated`: no vote that is not a transfer's. A snapshot is taken only where one is expected.
        """

    def propose(self, data: bytes, term: int) -> int | None:
        """The index that it gets; None: this node does not lead in that term, or takes nothing now."""

    def propose_change(self, kind: int, id: int, context: bytes, term: int) -> int | None:
        """`kind`: 0 a voter, 1 no member any more, 2 a learner. None also: another change is not applied yet."""

    def campaign(self) -> None:
        """Nothing happens if this node is no voter."""

    def forget_leader(self) -> None:
        """Of a follower: may vote for another one now."""

    def step_down(self) -> None:
        """Leads no more in this term."""

    def transfer_leader(self, to: int) -> None: ...
    def read_index(self, context: bytes) -> None: ...
    def request_snapshot(self) -> bool:
        """Asks the leader for its state, in place of entries. False: there is none, or not now; or, asked again, it was asked for no more,
        and entries are taken: the leader may need this node to commit what the state is to hold."""

    def broadcast(self) -> None:
        """Tells the followers what is committed. Of whom it is known that he has everything, no answer is wanted, and none comes."""

    def report_unreachable(self, id: int) -> None: ...
    def report_snapshot(self, id: int, arrived: bool) -> None: ...
    def ready(self) -> Ready | None:
        """What is to be done; None: nothing."""

    def persisted(self, number: int) -> None:
        """All that the readies up to this one wanted durable is so."""

    def entries(self, after: int, through: int, max_bytes: int) -> list[tuple[int, int, int, bytes]] | None:
        """As `raft_entries`, of those in memory; None: the first of them no longer is."""

    def term_at(self, index: int) -> int:
        """Of an entry; 0: not known any more, or not yet."""

    def offer_snapshot(self, index: int, term: int, voters: Sequence[int], learners: Sequence[int]) -> None: ...
    def compact(self, bytes: int, through: int) -> None:
        """Keeps about `bytes` of entries in memory, but all after `through` and all that are not applied."""

    @property
    def wants_snapshot(self) -> bool: ...
    @property
    def window_bytes(self) -> int: ...
    @property
    def status(self) -> tuple[int, int, int, int, int, int, int, int]:
        """(term, leader, role, committed, applied, first index in memory, last index, whom leadership is being given to)"""

    @property
    def progress(self) -> list[tuple[int, int, bool]]:
        """Of each member, if this node leads: (id, matched, whether a snapshot is on its way)."""

def raft_entries(payload: bytes) -> list[tuple[int, int, int, bytes]]:
    """(index, term, 0: data, 1: a change of members, the data or the change's context). Raises RaftError."""

def raft_first_entry(id: int, context: bytes) -> bytes:
    """The first entry of a new log: it makes `id` the only voter."""
