"""A replica in memory: every state it was ever in can still be read, unless it is told to forget. And a barrier that leaves values
readable."""
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Mapping, Sequence, Set

import msgspec

from holdfast.errors import IntegrityError, InvariantError
from holdfast.ids import Index, Millis
from holdfast.replica import with_folders
from holdfast.replica.lmdb_file import State
from holdfast.storage import Snapshot, StateCopy, WriteBatch

CHUNK_BYTES = 1_000                                      # small, so that a test's copies have several


class PlainBarrier:
    """Encrypts nothing, but knows a value that stands under another key's name."""

    def encrypt(self, key: str, value: bytes, *, nonce: bytes) -> bytes:
        return key.encode() + b"\0" + value

    def decrypt(self, key: str, sealed: bytes) -> bytes:
        name, _, value = sealed.partition(b"\0")
        if name != key.encode():
            raise IntegrityError(f"{key}: authentication failed")
        return value


class StateData(msgspec.Struct, frozen=True, array_like=True):
    """What a copy holds."""

    index: Index
    time_ms: Millis
    values: dict[str, bytes]

    @classmethod
    def read(cls, data: bytes) -> "StateData":
        return msgspec.msgpack.decode(data, type=cls)


def copy_of(state: StateData, generation: int, chunk_bytes: int = CHUNK_BYTES) -> StateCopy:
    data = msgspec.msgpack.encode(state)
    chunks = (data[at:at + chunk_bytes] for at in range(0, len(data), chunk_bytes))
    return StateCopy(index=state.index, generation=generation, chunks=chunks)


class MemoryReplica:
    """Keeps each key's versions by batch. `window`: how many batches back `changed_since` knows; `versions`: how many of a key it keeps;
    `chunk_bytes`: how long the pieces of its copies are."""

    def __init__(self, window: int = 1 << 62, versions: int = 1 << 62, chunk_bytes: int = CHUNK_BYTES) -> None:
        self._kept, self._chunk_bytes = versions, chunk_bytes
        self._versions: dict[str, list[tuple[Index, bytes | None]]] = {}
        self._sorted: list[str] = []
        self._names: dict[Index, Set[str]] = {}
        self._window = window
        self.index = Index(0)
        self.time_ms = Millis(0)
        self.generation = 0

    def open(self) -> "MemoryReader":
        return MemoryReader(self, self.index)

    def apply(self, batches: Sequence[WriteBatch]) -> None:
        """Raises InvariantError: a number is left out or comes twice."""
        for batch in batches:
            if batch.index != self.index + 1:
                raise InvariantError(f"batch {batch.index} after batch {self.index}")
            for key, value in batch.changes.items():
                if key not in self._versions:
                    self._versions[key] = []
                    insort(self._sorted, key)
                versions = self._versions[key]
                versions.append((batch.index, value))
                if len(versions) > self._kept:
                    del versions[0]
            self._names[batch.index] = with_folders(batch.changes)
            self._forget(self._names.pop(Index(batch.index - self._window), frozenset()))
            self.index, self.time_ms = batch.index, batch.time_ms

    def _forget(self, names: Set[str]) -> None:
        """Keys that are gone, and were so before the window: whoever lists others need not step over them."""
        for key in names:
            versions = self._versions.get(key)
            if versions is not None and versions[-1][1] is None and key not in self._recent(versions[-1][0]):
                del self._versions[key]
                del self._sorted[bisect_left(self._sorted, key)]

    def _recent(self, index: Index) -> Set[str]:
        """What the batch with that number changed, if it is within the window."""
        return self._names.get(index, frozenset())

    def write(self, changes: Mapping[str, bytes | None], *, time_ms: int = 0) -> Index:
        """Applies the changes as the next batch."""
        self.apply([WriteBatch(index=Index(self.index + 1), time_ms=Millis(time_ms), changes=dict(changes))])
        return self.index

    def seed(self, values: Mapping[str, bytes]) -> Index:
        """Writes plaintext values as the barrier would have them."""
        seals = PlainBarrier()
        return self.write({key: seals.encrypt(key, value, nonce=b"") for key, value in values.items()})

    @property
    def state(self) -> State:
        return State(self.index, self.time_ms, self.generation)

    def values(self) -> dict[str, bytes]:
        """Everything, as it is stored."""
        reader = self.open()
        return {key: value for key in self._sorted if (value := reader.get(key)) is not None}

    def copy(self) -> StateCopy:
        return copy_of(StateData(self.index, self.time_ms, self.values()), self.generation, self._chunk_bytes)

    async def install(self, snapshot: Snapshot) -> None:
        found = StateData.read(b"".join([chunk async for chunk in snapshot.chunks]))
        index, time_ms, values = found.index, found.time_ms, found.values
        if index != snapshot.index:
            raise InvariantError(f"a snapshot of index {snapshot.index} holds index {index}")
        self.clear()
        self._versions = {key: [(index, value)] for key, value in values.items()}
        self._sorted = sorted(values)
        self.index, self.time_ms, self.generation = index, time_ms, snapshot.generation

    def clear(self) -> None:
        """Forgets everything, older states too."""
        self._versions, self._sorted, self._names = {}, [], {}
        self.index, self.time_ms = Index(0), Millis(0)

    def value_at(self, key: str, index: Index) -> bytes | None:
        for number, value in reversed(self._versions.get(key, ())):
            if number <= index:
                return value
        return None

    def keys_from(self, start: str) -> Iterator[str]:
        """Also those of later states: whoever asks looks at each."""
        at = bisect_left(self._sorted, start)
        while at < len(self._sorted):
            key = self._sorted[at]
            yield key
            at += 1
            if at >= len(self._sorted) or self._sorted[at - 1] != key:
                at = bisect_right(self._sorted, key)     # keys have come meanwhile

    def names_between(self, after: Index, through: Index) -> Set[str] | None:
        if through - after > self._window or any(number not in self._names for number in range(after + 1, through + 1)):
            return None
        return frozenset().union(*(self._names[Index(number)] for number in range(after + 1, through + 1)))


class MemoryReader:
    """One state of a MemoryReplica."""

    def __init__(self, replica: MemoryReplica, index: Index) -> None:
        self._replica, self.index = replica, index

    def get(self, key: str) -> bytes | None:
        return self._replica.value_at(key, self.index)

    def keys(self, prefix: str, start: str = "") -> Iterator[str]:
        for key in self._replica.keys_from(max(prefix, start)):
            if not key.startswith(prefix):
                return
            if self._replica.value_at(key, self.index) is not None:
                yield key

    def changed_since(self, index: Index) -> Set[str] | None:
        return self._replica.names_between(index, self.index)

    def close(self) -> None:
        pass
