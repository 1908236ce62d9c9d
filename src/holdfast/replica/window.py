"""Which names recent batches changed: what every cache is checked against.

Invariants: (1) it holds the names of an unbroken run of batches that ends with the last one applied; (2) at most WINDOW_BATCHES of them and
about WINDOW_BYTES_MAX; what is older counts as unknown, never as unchanged.
"""
import zlib
from collections.abc import Collection, Sequence, Set

import msgspec

from holdfast.ids import Index
from holdfast.limits import WINDOW_BATCHES, WINDOW_BYTES_MAX
from holdfast.replica.long_keys import Database, Transaction
from holdfast.replica.reader import with_folders
from holdfast.storage import WriteBatch

EXTENT = b"window"                                       # in `meta`: the first batch held, 8 B, and the bytes held, 8 B
NUMBER_BYTES = 8
PACKED_FROM_BYTES = 4_096                                # shorter lists of names are kept as they are: read the fastest
_PACKED = 0x78                                           # how zlib begins; no msgpack array does
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[str]).decode


def pack(names: Collection[str]) -> bytes:
    """Names as they are kept: msgpack, a long list of them deflated (a job's 1,000 keys differ little from each other)."""
    text = _encode(names)
    return text if len(text) < PACKED_FROM_BYTES else zlib.compress(text, 1)


def unpack(packed: bytes) -> list[str]:
    return _decode(zlib.decompress(packed) if packed[0] == _PACKED else packed)


def note(txn: Transaction, window: Database, meta: Database, batches: Sequence[WriteBatch]) -> None:
    """Adds what these batches change, and forgets the oldest past the bounds."""
    extent = txn.get(EXTENT, db=meta)
    first, size = int(batches[0].index), 0
    if extent is not None:
        first, size = int.from_bytes(extent[:NUMBER_BYTES]), int.from_bytes(extent[NUMBER_BYTES:])
    rows = [(batch.index.to_bytes(NUMBER_BYTES), pack(with_folders(batch.changes))) for batch in batches]
    with txn.cursor(db=window) as cursor:
        cursor.putmulti(rows, append=True)
        size += sum(len(row) for _, row in rows)
        last = batches[-1].index
        while last - first >= WINDOW_BATCHES or (size > WINDOW_BYTES_MAX and first <= last):
            cursor.first()
            size -= len(cursor.value())
            cursor.delete()
            first += 1
    txn.put(EXTENT, first.to_bytes(NUMBER_BYTES) + size.to_bytes(NUMBER_BYTES), db=meta)


def changed(txn: Transaction, window: Database, after: Index, through: Index) -> Set[str] | None:
    """Names changed by the batches in (after, through], the last one applied; None: not all of them are held."""
    if after >= through:
        return frozenset()
    if through - after > WINDOW_BATCHES:
        return None
    names: set[str] = set()
    with txn.cursor(db=window) as cursor:
        first = (after + 1).to_bytes(NUMBER_BYTES)
        if not cursor.set_range(first) or cursor.key() != first:
            return None
        for row in cursor.iternext(keys=False):
            names.update(unpack(row))
    return names
