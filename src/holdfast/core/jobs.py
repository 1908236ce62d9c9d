"""Work that no client waits for: one step of the due queue, and the calls to the outside that a request makes.

A call to the outside takes three batches. First what the request has spent, and how to undo the call, become durable, the undo due when the
call can no longer be under way. Then the call is made, and the request runs again with its result. If it ends well, its batch removes
the undo; if not, the undo is due at once; if the node dies, its successor finds it in the queue.

Invariants: (1) a step leaves the queue, or moves in it, in the batch of what it did, so a step that is repeated changes nothing; (2) a step
that fails leaves nothing but its next time; (3) an undo never runs beside the call.
"""
from collections.abc import Callable, Mapping
from typing import TypeAlias, assert_never

import msgspec
from msgspec.structs import replace

from holdfast.core import drain, due, leases, lockout, token_revoke
from holdfast.core.access import Access
from holdfast.core.due import Due, Kind
from holdfast.core.marks import PREFIXES
from holdfast.core.mounts import MOUNTS, as_mount
from holdfast.core.outcome import NO_REPLY, Answer, AuditEntry, Commit, Forward, Heavy, Outcome, Outside
from holdfast.core.router import SYSTEM
from holdfast.engine import Attempt, Client, Context, Engine, Job, Method, Mount, Request, Txn
from holdfast.errors import HandlerError, HoldfastError, IntegrityError, InvariantError, OutsideError
from holdfast.ids import Millis, RequestId
from holdfast.limits import BATCH_CHANGES_MAX, JOB_RETRY_MAX_MS, LEASE_RETRY_MS, UNDO_MARGIN_MS
from holdfast.replica import Abandoned, HeavyCall, Need, OutsideCall, Reads, Run
from holdfast.storage import Changes

_encode_job = msgspec.msgpack.Encoder().encode
_job = msgspec.msgpack.Decoder(Job).decode
_undo = msgspec.msgpack.Decoder(tuple[Job, ...]).decode

Step: TypeAlias = Callable[[Access, Txn, Due, Context], None]
"""Does one entry's work and takes it out of the queue, or queues what is left."""


def record(txn: Txn, ctx: Context, mount: Mount) -> None:
    """Queues what the handler asked for; the call that it made needs no undoing any more."""
    for job in ctx.attempt.jobs:
        queue(txn, ctx, mount.uuid, job)
    undo_key = ctx.attempt.memo.undo_key
    if undo_key:
        if not txn.exists(undo_key):
            raise OutsideError("the request took too long: what it began has been undone")
        txn.delete(undo_key)


def queue(txn: Txn, ctx: Context, mount_uuid: str, job: Job) -> None:
    """Puts an engine's job where its time is."""
    due.put(txn, max(job.at_ms, ctx.now_ms), Kind.JOB, f"{mount_uuid}/{ctx.rng.uuid()}", _encode_job(job))


def hasten_undo(txn: Txn, attempt: Attempt) -> None:
    """The request failed: what its call to the outside did is to be undone at once."""
    undo_key = attempt.memo.undo_key
    value = txn.get(undo_key) if undo_key else None
    if value is not None:
        txn.spend(undo_key, None)
        due.spend(txn, attempt.now_ms, Kind.UNDO, due.read(undo_key).id, value)


def outside(txn: Txn, stop: OutsideCall, attempt: Attempt, mount: Mount | None, audit: tuple[AuditEntry, ...]) -> Outside:
    """What has to be durable before the call is made: uses and locks, and how to undo this call and those before it."""
    ready_ms = Millis(attempt.now_ms + stop.within_ms + UNDO_MARGIN_MS)
    changes = _postponed(txn.run.spends, attempt.now_ms, ready_ms)
    undo_key, before = attempt.memo.undo_key, b""
    if undo_key:
        before = _stored(txn, undo_key)
        changes[undo_key] = None
    undo = (*(_undo(before) if before else ()), *((stop.undo,) if isinstance(stop.undo, Job) else ()))
    if undo:
        assert mount is not None, "a handler ran"
        id = due.read(undo_key).id if undo_key else f"{mount.uuid}/{attempt.rng.uuid()}"
        undo_key = due.key(ready_ms, Kind.UNDO, id)
        changes[undo_key] = _encode_job(undo)
    return Outside(key=stop.key, call=stop.call, within_ms=stop.within_ms, changes=changes, undo_key=undo_key,
                   share=mount.uuid if mount is not None else "", audit=audit)


