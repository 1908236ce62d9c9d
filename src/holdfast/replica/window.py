"""Which names recent batches changed: what every cache is checked against.

Batches that are applied together share a row, under the number of the first of them: most of the folders that they name are the same ones.

Invariants: (1) it holds the names of an unbroken run of batches that ends with the last one applied; (2) at most WINDOW_BATCHES of them and
about WINDOW_BYTES_MAX; what is older counts as unknown, never as unchanged; (3) who asks about a part of a row is told of all of it.
"""
import zlib
from collections.abc import Collection, Sequence, Set

import msgspec

from holdfast.ids import Index
from holdfast.limits import WINDOW_BATCHES, WINDOW_BYTES_MAX, WINDOW_ROW_BATCHES
from holdfast.replica.long_keys import Database, Transaction
from holdfast.replica.reader import with_folders
from holdfast.storage import WriteBatch

SIZE = b"window"                                         # in `meta`: the bytes held, 8 B
NUMBER_BYTES = 8
PACKED_FROM_BYTES = 16_384                               # shorter lists of names are kept as they are: read and written the fastest
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
    size, last = int.from_bytes(txn.get(SIZE, b"", db=meta)), batches[-1].index
    with txn.cursor(db=window) as cursor:
        for at in range(0, len(batches), WINDOW_ROW_BATCHES):
            row = pack(frozenset().union(*[with_folders(batch.changes) for batch in batches[at:at + WINDOW_ROW_BATCHES]]))
            cursor.put(_name(batches[at].index), row, append=True)
            size += len(row)
        while cursor.first() and (size > WINDOW_BYTES_MAX or last - int.from_bytes(cursor.key()) >= WINDOW_BATCHES):
            size -= len(cursor.value())
            cursor.delete()
    txn.put(SIZE, _name(size), db=meta)


def forget(txn: Transaction, window: Database, meta: Database) -> None:
    """What changed is not known any more."""
    txn.drop(window, delete=False)
    txn.delete(SIZE, db=meta)


def changed(txn: Transaction, window: Database, after: Index, through: Index) -> Set[str] | None:
    """Names changed by the batches in (after, through], the last one applied, or shortly before them; None: not all of them are held."""
    if after >= through:
        return frozenset()
    if through - after > WINDOW_BATCHES:
        return None
    names: set[str] = set()
    with txn.cursor(db=window) as cursor:
        # The row that holds the first of them is the one before those that begin after it.
        if not (cursor.prev() if cursor.set_range(_name(after + 2)) else cursor.last()):
            return None
        for row in cursor.iternext(keys=False):
            names.update(unpack(row))
    return names


def _name(number: int) -> bytes:
    return number.to_bytes(NUMBER_BYTES)
