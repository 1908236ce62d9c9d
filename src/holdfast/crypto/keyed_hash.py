"""Keyed hashes: names for secrets that must not be stored, and proofs that a string is ours.

| for | function | key |
| --- | --- | --- |
| the name a token or accessor is stored under | BLAKE2b, 32 bytes out | one for the cluster, made at init, behind the barrier |
| the tag inside a `hvs.` token | HMAC-SHA-256 | one for the cluster, made at init, behind the barrier |
| values in audit entries | HMAC-SHA-256, as Vault's clients compute it | one a device, made when it is enabled |
"""
import hashlib
import hmac
from collections.abc import Callable
from functools import partial

from holdfast import _native
from holdfast.crypto.secret import Secret
from holdfast.errors import InvariantError

HASH_KEY_BYTES = 32


class KeyedHash:
    """BLAKE2b under one key: 0.5 µs a token. `purpose` separates uses of one key (at most 16 bytes)."""

    __slots__ = ("_copy",)

    def __init__(self, key: Secret, purpose: bytes) -> None:
        if len(key.value) != HASH_KEY_BYTES or len(purpose) > hashlib.blake2b.PERSON_SIZE:
            raise InvariantError(f"a hash key has {HASH_KEY_BYTES} bytes, a purpose at most {hashlib.blake2b.PERSON_SIZE}")
        self._copy = hashlib.blake2b(key=key.value, digest_size=32, person=purpose).copy

    def of(self, value: bytes) -> bytes:
        """32 bytes; the same for the same value, of no use without the key."""
        state = self._copy()
        state.update(value)
        return state.digest()

    def hex(self, value: bytes) -> str:
        """The same as 64 hex digits."""
        state = self._copy()
        state.update(value)
        return state.hexdigest()


class HmacSha256:
    """HMAC-SHA-256 (RFC 2104) under one key, made ready once."""

    __slots__ = ("_labelled", "_mac", "of")

    def __init__(self, key: Secret) -> None:
        self._mac = mac = _native.HmacSha256(key.value)
        self.of: Callable[[bytes], bytes] = mac.of           # 32 bytes
        self._labelled = mac.labelled

    def hex(self, text: str) -> str:
        """Of a text's UTF-8, as 64 hex digits."""
        return self._labelled("", text)

    def labelled(self, label: str) -> Callable[[str], str]:
        """`label` and the hex digest of a text's UTF-8, as one call: for a path on which a second one is felt."""
        return partial(self._labelled, label)

    def of_json(self, label: str) -> Callable[[bytes], bytes | None]:
        """`labelled` for every string of a JSON object that is no key, text in and text out; None: not this one (`_native.hashed_json`)."""
        return partial(_native.hashed_json, self._mac, label)

    def proves(self, value: bytes, tag: bytes) -> bool:
        """Whether `tag` is this value's, in constant time."""
        return hmac.compare_digest(self.of(value), tag)
