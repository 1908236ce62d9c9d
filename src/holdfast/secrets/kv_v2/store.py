"""Where version 2 keeps what: `config`, `metadata/<path>`, `value/<batch>-<number>`; and `v1/<path>`, what version 1 left.

A value is named by the batch that wrote it, 12 hex digits, and by its number. So the values of one time lie together, whatever secrets they
are of: writing many at once touches few pages of the store; and those of an earlier secret at a path can still be on their way out.

Invariants: (1) whatever metadata do not name cannot be read, so values can go later, in a job; (2) metadata and what is shown of them are
cached, values never; (3) after an upgrade of the mount a secret that version 1 wrote reads as its version 1, made when it was written, and
the first change of it moves it here: an upgrade itself does nothing.
"""
import msgspec
from msgspec.structs import replace

from holdfast.engine import Context, Job, Raw, Table, Txn
from holdfast.engine.time import rfc3339
from holdfast.limits import JOB_KEYS_MAX, KV_DISCARD_INLINE_MAX, SECRET_PATH_CACHED_MAX
from holdfast.secrets.kv_v1 import ENTRIES, Entry
from holdfast.secrets.kv_v2.versions import Config, Metadata, Numbered, Version
from holdfast.secrets.paths import can_exist

CONFIG = Table("config", Config, cached=True)
METADATA = Table("metadata/", Metadata)                  # what reads need of it is cached as a View
DISCARD = "kv-discard"                                   # the job that deletes values
NOT_FOUND = Raw(body=b"", content_type="application/json", status=404)
"""To a patch of what is not there: the one 404 of Vault without a body, not even an empty list of errors."""


class VersionOut(msgspec.Struct, frozen=True, kw_only=True):
    """A version as answers show it."""

    created_time: str
    custom_metadata: dict[str, str] | None
    deletion_time: str
    destroyed: bool
    version: int


class View(msgspec.Struct, frozen=True, eq=False):
    """All that a read needs of a version but its value: rendered once, cached until its metadata change."""

    key: str                                             # of the value
    from_v1: bool                                        # the value is an entry of version 1
    gone_ms: int                                         # from then on only the metadata are shown
    tail: bytes                                          # of the answer's data, from `,"metadata":` on


class Discarded(msgspec.Struct, frozen=True):
    """Values that no metadata name any more: batch and number of each."""

    values: tuple[tuple[int, int], ...]


_encode = msgspec.json.Encoder().encode
_decode_entry = msgspec.json.Decoder(Entry).decode
_decode_discarded = msgspec.json.Decoder(Discarded).decode


def find(txn: Txn, path: str) -> Metadata | None:
    """The metadata of a secret, also of one that version 1 wrote."""
    if not can_exist(path):
        return None
    meta = METADATA.get(txn, path)
    if meta is None:
        entry = ENTRIES.get(txn, path)
        if entry is not None:
            made = entry.written_ms
            return Metadata(created_ms=made, updated_ms=made, current_version=1, oldest_version=1, versions=(Version(made),))
    return meta


def seen(txn: Txn, path: str, number: int) -> View | None:
    """The view of a version, cached. `number` 0, or less: the current one."""
    return txn.derive(view, path, number) if len(path) <= SECRET_PATH_CACHED_MAX else view(txn, path, number)


def view(txn: Txn, path: str, number: int) -> View | None:
    """For `txn.derive`. `number` 0, or less: the current version."""
    meta = find(txn, path)
    if meta is None:
        return None
    number = number if number > 0 else meta.current_version
    version = meta.at(number)
    if version is None:
        return None
    key = value_key(version.batch, number) if version.batch else f"v1/{path}"
    return View(key, not version.batch, version.gone_ms, b',"metadata":' + _encode(shown(meta, number)) + b"}")


def shown(meta: Metadata, number: int) -> VersionOut:
    """A version that is held; 0: the current one."""
    version = meta.at(number)
    assert version is not None, number
    return VersionOut(
        created_time=rfc3339(version.created_ms), custom_metadata=dict(meta.custom) or None,
        deletion_time=rfc3339(version.deletion_ms) if version.deletion_ms else "", destroyed=version.destroyed,
        version=number or meta.current_version)


def value_key(batch: int, number: int) -> str:
    return f"value/{batch:012x}-{number}"


def value(txn: Txn, seen: View) -> bytes:
    """The value of a version that is not gone, as JSON. Never cached."""
    stored = txn.get(seen.key)
    assert stored is not None, seen.key
    return bytes(_decode_entry(stored).data) if seen.from_v1 else stored


def settled(txn: Txn, path: str, meta: Metadata) -> Metadata:
    """Before a change of what `find` gave: what version 1 wrote moves here."""
    if not meta.is_of_version_1:
        return meta
    entry, batch = ENTRIES.get(txn, path), txn.own_index
    assert entry is not None, path
    txn.put(value_key(batch, 1), bytes(entry.data))
    ENTRIES.delete(txn, path)
    return replace(meta, versions=(replace(meta.versions[0], batch=batch),))


def discard(txn: Txn, ctx: Context, gone: tuple[Numbered, ...]) -> None:
    """Values that the metadata do not name any more: deleted at once if they are few, else by a job."""
    if len(gone) <= KV_DISCARD_INLINE_MAX:
        for number, version in gone:
            txn.delete(value_key(version.batch, number))
    else:
        ctx.job(Job(kind=DISCARD, record=_encode(Discarded(tuple((version.batch, number) for number, version in gone)))))


def discard_some(txn: Txn, job: Job, ctx: Context) -> Job | None:
    """One batch of the job; its cursor is the count of those done."""
    record, done = _decode_discarded(job.record), int(job.cursor or 0)
    for batch, number in record.values[done:done + JOB_KEYS_MAX]:
        txn.delete(value_key(batch, number))
    done += JOB_KEYS_MAX
    return job.after(str(done)) if done < len(record.values) else None

