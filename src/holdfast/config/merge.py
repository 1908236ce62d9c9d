"""Several files to one: the later file wins, key by key; listeners, seals and lockouts of all files count.

Invariants:
1. Each key of each file is in the result, or a warning says which file took its place.
2. Within a file nothing is merged: what stands there twice is left for `decode` to judge.
"""
from __future__ import annotations

from collections.abc import Sequence

from holdfast.config.finding import Findings
from holdfast.config.hcl_print import print_hcl
from holdfast.config.tree import Item, Object, Position

APPENDED = frozenset({"listener", "seal", "user_lockout"})
LEGACY = {"backend": "storage", "ha_backend": "ha_storage"}


def key_name(item: Item) -> str:
    """The key as the settings call it."""
    name = item.name.lower()
    return LEGACY.get(name, name)


def merge(files: Sequence[Object], findings: Findings) -> Object:
    """One tree of all files, in their order."""
    by_key: dict[str, list[Item]] = {}
    for tree in files:
        given: dict[str, list[Item]] = {}
        for item in tree.items:
            given.setdefault(key_name(item), []).append(item)
        for name, items in given.items():
            before = by_key.get(name, [])
            if name in APPENDED:
                by_key[name] = before + items
                continue
            if before and _text(before) != _text(items):
                findings.warn(f"{items[0].name!r} replaces the one of {before[0].at}", items[0].at)
            by_key[name] = items
    at = files[0].at if files else Position(1, 1)
    return Object(tuple(item for items in by_key.values() for item in items), at)


def _text(items: Sequence[Item]) -> str:
    return print_hcl(Object(tuple(items), items[0].at))
