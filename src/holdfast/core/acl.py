"""May this token do this? From the names of its policies to a verdict.

Invariants: (1) what is derived here depends on the token, the path and the policies alone; whatever query, body or a stored key decide is
asked at each request; (2) no stanza matches, or none grants the capability: refused; (3) a refusal says nothing but "permission denied".
"""
from collections.abc import Iterator, Mapping

import msgspec

from holdfast.core import policy_store, policy_template
from holdfast.core.acl_match import Matcher, Permissions
from holdfast.core.acl_parameters import permits_parameters, permits_wrapping
from holdfast.core.policy import Capability, Policy
from holdfast.core.router import Hit
from holdfast.engine import Given, Method, Op, Request, Token, Txn
from holdfast.errors import PolicyDenied

NEEDS: Mapping[Method, Capability] = {
    Method.GET: Capability.READ, Method.HEAD: Capability.READ, Method.LIST: Capability.LIST, Method.POST: Capability.UPDATE,
    Method.PATCH: Capability.PATCH, Method.DELETE: Capability.DELETE}
SHOWN = (Capability.CREATE, Capability.DELETE, Capability.LIST, Capability.PATCH, Capability.READ, Capability.RECOVER,
         Capability.SUBSCRIBE, Capability.SUDO, Capability.UPDATE)
"""In the order in which capabilities are listed."""
WITH_PARAMETERS = frozenset({Capability.READ, Capability.CREATE, Capability.UPDATE, Capability.PATCH})


class Rules(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What the policies of a token say of one path. `granting`: names of those that allow the method it was made for."""

    is_root: bool = False
    found: Permissions | None = None                 # None: no stanza matches
    granting: tuple[str, ...] = ()

    @property
    def capabilities(self) -> frozenset[Capability]:
        return self.found.capabilities if self.found is not None else frozenset()


ROOT_RULES = Rules(is_root=True, granting=(policy_store.ROOT,))


def matcher(txn: Txn, names: tuple[str, ...], entity_id: str) -> Matcher:
    """All stanzas of these policies, made once for everybody who has them; where some are templated, each entity adds those as its own."""
    if entity_id and txn.derive(_is_templated, names):
        return txn.derive(_load_own_matcher, names, entity_id)
    return txn.derive(_load_matcher, names)


def subject(txn: Txn, token: Token) -> str:
    """The entity that the rules of this token depend on; empty: on its policies alone, as those of all others that have them."""
    return token.entity_id if token.entity_id and txn.derive(_is_templated, token.policies) else ""


def rules(txn: Txn, names: tuple[str, ...], entity_id: str, method: Method, path: str) -> Rules:
    """Of tokens with these policies and this `subject`."""
    if policy_store.ROOT in names:
        return ROOT_RULES
    known = matcher(txn, names, entity_id)
    listing = method is Method.LIST
    asked = path + "/" if listing and not path.endswith("/") else path
    found = known.find(asked, listing=listing)
    if not listing and path.endswith("/"):
        bare = known.find(path[:-1], listing=False)  # many routes ignore a final slash: it must not lead past a denial
        found = bare if bare is not None and Capability.DENY in bare.capabilities else found
    return Rules(found=found, granting=tuple(_granting(found, method)) if found is not None else ())


def permits_always(rules: Rules, op: Op, method: Method) -> bool:
    """Whatever query, body, wrapping and stored keys are."""
    if rules.is_root or method is Method.HELP:
        return True
    found = rules.found
    if found is None or (op.sudo and Capability.SUDO not in found.capabilities) or NEEDS[method] not in found.capabilities:
        return False
    if found.min_wrapping_ttl_s or found.max_wrapping_ttl_s or found.required or found.allowed or found.denied:
        return False
    return method is not Method.POST or op.exists is None or Capability.CREATE in found.capabilities


def permit(txn: Txn, rules: Rules | None, hit: Hit, prefix: str, request: Request) -> None:
    """Asked at each request that `permits_always` left open; `prefix` is that of the engine's keys. Raises PolicyDenied."""
    if rules is None or rules.is_root or request.method is Method.HELP:
        return
    found = rules.found
    if found is None or (hit.op.sudo and Capability.SUDO not in found.capabilities):
        raise PolicyDenied
    needed = NEEDS[request.method]
    if request.method is Method.POST and hit.op.exists is not None:
        needed = _create_or_update(txn.at(prefix) if prefix else txn, found, hit, request)
    if needed not in found.capabilities or not permits_wrapping(found, request):
        raise PolicyDenied
    if needed in WITH_PARAMETERS and not permits_parameters(found, request):
        raise PolicyDenied


def capabilities(txn: Txn, token: Token, path: str) -> tuple[str, ...]:
    """What a token may do on a path, sorted; `root` alone, or `deny` alone where it may do nothing. As sys/capabilities says it."""
    if token.is_root:
        return (policy_store.ROOT,)
    found = matcher(txn, token.policies, token.entity_id).find(path.lstrip("/"), listing=True)
    granted = () if found is None else tuple(c.value for c in SHOWN if c in found.capabilities)
    return granted or (Capability.DENY.value,)


def reaches(txn: Txn, token: Token, mount: str) -> bool:
    """Whether a token may do anything on a mount's path or below it: then user interfaces show it the mount."""
    return token.is_root or matcher(txn, token.policies, token.entity_id).reaches(mount)


def _granting(found: Permissions, method: Method) -> Iterator[str]:
    names: dict[str, None] = {}
    for capability in (NEEDS.get(method), Capability.CREATE if method is Method.POST else None):
        if capability is not None:
            names |= dict.fromkeys(found.granting.get(capability, ()))
    return iter(names)


def _create_or_update(txn: Txn, found: Permissions, hit: Hit, request: Request) -> Capability:
    # Who has both capabilities, or neither, needs no look at the store.
    if (Capability.CREATE in found.capabilities) is (Capability.UPDATE in found.capabilities):
        return Capability.UPDATE
    assert hit.op.exists is not None
    there = hit.op.exists(txn, Given(hit.path, request.query, request.body))
    return Capability.UPDATE if there else Capability.CREATE


def _is_templated(txn: Txn, names: tuple[str, ...]) -> bool:
    return any(policy is not None and policy.templated for policy in (txn.derive(policy_store.load, name) for name in names))


def _load_matcher(txn: Txn, names: tuple[str, ...]) -> Matcher:
    return Matcher(policy_template.plain(policy) for policy in _load_policies(txn, names))


def _load_own_matcher(txn: Txn, names: tuple[str, ...], entity_id: str) -> Matcher:
    subject = txn.derive(policy_template.load_subject, entity_id)
    templated = (policy for policy in _load_policies(txn, names) if policy.templated)
    return Matcher((policy_template.rendered(policy, subject) for policy in templated), txn.derive(_load_matcher, names))


def _load_policies(txn: Txn, names: tuple[str, ...]) -> list[Policy]:
    return [policy for name in names if (policy := txn.derive(policy_store.load, name)) is not None]
