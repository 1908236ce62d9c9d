"""Who is active, as the active node itself writes it: into the log, in the first batch of its term, under the barrier.

So only an unsealed node of the cluster can read it, and only who can read it can open the forwarding connection: its key is within.
Invariant: of several, the one with the highest term is the newest; a successor deletes all others in the batch that adds its own.
"""
from collections.abc import Iterable

import msgspec

from holdfast.crypto import Secret
from holdfast.ids import Millis, NodeId, Term
from holdfast.replica import Table, Txn


class Advertisement(msgspec.Struct, frozen=True, kw_only=True):
    """`name`, `key` and `certificate` (PKCS #8 and X.509, DER) are shown by both ends of a forwarding connection, and taken by both."""

    node: NodeId
    term: Term
    api_address: str
    cluster_address: str
    active_since_ms: Millis
    name: str
    key: Secret
    certificate: bytes


PREFIX = "core/leader/"
LEADERS = Table(PREFIX, Advertisement)


def newest(txn: Txn) -> Advertisement | None:
    """For `txn.derive`: it is the same until somebody else goes active."""
    return max(LEADERS.all(txn).values(), key=lambda found: found.term, default=None)


def is_told_by(changed: Iterable[str]) -> bool:
    """May `newest` be another one after a change of these keys?"""
    return any(key.startswith(PREFIX) for key in changed)


def advertise(txn: Txn, uuid: str, own: Advertisement) -> None:
    """In the first batch of a term."""
    for name in LEADERS.names(txn):
        LEADERS.delete(txn, name)
    LEADERS.put(txn, uuid, own)
