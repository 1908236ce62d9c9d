"""The names that secrets are stored under, and the seal of what is given away: all from one key made at init.

Invariants: (1) neither a token nor an accessor nor the name of an alias stands in the store as it is carried; (2) the same text has another
name for each purpose.
"""
import msgspec

from holdfast.core import state_token
from holdfast.crypto import ApartSeal, HmacSha256, KeyedHash, Secret
from holdfast.crypto.keyed_hash import HASH_KEY_BYTES
from holdfast.engine import Rng, Table, Txn
from holdfast.errors import InvariantError


class HashKey(msgspec.Struct, frozen=True):
    """Made at init; the same at every node, for ever."""

    key: Secret


HASH_KEY = Table("core/hash-key", HashKey)


class Names(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One keyed function for each purpose."""

    token: KeyedHash
    accessor: KeyedHash
    alias: KeyedHash
    batch: ApartSeal
    index: HmacSha256                                # signs the index within a service token


def new_hash_key(rng: Rng) -> HashKey:
    """For init."""
    return HashKey(Secret(rng.bytes(HASH_KEY_BYTES)))


def load_names(txn: Txn) -> Names:
    """For `txn.derive`."""
    hash_key, state_key = HASH_KEY.get(txn), state_token.KEY.get(txn)
    if hash_key is None or state_key is None:
        raise InvariantError("an initialised store has a hash key and a state key")
    key = hash_key.key
    return Names(token=KeyedHash(key, b"token"), accessor=KeyedHash(key, b"accessor"), alias=KeyedHash(key, b"alias"),
                 batch=ApartSeal(key, b"batch token"), index=HmacSha256(Secret(state_key.key)))


def token_name(txn: Txn, token: str) -> str:
    """The id of a service token of this text."""
    return txn.derive(load_names).token.hex(token.encode())


def accessor_name(txn: Txn, accessor: str) -> str:
    return txn.derive(load_names).accessor.hex(accessor.encode())


def alias_name(txn: Txn, alias: str) -> str:
    return txn.derive(load_names).alias.hex(alias.encode())
