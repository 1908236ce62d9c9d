"""The barrier's keys as requests see them: which term encrypts, and how the next one comes.

The root key, which seals the keyring, is itself a value of the barrier. So a rotation is a write like any other: one
batch with a new `core/keyring`, which the lane follows before it encrypts anything else.
"""
import msgspec

from holdfast.crypto import KEYRING, KEYRING_USAGE, ROOT_KEY, Keyring, KeyUsage, Rotation, Secret, open_keyring, rotate, seal_keyring
from holdfast.crypto.draw import NONCE_BYTES
from holdfast.engine import Rng, Table, Txn
from holdfast.errors import InvariantError
from holdfast.ids import Millis

USAGE = Table(KEYRING_USAGE, KeyUsage)


def keyring(txn: Txn) -> Keyring:
    """The stored keyring, opened with the stored root key."""
    return open_keyring(_root_key(txn), _known(txn, KEYRING))


def encryptions(txn: Txn) -> int:
    """Values encrypted under the active term: an upper bound, at most one reservation too high."""
    usage = USAGE.get(txn)
    return usage.reserved if usage is not None and usage.term == keyring(txn).active_term else 0


def begin_term(txn: Txn, rng: Rng, now_ms: Millis) -> None:
    """A new key, for whatever is written after this batch."""
    _store(txn, rotate(keyring(txn), rng.bytes, now_ms, encryptions=encryptions(txn)), rng)


def configure(txn: Txn, rotation: Rotation, rng: Rng) -> None:
    """When keys are to rotate by themselves."""
    _store(txn, msgspec.structs.replace(keyring(txn), rotation=rotation), rng)


def _store(txn: Txn, changed: Keyring, rng: Rng) -> None:
    txn.put(KEYRING, seal_keyring(_root_key(txn), changed, nonce=rng.bytes(NONCE_BYTES)))


def _root_key(txn: Txn) -> Secret:
    return Secret(_known(txn, ROOT_KEY))


def _known(txn: Txn, key: str) -> bytes:
    value = txn.get(key)
    if value is None:
        raise InvariantError(f"{key} is missing from an initialised store")
    return value
