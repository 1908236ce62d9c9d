"""From the configuration's seal stanzas to the seal that opens the store."""
from collections.abc import Mapping

from holdfast import config
from holdfast.config.settings import Settings
from holdfast.crypto import Seal, Secret, StaticKey, StaticSeal
from holdfast.node.store import StorageError


def configured_seal(settings: Settings, env: Mapping[str, str]) -> Seal | None:
    """None: shares. Raises StorageError for a seal that there is not, BadRequest for keys that do not fit."""
    enabled = [seal for seal in settings.seals if not seal.disabled and seal.type != "shamir"]
    if not enabled:
        return None
    if len(enabled) > 1 or enabled[0].type != "static":
        raise StorageError(f'seal "{enabled[-1].type}" is not supported; one of "shamir" and "static" is')
    keys = config.seal_keys(enabled[0], env)
    previous = StaticKey(keys.previous_key_id, Secret(keys.previous_key)) if keys.previous_key_id else None
    return StaticSeal(StaticKey(keys.current_key_id, Secret(keys.current_key)), previous)
