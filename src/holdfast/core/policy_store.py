"""Where policies are kept, and those that every cluster has.

Invariants: (1) text and records are written together, so nobody parses a text to check a request; (2) names are lower case; (3) the names
of IMMUTABLE are never stored. A cluster's `default` is the built-in one until it is written.
"""
from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from holdfast.core.policy import Policy
from holdfast.core.policy_parse import parse
from holdfast.engine import Table, Txn


class PolicyEntry(msgspec.Struct, frozen=True, kw_only=True):
    """As it is kept: the text as it was written, and what it says."""

    text: str
    policy: Policy


POLICIES = Table("core/policy/", PolicyEntry)
ROOT = "root"
DEFAULT = "default"
RESPONSE_WRAPPING = "response-wrapping"
UNASSIGNABLE = frozenset({RESPONSE_WRAPPING, "control-group"})
"""Core alone makes tokens with these."""
IMMUTABLE = UNASSIGNABLE | {ROOT}

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
    entry = None if name in IMMUTABLE else POLICIES.get(txn, name)
    return entry.text if entry is not None else BUILT_IN.get(name)


def names(txn: Txn) -> tuple[str, ...]:
    """All that a token may be given, sorted, `root` last as in Vault's lists."""
    return (*sorted({DEFAULT, *POLICIES.names(txn)}), ROOT)


def load(txn: Txn, name: str) -> Policy | None:
    """For `txn.derive`. None: a token may name policies that do not exist, or no longer."""
    entry = None if name in IMMUTABLE else POLICIES.get(txn, name)
    if entry is not None:
        return entry.policy
    built_in = BUILT_IN.get(name)
    return replace(parse(built_in), name=name) if built_in is not None else None


def write(txn: Txn, name: str, text: str, policy: Policy) -> None:
    """Keeps a text with what it says. The caller has checked the name."""
    POLICIES.put(txn, name, PolicyEntry(text=text, policy=replace(policy, name=name)))
