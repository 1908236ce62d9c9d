"""auth/token: looking tokens up, renewing and revoking them. Making them: `token_create`; their roles: `token_roles`.

Source: Vault API, auth/token. Invariants: (1) an answer never shows a token to who did not give it; (2) a token that is dead in any way is
not found; (3) revoking is true for everybody when it is answered, however many tokens it ends.
"""
from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from holdfast.core import identity, token_renew, token_revoke, token_store, tokens
from holdfast.core.access import Access
from holdfast.core.token_store import ACCESSORS, ENTRIES
from holdfast.core.tokens import BATCH_TYPE, SERVICE_TYPE, BatchClaims, Principal
from holdfast.crypto import Secret
from holdfast.engine import (
    Context,
    Duration,
    Engine,
    Input,
    Method,
    Nothing,
    Output,
    Place,
    Response,
    Route,
    Token,
    Txn,
    doc,
    listing,
    on,
    seconds,
)
from holdfast.engine.time import rfc3339
from holdfast.errors import BadRequest, PermissionDenied
from holdfast.ids import Millis
from holdfast.replica import Why
from holdfast.system import token_create, token_roles
from holdfast.system.leases import TIDIED


class TokenInput(Input, frozen=True):
    token: Annotated[str, doc("The token; left out: the asking one.")] = ""


class GivenToken(Input, frozen=True):
    token: Annotated[str, doc("The token.")] = ""


class AccessorInput(Input, frozen=True):
    accessor: Annotated[str, doc("Accessor of the token.")] = ""


class LookupSelfInput(Input, frozen=True):
    token: Annotated[str, doc("Accepted, without effect.")] = ""


class RenewInput(GivenToken, frozen=True):
    increment: Annotated[Duration, doc("How long it is to live from now on.")] = None


class RenewSelfInput(LookupSelfInput, frozen=True):
    increment: Annotated[Duration, doc("How long it is to live from now on.")] = None


class RenewAccessorInput(AccessorInput, frozen=True):
    increment: Annotated[Duration, doc("How long it is to live from now on.")] = None


