"""auth/token/create, create-orphan, create/:role: tokens that a token makes. Source: Vault API, auth/token; Vault, "Tokens".

Invariants: (1) a child has no policy that its parent has not, unless the parent has sudo here or a role allows it; (2) only a root token
makes a root token, and one that expires makes none that does not; (3) a token that ends with its uses, and a batch token, make none.
"""
import re
from fnmatch import fnmatchcase
from typing import Annotated

import msgspec
from msgspec.structs import replace

from holdfast.core import acl, identity, policy_store, token_create, token_renew, ttl
from holdfast.core.login import check_assignable, refuse_for_batch, sanitized
from holdfast.core.policy import Capability
from holdfast.core.policy_store import DEFAULT, ROOT
from holdfast.core.token_roles import ROLES, TokenRole
from holdfast.core.token_store import ENTRIES, TokenEntry
from holdfast.core.tokens import BATCH_TYPE, BatchClaims, merged
from holdfast.engine import (
    Auth,
    Context,
    Duration,
    Input,
    Integer,
    Response,
    Strings,
    Token,
    TokenType,
    Txn,
    doc,
    seconds,
    signed_seconds,
    strings,
)
from holdfast.errors import BadRequest, PermissionDenied
from holdfast.ids import Index, Millis

_ODD = re.compile(r"[^a-zA-Z0-9-]")


class CreateInput(Input, frozen=True):
    id: Annotated[str, doc("The token itself; for who has sudo here. Left out: a random one.")] = ""
    policies: Annotated[Strings, doc("Policies of the token; none: its parent's.")] = None
    meta: Annotated[dict[str, str] | None, doc("Shown in audit entries and lookups.")] = None
    no_parent: Annotated[bool, doc("Without a parent; for who has sudo here.")] = False
    no_default_policy: Annotated[bool, doc("Without the policy `default`.")] = False
    renewable: Annotated[bool, doc("Whether it can be renewed.")] = True
    ttl: Annotated[Duration, doc("Time to live; none: the system's default.")] = None
    lease: Annotated[Duration, doc("Old name of ttl.")] = None
    type: Annotated[str, doc("`service` or `batch`.")] = ""
    explicit_max_ttl: Annotated[Duration, doc("Longest time to live, with all renewals, whatever is tuned later.")] = None
    display_name: Annotated[str, doc("Shown in audit entries and lookups, after \"token-\".")] = ""
    num_uses: Annotated[Integer, doc("How often it may be used; 0: without limit.")] = 0
    period: Annotated[Duration, doc("Makes it periodic; for who has sudo here.")] = None
    entity_alias: Annotated[str, doc("Alias of the entity that it belongs to; with a role that allows it.")] = ""


class CreateForRole(CreateInput, frozen=True, kw_only=True):
    role_name: Annotated[str, doc("Name of the role.")]


def create(txn: Txn, args: CreateInput, ctx: Context) -> Response:
    """Make a token below the asking one."""
    return _create(txn, args, ctx, role=None, orphan=False)


def create_orphan(txn: Txn, args: CreateInput, ctx: Context) -> Response:
    """Make a token without a parent."""
    return _create(txn, args, ctx, role=None, orphan=True)


def create_for_role(txn: Txn, args: CreateForRole, ctx: Context) -> Response:
    """Make a token as a role says."""
    role = ROLES.get(txn, args.role_name)
    if role is None:
        raise BadRequest(f"unknown role {args.role_name[:80]}")
    return _create(txn, args, ctx, role=role, orphan=False)


def _create(txn: Txn, args: CreateInput, ctx: Context, *, role: TokenRole | None, orphan: bool) -> Response:
    asking = ctx.token
    assert asking is not None, "the route asks for a token"
    parent, sudo = _parent(txn, asking), has_sudo(txn, ctx, asking)
    _check_privileges(args, role, sudo=sudo)
    is_batch = _is_batch(args, role)
    policies = _policies(args, role, parent, sudo=sudo)
    _check_root(policies, parent, is_batch=is_batch)
    is_orphan = role.orphan if role is not None else orphan or args.no_parent
    entity_id = _entity_of_alias(txn, ctx, args.entity_alias, role) or ("" if is_orphan else parent.entity_id)
    wanted = _times(args, role, is_batch=is_batch)
    ttl_s, warnings = _ttl(ctx, wanted, is_root=ROOT in policies)
    if not ttl_s and parent.expires_ms is not None:
        raise BadRequest("expiring root tokens cannot create non-expiring root tokens")
    entry = TokenEntry(
        accessor="", policies=policies, path=_path(ctx, role), created_ms=ctx.now_ms, index=token_create.UNSET, meta=args.meta,
        display_name=_display_name(args.display_name), num_uses=_least(args.num_uses, role.num_uses if role is not None else 0),
        ttl_s=ttl_s, expires_ms=Millis(ctx.now_ms + ttl_s * 1000) if ttl_s else None,
        renewable=args.renewable and (role is None or role.renewable) and ttl_s > 0 and not is_batch,
        explicit_max_ttl_s=seconds(args.explicit_max_ttl, "explicit_max_ttl"), period_s=seconds(args.period, "period"),
        bound_cidrs=_cidrs(role, parent, is_orphan) if ttl_s else (), parent="" if is_orphan else asking.id, entity_id=entity_id,
        role=role.name if role is not None else "")
    auth = _make_batch(txn, ctx, entry) if is_batch else _make_service(txn, ctx, entry, args.id)
    missing = tuple(f'Policy "{name}" does not exist' for name in policies if name != ROOT and policy_store.text(txn, name) is None)
    return Response(auth=auth, warnings=(*wanted.warnings, *warnings, *missing))


