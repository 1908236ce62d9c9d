"""How a sealed node gets its keys back: shares one by one, or at once with a seal that opens itself; and how the seal is changed.

Invariants: (1) shares are held only while they are being collected, and forgotten with the last one, right or wrong; (2) a share given
twice counts once; (3) what shares of a change of the seal have given is held until the store has the new seal, and no longer.
"""
from collections.abc import Callable, Mapping

from holdfast.crypto import (
    KEYRING,
    RECOVERY_CONFIG,
    ROOT_KEY,
    SEAL_CONFIG,
    WRAPPED_RECOVERY_KEY,
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
from holdfast.crypto import seal_migration as migration
from holdfast.crypto.draw import AES_KEY_BYTES, Draw
from holdfast.crypto.shamir import SHARE_OVERHEAD_BYTES
from holdfast.errors import BadRequest, IntegrityError
from holdfast.replica import Reader


class Unsealing:
    """`auto` is the seal of the configuration, None for shares; `before`: that of a stanza that is disabled. What seals the store is read
    from the replica: None before init."""

    def __init__(self, auto: Seal | None, new_nonce: Callable[[], str], before: Seal | None = None) -> None:
        self._auto, self._new_nonce = auto, new_nonce
        self._seals = migration.Seals(now=auto, before=before)
        self._moves_with: Secret | None = None           # the key that allows the change of the seal
        self._shares: list[Secret] = []
        self.nonce = ""
        self.joining: SealConfig | None = None           # of a cluster that this node is about to join: its shares are wanted

    @property
    def progress(self) -> int:
        """Shares given so far."""
        return len(self._shares)

    @property
    def opens_itself(self) -> bool:
        """No share is wanted, by the configuration."""
        return self._auto is not None

    def reset(self) -> None:
        self._shares.clear()
        self.nonce = ""

    def offer(self, share: Secret, reader: Reader, *, migrate: bool = False) -> Opened | None:
        """Takes one share; the keys, once there are enough. Raises BadRequest: not initialised, or the shares are wrong."""
        config = seal_config(reader)
        if config is None:
            raise BadRequest("Vault is not initialized")
        if self.must_migrate(reader):
            return self._migrate(share, sealed_by(reader), asked=migrate)
        if migrate:
            raise BadRequest("'migrate' is set, but this node's configuration names no other seal than the store has")
        if self._auto is not None:
            return self.open_itself(reader)
        seal = self.collect(share, config)
        return None if seal is None else open_with(seal, reader)

    def must_migrate(self, reader: Reader) -> bool:
        """Whether the configuration names another seal than the store has. Raises BadRequest: it names none that opens the store."""
        return seal_config(reader) is not None and migration.is_pending(sealed_by(reader), self._seals)

    def is_migrating(self, reader: Reader) -> bool:
        """As `must_migrate`, once it is known that the store can be opened. Forgets what is not needed any more."""
        if self._auto is None and self._seals.before is None:
            return False                                 # the common case, and by far the cheapest
        try:
            pending = self.must_migrate(reader)
        except BadRequest:
            return False                                 # changed by another node since: this one's next start says so
        if not pending:
            self._moves_with = None
        return pending

    def changes(self, read: Callable[[str], bytes | None], draw: Draw) -> Mapping[str, bytes | None]:
        """What the active node writes to change the seal; nothing, if that is not to be done, or not allowed. `read`: by the barrier."""
        key, root_key = self._moves_with, read(ROOT_KEY)
        if key is None or root_key is None:
            return {}
        sealed = _sealed(read)
        if not migration.is_pending(sealed, self._seals):
            return {}
        return migration.changes(Secret(root_key), key, sealed, self._seals, draw=draw)

    def _migrate(self, share: Secret, sealed: migration.Sealed, *, asked: bool) -> Opened | None:
        if not asked:
            raise BadRequest("the seal is to be changed: give each share with 'migrate' set (operator unseal -migrate)")
        key = self._combined(share, migration.shares_wanted(sealed))
        if key is None:
            return None
        opened = migration.open_before(key, sealed, self._seals)
        self._moves_with = key
        return opened

    def collect(self, share: Secret, config: SealConfig) -> ShamirSeal | None:
        """Takes one share; the seal, once there are enough. Raises BadRequest: it can be no share, or they do not fit together."""
        key = self._combined(share, config)
        return None if key is None else ShamirSeal(key)

    def _combined(self, share: Secret, config: SealConfig) -> Secret | None:
        _check_size(share, split=config.secret_threshold > 1)
        if share not in self._shares:
            self._shares.append(share)
            self.nonce = self.nonce or self._new_nonce()
        if len(self._shares) < config.secret_threshold:
            return None
        try:
            return combine(self._shares, threshold=config.secret_threshold)
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


def sealed_by(reader: Reader) -> migration.Sealed:
    """All that an initialised store holds of its seal. Raises IntegrityError: a part of it is missing."""
    return _sealed(reader.get)


def _sealed(read: Callable[[str], bytes | None]) -> migration.Sealed:
    config, root_key, keyring, recovery = (read(key) for key in (SEAL_CONFIG, WRAPPED_ROOT_KEY, KEYRING, RECOVERY_CONFIG))
    if config is None or root_key is None or keyring is None:
        raise IntegrityError("the store has a seal configuration, but not its keys")
    return migration.Sealed(config=decode_config(config), root_key=root_key, keyring=keyring,
                            recovery=None if recovery is None else decode_config(recovery), recovery_key=read(WRAPPED_RECOVERY_KEY))


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
