"""Leases: secrets lent for a time, renewed and revoked through the engine that lent them. How they are kept: `lease_store`.

Invariants: (1) a secret with a lease is never handed out by a batch that does not hold the lease; (2) an answer "revoked" is true for
whoever asks from then on, even while the engine has yet to do it; (3) revoking that fails is tried again after 10, 20, 40, … s,
LEASE_ATTEMPTS_MAX times in all, then the lease is kept for an operator; (4) a lease finds its engine by the mount's uuid, also when the
mount has gone from its path.
"""
import msgspec
from msgspec.structs import replace

from holdfast.core import due, lease_store, marks, token_store, ttl
from holdfast.core.access import Access
from holdfast.core.base62 import random_name
from holdfast.core.due import Due, Kind
from holdfast.core.lease_store import LEASES, LeaseEntry
from holdfast.core.marks import PREFIXES, PrefixMark
from holdfast.core.mounts import MOUNTS, MountEntry, as_mount
from holdfast.core.router import Hit
from holdfast.core.token_store import ENTRIES
from holdfast.core.tokens import BATCH_TYPE, BatchClaims, principal
from holdfast.engine import Context, Lease, LeaseHandler, Response, Txn
from holdfast.engine.effect import AwaitRevoked
from holdfast.errors import BadRequest
from holdfast.ids import Millis
from holdfast.limits import LEASE_ATTEMPTS_MAX, LEASE_RETRY_MS, LEASES_AT_ONCE

LAST_USE = "Secret cannot be returned; token had one use left, so leased credentials were immediately revoked."


def record(txn: Txn, hit: Hit, ctx: Context, response: Response) -> Response:
    """The response with the lease of what it lends. Raises BadRequest: it was asked for with the last use of a token, whose leases end
    with this request."""
    leased, mount = response.leased, hit.mount
    assert leased is not None, "only called for a secret with a lease"
    if ctx.token is not None and ctx.token.num_uses < 0:
        raise BadRequest(LAST_USE)
    life = ttl.life(_limits(ctx), own_s=leased.ttl_s, own_max_s=leased.max_ttl_s)
    ends_ms = ctx.token.expires_ms if ctx.token is not None and ctx.token.type == BATCH_TYPE else None
    expires_ms, ttl_s = _until(ends_ms, life, ctx.now_ms)
    id = f"{ctx.request.path}/{random_name(ctx.rng)}"
    lease_store.put_new(txn, id, LeaseEntry(
        mount=mount.uuid, mount_path=mount.path, path=ctx.request.path, kind=leased.kind, record=leased.record, token=_owner(txn, ctx),
        issued_ms=ctx.now_ms, expires_ms=expires_ms, due_ms=expires_ms, index=txn.own_index, max_ttl_s=leased.max_ttl_s,
        ends_ms=ends_ms, renewable=leased.renewable))
    return replace(response, leased=None, lease=Lease(id=id, duration_s=ttl_s, renewable=leased.renewable),
                   warnings=(*response.warnings, *life.warnings))