def _check_privileges(args: CreateInput, role: TokenRole | None, *, sudo: bool) -> None:
    for name in ("explicit_max_ttl", "period", "ttl", "lease"):
        if signed_seconds(getattr(args, name), name) < 0:
            raise BadRequest(f"{name} must be positive")
    if args.num_uses < 0:
        raise BadRequest("number of uses cannot be negative")
    if args.id and not sudo:
        raise BadRequest("root or sudo privileges required to specify token id")
    if args.no_parent and role is None and not sudo:
        raise BadRequest("root or sudo privileges required to create orphan token")
    if seconds(args.period, "period") and not sudo:
        raise BadRequest("root or sudo privileges required to create periodic token")


def _check_root(policies: tuple[str, ...], parent: TokenEntry, *, is_batch: bool) -> None:
    if ROOT in policies and not parent.is_root:
        raise BadRequest("root tokens may not be created without parent token being root")
    if ROOT in policies and is_batch:
        raise BadRequest("batch tokens cannot be root tokens")


def has_sudo(txn: Txn, ctx: Context, token: Token) -> bool:
    """Root, or sudo on the path of this request."""
    rules = acl.rules(txn, token.policies, token.entity_id, ctx.request.method, ctx.request.path)
    return rules.is_root or Capability.SUDO in rules.capabilities


def _parent(txn: Txn, asking: Token) -> TokenEntry:
    if asking.type == BATCH_TYPE:
        raise BadRequest("batch tokens cannot create more tokens")
    if asking.num_uses:
        raise BadRequest("restricted use token cannot generate child tokens")
    parent = ENTRIES.get(txn, asking.id)
    if parent is None:
        raise BadRequest("parent token lookup failed: no parent found")
    return parent


def _is_batch(args: CreateInput, role: TokenRole | None) -> bool:
    asked = args.type
    if role is not None and role.type in (TokenType.SERVICE, TokenType.BATCH):
        asked = role.type.value
    elif not asked and role is not None and role.type is TokenType.DEFAULT_BATCH:
        asked = BATCH_TYPE
    if asked not in ("", "service", BATCH_TYPE):
        raise BadRequest("invalid 'token_type' value")
    if asked != BATCH_TYPE:
        return False
    refuse_for_batch(num_uses=args.num_uses, period_s=seconds(args.period, "period"),
                     explicit_max_s=seconds(args.explicit_max_ttl, "explicit_max_ttl"))
    return True


