"""A large file that is written from its beginning to its end, beside a log that must not wait for it.

Invariants: (1) little of it is not on the disk yet: an append to the log, on the same disk, never waits for the rest; (2) nothing is
written once it is closed, whatever a thread is still about to do for somebody who has given up: its descriptor may be another file's by
then.
"""
import errno
import threading
from pathlib import Path

from holdfast.limits import SNAPSHOT_UNSYNCED_BYTES
from holdfast.storage.disk import Disk


class Growing:
    """Every verb raises OSError."""

    def __init__(self, disk: Disk, path: Path) -> None:
        self._file = disk.open(path, create=True)
        self._using = threading.Lock()
        self._is_open = True
        self.size = 0

    def write(self, chunk: bytes) -> None:
        with self._using:
            if not self._is_open:
                raise OSError(errno.EBADF, "the file is closed")
            before, after = self.size, self.size + len(chunk)
            self._file.write_at(chunk, before)
            if after // SNAPSHOT_UNSYNCED_BYTES > before // SNAPSHOT_UNSYNCED_BYTES:
                self._file.sync()
            self.size = after

    def sync(self) -> None:
        """All of it is durable; its name is not."""
        with self._using:
            self._file.sync()

    def close(self) -> None:
        """Waits for what is being written. Twice is once."""
        with self._using:
            if self._is_open:
                self._is_open = False
                self._file.close()
