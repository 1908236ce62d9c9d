"""The keys of a new cluster, and how a sealed node gets them back. Pure: stored values in, stored values out.

Invariants: (1) the unseal key, the recovery key and the root key are independent random keys, so shares can be changed without touching
data; (2) an unseal either gives the root key *and* the keyring that it opens, or fails with nothing kept.
Left to others: collecting shares one by one (`node`), encrypting and appending the first batch (`core/root-key` is a value of the barrier).
"""
from collections.abc import Mapping

import msgspec

from holdfast.crypto.draw import AES_KEY_BYTES, NONCE_BYTES, Draw, exactly
from holdfast.crypto.keyring import Keyring, new_keyring, open_keyring, seal_keyring
from holdfast.crypto.names import (
    KEYRING,
    RECOVERY_CONFIG,
    ROOT_KEY,
    SEAL_CONFIG,
    SHAMIR_KEK,
    WRAPPED_RECOVERY_KEY,
    WRAPPED_ROOT_KEY,
)
from holdfast.crypto.seal import InvalidKey, Seal, ShamirSeal
from holdfast.crypto.seal_config import SealConfig, SealType, check_shares, encode_config
from holdfast.crypto.secret import Secret
from holdfast.crypto.shamir import split
from holdfast.errors import IntegrityError, InvariantError
from holdfast.ids import Millis


class Opened(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What an unsealed main process holds; its workers get the keyring alone."""

    root_key: Secret
    keyring: Keyring


class NewCluster(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """`stored` is plaintext by key: the first batch's content. `shares` are unseal shares, with auto-unseal recovery shares."""

    stored: Mapping[str, bytes]
    shares: tuple[Secret, ...]
    opened: Opened


def new_shamir_cluster(*, shares: int, threshold: int, draw: Draw, now_ms: Millis) -> NewCluster:
    """Init with unseal shares. BadRequest if the numbers do not fit."""
    check_shares(shares, threshold)
    unseal_key = Secret(exactly(draw, AES_KEY_BYTES))
    config = SealConfig(type=SealType.SHAMIR, secret_shares=shares, secret_threshold=threshold)
    stored, opened = _new_keys(ShamirSeal(unseal_key), draw, now_ms)
    return NewCluster(
        stored={**stored, SEAL_CONFIG: encode_config(config), SHAMIR_KEK: unseal_key.value},
        shares=split(unseal_key, shares=shares, threshold=threshold, draw=draw),
        opened=opened,
    )


def new_auto_cluster(seal: Seal, *, shares: int, threshold: int, draw: Draw, now_ms: Millis) -> NewCluster:
    """Init with a seal that opens itself; `shares` and `threshold` are of the recovery key."""
    if not seal.type.has_recovery_key:
        raise InvariantError("a seal without a recovery key does not open itself")
    check_shares(shares, threshold)
    recovery_key = Secret(exactly(draw, AES_KEY_BYTES))
    config = SealConfig(type=seal.type, secret_shares=1, secret_threshold=1)
    recovery = SealConfig(type=SealType.SHAMIR, secret_shares=shares, secret_threshold=threshold, stored_shares=0)
    stored, opened = _new_keys(seal, draw, now_ms)
    return NewCluster(
        stored={
            **stored,
            SEAL_CONFIG: encode_config(config),
            RECOVERY_CONFIG: encode_config(recovery),
            WRAPPED_RECOVERY_KEY: seal.wrap(recovery_key, name=WRAPPED_RECOVERY_KEY, draw=draw),
        },
        shares=split(recovery_key, shares=shares, threshold=threshold, draw=draw),
        opened=opened,
    )


def unseal(seal: Seal, *, wrapped_root_key: bytes, sealed_keyring: bytes) -> Opened:
    """InvalidKey if the seal is not the right one; IntegrityError if the root key does not open the keyring."""
    root_key = seal.unwrap(wrapped_root_key, name=WRAPPED_ROOT_KEY)
    return Opened(root_key=root_key, keyring=open_keyring(root_key, sealed_keyring))


def check_recovery_key(seal: Seal, key: Secret, wrapped: bytes) -> None:
    """InvalidKey unless `key`, combined from recovery shares, is the cluster's."""
    if seal.unwrap(wrapped, name=WRAPPED_RECOVERY_KEY) != key:
        raise InvalidKey("recovery key verification failed")


def follow(opened: Opened, *, sealed_keyring: bytes, root_key: bytes | None) -> Opened:
    """The keys after a rotation or a change of the root key, for a node that was unsealed before. `root_key` is what the barrier reads at
    `core/root-key`, None where it cannot. IntegrityError: away for too long, so the node seals itself."""
    known = (opened.root_key,) if root_key is None else (opened.root_key, Secret(root_key))
    for candidate in known:
        try:
            return Opened(root_key=candidate, keyring=open_keyring(candidate, sealed_keyring))
        except IntegrityError:
            continue
    raise IntegrityError(f"{KEYRING}: sealed under a root key that this node never had")


def change_root_key(opened: Opened, seal: Seal, draw: Draw) -> tuple[Mapping[str, bytes], Opened]:
    """A fresh root key: the three values of one batch, and what the node then holds. Values encrypted before stay as they are."""
    changed = Opened(root_key=Secret(exactly(draw, AES_KEY_BYTES)), keyring=opened.keyring)
    return _stored(changed, seal, draw), changed


def _new_keys(seal: Seal, draw: Draw, now_ms: Millis) -> tuple[Mapping[str, bytes], Opened]:
    opened = Opened(root_key=Secret(exactly(draw, AES_KEY_BYTES)), keyring=new_keyring(draw, now_ms))
    return _stored(opened, seal, draw), opened


def _stored(opened: Opened, seal: Seal, draw: Draw) -> Mapping[str, bytes]:
    return {
        KEYRING: seal_keyring(opened.root_key, opened.keyring, nonce=exactly(draw, NONCE_BYTES)),
        ROOT_KEY: opened.root_key.value,
        WRAPPED_ROOT_KEY: seal.wrap(opened.root_key, name=WRAPPED_ROOT_KEY, draw=draw),
    }
