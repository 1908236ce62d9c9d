"""The due queue: everything that is to be done at a time, in the order of the times.

Key: `core/due/<time in ms, 16 hex digits>/<kind>/<id>`. Whoever takes over reads only its head.
Invariants: (1) what is to be done is in the queue from the batch on that made it necessary, and until the batch that did it; (2) a key says
its time, its kind and whose share it counts for, so that the head can be read without opening a value. Doing it: `core.jobs`.
"""
from collections.abc import Set
from enum import StrEnum

import msgspec

from holdfast.engine import Txn
from holdfast.ids import Millis
from holdfast.limits import DUE_SCAN_MAX

PREFIX = "core/due/"
TIME_DIGITS = 16


class Kind(StrEnum):
    """What is to be done."""

    TOKEN = "token"                                  # a token has expired or is used up; id: the token's
    REMAINS = "remains"                              # what a revoked token leaves behind; id: the token's
    ORPHANS = "orphans"                              # children whose parent was revoked alone; id: the parent's
    LEASE = "lease"                                  # a lease has expired or is revoked; id: <mount uuid>/<lease id>
    PREFIX = "prefix"                                # leases and tokens below a path; id: the mark's
    JOB = "job"                                      # an engine's job; id: <mount uuid>/<random>
    UNDO = "undo"                                    # an outside call that may not have ended well; id: <mount uuid>/<random>
    LOCK = "lock"                                    # a lockout ends; id: <mount uuid>/<alias>


OF_A_MOUNT = frozenset((Kind.LEASE, Kind.JOB, Kind.UNDO))
"""Their ids begin with the mount's uuid: they may call the outside, so each mount has its share."""


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """One entry, as its key says it."""

    key: str
    at_ms: Millis
    kind: Kind
    id: str

    @property
    def share(self) -> str:
        """The uuid of the mount that may hold it up; "" for what is core's own."""
        return self.id.partition("/")[0] if self.kind in OF_A_MOUNT else ""


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What is due, oldest first. `next_ms`: when there is more, None for never; `after`: where to look on, "" when all was looked at."""

    due: tuple[Due, ...]
    next_ms: Millis | None
    after: str


def key(at_ms: int, kind: Kind, id: str) -> str:
    """The key of an entry. A time before 1970 is 1970."""
    return f"{PREFIX}{max(at_ms, 0):0{TIME_DIGITS}x}/{kind}/{id}"


def put(txn: Txn, at_ms: int, kind: Kind, id: str, value: bytes = b"") -> str:
    """Queues an entry; gives its key."""
    name = key(at_ms, kind, id)
    txn.put(name, value)
    return name


def spend(txn: Txn, at_ms: int, kind: Kind, id: str, value: bytes = b"") -> str:
    """As `put`, whatever becomes of the request."""
    name = key(at_ms, kind, id)
    txn.spend(name, value)
    return name


def remove(txn: Txn, at_ms: int, kind: Kind, id: str) -> None:
    txn.delete(key(at_ms, kind, id))


def read(name: str) -> Due:
    """The entry that a key stands for."""
    time, kind, id = name.removeprefix(PREFIX).split("/", 2)
    return Due(key=name, at_ms=Millis(int(time, 16)), kind=Kind(kind), id=id)


def next_due(txn: Txn, now_ms: Millis, limit: int, *, busy: Set[str] = frozenset(), after: str = "") -> Head:
    """The head of the queue: at most `limit` entries, none of the shares in `busy`, in at most DUE_SCAN_MAX looked at.

    A mount whose outside does not answer is `busy`, and does not hold up the rest. Where `after` of the result is not "", the scan
    ended before the queue did: ask again from there.
    """
    found: list[Due] = []
    names = txn.names(PREFIX, after=after, limit=DUE_SCAN_MAX)
    for name in names:
        entry = read(PREFIX + name)
        if entry.at_ms > now_ms:
            return Head(due=tuple(found), next_ms=entry.at_ms, after="")
        if entry.share not in busy or not entry.share:
            found.append(entry)
            if len(found) == limit:
                return Head(due=tuple(found), next_ms=now_ms, after=name)
    more = len(names) == DUE_SCAN_MAX
    return Head(due=tuple(found), next_ms=now_ms if more else None, after=names[-1] if more else "")
