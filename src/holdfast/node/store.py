"""Log and replica of a node, opened together: the replica is brought up to what the log knows before anything is asked of it."""
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path

import msgspec

from holdfast.config import raft_settings
from holdfast.config.settings import StorageStanza
from holdfast.errors import HoldfastError
from holdfast.ids import Millis, NodeId
from holdfast.replica.lmdb import LmdbReplica
from holdfast.replica.recovery import catch_up
from holdfast.storage.file import FileLog
from holdfast.storage.inmem import InmemLog
from holdfast.storage.raft import TIMING, RaftLog

ALONE = NodeId("node")
NODE_ID_FILE = "node-id"


class StorageError(HoldfastError):
    """The storage stanza does not fit; names what is wrong."""


class Store:
    """What `open_store` gives. `replica_path`: for workers; `folder`: for what else it keeps; `node`: its name in the log."""

    def __init__(self, log: FileLog | InmemLog | RaftLog, replica: LmdbReplica, replica_path: Path, node: NodeId,
                 tidy: Callable[[], None]) -> None:
        self.log, self.replica, self.replica_path, self.node, self._tidy = log, replica, replica_path, node, tidy
        self.folder = replica_path if isinstance(log, InmemLog) else replica_path.parent

    async def tend(self) -> None:
        """Now and then: frees what dead processes held, and stores a checkpoint when the log has grown long."""
        self.replica.reader_check()
        if not isinstance(self.log, InmemLog) and self.log.needs_checkpoint:
            await self.log.checkpoint(self.replica.copy())

    async def close(self) -> None:
        self.replica.close()
        match self.log:
            case FileLog():
                self.log.close()
            case RaftLog():
                await self.log.close()
            case InmemLog():
                pass
        self._tidy()


async def open_store(stanza: StorageStanza, boot_ms: Callable[[], Millis]) -> Store:
    """Raises StorageError: also for a folder of another node; UnavailableError: another process has the folder; IntegrityError: what was
    acknowledged is damaged."""
    if stanza.type == "inmem":
        folder = Path(tempfile.mkdtemp(prefix="holdfast-"))
        replica = LmdbReplica(folder, writable=True)
        return Store(InmemLog(), replica, folder, ALONE, lambda: shutil.rmtree(folder, ignore_errors=True))
    if stanza.type not in ("file", "raft"):
        raise StorageError(f'storage "{stanza.type}" is not supported; "raft", "file" and "inmem" are')
    path = stanza.options.get("path", "")
    if not path:
        raise StorageError(f'storage "{stanza.type}": "path" must be set')
    if stanza.type == "file":
        return await _open(FileLog(path, ALONE), Path(path), ALONE)
    node = _node_id(stanza, Path(path))
    timing = msgspec.structs.replace(TIMING, multiplier=raft_settings(stanza).performance_multiplier)
    return await _open(RaftLog(path, node, boot_ms=boot_ms, timing=timing), Path(path), node)


async def _open(log: FileLog | RaftLog, path: Path, node: NodeId) -> Store:
    try:
        if isinstance(log, RaftLog):
            _check_name(log, node)
        replica = LmdbReplica(path / "replica", writable=True)
        if isinstance(log, RaftLog):
            log.note_applied(replica.index)              # what a replica has was committed, whatever the disk says of that
        await catch_up(replica, log)
        if isinstance(log, RaftLog):
            log.note_applied(replica.index)
    except BaseException:
        if isinstance(log, RaftLog):
            await log.close()
        else:
            log.close()
        raise
    return Store(log, replica, path / "replica", node, lambda: None)


def _check_name(log: RaftLog, node: NodeId) -> None:
    """The others know a member by the name that their logs have: one that calls itself otherwise cannot be removed by either name, and as
    the active node would not find itself among those who are well. Raises StorageError."""
    known = log.members.now.get(log.raft_id)
    if known is not None and known.id != node:
        raise StorageError(f'this node is "{node}" by its node_id, and its folder is that of the member "{known.id}": a member keeps its '
                           "node_id; to join as another one, it needs an empty folder")


def _node_id(stanza: StorageStanza, path: Path) -> NodeId:
    """As it is configured; else as it was drawn at the first start."""
    if found := stanza.options.get("node_id", ""):
        return NodeId(found)
    file = path / NODE_ID_FILE
    try:
        return NodeId(file.read_text().strip())
    except FileNotFoundError:
        node = NodeId(str(uuid.uuid4()))
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
            out.write(node)
        return node
