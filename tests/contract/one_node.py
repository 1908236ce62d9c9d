"""A node reduced to its pipeline: `execute` over a replica in memory, at any place; the lane, the commit and the timers in a line each.

No processes, no log, no watermark: what is committed is there for the next request.
"""
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.contract import world

from holdfast import system
from holdfast.auth import USERPASS
from holdfast.core import due, jobs, state_token, token_create
from holdfast.core.access import Access
from holdfast.core.mounts import MOUNTS, Defaults, MountEntry
from holdfast.core.outcome import Answer, Commit, Do, Forward, Heavy, Outcome, Outside
from holdfast.core.pipeline import execute
from holdfast.core.secret_names import HASH_KEY, new_hash_key
from holdfast.crypto import Secret
from holdfast.engine import ActiveMemory, Attempt, Client, Effect, Engine, Memo, Method, NodeFacts, Place, Reply, Request, Rng, Txn
from holdfast.engine.context import Failed
from holdfast.ids import Millis, RequestId
from holdfast.replica import Derived, Reads, Run
from holdfast.secrets import CUBBYHOLE, KV_V1, KV_V2
from holdfast.storage import Changes
from holdfast.testing.memory import MemoryReplica, PlainBarrier

START_MS = 1_700_000_000_000
FACTS = NodeFacts(initialized=True, sealed=False, is_active=True, cluster_id="c", cluster_name="n")


@dataclass(frozen=True)
class Seen:
    """What a client sees, and what had to be done for it."""

    reply: Reply
    changes: Mapping[str, bytes | None]
    effects: tuple[Effect, ...] = ()

    @property
    def status(self) -> int:
        return self.reply.status

    @property
    def json(self) -> Any:
        return json.loads(self.reply.body)


