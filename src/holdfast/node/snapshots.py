"""The state of a cluster as a file, out and in again, at the active node.

Invariants: (1) what goes out is one state, read while others write; (2) nothing is changed by what comes in before all of it was checked;
(3) while a state is put back, the lane takes nothing; what had been asked for before is durable first, and gone with the old state.
"""
import asyncio
import shutil
import tempfile
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

from holdfast.crypto import Seal, Secret
from holdfast.engine import Reply, Stream
from holdfast.errors import BadRequest
from holdfast.ids import Index, RequestId
from holdfast.limits import RAFT_STATE_MAX_BYTES, SNAPSHOT_CHUNK_BYTES
from holdfast.node.clock import Clock
from holdfast.node.main import Main
from holdfast.replica.lmdb import LmdbReplica
from holdfast.replica.lmdb_restore import DATA_FILE, renumber
from holdfast.storage import StateCopy
from holdfast.storage.raft import RaftLog
from holdfast.storage.raft.archive import Configuration, Meta, Server, pack, unpack
from holdfast.telemetry.log import Logger

CONTENT_TYPE = "application/gzip"
SUMS = "snapshot-sums"                               # what the seal wraps them as
TRANSFER = "transfer-"                               # folders for files on their way out or in
PIECE_BYTES = 65_536                                 # of an archive, inflated at once
PutBack: TypeAlias = Callable[[Callable[[], Awaitable[StateCopy]]], Awaitable[Index]]


class Snapshots:
    """`folder`: on the disk of the storage, for files that are as large as the state; `uploads`: where those are that clients send. `seal`:
    the cluster's, as this node can use it."""

    def __init__(self, main: Main, log: RaftLog, replica: LmdbReplica, folder: Path, uploads: Path, seal: Callable[[], Seal],
                 put_back: PutBack, clock: Clock, draw: Callable[[int], bytes], logger: Logger) -> None:
        self._main, self._log, self._replica, self._folder, self._seal = main, log, replica, folder, seal
        self._uploads = uploads
        self._put_back, self._clock, self._draw, self._logger = put_back, clock, draw, logger
        self._one = asyncio.Lock()
        for left in folder.glob(f"{TRANSFER}*"):         # by a process that was killed
            shutil.rmtree(left, ignore_errors=True)

    async def save(self) -> Stream:
        """The archive of the newest state. Raises UnavailableError, OSError."""
        folder = Path(tempfile.mkdtemp(prefix=TRANSFER, dir=self._folder))
        try:
            copy = self._replica.copy()
            size = await asyncio.to_thread(_store, copy.chunks, folder / DATA_FILE)
            file = (folder / DATA_FILE).open("rb")
        finally:
            shutil.rmtree(folder, ignore_errors=True)    # its space is free when `file` is: also if nobody ever reads the stream
        status = self._log.status
        servers = tuple(Server(suffrage=0 if member.voter else 1, id=member.id, address=member.address) for member in status.members)
        meta = Meta(id=str(uuid.UUID(bytes=self._draw(16), version=4)), index=status.applied, term=status.term,
                    configuration=Configuration(servers=servers), size=size, wal_index=copy.index, generation=copy.generation,
                    cluster=self._main.facts.cluster_id)
        self._logger.info("snapshot.saved", index=copy.index, bytes=size)
        return Stream(status=200, content_type=CONTENT_TYPE, chunks=_WithFile(self._pack(meta, file), file))

    async def _pack(self, meta: Meta, file: BinaryIO) -> AsyncGenerator[bytes, None]:
        seal = self._seal()

        def sealed(sums: bytes) -> bytes:
            return seal.wrap(Secret(sums), name=SUMS, draw=self._draw)

        async for piece in pack(meta, _read(file, SNAPSHOT_CHUNK_BYTES), sealed, time_s=self._clock.wall_ms() // 1000):
            yield piece

    async def restore(self, upload: RequestId, *, force: bool) -> Reply:
        """Raises BadRequest: it has gone, is damaged, or of another cluster; UnavailableError: not enough members took it, or another is
        active."""
        async with self._one:
            folder = Path(tempfile.mkdtemp(prefix=TRANSFER, dir=self._folder))
            try:
                await self._unpack(self._uploads / upload, folder, force=force)
                index = await self._put_back(lambda: asyncio.to_thread(renumber, folder, above=self._replica.state))
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            self._logger.warn("snapshot.restored", index=index)
            return Reply(status=204)

    async def _unpack(self, archive: Path, folder: Path, *, force: bool) -> None:
        seal = self._seal()

        def opened(sealed: bytes) -> bytes:
            return seal.unwrap(sealed, name=SUMS).value

        try:
            sent = archive.open("rb")
        except FileNotFoundError:
            raise BadRequest("the upload of the snapshot has gone: send it again") from None
        with sent, (folder / DATA_FILE).open("xb") as file:

            async def take(piece: bytes) -> None:
                await asyncio.to_thread(file.write, piece)

            await unpack(_read(sent, PIECE_BYTES), take, None if force else opened, size_max=RAFT_STATE_MAX_BYTES)


class _WithFile(AsyncGenerator[bytes, None]):
    """A stream that closes its file at its end, also where it never began: a generator alone would not."""

    def __init__(self, pieces: AsyncGenerator[bytes, None], file: BinaryIO) -> None:
        self._pieces, self._file = pieces, file

    async def asend(self, value: None) -> bytes:
        try:
            return await self._pieces.asend(value)
        except BaseException:                            # its end, too
            self._file.close()
            raise

    async def athrow(self, *error: Any) -> bytes:
        return await self._pieces.athrow(*error)

    async def aclose(self) -> None:
        await self._pieces.aclose()
        self._file.close()


def _store(chunks: Iterable[bytes], path: Path) -> int:
    """Gives the number of bytes."""
    with path.open("xb") as file:
        for chunk in chunks:
            file.write(chunk)
        return file.tell()


async def _read(file: BinaryIO, size: int) -> AsyncIterator[bytes]:
    while piece := await asyncio.to_thread(file.read, size):
        yield piece
