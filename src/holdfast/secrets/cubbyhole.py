"""Cubbyhole: secrets of one token, seen by it alone and gone with it. Source: Vault API, secret/cubbyhole.

Invariants: (1) a token reaches nothing but `<its id>/…` below the mount, where the id is the keyed hash that names its records; (2) a value
comes back as it was written. Left to core: the mount itself, of which there is one; deleting `<id>/` when the token goes; and response
wrapping, which keeps the wrapped answer in the cubbyhole of the wrapping token: the key `<id>/response` below this mount's prefix holds
one JSON object, so that the token may also read it as `cubbyhole/response`.
"""

import msgspec

from holdfast.engine import Context, Engine, Method, Response, Route, Txn, listing, on
from holdfast.errors import BadRequest, NotFound
from holdfast.secrets import json_object
from holdfast.secrets.paths import AtPath, can_exist, check_writable, folder
from holdfast.secrets.whole_body import Write, body_of

UNWRAP_INSTEAD = ("Reading from 'cubbyhole/response' is deprecated. Please use sys/wrapping/unwrap to unwrap responses, as it provides "
                  "additional security checks and other benefits.")


def key(token_id: str, path: str) -> str:
    """Below the mount's prefix. `token_id`: of a service token."""
    return f"{token_id}/{path}"


def read(txn: Txn, args: AtPath, ctx: Context) -> Response:
    """Read a secret of this token."""
    owner = _owner(ctx)
    if not args.path:
        raise BadRequest("missing path")
    value = txn.get(key(owner, args.path)) if can_exist(args.path) else None
    if value is None:
        raise NotFound
    is_wrapped = args.path == "response" and ctx.token is not None and ctx.token.policies == ("response-wrapping",)
    return Response(data=msgspec.Raw(value), warnings=(UNWRAP_INSTEAD,) if is_wrapped else ())


def write(txn: Txn, args: Write, ctx: Context) -> Response:
    """Write a secret of this token, whole."""
    owner = _owner(ctx)
    check_writable(args.path, ctx)
    members = body_of(args)
    txn.put(key(owner, args.path), json_object.kept(members))
    return Response()


def delete(txn: Txn, args: AtPath, ctx: Context) -> Response:
    """Delete a secret of this token."""
    owner = _owner(ctx)
    if can_exist(args.path):
        txn.delete(key(owner, args.path))
    return Response()


def list_keys(txn: Txn, args: AtPath, ctx: Context) -> Response:
    """List this token's secrets and folders in a folder."""
    owner = _owner(ctx)
    return listing(txn.list(key(owner, folder(args.path))) if can_exist(args.path) else ())


def _owner(ctx: Context) -> str:
    if ctx.token is None or not ctx.token.id:
        raise BadRequest('cubbyhole operations are only supported by "service" type tokens')
    return ctx.token.id


CUBBYHOLE = Engine(type="cubbyhole", routes=(
    Route("*path", "Keeps any JSON object at any path, for this token alone. All of it goes when the token goes.", {
        Method.GET: on(AtPath, read),
        Method.LIST: on(AtPath, list_keys),
        Method.POST: on(Write, write, whole_body="data"),
        Method.DELETE: on(AtPath, delete),
    }),
))