def _postponed(spends: Changes, now_ms: Millis, ready_ms: Millis) -> Changes:
    """What the request has spent. A token that it used up stays until the request is over."""
    changes = dict(spends)
    for name in spends:
        if name.startswith(due.PREFIX):
            entry = due.read(name)
            if entry.kind is Kind.TOKEN and entry.at_ms <= now_ms:
                changes[due.key(ready_ms, entry.kind, entry.id)] = changes.pop(name)
    return changes


def _stored(txn: Txn, key: str) -> bytes:
    run = txn.run                                        # this attempt has stopped: it reads no more through its own Txn
    return Txn(Run(run.reader, run.barrier, run.place, run.derived, Reads())).get(key) or b""


def execute(access: Access, key: str, attempt: Attempt) -> Outcome:
    """One step of the due queue: the entry under `key`, which may have been done already. Raises as `pipeline.execute`."""
    txn, entry = attempt.txn, due.read(key)
    id = RequestId(attempt.rng.uuid())
    request = Request(id=id, method=Method.POST, path=f"sys/internal/due/{entry.kind}", client=Client(address=""))
    ctx = Context(request, SYSTEM, None, attempt.now_ms, attempt)
    try:
        if entry.at_ms <= attempt.now_ms and txn.exists(key):
            STEPS[entry.kind](access, txn, entry, ctx)
            if txn.run.stop is not None:
                raise Abandoned                          # whatever the engine made of it
            if len(txn.changes()) > BATCH_CHANGES_MAX:
                raise HandlerError(f"a step of more than {BATCH_CHANGES_MAX} changes")
    except (IntegrityError, InvariantError):
        raise
    except (Exception, SystemExit, GeneratorExit, Abandoned) as error:  # noqa: BLE001 — the one boundary around engines, as in the pipeline
        if txn.run.stop is not None:
            return _stopped(txn, attempt, entry)
        txn.drop_writes()
        attempt.effects, attempt.jobs = (), ()
        hasten_undo(txn, attempt)
        failure = error if isinstance(error, HoldfastError) else HandlerError(f"{type(error).__name__} in {entry.kind}")
        if isinstance(failure, HandlerError):
            access.defect(request.path, error)
        _failed(txn, attempt, entry, failure)
    run = txn.run
    if not (run.writes or run.spends or attempt.effects):
        return Answer(reply=NO_REPLY, index=run.reader.index, reads=run.reads)
    return Commit(reply=NO_REPLY, changes=txn.changes(), effects=attempt.effects)


def _stopped(txn: Txn, attempt: Attempt, entry: Due) -> Outcome:
    match txn.run.stop:
        case Need(place, why):
            return Forward(to=place, why=why, memo=attempt.memo)
        case HeavyCall(key, compute):
            return Heavy(key=key, compute=compute)
        case OutsideCall() as call:
            return outside(txn, call, attempt, replace(SYSTEM, uuid=entry.share or SYSTEM.uuid), ())
        case None:
            raise InvariantError("a step ended without a reason")
        case other:
            assert_never(other)


def _failed(txn: Txn, attempt: Attempt, entry: Due, failure: HoldfastError) -> None:
    if entry.kind is Kind.LEASE:
        leases.failed_due(txn, attempt.now_ms, entry, str(failure) or type(failure).__name__)
        return
    value = txn.get(entry.key)
    assert value is not None, "the step has just read it"
    wait_ms = LEASE_RETRY_MS
    if entry.kind is Kind.JOB:
        job = _job(value)
        wait_ms = min(LEASE_RETRY_MS << min(job.attempts, 20), JOB_RETRY_MAX_MS)
        value = _encode_job(replace(job, attempts=job.attempts + 1))
    txn.delete(entry.key)
    due.put(txn, attempt.now_ms + wait_ms, entry.kind, entry.id, value)


