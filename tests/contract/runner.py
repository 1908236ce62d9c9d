"""Runs an engine's handlers over a replica in memory, without core: no token, no policy, no envelope.

What the pipeline does around a handler is here in its smallest form: route and bind, run, obey `txn.stop`, drop the writes of a handler
that raised, commit, queue the jobs.
"""
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from holdfast.core.router import compiled
from holdfast.crypto import Secret
from holdfast.engine import (
    ActiveMemory,
    Attempt,
    Bound,
    Client,
    Context,
    Engine,
    Given,
    Job,
    Lease,
    Leased,
    Login,
    Memo,
    Method,
    Mount,
    NodeFacts,
    Perform,
    Place,
    Request,
    Response,
    Result,
    Rng,
    Route,
    Token,
    Txn,
)
from holdfast.engine.effect import Effect
from holdfast.errors import RequestError, UnsupportedPath
from holdfast.ids import Index, Millis, RequestId
from holdfast.replica import Abandoned, Derived, HeavyCall, Need, OutsideCall, Reads, Run
from holdfast.testing.memory import MemoryReplica, PlainBarrier

START_MS = 1_700_000_000_000


@dataclass(frozen=True)
class Answered:
    """What a handler gave, or the error it raised."""

    status: int
    body: bytes = b""
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    lease: Lease | None = None
    leased: Leased | None = None
    login: Login | None = None
    effect: Effect | None = None
    need: Need | None = None
    changes: Mapping[str, bytes | None] = field(default_factory=dict)
    heavy_calls: int = 0

    @property
    def data(self) -> Any:
        return json.loads(self.body)


def service_token(id: str = "a" * 64) -> Token:
    return Token(id=id, accessor="acc", type="service" if id else "batch", display_name="token", entity_id="", policies=("root",),
                 num_uses=0,
                 expires_ms=None, is_root=True)


def _handled(bound: Bound, txn: Txn, ctx: Context) -> Result:
    return bound.handler(txn, bound.args, ctx)


