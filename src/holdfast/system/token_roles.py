"""auth/token/roles: the roles that tokens are made for. Source: Vault API, auth/token/roles."""
import re
from typing import Annotated, TypeVar

from msgspec import UNSET, UnsetType

from holdfast.core.login import sanitized
from holdfast.core.token_roles import ROLES, TokenRole
from holdfast.engine import (
    Context,
    Duration,
    Given,
    Input,
    Integer,
    Method,
    Nothing,
    Output,
    Response,
    Route,
    Strings,
    TokenType,
    Txn,
    doc,
    listing,
    on,
    strings,
)
from holdfast.engine import cidrs as read_cidrs
from holdfast.engine import seconds as read_seconds
from holdfast.errors import BadRequest, NotFound

T = TypeVar("T")
_SUFFIX = re.compile(r"\w[\w.-]+\w")
TYPES = {kind.value: kind for kind in (TokenType.SERVICE, TokenType.BATCH, TokenType.DEFAULT_SERVICE, TokenType.DEFAULT_BATCH)}
OLD_NAMES = {"period": "token_period", "explicit_max_ttl": "token_explicit_max_ttl", "bound_cidrs": "token_bound_cidrs"}


class RoleName(Input, frozen=True):
    role_name: Annotated[str, doc("Name of the role.")]


class WriteRole(Input, frozen=True):
    """None: not sent, stays as it was."""

    role_name: Annotated[str, doc("Name of the role.")]
    allowed_policies: Annotated[Strings, doc("Policies its tokens may have; none: those of their parent.")] = None
    disallowed_policies: Annotated[Strings, doc("Policies its tokens may not have.")] = None
    allowed_policies_glob: Annotated[Strings, doc("As allowed_policies, with `*` for anything.")] = None
    disallowed_policies_glob: Annotated[Strings, doc("As disallowed_policies, with `*` for anything.")] = None
    allowed_entity_aliases: Annotated[Strings, doc("Aliases that its tokens may be made for, with `*` for anything.")] = None
    orphan: Annotated[bool | None, doc("Whether its tokens have no parent.")] = None
    renewable: Annotated[bool | None, doc("Whether its tokens can be renewed.")] = None
    path_suffix: Annotated[str | None, doc("Added to the path of its tokens, to revoke them by.")] = None
    token_type: Annotated[str | None, doc("service, batch, default-service or default-batch.")] = None
    token_period: Annotated[Duration, doc("Makes its tokens periodic.")] = None
    token_explicit_max_ttl: Annotated[Duration, doc("Longest time its tokens live, with all renewals.")] = None
    token_num_uses: Annotated[Integer | None, doc("How often its tokens may be used; 0: without limit.")] = None
    token_bound_cidrs: Annotated[Strings, doc("Networks from which its tokens may be used.")] = None
    token_no_default_policy: Annotated[bool | None, doc("Whether its tokens go without the policy `default`.")] = None
    period: Annotated[Duration, doc("Old name of token_period.")] = None
    explicit_max_ttl: Annotated[Duration, doc("Old name of token_explicit_max_ttl.")] = None
    bound_cidrs: Annotated[Strings, doc("Old name of token_bound_cidrs.")] = None


class RoleOut(Output, frozen=True, kw_only=True):
    allowed_entity_aliases: tuple[str, ...] | None
    allowed_policies: tuple[str, ...]
    allowed_policies_glob: tuple[str, ...]
    bound_cidrs: tuple[str, ...] | UnsetType = UNSET
    disallowed_policies: tuple[str, ...]
    disallowed_policies_glob: tuple[str, ...]
    explicit_max_ttl: int
    name: str
    orphan: bool
    path_suffix: str
    period: int
    renewable: bool
    token_bound_cidrs: tuple[str, ...] | UnsetType = UNSET
    token_explicit_max_ttl: int
    token_no_default_policy: bool
    token_num_uses: int | UnsetType = UNSET
    token_period: int
    token_type: str


def list_roles(txn: Txn, args: Nothing, ctx: Context) -> Response:
    """List the roles."""
    return listing(ROLES.list(txn))


def read_role(txn: Txn, args: RoleName, ctx: Context) -> Response:
    """Show a role."""
    role = ROLES.get(txn, args.role_name)
    if role is None:
        raise NotFound
    old = role.old_names
    return Response(data=RoleOut(
        allowed_entity_aliases=role.allowed_entity_aliases or None, allowed_policies=role.allowed_policies,
        allowed_policies_glob=role.allowed_policies_glob, bound_cidrs=role.bound_cidrs if "bound_cidrs" in old else UNSET,
        disallowed_policies=role.disallowed_policies, disallowed_policies_glob=role.disallowed_policies_glob,
        explicit_max_ttl=role.explicit_max_ttl_s if "explicit_max_ttl" in old else 0, name=role.name, orphan=role.orphan,
        path_suffix=role.path_suffix, period=role.period_s if "period" in old else 0, renewable=role.renewable,
        token_bound_cidrs=role.bound_cidrs or UNSET, token_explicit_max_ttl=role.explicit_max_ttl_s,
        token_no_default_policy=role.no_default_policy, token_num_uses=role.num_uses or UNSET, token_period=role.period_s,
        token_type=role.type.value))


