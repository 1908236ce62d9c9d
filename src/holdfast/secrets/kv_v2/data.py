"""`data/` and `subkeys/`: the values."""
from typing import Annotated

import msgspec

from holdfast.engine import Context, Given, Input, Response, Result, Txn, doc
from holdfast.engine.route import is_null
from holdfast.errors import BadRequest, NotFound
from holdfast.limits import JSON_INLINE_MAX_BYTES
from holdfast.secrets import json_object, merge_patch
from holdfast.secrets.json_object import NULL, Tree
from holdfast.secrets.kv_v2 import store
from holdfast.secrets.kv_v2.store import CONFIG, METADATA, NOT_FOUND
from holdfast.secrets.kv_v2.versions import Config, Metadata, check_cas
from holdfast.secrets.paths import check_writable


class Read(Input, frozen=True):
    path: Annotated[str, doc("Path of the secret.")]
    version: Annotated[int, doc("Version to read; 0, or less, is the latest.")] = 0


class Write(Input, frozen=True):
    path: Annotated[str, doc("Path of the secret.")]
    data: Annotated[msgspec.Raw, doc("The secret: any JSON object, kept as written.")] = msgspec.Raw()
    options: Annotated[msgspec.Raw, doc("Conditions: `cas`, the version that must be the current one; 0: none yet.")] = msgspec.Raw()


class AtPath(Input, frozen=True):
    path: Annotated[str, doc("Path of the secret.")]


class ReadSubkeys(Read, frozen=True):
    depth: Annotated[int, doc("Levels to show; 0: all.")] = 0


def read(txn: Txn, args: Read, ctx: Context) -> Response:
    """Read a version of a secret."""
    seen = store.seen(txn, args.path, args.version)
    if seen is None:
        raise NotFound
    if seen.gone_ms <= ctx.now_ms:
        return Response(status=404, data=msgspec.Raw(b'{"data":null' + seen.tail))
    return Response(data=msgspec.Raw(b"".join((b'{"data":', store.value(txn, seen), seen.tail))))


def write(txn: Txn, args: Write, ctx: Context) -> Response:
    """Write a new version of a secret."""
    check_writable(args.path, ctx)
    value = _sent(args)
    config, meta = CONFIG.get(txn) or Config(), store.find(txn, args.path)
    check_cas(_cas(args), meta, config)
    return _add_version(txn, ctx, args.path, meta, config, value)


def patch(txn: Txn, args: Write, ctx: Context) -> Result:
    """Write a new version made of the current one and a JSON merge patch."""
    merge_patch.check_media_type(ctx.request)
    changes = _sent(args)
    if changes == NULL:
        raise BadRequest("no data provided")
    config, meta = CONFIG.get(txn) or Config(), store.find(txn, args.path)
    if meta is None:
        return NOT_FOUND
    check_cas(_cas(args), meta, config)
    seen = store.view(txn, args.path, 0)
    if seen is None:
        return NOT_FOUND
    if seen.gone_ms <= ctx.now_ms:
        return Response(status=404, data=msgspec.Raw(msgspec.json.encode(store.shown(meta, 0))))
    return _add_version(txn, ctx, args.path, meta, config, merge_patch.patch(ctx, store.value(txn, seen), changes))


def delete_latest(txn: Txn, args: AtPath, ctx: Context) -> Response:
    """Delete the latest version; it can be undeleted."""
    meta = store.find(txn, args.path)
    latest = meta.at(0) if meta is not None else None
    if meta is None or latest is None or latest.gone_ms <= ctx.now_ms:
        return Response()
    meta = store.settled(txn, args.path, meta)
    METADATA.put(txn, args.path, meta.deleted((meta.current_version,), ctx.now_ms))
    return Response()


def read_subkeys(txn: Txn, args: ReadSubkeys, ctx: Context) -> Response:
    """Read the names in a version of a secret, without the values."""
    seen = store.seen(txn, args.path, args.version)
    if seen is None:
        raise NotFound
    if seen.gone_ms <= ctx.now_ms:
        return Response(status=404, data=msgspec.Raw(b'{"subkeys":null' + seen.tail))
    value = store.value(txn, seen)
    names = names_of(value, args.depth) if len(value) <= JSON_INLINE_MAX_BYTES else ctx.heavy(names_of, value, args.depth)
    return Response(data=msgspec.Raw(b'{"subkeys":' + names + seen.tail))


def names_of(value: bytes, depth: int) -> bytes:
    """The object with null for each value that is no object, for empty objects and for what lies deeper than `depth` (0: no limit)."""
    if value == NULL:
        return value
    top = json_object.tree(value, "data")
    pending: list[tuple[Tree, int]] = [(top, 1)]
    while pending:
        members, level = pending.pop()
        for name, member in members.items():
            if isinstance(member, dict) and member and (level < depth or not depth):
                pending.append((member, level + 1))
            else:
                members[name] = None
    return json_object.text_of(top)


def exists(txn: Txn, given: Given) -> bool:
    return store.find(txn, given.path["path"]) is not None


def _sent(args: Write) -> bytes:
    """The value as it is kept: an object, or null, which Vault keeps, too. Raises BadRequest."""
    if not args.data:
        raise BadRequest("no data provided")
    return NULL if is_null(args.data) else json_object.kept(json_object.fields(args.data, "data"))


def _cas(args: Write) -> msgspec.Raw | None:
    return json_object.fields(args.options, "options").get("cas") if args.options else None


def _add_version(txn: Txn, ctx: Context, path: str, meta: Metadata | None, config: Config, value: bytes) -> Response:
    if meta is None:
        meta = Metadata(created_ms=ctx.now_ms, updated_ms=ctx.now_ms)
    batch = txn.own_index
    meta, dropped = store.settled(txn, path, meta).with_new_version(config, ctx.now_ms, batch)
    txn.put(store.value_key(batch, meta.current_version), value)
    store.discard(txn, ctx, dropped)
    METADATA.put(txn, path, meta)
    return Response(data=msgspec.Raw(msgspec.json.encode(store.shown(meta, 0))))
