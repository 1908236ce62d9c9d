"""Keys of any length over LMDB's 511 bytes, in order, without collisions.

A key of at most CHUNK_BYTES stands in the database as it is. A longer one is cut there: its first CHUNK_BYTES and one byte 0xff, which no
UTF-8 text holds, name an entry whose value is the number of a *node*; what follows stands in the database of rests, below that number,
cut again where it is too long. So keys that share their first CHUNK_BYTES share a node, one entry stands for one key, and walking the
entries in order, going into each node where it stands, gives the keys in order: no key is longer than CHUNK_BYTES in its place, so
nothing but a node's own keys can come between its prefix and its entry.

Invariants: (1) the order of entries is the order of keys; (2) a node that is named has at least one key, and one that has none is not
named; (3) a number is never used again.
"""
from collections.abc import Iterator
from typing import TypeAlias

import lmdb

Transaction: TypeAlias = "lmdb.Transaction[bytes]"
Database: TypeAlias = "lmdb._Database"
CHUNK_BYTES = 500                                        # with a node's number and the mark it stays below LMDB's limit of 511 bytes
MARK = b"\xff"
NODE_BYTES = 8
NEXT_NODE = b"next-node"


class Databases:
    """The three databases that long keys live in: `data` also holds the short ones, `meta` the next node's number."""

    __slots__ = ("data", "meta", "rests")

    def __init__(self, data: Database, rests: Database, meta: Database) -> None:
        self.data, self.rests, self.meta = data, rests, meta

    def of(self, node: bytes) -> Database:
        """Where entries below a node stand; b"": where keys begin."""
        return self.rests if node else self.data


def get(txn: Transaction, dbs: Databases, key: bytes) -> bytes | None:
    """The value of a key of more than CHUNK_BYTES."""
    node = b""
    while len(key) > CHUNK_BYTES:
        below = txn.get(node + key[:CHUNK_BYTES] + MARK, db=dbs.of(node))
        if below is None:
            return None
        node, key = below, key[CHUNK_BYTES:]
    return txn.get(node + key, db=dbs.of(node))


def put(txn: Transaction, dbs: Databases, key: bytes, value: bytes) -> None:
    """Stores a value under a key of more than CHUNK_BYTES."""
    node = b""
    while len(key) > CHUNK_BYTES:
        name, db = node + key[:CHUNK_BYTES] + MARK, dbs.of(node)
        below = txn.get(name, db=db)
        if below is None:
            below = _new_node(txn, dbs)
            txn.put(name, below, db=db)
        node, key = below, key[CHUNK_BYTES:]
    txn.put(node + key, value, db=dbs.of(node))


def delete(txn: Transaction, dbs: Databases, key: bytes) -> None:
    """Removes a key of more than CHUNK_BYTES, and the nodes that are empty then."""
    node, above = b"", []
    while len(key) > CHUNK_BYTES:
        name, db = node + key[:CHUNK_BYTES] + MARK, dbs.of(node)
        below = txn.get(name, db=db)
        if below is None:
            return
        above.append((name, db))
        node, key = below, key[CHUNK_BYTES:]
    txn.delete(node + key, db=dbs.of(node))
    while above and not _has_keys(txn, dbs, node):
        name, db = above.pop()
        txn.delete(name, db=db)
        node = name[:NODE_BYTES] if above else b""


def walk(txn: Transaction, dbs: Databases, start: bytes, prefix: bytes, *, node: bytes = b"",
         path: bytes = b"") -> Iterator[bytes]:
    """Keys from `start` on, in order, until one does not begin with `prefix`. `start` and `prefix` are of whole keys; `path` is what
    stands before `node`, whose keys are walked."""
    low = start[len(path):] if start > path else b""
    with txn.cursor(db=dbs.of(node)) as cursor:
        if not cursor.set_range(node + low[:CHUNK_BYTES] + (MARK if len(low) > CHUNK_BYTES else b"")):
            return                                       # a cursor that stands nowhere would begin with the first entry
        for name in cursor.iternext(values=False):
            if not name.startswith(node):
                return
            if name.endswith(MARK):
                key = path + name[len(node):-1]
                if not (key.startswith(prefix) or prefix.startswith(key)):
                    return
                yield from walk(txn, dbs, start if start.startswith(key) else b"", prefix, node=cursor.value(), path=key)
            else:
                key = path + name[len(node):]
                if not key.startswith(prefix):
                    return
                yield key


def _new_node(txn: Transaction, dbs: Databases) -> bytes:
    node = txn.get(NEXT_NODE, (1).to_bytes(NODE_BYTES), db=dbs.meta)
    txn.put(NEXT_NODE, (int.from_bytes(node) + 1).to_bytes(NODE_BYTES), db=dbs.meta)
    return node


def _has_keys(txn: Transaction, dbs: Databases, node: bytes) -> bool:
    with txn.cursor(db=dbs.rests) as cursor:
        return cursor.set_range(node) and cursor.key().startswith(node)
