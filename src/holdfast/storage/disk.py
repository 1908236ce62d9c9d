"""The disk, as the log needs it: so few verbs that a fake can lose exactly what a real one may.

What a loss of power may undo: every write since the file's last `sync`, page by page and in any combination, the last one torn; every
name made, moved or removed since the folder's last `sync_folder`. What a failed `sync` leaves is unknown, and a later one that succeeds
says nothing about it. The death of the process undoes nothing that was written.
"""
import errno
import fcntl
import os
from pathlib import Path
from typing import Protocol

from holdfast.errors import UnavailableError

BLOCK_BYTES = 4_096
"""What the log aligns its records to: a page, so that no write touches a page that holds what was acknowledged."""


class File(Protocol):
    def write_at(self, data: bytes, offset: int) -> None:
        """Writes all of it, or raises OSError: then any part of it may have been written."""

    def read_at(self, size: int, offset: int) -> bytes:
        """Fewer bytes only at the end of the file."""

    def write_durably(self, data: bytes, offset: int) -> None:
        """`write_at`, and `sync` for what it wrote. Raises OSError as either does: then any part of it may be durable, or none."""

    def sync(self) -> None:
        """Durable when it returns: what was written, and the file's size."""

    def size(self) -> int: ...

    def close(self) -> None: ...


class Lock(Protocol):
    def close(self) -> None:
        """Gives the lock up; so does the end of the process."""


class Disk(Protocol):
    def open(self, path: Path, *, create: bool = False) -> File:
        """For reading and writing. `create`: the file must not exist yet. Raises OSError."""

    def exists(self, path: Path) -> bool: ...

    def names(self, folder: Path) -> list[str]:
        """Sorted."""

    def make_folder(self, path: Path) -> None:
        """With those above it, durably; one that exists is left as it is."""

    def rename(self, old: Path, new: Path) -> None:
        """Replaces `new`. Durable after `sync_folder`, as is `remove`."""

    def remove(self, path: Path) -> None: ...

    def sync_folder(self, folder: Path) -> None: ...

    def lock(self, path: Path) -> Lock:
        """Raises UnavailableError: another process holds it."""

    def free_bytes(self, folder: Path) -> int:
        """What this process may still use up."""


def boot_id() -> str:
    """Names this boot of the machine; another one means that unsynced data were lost. Unknown: a name that never comes again."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "unknown-" + os.urandom(16).hex()


class OsFile:
    """A file by its descriptor. Every call releases the interpreter."""

    def __init__(self, path: Path, flags: int) -> None:
        self._fd = os.open(path, flags | os.O_RDWR | os.O_CLOEXEC, 0o600)

    def write_at(self, data: bytes, offset: int) -> None:
        self._write(data, offset, 0)

    def write_durably(self, data: bytes, offset: int) -> None:
        # One call: between two, this thread would wait for the interpreter, and the disk for this thread.
        self._write(data, offset, os.RWF_DSYNC)

    def _write(self, data: bytes, offset: int, flags: int) -> None:
        written = os.pwritev(self._fd, (data,), offset, flags)
        while written < len(data):                       # a signal, or the last bytes of a full disk: then the next one raises
            more = os.pwritev(self._fd, (data[written:],), offset + written, flags)
            if more == 0:
                raise OSError(errno.EIO, "a write made no progress")
            written += more

    def read_at(self, size: int, offset: int) -> bytes:
        data = os.pread(self._fd, size, offset)
        while 0 < len(data) < size:
            more = os.pread(self._fd, size - len(data), offset + len(data))
            if not more:
                break
            data += more
        return data

    def sync(self) -> None:
        os.fdatasync(self._fd)

    def size(self) -> int:
        return os.fstat(self._fd).st_size

    def close(self) -> None:
        os.close(self._fd)


class OsLock:
    """An flock on a file that stays."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._fd)
            raise UnavailableError(f"the storage folder {path.parent} is in use by another process") from error

    def close(self) -> None:
        os.close(self._fd)


class OsDisk:
    """The machine's own."""

    def open(self, path: Path, *, create: bool = False) -> File:
        return OsFile(path, os.O_CREAT | os.O_EXCL if create else 0)

    def exists(self, path: Path) -> bool:
        return path.exists()

    def names(self, folder: Path) -> list[str]:
        return sorted(os.listdir(folder))

    def make_folder(self, path: Path) -> None:
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
        for folder in reversed(missing):
            folder.mkdir(mode=0o700)
            self.sync_folder(folder.parent)

    def rename(self, old: Path, new: Path) -> None:
        os.replace(old, new)

    def remove(self, path: Path) -> None:
        os.unlink(path)

    def sync_folder(self, folder: Path) -> None:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def lock(self, path: Path) -> Lock:
        return OsLock(path)

    def free_bytes(self, folder: Path) -> int:
        found = os.statvfs(folder)
        return found.f_bavail * found.f_frsize
