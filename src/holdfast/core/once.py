"""Forwarded writes run exactly once: each leaves a record in its own batch, where a retry finds its answer.

Key: `core/once/<node>/<incarnation, 16 hex digits>/<sequence, 16 hex digits>`; value: the request's digest, and the reply sealed under the
key that only the node of entry has, so that neither who can open the store nor who has an old snapshot learns what was answered.

Invariants:
1. The record is in the batch that it tells of: both are durable, or neither is.
2. A retry is answered from the record, if it is the same request; it is never run again.
3. Below the floor that a forwarder has told, and of an incarnation before the newest that left a record, nothing is run. A record is
   removed only there, in a later batch of the same node, ONCE_ENDED_AT_ONCE at a time. An incarnation that left none bars nobody: a node
   that joins again with an empty folder may have a clock behind, and learns of those before it by their records alone.
4. What is remembered beside the store is of one term, and only narrows what is run. That is enough, since a forwarded request names the
   term of the active node that it is for: what reaches a successor was sent to it, after its sender had heard every answer it was to hear.
5. The effects of a batch come after it, so who finds the record cannot know whether they were done. Those that mean the same done twice
   (REPEATED) are in the record, and are done by who finds it, before it answers: at least once. Any other (a step-down, which would put the
   successor out of its place) is done by the node that wrote the record or by none: at most once.

Left to others: requests under way (`ha/inbox`), and that no request is sent again once the floor has passed it (`ha/forward`).
Not recorded: answers without a write; an effect whose outcome is the answer, which a successor does again (a challenge, an admission, a
snapshot that is saved; one that is put back is never forwarded: see `core/redirect`); the uses spent before an outside call, which the
successor's run spends again.
"""
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import quote

import msgspec

from holdfast.core import envelope
from holdfast.crypto.aead import open_box, seal_box
from holdfast.engine import Effect, Origin, Reply, Txn
from holdfast.engine.effect import AwaitRevoked, ChangeMembership
from holdfast.errors import IntegrityError, RequestError
from holdfast.ids import NodeId
from holdfast.limits import ONCE_ENDED_AT_ONCE, ONCE_REPLY_MAX_BYTES, ONCE_SCAN_MAX
from holdfast.storage import Changes

PREFIX = "core/once/"
REPEATED: Mapping[str, type[Effect]] = {type_.__name__: type_ for type_ in (ChangeMembership, AwaitRevoked)}
"""Effects that may be done again: the members, named by their logs, are what they were told to be; waiting changes nothing."""
COMMITTED = "the request was carried out; its answer, of {} bytes, was too large to be kept, and was lost with the node that gave it"


class AlreadyDone(RequestError):
    """Not run, and not to be tried again: clients repeat a 5xx of their own accord."""

    status = 409


class Record(msgspec.Struct, frozen=True, array_like=True):
    """`sealed`: the Reply as msgpack, under the origin's key; empty where it was too large. `size`: of the reply's body. `effects`: by
    their names in REPEATED, with their fields as msgpack."""

    digest: bytes
    sealed: bytes
    size: int
    effects: tuple[tuple[str, bytes], ...] = ()


class Found(msgspec.Struct, frozen=True):
    """What a retry is answered with, once the effects have been done."""

    reply: Reply
    effects: tuple[Effect, ...] = ()


class _Forwarder(msgspec.Struct):
    """One node, as this term knows it."""

    incarnation: int                                 # the newest that left a record; 0: none that is known of
    floors: dict[int, int]                           # of that one, and of later ones
    below: str                                       # the folder of its records
    records: deque[int]                              # sequences that it recorded in this term
    older: deque[tuple[int, int, str]]               # of records found in the store: incarnation, sequence, key; ascending
    unread: str | None                               # where the search for those goes on; None: it has seen all


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Record).decode
_decode_reply = msgspec.msgpack.Decoder(Reply).decode


def is_repeated(effect: Effect) -> bool:
    """Whether who finds it in a record does it once more. Its answer, where it is one, is 204."""
    return type(effect).__name__ in REPEATED


def folder(node: NodeId) -> str:
    """Where a node's records are."""
    return f"{PREFIX}{quote(node, safe='')}/"


def key(origin: Origin) -> str:
    """Where the record of this write is."""
    return f"{_below(origin.id.node, origin.id.incarnation)}{origin.id.sequence:016x}"


def newest_incarnation(txn: Txn, node: NodeId) -> int:
    """Of those of this node that left a record; 0: none did. What a later one forwards runs, and nothing of an earlier one."""
    newest, after = 0, ""
    while found := txn.names(folder(node), after=after, limit=ONCE_SCAN_MAX):
        newest, after = int(found[-1].partition("/")[0], 16), found[-1]      # they ascend
    return newest


