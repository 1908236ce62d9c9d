"""Templated paths: `{{identity.entity.id}}` and its like, filled in for the entity of a token.

Invariants: (1) a stanza whose template has no value for this entity is left out; (2) what is filled in never adds a wildcard. A filled-in
value may hold slashes, as in Vault. Source: Vault, "Templated policies".
"""
from collections.abc import Callable, Iterator, Mapping

import msgspec
from msgspec.structs import replace

from holdfast.core import identity
from holdfast.core.policy import PathRules, Policy
from holdfast.engine import Txn

OPEN, CLOSE = "{{", "}}"


class AliasView(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    mount_accessor: str
    metadata: Mapping[str, str] = {}
    custom_metadata: Mapping[str, str] = {}


class GroupView(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    metadata: Mapping[str, str] = {}


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """The entity of a token, as far as templates can name it."""

    id: str
    name: str
    metadata: Mapping[str, str] = {}
    aliases: tuple[AliasView, ...] = ()
    groups: tuple[GroupView, ...] = ()


def load_subject(txn: Txn, entity_id: str) -> Subject | None:
    """For `txn.derive`. None: the token has no entity, or it is gone."""
    entity = identity.ENTITIES.get(txn, entity_id) if entity_id else None
    if entity is None:
        return None
    aliases = (identity.ALIASES.get(txn, f"{key.mount_accessor}/{key.hash}") for key in entity.aliases)
    return Subject(id=entity.id, name=entity.name, metadata=entity.metadata, aliases=tuple(
        AliasView(id=alias.id, name=alias.name, mount_accessor=alias.mount_accessor, metadata=alias.metadata,
                  custom_metadata=alias.custom_metadata) for alias in aliases if alias is not None))


def is_template(text: str) -> bool:
    """Whether there is anything to fill in. Raises ValueError: the braces do not pair up."""
    head, *rest = text.split(OPEN)
    if CLOSE in head or any(piece.count(CLOSE) != 1 for piece in rest):
        raise ValueError("unbalanced templating characters")
    return bool(rest)


def plain(policy: Policy) -> Policy:
    """The stanzas that are the same for everybody: all that a token without an entity has of the policy."""
    if not policy.templated:
        return policy
    return replace(policy, paths=tuple(rules for rules in policy.paths if OPEN not in rules.path), templated=False)


def rendered(policy: Policy, subject: Subject | None) -> Policy:
    """The templated stanzas as they are for this entity, without those that do not apply to it."""
    return replace(policy, paths=tuple(_render_all(policy.paths, subject)), templated=False)


def _render_all(paths: tuple[PathRules, ...], subject: Subject | None) -> Iterator[PathRules]:
    for rules in paths:
        path = fill(rules.path, subject) if OPEN in rules.path else None
        if path is not None:
            yield replace(rules, path=path)


def fill(text: str, subject: Subject | None) -> str | None:
    """The path with all values in place; None: one of them does not exist or holds a wildcard."""
    head, *rest = text.split(OPEN)
    parts = [head]
    for piece in rest:
        name, _, after = piece.partition(CLOSE)
        value = _value(name.strip(), subject) if subject is not None else None
        if not value or "*" in value or "+" in value:
            return None
        parts += (value, after)
    return "".join(parts)


def _value(name: str, subject: Subject) -> str | None:
    if name.startswith("identity.entity."):
        return _of_entity(name.removeprefix("identity.entity."), subject)
    if name.startswith("identity.groups."):
        return _of_group(name.removeprefix("identity.groups."), subject)
    return None


def _of_entity(name: str, subject: Subject) -> str | None:
    if name.startswith("aliases."):
        accessor, _, field = name.removeprefix("aliases.").partition(".")
        alias = next((a for a in subject.aliases if a.mount_accessor == accessor), None)
        return _field(field, alias) if alias is not None else None
    return _field(name, subject)


def _of_group(name: str, subject: Subject) -> str | None:
    by, _, rest = name.partition(".")
    wanted, _, field = rest.partition(".")
    named: Mapping[str, Callable[[GroupView], str]] = {"ids": lambda g: g.id, "names": lambda g: g.name}
    if by not in named:
        return None
    group = next((g for g in subject.groups if named[by](g) == wanted), None)
    return _field(field, group) if group is not None else None


def _field(name: str, record: Subject | AliasView | GroupView) -> str | None:
    if name == "id":
        return record.id
    if name == "name":
        return record.name
    kind, _, key = name.partition(".")
    if kind == "metadata":
        return record.metadata.get(key)
    return record.custom_metadata.get(key) if kind == "custom_metadata" and isinstance(record, AliasView) else None
