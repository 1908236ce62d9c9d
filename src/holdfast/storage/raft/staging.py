"""States that come in a chunk at a time, on their way to become this node's checkpoint. Synchronous, bounded memory.

Invariants: (1) a state is only handed on once all of it is durable here and, where somebody said what it is, is that; (2) its file is
nobody else's: the checkpoint's may have such a name, since an earlier process, and a checkpoint that is made meanwhile leaves it alone.
"""
import hashlib

from holdfast.errors import IntegrityError
from holdfast.ids import Index
from holdfast.storage.checkpoint import DIGEST_BYTES
from holdfast.storage.raft.disk import RaftDisk, Staged


class Staging:
    """One state coming in. Raises OSError."""

    def __init__(self, disk: RaftDisk) -> None:
        self._disk = disk.disk
        self._path = disk.incoming_path()
        self._file = self._disk.open(self._path, create=True)
        self._digest, self._size = hashlib.blake2b(digest_size=DIGEST_BYTES), 0

    def write(self, chunk: bytes, size_max: int) -> None:
        """Raises IntegrityError: longer than `size_max` in all."""
        if self._size + len(chunk) > size_max:
            raise IntegrityError(f"a state is longer than the {size_max} bytes announced")
        self._file.write_at(chunk, self._size)
        self._digest.update(chunk)
        self._size += len(chunk)

    def finish(self, index: Index, generation: int, base: str = "") -> Staged:
        """Durable. What it is said to be, the caller compares."""
        self._file.sync()
        self._file.close()
        return Staged(index=index, generation=generation, file=self._path.name, size=self._size, digest=self._digest.hexdigest(), base=base)

    def discard(self) -> None:
        """It did not come to its end, or is not wanted."""
        self._file.close()
        if self._disk.exists(self._path):
            self._disk.remove(self._path)
