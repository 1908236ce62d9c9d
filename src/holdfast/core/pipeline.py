"""The life of a request: one pure function, the same in a worker, in a main process, on the lane and in the simulator.

Invariants: (1) nothing outside the Txn changes before the outcome is carried out; (2) `txn.stop` alone decides whether the
attempt counts; (3) spends survive a refusal, the handler's writes do not; (4) whatever reaches a route is audited, once, where it counts.
"""
from typing import assert_never

from msgspec.structs import replace

from holdfast.core import access, acl, audit, conditions, envelope, jobs, leases, login, tokens, wrapping
from holdfast.core.access import Access, Grant
from holdfast.core.audit_device import standing
from holdfast.core.mounts import mount_at
from holdfast.core.outcome import Answer, AuditEntry, Commit, Do, Exchange, Forward, Heavy, Outcome
from holdfast.crypto import Secret
from holdfast.engine import Attempt, Context, Method, Perform, Raw, Request, Response, Result, Token, Txn
from holdfast.errors import (
    AuditError,
    HandlerError,
    HoldfastError,
    IntegrityError,
    InvariantError,
    PermissionDenied,
    RequestError,
    TooLarge,
)
from holdfast.limits import BATCH_CHANGES_MAX, BATCH_MAX_BYTES
from holdfast.replica import Abandoned, HeavyCall, Need, OutsideCall, Place, Why


def execute(engines: Access, request: Request, attempt: Attempt) -> Outcome:
    """Runs a request as far as it goes here. Raises only IntegrityError and InvariantError: then the process must not go on."""
    txn = attempt.txn
    grant: Grant | None = None
    token: Token | None = None
    creates = False
    try:
        local = None
        if not conditions.hold(request, attempt):
            local = engines.router.find_local(request.method, request.path)   # about this node: fixed table, no replica
            conditions.check(request, attempt, local.op if local else None)
        if local is not None and attempt.facts.sealed:
            grant = engines.local(local)
        else:
            grant = _granted(engines, request, txn)
            token = grant.token
            if token is not None and attempt.now_ms >= grant.sure_until_ms:
                token = tokens.admit(txn, grant.hit.op, token, request, attempt)   # expiry; spends a use, also of what is refused below
        attempt.mount = grant.mount.path
        if not grant.is_plain:
            creates = _asked(txn, grant, request)
        ctx = Context(request, grant.mount, token, attempt.now_ms, attempt)
        bound = grant.bound if grant.bound is not None and not request.body and not request.query else access.bind(grant, request)
        inner = Txn(txn.run, grant.prefix) if grant.prefix else txn      # as txn.at: this one stands at the root
        if bound.alias is None:
            result = bound.handler(inner, bound.args, ctx)
        else:
            result = login.guard(txn, inner, bound, grant.hit, ctx, engines.defaults)      # lockout around it
        if txn.run.stop is not None:
            raise Abandoned                                              # whatever the engine made of it
        result = _recorded(grant, ctx, bound.warnings, result)
        return _outcome(request, attempt, grant, token, result, creates=creates)
    except Abandoned as error:
        if txn.run.stop is None:                                         # an engine's own idea
            return _refused(engines, request, attempt, grant, token, error)
        return _stopped(request, attempt, grant, token)
    except (IntegrityError, InvariantError):
        raise                                                            # fail-stop: the process must not go on
    except (Exception, SystemExit, GeneratorExit) as error:  # noqa: BLE001 — the one boundary around engines
        if txn.run.stop is not None:
            return _stopped(request, attempt, grant, token)
        return _refused(engines, request, attempt, grant, token, error)


def _refused(engines: Access, request: Request, attempt: Attempt, grant: Grant | None, token: Token | None,
             error: BaseException) -> Outcome:
    """The handler's writes are gone, its spends stay; an outside call that it made is undone at once."""
    attempt.txn.drop_writes()
    attempt.effects, attempt.jobs = (), ()
    jobs.hasten_undo(attempt.txn, attempt)
    if isinstance(error, RequestError) and not _is_final(engines, request, attempt, error):
        return Forward(to=Place.ACTIVE, why=Why.SESSION, memo=attempt.memo)
    failure = error if isinstance(error, HoldfastError) else HandlerError(f"{type(error).__name__} at {request.path}")
    if isinstance(failure, HandlerError):
        engines.defect(request.path, error)
    return _failed(request, attempt, grant, token, failure)


def _is_final(engines: Access, request: Request, attempt: Attempt, error: RequestError) -> bool:
    """A standby that may lag lacks what a token, a policy or a write has just made of it: it refuses nothing for good but what was to be
    read, and what is asked of this node itself."""
    if not attempt.facts.may_lag or not attempt.facts.performance_standby or attempt.txn.run.place is Place.ACTIVE:
        return True
    is_read = request.method is Method.GET or request.method is Method.LIST
    return (is_read and error.status != PermissionDenied.status) or engines.router.find_local(request.method, request.path) is not None


def _granted(engines: Access, request: Request, txn: Txn) -> Grant:
    """Mount, operation, token and policies, as one cached value."""
    value = request.token
    if value is None:
        return txn.derive(engines.grant, request.method, request.path, None)
    principal = tokens.principal(txn, value)
    try:
        grant = txn.derive(engines.grant, request.method, request.path, principal)
    except PermissionDenied:
        _ask_who_knows(engines, request, txn, value)
        raise
    if grant.token is None:                              # a public operation would do without it
        _ask_who_knows(engines, request, txn, value)
    return grant