class Runner:
    """One mount of an engine, on a node of its own."""

    def __init__(self, engine: Engine) -> None:
        self.replica, self.barrier, self.derived = MemoryReplica(), PlainBarrier(), Derived(1000)
        self.now_ms = START_MS
        self.jobs: list[Job] = []
        self.undo: dict[int, Job] = {}
        self._active, self._count = ActiveMemory(), 0
        self.use(engine)

    def use(self, engine: Engine) -> None:
        """Another engine for the same mount: a tuned version."""
        self.engine, self.routes = engine, compiled(engine.routes)
        path = f"auth/{engine.type}/" if engine.is_auth else f"{engine.type}/"
        self.mount = Mount(uuid="u", path=path, type=engine.type, accessor=f"{engine.type}_1", default_ttl_s=2_764_800, max_ttl_s=2_764_800,
                           is_auth=engine.is_auth)

    def get(self, path: str, **more: Any) -> Answered:
        return self.call(Method.GET, path, **more)

    def list(self, path: str, **more: Any) -> Answered:
        return self.call(Method.LIST, path, **more)

    def post(self, path: str, body: object = None, **more: Any) -> Answered:
        return self.call(Method.POST, path, body, **more)

    def patch(self, path: str, body: object = None, **more: Any) -> Answered:
        return self.call(Method.PATCH, path, body, content_type=more.pop("content_type", "application/merge-patch+json"), **more)

    def delete(self, path: str, **more: Any) -> Answered:
        return self.call(Method.DELETE, path, **more)

    def call(self, method: Method, path: str, body: object = None, *, query: Mapping[str, str] | None = None, token: Token | None = None,
             content_type: str = "application/json", place: Place = Place.ACTIVE, address: str = "127.0.0.1") -> Answered:
        """`body`: bytes as they are, else anything that json can write."""
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        self._count += 1
        request = Request(id=RequestId(f"r{self._count}"), method=method, path=self.mount.path + path, query=query or {}, body=raw,
                          content_type=content_type, token=Secret(b"t"), client=Client(address=address))
        found = self._route(path)
        if found is None:
            return Answered(404, errors=UnsupportedPath().messages)
        route, names = found
        op = route.ops.get(method)
        if op is None:
            return Answered(405)
        bind, given = op.bind, Given(names, request.query, request.body)
        return self._run(request, token or service_token(), place, lambda txn, ctx: _handled(bind(given), txn, ctx))

    def exists(self, path: str) -> bool:
        """What the POST of this path would say: update rather than create."""
        found = self._route(path)
        assert found is not None
        route, names = found
        check = route.ops[Method.POST].exists
        assert check is not None
        return check(self.below(Place.WORKER), Given(names, {}, b""))

    def run_jobs(self) -> int:
        """All that is queued, to its end; gives the number of batches."""
        batches = 0
        while self.jobs:
            job = self.jobs.pop(0)
            batches += 1
            request = Request(id=RequestId(f"job{batches}"), method=Method.POST, path=self.mount.path, client=Client(address=""))

            def step(txn: Txn, ctx: Context, job: Job = job) -> Response:
                following = self.engine.jobs[job.kind](txn, job, ctx)
                if following is not None:
                    self.jobs.insert(0, following)
                return Response()

            done = self._run(request, None, Place.ACTIVE, step)
            assert not done.errors, done
            assert len(done.changes) <= 1000
        return batches

    def context(self, txn: Txn) -> Context:
        """For what is no route: renewals of logins, lease handlers."""
        request = Request(id=RequestId("direct"), method=Method.POST, path=self.mount.path, client=Client(address=""))
        attempt = Attempt(txn=txn, now_ms=Millis(self.now_ms), rng=Rng(lambda: b"s" * 32), facts=NodeFacts(), has_lease=True,
                          active=self._active)
        return Context(request, self.mount, None, Millis(self.now_ms), attempt)

    def below(self, place: Place = Place.ACTIVE) -> Txn:
        """A Txn below the mount."""
        return self._txn(place).at(self.mount.prefix)

    def keys(self, folder: str = "") -> tuple[str, ...]:
        """Every key of the mount that has a value."""
        prefix = self.mount.prefix + folder
        return tuple(key[len(self.mount.prefix):] for key in self.replica.open().keys(prefix, ""))

    def _route(self, path: str) -> tuple[Route, dict[str, str]] | None:
        for pattern, route in self.routes:
            found = pattern.fullmatch(path)
            if found is not None:
                return route, found.groupdict()
        return None

    def _txn(self, place: Place) -> Txn:
        reader = self.replica.open()
        self.derived.catch_up(reader)
        return Txn(Run(reader, self.barrier, place, self.derived, Reads(names=[], parts=[], held_at=Index(0)), {}, {}))

    def _run(self, request: Request, token: Token | None, place: Place, handler: Callable[[Txn, Context], Result]) -> Answered:
        memo, heavy = Memo(), 0
        rng = Rng(lambda: request.id.encode().ljust(32))
        while True:
            txn = self._txn(place)
            rng.rewind()
            attempt = Attempt(txn=txn, now_ms=Millis(self.now_ms), rng=rng, facts=NodeFacts(), has_lease=True, active=self._active,
                              memo=memo)
            answered: Answered | None = None
            try:
                answered = self._shown(handler(txn.at(self.mount.prefix), Context(request, self.mount, token, attempt.now_ms, attempt)))
            except Abandoned:
                pass
            except RequestError as error:
                txn.drop_writes()
                attempt.jobs = ()
                answered = Answered(error.status, errors=error.messages, warnings=error.warnings)
            match txn.run.stop:
                case Need() as need:
                    return Answered(0, need=need, heavy_calls=heavy)
                case HeavyCall(key, compute):
                    memo, heavy = memo.having(key, compute()), heavy + 1
                case OutsideCall(key, call):
                    memo = memo.having(key, call())
                case None:
                    assert answered is not None
                    self.jobs += attempt.jobs
                    return self._committed(txn, answered, heavy)

    def _shown(self, result: Result) -> Answered:
        if isinstance(result, Perform):
            return Answered(200, effect=result.effect)
        if not isinstance(result, Response):
            return Answered(result.status, body=result.body)
        body = b"" if result.data is None else msgspec.json.encode(result.data)
        return Answered(result.status or (200 if body or result.warnings or result.login else 204), body=body, warnings=result.warnings,
                        lease=result.lease, leased=result.leased, login=result.login)

    def _committed(self, txn: Txn, answered: Answered, heavy: int) -> Answered:
        changes = txn.changes()
        if changes:
            self.replica.write({key: None if value is None else self.barrier.encrypt(key, value, nonce=b"")
                                for key, value in changes.items()}, time_ms=self.now_ms)
        return Answered(answered.status, answered.body, answered.errors, answered.warnings, answered.lease, answered.leased, answered.login,
                        answered.effect, None, changes, heavy)