class Times(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for, by the request and by its role; the lesser counts."""

    ttl_s: int
    period_s: int
    explicit_max_s: int
    warnings: tuple[str, ...]


def _times(args: CreateInput, role: TokenRole | None, *, is_batch: bool) -> Times:
    period_s, explicit_max_s = seconds(args.period, "period"), seconds(args.explicit_max_ttl, "explicit_max_ttl")
    warnings: list[str] = []
    if role is not None and not is_batch:
        both = "specified both during creation call and in role; using the lesser value of"
        if explicit_max_s and role.explicit_max_ttl_s:
            warnings.append(f"Explicit max TTL {both} {min(explicit_max_s, role.explicit_max_ttl_s)} seconds")
        if period_s and role.period_s:
            warnings.append(f"Period {both} {min(period_s, role.period_s)} seconds")
        period_s, explicit_max_s = _least(period_s, role.period_s), _least(explicit_max_s, role.explicit_max_ttl_s)
    return Times(ttl_s=seconds(args.ttl, "ttl") or seconds(args.lease, "lease"), period_s=period_s, explicit_max_s=explicit_max_s,
                 warnings=tuple(warnings))


def _ttl(ctx: Context, wanted: Times, *, is_root: bool) -> tuple[int, tuple[str, ...]]:
    """How long it lives; 0: for ever, as only a root token can."""
    if is_root and not wanted.period_s and not wanted.ttl_s:
        return wanted.explicit_max_s, ()
    limits = ttl.Limits(default_s=ctx.mount.default_ttl_s, max_s=ctx.mount.max_ttl_s)
    life = ttl.life(limits, own_s=wanted.ttl_s, period_s=wanted.period_s, explicit_max_s=wanted.explicit_max_s)
    return life.ttl_s, life.warnings


def _least(one: int, other: int) -> int:
    return min(one, other) if one and other else one or other


def _policies(args: CreateInput, role: TokenRole | None, parent: TokenEntry, *, sudo: bool) -> tuple[str, ...]:
    asked = strings(args.policies)
    if role is not None and role.limits_policies:
        found = _policies_of_role(asked, args, role, parent)
    elif not args.policies:                              # a list of nothing but blanks names none: its token has not those of its parent
        found = parent.policies
    elif sudo:
        found = sanitized(asked, add_default=not args.no_default_policy)
    else:
        if not set(sanitized(asked, add_default=False)) <= set(parent.policies) and not parent.is_root:
            raise BadRequest("child policies must be subset of parent")
        found = sanitized(asked, add_default=not args.no_default_policy and DEFAULT in parent.policies)
    if args.no_default_policy:
        found = tuple(name for name in found if name != DEFAULT)
    check_assignable(found)
    return found


def _policies_of_role(asked: tuple[str, ...], args: CreateInput, role: TokenRole, parent: TokenEntry) -> tuple[str, ...]:
    add_default = not (args.no_default_policy or role.no_default_policy or DEFAULT in role.disallowed_policies
                       or _matches(DEFAULT, role.disallowed_policies_glob))
    found = sanitized(asked, add_default=add_default) if args.policies else ()
    if role.allowed_policies or role.allowed_policies_glob:
        allowed = sanitized(role.allowed_policies, add_default=add_default)
        if any(name not in allowed and not _matches(name, role.allowed_policies_glob) for name in found):
            raise BadRequest(f"token policies ({_listed(found)}) must be subset of the role's allowed policies ({_listed(allowed)}) or "
                             f"glob policies ({_listed(role.allowed_policies_glob)})")
        found = found or allowed
    elif not found:
        found = sanitized(parent.policies, add_default=add_default)
    for name in found:
        if name in role.disallowed_policies or _matches(name, role.disallowed_policies_glob):
            raise BadRequest(f'token policy "{name}" is disallowed by this role')
    return found


def _listed(names: tuple[str, ...]) -> str:
    return "[" + " ".join(f'"{name}"' for name in names) + "]"


def _matches(name: str, globs: tuple[str, ...]) -> bool:
    """`*` in a glob stands for anything; nothing else is special."""
    return any(fnmatchcase(name, glob.replace("[", "[[]").replace("?", "[?]")) for glob in globs)


def _entity_of_alias(txn: Txn, ctx: Context, alias: str, role: TokenRole | None) -> str:
    if not alias:
        return ""
    if role is None:
        raise BadRequest("'entity_alias' is only allowed in combination with token role")
    if alias.lower() not in role.allowed_entity_aliases and not _matches(alias.lower(), role.allowed_entity_aliases):
        raise BadRequest("invalid 'entity_alias' value")
    try:
        return identity.log_in(txn, ctx.rng, ctx.mount, alias, {}, now_ms=ctx.now_ms).id
    except PermissionDenied as error:
        raise PermissionDenied("entity from given entity alias is disabled") from error


def _cidrs(role: TokenRole | None, parent: TokenEntry, is_orphan: bool) -> tuple[str, ...]:
    if role is not None:
        return role.bound_cidrs
    return () if is_orphan else parent.bound_cidrs


def _path(ctx: Context, role: TokenRole | None) -> str:
    return f"{ctx.request.path.rstrip('/')}/{role.path_suffix}" if role is not None and role.path_suffix else ctx.request.path.rstrip("/")


def _display_name(name: str) -> str:
    return _ODD.sub("-", f"token-{name}").removesuffix("-") if name else "token"


def _make_service(txn: Txn, ctx: Context, entry: TokenEntry, text: str) -> Auth:
    made = token_create.create(txn, ctx.rng, entry, text=text)
    return token_renew.shown(txn, made.entry, text=made.text, lease_s=entry.ttl_s)


def _make_batch(txn: Txn, ctx: Context, entry: TokenEntry) -> Auth:
    text = token_create.create_batch(txn, ctx.rng, BatchClaims(
        created_ms=ctx.now_ms, ttl_s=entry.ttl_s, policies=entry.policies, path=entry.path, index=Index(0),
        meta=tuple(sorted((entry.meta or {}).items())), display_name=entry.display_name, parent=entry.parent, entity_id=entry.entity_id,
        role=entry.role, bound_cidrs=entry.bound_cidrs))
    shown = token_renew.shown(txn, entry, text=text, lease_s=entry.ttl_s)
    return replace(shown, token_type=BATCH_TYPE, policies=merged(entry.policies, shown.identity_policies))