def write_role(txn: Txn, args: WriteRole, ctx: Context) -> Response:
    """Make a role, or change one: what is not sent stays."""
    old = ROLES.get(txn, args.role_name) or TokenRole(name=args.role_name)
    warnings = tuple(f"Both '{new}' and deprecated '{name}' value supplied, ignoring the deprecated value"
                     for name, new in OLD_NAMES.items() if getattr(args, name) is not None and getattr(args, new) is not None)
    role = TokenRole(
        name=old.name,
        allowed_policies=_names(args.allowed_policies, old.allowed_policies),
        disallowed_policies=_names(args.disallowed_policies, old.disallowed_policies),
        allowed_policies_glob=_names(args.allowed_policies_glob, old.allowed_policies_glob),
        disallowed_policies_glob=_names(args.disallowed_policies_glob, old.disallowed_policies_glob),
        allowed_entity_aliases=_names(args.allowed_entity_aliases, old.allowed_entity_aliases),
        orphan=_or(args.orphan, old.orphan), renewable=_or(args.renewable, old.renewable),
        path_suffix=_suffix(_or(args.path_suffix, old.path_suffix)), type=_type(args.token_type, old.type),
        period_s=_seconds(args.token_period, args.period, "token_period", old.period_s),
        explicit_max_ttl_s=_seconds(args.token_explicit_max_ttl, args.explicit_max_ttl, "token_explicit_max_ttl", old.explicit_max_ttl_s),
        num_uses=_uses(_or(args.token_num_uses, old.num_uses)), bound_cidrs=_cidrs(args, old),
        no_default_policy=_or(args.token_no_default_policy, old.no_default_policy), old_names=_old_names(args, old))
    _check(role)
    ROLES.put(txn, role.name, role)
    if role.explicit_max_ttl_s > ctx.mount.max_ttl_s:
        warnings += (f"Given explicit max TTL of {role.explicit_max_ttl_s} is greater than system/mount allowed value of "
                     f"{ctx.mount.max_ttl_s} seconds; tokens of this role live no longer than that",)
    return Response(warnings=warnings)


def delete_role(txn: Txn, args: RoleName, ctx: Context) -> Response:
    """Delete a role; its tokens live on until they are to be renewed."""
    ROLES.delete(txn, args.role_name)
    return Response()


def role_exists(txn: Txn, given: Given) -> bool:
    return ROLES.exists(txn, given.path["role_name"])


ROUTES = (
    Route("roles", "The roles that tokens are made for.", {Method.LIST: on(Nothing, list_roles)}),
    Route("roles/:role_name", "One role.", {
        Method.GET: on(RoleName, read_role),
        Method.POST: on(WriteRole, write_role, exists=role_exists),
        Method.DELETE: on(RoleName, delete_role),
    }),
)


def _or(sent: T | None, old: T) -> T:
    return old if sent is None else sent


def _names(sent: Strings, old: tuple[str, ...]) -> tuple[str, ...]:
    return old if sent is None else sanitized(strings(sent), add_default=False)


def _seconds(sent: Duration, by_old_name: Duration, name: str, old: int) -> int:
    value = sent if sent is not None else by_old_name
    return old if value is None else read_seconds(value, name)


def _cidrs(args: WriteRole, old: TokenRole) -> tuple[str, ...]:
    sent = args.token_bound_cidrs if args.token_bound_cidrs is not None else args.bound_cidrs
    return old.bound_cidrs if sent is None else read_cidrs(sent, "token_bound_cidrs")


def _old_names(args: WriteRole, old: TokenRole) -> tuple[str, ...]:
    names = set(old.old_names)
    for name, new in OLD_NAMES.items():
        if getattr(args, new) is not None:
            names.discard(name)
        elif getattr(args, name) is not None:
            names.add(name)
    return tuple(sorted(names))


def _uses(number: int) -> int:
    if number < 0:
        raise BadRequest("'token_num_uses' cannot be negative")
    return number


def _suffix(suffix: str) -> str:
    if suffix and (not _SUFFIX.fullmatch(suffix) or ".." in suffix):
        raise BadRequest(f"given role path suffix contains invalid characters; must match {_SUFFIX.pattern}")
    return suffix


def _type(sent: str | None, old: TokenType) -> TokenType:
    if sent is None:
        return old
    if sent not in TYPES:
        raise BadRequest(f'invalid \'token_type\' value "{sent[:64]}"')
    return TYPES[sent]


def _check(role: TokenRole) -> None:
    if role.type is not TokenType.BATCH:
        return
    cannot = "'token_type' cannot be 'batch' when role is set to generate"
    if not role.orphan:
        raise BadRequest(f"{cannot} non-orphan tokens")
    if role.period_s:
        raise BadRequest(f"{cannot} periodic tokens")
    if role.renewable:
        raise BadRequest(f"{cannot} renewable tokens")
    if role.explicit_max_ttl_s:
        raise BadRequest(f"{cannot} tokens with an explicit max TTL")
