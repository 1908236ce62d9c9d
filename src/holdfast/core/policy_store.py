"""Where policies are kept, and those that every cluster has.

Invariants: (1) what is stored has been parsed, so a stored text that cannot be read is a defect, and refuses rather than grants; (2) names
are lower case; (3) the names of IMMUTABLE are never stored. A cluster's own `default` is the built-in one until it is written.
"""
from collections.abc import Mapping

import msgspec

from holdfast.core.policy import Policy
from holdfast.core.policy_parse import parse
from holdfast.engine import Table, Txn
from holdfast.errors import BadRequest, HandlerError


class PolicyEntry(msgspec.Struct, frozen=True, kw_only=True):
    """As it is kept: the text as it was written."""

    text: str


POLICIES = Table("core/policy/", PolicyEntry)
ROOT = "root"
DEFAULT = "default"
RESPONSE_WRAPPING = "response-wrapping"
IMMUTABLE = frozenset({ROOT, RESPONSE_WRAPPING, "control-group"})

DEFAULT_TEXT = """\
# What every token may do unless it was made without this policy: look after itself.

# Its own record, its own life.
path "auth/token/lookup-self" {
  capabilities = ["read"]
}
path "auth/token/renew-self" {
  capabilities = ["update"]
}
path "auth/token/revoke-self" {
  capabilities = ["update"]
}

# What it may do on which path.
path "sys/capabilities-self" {
  capabilities = ["update"]
}
path "sys/internal/ui/resultant-acl" {
  capabilities = ["read"]
}

# Its own entity, by id or by name.
path "identity/entity/id/{{identity.entity.id}}" {
  capabilities = ["read"]
}
path "identity/entity/name/{{identity.entity.name}}" {
  capabilities = ["read"]
}

# Leases: whoever knows the id may ask about it and renew it. The first path of each pair is the old one.
path "sys/renew" {
  capabilities = ["update"]
}
path "sys/leases/renew" {
  capabilities = ["update"]
}
path "sys/leases/lookup" {
  capabilities = ["update"]
}

# Its own cubbyhole, which nobody else can reach.
path "cubbyhole/*" {
  capabilities = ["create", "read", "update", "delete", "list"]
}

# Wrapping: make, look up, open.
path "sys/wrapping/wrap" {
  capabilities = ["update"]
}
path "sys/wrapping/lookup" {
  capabilities = ["update"]
}
path "sys/wrapping/unwrap" {
  capabilities = ["update"]
}

# Hashes and random bytes: they read nothing that is kept.
path "sys/tools/hash" {
  capabilities = ["update"]
}
path "sys/tools/hash/*" {
  capabilities = ["update"]
}

# Approval of its own requests under a control group.
path "sys/control-group/request" {
  capabilities = ["update"]
}

# Signing in to applications through the identity provider.
path "identity/oidc/provider/+/authorize" {
  capabilities = ["read", "update"]
}
"""
RESPONSE_WRAPPING_TEXT = """\
# Of wrapping tokens alone: take the wrapped answer, once.
path "cubbyhole/response" {
  capabilities = ["create", "read"]
}
path "sys/wrapping/unwrap" {
  capabilities = ["update"]
}
"""
BUILT_IN: Mapping[str, str] = {DEFAULT: DEFAULT_TEXT, RESPONSE_WRAPPING: RESPONSE_WRAPPING_TEXT, ROOT: ""}


def text(txn: Txn, name: str) -> str | None:
    """The text of a policy as it was written, the built-in ones included. None: there is none of this name."""
    if name not in IMMUTABLE:
        entry = POLICIES.get(txn, name)
        if entry is not None:
            return entry.text
    return BUILT_IN.get(name)


def names(txn: Txn) -> tuple[str, ...]:
    """All that a token may be given, sorted, `root` last as in Vault's lists."""
    return (*sorted({DEFAULT, *POLICIES.list(txn)} - IMMUTABLE), ROOT)


def load(txn: Txn, name: str) -> Policy | None:
    """For `txn.derive`: the policy, read. None: a token may name policies that do not exist, or no longer."""
    found = text(txn, name)
    if found is None:
        return None
    try:
        return msgspec.structs.replace(parse(found), name=name)
    except BadRequest as error:
        raise HandlerError(f"policy {name!r} is stored, but cannot be read") from error
