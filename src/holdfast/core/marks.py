"""Marks: what makes the effect of unbounded work true at once, while a job does the work.

| mark | says |
| --- | --- |
| `core/mark/prefix/<id>` | leases, and tokens that expire, below this path are dead if batch `index` or an earlier one made them |
| `core/mark/orphan/<token id>` | the token is gone, its children live on without a parent |
| `core/mark/gone/<token id>` | the token was revoked; what it left behind is being removed, so its id is not free yet |

That a revoked token's descendants are dead needs no mark: who looks a token up walks its parents, and one of them is missing.
"""
from collections.abc import Iterable

import msgspec

from holdfast.engine import Table, Txn
from holdfast.ids import Index


class PrefixMark(msgspec.Struct, frozen=True, kw_only=True):
    """All below `prefix` (it ends in "/") that batches up to `index` made. `force`: whatever the engines say of it."""

    prefix: str
    index: Index
    force: bool = False

    def covers(self, path: str, index: Index) -> bool:
        """`path`: of a lease id, or with a slash at its end."""
        return index <= self.index and path.startswith(self.prefix)


class Mark(msgspec.Struct, frozen=True):
    """Nothing but its key counts."""


PREFIXES = Table("core/mark/prefix/", PrefixMark)
ORPHANS = Table("core/mark/orphan/", Mark)
GONE = Table("core/mark/gone/", Mark)
MARK = Mark()


def load_prefixes(txn: Txn) -> tuple[PrefixMark, ...]:
    """For `txn.derive`; nearly always empty."""
    return tuple(PREFIXES.all(txn).values())


def is_marked(marks: Iterable[PrefixMark], path: str, index: Index) -> bool:
    """Has somebody revoked all below a prefix that this is below of?"""
    return any(mark.covers(path, index) for mark in marks)
