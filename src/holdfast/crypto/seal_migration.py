"""From one seal to another: key shares to a seal that opens itself, back, or from one such seal to another.

The keys of the data stay as they are; what changes is what guards the root key, and whose shares prove consent. The shares stay with the
people who have them: those of the unseal key become those of the recovery key, and the other way round, as in Vault. So a change takes a
node that is configured for it (`is_pending`), enough shares of the key that `shares_wanted` names, and one batch (`changes`).

Invariants: (1) before that batch the old seal opens the store, after it the new one, and at no time none or both; (2) shares alone change
nothing: the old seal, if it opens itself, must be configured too; (3) a wrong key is found out before anything is written.
"""
from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace

from holdfast.crypto.draw import Draw
from holdfast.crypto.init import Opened, check_recovery_key, unseal
from holdfast.crypto.names import RECOVERY_CONFIG, SEAL_CONFIG, SHAMIR_KEK, WRAPPED_RECOVERY_KEY, WRAPPED_ROOT_KEY
from holdfast.crypto.seal import InvalidKey, Seal, ShamirSeal
from holdfast.crypto.seal_config import SealConfig, SealType, encode_config
from holdfast.crypto.secret import Secret
from holdfast.errors import BadRequest, IntegrityError, InvariantError


class Sealed(Struct, frozen=True, kw_only=True, eq=False):
    """What the store holds of its seal. `recovery`, `recovery_key`: with a seal that opens itself."""

    config: SealConfig
    root_key: bytes                                      # wrapped
    keyring: bytes
    recovery: SealConfig | None = None
    recovery_key: bytes | None = None                    # wrapped


class Seals(Struct, frozen=True, kw_only=True, eq=False):
    """What a node is configured with. `now`: the seal in use, None: shares. `before`: that of the stanza that is marked as disabled."""

    now: Seal | None = None
    before: Seal | None = None


def is_pending(sealed: Sealed, seals: Seals) -> bool:
    """Whether the store is to get another seal. Raises BadRequest where it is sealed by one that this node is not configured with."""
    stored, now, before = sealed.config.type, seals.now, seals.before
    if stored is SealType.SHAMIR:
        return now is not None
    if now is not None and now.type is stored and _opens(now, sealed):
        return False
    if before is None or before.type is not stored:
        raise BadRequest(f'the store is sealed by "{stored.value}", and this node is not configured for it: its stanza, with '
                         "disabled = true if the seal is to change, has to stay until it has changed everywhere")
    return True


def shares_wanted(sealed: Sealed) -> SealConfig:
    """Whose shares a change takes: the unseal key's, or with a seal that opens itself the recovery key's."""
    if sealed.config.type is SealType.SHAMIR:
        return sealed.config
    if sealed.recovery is None or sealed.recovery_key is None:
        raise IntegrityError("the store has a seal that opens itself, but no recovery key")
    return sealed.recovery


def open_before(key: Secret, sealed: Sealed, seals: Seals) -> Opened:
    """The cluster's keys, by the old seal. `key`: combined from the shares wanted. Raises InvalidKey: it is not the right one."""
    if sealed.config.type is SealType.SHAMIR:
        return unseal(ShamirSeal(key), wrapped_root_key=sealed.root_key, sealed_keyring=sealed.keyring)
    if seals.before is None or sealed.recovery_key is None:
        raise InvariantError("a change of the seal is not pending")
    check_recovery_key(seals.before, key, sealed.recovery_key)
    return unseal(seals.before, wrapped_root_key=sealed.root_key, sealed_keyring=sealed.keyring)


def changes(root_key: Secret, key: Secret, sealed: Sealed, seals: Seals, *, draw: Draw) -> Mapping[str, bytes | None]:
    """The one batch after which the new seal is the store's; None deletes. Plaintext, as the first batch of a cluster is. `key`: as for
    `open_before`, which has found it right; `root_key`: as it is now, which may not be what it was then."""
    if not is_pending(sealed, seals):
        raise InvariantError("the store has the seal that this node is configured with")
    shares = shares_wanted(sealed)
    if seals.now is None:
        return {
            SEAL_CONFIG: encode_config(replace(shares, type=SealType.SHAMIR, stored_shares=1)),
            WRAPPED_ROOT_KEY: ShamirSeal(key).wrap(root_key, name=WRAPPED_ROOT_KEY, draw=draw),
            SHAMIR_KEK: key.value,
            RECOVERY_CONFIG: None,
            WRAPPED_RECOVERY_KEY: None,
        }
    return {
        SEAL_CONFIG: encode_config(SealConfig(type=seals.now.type, secret_shares=1, secret_threshold=1)),
        WRAPPED_ROOT_KEY: seals.now.wrap(root_key, name=WRAPPED_ROOT_KEY, draw=draw),
        RECOVERY_CONFIG: encode_config(replace(shares, type=SealType.SHAMIR, stored_shares=0)),
        WRAPPED_RECOVERY_KEY: seals.now.wrap(key, name=WRAPPED_RECOVERY_KEY, draw=draw),
        SHAMIR_KEK: None,
    }


def _opens(seal: Seal, sealed: Sealed) -> bool:
    try:
        seal.unwrap(sealed.root_key, name=WRAPPED_ROOT_KEY)
    except InvalidKey:
        return False
    return True
