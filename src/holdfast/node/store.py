"""Log and replica of a node, opened together: the replica is brought up to what the log knows before anything is asked of it."""
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from holdfast.config.settings import StorageStanza
from holdfast.errors import HoldfastError
from holdfast.ids import NodeId
from holdfast.replica.lmdb import LmdbReplica
from holdfast.replica.recovery import catch_up
from holdfast.storage.file import FileLog
from holdfast.storage.inmem import InmemLog

ALONE = NodeId("node")


class StorageError(HoldfastError):
    """The storage stanza does not fit; names what is wrong."""


class Store:
    """What `open_store` gives. `replica_path`: for workers."""

    def __init__(self, log: FileLog | InmemLog, replica: LmdbReplica, replica_path: Path, tidy: Callable[[], None]) -> None:
        self.log, self.replica, self.replica_path, self._tidy = log, replica, replica_path, tidy

    async def tend(self) -> None:
        """Now and then: frees what dead processes held, and stores a checkpoint when the log has grown long."""
        self.replica.reader_check()
        if isinstance(self.log, FileLog) and self.log.needs_checkpoint:
            await self.log.checkpoint(self.replica.copy())

    def close(self) -> None:
        self.replica.close()
        if isinstance(self.log, FileLog):
            self.log.close()
        self._tidy()


async def open_store(stanza: StorageStanza) -> Store:
    """Raises StorageError; UnavailableError: another process has the folder; IntegrityError: what was acknowledged is damaged."""
    if stanza.type == "inmem":
        folder = Path(tempfile.mkdtemp(prefix="holdfast-"))
        replica = LmdbReplica(folder, writable=True)
        return Store(InmemLog(), replica, folder, lambda: shutil.rmtree(folder, ignore_errors=True))
    if stanza.type != "file":
        raise StorageError(f'storage "{stanza.type}" is not supported; "file" and "inmem" are')
    path = stanza.options.get("path", "")
    if not path:
        raise StorageError('storage "file": "path" must be set')
    log = FileLog(path, ALONE)
    try:
        replica = LmdbReplica(Path(path) / "replica", writable=True)
        await catch_up(replica, log)
    except BaseException:
        log.close()
        raise
    return Store(log, replica, Path(path) / "replica", lambda: None)
