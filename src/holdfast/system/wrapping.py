"""sys/wrapping: wrapping data, looking at a wrapping token, unwrapping and wrapping anew. Source: Vault API, "/sys/wrapping".

The three that are about a wrapping token are answered to whoever has it. Where it comes in the body, the asking token is another one: it
has to be allowed the path, and pays for it with a use.
"""
from typing import Annotated

import msgspec

from holdfast.core import acl, tokens, wrapping
from holdfast.core.policy import Capability
from holdfast.crypto import Secret
from holdfast.engine import Context, Input, Method, Output, Raw, Response, Route, Txn, doc, on
from holdfast.errors import BadRequest, InvalidToken, PermissionDenied, PolicyDenied


class WrappedInput(Input, frozen=True):
    token: Annotated[str | None, doc("The wrapping token; left out: the asking one.")] = None


class AnyData(Input, frozen=True):
    data: Annotated[msgspec.Raw, doc("Any JSON object.")]


class LookupOut(Output, frozen=True):
    creation_path: str
    creation_time: str
    creation_ttl: int


def wrap(txn: Txn, args: AnyData, ctx: Context) -> Response:
    """Wrap data as if they were an answer."""
    if not ctx.request.wrap_ttl_s:
        raise BadRequest("endpoint requires response wrapping to be used")
    return Response(data=args.data)


def lookup(txn: Txn, args: WrappedInput, ctx: Context) -> Response:
    """Show when, by which path and for how long something was wrapped."""
    info = wrapping.find(txn, _text(args, ctx), ctx.now_ms).info
    return Response(data=LookupOut(creation_path=info.creation_path, creation_time=info.creation_time, creation_ttl=info.creation_ttl))


def unwrap(txn: Txn, args: WrappedInput, ctx: Context) -> Raw:
    """Give what was wrapped, once."""
    wrapped = wrapping.find(txn, _text(args, ctx), ctx.now_ms)
    _check_asking(txn, args, ctx)
    return Raw(status=wrapped.status, body=wrapping.unwrap(txn, wrapped, ctx.now_ms))


def rewrap(txn: Txn, args: WrappedInput, ctx: Context) -> Response:
    """Wrap what was wrapped anew, under another token."""
    wrapped = wrapping.find(txn, _text(args, ctx), ctx.now_ms)
    _check_asking(txn, args, ctx)
    return wrapping.rewrap(txn, ctx, wrapped)


ROUTES = (
    Route("wrapping/wrap", "Wraps data.", {Method.POST: on(AnyData, wrap, whole_body="data")}),
    Route("wrapping/lookup", "What is known of something wrapped.", {
        Method.GET: on(WrappedInput, lookup, public=True), Method.POST: on(WrappedInput, lookup, public=True)}),
    Route("wrapping/unwrap", "Gives what was wrapped, once.", {Method.POST: on(WrappedInput, unwrap, public=True)}),
    Route("wrapping/rewrap", "Wraps what was wrapped anew.", {Method.POST: on(WrappedInput, rewrap, public=True)}),
)


def _text(args: WrappedInput, ctx: Context) -> Secret:
    text = Secret(args.token.encode()) if args.token is not None else ctx.request.token
    if text is None or not text.value:
        what = "token is empty" if args.token is None else "empty token in request body"
        raise PermissionDenied(f"error validating wrapping token: {what}")
    if text.value.count(b".") == 2 and text.value.startswith(b"eyJ"):
        raise BadRequest("wrapping tokens in JWT format are not supported")
    return text


def _check_asking(txn: Txn, args: WrappedInput, ctx: Context) -> None:
    request, token = ctx.request, ctx.token
    if not args.token or (request.token is not None and request.token.value == args.token.encode()):
        return                                           # the wrapping token asks for itself, and is used up by it
    if request.token is None:
        raise PermissionDenied
    if token is None:
        raise InvalidToken
    rules = acl.rules(txn, token.policies, token.entity_id, request.method, request.path)
    if not rules.is_root and Capability.UPDATE not in rules.capabilities:
        raise PolicyDenied
    if token.num_uses > 0 and not ctx.attempt.memo.spent:
        tokens.spend_use(txn, token.id, ctx.now_ms)
