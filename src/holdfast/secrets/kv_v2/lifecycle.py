"""`delete/`, `undelete/`, `destroy/`: versions by number."""
from typing import Annotated

from holdfast.engine import Context, Ints, Response, Txn, doc, ints
from holdfast.errors import BadRequest
from holdfast.secrets.kv_v2 import store
from holdfast.secrets.kv_v2.store import CONFIG, METADATA
from holdfast.secrets.kv_v2.versions import Config, Metadata
from holdfast.secrets.paths import AtPath


class Versions(AtPath, frozen=True):
    versions: Annotated[Ints, doc("Numbers of the versions.")] = None


def delete(txn: Txn, args: Versions, ctx: Context) -> Response:
    """Delete versions; they can be undeleted."""
    numbers, meta = _named(txn, args)
    if meta is not None:
        meta = store.settled(txn, args.path, meta)
        METADATA.put(txn, args.path, meta.deleted(numbers, ctx.now_ms))
    return Response()


def undelete(txn: Txn, args: Versions, ctx: Context) -> Response:
    """Bring deleted versions back."""
    numbers, meta = _named(txn, args)
    if meta is not None:
        meta = store.settled(txn, args.path, meta)
        METADATA.put(txn, args.path, meta.undeleted(numbers, CONFIG.get(txn) or Config(), ctx.now_ms))
    return Response()


def destroy(txn: Txn, args: Versions, ctx: Context) -> Response:
    """Destroy the values of versions, for good."""
    numbers, meta = _named(txn, args, unnamed="no version number provided")
    if meta is not None:
        meta, lost = store.settled(txn, args.path, meta).destroyed(numbers)
        METADATA.put(txn, args.path, meta)
        store.discard(txn, ctx, lost)
    return Response()


def _named(txn: Txn, args: Versions, *, unnamed: str = "No version number provided") -> tuple[tuple[int, ...], Metadata | None]:
    """The numbers, and the metadata if any of them is held: else there is nothing to change."""
    numbers = ints(args.versions, "versions")
    if not numbers:
        raise BadRequest(unnamed)
    meta = store.find(txn, args.path)
    held = meta is not None and any(number > 0 and meta.at(number) is not None for number in numbers)
    return numbers, meta if held else None