def _until(ends_ms: Millis | None, life: ttl.Life, now_ms: Millis) -> tuple[Millis, int]:
    """When it expires, and how many seconds that is, as answers show it."""
    expires_ms = Millis(now_ms + life.ttl_ms)
    if ends_ms is not None and ends_ms < expires_ms:
        return ends_ms, max((ends_ms - now_ms) // 1000, 1)
    return expires_ms, life.ttl_s


def _owner(txn: Txn, ctx: Context) -> str:
    if ctx.token is None or ctx.token.id or ctx.request.token is None:
        return ctx.token.id if ctx.token is not None else ""
    claims = principal(txn, ctx.request.token)           # a batch token's leases end with the token that made it
    return claims.parent if isinstance(claims, BatchClaims) else ""


def find(txn: Txn, id: str, now_ms: Millis) -> LeaseEntry | None:
    """The lease, unless it has expired, is being revoked, or belongs to a token that is dead."""
    lease = LEASES.get(txn, id)
    if lease is None or lease.revoking or lease.expires_ms <= now_ms:
        return None
    if marks.is_marked(txn.derive(marks.load_prefixes), id, lease.index):
        return None
    mount = MOUNTS.get(txn, lease.mount)
    if mount is None or mount.draining:
        return None
    return lease if not lease.token or _is_alive(txn, lease.token, now_ms) else None


def _is_alive(txn: Txn, token: str, now_ms: Millis) -> bool:
    entry = ENTRIES.get(txn, token)
    found = token_store.bounds(txn, entry) if entry is not None and entry.num_uses >= 0 else None
    return found is not None and (found.expires_ms is None or found.expires_ms > now_ms)


def renew(txn: Txn, ctx: Context, access: Access, id: str, *, increment_s: int) -> Response:
    """Asks the engine to go on lending. Raises BadRequest: there is no such lease, or it cannot be renewed."""
    lease = find(txn, id, ctx.now_ms)
    if lease is None:
        raise BadRequest("lease not found")
    if not lease.renewable:
        raise BadRequest("lease is not renewable")
    there = _with(txn, ctx, access, lease)
    if there is None:
        raise BadRequest("lease is not renewable")
    handler, inner, own = there
    own_s, own_max_s, kept = 0, lease.max_ttl_s, lease.record
    if handler.renew is not None:
        again = handler.renew(inner, lease.record, own)
        own_s, own_max_s, kept = again.ttl_s, again.max_ttl_s, again.record
    life = ttl.life(_limits(own), asked_s=increment_s, own_s=own_s, own_max_s=own_max_s, age_ms=ctx.now_ms - lease.issued_ms)
    expires_ms, ttl_s = _until(lease.ends_ms, life, ctx.now_ms)
    lease_store.reschedule(txn, id, lease, replace(lease, record=kept, max_ttl_s=own_max_s, expires_ms=expires_ms, due_ms=expires_ms,
                                                   renewed_ms=ctx.now_ms))
    return Response(lease=Lease(id=id, duration_s=ttl_s, renewable=True), warnings=life.warnings)


def revoke(txn: Txn, ctx: Context, access: Access, id: str, *, sync: bool) -> None:
    """Ends a lease: within this request, or from now on for everybody and by the engine as soon as it can. None: nothing happens."""
    lease = LEASES.get(txn, id)
    if lease is None:
        return
    if sync:
        _revoke_now(txn, ctx, access, id, lease)
    else:
        lease_store.hasten(txn, id, lease, ctx.now_ms)


def revoke_below(txn: Txn, ctx: Context, path: str, *, force: bool) -> AwaitRevoked:
    """Ends all leases and expiring tokens below a path, and the lease whose id it is, from now on for everybody; the engines are asked from
    the due queue. `force`: what an engine cannot revoke is dropped. Gives what to wait for, if anybody waits."""
    lease, mark = LEASES.get(txn, path), ctx.rng.uuid()
    if lease is not None:
        lease_store.hasten(txn, path, replace(lease, force=force), ctx.now_ms)
    PREFIXES.put(txn, mark, PrefixMark(prefix=path + "/", index=txn.own_index, force=force))
    due.put(txn, ctx.now_ms, Kind.PREFIX, mark)
    return AwaitRevoked(path=path, mark=mark, index=txn.own_index)


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far the engines have come with what `revoke_below` ended."""

    done: bool = False
    after: str = ""                                      # all before this one has had its turn
    failed: str = ""                                     # id of the first lease that its engine could not revoke


NOT_BEGUN = Progress()


def progress(txn: Txn, awaited: AwaitRevoked, before: Progress) -> Progress:
    """Looks on from where `before` ended, at some LEASES_AT_ONCE leases. Done: each has been revoked, or has failed once."""
    if PREFIXES.exists(txn, awaited.mark):
        return before                                    # not all of them are in the queue yet
    names = LEASES.names(txn, awaited.path + "/", after=before.after, limit=LEASES_AT_ONCE)
    after, failed = before.after, before.failed
    for id, name in ((awaited.path, ""), *((f"{awaited.path}/{name}", name) for name in names)):
        lease = LEASES.get(txn, id)
        if lease is not None and lease.revoking and lease.index <= awaited.index:
            if not (lease.attempts or lease.irrevocable):
                return Progress(after=after, failed=failed)
            failed = failed or id
        after = name or after
    return Progress(done=len(names) < LEASES_AT_ONCE, after=after, failed=failed)


def hasten_below(txn: Txn, prefix: str, now_ms: Millis, *, after: str, limit: int, mark: PrefixMark | None = None,
                 mount: str = "") -> tuple[int, str]:
    """One step through the leases below `prefix`: those that `mark` or `mount` mean become due. Gives how many of these it met, and where
    to go on, "" at the end."""
    names = LEASES.names(txn, prefix, after=after, limit=limit)
    met = 0
    force = mark is not None and mark.force
    for id, lease in [(prefix + name, LEASES.get(txn, prefix + name)) for name in names]:   # all is read before anything is written
        if lease is None or (mount and lease.mount != mount) or (mark is not None and lease.index > mark.index):
            continue
        met += 1
        if not lease.revoking or (force and not lease.force):
            lease_store.hasten(txn, id, replace(lease, force=force), now_ms)
    return met, names[-1] if len(names) == limit else ""


def run_due(txn: Txn, ctx: Context, access: Access, entry: Due) -> None:
    """A lease's turn in the due queue: its engine revokes it, if it is at its end."""
    _, _, id = entry.id.partition("/")
    lease = LEASES.get(txn, id)
    if lease is None or lease.due_ms != entry.at_ms or lease.irrevocable:
        txn.delete(entry.key)                            # its turn is another one by now
    else:
        _revoke_now(txn, ctx, access, id, lease)


def failed_due(txn: Txn, now_ms: Millis, entry: Due, why: str) -> None:
    """Revoking a lease did not work: later again, or never."""
    _, _, id = entry.id.partition("/")
    lease = LEASES.get(txn, id)
    if lease is None:
        txn.delete(entry.key)
    elif lease.force:
        lease_store.delete(txn, id, lease)
    elif lease.attempts + 1 >= LEASE_ATTEMPTS_MAX:
        lease_store.give_up(txn, id, replace(lease, attempts=lease.attempts + 1), why)
    else:
        again_ms = Millis(now_ms + (LEASE_RETRY_MS << lease.attempts))
        lease_store.reschedule(txn, id, lease, replace(lease, attempts=lease.attempts + 1, due_ms=again_ms, revoking=True))


def _revoke_now(txn: Txn, ctx: Context, access: Access, id: str, lease: LeaseEntry) -> None:
    there = _with(txn, ctx, access, lease)
    if there is not None:
        handler, inner, own = there
        handler.revoke(inner, lease.record, own)
    lease_store.delete(txn, id, lease)


def _with(txn: Txn, ctx: Context, access: Access, lease: LeaseEntry) -> tuple[LeaseHandler, Txn, Context] | None:
    """What the engine needs to see of its lease. None: its mount is gone with all that it had."""
    entry: MountEntry | None = MOUNTS.get(txn, lease.mount)
    if entry is None:
        return None
    handler = access.registry.of(entry).leases.get(lease.kind)
    if handler is None:
        raise BadRequest(f"{entry.type} knows no leases of the kind {lease.kind!r}")
    mount = as_mount(entry, access.defaults)
    return handler, txn.at(mount.prefix), replace(ctx, mount=mount)


def _limits(ctx: Context) -> ttl.Limits:
    return ttl.Limits(default_s=ctx.mount.default_ttl_s, max_s=ctx.mount.max_ttl_s)
