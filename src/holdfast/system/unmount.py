"""Taking a mount away: true at once, cleared away by a job.

Invariants: (1) a path is free as soon as its entry is draining, however much the old mount has left behind; (2) a draining entry stays
until all else of its mount is gone, so any node can go on with it; (3) its leases go first: revoking them needs the engine's
configuration. Each step takes at most JOB_KEYS_MAX keys, and moves the cursor in the same batch.
"""
from collections.abc import Callable, Mapping
from typing import TypeAlias

import msgspec
from msgspec.structs import replace

from holdfast.core import drain, lease_store
from holdfast.core.mounts import MOUNTS, MountEntry
from holdfast.engine import Context, Job, Txn
from holdfast.ids import Millis
from holdfast.limits import JOB_KEYS_MAX, UNMOUNT_WAIT_MS
from holdfast.system import remount

KIND = "unmount"


def unmount(txn: Txn, ctx: Context, entry: MountEntry) -> None:
    """From now on nothing is routed to the mount, and all that it lent and let in is dead."""
    MOUNTS.put(txn, entry.uuid, replace(entry, draining=True))
    ctx.job(Job(kind=KIND, record=entry.uuid.encode()))


def step(txn: Txn, job: Job, ctx: Context) -> Job | None:
    """One step of clearing away. The cursor is the stage, a colon, and how far it has come."""
    entry = MOUNTS.get(txn, job.record.decode())
    if entry is None:
        return None
    name, _, at = job.cursor.partition(":")
    stages = tuple(STAGES)
    number = stages.index(name) if name else 0
    after = STAGES[stages[number]](txn, entry, at, ctx.now_ms)
    if after is None:
        if stages[number] == stages[-1]:
            MOUNTS.delete(txn, entry.uuid)
            return None
        return job.after(f"{stages[number + 1]}:")
    return replace(job.after(f"{stages[number]}:{after.at}"), at_ms=ctx.now_ms + after.wait_ms)


class _After(msgspec.Struct, frozen=True):
    """A stage goes on from `at`."""

    at: str
    wait_ms: int = 0


_Stage: TypeAlias = Callable[[Txn, MountEntry, str, Millis], _After | None]


def _lent(txn: Txn, entry: MountEntry, at: str, now_ms: Millis) -> _After | None:
    """Tokens end, leases become due."""
    after, _ = drain.mount(txn, entry, at, now_ms)
    return None if after is None else _After(after)


def _revoked(txn: Txn, entry: MountEntry, at: str, now_ms: Millis) -> _After | None:
    """Waits for the leases to be revoked; what cannot be revoked is an operator's, and not waited for.

    A new mount on the same path may have leases of its own between them. Of the old one none are added, so what was passed stays passed.
    `at`: which of the paths that the mount has had, and how far on it.
    """
    number, _, after = at.partition(":")
    paths = (entry.path, *remount.former_paths(txn, entry))
    if int(number or 0) >= len(paths):
        return None
    path = paths[int(number or 0)]
    names = lease_store.LEASES.names(txn, path, after=after, limit=JOB_KEYS_MAX)
    for name in names:
        lease = lease_store.LEASES.get(txn, path + name)
        if lease is not None and lease.mount == entry.uuid and not lease.irrevocable:
            return _After(f"{number or 0}:{after}", UNMOUNT_WAIT_MS)
        after = name
    return _After(f"{number or 0}:{after}" if len(names) == JOB_KEYS_MAX else f"{int(number or 0) + 1}:")


def _keys(txn: Txn, entry: MountEntry, at: str, now_ms: Millis) -> _After | None:
    return _delete(txn.at(entry.prefix), at)


def _locks(txn: Txn, entry: MountEntry, at: str, now_ms: Millis) -> _After | None:
    return _delete(txn.at(f"core/lock/{entry.uuid}/"), at)


def _delete(keys: Txn, at: str) -> _After | None:
    # What lies before the cursor may still be seen below batches that are on their way.
    names = keys.names("", after=at, limit=JOB_KEYS_MAX)
    for name in names:
        keys.delete(name)
    return _After(names[-1]) if len(names) == JOB_KEYS_MAX else None


STAGES: Mapping[str, _Stage] = {"lent": _lent, "revoked": _revoked, "keys": _keys, "locks": _locks}
"""In their order."""