class TokenOut(Output, frozen=True, kw_only=True):
    """A token as it is shown; of its parent only whether there is one."""

    accessor: str
    bound_cidrs: tuple[str, ...] | UnsetType = UNSET
    creation_time: int
    creation_ttl: int
    display_name: str
    entity_id: str
    expire_time: str | None
    explicit_max_ttl: int
    id: str
    identity_policies: tuple[str, ...] | UnsetType = UNSET
    issue_time: str | UnsetType = UNSET
    last_renewal: str | UnsetType = UNSET
    last_renewal_time: int | UnsetType = UNSET
    meta: Mapping[str, str] | None
    num_uses: int
    orphan: bool
    path: str
    period: int | UnsetType = UNSET
    policies: tuple[str, ...]
    renewable: bool | UnsetType = UNSET
    role: str | UnsetType = UNSET
    ttl: int
    type: str


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A living token: what it is for requests, and its record or claims."""

    principal: Principal
    token: Token


def lookup(txn: Txn, args: TokenInput, ctx: Context) -> Response:
    """Show a token."""
    text = args.token or _own(ctx)
    found = find(txn, ctx, text)
    if found is None:
        raise PermissionDenied("bad token")
    return Response(data=shown(txn, found, ctx.now_ms, id=text))


def lookup_self(txn: Txn, args: LookupSelfInput, ctx: Context) -> Response:
    """Show the asking token."""
    text = _own(ctx)
    principal = tokens.principal(txn, Secret(text.encode()))
    assert ctx.token is not None, "the route asks for a token"
    return Response(data=shown(txn, Found(principal=principal, token=ctx.token), ctx.now_ms, id=text))


def lookup_accessor(txn: Txn, args: AccessorInput, ctx: Context) -> Response:
    """Show the token of an accessor, but not the token itself."""
    return Response(data=shown(txn, _of_accessor(txn, args.accessor, ctx), ctx.now_ms, id=""))


def list_accessors(txn: Txn, args: Nothing, ctx: Context) -> Response:
    """List the accessors of all service tokens."""
    return listing(sorted(entry.accessor for entry in ACCESSORS.all(txn).values()))


def revoke(txn: Txn, args: GivenToken, ctx: Context) -> Response:
    """Revoke a token and all below it."""
    if not args.token:
        raise BadRequest("missing token ID")
    found = find(txn, ctx, args.token)
    if found is not None:
        token_revoke.revoke(txn, _service_id(found, "batch tokens cannot be revoked"), ctx.now_ms)
    return Response()


def revoke_self(txn: Txn, args: Nothing, ctx: Context) -> Response:
    """Revoke the asking token and all below it."""
    assert ctx.token is not None, "the route asks for a token"
    if ctx.token.type == BATCH_TYPE:
        raise BadRequest("batch tokens cannot be revoked")
    token_revoke.revoke(txn, ctx.token.id, ctx.now_ms)
    return Response()


def revoke_accessor(txn: Txn, args: AccessorInput, ctx: Context) -> Response:
    """Revoke the token of an accessor and all below it."""
    if not args.accessor:
        raise BadRequest("missing accessor")
    token = tokens.find_by_accessor(txn, args.accessor)
    if token is None or not tokens.is_valid(token, ctx.now_ms):
        return Response(warnings=("No token found with this accessor",))
    token_revoke.revoke(txn, token.id, ctx.now_ms)
    return Response()


def revoke_orphan(txn: Txn, args: GivenToken, ctx: Context) -> Response:
    """Revoke a token alone: its children live on without a parent."""
    assert ctx.token is not None, "the route asks for a token"
    if not args.token:
        raise BadRequest("missing token ID")
    if not token_create.has_sudo(txn, ctx, ctx.token):
        raise BadRequest("root or sudo privileges required to revoke and orphan")
    found = find(txn, ctx, args.token)
    if found is None:
        raise BadRequest("token to revoke not found")
    token_revoke.revoke_alone(txn, _service_id(found, "batch tokens cannot be revoked"), ctx.now_ms)
    return Response()


def tidy(txn: Txn, args: Nothing, ctx: Context) -> Response:
    """Look for remains of tokens: there are none, for a token and what finds it change together."""
    return TIDIED


def find(txn: Txn, ctx: Context, text: str) -> Found | None:
    """The living token of this text. One that only a newer state knows is looked for there."""
    value = Secret(text.encode())
    principal = tokens.principal(txn, value)
    token = tokens.find(txn, principal)
    if token is None and tokens.is_ahead(txn, value):
        txn.need(Place.ACTIVE, Why.BEHIND)
    if token is None or not tokens.is_valid(token, ctx.now_ms):
        return None
    return Found(principal=principal, token=token)


def shown(txn: Txn, found: Found, now_ms: Millis, *, id: str) -> TokenOut:
    """As a lookup shows it; `id` is what it is given for the token itself."""
    principal = found.principal
    if isinstance(principal, BatchClaims):
        return _batch_shown(txn, principal, now_ms, id)
    entry = ENTRIES.get(txn, principal)
    assert entry is not None, "it was found"
    return TokenOut(
        accessor=entry.accessor, bound_cidrs=entry.bound_cidrs or UNSET, creation_time=entry.created_ms // 1000,
        creation_ttl=entry.ttl_s, display_name=entry.display_name, entity_id=entry.entity_id,
        expire_time=rfc3339(entry.expires_ms) if entry.expires_ms is not None else None, explicit_max_ttl=entry.explicit_max_ttl_s,
        id=id, identity_policies=_identity_policies(txn, entry.entity_id),
        issue_time=rfc3339(entry.created_ms) if entry.expires_ms else UNSET,
        last_renewal=rfc3339(entry.renewed_ms) if entry.renewed_ms else UNSET,
        last_renewal_time=entry.renewed_ms // 1000 if entry.renewed_ms else UNSET, meta=entry.meta, num_uses=entry.num_uses,
        orphan=token_store.is_orphan(txn, entry), path=entry.path, period=entry.period_s or UNSET, policies=entry.policies,
        renewable=entry.renewable if entry.expires_ms else UNSET, role=entry.role or UNSET, ttl=_left_s(entry.expires_ms, now_ms),
        type=SERVICE_TYPE)


def _batch_shown(txn: Txn, claims: BatchClaims, now_ms: Millis, id: str) -> TokenOut:
    return TokenOut(
        accessor="", bound_cidrs=claims.bound_cidrs or UNSET, creation_time=claims.created_ms // 1000, creation_ttl=claims.ttl_s,
        display_name=claims.display_name, entity_id=claims.entity_id, expire_time=rfc3339(claims.expires_ms), explicit_max_ttl=0, id=id,
        identity_policies=_identity_policies(txn, claims.entity_id), issue_time=rfc3339(claims.created_ms),
        meta=dict(claims.meta) or None, num_uses=0, orphan=not claims.parent, path=claims.path, policies=claims.policies, renewable=False,
        role=claims.role or UNSET, ttl=_left_s(claims.expires_ms, now_ms), type=BATCH_TYPE)


def _identity_policies(txn: Txn, entity_id: str) -> tuple[str, ...] | UnsetType:
    known = identity.standing(txn, entity_id)
    return known.policies or UNSET if known is not None else UNSET


def _left_s(expires_ms: Millis | None, now_ms: Millis) -> int:
    return 0 if expires_ms is None else max((expires_ms - now_ms + 500) // 1000, 0)


def _own(ctx: Context) -> str:
    assert ctx.request.token is not None, "the route asks for a token"
    return ctx.request.token.value.decode("utf-8", "replace")


def _service_id(found: Found, refusal: str) -> str:
    if isinstance(found.principal, BatchClaims):
        raise BadRequest(refusal)
    return found.principal


def _of_accessor(txn: Txn, accessor: str, ctx: Context) -> Found:
    if not accessor:
        raise BadRequest("missing accessor")
    token = tokens.find_by_accessor(txn, accessor)
    if token is None or not tokens.is_valid(token, ctx.now_ms):
        raise BadRequest("invalid accessor")
    return Found(principal=token.id, token=token)


def build(access: Access) -> Engine:
    """The token method. It stands at the root of the store, on core's own records."""

    def renewed(txn: Txn, ctx: Context, found: Found, increment: Duration, text: str) -> Response:
        id = _service_id(found, "batch tokens cannot be renewed")
        entry = ENTRIES.get(txn, id)
        assert entry is not None, "it was found"
        return token_renew.renew(txn, ctx, access, id, entry, increment_s=seconds(increment, "increment"),
                                 text=Secret(text.encode()) if text else None)

    def renew(txn: Txn, args: RenewInput, ctx: Context) -> Response:
        """Let a token live on."""
        if not args.token:
            raise BadRequest("missing token ID")
        found = find(txn, ctx, args.token)
        if found is None:
            raise BadRequest("token not found")
        return renewed(txn, ctx, found, args.increment, args.token)

    def renew_self(txn: Txn, args: RenewSelfInput, ctx: Context) -> Response:
        """Let the asking token live on."""
        text = _own(ctx)
        assert ctx.token is not None, "the route asks for a token"
        return renewed(txn, ctx, Found(principal=tokens.principal(txn, Secret(text.encode())), token=ctx.token), args.increment, text)

    def renew_accessor(txn: Txn, args: RenewAccessorInput, ctx: Context) -> Response:
        """Let the token of an accessor live on; the answer does not show it."""
        return renewed(txn, ctx, _of_accessor(txn, args.accessor, ctx), args.increment, "")

    return Engine(type="token", is_auth=True, at_root=True, routes=(
        Route("create", "Makes a token.", {Method.POST: on(token_create.CreateInput, token_create.create, any_case=True)}),
        Route("create-orphan", "Makes a token without a parent.", {
            Method.POST: on(token_create.CreateInput, token_create.create_orphan, any_case=True)}),
        Route("create/:role_name", "Makes a token as a role says.", {
            Method.POST: on(token_create.CreateForRole, token_create.create_for_role, any_case=True)}),
        Route("lookup", "What a token is.", {Method.GET: on(TokenInput, lookup), Method.POST: on(TokenInput, lookup)}),
        Route("lookup-self", "What the asking token is.", {
            Method.GET: on(LookupSelfInput, lookup_self), Method.POST: on(LookupSelfInput, lookup_self)}),
        Route("lookup-accessor", "What the token of an accessor is.", {Method.POST: on(AccessorInput, lookup_accessor)}),
        Route("renew", "Renews a token.", {Method.POST: on(RenewInput, renew)}),
        Route("renew-self", "Renews the asking token.", {Method.POST: on(RenewSelfInput, renew_self)}),
        Route("renew-accessor", "Renews the token of an accessor.", {Method.POST: on(RenewAccessorInput, renew_accessor)}),
        Route("revoke", "Revokes a token and all below it.", {Method.POST: on(GivenToken, revoke)}),
        Route("revoke-self", "Revokes the asking token and all below it.", {Method.POST: on(Nothing, revoke_self)}),
        Route("revoke-accessor", "Revokes the token of an accessor and all below it.", {Method.POST: on(AccessorInput, revoke_accessor)}),
        Route("revoke-orphan", "Revokes a token alone.", {Method.POST: on(GivenToken, revoke_orphan)}),
        Route("accessors", "The accessors of all service tokens.", {Method.LIST: on(Nothing, list_accessors, sudo=True)}),
        Route("tidy", "Looks for remains of tokens.", {Method.POST: on(Nothing, tidy)}),
        *token_roles.ROUTES,
    ))


