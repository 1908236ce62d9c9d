"""sys/locked-users: who is locked out after failed logins, and ending that. Source: Vault API, "/sys/locked-users".

There is one namespace, the root. A lock whose time has passed is not shown, whether or not its record is gone yet.
"""
from collections.abc import Iterator
from typing import Annotated

from holdfast.core import lockout
from holdfast.core.mounts import load_mounts
from holdfast.engine import Context, Input, Method, Output, Response, Route, Txn, doc, on
from holdfast.errors import BadRequest


class ListInput(Input, frozen=True):
    mount_accessor: Annotated[str, doc("Accessor of an auth method: show its users alone.")] = ""


class UnlockInput(Input, frozen=True):
    mount_accessor: Annotated[str, doc("Accessor of the auth method.")]
    alias_identifier: Annotated[str, doc("The user as the method knows it: of userpass the name.")]


class OfMount(Output, frozen=True, kw_only=True):
    mount_accessor: str
    counts: int
    alias_identifiers: tuple[str, ...]


class OfNamespace(Output, frozen=True, kw_only=True):
    namespace_id: str = "root"
    namespace_path: str = ""
    counts: int
    mount_accessors: tuple[OfMount, ...]


class LockedUsers(Output, frozen=True, kw_only=True):
    by_namespace: tuple[OfNamespace, ...]
    total: int


def list_locked(txn: Txn, args: ListInput, ctx: Context) -> Response:
    """List who is locked out, the methods with the most such users first."""
    mounts = tuple(sorted(_mounts(txn, args.mount_accessor, ctx), key=lambda found: (-found.counts, found.mount_accessor)))
    total = sum(found.counts for found in mounts)
    return Response(data=LockedUsers(by_namespace=(OfNamespace(counts=total, mount_accessors=mounts),), total=total))


def unlock(txn: Txn, args: UnlockInput, ctx: Context) -> Response:
    """Let a user that is locked out log in again."""
    entry = txn.derive(load_mounts).by_accessor.get(args.mount_accessor)
    if entry is None:
        raise BadRequest(f"no auth method has the accessor {args.mount_accessor[:64]!r}")
    lockout.unlock(txn, ctx, entry, args.alias_identifier)
    return Response()


def _mounts(txn: Txn, accessor: str, ctx: Context) -> Iterator[OfMount]:
    for entry in txn.derive(load_mounts).by_path.values():
        if entry.type in lockout.LOCKABLE and accessor in ("", entry.accessor):
            aliases = lockout.locked(txn, entry, ctx.now_ms)
            if aliases or accessor:
                yield OfMount(mount_accessor=entry.accessor, counts=len(aliases), alias_identifiers=aliases)


ROUTES = (
    Route("locked-users", "Who is locked out after failed logins.", {Method.GET: on(ListInput, list_locked)}),
    Route("locked-users/:mount_accessor/unlock/*alias_identifier", "The end of a lock before its time.", {
        Method.POST: on(UnlockInput, unlock)}),
)
