"""From the configuration's seal stanzas to the seal that opens the store."""
from collections.abc import Mapping, Sequence

from holdfast import config
from holdfast.config.settings import SealStanza, Settings
from holdfast.crypto import Seal, Secret, StaticKey, StaticSeal
from holdfast.node.store import StorageError


def configured_seal(settings: Settings, env: Mapping[str, str]) -> Seal | None:
    """None: shares. Raises StorageError for a seal that there is not, BadRequest for keys that do not fit."""
    return _seal_of([seal for seal in settings.seals if not seal.disabled and seal.type != "shamir"], env)


def retired_seal(settings: Settings, env: Mapping[str, str]) -> Seal | None:
    """That of a stanza which is marked as disabled: what the store is to be moved away from. Raises as `configured_seal`."""
    return _seal_of([seal for seal in settings.seals if seal.disabled and seal.type != "shamir"], env)


def _seal_of(stanzas: Sequence[SealStanza], env: Mapping[str, str]) -> Seal | None:
    if not stanzas:
        return None
    if len(stanzas) > 1 or stanzas[0].type != "static":
        raise StorageError(f'seal "{stanzas[-1].type}" is not supported; one of "shamir" and "static" is')
    keys = config.seal_keys(stanzas[0], env)
    previous = StaticKey(keys.previous_key_id, Secret(keys.previous_key)) if keys.previous_key_id else None
    return StaticSeal(StaticKey(keys.current_key_id, Secret(keys.current_key)), previous)
