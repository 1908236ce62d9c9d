"""Snapshots that operators take of a simulated cluster and put back: what `node/snapshots` does, with memory in the place of files; which
of them became the cluster's state, and when; and what clients find in each.

Every state that was put back begins a *generation* of the cluster's state. All before the first are generation 0.
"""
import asyncio
from bisect import bisect_right
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace as replaced
from hashlib import blake2b
from math import inf
from typing import TypeAlias

import msgspec
from msgspec.structs import replace

from holdfast.core.access import Access
from holdfast.core.outcome import Answer
from holdfast.crypto import Keyring, Secret
from holdfast.engine import NOTHING_YET, Client, Method, NodeFacts, Place, Reply, Request, Rng, Stream
from holdfast.errors import BadRequest
from holdfast.ha.gate import Word
from holdfast.ids import Index, Millis, RequestId
from holdfast.node.attempts import Attempts
from holdfast.storage import Snapshot, StateCopy
from holdfast.testing.memory import MemoryReplica, StateData, copy_of

CHUNK_BYTES = 16_384
AFTER_ALL = Index(1 << 60)
PutBack: TypeAlias = Callable[[Callable[[], Awaitable[StateCopy]]], Awaitable[Index]]


class View:
    """One state, as a client with every right reads it; no cluster is asked."""

    def __init__(self, access: Access, replica: MemoryReplica, keyring: Keyring, facts: NodeFacts) -> None:
        self._attempts = Attempts(access, replica, _Still(replica.time_ms), _Stopped(), Place.MAIN, lambda: bytes(32))
        self._attempts.use_keys(keyring)
        # As the active node reads it: who made it may be a standby by now, and leave a refusal to others.
        self._attempts.facts = replace(facts, is_active=True, performance_standby=False)

    def ask(self, path: str, token: Secret, query: Mapping[str, str] = {}) -> Reply:
        request = Request(id=RequestId("judge"), method=Method.GET, path=path, query=query, token=token, client=Client(address="127.0.0.1"))
        outcome, *_ = self._attempts.attempt(request, NOTHING_YET, Rng(lambda: bytes(32)), confirmed=True)
        assert isinstance(outcome, Answer), outcome
        return outcome.reply


class _Still:
    """Words of a state that nobody changes, at its own time."""

    def __init__(self, time_ms: Millis) -> None:
        self._time_ms = time_ms

    def load(self, word: int) -> int:
        return self._time_ms if word == Word.CLUSTER_TIME_OFFSET_MS else 1 << 62

    def store(self, word: int, value: int) -> None:
        """Nobody reads it."""


class _Stopped:
    """A clock that stands still."""

    def wall_ms(self) -> Millis:
        return Millis(0)

    def boot_ms(self) -> Millis:
        return Millis(0)


class Saved(msgspec.Struct, frozen=True, eq=False):
    """A snapshot in an operator's hands. `keyring`, `facts`: of the node that made it, to read it with."""

    data: bytes
    index: Index
    keyring: Keyring
    facts: NodeFacts

    def view(self, access: Access) -> View:
        found = StateData.read(self.data)
        replica = MemoryReplica()
        replica.write(found.values, time_ms=found.time_ms)
        replica.index = AFTER_ALL                        # as where it was put back: tokens name an index that they want
        return View(access, replica, self.keyring, self.facts)


class Restore(msgspec.Struct, eq=False):
    """A state that was to be put back. `invoked`: it cannot have happened before; `returned`: it had happened by then, for all to see."""

    saved: Saved
    index: Index
    generation: int
    invoked: float
    returned: float = inf


class Restores:
    """Of one cluster. `uploads`: what clients have sent, by their request; `done`: those that became the state, by index."""

    def __init__(self) -> None:
        self.saved: dict[bytes, Saved] = {}
        self.uploads: dict[RequestId, Saved] = {}
        self.done: list[Restore] = []
        self._tried: dict[bytes, Restore] = {}           # by what was to be installed
        self._asked: dict[RequestId, Restore] = {}       # … and by who wanted it

    def tried(self, data: bytes, upload: RequestId, restore: Restore) -> None:
        """The same state under the same index, tried again, is the same."""
        self._asked[upload] = self._tried.setdefault(_digest(data), restore)

    def answered(self, upload: RequestId, now: float) -> None:
        """A client heard that it has happened."""
        self._asked[upload].returned = min(now, self._asked[upload].returned)

    def installed(self, data: bytes) -> None:
        """A replica has it: so it is committed."""
        found = self._tried.get(_digest(data))
        if found is not None and found not in self.done:
            self.done.append(found)
            self.done.sort(key=lambda each: each.index)

    def generation_of(self, index: float) -> int:
        """That a batch of this index belongs to, which is committed."""
        return bisect_right([each.index for each in self.done], index)

    def holds(self, upto: float, index: int) -> bool:
        """Is the batch with that index in the state of index `upto`? No snapshot has taken it back by then."""
        while number := self.generation_of(upto):
            began = self.done[number - 1]
            if index > began.index:
                break
            upto = began.saved.index
        return index <= upto


class SimReplica(MemoryReplica):
    """A node's. It tells of states that it installs."""

    def __init__(self, restores: Restores, window: int, versions: int) -> None:
        super().__init__(window, versions, CHUNK_BYTES)
        self._restores = restores

    async def install(self, snapshot: Snapshot) -> None:
        data = b"".join([chunk async for chunk in snapshot.chunks])
        await super().install(replaced(snapshot, chunks=_whole(data)))
        self._restores.installed(data)


class SimSnapshots:
    """`node.effects.Snapshots` of one node."""

    def __init__(self, restores: Restores, replica: SimReplica, keyring: Callable[[], Keyring | None], facts: Callable[[], NodeFacts],
                 put_back: PutBack, now: Callable[[], float]) -> None:
        self._restores, self._replica, self._keyring, self._facts = restores, replica, keyring, facts
        self._put_back, self._now = put_back, now
        self._one = asyncio.Lock()

    async def save(self) -> Stream:
        keyring = self._keyring()
        assert keyring is not None, "only an unsealed node saves its state"
        copy = self._replica.copy()
        chunks = list(copy.chunks)
        data = b"".join(chunks)
        self._restores.saved[_digest(data)] = Saved(data, copy.index, keyring, self._facts())
        return Stream(status=200, content_type="application/gzip", chunks=_all(chunks))

    async def restore(self, upload: RequestId, *, force: bool) -> Reply:
        saved = self._restores.uploads.get(upload)
        if saved is None:
            raise BadRequest("the upload of the snapshot has gone: send it again")
        async with self._one:
            await self._put_back(lambda: self._renumbered(saved, upload))
        return Reply(status=204)

    async def _renumbered(self, saved: Saved, upload: RequestId) -> StateCopy:
        """As `replica.lmdb_restore` does it."""
        above, found = self._replica.state, StateData.read(saved.data)
        state = StateData(Index(max(found.index, above.index) + 1), Millis(max(found.time_ms, above.time_ms)), found.values)
        copy = copy_of(state, above.generation + 1, CHUNK_BYTES)
        self._restores.tried(msgspec.msgpack.encode(state), upload, Restore(saved, state.index, copy.generation, self._now()))
        return copy


def found_again(restores: Restores, data: bytes) -> Saved | None:
    """What came of a stream of `save`; None: it is not whole."""
    return restores.saved.get(_digest(data))


async def _all(chunks: list[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def _whole(data: bytes) -> AsyncIterator[bytes]:
    yield data


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=16).digest()
