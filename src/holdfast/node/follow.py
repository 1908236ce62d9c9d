"""What a node that is not active does with the log: everything that becomes durable goes into its replica, and its keys follow.

Invariants: (1) batches are applied in order, each once, a group in one transaction; (2) the keys of this node follow before anybody is told
that the batch which brought them is applied; (3) it ends between two groups, never within one.
"""
import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Protocol

from holdfast.crypto import KEYRING, ROOT_KEY, AesGcmBarrier, Opened, UnknownKeyTerm, follow
from holdfast.errors import IntegrityError
from holdfast.ha.advertisement import is_told_by
from holdfast.ids import Index
from holdfast.node.applying import apply
from holdfast.node.attempts import Replica as Readable
from holdfast.replica import Reader
from holdfast.storage import Snapshot, WriteBatch


class Replica(Readable, Protocol):
    @property
    def index(self) -> Index: ...
    def apply(self, batches: Sequence[WriteBatch]) -> None: ...
    async def install(self, snapshot: Snapshot) -> None: ...


class Log(Protocol):
    def follow_groups(self, after: Index) -> AsyncIterator[Sequence[WriteBatch] | Snapshot]:
        """As `follow`, but all that is there at once."""


class KeysLost(IntegrityError):
    """What is stored is under a root key that this node never had: a state of another cluster was put back, or it was away for too long."""


class Keys:
    """What an unsealed node holds, kept up with the store. `changed` is told of new keys."""

    def __init__(self, opened: Opened, changed: Callable[[Opened], None]) -> None:
        self.opened, self._changed = opened, changed

    def follow(self, reader: Reader) -> None:
        """After a batch or a snapshot that may have brought others. Raises KeysLost."""
        sealed = reader.get(KEYRING)
        if sealed is None:
            return
        stored = reader.get(ROOT_KEY)
        try:
            try:
                root_key = None if stored is None else AesGcmBarrier(self.opened.keyring).decrypt(ROOT_KEY, stored)
            except UnknownKeyTerm:
                root_key = None                          # under the new term: the root key is the one that is known
            self.opened = follow(self.opened, sealed_keyring=sealed, root_key=root_key)
        except IntegrityError as error:
            raise KeysLost("what is stored is under a root key that this node never had") from error
        self._changed(self.opened)


class Follower:
    """`applied` is told after each group, with the index that the replica has now; then `advertised`, where it may be another node that is
    active, and whether a batch says who is: to ask that of each group's state cost a tenth of what this thread does for a group."""

    def __init__(self, log: Log, replica: Replica, keys: Keys | None, pool: Callable[[Callable[[], object]], Awaitable[object]],
                 applied: Callable[[Index], None], advertised: Callable[[bool], None] | None = None) -> None:
        self._log, self._replica, self._keys, self._pool = log, replica, keys, pool
        self._applied, self._advertised = applied, advertised
        self._stopping = self._is_waiting = False
        self._task: asyncio.Task[object] | None = None

    async def run(self) -> None:
        """Until `stop`. Raises KeysLost, and what following and installing raise."""
        groups, self._task = self._log.follow_groups(self._replica.index), asyncio.current_task()
        while not self._stopping:
            self._is_waiting = True
            try:
                found = await anext(groups)
            except asyncio.CancelledError:
                if self._stopping:                       # by `stop`: nothing has been taken
                    return
                raise
            finally:
                self._is_waiting = False
            if isinstance(found, Snapshot):
                await self._replica.install(found)
                has_keys, is_advertised = True, False
            else:
                await apply(found, self._replica, self._pool)
                has_keys = any(KEYRING in batch.changes for batch in found)
                is_advertised = any(is_told_by(batch.changes) for batch in found)
            if has_keys:
                self._follow_keys()
            self._applied(self._replica.index)
            if (has_keys or is_advertised) and self._advertised is not None:
                self._advertised(is_advertised)

    def stop(self) -> None:
        """What has been taken is still applied; `run` ends after it."""
        self._stopping = True
        if self._is_waiting and self._task is not None:
            self._task.cancel()

    def _follow_keys(self) -> None:
        if self._keys is None:
            return
        reader = self._replica.open()
        try:
            self._keys.follow(reader)
        finally:
            reader.close()
