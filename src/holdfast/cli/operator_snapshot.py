"""`operator raft snapshot …`: the state of a cluster as a file, fetched, put back and looked at."""
from __future__ import annotations

import os
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from holdfast.cli.command import Command, Session, options
from holdfast.cli.errors import API, USAGE, ExchangeError, Explained, Failure
from holdfast.cli.flags import Flag, Kind
from holdfast.cli.json_text import Record
from holdfast.cli.layout import table
from holdfast.cli.output import output_data

if TYPE_CHECKING:
    from holdfast.storage.raft.archive import Meta

SEALED_SUMS = "SHA256SUMS.sealed"
_PATH = "sys/storage/raft/snapshot"


class _File:
    """A file that appears with its first byte; readable by its owner alone."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file: BinaryIO | None = None

    def begin(self) -> None:
        if self._file is not None:
            self._file.seek(0)
            self._file.truncate()

    def write(self, piece: bytes) -> None:
        if self._file is None:
            self._file = os.fdopen(os.open(self._path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb")
        self._file.write(piece)

    def close(self) -> None:
        """On the disk. Raises OSError."""
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()


def _save(session: Session) -> int:
    path = _one_file(session, "Output file name is required")
    client = session.client()
    file = _File(path)
    with Explained("Error taking the snapshot"):
        try:
            client.download(_PATH, file)
            file.close()
            _check_complete(path)
        except OSError as error:
            raise ExchangeError(f"{path}: {error.strerror or error}") from error
    return 0


def _check_complete(path: str) -> None:
    """The last member is there, and not empty: whatever server made it. Raises ExchangeError."""
    try:
        with tarfile.open(path, mode="r|gz") as archive:
            if any(member.name == SEALED_SUMS and member.size > 0 for member in archive):
                return
    except (tarfile.TarError, EOFError) as error:
        raise ExchangeError(f"incomplete snapshot: {error}") from error
    raise ExchangeError(f"incomplete snapshot: it has no {SEALED_SUMS}")


def _restore(session: Session) -> int:
    path = _one_file(session, "Snapshot file name is required")
    client = session.client()
    try:
        with Path(path).open("rb") as file, Explained("Error installing the snapshot"):
            client.upload(f"{_PATH}-force" if session.flags.switch("force") else _PATH, file)
    except OSError as error:
        raise Failure(f"Error opening the snapshot: {path}: {error.strerror}", API) from error
    return 0


def _inspect(session: Session) -> int:
    path = _one_file(session, "Snapshot file name is required")
    meta = _read(path)
    servers = ", ".join(server.id for server in meta.configuration.servers)
    if session.ui.is_table:
        rows = (
            ("ID", meta.id), ("Size", str(meta.size)), ("Index", str(meta.index)), ("Term", str(meta.term)), ("Version", str(meta.version)),
            ("WAL Index", str(meta.wal_index)), ("Cluster ID", meta.cluster), ("Servers", servers),
        )
        session.ui.output(table(("Key", "Value"), rows))
        return 0
    return output_data(session.ui, Record(
        ID=meta.id, Size=meta.size, Index=meta.index, Term=meta.term, Version=meta.version, WALIndex=meta.wal_index, ClusterID=meta.cluster,
        Servers=[server.id for server in meta.configuration.servers]))


def _read(path: str) -> Meta:
    """What a whole snapshot says of itself; all but its seal is checked. Raises Failure."""
    import asyncio
    from collections.abc import AsyncIterator

    from holdfast.errors import BadRequest
    from holdfast.limits import SNAPSHOT_CHUNK_BYTES
    from holdfast.storage.raft import archive

    async def chunks(file: BinaryIO) -> AsyncIterator[bytes]:
        while piece := file.read(SNAPSHOT_CHUNK_BYTES):
            yield piece

    async def drop(piece: bytes) -> None:
        return

    try:
        with Path(path).open("rb") as file:
            return asyncio.run(archive.unpack(chunks(file), drop, None, size_max=sys.maxsize))
    except OSError as error:
        raise Failure(f"Error opening the snapshot: {path}: {error.strerror}", API) from error
    except BadRequest as error:
        raise Failure(f"Error reading the snapshot: {error}", API) from error


def _one_file(session: Session, missing: str) -> str:
    if len(session.args) != 1:
        raise Failure(f"Incorrect arguments (expected 1, got {len(session.args)})", USAGE)
    path = session.args[0].strip()
    if not path:
        raise Failure(missing, USAGE)
    return path


COMMANDS = (
    Command(
        name="operator raft snapshot",
        synopsis="Restores and saves snapshots from the Raft cluster",
        usage="<subcommand> [options] [args]",
        text="The state of a cluster with integrated storage, as a file.",
        examples=(("Save:", "holdfast operator raft snapshot save today.snap"),),
    ),
    Command(
        name="operator raft snapshot save",
        synopsis="Saves the state of the cluster into a file",
        usage="[options] FILE",
        text="Writes the newest state of the cluster into a file that its owner alone can read. What is in it is as encrypted as in the "
        "storage: it takes the cluster's key shares, or the key of its seal, to use it.",
        examples=(("Save:", "holdfast operator raft snapshot save today.snap"),),
        options=options(),
        run=_save,
    ),
    Command(
        name="operator raft snapshot restore",
        synopsis="Returns the cluster to the state of a snapshot",
        usage="[options] FILE",
        text="Puts the state of a snapshot in the place of all that is there.",
        examples=(("Restore:", "holdfast operator raft snapshot restore today.snap"),),
        options=options(
            Flag(name="force", kind=Kind.SWITCH, text="Do not ask whether the snapshot was sealed by this cluster's seal."),
        ),
        run=_restore,
    ),
    Command(
        name="operator raft snapshot inspect",
        synopsis="Inspects a raft snapshot",
        usage="[options] FILE",
        text="Checks that a snapshot is whole and prints what it is of; no server is asked.",
        examples=(("Look:", "holdfast operator raft snapshot inspect today.snap"),),
        options=options(),
        run=_inspect,
    ),
)
