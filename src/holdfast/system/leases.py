"""sys/leases and its old names: looking leases up, renewing and revoking them. Source: Vault API, "/sys/leases".

A token that expires has a lease id as well: the path of the request that made it, and its hash. It is shown and revoked by it, and by the
prefixes of it.
"""
from collections import Counter
from typing import Annotated

from msgspec import UNSET, UnsetType

from holdfast.core import leases, token_revoke, token_store, tokens
from holdfast.core.access import Access
from holdfast.core.lease_store import IRREVOCABLE, LEASES, LeaseEntry
from holdfast.core.mounts import MOUNTS
from holdfast.core.token_store import ENTRIES, TokenEntry
from holdfast.engine import (
    Context,
    Duration,
    Input,
    Method,
    Nothing,
    Output,
    Perform,
    Response,
    Result,
    Route,
    Txn,
    doc,
    listing,
    on,
    seconds,
)
from holdfast.engine.time import rfc3339
from holdfast.errors import BadRequest, NotFound, OutsideError
from holdfast.ids import Millis
from holdfast.limits import LEASES_COUNTED_MAX

TIDIED = Response(status=202, warnings=(
    "Tidy operation successfully started. Any information from the operation will be printed to Vault's server logs.",))
MORE = "There are more leases that could not be revoked than this answer lists."


class LeaseInput(Input, frozen=True):
    lease_id: Annotated[str, doc("Id of the lease.")] = ""
    url_lease_id: Annotated[str, doc("The id, in the path.")] = ""


class RenewInput(LeaseInput, frozen=True):
    increment: Annotated[Duration, doc("How long it is to live from now on.")] = None


class RevokeInput(LeaseInput, frozen=True):
    sync: Annotated[bool, doc("Answer only when the engine has revoked it, or could not.")] = True


class PrefixInput(Input, frozen=True):
    prefix: Annotated[str, doc("Beginning of lease ids.")] = ""
    sync: Annotated[bool, doc("Answer only when the engines have revoked them, or could not. They are dead in any case.")] = True


class ListInput(Input, frozen=True):
    type: Annotated[str, doc("\"irrevocable\": the leases that their engines could not revoke.")] = ""
    include_child_namespaces: Annotated[bool, doc("Of Vault Enterprise; without effect.")] = False
    limit: Annotated[str, doc("How many at most; \"none\": all.")] = ""


class LeaseOut(Output, frozen=True, kw_only=True):
    expire_time: str | None
    id: str
    issue_time: str
    last_renewal: str | None
    renewable: bool
    revoke_error: str | UnsetType = UNSET
    ttl: int


def lookup(txn: Txn, args: LeaseInput, ctx: Context) -> Response:
    """Show a lease."""
    id = asked_id(args)
    lease = leases.find(txn, id, ctx.now_ms)
    if lease is None:
        kept = LEASES.get(txn, id)
        lease = kept if kept is not None and kept.irrevocable else None
    if lease is not None:
        return Response(data=_shown(id, lease, ctx.now_ms))
    found = _token(txn, id, ctx.now_ms)
    if found is None:
        raise BadRequest("invalid lease")
    return Response(data=_token_shown(id, found[1], ctx.now_ms))


def list_below(txn: Txn, args: PrefixInput, ctx: Context) -> Response:
    """List the leases below a prefix, folder by folder."""
    prefix = args.prefix.strip("/") + "/" if args.prefix.strip("/") else ""
    return listing(sorted({*(LEASES.list(txn, prefix)), *(txn.list(token_store.PATHS + prefix))}))


def list_leases(txn: Txn, args: ListInput, ctx: Context) -> Response:
    """List the leases that could not be revoked, those that ended first before the others."""
    limit = _limit(args.limit)
    kept = sorted(_irrevocable(txn, args, limit + 1), key=lambda found: (found[1].expires_ms, found[0]))[:limit + 1]
    shown = [{"lease_id": id, "mount_id": _accessor(txn, lease), "error": lease.irrevocable} for id, lease in kept[:limit]]
    return Response(data={"lease_count": len(shown), "leases": shown}, warnings=(MORE,) if len(kept) > limit else ())


def count_leases(txn: Txn, args: ListInput, ctx: Context) -> Response:
    """Count the leases that could not be revoked."""
    counts = Counter(_accessor(txn, lease) for _, lease in _irrevocable(txn, args, LEASES_COUNTED_MAX))
    return Response(data={"lease_count": counts.total(), "counts": dict(counts)})


def tidy(txn: Txn, args: Nothing, ctx: Context) -> Response:
    """Look for remains of leases: there are none, for a lease and what finds it change together."""
    return TIDIED


