"""The end of tokens: revoked, expired, used up.

Invariants: (1) the batch that revokes a token removes its record, and with it all its descendants are dead; (2) what it leaves behind
(descendants, leases, cubbyhole) is removed by steps of the due queue, each of at most JOB_KEYS_MAX keys, and any node can go on with
them; (3) leases of a dead token are revoked by whoever made them.
"""
from holdfast.core import due, lease_store, marks, token_store
from holdfast.core.due import Due, Kind
from holdfast.core.marks import MARK
from holdfast.core.mounts import load_mounts
from holdfast.core.token_store import EMPTY, ENTRIES, TokenEntry, children
from holdfast.engine import Txn
from holdfast.ids import Millis
from holdfast.limits import DUE_TOKENS_MAX, JOB_KEYS_MAX

CUBBYHOLE_PATH = "cubbyhole/"
FEW = 8                                              # keys of a cubbyhole that go with the token at once: a wrapped answer has two
KEYS_OF_LEAF = 5                                     # of a token that leaves nothing behind
KEYS_OF_ONE = FEW + 8                                # written when one token is removed, at most


def revoke(txn: Txn, id: str, now_ms: Millis) -> None:
    """Ends a token and all below it. Nothing happens if it is not there."""
    entry = ENTRIES.get(txn, id)
    if entry is not None:
        _remove(txn, id, entry, now_ms)


def revoke_alone(txn: Txn, id: str, now_ms: Millis) -> None:
    """Ends a token; its children live on as orphans. Batch tokens that it made end with it."""
    entry = ENTRIES.get(txn, id)
    if entry is None:
        return
    if txn.names(children(id), limit=1):
        marks.ORPHANS.put(txn, id, MARK)
        due.put(txn, now_ms, Kind.ORPHANS, id)
    _remove(txn, id, entry, now_ms)


def expire(txn: Txn, first: Due, now_ms: Millis) -> None:
    """Ends the token that an entry of the due queue is about, and up to DUE_TOKENS_MAX others that are due after it."""
    keys = _expire_one(txn, first, now_ms)
    names = txn.names(due.PREFIX, after=first.key.removeprefix(due.PREFIX), limit=DUE_TOKENS_MAX - 1)
    for name in names:
        entry = due.read(due.PREFIX + name)
        if entry.at_ms > now_ms or keys + KEYS_OF_ONE > JOB_KEYS_MAX:
            break
        if entry.kind is Kind.TOKEN:
            keys += _expire_one(txn, entry, now_ms)


def _expire_one(txn: Txn, entry: Due, now_ms: Millis) -> int:
    txn.delete(entry.key)
    token = ENTRIES.get(txn, entry.id)
    if token is None:
        return 1
    used_up = token.num_uses < 0
    if not used_up and (token.expires_ms is None or token.expires_ms > now_ms):
        return 1                                         # it was renewed since, and has another entry
    return 1 + _remove(txn, entry.id, token, now_ms)


def clear_remains(txn: Txn, id: str, now_ms: Millis) -> bool:
    """One step for a token that was revoked: its children end, its leases come due, its cubbyhole goes. True: nothing is left."""
    left = JOB_KEYS_MAX
    if not marks.ORPHANS.exists(txn, id):            # else the children are another step's, and live
        for child in txn.names(children(id), limit=left // KEYS_OF_LEAF):
            if left < KEYS_OF_ONE:
                break
            entry = ENTRIES.get(txn, child)
            if entry is not None and entry.parent == id:
                left -= _remove(txn, child, entry, now_ms)
            else:
                txn.delete(children(id) + child)
                left -= 1
    left -= lease_store.hasten_of_token(txn, id, now_ms, limit=max(left // 4, 0))
    for name in _cubbyhole_keys(txn, id, limit=max(left, 0)):
        txn.delete(name)
        left -= 1
    if _leaves_behind(txn, id):
        return False
    marks.GONE.delete(txn, id)
    return True


def clear_orphans(txn: Txn, id: str) -> bool:
    """One step for a token that was revoked alone: its children lose their parent. True: all of them have."""
    names = txn.names(children(id), limit=JOB_KEYS_MAX // 2)
    for child in names:
        entry = ENTRIES.get(txn, child)
        if entry is not None:
            token_store.put_orphaned(txn, child, entry)
        txn.delete(children(id) + child)
    if len(names) == JOB_KEYS_MAX // 2:
        return False
    marks.ORPHANS.delete(txn, id)
    return True


def _remove(txn: Txn, id: str, entry: TokenEntry, now_ms: Millis) -> int:
    """Removes one token; what it leaves behind at once if it is little, else as a step of its own. Gives the number of keys."""
    keys = token_store.delete(txn, id, entry)
    cubbyhole = _cubbyhole_keys(txn, id, limit=FEW + 1)
    if len(cubbyhole) <= FEW and not lease_store.has_leases(txn, id) and (
            marks.ORPHANS.exists(txn, id) or not txn.names(children(id), limit=1)):
        for name in cubbyhole:
            txn.delete(name)
        return keys + len(cubbyhole)
    marks.GONE.put(txn, id, MARK)
    due.put(txn, now_ms, Kind.REMAINS, id, EMPTY)
    return keys + 2


def _leaves_behind(txn: Txn, id: str) -> bool:
    if txn.names(children(id), limit=1) and not marks.ORPHANS.exists(txn, id):
        return True
    return lease_store.has_leases(txn, id) or bool(_cubbyhole_keys(txn, id, limit=1))


def _cubbyhole_keys(txn: Txn, id: str, *, limit: int) -> tuple[str, ...]:
    mount = txn.derive(load_mounts).by_path.get(CUBBYHOLE_PATH)
    if mount is None or not limit:
        return ()
    folder = f"mount/{mount.uuid}/{id}/"
    return tuple(folder + name for name in txn.names(folder, limit=limit))
