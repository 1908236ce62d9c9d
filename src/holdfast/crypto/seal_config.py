"""How the root key is guarded, and how many people it takes: stored in plaintext, because a sealed node must know it.

Left to others: PGP keys. Shares encrypted for their holders are made by whoever hands them out; nothing here is stored about them.
"""
from enum import Enum
from typing import NoReturn

import msgspec

from holdfast.crypto.shamir import SHARES_MAX
from holdfast.errors import BadRequest, IntegrityError


class SealType(Enum):
    SHAMIR = "shamir"
    STATIC = "static"

    @property
    def has_recovery_key(self) -> bool:
        """Unseals by itself: its shares are of a recovery key, which proves operators' consent but opens nothing."""
        return self is not SealType.SHAMIR


class SealConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Stored at `core/seal-config`, and for the recovery key at `core/recovery-config`. Field names are Vault's."""

    type: SealType
    secret_shares: int
    secret_threshold: int
    stored_shares: int = 1
    nonce: str = ""


def check_shares(shares: int, threshold: int) -> None:
    """BadRequest, as Vault words it, unless so many shares with this threshold can be made."""
    if shares < 1:
        _refuse("shares must be at least one")
    if threshold < 1:
        _refuse("threshold must be at least one")
    if shares > 1 and threshold < 2:
        _refuse("threshold must be greater than one for multiple shares")
    if shares > SHARES_MAX:
        _refuse(f"shares must be less than {SHARES_MAX + 1}")
    if threshold > shares:
        _refuse("threshold cannot be larger than shares")


def _refuse(why: str) -> NoReturn:
    raise BadRequest(f"invalid seal configuration: {why}")


def encode_config(config: SealConfig) -> bytes:
    return msgspec.json.encode(config)


def decode_config(stored: bytes) -> SealConfig:
    """The stored configuration; IntegrityError if it is damaged or names a seal that this version does not know."""
    try:
        return _decode(stored)
    except msgspec.MsgspecError as error:
        raise IntegrityError(f"seal configuration: {error}") from error


_decode = msgspec.json.Decoder(SealConfig).decode
