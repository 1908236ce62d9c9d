"""States that come over the network, on their way to become this node's checkpoint. Synchronous, a chunk at a time.

Invariant: a state is only handed on once all of it is durable here and is what its header says.
"""
import hashlib

from holdfast.errors import IntegrityError
from holdfast.storage.checkpoint import COPY_PREFIX, DIGEST_BYTES
from holdfast.storage.raft.disk import RaftDisk, Staged
from holdfast.storage.raft.transport import StateHeader


class Staging:
    """One state coming in. Raises OSError."""

    def __init__(self, disk: RaftDisk, header: StateHeader) -> None:
        self._disk, self._header = disk.disk, header
        self._path = disk.folder / f"{COPY_PREFIX}incoming-{disk.next_serial()}"
        if self._disk.exists(self._path):
            self._disk.remove(self._path)
        self._file = self._disk.open(self._path, create=True)
        self._digest, self._size = hashlib.blake2b(digest_size=DIGEST_BYTES), 0

    def write(self, chunk: bytes) -> None:
        """Raises IntegrityError: longer than its header says."""
        if self._size + len(chunk) > self._header.size:
            raise IntegrityError(f"a state is longer than the {self._header.size} bytes announced")
        self._file.write_at(chunk, self._size)
        self._digest.update(chunk)
        self._size += len(chunk)

    def finish(self) -> Staged:
        """Durable and whole. Raises IntegrityError."""
        if self._size != self._header.size or self._digest.hexdigest() != self._header.digest:
            raise IntegrityError("a state is not what its header says")
        self._file.sync()
        self._file.close()
        return Staged(index=self._header.index, generation=self._header.generation, file=self._path.name, size=self._size,
                      digest=self._header.digest, base=self._header.base)

    def discard(self) -> None:
        """It is not wanted, or did not come to its end."""
        self._file.close()
        if self._disk.exists(self._path):
            self._disk.remove(self._path)
