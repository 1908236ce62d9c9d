"""What integrated storage writes into its journal, into entries and beside raft's messages, as bytes. Pure.

A record of the journal: version 1 B, this node's raft id, then the hard state (term, vote, commit), 8 B each, then entries as the native
module writes them; or of version 2, with members in place of entries. An entry of data: kind 1 B, index of the first batch 8 B, number of
batches 4 B, then the batches as in a record of the `file` backend. What is no message of raft's begins with a byte that none of these
begins with.

Invariants: (1) a later record's hard state and entries win over an earlier one's; (2) what cannot be read is refused, never guessed.
"""
from collections.abc import Sequence
from struct import Struct
from struct import error as StructError

import msgspec

from holdfast.errors import IntegrityError
from holdfast.ids import Index, NodeId, Term
from holdfast.storage import segment
from holdfast.storage.batch import UNREADABLE, WriteBatch
from holdfast.storage.segment import Record

VERSION, RECOVERY_VERSION = 1, 2
BATCHES, INSTALL = 1, 2                                  # kinds of entries of data
_RECORD, _ENTRY = Struct(">BQQQQ"), Struct(">BQI")
_SIZE_BYTES = 4                                          # before each of the entries of a record


class HardState(msgspec.Struct, frozen=True):
    """What raft must not forget."""

    term: int = 0
    vote: int = 0
    commit: int = 0


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """`address`: of its cluster port. Not a voter: it learns, and counts for nothing."""

    id: NodeId
    raft_id: int
    address: str
    voter: bool


class Change(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What travels with a change of members: the member as it will be; or, with `remove`, as it was."""

    member: Member
    remove: bool = False


class Install(msgspec.Struct, frozen=True, kw_only=True):
    """What an entry says that puts a state in the place of everything before it: a restored snapshot, staged at a majority."""

    index: Index
    generation: int
    size: int
    digest: str


class Base(msgspec.Struct, frozen=True, kw_only=True):
    """Where a checkpoint stands in raft's log, who the members were there, and where the last terms before it began. Records up to `record`
    are not needed any more; entries of records up to `void` are not in the log, whatever their index."""

    index: int = 0
    term: int = 0
    record: int = 0
    void: int = 0
    members: tuple[Member, ...] = ()
    terms: tuple[tuple[int, int], ...] = ()


_encode = msgspec.msgpack.Encoder().encode
_install = msgspec.msgpack.Decoder(Install).decode
_change, _base = msgspec.msgpack.Decoder(Change).decode, msgspec.json.Decoder(Base).decode
_members = msgspec.msgpack.Decoder(tuple[Member, ...]).decode


def write_record(raft_id: int, state: HardState, entries: bytes = b"") -> bytes:
    return _RECORD.pack(VERSION, raft_id, state.term, state.vote, state.commit) + entries


def read_record(payload: bytes) -> tuple[int, HardState, bytes]:
    """(raft id, hard state, entries). Raises IntegrityError."""
    try:
        version, raft_id, term, vote, commit = _RECORD.unpack_from(payload)
    except StructError as error:
        raise IntegrityError("a record of the raft log is cut short") from error
    if version not in (VERSION, RECOVERY_VERSION):
        raise IntegrityError(f"a record of the raft log is of version {version}: this program knows {RECOVERY_VERSION}")
    return raft_id, HardState(term, vote, commit), payload[_RECORD.size:] if version == VERSION else b""


def write_recovery(raft_id: int, state: HardState, members: tuple[Member, ...]) -> bytes:
    """A record: from here on the members are these, whatever changes of them the entries before it tell of."""
    return _RECORD.pack(RECOVERY_VERSION, raft_id, state.term, state.vote, state.commit) + _encode(members)


def read_recovery(payload: bytes) -> tuple[Member, ...]:
    """Of a record that `read_record` has read; empty: it is none of these. Raises IntegrityError."""
    if payload[0] != RECOVERY_VERSION:
        return ()
    try:
        return _members(payload[_RECORD.size:])
    except UNREADABLE as error:
        raise IntegrityError(f"a change of all members cannot be read: {error}") from error


def without_changes(entries: bytes, rows: Sequence[tuple[int, int, int, bytes]]) -> bytes:
    """`entries` as the native module writes them, which reads them as `rows`: each change of members made an entry that says nothing."""
    kept, at = bytearray(), 0
    for index, term, kind, _ in rows:
        end = at + _SIZE_BYTES + int.from_bytes(entries[at:at + _SIZE_BYTES])
        if kind == 1:
            empty = b"\x10" + _varint(term) + b"\x18" + _varint(index)      # protobuf, of raft-rs's Entry: its term and its index alone
            kept += len(empty).to_bytes(_SIZE_BYTES) + empty
        else:
            kept += entries[at:end]
        at = end
    return bytes(kept)


def write_group(group: Sequence[WriteBatch]) -> bytes:
    """The data of an entry."""
    return _ENTRY.pack(BATCHES, group[0].index, len(group)) + segment.payload_of(group)


def write_install(install: Install) -> bytes:
    """The data of an entry."""
    return _ENTRY.pack(INSTALL, install.index, 0) + _encode(install)


def read_install(data: bytes) -> Install:
    """Raises IntegrityError."""
    try:
        return _install(data[_ENTRY.size:])
    except UNREADABLE as error:
        raise IntegrityError(f"an entry of the raft log cannot be read: {error}") from error


def last_index(data: bytes) -> Index:
    """Of the batches of an entry, which may be cut short behind its first bytes. Raises IntegrityError."""
    kind, first, count = _head(data)
    return Index(first + count - 1) if kind == BATCHES else Index(first)


def first_index(data: bytes) -> Index:
    return Index(_head(data)[1])


def kind_of(data: bytes) -> int:
    return _head(data)[0]


def read_group(data: bytes) -> list[WriteBatch]:
    """Raises IntegrityError."""
    _, first, count = _head(data)
    return list(Record(Index(first), count, Term(0), 0, data[_ENTRY.size:]).batches())


def write_change(change: Change) -> bytes:
    return _encode(change)


def read_change(data: bytes) -> Change:
    """Raises IntegrityError."""
    try:
        return _change(data)
    except UNREADABLE as error:
        raise IntegrityError(f"a change of members cannot be read: {error}") from error


def write_base(base: Base) -> str:
    return msgspec.json.encode(base).decode()


def read_base(text: str) -> Base:
    """Raises IntegrityError."""
    try:
        return _base(text)
    except UNREADABLE as error:
        raise IntegrityError(f"a checkpoint does not say where it stands in raft's log: {error}") from error


def _varint(number: int) -> bytes:
    written = bytearray()
    while number > 0x7f:
        written.append(number & 0x7f | 0x80)
        number >>= 7
    return bytes((*written, number))


def _head(data: bytes) -> tuple[int, int, int]:
    if len(data) < _ENTRY.size or data[0] not in (BATCHES, INSTALL):
        raise IntegrityError("an entry of the raft log cannot be read")
    kind, first, count = _ENTRY.unpack_from(data)
    return kind, first, count
