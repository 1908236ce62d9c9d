"""How a sealed node gets its keys back: shares one by one, or at once with a seal that opens itself.

Invariants: (1) shares are held only while they are being collected, and forgotten with the last one, right or wrong; (2) a share given
twice counts once.
"""
from collections.abc import Callable

from holdfast.crypto import (
    KEYRING,
    RECOVERY_CONFIG,
    SEAL_CONFIG,
    WRAPPED_ROOT_KEY,
    Opened,
    Seal,
    SealConfig,
    Secret,
    ShamirSeal,
    combine,
    decode_config,
    unseal,
)
from holdfast.crypto.draw import AES_KEY_BYTES
from holdfast.crypto.shamir import SHARE_OVERHEAD_BYTES
from holdfast.errors import BadRequest, IntegrityError
from holdfast.replica import Reader


class Unsealing:
    """`auto` is the seal of the configuration, None for shares. Configurations are read from the replica: None before init."""

    def __init__(self, auto: Seal | None, new_nonce: Callable[[], str]) -> None:
        self._auto, self._new_nonce = auto, new_nonce
        self._shares: list[Secret] = []
        self.nonce = ""
        self.joining: SealConfig | None = None           # of a cluster that this node is about to join: its shares are wanted

    @property
    def progress(self) -> int:
        """Shares given so far."""
        return len(self._shares)

    def reset(self) -> None:
        self._shares.clear()
        self.nonce = ""

    def offer(self, share: Secret, reader: Reader) -> Opened | None:
        """Takes one share; the keys, once there are enough. Raises BadRequest: not initialised, or the shares are wrong."""
        config = seal_config(reader)
        if config is None:
            raise BadRequest("Vault is not initialized")
        if self._auto is not None:
            return self.open_itself(reader)
        seal = self.collect(share, config)
        return None if seal is None else open_with(seal, reader)

    def collect(self, share: Secret, config: SealConfig) -> ShamirSeal | None:
        """Takes one share; the seal, once there are enough. Raises BadRequest: it can be no share, or they do not fit together."""
        _check_size(share, split=config.secret_threshold > 1)
        if share not in self._shares:
            self._shares.append(share)
            self.nonce = self.nonce or self._new_nonce()
        if len(self._shares) < config.secret_threshold:
            return None
        try:
            return ShamirSeal(combine(self._shares, threshold=config.secret_threshold))
        finally:
            self.reset()

    def open_itself(self, reader: Reader) -> Opened:
        """The keys, from the seal of the configuration alone."""
        if self._auto is None:
            raise BadRequest("this cluster is unsealed by shares")
        return open_with(self._auto, reader)


def seal_config(reader: Reader) -> SealConfig | None:
    """How the cluster is sealed; None before init."""
    stored = reader.get(SEAL_CONFIG)
    return None if stored is None else decode_config(stored)


def recovery_config(reader: Reader) -> SealConfig | None:
    """The shares of the recovery key; None without auto-unseal."""
    stored = reader.get(RECOVERY_CONFIG)
    return None if stored is None else decode_config(stored)


def _check_size(share: Secret, *, split: bool) -> None:
    """Raises BadRequest for what can be no share: nothing of its size may reach the cipher, or count among the others."""
    size = AES_KEY_BYTES + (SHARE_OVERHEAD_BYTES if split else 0)
    if len(share.value) < size:
        raise BadRequest(f"key is shorter than minimum {size} bytes")
    if len(share.value) > size:
        raise BadRequest(f"key is longer than maximum {size} bytes")


def open_with(seal: Seal, reader: Reader) -> Opened:
    """The keys. Raises InvalidKey: it is another seal; IntegrityError."""
    wrapped, keyring = reader.get(WRAPPED_ROOT_KEY), reader.get(KEYRING)
    if wrapped is None or keyring is None:
        raise IntegrityError("the store has a seal configuration, but not its keys")
    return unseal(seal, wrapped_root_key=wrapped, sealed_keyring=keyring)
