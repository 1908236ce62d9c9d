"""Locking an identity out after too many failed logins. Source: Vault, "User lockout".

Invariants: (1) a lock is in the log, so it holds on every node and after a failover; (2) what is only counted is the active node's own, in
bounded memory: a login that one other node can answer alone resets no count, which then runs out by itself; (3) a locked identity learns
nothing, not even whether its password was right.
"""
from collections import OrderedDict

import msgspec

from holdfast.core import due
from holdfast.core.due import Kind
from holdfast.core.mounts import Defaults, MountEntry, UserLockout
from holdfast.core.secret_names import alias_name
from holdfast.engine import Context, Place, Table, Txn
from holdfast.errors import PermissionDenied
from holdfast.ids import Millis
from holdfast.limits import LOCKOUT_COUNTERS_MAX, LOCKS_SHOWN_MAX

LOCKABLE = frozenset(("userpass", "ldap", "approle"))
"""Types of auth methods whose logins are counted, as in Vault."""
UNCONFIGURED = UserLockout(threshold=5, duration_s=900, counter_reset_s=900)
UNTUNED = UserLockout()


class Lock(msgspec.Struct, frozen=True, kw_only=True):
    """`alias`: as it was given, to be shown to operators."""

    alias: str
    until_ms: Millis


LOCKS = Table("core/lock/", Lock)


class Count(msgspec.Struct, frozen=True):
    failures: int
    last_ms: Millis


class Failures:
    """Failed logins by mount and alias; the one that failed longest ago is forgotten first. Lives at the active node."""

    def __init__(self) -> None:
        self._counts: OrderedDict[str, Count] = OrderedDict()

    def add(self, name: str, now_ms: Millis, *, reset_ms: int) -> int:
        """Counts one more; gives how many there were without `reset_ms` passing between two of them."""
        before = self._counts.pop(name, None)
        failures = before.failures + 1 if before is not None and now_ms - before.last_ms < reset_ms else 1
        self._counts[name] = Count(failures, now_ms)
        if len(self._counts) > LOCKOUT_COUNTERS_MAX:
            self._counts.popitem(last=False)
        return failures

    def forget(self, name: str) -> None:
        self._counts.pop(name, None)

    def __len__(self) -> int:
        return len(self._counts)


def config(entry: MountEntry | None, defaults: Defaults) -> UserLockout | None:
    """How logins at this mount are counted: each value as it is tuned, else as the configuration says; None: not at all, which either
    may say."""
    if entry is None or entry.type not in LOCKABLE:
        return None
    tuned, configured = entry.config.user_lockout or UNTUNED, defaults.lockouts.get(entry.type, UNCONFIGURED)
    if tuned.disable or configured.disable:
        return None
    return UserLockout(threshold=tuned.threshold or configured.threshold, duration_s=tuned.duration_s or configured.duration_s,
                       counter_reset_s=tuned.counter_reset_s or configured.counter_reset_s)


def check(txn: Txn, entry: MountEntry, alias: str, now_ms: Millis) -> str:
    """The name that this identity is counted and locked by. Raises PermissionDenied while it is locked."""
    name = f"{entry.uuid}/{alias_name(txn, alias)}"
    lock = LOCKS.get(txn, name)
    if lock is not None and lock.until_ms > now_ms:
        raise PermissionDenied
    return name


def failed(txn: Txn, ctx: Context, name: str, alias: str, rules: UserLockout) -> None:
    """Counts a failure; the one that reaches the threshold locks, whatever becomes of the request."""
    counts = ctx.active(Failures)
    if counts.add(name, ctx.now_ms, reset_ms=rules.counter_reset_s * 1000) < rules.threshold:
        return
    counts.forget(name)
    until_ms = Millis(ctx.now_ms + rules.duration_s * 1000)
    LOCKS.spend(txn, name, Lock(alias=alias, until_ms=until_ms))
    due.spend(txn, until_ms, Kind.LOCK, name)


def succeeded(txn: Txn, ctx: Context, name: str) -> None:
    """Forgets the failures, where they are known."""
    if txn.run.place is Place.ACTIVE:
        ctx.active(Failures).forget(name)


def locked(txn: Txn, entry: MountEntry, now_ms: Millis) -> tuple[str, ...]:
    """The aliases of this mount that are locked, in order; of more than LOCKS_SHOWN_MAX some."""
    found = (LOCKS.get(txn, f"{entry.uuid}/{name}") for name in LOCKS.names(txn, f"{entry.uuid}/", limit=LOCKS_SHOWN_MAX))
    return tuple(sorted(lock.alias for lock in found if lock is not None and lock.until_ms > now_ms))


def unlock(txn: Txn, ctx: Context, entry: MountEntry, alias: str) -> None:
    """An operator ends a lock, and what was counted towards the next one. What is not locked stays so."""
    name = f"{entry.uuid}/{alias_name(txn, alias)}"
    LOCKS.delete(txn, name)
    ctx.active(Failures).forget(name)


def end(txn: Txn, name: str, now_ms: Millis) -> None:
    """The time of a lock has passed."""
    lock = LOCKS.get(txn, name)
    if lock is not None and lock.until_ms <= now_ms:
        LOCKS.delete(txn, name)