def routes(access: Access) -> tuple[Route, ...]:
    """The routes below sys/."""

    def renew(txn: Txn, args: RenewInput, ctx: Context) -> Response:
        """Let a lease live on."""
        id = asked_id(args)
        if _token(txn, id, ctx.now_ms) is not None:
            raise BadRequest("tokens cannot be renewed through this endpoint")
        return leases.renew(txn, ctx, access, id, increment_s=seconds(args.increment, "increment"))

    def revoke(txn: Txn, args: RevokeInput, ctx: Context) -> Response:
        """Revoke a lease."""
        id = asked_id(args)
        token = _token(txn, id, ctx.now_ms)
        if token is not None:
            token_revoke.revoke(txn, token[0], ctx.now_ms)
        else:
            try:
                leases.revoke(txn, ctx, access, id, sync=args.sync)
            except OutsideError as error:                # whoever waits is told, and tries again; no client does by itself
                raise BadRequest(f"failed to revoke entry: {error}") from error
        return Response(status=204 if args.sync else 202)

    def revoke_prefix(txn: Txn, args: PrefixInput, ctx: Context) -> Result:
        """Revoke all leases below a prefix."""
        awaited = leases.revoke_below(txn, ctx, _path_of(args), force=False)
        return Perform(awaited) if args.sync else Response(status=202)

    def revoke_force(txn: Txn, args: PrefixInput, ctx: Context) -> Result:
        """Revoke all leases below a prefix; those that their engine cannot revoke are forgotten."""
        return Perform(leases.revoke_below(txn, ctx, _path_of(args), force=True))

    by_id = {"renew": on(RenewInput, renew), "revoke": on(RevokeInput, revoke), "lookup": on(LeaseInput, lookup)}
    by_prefix = {"revoke-prefix": on(PrefixInput, revoke_prefix, sudo=True), "revoke-force": on(PrefixInput, revoke_force, sudo=True)}
    return (
        Route("leases", "Leases that could not be revoked.", {Method.GET: on(ListInput, list_leases, sudo=True)}),
        Route("leases/count", "How many leases could not be revoked.", {Method.GET: on(ListInput, count_leases)}),
        Route("leases/tidy", "Looks for remains of leases.", {Method.POST: on(Nothing, tidy)}),
        Route("leases/lookup", "One lease, or those below a prefix.", {
            Method.POST: by_id["lookup"], Method.LIST: on(PrefixInput, list_below, sudo=True)}),
        Route("leases/lookup/*prefix", "Leases below a prefix.", {Method.LIST: on(PrefixInput, list_below, sudo=True)}),
        *(Route(f"{folder}{name}{tail}", "Renews or revokes a lease.", {Method.POST: by_id[name]})
          for folder in ("leases/", "") for name in ("renew", "revoke") for tail in ("", "/*url_lease_id")),
        *(Route(f"{folder}{name}/*prefix", "Revokes all leases below a prefix.", {Method.POST: op})
          for folder in ("leases/", "") for name, op in by_prefix.items()),
    )


def asked_id(args: LeaseInput) -> str:
    """The id, from the body or the path. Raises BadRequest: there is none."""
    id = args.lease_id or args.url_lease_id
    if not id:
        raise BadRequest("lease_id must be specified")
    return id


def _path_of(args: PrefixInput) -> str:
    path = args.prefix.strip("/")
    if not path:
        raise BadRequest("a prefix must be specified")
    return path


def _token(txn: Txn, id: str, now_ms: Millis) -> tuple[str, TokenEntry] | None:
    """The living token that this lease id is about."""
    path, _, name = id.rpartition("/")
    entry = ENTRIES.get(txn, name) if name else None
    if entry is None or entry.path != path or entry.expires_ms is None:
        return None
    token = tokens.shown(txn, name, entry)
    return (name, entry) if token is not None and tokens.is_valid(token, now_ms) else None


def _shown(id: str, lease: LeaseEntry, now_ms: Millis) -> LeaseOut:
    return LeaseOut(
        expire_time=rfc3339(lease.expires_ms), id=id, issue_time=rfc3339(lease.issued_ms),
        last_renewal=rfc3339(lease.renewed_ms) if lease.renewed_ms else None,
        renewable=lease.renewable and not lease.irrevocable, revoke_error=lease.irrevocable or UNSET,
        ttl=max((lease.expires_ms - now_ms + 500) // 1000, 0))


def _token_shown(id: str, entry: TokenEntry, now_ms: Millis) -> LeaseOut:
    assert entry.expires_ms is not None, "it has a lease id"
    return LeaseOut(
        expire_time=rfc3339(entry.expires_ms), id=id, issue_time=rfc3339(entry.created_ms),
        last_renewal=rfc3339(entry.renewed_ms) if entry.renewed_ms else None, renewable=entry.renewable,
        ttl=max((entry.expires_ms - now_ms + 500) // 1000, 0))


def _irrevocable(txn: Txn, args: ListInput, limit: int) -> list[tuple[str, LeaseEntry]]:
    """Raises NotFound: of another kind there are no lists."""
    if args.type.lower() != "irrevocable":
        raise NotFound
    names = txn.names(IRREVOCABLE, limit=limit)
    return [(id, lease) for id in names if (lease := LEASES.get(txn, id)) is not None]


def _accessor(txn: Txn, lease: LeaseEntry) -> str:
    """Of its mount, which stays until all of its leases have gone."""
    entry = MOUNTS.get(txn, lease.mount)
    return entry.accessor if entry is not None else ""


def _limit(text: str) -> int:
    """How many leases one answer lists. Raises BadRequest."""
    if text.lower() in ("", "none"):
        return LEASES_COUNTED_MAX
    if not text.isascii() or not text.isdigit() or not int(text[:18]):
        raise BadRequest("limit must be 'none' or a positive integer")
    return min(int(text[:18]), LEASES_COUNTED_MAX)
