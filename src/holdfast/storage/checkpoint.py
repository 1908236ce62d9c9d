"""A durable copy of the replica's state, from which a node starts whose own replica cannot be trusted.

The copy is one file; a second, small one names it, with its index, size and digest, and is replaced as a whole. Only once that one is
durable is the log before it let go.

Invariants: (1) at every instant the checkpoint named is whole and durable, or there is none; (2) what is read back is what was written, or
IntegrityError is raised before anybody uses it.
"""
import hashlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec

from holdfast.errors import IntegrityError
from holdfast.ids import Index
from holdfast.limits import SNAPSHOT_CHUNK_BYTES
from holdfast.storage.batch import UNREADABLE
from holdfast.storage.disk import Disk
from holdfast.storage.growing import Growing
from holdfast.storage.log import StateCopy

NAME, NEW, COPY_PREFIX = "checkpoint", "checkpoint.new", "state-"
FORMAT = 1
DIGEST_BYTES = 32


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the small file says. `sequence`: of the log's segment that holds batch `index`. `note`: what else the log wants to know."""

    format: int
    index: Index
    generation: int
    sequence: int
    file: str
    size: int
    digest: str
    note: str = ""


class Copying:
    """A copy on its way into a new file. Raises OSError."""

    def __init__(self, disk: Disk, path: Path) -> None:
        self._disk, self._path, self._file = disk, path, Growing(disk, path)
        self._digest = hashlib.blake2b(digest_size=DIGEST_BYTES)

    @property
    def size(self) -> int:
        return self._file.size

    def write(self, chunk: bytes) -> None:
        self._file.write(chunk)
        self._digest.update(chunk)

    def finish(self) -> str:
        """The digest. The file is durable, its name is not."""
        self._file.sync()
        self._file.close()
        return self._digest.hexdigest()

    def discard(self) -> None:
        """Gives its space back; also after `finish`."""
        self._file.close()
        if self._disk.exists(self._path):
            self._disk.remove(self._path)


_decode = msgspec.json.Decoder(Checkpoint).decode


def load(disk: Disk, folder: Path) -> Checkpoint | None:
    """The checkpoint; None: there is none. Raises IntegrityError. Removes what an interrupted one left."""
    found: Checkpoint | None = None
    if disk.exists(folder / NAME):
        file = disk.open(folder / NAME)
        text = file.read_at(file.size(), 0)
        file.close()
        digest, _, body = text.partition(b"\n")
        try:
            if _digest(body) != digest:
                raise IntegrityError(f"{folder / NAME}: its digest does not match")
            found = _decode(body)
        except UNREADABLE as error:
            raise IntegrityError(f"{folder / NAME}: {error}") from error
        if found.format != FORMAT:
            raise IntegrityError(f"{folder / NAME} is of format {found.format}: this program knows {FORMAT}")
    disk.sync_folder(folder)                             # the one found may have its name only since the process died that gave it
    _remove_others(disk, folder, found)
    return found


def save(disk: Disk, folder: Path, copy: StateCopy, *, sequence: int, note: str = "") -> Checkpoint:
    """Takes the copy to its end and makes it the checkpoint. Raises OSError, or what taking it raises: then the old one stays. The
    copy is of another state than the old one."""
    path = folder / f"{COPY_PREFIX}{copy.generation:08x}-{copy.index:016x}"
    if disk.exists(path):
        disk.remove(path)
    with closing(copy.chunks) as chunks:                 # while they are open the replica grows with each write, on a disk that is full
        copying = Copying(disk, path)
        try:
            for chunk in chunks:
                copying.write(chunk)
            digest = copying.finish()
        except BaseException:
            copying.discard()                            # or it would keep what little space there was
            raise
    made = Checkpoint(format=FORMAT, index=copy.index, generation=copy.generation, sequence=sequence, file=path.name,
                      size=copying.size, digest=digest, note=note)
    adopt(disk, folder, made)
    return made


def adopt(disk: Disk, folder: Path, made: Checkpoint) -> None:
    """Makes it the checkpoint: its file is there, whole and synced. Raises OSError: then the old one stays."""
    _name(disk, folder, made)
    _remove_others(disk, folder, made)


def chunks(disk: Disk, folder: Path, checkpoint: Checkpoint) -> Iterator[bytes]:
    """The copy. Raises IntegrityError at its end if it is not what was written; OSError if a newer one has taken its place."""
    digest, size = hashlib.blake2b(digest_size=DIGEST_BYTES), 0
    file = disk.open(folder / checkpoint.file)
    try:
        while chunk := file.read_at(SNAPSHOT_CHUNK_BYTES, size):
            digest.update(chunk)
            size += len(chunk)
            yield chunk
    finally:
        file.close()
    if size != checkpoint.size or digest.hexdigest() != checkpoint.digest:
        raise IntegrityError(f"{folder / checkpoint.file}: the checkpoint is damaged")


def _name(disk: Disk, folder: Path, made: Checkpoint) -> None:
    disk.sync_folder(folder)                             # the copy has its name before anything names it
    if disk.exists(folder / NEW):
        disk.remove(folder / NEW)
    body = msgspec.json.encode(made)
    file = disk.open(folder / NEW, create=True)
    try:
        file.write_at(_digest(body) + b"\n" + body, 0)
        file.sync()
    finally:
        file.close()
    disk.rename(folder / NEW, folder / NAME)
    disk.sync_folder(folder)


def _remove_others(disk: Disk, folder: Path, kept: Checkpoint | None) -> None:
    for name in disk.names(folder):
        if name == NEW or (name.startswith(COPY_PREFIX) and (kept is None or name != kept.file)):
            disk.remove(folder / name)


def _digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=DIGEST_BYTES).hexdigest().encode()
