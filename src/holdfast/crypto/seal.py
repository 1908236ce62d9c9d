"""What guards the root key while the node is sealed.

Invariants: (1) a seal only ever wraps keys made at init, rotation or rekey: a handful of values in its life; (2) what it wraps is bound
to the name it is stored at; (3) a wrong key is the caller's mistake (`InvalidKey`), not damage.
"""
from typing import Protocol

from holdfast.crypto.aead import open_box, seal_box
from holdfast.crypto.draw import AES_KEY_BYTES, NONCE_BYTES, Draw, exactly
from holdfast.crypto.seal_config import SealType
from holdfast.crypto.secret import Secret
from holdfast.errors import BadRequest, IntegrityError


class InvalidKey(BadRequest):
    """The unseal or recovery key that the shares give is not the right one."""


class Seal(Protocol):
    """Wraps and unwraps the root key (and the recovery key). `name` is the stored key, part of what is authenticated."""

    @property
    def type(self) -> SealType: ...
    def wrap(self, secret: Secret, *, name: str, draw: Draw) -> bytes: ...
    def unwrap(self, sealed: bytes, *, name: str) -> Secret:
        """InvalidKey: this is not the seal that it was wrapped with."""
    def is_current(self, sealed: bytes) -> bool:
        """False: it opens, but is to be wrapped anew under the seal's newest key."""


class ShamirSeal:
    """The combined unseal key wraps the root key, so a rekey of the shares need not touch the keyring."""

    type = SealType.SHAMIR

    def __init__(self, unseal_key: Secret) -> None:
        if len(unseal_key.value) != AES_KEY_BYTES:
            raise InvalidKey(f"invalid key: the unseal key has {AES_KEY_BYTES} bytes, not {len(unseal_key.value)}")
        self._unseal_key = unseal_key

    def wrap(self, secret: Secret, *, name: str, draw: Draw) -> bytes:
        return seal_box(self._unseal_key, secret.value, name=name, nonce=exactly(draw, NONCE_BYTES))

    def unwrap(self, sealed: bytes, *, name: str) -> Secret:
        try:
            return Secret(open_box(self._unseal_key, sealed, name=name))
        except IntegrityError as error:
            raise InvalidKey("unseal failed, invalid key") from error

    def is_current(self, sealed: bytes) -> bool:
        return True
