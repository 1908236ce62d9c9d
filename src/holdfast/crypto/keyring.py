"""The barrier's keys: which encrypts, which still decrypt, when the next one is due.

Invariants: (1) terms count from 1 without a gap, and only grow; the last one encrypts; (2) no key is ever changed or dropped: a value
under any term stays readable; (3) all functions are pure: the stored keyring is the only state, and one batch replaces it.
Left to others: reading and writing it (`names.py` says where), and counting encryptions (`key_use.py`).
"""
from collections.abc import Mapping

import msgspec

from holdfast import limits
from holdfast.crypto.aead import open_box, seal_box
from holdfast.crypto.draw import AES_KEY_BYTES, Draw, exactly
from holdfast.crypto.names import KEYRING
from holdfast.crypto.secret import Secret
from holdfast.errors import IntegrityError, InvariantError
from holdfast.ids import Millis


class TermKey(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One AES-256 key. `encryptions` is filled in when the term ends: an upper bound of the values encrypted under it."""

    secret: Secret
    installed_ms: Millis
    encryptions: int = 0


class Rotation(msgspec.Struct, frozen=True, kw_only=True):
    """When a new term is due by itself: `sys/rotate/config`. The bound by count holds even if `enabled` is False."""

    enabled: bool = True
    encryptions_max: int = limits.KEY_ENCRYPTIONS_MAX
    interval_ms: int = 0                                 # 0: never by time


class Keyring(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """AES-256 keys by key term; `active_term` encrypts. Terms only grow; an old key stays, so old values stay readable."""

    keys: Mapping[int, TermKey]
    active_term: int
    rotation: Rotation = Rotation()

    @property
    def active(self) -> TermKey:
        return self.keys[self.active_term]


def new_keyring(draw: Draw, now_ms: Millis) -> Keyring:
    """A keyring of one fresh key, term 1."""
    return Keyring(keys={1: _fresh_key(draw, now_ms)}, active_term=1)


def rotate(keyring: Keyring, draw: Draw, now_ms: Millis, *, encryptions: int) -> Keyring:
    """The keyring with one more term, which now encrypts. `encryptions` is what the ending term has come to."""
    ended = msgspec.structs.replace(keyring.active, encryptions=encryptions)
    term = keyring.active_term + 1
    if term > limits.KEY_TERMS_MAX:
        raise InvariantError(f"a keyring holds {limits.KEY_TERMS_MAX} terms")
    keys = {**keyring.keys, keyring.active_term: ended, term: _fresh_key(draw, now_ms)}
    return msgspec.structs.replace(keyring, keys=keys, active_term=term)


def rotation_is_due(keyring: Keyring, *, encryptions: int, now_ms: Millis) -> bool:
    """Whether the active term has encrypted enough values, or is old enough, to be followed by the next one."""
    rotation = keyring.rotation
    too_old = rotation.enabled and 0 < rotation.interval_ms <= now_ms - keyring.active.installed_ms
    return too_old or encryptions >= encryptions_bound(keyring)


def encryptions_bound(keyring: Keyring) -> int:
    """How many values one term may encrypt; the ceiling holds whatever is configured."""
    rotation = keyring.rotation
    return min(rotation.encryptions_max, limits.KEY_ENCRYPTIONS_CEILING) if rotation.enabled else limits.KEY_ENCRYPTIONS_CEILING


def seal_keyring(root_key: Secret, keyring: Keyring, *, nonce: bytes) -> bytes:
    """What is stored at `core/keyring`. `nonce`: 12 random bytes."""
    return seal_box(root_key, msgspec.json.encode(keyring), name=KEYRING, nonce=nonce)


def open_keyring(root_key: Secret, sealed: bytes) -> Keyring:
    """The stored keyring; IntegrityError if this is not its root key, or the record is not whole."""
    plaintext = open_box(root_key, sealed, name=KEYRING)
    try:
        keyring = _decode(plaintext)
    except msgspec.MsgspecError as error:
        raise IntegrityError(f"{KEYRING}: not a keyring") from error
    if sorted(keyring.keys) != list(range(1, keyring.active_term + 1)):
        raise IntegrityError(f"{KEYRING}: terms are missing")
    return keyring


def _fresh_key(draw: Draw, now_ms: Millis) -> TermKey:
    return TermKey(secret=Secret(exactly(draw, AES_KEY_BYTES)), installed_ms=now_ms)


_decode = msgspec.json.Decoder(Keyring).decode