class OneNode:
    """Mounts of the engines by their paths. `root`: a root token."""

    def __init__(self, mounts: Mapping[str, Engine] = {}, more: Iterable[Engine] = ()) -> None:
        self.replica, self.barrier = MemoryReplica(), PlainBarrier()
        self.now_ms, self.facts, self.has_lease = START_MS, FACTS, True
        standing = {"cubbyhole/": CUBBYHOLE, "secret/": KV_V2, "kv1/": KV_V1, "auth/userpass/": USERPASS}
        self.mounts = {**standing, **mounts}
        engines = {id(engine): engine for engine in (*self.mounts.values(), *more)}
        self.defects: list[tuple[str, BaseException]] = []
        self.access = Access(tuple(engines.values()), system.build, Defaults(), lambda kind, options: "",
                             lambda where, error: self.defects.append((where, error)))
        self.broken: list[BaseException] = []            # raised by outside calls
        self._derived, self._active, self._count = Derived(10_000), ActiveMemory(), 0
        self.root = ""
        self._write(self._first_state)

    def _first_state(self, txn: Txn, rng: Rng) -> None:
        HASH_KEY.put(txn, "", new_hash_key(rng))
        state_token.KEY.put(txn, "", state_token.StateKey("c", b"k" * 32))
        for path, engine in self.mounts.items():
            uuid = "uuid-" + path.strip("/").replace("/", "-")
            MOUNTS.put(txn, uuid, MountEntry(uuid=uuid, path=path, type=engine.type, accessor=f"{engine.type}_{uuid}",
                                             is_auth=engine.is_auth,
                                             options={"version": engine.version} if engine.version else {}))
        self.root = token_create.create_root(txn, rng, now_ms=Millis(self.now_ms)).text.value.decode()

    def _write(self, change: Callable[[Txn, Rng], None]) -> None:
        txn = self._txn(Place.ACTIVE)
        change(txn, Rng(lambda: b"first".ljust(32)))
        self._commit(txn.changes())

    def call(self, method: Method, path: str, body: object = None, *, token: str | None = "", query: Mapping[str, str] | None = None,
             content_type: str = "application/json", wrap_ttl_s: int | None = None, address: str = "127.0.0.1",
             upload: bool = False) -> Seen:
        """Runs a request to its end, at a worker first, then on the lane. `token` "": the root token; None: none."""
        request = self.request(method, path, body, token=token, query=query, content_type=content_type, wrap_ttl_s=wrap_ttl_s,
                               address=address, upload=upload)
        outcome, memo = self.attempt(request, Place.WORKER), Memo()
        while True:
            match outcome:
                case Answer(reply=reply):
                    return Seen(reply, {})
                case Forward(memo=memo, to=place):
                    outcome = self.attempt(request, place, memo)
                case Heavy(key=key, compute=compute):
                    memo = memo.having(key, compute())
                    outcome = self.attempt(request, Place.ACTIVE, memo)
                case Commit(reply=reply, changes=changes, effects=effects):
                    self._commit(changes)
                    return Seen(reply, changes, effects)
                case Outside(key=key, call=call, undo_key=undo_key, changes=changes):
                    self._commit(changes)
                    memo = self._called(memo, key, call, undo_key)
                    outcome = self.attempt(request, Place.ACTIVE, memo)
                case Do(effect=effect, changes=changes):
                    self._commit(changes)
                    return Seen(Reply(status=0), changes, (effect,))

    def request(self, method: Method, path: str, body: object = None, *, token: str | None = "", query: Mapping[str, str] | None = None,
                content_type: str = "application/json", wrap_ttl_s: int | None = None, address: str = "127.0.0.1",
                upload: bool = False) -> Request:
        self._count += 1
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        secret = None if token is None else Secret((token or self.root).encode())
        return Request(id=RequestId(f"r{self._count}"), method=method, path=path, query=query or {}, body=raw, content_type=content_type,
                       token=secret, wrap_ttl_s=wrap_ttl_s, client=Client(address=address), upload=upload)

    def attempt(self, request: Request, place: Place, memo: Memo | None = None) -> Outcome:
        """One attempt at one place."""
        return execute(self.access, request, self._attempt(place, request.id, memo or Memo()))

    def run_due(self, *, limit: int = 1_000) -> int:
        """All work that is due now; gives the number of batches."""
        batches = 0
        while head := due.next_due(self._txn(Place.ACTIVE), Millis(self.now_ms), 1).due:
            batches += 1
            assert batches <= limit, f"still due after {limit} batches: {head[0].key}"
            self._do(head[0].key, Memo())
        return batches

    def keys(self, prefix: str) -> tuple[str, ...]:
        return tuple(self.replica.open().keys(prefix, ""))

    def _do(self, key: str, memo: Memo) -> None:
        while True:
            outcome = jobs.execute(self.access, key, self._attempt(Place.ACTIVE, RequestId(key), memo))
            match outcome:
                case Commit(changes=changes):
                    self._commit(changes)
                    return
                case Heavy(key=name, compute=compute):
                    memo = memo.having(name, compute())
                case Outside(key=name, call=call, undo_key=undo_key, changes=changes):
                    self._commit(changes)
                    memo = self._called(memo, name, call, undo_key)
                case Answer():
                    return
                case other:
                    raise AssertionError(other)

    def _called(self, memo: Memo, key: bytes, call: Callable[[], object], undo_key: str) -> Memo:
        try:
            result = call()
        except (world.WorldError, OSError) as error:
            self.broken.append(error)
            result = Failed(str(error))
        spent = Memo(results=memo.results, spent=True, undo_key=undo_key or memo.undo_key)
        return spent.having(key, result)

    def _attempt(self, place: Place, name: str, memo: Memo) -> Attempt:
        return Attempt(txn=self._txn(place), now_ms=Millis(self.now_ms), rng=Rng(lambda: name.encode().ljust(32)[-32:]), facts=self.facts,
                       has_lease=self.has_lease, active=self._active, memo=memo)

    def _txn(self, place: Place) -> Txn:
        reader = self.replica.open()
        self._derived.catch_up(reader)
        return Txn(Run(reader, self.barrier, place, self._derived, Reads(names=[], parts=[]), {}, {}))

    def _commit(self, changes: Changes) -> None:
        if changes:
            self.replica.write({key: None if value is None else self.barrier.encrypt(key, value, nonce=b"")
                                for key, value in changes.items()}, time_ms=self.now_ms)
