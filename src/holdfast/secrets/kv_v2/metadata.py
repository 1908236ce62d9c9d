"""`metadata/`: what is known of a secret besides its values."""
from collections.abc import Mapping
from typing import Annotated, TypeAlias

import msgspec
from msgspec.structs import replace

from holdfast.engine import Context, Duration, Input, Natural, Output, Response, Result, Txn, doc, listing, seconds
from holdfast.engine.route import is_null
from holdfast.engine.time import go_duration, rfc3339
from holdfast.engine.weak import as_text
from holdfast.errors import BadRequest, NotFound, listed
from holdfast.limits import KV_CUSTOM_KEY_MAX_BYTES, KV_CUSTOM_METADATA_MAX, KV_CUSTOM_VALUE_MAX_BYTES
from holdfast.secrets import json_object, merge_patch
from holdfast.secrets.kv_v1 import ENTRIES
from holdfast.secrets.kv_v2 import store
from holdfast.secrets.kv_v2.config import checked_max
from holdfast.secrets.kv_v2.store import CONFIG, METADATA, NOT_FOUND
from holdfast.secrets.kv_v2.versions import Config, Metadata
from holdfast.secrets.paths import AtPath, can_exist, check_writable, folder

CAS_IS_MANDATED = '"cas_required" set to false, but is mandated by backend config. This value will be ignored.'
INVALID = "custom_metadata validation failed"
NAMED_MAX = 256                                          # characters of a name that an error shows
Unset: TypeAlias = msgspec.UnsetType


class ListFolder(Input, frozen=True):
    path: Annotated[str, doc("The folder; empty: all.")] = ""


class Write(AtPath, frozen=True):
    """A null is a value of its own and stands for the default; but a time that is null is as if not sent."""

    max_versions: Annotated[Natural | Unset | None, doc("Versions to keep; 0: as many as the mount says.")] = msgspec.UNSET
    cas_required: Annotated[bool | Unset | None, doc("Whether each write must name the current version (`cas`).")] = msgspec.UNSET
    delete_version_after: Annotated[Duration, doc("Time after which a version is deleted; 0: as the mount says.")] = None
    custom_metadata: Annotated[msgspec.Raw, doc(
        "Up to 64 pairs of names and strings of your own; a write sets them all, a patch those it names.")] = msgspec.Raw()

    @property
    def is_empty(self) -> bool:
        return self.max_versions is self.cas_required is msgspec.UNSET and self.delete_version_after is None and not self.custom_metadata

    @property
    def pairs(self) -> Mapping[str, msgspec.Raw]:
        return json_object.fields(self.custom_metadata, "custom_metadata")


class VersionTimes(msgspec.Struct, frozen=True, kw_only=True):
    created_time: str
    deletion_time: str
    destroyed: bool


class MetadataOut(Output, frozen=True):
    cas_required: bool
    created_time: str
    current_version: int
    custom_metadata: Mapping[str, str] | None
    delete_version_after: str
    max_versions: int
    oldest_version: int
    updated_time: str
    versions: Mapping[str, VersionTimes]


def read(txn: Txn, args: AtPath, ctx: Context) -> Response:
    """Read a secret's metadata and the list of its versions."""
    meta = store.find(txn, args.path)
    if meta is None:
        raise NotFound
    versions = {str(number): VersionTimes(
        created_time=rfc3339(version.created_ms), deletion_time=rfc3339(version.deletion_ms) if version.deletion_ms else "",
        destroyed=version.destroyed) for number, version in meta.numbered()}
    return Response(data=MetadataOut(
        cas_required=meta.cas_required, created_time=rfc3339(meta.created_ms), current_version=meta.current_version,
        custom_metadata=meta.custom or None, delete_version_after=go_duration(meta.delete_after_s), max_versions=meta.max_versions,
        oldest_version=meta.oldest_version, updated_time=rfc3339(meta.updated_ms), versions=versions))


def list_keys(txn: Txn, args: ListFolder, ctx: Context) -> Response:
    """List the secrets and folders in a folder."""
    if not can_exist(args.path):
        raise NotFound
    below = folder(args.path)
    keys = METADATA.list(txn, below)
    left = ENTRIES.list(txn, below)
    if left:
        keys = tuple(sorted({*keys, *left}))
    return listing(keys)


