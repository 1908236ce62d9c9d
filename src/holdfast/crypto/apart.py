"""Sealing values that leave the store (batch tokens), at any node, any number of times, without anybody counting.

The barrier's keys must be counted, and only the lane counts. Here each value is sealed under a key of its own, derived from 32 random bytes
that travel with it: no two values share key and nonce until 2^128 of them were made, so no bound has to be kept.

Sealed form: version 1 B, salt 32 B, ciphertext, tag 16 B. Key: BLAKE2b-256 of the salt under the long-term key, personalised by the
purpose; cipher: AES-256-GCM with a nonce of zeros, the purpose as additional data.
Invariants: (1) a salt is drawn for each value and never chosen; (2) what was sealed for one purpose does not open for another.
"""
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from holdfast.crypto.aead import TAG_BYTES
from holdfast.crypto.draw import NONCE_BYTES, Draw, exactly
from holdfast.crypto.keyed_hash import KeyedHash
from holdfast.crypto.secret import Secret
from holdfast.errors import IntegrityError

APART_VERSION = b"\x04"
SALT_BYTES = 32
BODY_AT = 1 + SALT_BYTES
ZERO_NONCE = bytes(NONCE_BYTES)


class ApartSeal:
    """One long-term key (32 bytes) and one purpose (at most 16 bytes)."""

    def __init__(self, key: Secret, purpose: bytes) -> None:
        self._derive, self._purpose = KeyedHash(key, purpose).of, purpose

    def seal(self, plaintext: bytes, draw: Draw) -> bytes:
        salt = exactly(draw, SALT_BYTES)
        return APART_VERSION + salt + AESGCM(self._derive(salt)).encrypt(ZERO_NONCE, plaintext, self._purpose)

    def open(self, sealed: bytes) -> bytes:
        """IntegrityError: not sealed under this key for this purpose, or changed since."""
        if len(sealed) < BODY_AT + TAG_BYTES or not sealed.startswith(APART_VERSION):
            raise IntegrityError("not a value sealed apart")
        try:
            return AESGCM(self._derive(sealed[1:BODY_AT])).decrypt(ZERO_NONCE, sealed[BODY_AT:], self._purpose)
        except InvalidTag as error:
            raise IntegrityError("sealed apart: authentication failed") from error
