"""Entities and their aliases, made at login. Source: Vault, "Identity".

Invariants: (1) an alias belongs to one mount, by its accessor, and to one entity; (2) a login that finds everything as it is writes
nothing, so that it can be answered by any node; (3) an alias is named by a keyed hash of its name in lower case:
upper and lower case are the same, as in Vault.
"""
from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from holdfast.core.secret_names import alias_name
from holdfast.engine import Mount, Rng, Table, Txn
from holdfast.errors import PermissionDenied
from holdfast.ids import Millis


class Alias(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who somebody is for one auth method."""

    id: str
    entity_id: str
    name: str
    mount_accessor: str
    mount_type: str
    mount_path: str
    created_ms: Millis
    updated_ms: Millis
    metadata: Mapping[str, str] = {}                 # of the last login
    custom_metadata: Mapping[str, str] = {}
    local: bool = False


class AliasKey(msgspec.Struct, frozen=True, kw_only=True):
    """Where one of an entity's aliases is kept."""

    mount_accessor: str
    hash: str


class Entity(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Somebody, however they log in."""

    id: str
    name: str
    created_ms: Millis
    updated_ms: Millis
    aliases: tuple[AliasKey, ...] = ()
    policies: tuple[str, ...] = ()
    metadata: Mapping[str, str] = {}
    disabled: bool = False


ENTITIES = Table("identity/entity/", Entity)
ALIASES = Table("identity/alias/", Alias)


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What an entity adds to its tokens. None in its place: it is gone or disabled, and so are they."""

    policies: tuple[str, ...]


NOBODY = Standing(policies=())


def standing(txn: Txn, entity_id: str) -> Standing | None:
    """Of a token's entity, also where the token has none. Kept with the grant that it is asked for, and nowhere else."""
    if not entity_id:
        return NOBODY
    entity = ENTITIES.get(txn, entity_id)
    return Standing(policies=entity.policies) if entity is not None and not entity.disabled else None


def log_in(txn: Txn, rng: Rng, mount: Mount, name: str, metadata: Mapping[str, str], *, now_ms: Millis) -> Entity:
    """The entity of this alias; both are made where they are missing. Raises PermissionDenied: it is disabled."""
    key = AliasKey(mount_accessor=mount.accessor, hash=alias_name(txn, name.lower()))
    at = f"{key.mount_accessor}/{key.hash}"
    alias = ALIASES.get(txn, at)
    entity = ENTITIES.get(txn, alias.entity_id) if alias is not None else None
    if entity is None:
        id = rng.uuid()
        entity = Entity(id=id, name=f"entity_{id[:8]}", created_ms=now_ms, updated_ms=now_ms, aliases=(key,))
        ENTITIES.put(txn, id, entity)
    if entity.disabled:
        raise PermissionDenied
    if alias is None:
        ALIASES.put(txn, at, Alias(
            id=rng.uuid(), entity_id=entity.id, name=name, mount_accessor=mount.accessor, mount_type=mount.type, mount_path=mount.path,
            created_ms=now_ms, updated_ms=now_ms, metadata=metadata))
    elif alias.entity_id != entity.id or alias.metadata != metadata:
        ALIASES.put(txn, at, replace(alias, entity_id=entity.id, metadata=metadata, updated_ms=now_ms))
    return entity


def forget_mount(txn: Txn, mount_accessor: str, limit: int) -> bool:
    """Deletes up to `limit` aliases of a mount that is gone, and takes them from their entities. True: none are left."""
    names = ALIASES.names(txn, mount_accessor + "/", limit=limit)
    aliases = [ALIASES.get(txn, f"{mount_accessor}/{name}") for name in names]
    owners = {alias.entity_id for alias in aliases if alias is not None}
    entities = [ENTITIES.get(txn, id) for id in sorted(owners)]
    for name in names:
        ALIASES.delete(txn, f"{mount_accessor}/{name}")
    for entity in entities:
        if entity is not None:
            kept = tuple(key for key in entity.aliases if key.mount_accessor != mount_accessor)
            ENTITIES.put(txn, entity.id, replace(entity, aliases=kept))
    return len(names) < limit
