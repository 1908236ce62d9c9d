"""How leases are kept.

| key | what it holds |
| --- | --- |
| `core/lease/id/<lease id>` | the lease; its id is the path of the request that made it, and a random name |
| `core/lease/token/<token's id>/<hash of the lease id>` | the lease's id: the leases of a token |
| `core/lease/irrevocable/<lease id>` | nothing: those that the engine could not revoke |

Invariants: (1) these change together with the lease's entry in the due queue; (2) a lease that is being revoked, below a marked prefix, or
whose token is dead is as good as gone to whoever asks for it; (3) a lease goes only when its engine has revoked it, or by force.
"""
import hashlib

import msgspec
from msgspec.structs import replace

from holdfast.core import due
from holdfast.core.due import Kind
from holdfast.engine import Table, Txn
from holdfast.ids import Index, Millis


class LeaseEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One secret lent. Times of day in ms, lengths in s."""

    mount: str                                       # uuid of the mount that made it
    mount_path: str
    path: str                                        # of the request that made it
    kind: str                                        # of the engine's LeaseHandler
    record: bytes                                    # what the engine needs to renew and revoke it
    token: str                                       # id of the token that it was lent to; "": a batch token without a parent
    issued_ms: Millis
    expires_ms: Millis
    due_ms: Millis                                   # when it stands in the due queue: at its end, or when revoking is tried again
    index: Index                                     # of the batch that made it
    max_ttl_s: int = 0                               # as the engine said; 0: the mount's
    ends_ms: Millis | None = None                    # with the batch token that it was lent to: nothing else tells of that end
    renewed_ms: Millis | None = None
    renewable: bool = True
    revoking: bool = False
    attempts: int = 0                                # to revoke it, all in vain
    force: bool = False                              # dropped where its engine cannot revoke it
    irrevocable: str = ""                            # why it cannot be revoked


LEASES = Table("core/lease/id/", LeaseEntry)
BY_TOKEN = "core/lease/token/"
IRREVOCABLE = "core/lease/irrevocable/"


def put_new(txn: Txn, id: str, lease: LeaseEntry) -> None:
    LEASES.put(txn, id, lease)
    if lease.token:
        txn.put(_of_token(lease.token, id), id.encode())
    due.put(txn, lease.due_ms, Kind.LEASE, due_id(id, lease))


def reschedule(txn: Txn, id: str, old: LeaseEntry, new: LeaseEntry) -> None:
    """Stores a lease whose next turn has changed."""
    LEASES.put(txn, id, new)
    if not old.irrevocable:
        due.remove(txn, old.due_ms, Kind.LEASE, due_id(id, old))
    due.put(txn, new.due_ms, Kind.LEASE, due_id(id, new))
    if old.irrevocable:
        txn.delete(IRREVOCABLE + id)


def give_up(txn: Txn, id: str, lease: LeaseEntry, why: str) -> None:
    """Keeps the lease, out of the queue: only an operator can end it."""
    due.remove(txn, lease.due_ms, Kind.LEASE, due_id(id, lease))
    LEASES.put(txn, id, replace(lease, irrevocable=why, revoking=True))
    txn.put(IRREVOCABLE + id, b"")


def delete(txn: Txn, id: str, lease: LeaseEntry) -> None:
    """It has been revoked."""
    LEASES.delete(txn, id)
    due.remove(txn, lease.due_ms, Kind.LEASE, due_id(id, lease))
    if lease.token:
        txn.delete(_of_token(lease.token, id))
    if lease.irrevocable:
        txn.delete(IRREVOCABLE + id)


def hasten(txn: Txn, id: str, lease: LeaseEntry, now_ms: Millis) -> None:
    """From now on it is as good as gone, and due to be revoked."""
    reschedule(txn, id, lease, replace(lease, revoking=True, due_ms=now_ms, attempts=0, irrevocable=""))


def has_leases(txn: Txn, token: str) -> bool:
    return bool(txn.names(f"{BY_TOKEN}{token}/", limit=1))


class OfToken(msgspec.Struct, frozen=True, kw_only=True):
    """A lease as it is found by its token. `lease` None: it has gone."""

    key: str
    id: str
    lease: LeaseEntry | None


def of_token(txn: Txn, token: str, *, limit: int) -> tuple[OfToken, ...]:
    """Up to `limit` leases of a token."""
    folder = f"{BY_TOKEN}{token}/"
    found = [(folder + name, (txn.get(folder + name) or b"").decode()) for name in txn.names(folder, limit=limit)]
    return tuple(OfToken(key=key, id=id, lease=LEASES.get(txn, id)) for key, id in found)


def hasten_found(txn: Txn, found: OfToken, now_ms: Millis) -> None:
    """Makes a lease of a dead token due. It is no longer found by the token."""
    txn.delete(found.key)
    if found.lease is not None and not found.lease.irrevocable:
        hasten(txn, found.id, replace(found.lease, token=""), now_ms)


def due_id(id: str, lease: LeaseEntry) -> str:
    """What stands in the due queue: the mount first, whose share it counts for."""
    return f"{lease.mount}/{id}"


def _of_token(token: str, id: str) -> str:
    return f"{BY_TOKEN}{token}/{hashlib.blake2b(id.encode(), digest_size=16).hexdigest()}"
