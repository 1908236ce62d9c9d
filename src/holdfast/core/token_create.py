"""Making tokens.

Invariants: (1) the text of a token is in no batch: its keyed hash is; (2) an index in a token is that of the batch that holds it; (3) a
chosen id is free only when nothing of an earlier token of that id is left.
"""
from collections.abc import Iterable, Mapping

import msgspec
from msgspec.structs import replace

from holdfast.core import marks, token_format, token_store
from holdfast.core.base62 import random_name
from holdfast.core.secret_names import load_names, token_name
from holdfast.core.token_store import ENTRIES, TokenEntry
from holdfast.core.tokens import BatchClaims
from holdfast.crypto import Secret
from holdfast.engine import Rng, Txn
from holdfast.errors import BadRequest
from holdfast.ids import Index, Millis
from holdfast.limits import TOKEN_CHOSEN_MAX_BYTES, TOKEN_DEPTH_MAX, TOKEN_MAX_BYTES, TOKEN_TEXTS_MAX

UNSET = Index(0)
_encode_claims = msgspec.msgpack.Encoder().encode


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """A service token that was just made."""

    text: Secret
    id: str
    entry: TokenEntry


def create_root(txn: Txn, rng: Rng, *, now_ms: Millis, text: str = "") -> Made:
    """A token that may do everything and never expires: of `sys/init`, or the one that `-dev-root-token-id` names."""
    entry = TokenEntry(accessor=random_name(rng), policies=(token_store.ROOT,), path="auth/token/root", created_ms=now_ms,
                       index=txn.own_index, display_name="root")
    return _store(txn, text or token_format.SERVICE + random_name(rng), entry)


def create(txn: Txn, rng: Rng, entry: TokenEntry, *, text: str = "") -> Made:
    """Stores a service token made from `entry`, whose accessor, index, depth and parent's life are found here. `text`: an id that
    somebody chose. Raises BadRequest: the id will not do, or the tree is too deep."""
    index = txn.own_index
    _check_size(entry.policies, entry.meta or {}, entry.display_name)
    depth = 0
    if entry.parent:
        parent = ENTRIES.get(txn, entry.parent)
        assert parent is not None, "the parent asked for this"
        depth = parent.depth + 1
        if depth > TOKEN_DEPTH_MAX:
            raise BadRequest(f"a token has at most {TOKEN_DEPTH_MAX} parents one above the other")
    entry = replace(entry, accessor=random_name(rng), index=index, depth=depth)
    if text:
        _check_chosen(txn, text)
        return _store(txn, text, entry)
    return _store(txn, token_format.service(random_name(rng), index, txn.derive(load_names).index), entry)


def create_batch(txn: Txn, rng: Rng, claims: BatchClaims) -> Secret:
    """A token that is its own record. Writes nothing, so any node can make one."""
    _check_size(claims.policies, dict(claims.meta), claims.display_name)
    sealed = txn.derive(load_names).batch.seal(_encode_claims(replace(claims, index=txn.run.reader.index)), rng.bytes)
    text = token_format.batch(sealed).encode()
    if len(text) > TOKEN_MAX_BYTES:
        raise BadRequest(f"a batch token of {len(text)} bytes is too long: the limit is {TOKEN_MAX_BYTES} bytes, so it can have fewer "
                         "policies or less metadata")
    return Secret(text)


def _store(txn: Txn, text: str, entry: TokenEntry) -> Made:
    id = token_name(txn, text)
    token_store.put_new(txn, id, entry)
    return Made(text=Secret(text.encode()), id=id, entry=entry)


def _check_size(policies: Iterable[str], meta: Mapping[str, str], display_name: str) -> None:
    size = sum(map(len, policies)) + sum(map(len, meta)) + sum(map(len, meta.values())) + len(display_name)
    if size > TOKEN_TEXTS_MAX:
        raise BadRequest(f"policies, metadata and display name of a token have at most {TOKEN_TEXTS_MAX} characters together, not {size}")


def _check_chosen(txn: Txn, text: str) -> None:
    for prefix in (token_format.SERVICE, token_format.BATCH, token_format.RECOVERY):
        if text.startswith(prefix):
            raise BadRequest(f"custom token ID cannot have the '{prefix}' prefix")
    if len(text.encode()) > TOKEN_CHOSEN_MAX_BYTES or not text.isprintable():
        raise BadRequest(f"custom token ID has at most {TOKEN_CHOSEN_MAX_BYTES} bytes, all of them printable")
    id = token_name(txn, text)
    # What an earlier token of this id left behind must not pass on to the new one.
    if ENTRIES.exists(txn, id) or marks.GONE.exists(txn, id) or marks.ORPHANS.exists(txn, id):
        raise BadRequest("cannot create a token with a duplicate ID")

