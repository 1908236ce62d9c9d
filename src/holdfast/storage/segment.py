"""How the log stands in its files, as bytes. Pure: no disk in here.

A segment is a file of whole blocks. Block 0 is its head: magic 8 B, sequence 8 B, index of its first batch 8 B, salt 16 B, digest 16 B.
From block 1 on stand records, each one group of batches, each from the start of a block: magic 8 B, the segment's sequence 8 B, size of
the payload 4 B, number of batches 4 B, index of the first 8 B, term 8 B, digest 16 B, then the payload (each batch: length 4 B, then its
own format), then zeros to the end of the block.

Invariants: (1) a record is valid in one place of one segment only: its digest is keyed with the segment's salt and covers its offset, so
neither what a used file held before, nor anything a client made us write, can be taken for a record; (2) no two records share a block.
"""
import hashlib
from collections.abc import Iterator, Sequence
from struct import Struct

import msgspec

from holdfast.errors import IntegrityError
from holdfast.ids import Index, Term
from holdfast.limits import BATCH_WIRE_MAX_BYTES, GROUP_MAX_BYTES
from holdfast.storage import batch as wire
from holdfast.storage.batch import WriteBatch
from holdfast.storage.disk import BLOCK_BYTES

SALT_BYTES = 16
DIGEST_BYTES = 16
PAYLOAD_MAX_BYTES = BATCH_WIRE_MAX_BYTES + 2 * GROUP_MAX_BYTES
_HEAD = Struct(">8sQQ16s")
_RECORD = Struct(">8sQIIQQ")
_LENGTH_BYTES = 4
_HEAD_MAGIC, _RECORD_MAGIC = b"HFLOG\0\0\1", b"HFREC\0\0\1"
BODY_AT = _RECORD.size + DIGEST_BYTES


class Head(msgspec.Struct, frozen=True):
    """Of a segment: `sequence` counts segments, `first` is the index of its first batch."""

    sequence: int
    first: Index
    salt: bytes


class Record(msgspec.Struct, frozen=True):
    """One group as it was appended. `size`: bytes on the disk, whole blocks."""

    first: Index
    count: int
    term: Term
    size: int
    payload: bytes

    @property
    def last(self) -> Index:
        return Index(self.first + self.count - 1)

    def batches(self) -> Iterator[WriteBatch]:
        """In order. Raises IntegrityError."""
        data, at = memoryview(self.payload), 0
        for number in range(self.first, self.first + self.count):
            start = at + _LENGTH_BYTES
            at = start + int.from_bytes(data[at:start])
            batch = wire.decode(data[start:at])
            if batch.index != number:
                raise IntegrityError(f"batch {batch.index} stands where batch {number} should")
            yield batch


def whole_blocks(size: int) -> int:
    return -(-size // BLOCK_BYTES) * BLOCK_BYTES


def write_head(head: Head) -> bytes:
    """Block 0."""
    fields = _HEAD.pack(_HEAD_MAGIC, head.sequence, head.first, head.salt)
    return (fields + hashlib.blake2b(fields, digest_size=DIGEST_BYTES).digest()).ljust(BLOCK_BYTES, b"\0")


def read_head(block: bytes, sequence: int) -> Head | None:
    """None: no record was ever made durable in this segment; what stands there is of another use of the file, or nothing."""
    fields, digest = block[:_HEAD.size], block[_HEAD.size:_HEAD.size + DIGEST_BYTES]
    if len(fields) < _HEAD.size or hashlib.blake2b(fields, digest_size=DIGEST_BYTES).digest() != digest:
        return None
    magic, found, first, salt = _HEAD.unpack(fields)
    return Head(found, Index(first), salt) if magic == _HEAD_MAGIC and found == sequence else None


def payload_of(group: Sequence[WriteBatch]) -> bytes:
    parts: list[bytes] = []
    for batch in group:
        data = wire.encode(batch)
        parts += (len(data).to_bytes(_LENGTH_BYTES), data)
    return b"".join(parts)


def record_size(payload: bytes) -> int:
    return whole_blocks(BODY_AT + len(payload))


def write_record(head: Head, offset: int, payload: bytes, *, first: Index, count: int, term: Term) -> bytes:
    fields = _RECORD.pack(_RECORD_MAGIC, head.sequence, len(payload), count, first, term)
    return b"".join((fields, _digest(head, offset, fields, payload), payload)).ljust(record_size(payload), b"\0")


def record_head(block: bytes, sequence: int) -> int | None:
    """The size on the disk of the record of this segment that seems to begin with this block; None: none does."""
    if len(block) < BODY_AT or not block.startswith(_RECORD_MAGIC):
        return None
    _, found, size, _, _, _ = _RECORD.unpack(block[:_RECORD.size])
    return whole_blocks(BODY_AT + size) if found == sequence and size <= PAYLOAD_MAX_BYTES else None


def read_record(head: Head, offset: int, data: bytes) -> Record | None:
    """`data`: the whole blocks from `offset` that `record_head` told of. None: no valid record."""
    fields = data[:_RECORD.size]
    _, _, size, count, first, term = _RECORD.unpack(fields)
    payload = data[BODY_AT:BODY_AT + size]
    if len(payload) < size or _digest(head, offset, fields, payload) != data[_RECORD.size:BODY_AT]:
        return None
    return Record(Index(first), count, Term(term), whole_blocks(BODY_AT + size), payload)


def _digest(head: Head, offset: int, fields: bytes, payload: bytes) -> bytes:
    digest = hashlib.blake2b(fields, digest_size=DIGEST_BYTES, key=head.salt)
    digest.update(offset.to_bytes(8))
    digest.update(payload)
    return digest.digest()
