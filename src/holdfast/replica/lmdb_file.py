"""One LMDB environment in one file, as one process has it open.

A state that comes in whole is a file of its own, so the newest state may be in another file than the one that is open: the old one's last
transaction names it. Readers notice as they notice any new state, by the transaction's number, and pay nothing before.
"""
import ctypes
import os
from collections.abc import Callable
from pathlib import Path

import lmdb
import msgspec

from holdfast.errors import UnavailableError
from holdfast.ids import Index, Millis
from holdfast.limits import REPLICA_MAP_BYTES, REPLICA_READERS_MAX
from holdfast.replica.long_keys import Databases, Transaction

STATE = b"state"                                         # in `meta`: a packed `State`, and the name of the file that took this one's place
STATE_BYTES = 24
DATABASES = (b"data", b"rests", b"meta", b"window")

_libc = ctypes.CDLL(None, use_errno=True)


class State(msgspec.Struct, frozen=True):
    """Where a replica stands. `generation` grows with each restore."""

    index: Index
    time_ms: Millis
    generation: int


NOTHING = State(Index(0), Millis(0), 0)


def read_state(packed: bytes | None) -> State:
    if packed is None:
        return NOTHING
    return State(Index(int.from_bytes(packed[:8])), Millis(int.from_bytes(packed[8:16])), int.from_bytes(packed[16:STATE_BYTES]))


def pack_state(state: State) -> bytes:
    return state.index.to_bytes(8) + state.time_ms.to_bytes(8) + state.generation.to_bytes(8)


class Environment:
    """Raises UnavailableError: it cannot be opened; read-only, also where it is not there."""

    __slots__ = ("begin", "data", "dbs", "env", "path", "seen", "window")
    begin: Callable[..., Transaction]

    def __init__(self, path: Path, *, writable: bool) -> None:
        self.path = path
        try:
            # Memory that is not wiped (`meminit`) would carry secrets from the heap to the disk; a writable map, errors of ours.
            self.env = lmdb.open(str(path), subdir=False, max_dbs=8, readonly=not writable, map_size=REPLICA_MAP_BYTES, mode=0o600,
                                 sync=False, metasync=False, writemap=False, meminit=True, max_readers=REPLICA_READERS_MAX,
                                 max_spare_txns=4, lib_version=0)
        except lmdb.Error as error:
            raise UnavailableError(f"the replica cannot be opened: {error}") from error
        try:
            unlock_map(path)
            self.data, rests, meta, self.window = (self.env.open_db(name, create=writable) for name in DATABASES)
        except lmdb.Error as error:
            self.env.close()                             # who tries again may open the same file
            raise UnavailableError(f"the replica cannot be read: {error}") from error
        self.dbs = Databases(self.data, rests, meta)
        self.begin = self.env.begin
        self.seen = -1, Index(0)                         # a transaction's id and the index of its state

    def look(self, txn: Transaction) -> State | None:
        """What `txn` reads; None: the state is in another file."""
        packed = txn.get(STATE, db=self.dbs.meta)
        if packed is not None and len(packed) > STATE_BYTES:
            return None
        state = read_state(packed)
        self.seen = txn.id(), state.index                # as one: another thread may look at the same time
        return state

    def successor(self) -> str:
        """The name of the file that has taken this one's place; "": none has."""
        with self.begin(self.data) as txn:
            return (txn.get(STATE, db=self.dbs.meta) or b"")[STATE_BYTES:].decode()

    def name_successor(self, name: str) -> None:
        """From now on readers go there; "": they stay here after all. Raises lmdb.Error: nothing has changed."""
        with self.env.begin(write=True) as txn:
            state = read_state(txn.get(STATE, db=self.dbs.meta))
            txn.put(STATE, pack_state(state) + name.encode(), db=self.dbs.meta)


def unlock_map(path: Path) -> None:
    """Leaves a file's maps out of the locking of memory: they hold ciphertext alone, and may be larger than memory. Raises OSError."""
    for start, size in maps_of(path):
        if _libc.munlock(ctypes.c_void_p(start), ctypes.c_size_t(size)) != 0:
            raise OSError(ctypes.get_errno(), f"cannot unlock the map of {path}")


def maps_of(path: str | Path) -> list[tuple[int, int]]:
    """Where a file is mapped in this process: start and size of each part."""
    path, found = os.path.realpath(path), []
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as maps:
        for line in maps:
            fields = line.rstrip("\n").split(maxsplit=5)
            if len(fields) == 6 and fields[5] == path:
                start, end = (int(address, 16) for address in fields[0].split("-"))
                found.append((start, end - start))
    return found
