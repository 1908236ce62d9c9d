"""The end of tokens: revoked, expired, used up.

Invariants: (1) the batch that revokes a token removes its record, and with it all its descendants are dead; (2) what it leaves behind
(descendants, leases, cubbyhole) is removed by steps of the due queue, each of at most JOB_KEYS_MAX keys, and any node can go on with
them; (3) leases of a dead token are revoked by whoever made them.

A step reads all that it needs before it writes anything: reading past own writes costs as much as there are of them.
"""
from collections.abc import Iterable, Iterator

import msgspec

from holdfast.core import due, lease_store, marks, token_store
from holdfast.core.due import Due, Kind
from holdfast.core.marks import MARK
from holdfast.core.mounts import CUBBYHOLE_PATH, load_mounts
from holdfast.core.token_store import EMPTY, ENTRIES, TokenEntry, children
from holdfast.engine import Txn
from holdfast.ids import Millis
from holdfast.limits import CUBBYHOLE_KEYS_AT_ONCE, DUE_TOKENS_MAX, JOB_KEYS_MAX

KEYS_OF_ONE = CUBBYHOLE_KEYS_AT_ONCE + 8             # written when one token is removed, at most
CHILDREN_OF_STEP = JOB_KEYS_MAX // 5                 # most have five keys; the sum is counted
LEASES_OF_STEP = JOB_KEYS_MAX // 5                   # each is five keys


class End(msgspec.Struct, frozen=True, kw_only=True):
    """What ending a token comes to: keys to delete, and whether more is left behind than a batch should take."""

    id: str
    keys: tuple[str, ...]
    leaves_behind: bool

    @property
    def size(self) -> int:
        return len(self.keys) + 2


def revoke(txn: Txn, id: str, now_ms: Millis) -> None:
    """Ends a token and all below it. Nothing happens if it is not there."""
    entry = ENTRIES.get(txn, id)
    if entry is not None:
        carry_out(txn, (end_of(txn, id, entry),), now_ms)


def revoke_alone(txn: Txn, id: str, now_ms: Millis) -> None:
    """Ends a token; its children live on as orphans. Batch tokens that it made end with it."""
    entry = ENTRIES.get(txn, id)
    if entry is None:
        return
    end = end_of(txn, id, entry, with_children=False)
    if txn.names(children(id), limit=1):
        marks.ORPHANS.put(txn, id, MARK)
        due.put(txn, now_ms, Kind.ORPHANS, id)
    carry_out(txn, (end,), now_ms)


def expire(txn: Txn, first: Due, now_ms: Millis) -> None:
    """Ends the token that an entry of the due queue is about, and up to DUE_TOKENS_MAX others that are due after it."""
    entries = [first, *_due_after(txn, first, now_ms)]
    keys: list[str] = []
    ends: dict[str, End] = {}
    size = 0
    for entry in entries:
        token = ENTRIES.get(txn, entry.id)
        if token is not None and _is_over(token, now_ms) and entry.id not in ends:
            ends[entry.id] = end = end_of(txn, entry.id, token)
            size += end.size
        keys.append(entry.key)                           # a token that was renewed since has another entry
        if size + len(keys) + KEYS_OF_ONE > JOB_KEYS_MAX:
            break
    _delete(txn, keys)
    carry_out(txn, ends.values(), now_ms)


def _due_after(txn: Txn, first: Due, now_ms: Millis) -> Iterator[Due]:
    for name in txn.names(due.PREFIX, after=first.key.removeprefix(due.PREFIX), limit=DUE_TOKENS_MAX - 1):
        entry = due.read(due.PREFIX + name)
        if entry.at_ms > now_ms:
            return
        if entry.kind is Kind.TOKEN:
            yield entry


def _is_over(token: TokenEntry, now_ms: Millis) -> bool:
    return token.num_uses < 0 or (token.expires_ms is not None and token.expires_ms <= now_ms)


def clear_remains(txn: Txn, id: str, now_ms: Millis) -> bool:
    """One step for a token that was revoked: its children end, then its leases come due, then its cubbyhole goes. True: nothing is left."""
    if not marks.ORPHANS.exists(txn, id) and _end_children(txn, id, now_ms):     # else the children are another step's, and live
        return False
    found = lease_store.of_token(txn, id, limit=LEASES_OF_STEP)
    for lease in found:
        lease_store.hasten_found(txn, lease, now_ms)
    if found:
        return False
    cubbyhole = _cubbyhole_keys(txn, id, limit=JOB_KEYS_MAX)
    _delete(txn, cubbyhole)
    if len(cubbyhole) == JOB_KEYS_MAX:
        return False
    marks.GONE.delete(txn, id)
    return True


def _end_children(txn: Txn, id: str, now_ms: Millis) -> bool:
    """As many as one step takes; False: there were none."""
    ends: list[End] = []
    dangling: list[str] = []
    size = 0
    for child in txn.names(children(id), limit=CHILDREN_OF_STEP):
        entry = ENTRIES.get(txn, child)
        if entry is not None and entry.parent == id:
            ends.append(end_of(txn, child, entry))
            size += ends[-1].size
        else:
            dangling.append(children(id) + child)
        if size + KEYS_OF_ONE > JOB_KEYS_MAX:
            break
    _delete(txn, dangling)
    carry_out(txn, ends, now_ms)
    return bool(ends or dangling)


def clear_orphans(txn: Txn, id: str) -> bool:
    """One step for a token that was revoked alone: its children lose their parent. True: all of them have."""
    limit = JOB_KEYS_MAX // 2
    names = txn.names(children(id), limit=limit)
    found = [(child, ENTRIES.get(txn, child)) for child in names]
    for child, entry in found:
        if entry is not None and entry.parent == id:
            token_store.put_orphaned(txn, child, entry)
        else:
            txn.delete(children(id) + child)
    if len(names) == limit:
        return False
    marks.ORPHANS.delete(txn, id)
    return True


def end_of(txn: Txn, id: str, entry: TokenEntry, *, with_children: bool = True) -> End:
    """What ending this token comes to. Reads alone."""
    keys = token_store.keys_of(txn, id, entry)
    cubbyhole = _cubbyhole_keys(txn, id, limit=CUBBYHOLE_KEYS_AT_ONCE + 1)
    more = (len(cubbyhole) > CUBBYHOLE_KEYS_AT_ONCE or lease_store.has_leases(txn, id)
            or (with_children and bool(txn.names(children(id), limit=1))))
    return End(id=id, keys=keys if more else keys + cubbyhole, leaves_behind=more)


def carry_out(txn: Txn, ends: Iterable[End], now_ms: Millis) -> None:
    """Ends these tokens; what they leave behind becomes a step of its own."""
    for end in ends:
        _delete(txn, end.keys)
        if end.leaves_behind:
            marks.GONE.put(txn, end.id, MARK)
            due.put(txn, now_ms, Kind.REMAINS, end.id, EMPTY)


def _delete(txn: Txn, keys: Iterable[str]) -> None:
    for key in keys:
        txn.delete(key)


def cubbyhole_of(txn: Txn, id: str) -> str:
    """The folder of a token's cubbyhole."""
    return f"{txn.derive(load_mounts).by_path[CUBBYHOLE_PATH].prefix}{id}/"


def _cubbyhole_keys(txn: Txn, id: str, *, limit: int) -> tuple[str, ...]:
    folder = cubbyhole_of(txn, id)
    return tuple(folder + name for name in txn.names(folder, limit=limit))
