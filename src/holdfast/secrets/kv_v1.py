"""KV version 1: one value to a path. Source: Vault API, secret/kv/kv-v1.

Decides: what a read says of the value's time to live, which is a hint and no lease. Invariants: (1) a value comes back as it was written,
numbers included; (2) its key, `v1/<path>`, is the one below which version 2 looks for what was written before the mount's upgrade
(`kv_v2.store`), so an upgrade moves nothing. Left to others: policies, wrapping.
"""

import msgspec

from holdfast.engine import Context, Engine, Given, Lease, Method, Response, Route, Table, Txn, listing, on, seconds
from holdfast.engine.time import capped
from holdfast.errors import BadRequest, NotFound
from holdfast.secrets import json_object
from holdfast.secrets.paths import AtPath, can_exist, check_writable, folder
from holdfast.secrets.whole_body import Write, body_of


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    written_ms: int
    ttl_s: int = 0                                   # 0: it names none, the mount's default
    data: msgspec.Raw


ENTRIES = Table("v1/", Entry)                        # decrypted values are never cached


def read(txn: Txn, args: AtPath, ctx: Context) -> Response:
    """Read a secret."""
    entry = ENTRIES.get(txn, args.path) if can_exist(args.path) else None
    if entry is None:
        raise NotFound
    ttl_s, warnings = _ttl(entry, ctx)
    return Response(data=entry.data, lease=Lease(id="", duration_s=ttl_s, renewable=False), warnings=warnings)


def write(txn: Txn, args: Write, ctx: Context) -> Response:
    """Write a secret, whole."""
    check_writable(args.path, ctx)
    members = body_of(args)
    ENTRIES.put(txn, args.path, Entry(written_ms=ctx.now_ms, ttl_s=_named_ttl(members.get("ttl") or members.get("lease")),
                                      data=msgspec.Raw(json_object.kept(members))))
    return Response()


def delete(txn: Txn, args: AtPath, ctx: Context) -> Response:
    """Delete a secret."""
    if can_exist(args.path):
        ENTRIES.delete(txn, args.path)
    return Response()


def list_keys(txn: Txn, args: AtPath, ctx: Context) -> Response:
    """List the secrets and folders in a folder."""
    return listing(ENTRIES.list(txn, folder(args.path)) if can_exist(args.path) else ())


def exists(txn: Txn, given: Given) -> bool:
    return can_exist(given.path["path"]) and ENTRIES.get(txn, given.path["path"]) is not None


def _named_ttl(raw: msgspec.Raw | None) -> int:
    """The hint of a field `ttl` or `lease`; what cannot be read as one is data like any other."""
    if raw is None:
        return 0
    try:
        return seconds(msgspec.json.decode(raw, type=int | float | str), "ttl")
    except (msgspec.DecodeError, BadRequest):
        return 0


def _ttl(entry: Entry, ctx: Context) -> tuple[int, tuple[str, ...]]:
    mount, ttl_s = ctx.mount, entry.ttl_s
    if ttl_s <= mount.max_ttl_s:
        return ttl_s or mount.default_ttl_s, ()
    return mount.max_ttl_s, (capped("TTL", ttl_s, mount.max_ttl_s),)


KV_V1 = Engine(type="kv", version="1", routes=(
    Route("*path", "Keeps any JSON object at any path. A field `ttl` or `lease` in it tells readers when to read again; nothing is "
          "revoked then.", {
              Method.GET: on(AtPath, read),
              Method.LIST: on(AtPath, list_keys),
              Method.POST: on(Write, write, exists=exists, whole_body="data", writes=True),
              Method.DELETE: on(AtPath, delete, writes=True),
          }),
))
