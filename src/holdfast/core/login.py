"""Logging in: the lockout around an auth method's handler, and the token that its result becomes.

Invariants: (1) who is locked out does not reach the handler; (2) a login whose entity is known and whose token is a batch token writes
nothing; (3) no auth method makes a root token, nor one with a policy that core alone gives. Leaves who somebody is to the auth methods, and
what they may do to the policies.
"""
from collections.abc import Iterable

from msgspec.structs import replace

from holdfast.core import identity, lockout, token_create, ttl
from holdfast.core.mounts import Defaults
from holdfast.core.policy_store import DEFAULT, ROOT, UNASSIGNABLE
from holdfast.core.router import Hit
from holdfast.core.token_store import TokenEntry
from holdfast.core.tokens import BATCH_TYPE, SERVICE_TYPE, BatchClaims, merged
from holdfast.engine import Auth, Bound, Context, Login, Mount, Response, Result, TokenParams, TokenType, Txn
from holdfast.errors import BadRequest, LoginFailed
from holdfast.ids import Index, Millis


def guard(txn: Txn, inner: Txn, bound: Bound, hit: Hit, ctx: Context, defaults: Defaults) -> Result:
    """Runs the handler of a login, unless the identity is locked out. Raises PermissionDenied then, and what the handler raises."""
    rules = lockout.config(hit.entry, defaults)
    if rules is None or hit.entry is None or bound.alias is None:
        return bound.handler(inner, bound.args, ctx)
    name = lockout.check(txn, hit.entry, bound.alias, ctx.now_ms)
    try:
        result = bound.handler(inner, bound.args, ctx)
    except LoginFailed:
        lockout.failed(txn, ctx, name, bound.alias, rules)
        raise
    if isinstance(result, Response) and result.login is not None:
        lockout.succeeded(txn, ctx, name)
    return result


def issue(txn: Txn, hit: Hit, ctx: Context, response: Response) -> Response:
    """The response with the token that its login is worth. Raises BadRequest: what the method asks for cannot be."""
    login, mount = response.login, hit.mount
    assert login is not None, "only called for a login"
    entity = identity.log_in(txn, ctx.rng, mount, login.alias, login.metadata, now_ms=ctx.now_ms)
    policies = login_policies(login.token)
    kind = wanted_type(mount.token_type, login.token.type)
    limits = ttl.Limits(default_s=mount.default_ttl_s, max_s=mount.max_ttl_s)
    params = login.token
    life = ttl.life(limits, own_s=params.ttl_s, period_s=params.period_s, own_max_s=params.max_ttl_s,
                    explicit_max_s=params.explicit_max_ttl_s)
    auth = Auth(
        client_token=None, accessor="", policies=merged(policies, entity.policies), token_policies=policies,
        identity_policies=entity.policies, metadata=login.metadata or None, lease_duration=life.ttl_s,
        renewable=login.renewable and kind == SERVICE_TYPE, entity_id=entity.id, token_type=kind, orphan=True,
        num_uses=params.num_uses if kind == SERVICE_TYPE else 0, display_name=display_name(mount, login.display_name))
    warnings = (*response.warnings, *life.warnings)
    if kind == SERVICE_TYPE:
        auth = _service(txn, ctx, mount, login, auth)
    else:
        auth, warnings = _batch(txn, ctx, mount, login, auth), (*warnings, *_without_effect(params))
    return replace(response, login=None, auth=auth, warnings=warnings)


def login_policies(params: TokenParams) -> tuple[str, ...]:
    """The policies of a login's token. Raises BadRequest: it would be root, or core's own."""
    policies = sanitized(params.policies, add_default=not params.no_default_policy)
    if ROOT in policies:
        raise BadRequest("auth methods cannot create root tokens")
    check_assignable(policies)
    return policies


def check_assignable(policies: Iterable[str]) -> None:
    """Raises BadRequest: one of these no token is given that somebody asks for."""
    for name in policies:
        if name in UNASSIGNABLE:
            raise BadRequest(f'cannot assign policy "{name}"')


def sanitized(policies: Iterable[str], *, add_default: bool) -> tuple[str, ...]:
    """Lower case, each once, sorted; `root` stands alone."""
    names = {name.strip().lower() for name in policies} - {""}
    if ROOT in names:
        return (ROOT,)
    return tuple(sorted(names | {DEFAULT} if add_default else names))


def wanted_type(of_mount: TokenType, of_login: TokenType) -> str:
    """service or batch: the mount decides alone, or leaves it to the login and says what else."""
    if of_mount in (TokenType.SERVICE, TokenType.BATCH):
        return BATCH_TYPE if of_mount is TokenType.BATCH else SERVICE_TYPE
    if of_login in (TokenType.SERVICE, TokenType.DEFAULT_SERVICE):
        return SERVICE_TYPE
    if of_login in (TokenType.BATCH, TokenType.DEFAULT_BATCH):
        return BATCH_TYPE
    return BATCH_TYPE if of_mount is TokenType.DEFAULT_BATCH else SERVICE_TYPE


def display_name(mount: Mount, name: str) -> str:
    """Of the mount's path and the method's own name: "userpass-alice"."""
    return (mount.path.removeprefix("auth/").replace("/", "-") + name).removesuffix("-")


def _service(txn: Txn, ctx: Context, mount: Mount, login: Login, auth: Auth) -> Auth:
    params = login.token
    made = token_create.create(txn, ctx.rng, TokenEntry(
        accessor="", policies=auth.token_policies, path=ctx.request.path, created_ms=ctx.now_ms, index=token_create.UNSET,
        meta=login.metadata or None, display_name=auth.display_name, num_uses=params.num_uses,
        ttl_s=auth.lease_duration, expires_ms=Millis(ctx.now_ms + auth.lease_duration * 1000), renewable=auth.renewable,
        explicit_max_ttl_s=params.explicit_max_ttl_s, max_ttl_s=params.max_ttl_s, period_s=params.period_s,
        bound_cidrs=params.bound_cidrs, entity_id=auth.entity_id, mount=mount.uuid, alias=login.alias, internal=login.internal))
    return replace(auth, client_token=made.text, accessor=made.entry.accessor)


def _batch(txn: Txn, ctx: Context, mount: Mount, login: Login, auth: Auth) -> Auth:
    text = token_create.create_batch(txn, ctx.rng, BatchClaims(
        created_ms=ctx.now_ms, ttl_s=auth.lease_duration, policies=auth.token_policies, path=ctx.request.path, index=Index(0),
        meta=tuple(sorted(login.metadata.items())), display_name=auth.display_name, entity_id=auth.entity_id,
        mount=mount.uuid, bound_cidrs=login.token.bound_cidrs))
    return replace(auth, client_token=text)


def _without_effect(params: TokenParams) -> tuple[str, ...]:
    """What a role says that nothing can be counted for or renewed by: as in Vault it ends no login, but who logs in is told."""
    return tuple(f'"{name}" has no effect on a batch token' for name, value in (("num_uses", params.num_uses), ("period", params.period_s))
                 if value)


def refuse_for_batch(*, num_uses: int, period_s: int, explicit_max_s: int) -> None:
    """Raises BadRequest: something that only a stored token can have."""
    for name, value in (("explicit_max_ttl", explicit_max_s), ("num_uses", num_uses), ("period", period_s)):
        if value:
            raise BadRequest(f'batch tokens cannot have "{name}" set')
