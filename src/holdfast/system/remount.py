"""sys/remount: a mount answers at another path. Source: Vault API, "/sys/remount".

All that a mount keeps is below its uuid, so moving it is one write. What it lent, and who it let in, ends: leases and tokens carry the old
path, as in Vault. A move is reported as being in progress until that is done.
"""
from typing import Annotated

import msgspec
from msgspec.structs import replace

from holdfast.core import leases, marks
from holdfast.core.mounts import MOUNTS, MountEntry, clean_path
from holdfast.engine import Context, Input, Method, Output, Response, Route, Table, Txn, doc, on
from holdfast.errors import BadRequest, NotFound
from holdfast.ids import Millis
from holdfast.limits import MOVES_KEPT
from holdfast.system.mount_table import PROTECTED, asked_path, table

PROTECTED_METHODS = ("auth/token/",)
MOVED = "the mount answers at its new path; what it lent is being revoked: see sys/remount/status"


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """A move, under the id of the mark that ends what was lent before it."""

    mount: str
    source: str
    target: str
    at_ms: Millis


MOVES = Table("core/move/", Move)


class RemountInput(Input, frozen=True, rename={"source": "from", "target": "to"}):
    source: Annotated[str, doc("Path of the mount; of an auth method with \"auth/\" before it.")] = ""
    target: Annotated[str, doc("Its new path.")] = ""


class StatusInput(Input, frozen=True):
    migration_id: Annotated[str, doc("What moving gave.")]


class RemountOut(Output, frozen=True):
    migration_id: str


class MoveOut(Output, frozen=True):
    source_mount: str
    target_mount: str
    status: str


class StatusOut(Output, frozen=True):
    migration_id: str
    migration_info: MoveOut


def remount(txn: Txn, args: RemountInput, ctx: Context) -> Response:
    """Move a mount to another path."""
    if not args.source or not args.target:
        raise BadRequest("both 'from' and 'to' path must be specified as a string")
    for name, text in (("from", args.source), ("to", args.target)):
        if text != text.strip(" "):
            raise BadRequest(f"'{name}' path cannot contain trailing whitespace")
    source, target = asked_path(args.source), asked_path(args.target)
    _check(source, target)
    entry = table(txn).by_path.get(source)
    if entry is None:
        raise BadRequest(f'no matching mount at "{source[:512]}"')
    other = table(txn).conflict(target)
    if other is not None:
        raise BadRequest(f'path already in use at "{other}"')
    MOUNTS.put(txn, entry.uuid, replace(entry, path=target))
    mark = leases.revoke_below(txn, ctx, source.rstrip("/"), force=False).mark
    MOVES.put(txn, mark, Move(mount=entry.uuid, source=source, target=target, at_ms=ctx.now_ms))
    _forget_old(txn)
    return Response(data=RemountOut(migration_id=mark), warnings=(MOVED,))


def status(txn: Txn, args: StatusInput, ctx: Context) -> Response:
    """Tell how far a move is."""
    move = MOVES.get(txn, args.migration_id)
    if move is None:
        raise NotFound
    going_on = marks.PREFIXES.exists(txn, args.migration_id)
    return Response(data=StatusOut(migration_id=args.migration_id, migration_info=MoveOut(
        source_mount=move.source, target_mount=move.target, status="in-progress" if going_on else "success")))


def former_paths(txn: Txn, entry: MountEntry) -> tuple[str, ...]:
    """Where a mount answered before, and leases of it may be left."""
    return tuple(sorted({move.source for move in MOVES.all(txn).values() if move.mount == entry.uuid} - {entry.path}))


ROUTES = (
    Route("remount", "Moves a mount to another path.", {Method.POST: on(RemountInput, remount, sudo=True, top_level=True)}),
    Route("remount/status/:migration_id", "How far a move is.", {Method.GET: on(StatusInput, status)}),
)


def _check(source: str, target: str) -> None:
    is_auth = source.startswith("auth/")
    if is_auth and not target.startswith("auth/"):
        raise BadRequest(f'cannot remount auth mount to non-auth mount "{target[:512]}"')
    protected = PROTECTED_METHODS if is_auth else PROTECTED
    if source.startswith(protected):
        raise BadRequest(f'cannot remount "{source[:512]}"')
    if target.startswith(protected):
        raise BadRequest(f'cannot remount to destination "{target[:512]}"')
    clean_path(target.removeprefix("auth/") if is_auth else target, is_auth=is_auth)


def _forget_old(txn: Txn) -> None:
    moves = MOVES.all(txn)
    for id in sorted(moves, key=lambda id: moves[id].at_ms)[:-MOVES_KEPT]:
        if not marks.PREFIXES.exists(txn, id):
            MOVES.delete(txn, id)
