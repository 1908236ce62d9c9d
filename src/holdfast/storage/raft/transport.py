"""What integrated storage needs of the network, and what travels beside raft's own messages.

Raft's messages travel as they are; what is ours begins with a byte that none of them begins with. Invariant: what cannot be read is
dropped, as a message lost would be.
"""
from collections.abc import AsyncIterator, Callable
from typing import Protocol

import msgspec

from holdfast.ids import Index
from holdfast.storage.batch import UNREADABLE

OURS = 0xFF
_APPEND = b"\x08\x03"                               # how raft's message with entries begins: field 1, its kind, is 3


class Transport(Protocol):
    """Given by the node; keyed by raft id. Drops silently what it cannot deliver."""

    def send(self, to: int, address: str, data: bytes) -> None:
        """One message. `address`: of the member's cluster port; empty: not known here, so it goes back the way that the other's came."""

    def send_snapshot(self, to: int, address: str, header: bytes, chunks: AsyncIterator[bytes], done: Callable[[bool], None]) -> None:
        """Out of band, at its own pace. `done`: called once, whether the other side has all of it and said so."""


class NotAMember(msgspec.Struct, frozen=True, kw_only=True, tag="not_a_member"):
    """To a node that campaigns: by a membership that was decided at `changed_at`, it is none."""

    changed_at: int


class FromMember(msgspec.Struct, frozen=True, kw_only=True, tag="from", omit_defaults=True):
    """One of raft's messages, to a node that may not know its sender yet. `moved`: nor the address, which is not the one in the log."""

    raft_id: int
    address: str
    message: bytes
    moved: bool = False


Ours = NotAMember | FromMember


class StateHeader(msgspec.Struct, frozen=True, kw_only=True):
    """Before a state's bytes. `message`: raft's own, of a snapshot; empty: it is staged for an entry of the log that installs it."""

    index: Index
    generation: int
    size: int
    digest: str
    base: str = ""
    message: bytes = b""


_encode = msgspec.msgpack.Encoder().encode
_ours: Callable[[bytes], Ours] = msgspec.msgpack.Decoder(Ours).decode
_header = msgspec.msgpack.Decoder(StateHeader).decode


def write(message: Ours) -> bytes:
    return bytes((OURS,)) + _encode(message)


def read(data: bytes) -> NotAMember | FromMember | None:
    """None: it cannot be read."""
    try:
        return _ours(data[1:])
    except UNREADABLE:
        return None


def is_append(data: bytes) -> bool:
    """Is it entries for a follower? Those are of use only in order, and can be long; all else is short, and late if it waits for them."""
    if data[:1] == bytes((OURS,)):
        message = read(data)
        return isinstance(message, FromMember) and message.message.startswith(_APPEND)
    return data.startswith(_APPEND)


def write_header(header: StateHeader) -> bytes:
    return _encode(header)


def read_header(data: bytes) -> StateHeader | None:
    """None: it cannot be read."""
    try:
        return _header(data)
    except UNREADABLE:
        return None
