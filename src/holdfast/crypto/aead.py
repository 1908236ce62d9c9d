"""AES-256-GCM for the few values outside the barrier: the keyring under the root key, the root key under the seal.

Invariants: (1) every box names what it holds as additional data, so one cannot stand in for another; (2) the first byte tells the kind of
box and is never `BARRIER_VERSION`, so no box is taken for a value of the barrier.
"""
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from holdfast.crypto.draw import AES_KEY_BYTES, NONCE_BYTES
from holdfast.crypto.secret import Secret
from holdfast.errors import IntegrityError, InvariantError

BARRIER_VERSION = 1
BOX_VERSION = 2
TAG_BYTES = 16


def cipher(key: Secret) -> AESGCM:
    """The cipher of one AES-256 key."""
    if len(key.value) != AES_KEY_BYTES:
        raise InvariantError(f"an AES-256 key has {AES_KEY_BYTES} bytes, not {len(key.value)}")
    return AESGCM(key.value)


def seal_box(key: Secret, plaintext: bytes, *, name: str, nonce: bytes) -> bytes:
    """Version 1 B, nonce 12 B, ciphertext, tag 16 B. `nonce` is fresh for this key."""
    if len(nonce) != NONCE_BYTES:
        raise InvariantError(f"a nonce has {NONCE_BYTES} bytes, not {len(nonce)}")
    return bytes((BOX_VERSION,)) + nonce + cipher(key).encrypt(nonce, plaintext, name.encode())


def open_box(key: Secret, sealed: bytes, *, name: str) -> bytes:
    """What `seal_box` sealed under this key and name; else IntegrityError: another key, another name, or changed bytes."""
    if len(sealed) < 1 + NONCE_BYTES + TAG_BYTES or sealed[0] != BOX_VERSION:
        raise IntegrityError(f"{name}: not a sealed box of version {BOX_VERSION}")
    try:
        return cipher(key).decrypt(sealed[1:1 + NONCE_BYTES], sealed[1 + NONCE_BYTES:], name.encode())
    except InvalidTag as error:
        raise IntegrityError(f"{name}: authentication failed") from error