def _token(access: Access, txn: Txn, entry: Due, ctx: Context) -> None:
    token_revoke.expire(txn, entry, ctx.now_ms)


def _remains(access: Access, txn: Txn, entry: Due, ctx: Context) -> None:
    _next(txn, entry, ctx.now_ms, b"" if not token_revoke.clear_remains(txn, entry.id, ctx.now_ms) else None)


def _orphans(access: Access, txn: Txn, entry: Due, ctx: Context) -> None:
    _next(txn, entry, ctx.now_ms, b"" if not token_revoke.clear_orphans(txn, entry.id) else None)


def _lease(access: Access, txn: Txn, entry: Due, ctx: Context) -> None:
    leases.run_due(txn, ctx, access, entry)
    record(txn, ctx, replace(SYSTEM, uuid=entry.share))


def _prefix(access: Access, txn: Txn, entry: Due, ctx: Context) -> None:
    mark = PREFIXES.get(txn, entry.id)
    cursor = drain.below(txn, mark, (txn.get(entry.key) or b"").decode(), ctx.now_ms) if mark is not None else None
    if cursor is None:
        PREFIXES.delete(txn, entry.id)
    _next(txn, entry, ctx.now_ms, None if cursor is None else cursor.encode())


def _lock(access: Access, txn: Txn, entry: Due, ctx: Context) -> None:
    lockout.end(txn, entry.id, ctx.now_ms)
    txn.delete(entry.key)


def _job_step(access: Access, txn: Txn, entry: Due, ctx: Context) -> None:
    value = txn.get(entry.key)
    assert value is not None, "the step has just seen it"
    left = _run_job(access, txn, entry.share, _job(value), ctx)
    txn.delete(entry.key)
    if left is not None:
        due.put(txn, max(left.at_ms, ctx.now_ms), entry.kind, entry.id, _encode_job(left))
    record(txn, ctx, replace(SYSTEM, uuid=entry.share))


def _undo_step(access: Access, txn: Txn, entry: Due, ctx: Context) -> None:
    value = txn.get(entry.key)
    assert value is not None, "the step has just seen it"
    *before, last = _undo(value)                         # what was done last is undone first
    left = _run_job(access, txn, entry.share, last, ctx)
    undo = (*before, *((left,) if left is not None else ()))
    _next(txn, entry, ctx.now_ms, _encode_job(undo) if undo else None)
    record(txn, ctx, replace(SYSTEM, uuid=entry.share))


def _run_job(access: Access, txn: Txn, mount_uuid: str, job: Job, ctx: Context) -> Job | None:
    """One batch of an engine's job. A mount that is gone has nothing left to do."""
    if mount_uuid == SYSTEM.uuid:
        return access.router.system.jobs[job.kind](txn, job, ctx)
    entry = MOUNTS.get(txn, mount_uuid)
    if entry is None:
        return None
    engine: Engine = access.registry.of(entry)
    mount = as_mount(entry, access.defaults)
    inner = txn if engine.at_root else txn.at(mount.prefix)
    return engine.jobs[job.kind](inner, job, replace(ctx, mount=mount))


def _next(txn: Txn, entry: Due, now_ms: Millis, value: bytes | None) -> None:
    """The entry goes behind all that is due now, with what is left of it; None: it is done."""
    txn.delete(entry.key)
    if value is not None:
        due.put(txn, now_ms, entry.kind, entry.id, value)


STEPS: Mapping[Kind, Step] = {
    Kind.TOKEN: _token, Kind.REMAINS: _remains, Kind.ORPHANS: _orphans, Kind.LEASE: _lease, Kind.PREFIX: _prefix, Kind.JOB: _job_step,
    Kind.UNDO: _undo_step, Kind.LOCK: _lock,
}
