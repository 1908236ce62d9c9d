"""The `token_` fields that every auth method's roles and users share. Source: Vault API, "Tokens", and each method's page.

Decides: what they may say together. Invariants: (1) what is not sent stays as it was; (2) where an old name (`policies`, `ttl`, …) and the
new one are both sent, the new one counts; (3) an old name is shown again only to who set the field by it last. Left to core: the token.
"""
from collections.abc import Iterable, Mapping
from typing import Annotated

import msgspec
from msgspec.structs import replace

from holdfast.engine import Duration, Input, Integer, Strings, TokenParams, TokenType, cidrs, doc, seconds, strings
from holdfast.errors import BadRequest
from holdfast.limits import TOKEN_TEXTS_MAX

_TYPES = {"": TokenType.DEFAULT, "default": TokenType.DEFAULT, "service": TokenType.SERVICE, "batch": TokenType.BATCH}
OLD_NAMES = {"policies": "token_policies", "ttl": "token_ttl", "max_ttl": "token_max_ttl", "bound_cidrs": "token_bound_cidrs"}


class TokenFields(Input, frozen=True, kw_only=True):
    """Base of an Input that says how tokens are made. None: not sent."""

    token_ttl: Annotated[Duration, doc("First time to live of the token; 0: the mount's.")] = None
    token_max_ttl: Annotated[Duration, doc("Longest time to live, with all renewals; 0: the mount's.")] = None
    token_explicit_max_ttl: Annotated[Duration, doc("Longest time to live that stays what it was when the token was made; 0: none.")] = None
    token_period: Annotated[Duration, doc("Makes the token periodic: renewed within this time it lives for ever.")] = None
    token_policies: Annotated[Strings, doc("Policies of the token.")] = None
    token_bound_cidrs: Annotated[Strings, doc("Networks from which the token may be made and used; none: from anywhere.")] = None
    token_num_uses: Annotated[Integer | None, doc("How often the token may be used; 0: without limit.")] = None
    token_no_default_policy: Annotated[bool | None, doc("Whether the policy `default` is left out.")] = None
    token_type: Annotated[str | None, doc("`service`, `batch`, or `default`: as the mount says.")] = None


class OldTokenFields(TokenFields, frozen=True, kw_only=True):
    """With the names they had before Vault 1.2."""

    policies: Annotated[Strings, doc("Old name of token_policies.")] = None
    ttl: Annotated[Duration, doc("Old name of token_ttl.")] = None
    max_ttl: Annotated[Duration, doc("Old name of token_max_ttl.")] = None
    bound_cidrs: Annotated[Strings, doc("Old name of token_bound_cidrs.")] = None


def changed(params: TokenParams, sent: TokenFields) -> TokenParams:
    """The parameters with what was sent. Raises BadRequest: a field that cannot be read, or two that contradict each other."""

    def length_s(name: str, old: int) -> int:
        value: Duration = getattr(sent, name)
        return old if value is None else seconds(value, name)

    new = TokenParams(
        policies=params.policies if sent.token_policies is None else _unique(_listed(sent.token_policies)),
        ttl_s=length_s("token_ttl", params.ttl_s),
        max_ttl_s=length_s("token_max_ttl", params.max_ttl_s),
        explicit_max_ttl_s=length_s("token_explicit_max_ttl", params.explicit_max_ttl_s),
        period_s=length_s("token_period", params.period_s),
        num_uses=params.num_uses if sent.token_num_uses is None else sent.token_num_uses,
        bound_cidrs=params.bound_cidrs if sent.token_bound_cidrs is None else cidrs(sent.token_bound_cidrs, "token_bound_cidrs"),
        type=params.type if sent.token_type is None else _type(sent.token_type),
        no_default_policy=params.no_default_policy if sent.token_no_default_policy is None else sent.token_no_default_policy)
    _check(new)
    return new


def by_new_names(sent: OldTokenFields) -> OldTokenFields:
    """As if the new names had been used."""
    found: dict[str, object] = {new: getattr(sent, old) for old, new in OLD_NAMES.items()
                                if getattr(sent, new) is None and getattr(sent, old) is not None}
    if "token_policies" in found:
        found["token_policies"] = list(policy_names(sent.policies))
    return replace(sent, **found)


def policy_names(sent: Strings) -> tuple[str, ...]:
    """As Vault keeps those that are set by the old name, or alone: in lower case, each once, sorted, `root` by itself."""
    names = {name.lower() for name in _listed(sent)}
    return ("root",) if "root" in names else tuple(sorted(names))


def old_names(before: Iterable[str], sent: OldTokenFields) -> tuple[str, ...]:
    """The old names by which fields are set now: an answer shows them beside the new ones."""
    names = set(before)
    for old, new in OLD_NAMES.items():
        if getattr(sent, old) is not None:
            names.add(old)
        elif getattr(sent, new) is not None:
            names.discard(old)
    return tuple(sorted(names))


def shown(params: TokenParams, names: Iterable[str] = ()) -> Mapping[str, object]:
    """As an answer's data show them; `names`: old ones, shown where they are not empty."""
    fields: dict[str, object] = {
        "token_bound_cidrs": params.bound_cidrs,
        "token_explicit_max_ttl": params.explicit_max_ttl_s,
        "token_max_ttl": params.max_ttl_s,
        "token_no_default_policy": params.no_default_policy,
        "token_num_uses": params.num_uses,
        "token_period": params.period_s,
        "token_policies": params.policies,
        "token_ttl": params.ttl_s,
        "token_type": params.type.value,
    }
    return {old: fields[OLD_NAMES[old]] for old in names if fields[OLD_NAMES[old]]} | fields


def same_policies(one: Iterable[str], other: Iterable[str]) -> bool:
    """Whether two lists name the same policies; `default` does not count, for core may have added it."""
    return {name.strip().lower() for name in one} - {"default"} == {name.strip().lower() for name in other} - {"default"}


def _listed(sent: Strings) -> tuple[str, ...]:
    """The policies that were sent. Raises BadRequest: no token can have so many."""
    names = strings(sent)
    if sum(map(len, names)) > TOKEN_TEXTS_MAX:
        raise BadRequest(f"the policies of a token have at most {TOKEN_TEXTS_MAX} characters together")
    return names


def _unique(items: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(items))


def _type(sent: str) -> TokenType:
    kind = _TYPES.get(sent)
    if kind is None:
        raise BadRequest(f"invalid 'token_type' value {msgspec.json.encode(sent[:64]).decode()}")
    return kind


def _check(params: TokenParams) -> None:
    if params.num_uses < 0:
        raise BadRequest("'token_num_uses' cannot be negative")
    if params.type is TokenType.BATCH and params.period_s:
        raise BadRequest("'token_type' cannot be 'batch' or 'default_batch' when set to generate periodic tokens")
    if params.type is TokenType.BATCH and params.num_uses:
        raise BadRequest("'token_type' cannot be 'batch' or 'default_batch' when set to generate tokens with limited use count")
    if params.max_ttl_s and params.ttl_s > params.max_ttl_s:
        raise BadRequest("'token_ttl' cannot be greater than 'token_max_ttl'")
