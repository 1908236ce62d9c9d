"""sys/capabilities, sys/capabilities-self, sys/capabilities-accessor: what a token may do on which path. Source: Vault API, same names."""
from typing import Annotated

from holdfast.core import acl, tokens
from holdfast.crypto import Secret
from holdfast.engine import Context, Input, Method, Place, Response, Route, Strings, Token, Txn, doc, on, strings
from holdfast.errors import BadRequest
from holdfast.limits import CAPABILITY_PATHS_MAX
from holdfast.replica import Why


class PathsInput(Input, frozen=True):
    paths: Annotated[Strings, doc("Paths to be asked about.")] = None
    path: Annotated[Strings, doc("The old name of `paths`.")] = None


class TokenPathsInput(PathsInput, frozen=True):
    token: Annotated[str, doc("The token that would use the paths.")] = ""


class AccessorPathsInput(PathsInput, frozen=True):
    accessor: Annotated[str, doc("Accessor of the token that would use the paths.")] = ""


def of_self(txn: Txn, args: PathsInput, ctx: Context) -> Response:
    """Tell what the asking token may do on these paths."""
    assert ctx.token is not None, "the route asks for a token"
    return _answer(txn, ctx.token, args)


def of_token(txn: Txn, args: TokenPathsInput, ctx: Context) -> Response:
    """Tell what a token may do on these paths."""
    if not args.token:
        raise BadRequest("no token found")
    value = Secret(args.token.encode())
    principal = tokens.principal(txn, value)
    token = tokens.find(txn, principal) if principal is not None else None
    if token is None and tokens.is_ahead(txn, value):
        txn.need(Place.ACTIVE, Why.BEHIND)
    return _answer(txn, _valid(token, ctx, "invalid token"), args)


def of_accessor(txn: Txn, args: AccessorPathsInput, ctx: Context) -> Response:
    """Tell what the token of this accessor may do on these paths."""
    if not args.accessor:
        raise BadRequest("missing accessor")
    return _answer(txn, _valid(tokens.find_by_accessor(txn, args.accessor), ctx, "invalid accessor"), args)


ROUTES = (
    Route("capabilities", "What a token may do.", {Method.POST: on(TokenPathsInput, of_token, top_level=True)}),
    Route("capabilities-self", "What the asking token may do.", {Method.POST: on(PathsInput, of_self, top_level=True)}),
    Route("capabilities-accessor", "What the token of an accessor may do.", {
        Method.POST: on(AccessorPathsInput, of_accessor, top_level=True),
    }),
)


def _valid(token: Token | None, ctx: Context, refusal: str) -> Token:
    if token is None or not tokens.is_valid(token, ctx.now_ms):
        raise BadRequest(refusal)
    return token


def _answer(txn: Txn, token: Token, args: PathsInput) -> Response:
    paths = strings(args.paths) or strings(args.path)
    if not paths:
        raise BadRequest("paths must be supplied")
    if len(paths) > CAPABILITY_PATHS_MAX:
        raise BadRequest(f"at most {CAPABILITY_PATHS_MAX} paths can be asked about at once")
    found: dict[str, object] = {path: acl.capabilities(txn, token, path) for path in paths}
    if len(paths) == 1:
        found["capabilities"] = found[paths[0]]      # as it was before there could be several
    return Response(data=found)