def _below(node: NodeId, incarnation: int) -> str:
    return f"{folder(node)}{incarnation:016x}/"


class Once:
    """The lane's own: what it knows of forwarders in this term."""

    def __init__(self) -> None:
        self._forwarders: dict[NodeId, _Forwarder] = {}

    def find(self, txn: Txn, origin: Origin) -> Found | None:
        """What to answer without running anything; None: run it."""
        known = self._hear(txn, origin)
        id = origin.id
        if id.incarnation < known.incarnation or id.sequence < known.floors.get(id.incarnation, 0):
            return _refused("this forwarded request has been answered, or given up, before")
        name = f"{known.below}{id.sequence:016x}" if id.incarnation == known.incarnation else key(origin)
        value = txn.get(name)
        return None if value is None else _answer(name, _decode(value), origin)

    def record(self, origin: Origin, reply: Reply, nonce: Callable[[], bytes], effects: Sequence[Effect] = ()) -> Changes:
        """What the batch of this write, for which `find` has just found nothing, has beside its own changes."""
        known = self._forwarders[origin.id.node]
        if origin.id.incarnation > known.incarnation:
            _begin_incarnation(origin.id.node, known, origin.id.incarnation)
        name = f"{known.below}{origin.id.sequence:016x}"
        changes = _ended(known)
        size = len(reply.body)
        sealed = b"" if size > ONCE_REPLY_MAX_BYTES else seal_box(origin.reply_key, _encode(reply), name=name, nonce=nonce())
        repeated = tuple((type(effect).__name__, _encode(effect)) for effect in effects if is_repeated(effect))
        changes[name] = _encode(Record(origin.digest, sealed, size, repeated))
        known.records.append(origin.id.sequence)
        return changes

    def abandon(self) -> None:
        """Batches were lost: which records there are has to be looked up again. What forwarders have told stays."""
        for known in self._forwarders.values():
            known.records.clear()
            known.older.clear()
            known.unread = ""

    def _hear(self, txn: Txn, origin: Origin) -> _Forwarder:
        id = origin.id
        known = self._forwarders.get(id.node)
        if known is None:
            known = self._forwarders[id.node] = _Forwarder(0, {}, "", deque(), deque(), "")
        if id.incarnation >= known.incarnation and origin.floor > known.floors.get(id.incarnation, 0):
            known.floors[id.incarnation] = origin.floor
        if known.unread is not None and not known.older:
            _look_for_older(txn, id.node, known)
        return known


def _begin_incarnation(node: NodeId, known: _Forwarder, incarnation: int) -> None:
    known.older.extend((known.incarnation, sequence, f"{known.below}{sequence:016x}") for sequence in known.records)
    known.records.clear()
    known.incarnation, known.below = incarnation, _below(node, incarnation)
    known.floors = {later: floor for later, floor in known.floors.items() if later >= incarnation}


def _look_for_older(txn: Txn, node: NodeId, known: _Forwarder) -> None:
    """Records that earlier terms left, ONCE_SCAN_MAX at a time; of several incarnations the newest counts."""
    start = folder(node)
    found = txn.names(start, after=known.unread or "", limit=ONCE_SCAN_MAX)
    known.unread = found[-1] if len(found) == ONCE_SCAN_MAX else None
    for name in found:
        incarnation, sequence = (int(digits, 16) for digits in name.split("/"))
        if incarnation > known.incarnation:
            _begin_incarnation(node, known, incarnation)
        known.older.append((incarnation, sequence, start + name))


def _ended(known: _Forwarder) -> Changes:
    """Removes what nobody will ask for again, ONCE_ENDED_AT_ONCE at most."""
    ended: Changes = {}
    older, records, floor = known.older, known.records, known.floors.get(known.incarnation, 0)
    while older and older[0][:2] < (known.incarnation, floor) and len(ended) < ONCE_ENDED_AT_ONCE:
        ended[older.popleft()[2]] = None
    while records and records[0] < floor and len(ended) < ONCE_ENDED_AT_ONCE:
        ended[f"{known.below}{records.popleft():016x}"] = None
    return ended


def _answer(name: str, record: Record, origin: Origin) -> Found:
    if record.digest != origin.digest:
        return _refused("a forwarded request has the id of another one")
    effects = tuple(msgspec.msgpack.decode(fields, type=REPEATED[kind]) for kind, fields in record.effects if kind in REPEATED)
    if not record.sealed:
        return Found(envelope.failed(AlreadyDone(COMMITTED.format(record.size))), effects)
    try:
        return Found(_decode_reply(open_box(origin.reply_key, record.sealed, name=name)), effects)
    except IntegrityError:
        return _refused("a forwarded request has another key than when it was carried out")


def _refused(why: str) -> Found:
    return Found(envelope.failed(AlreadyDone(why)))
