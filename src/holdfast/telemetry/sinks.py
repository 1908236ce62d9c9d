"""Where lines go: a descriptor, and a file with rotation.

The file is rotated by one process, the main one; the others notice that the path names another file, and follow. So does everybody when
a program from outside moves the file away.

Invariants:
1. Nothing here raises once it is open, and nothing waits: a line that cannot be written now is lost, and the caller is told.
2. A rotated file keeps its lines; its name ends in the time of the rotation.
"""
from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from holdfast.errors import HoldfastError

DEFAULT_NAME = "vault.log"
FILE_MODE = 0o640


class LogFileError(HoldfastError):
    """The log file cannot be opened; said at start-up, or at a reload."""


class DescriptorSink:
    """An open descriptor, usually stderr. It is not closed here."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, line: bytes) -> bool:
        return _write(self._descriptor, line)

    def close(self) -> None:
        """The descriptor is not ours."""


class FileOptions(msgspec.Struct, frozen=True, kw_only=True):
    """`rotate_bytes` 0: any size. `rotate_after_s` 0: any age. `files_max` 0: all old files are kept; -1: none. `rotates`: here."""

    path: str
    rotate_bytes: int = 0
    rotate_after_s: float = 86_400.0
    files_max: int = 0
    rotates: bool = True


def log_path(path: str) -> Path:
    """A folder's file is `vault.log`; a name without an ending gets `.log`."""
    if path.endswith("/"):
        return Path(path) / DEFAULT_NAME
    found = Path(path)
    return found if found.suffix else found.with_suffix(".log")


class FileSink:
    """A log file. Used with the lock of its `Logs` held."""

    def __init__(self, options: FileOptions, *, clock: Callable[[], float] = time.time) -> None:
        self._options, self._clock, self._path = options, clock, log_path(options.path)
        try:
            self._open()
        except OSError as error:
            raise LogFileError(f"log_file {str(self._path)!r} cannot be opened: {error.strerror}") from error

    def write(self, line: bytes) -> bool:
        try:
            self._follow()
            if self._options.rotates and self._is_due(len(line)):
                self._rotate()
        except OSError:
            return False
        written = _write(self._descriptor, line)
        if written:
            self._size += len(line)
        return written

    def close(self) -> None:
        os.close(self._descriptor)

    def _open(self) -> None:
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        found = os.fstat(self._descriptor)
        self._identity, self._size = (found.st_dev, found.st_ino), found.st_size
        self._opened_s = self._clock()

    def _follow(self) -> None:
        """Opens the path anew if it names another file, or none."""
        with suppress(FileNotFoundError):
            found = os.stat(self._path)
            if (found.st_dev, found.st_ino) == self._identity:
                self._size = found.st_size
                return
        previous = self._descriptor
        self._open()
        os.close(previous)

    def _is_due(self, size: int) -> bool:
        options = self._options
        too_large = options.rotate_bytes > 0 and self._size > 0 and self._size + size > options.rotate_bytes
        return too_large or 0 < options.rotate_after_s <= self._clock() - self._opened_s

    def _rotate(self) -> None:
        stamp = int(self._clock() * 1e9)
        while (target := self._path.with_name(f"{self._path.stem}-{stamp}{self._path.suffix}")).exists():
            stamp += 1
        os.rename(self._path, target)
        self._follow()
        if self._options.files_max:
            keep = max(0, self._options.files_max)
            for old in self._rotated()[: -keep or None]:
                os.unlink(old)

    def _rotated(self) -> list[Path]:
        """The old files, the oldest first."""
        stem, suffix = f"{self._path.stem}-", self._path.suffix
        stamps = {
            int(stamp): each for each in self._path.parent.iterdir()
            if (stamp := each.name.removeprefix(stem).removesuffix(suffix)).isdecimal() and each.name == f"{stem}{stamp}{suffix}"
        }
        return [stamps[stamp] for stamp in sorted(stamps)]


def _write(descriptor: int, line: bytes) -> bool:
    """One call, as long as the system takes a line whole."""
    rest = memoryview(line)
    try:
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    except OSError:
        return False
    return True
