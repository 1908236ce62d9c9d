"""Response wrapping: the answer is kept for whoever holds a token of one use. Source: Vault, "Response wrapping".

Invariants: (1) a wrapped answer is unwrapped once, by the lane's order, however many ask at once; (2) it is kept in the cubbyhole of its
token, and goes with it; (3) its token has the policy `response-wrapping` alone, no parent, one use, and cannot be renewed.
"""
import msgspec

from holdfast.core import envelope, token_create, token_revoke, tokens
from holdfast.core.policy_store import RESPONSE_WRAPPING
from holdfast.core.token_store import ENTRIES, TokenEntry
from holdfast.crypto import Secret
from holdfast.engine import Context, Place, Response, Txn, WrapInfo
from holdfast.engine.time import rfc3339
from holdfast.errors import BadRequest
from holdfast.ids import Millis
from holdfast.replica import Why

INVALID = "wrapping token is not valid or does not exist"
RESPONSE, INFO = "response", "wrapinfo"


class KeptResponse(msgspec.Struct, frozen=True, omit_defaults=True):
    """In the cubbyhole, where its token may read it, too."""

    response: str                                    # the body, as it would have been sent
    status: int = 200


class KeptInfo(msgspec.Struct, frozen=True, kw_only=True):
    creation_path: str
    creation_time: str
    creation_ttl: int


class Wrapped(msgspec.Struct, frozen=True, kw_only=True):
    """A wrapped answer that waits."""

    token_id: str
    body: bytes
    status: int
    info: KeptInfo


def wrap(txn: Txn, ctx: Context, response: Response) -> Response:
    """The response as it is shown when the client asked for wrapping. What has nothing to show, and what failed, is not wrapped; a 404 that
    has something to show (a version of a secret that is gone) is, as in Vault, and comes out as one."""
    shows = response.data is not None or response.auth is not None or response.lease is not None or response.warnings
    if response.wrap_info is not None or not shows:
        return response
    ttl_s = ctx.request.wrap_ttl_s
    assert ttl_s is not None, "only called where it was asked for"
    accessor = response.auth.accessor if response.auth is not None else ""
    body = envelope.full(ctx.request, response, ctx.mount)
    kept = KeptResponse(body.decode(), response.status or 200)
    return Response(wrap_info=keep(txn, ctx, kept, path=ctx.request.path, ttl_s=ttl_s, wrapped_accessor=accessor))


def keep(txn: Txn, ctx: Context, kept: KeptResponse, *, path: str, ttl_s: int, wrapped_accessor: str = "") -> WrapInfo:
    """Keeps an answer for `ttl_s` under a new token. `path`: of the request that it answered."""
    made = token_create.create(txn, ctx.rng, TokenEntry(
        accessor="", policies=(RESPONSE_WRAPPING,), path=ctx.request.path, created_ms=ctx.now_ms, index=token_create.UNSET, num_uses=1,
        display_name=ctx.token.display_name if ctx.token is not None else "",
        ttl_s=ttl_s, explicit_max_ttl_s=ttl_s, expires_ms=Millis(ctx.now_ms + ttl_s * 1000)))
    info = KeptInfo(creation_path=path, creation_time=rfc3339(ctx.now_ms), creation_ttl=ttl_s)
    own = txn.at(token_revoke.cubbyhole_of(txn, made.id))
    own.put(RESPONSE, msgspec.json.encode(kept))
    own.put(INFO, msgspec.json.encode(info))
    return WrapInfo(token=made.text, accessor=made.entry.accessor, ttl=ttl_s, creation_time=info.creation_time, creation_path=path,
                    wrapped_accessor=wrapped_accessor)


def find(txn: Txn, text: Secret, now_ms: Millis) -> Wrapped:
    """What a wrapping token stands for. Raises BadRequest: it is none, or no longer one."""
    principal = tokens.principal(txn, text)
    entry = ENTRIES.get(txn, principal) if isinstance(principal, str) else None
    if entry is None and tokens.is_ahead(txn, text):
        txn.need(Place.ACTIVE, Why.BEHIND)
    if entry is None or not isinstance(principal, str) or entry.policies != (RESPONSE_WRAPPING,):
        raise BadRequest(INVALID)
    token = tokens.shown(txn, principal, entry)
    if token is None or not tokens.is_valid(token, now_ms):
        raise BadRequest(INVALID)
    own = txn.at(token_revoke.cubbyhole_of(txn, principal))
    body, info = own.get(RESPONSE), own.get(INFO)
    if body is None or info is None:
        raise BadRequest(INVALID)
    kept = msgspec.json.decode(body, type=KeptResponse)
    return Wrapped(token_id=principal, body=kept.response.encode(), status=kept.status, info=msgspec.json.decode(info, type=KeptInfo))


def unwrap(txn: Txn, wrapped: Wrapped, now_ms: Millis) -> bytes:
    """The body; from now on nobody gets it again."""
    token_revoke.revoke(txn, wrapped.token_id, now_ms)
    return wrapped.body


def rewrap(txn: Txn, ctx: Context, wrapped: Wrapped) -> Response:
    """The same answer under a new token, with a new life of the same length."""
    token_revoke.revoke(txn, wrapped.token_id, ctx.now_ms)
    kept = KeptResponse(wrapped.body.decode(), wrapped.status)
    return Response(wrap_info=keep(txn, ctx, kept, path=wrapped.info.creation_path, ttl_s=wrapped.info.creation_ttl))