def _ask_who_knows(engines: Access, request: Request, txn: Txn, value: Secret) -> None:
    """A token that only a newer state knows is unknown here alone. But what is asked of this node, another one cannot answer: it would seal
    itself."""
    if tokens.is_ahead(txn, value) and engines.router.find_local(request.method, request.path) is None:
        txn.need(Place.ACTIVE, Why.BEHIND)


def _asked(txn: Txn, grant: Grant, request: Request) -> bool:
    """What a grant leaves open until there is a request. Gives whether it is a write of what is not there yet, for the audit devices."""
    if not grant.permitted:
        acl.permit(txn, grant.rules, grant.hit, grant.prefix, request)   # parameter rules, with query and body
    if grant.hit.op.writes:
        txn.need(Place.ACTIVE, Why.WRITE)                            # as the handler would say, after much that is lost then
    return bool(grant.standing.devices) and access.creates(txn, grant, request)


def _recorded(grant: Grant, ctx: Context, warnings: tuple[str, ...], result: Result) -> Result:
    """What a result leaves in the batch: a login becomes a token, a lease is kept, jobs are queued, an answer may be wrapped."""
    attempt = ctx.attempt
    txn = attempt.txn
    if type(result) is Response:
        if warnings and (result.data is not None or result.login is not None or result.auth is not None or result.warnings):
            result = replace(result, warnings=(*result.warnings, *warnings))       # an answer without a body stays one, as Vault's does
        if result.login is not None:
            result = login.issue(txn, grant.hit, ctx, result)
        if result.leased is not None:
            result = leases.record(txn, grant.hit, ctx, result)
    elif isinstance(result, Perform):
        txn.need(result.effect.place, Why.EFFECT)
        return result
    if attempt.jobs or attempt.memo.undo_key:
        jobs.record(txn, ctx, grant.hit.mount)
    if ctx.request.wrap_ttl_s and isinstance(result, Response):
        result = wrapping.wrap(txn, ctx, result)
    return result


def _outcome(request: Request, attempt: Attempt, grant: Grant, token: Token | None, result: Result, *, creates: bool) -> Outcome:
    txn, run = attempt.txn, attempt.txn.run
    if isinstance(result, Response):
        reply = envelope.answer(request, result, grant.mount, grant.tail)
    elif isinstance(result, Raw):
        reply = envelope.raw(result)
    else:
        return Do(effect=result.effect, changes=txn.changes(), audit=_audited(request, attempt, grant, token))
    entries = _audited(request, attempt, grant, token, result=result, creates=creates) if grant.standing.devices else ()
    if not (run.writes or run.spends or attempt.effects):
        return Answer(reply=reply, index=run.reader.index, reads=run.reads, audit=entries)
    changes = txn.changes()
    if len(changes) > BATCH_CHANGES_MAX:
        raise HandlerError(f"a batch of more than {BATCH_CHANGES_MAX} changes: this is work for a job")
    size = sum(len(value) for value in changes.values() if value is not None)
    if size > BATCH_MAX_BYTES:                           # a client's doing: it patched a large value, or had a large answer wrapped
        raise TooLarge(f"put failed due to value being too large; got {size} bytes, max: {BATCH_MAX_BYTES} bytes")
    return Commit(reply=reply, changes=changes, effects=attempt.effects, audit=entries)


def _failed(request: Request, attempt: Attempt, grant: Grant | None, token: Token | None, failure: HoldfastError) -> Outcome:
    run, reply = attempt.txn.run, envelope.failed(failure)
    entries: tuple[AuditEntry, ...] = ()
    if not attempt.facts.sealed:
        try:
            entries = _audited(request, attempt, grant, token, errors=envelope.texts(failure),
                               permitted=not isinstance(failure, PermissionDenied))
        except AuditError as error:
            reply = envelope.failed(error)
        except Abandoned:                                # the table of devices is under a key that has not come here yet
            return _stopped(request, attempt, grant, token)
    if run.spends:
        return Commit(reply=reply, changes=attempt.txn.changes(), effects=(), audit=entries)
    return Answer(reply=reply, index=run.reader.index, reads=run.reads, audit=entries)


def _audited(request: Request, attempt: Attempt, grant: Grant | None, token: Token | None, *, result: Result | None = None,
             errors: tuple[str, ...] = (), permitted: bool = True, creates: bool = False) -> tuple[AuditEntry, ...]:
    if attempt.facts.sealed or (grant is not None and not grant.standing.devices):
        return ()
    # What is refused at the door was asked of a mount, too.
    mount, entry = (grant.hit.mount, grant.hit.entry) if grant is not None else mount_at(attempt.txn, request.path)
    return audit.entries(grant.standing if grant else standing(attempt.txn), Exchange(
        request=request, now_ms=attempt.now_ms, mount=mount, entry=entry, token=token,
        creates=creates, permitted=permitted, granting=grant.rules.granting if grant and grant.rules else (), result=result, errors=errors))


def _stopped(request: Request, attempt: Attempt, grant: Grant | None, token: Token | None) -> Outcome:
    match attempt.txn.run.stop:
        case Need(place, why):
            return Forward(to=place, why=why, memo=attempt.memo)
        case HeavyCall(key, compute):
            return Heavy(key=key, compute=compute)
        case OutsideCall() as call:
            return jobs.outside(attempt.txn, call, attempt, grant.hit.mount if grant else None, _audited(request, attempt, grant, token))
        case None:
            raise InvariantError("an attempt ended without a reason")
        case other:
            assert_never(other)