def write(txn: Txn, args: Write, ctx: Context) -> Response:
    """Set a secret's settings and custom metadata; it need not have a version yet."""
    check_writable(args.path, ctx)
    if args.is_empty:
        return Response()
    meta = store.find(txn, args.path)
    if meta is None:
        meta = Metadata(created_ms=ctx.now_ms, updated_ms=ctx.now_ms)
    custom = texts(args.pairs) if args.custom_metadata else meta.custom
    return _keep(txn, args, meta, custom)


def patch(txn: Txn, args: Write, ctx: Context) -> Result:
    """Change a secret's settings and custom metadata by a JSON merge patch."""
    merge_patch.check_media_type(ctx.request)
    if args.is_empty:
        return Response()
    meta = store.find(txn, args.path)
    if meta is None:
        return NOT_FOUND
    custom = meta.custom
    if is_null(args.custom_metadata):
        custom = {}
    elif args.custom_metadata:
        removed = {name for name, value in args.pairs.items() if is_null(value)}
        changed = texts({name: value for name, value in args.pairs.items() if name not in removed})
        custom = {name: value for name, value in {**custom, **changed}.items() if name not in removed}
        check_count(custom)
    return _keep(txn, args, meta, custom)


def delete(txn: Txn, args: AtPath, ctx: Context) -> Response:
    """Delete a secret with all its versions, for good."""
    meta = store.find(txn, args.path)
    if meta is None:
        return Response()
    if meta.is_of_version_1:
        ENTRIES.delete(txn, args.path)
        return Response()
    METADATA.delete(txn, args.path)
    store.discard(txn, ctx, tuple(each for each in meta.numbered() if not each[1].destroyed))
    return Response()


def texts(sent: Mapping[str, msgspec.Raw]) -> dict[str, str]:
    """Custom metadata as they are kept: strings; numbers as written. Raises BadRequest naming what does not fit."""
    check_count(sent)
    errors: list[str] = []
    found = {name: _text(value) for name, value in sent.items()}
    for name, value in found.items():
        size = len(name.encode())
        if not 0 < size <= KV_CUSTOM_KEY_MAX_BYTES:
            errors.append(f"{INVALID}: length of key {_quoted(name)} is {size} but must be 0 < len(key) <= {KV_CUSTOM_KEY_MAX_BYTES}")
        size = len(value.encode())
        if not 0 < size <= KV_CUSTOM_VALUE_MAX_BYTES:
            errors.append(f"{INVALID}: length of value for key {_quoted(name)} is {size} but must be "
                          f"0 < len(value) <= {KV_CUSTOM_VALUE_MAX_BYTES}")
        if not name.isprintable():
            errors.append(f"{INVALID}: key {_quoted(name)} ({name[:NAMED_MAX]}) contains unprintable characters")
        if not value.isprintable():
            errors.append(f"{INVALID}: value for key {_quoted(name)} contains unprintable characters")
    if errors:
        raise BadRequest(listed(*errors))
    return found


def check_count(custom: Mapping[str, object]) -> None:
    if len(custom) > KV_CUSTOM_METADATA_MAX:
        raise BadRequest(listed(f"{INVALID}: payload must contain at most {KV_CUSTOM_METADATA_MAX} keys, provided {len(custom)}"))


def _quoted(name: str) -> str:
    """As Go quotes it."""
    return '"' + repr(name[:NAMED_MAX])[1:-1].replace("\\'", "'").replace('"', '\\"') + '"'


def _text(value: msgspec.Raw) -> str:
    text = bytes(as_text(value))
    if text[:1] in (b"{", b"["):
        kind = "map[string]interface {}" if text[:1] == b"{" else "[]interface {}"
        raise BadRequest(f"{INVALID}: '' expected type 'string', got unconvertible type '{kind}'")
    return msgspec.json.decode(text, type=str)


def _keep(txn: Txn, args: Write, meta: Metadata, custom: Mapping[str, str]) -> Response:
    mandated = (CONFIG.get(txn) or Config()).cas_required and args.cas_required is False
    meta = replace(                                      # when it was updated says when it had its last version, as in Vault
        meta, custom=custom,
        max_versions=meta.max_versions if args.max_versions is msgspec.UNSET else checked_max(args.max_versions or 0),
        cas_required=meta.cas_required if args.cas_required is msgspec.UNSET else bool(args.cas_required),
        delete_after_s=meta.delete_after_s if args.delete_version_after is None else seconds(
            args.delete_version_after, "delete_version_after"))
    METADATA.put(txn, args.path, store.settled(txn, args.path, meta))
    return Response(warnings=(CAS_IS_MANDATED,) if mandated else ())
