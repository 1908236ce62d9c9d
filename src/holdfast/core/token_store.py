"""How tokens are kept, and whether one is alive.

| key | what it holds |
| --- | --- |
| `core/token/id/<id>` | the token; the id is a keyed hash of what its owner carries |
| `core/token/accessor/<hash of the accessor>` | its id and its accessor |
| `core/token/child/<parent's id>/<id>` | nothing: the tree |
| `core/token/path/<where it was made>/<id>` | nothing: the tokens that expire, for revocation by prefix |

Invariants: (1) the four change together; (2) a token is alive only if each of its parents is there and alive, so revoking one kills all
below it at once, whatever was made meanwhile; (3) nothing here depends on time: when a token expires is part of the answer.
"""
from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from holdfast.core import due, marks
from holdfast.core.due import Kind
from holdfast.core.mounts import load_mounts
from holdfast.core.secret_names import accessor_name
from holdfast.engine import Table, Txn
from holdfast.ids import Index, Millis

ROOT = "root"
USED_UP = -1


class TokenEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A service token. Times of day in ms, lengths in s; 0: none."""

    accessor: str
    policies: tuple[str, ...]                        # its own, sorted
    path: str                                        # of the request that made it
    created_ms: Millis
    index: Index                                     # of the batch that made it
    meta: Mapping[str, str] | None = None
    display_name: str = ""
    num_uses: int = 0                                # 0: no limit; USED_UP: used up, and about to be revoked
    ttl_s: int = 0                                   # as given when it was made
    expires_ms: Millis | None = None                 # None: never
    renewed_ms: Millis | None = None
    renewable: bool = False
    explicit_max_ttl_s: int = 0
    max_ttl_s: int = 0                               # that its login named; its mount's counts as well
    period_s: int = 0
    bound_cidrs: tuple[str, ...] = ()
    parent: str = ""                                 # its id; "": an orphan
    depth: int = 0                                   # parents above it when it was made
    entity_id: str = ""
    role: str = ""
    mount: str = ""                                  # uuid of the auth method that it comes from; "": auth/token
    alias: str = ""                                  # these two: of its login, shown to the method when it is renewed
    internal: Mapping[str, str] = {}

    @property
    def is_root(self) -> bool:
        return ROOT in self.policies


class AccessorEntry(msgspec.Struct, frozen=True, kw_only=True):
    accessor: str
    id: str


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """What a token's descendants need to know of it."""

    parent: str
    expires_ms: Millis | None


IDS = "core/token/id/"
BY_ACCESSOR = "core/token/accessor/"
ENTRIES = Table(IDS, TokenEntry)
ACCESSORS = Table(BY_ACCESSOR, AccessorEntry)
CHILDREN = "core/token/child/"
PATHS = "core/token/path/"
EMPTY = b""


def children(id: str) -> str:
    """The folder of a token's children."""
    return f"{CHILDREN}{id}/"


def put_new(txn: Txn, id: str, entry: TokenEntry) -> None:
    """Stores a token that was not there."""
    by_accessor = accessor_name(txn, entry.accessor)     # before anything is written: it is cached
    ENTRIES.put(txn, id, entry)
    ACCESSORS.put(txn, by_accessor, AccessorEntry(accessor=entry.accessor, id=id))
    if entry.parent:
        txn.put(children(entry.parent) + id, EMPTY)
    if entry.expires_ms is not None:
        due.put(txn, entry.expires_ms, Kind.TOKEN, id)
        txn.put(f"{PATHS}{entry.path}/{id}", EMPTY)


def put_changed(txn: Txn, id: str, old: TokenEntry, new: TokenEntry) -> None:
    """Stores a token that was renewed: it expires at another time."""
    ENTRIES.put(txn, id, new)
    if old.expires_ms != new.expires_ms and old.expires_ms is not None and new.expires_ms is not None:
        due.remove(txn, old.expires_ms, Kind.TOKEN, id)
        due.put(txn, new.expires_ms, Kind.TOKEN, id)


def keys_of(txn: Txn, id: str, entry: TokenEntry) -> tuple[str, ...]:
    """All that there is of a token and what finds it, but not what it leaves behind."""
    keys = [IDS + id, BY_ACCESSOR + accessor_name(txn, entry.accessor)]
    if entry.parent:
        keys.append(children(entry.parent) + id)
    if entry.expires_ms is not None:
        keys += (due.key(entry.expires_ms, Kind.TOKEN, id), f"{PATHS}{entry.path}/{id}")
    return tuple(keys)


def put_orphaned(txn: Txn, id: str, entry: TokenEntry) -> None:
    """Its parent is gone, and the token lives on without."""
    ENTRIES.put(txn, id, replace(entry, parent="", depth=0))
    txn.delete(children(entry.parent) + id)


def is_orphan(txn: Txn, entry: TokenEntry) -> bool:
    """Of a living token: it never had a parent, or its parent was revoked alone."""
    return not entry.parent or not ENTRIES.exists(txn, entry.parent)


class Bounds(msgspec.Struct, frozen=True):
    """Of a token that is alive until `expires_ms`, its own time and that of all its parents; None: for ever."""

    expires_ms: Millis | None


def bounds(txn: Txn, entry: TokenEntry) -> Bounds | None:
    """None: dead, because of its mount, a mark, or a parent. Walks the parents, each of them cached."""
    if not _stands(txn, entry):
        return None
    parent, expires_ms = entry.parent, entry.expires_ms
    while parent:
        link = txn.derive(_load_link, parent)
        if link is None:
            if not marks.ORPHANS.exists(txn, parent):
                return None
            break
        if link.expires_ms is not None and (expires_ms is None or link.expires_ms < expires_ms):
            expires_ms = link.expires_ms
        parent = link.parent
    return Bounds(expires_ms)


def parent_bounds(txn: Txn, parent: str) -> Bounds | None:
    """As `bounds`, for the children that a token would have. None: it is gone or dead, whether its children live or not."""
    entry = ENTRIES.get(txn, parent)
    return None if entry is None else bounds(txn, entry)


def _load_link(txn: Txn, id: str) -> Link | None:
    entry = ENTRIES.get(txn, id)
    return Link(parent=entry.parent, expires_ms=entry.expires_ms) if entry is not None and _stands(txn, entry) else None


def _stands(txn: Txn, entry: TokenEntry) -> bool:
    if entry.mount:
        mount = txn.derive(load_mounts).by_uuid.get(entry.mount)
        if mount is None or mount.draining:
            return False
    found = txn.derive(marks.load_prefixes)
    return not found or entry.expires_ms is None or not marks.is_marked(found, entry.path + "/", entry.index)
