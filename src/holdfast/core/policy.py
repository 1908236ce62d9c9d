"""What a policy says, as records. Reading its text: `core.policy_parse`; keeping it: `core.policy_store`; ranking and merging:
`core.acl_match`; deciding: `core.acl`."""
from collections.abc import Mapping
from enum import StrEnum

import msgspec


class Capability(StrEnum):
    """What a stanza can grant. Source: Vault, "Policies"."""

    CREATE = "create"
    READ = "read"
    UPDATE = "update"
    DELETE = "delete"
    LIST = "list"
    SUDO = "sudo"
    DENY = "deny"
    PATCH = "patch"
    SUBSCRIBE = "subscribe"                          # parsed and shown; nothing here asks for these two
    RECOVER = "recover"


class PathRules(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One stanza. Parameter names are in lower case; an empty tuple of values stands for any value. Times in s; 0: no bound."""

    path: str                                        # as written, without leading slashes: globs and templates included
    capabilities: frozenset[Capability] = frozenset()
    allowed: Mapping[str, tuple[object, ...]] = {}
    denied: Mapping[str, tuple[object, ...]] = {}
    required: tuple[str, ...] = ()
    min_wrapping_ttl_s: int = 0
    max_wrapping_ttl_s: int = 0


class Policy(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    name: str = ""
    paths: tuple[PathRules, ...] = ()
    templated: bool = False                          # some path has to be rendered for the entity of the token
