"""States that come in a chunk at a time, on their way to become this node's checkpoint. Synchronous, bounded memory.

Invariants: (1) a state is only handed on once all of it is durable here and, where somebody said what it is, is that; (2) its file is
nobody else's: the checkpoint's may have such a name, since an earlier process, and a checkpoint that is made meanwhile leaves it alone.
"""
from holdfast.errors import IntegrityError
from holdfast.ids import Index
from holdfast.storage.checkpoint import Copying
from holdfast.storage.raft.disk import RaftDisk, Staged


class Staging:
    """One state coming in. Raises OSError."""

    def __init__(self, disk: RaftDisk) -> None:
        self._path = disk.incoming_path()
        self._copying = Copying(disk.disk, self._path)

    def write(self, chunk: bytes, size_max: int) -> None:
        """Raises IntegrityError: longer than `size_max` in all."""
        if self._copying.size + len(chunk) > size_max:
            raise IntegrityError(f"a state is longer than the {size_max} bytes announced")
        self._copying.write(chunk)

    def finish(self, index: Index, generation: int, base: str = "") -> Staged:
        """Durable. What it is said to be, the caller compares."""
        digest = self._copying.finish()
        return Staged(index=index, generation=generation, file=self._path.name, size=self._copying.size, digest=digest, base=base)

    def discard(self) -> None:
        """It did not come to its end, or is not wanted."""
        self._copying.discard()
