"""The `static` auto-unseal: a key from the configuration wraps the root key, so a node opens itself at start.

The key's id is stored beside what it wraps. To change the key, the old one becomes `previous`: the node then opens with it, and
`is_current` says that the active node is to wrap anew. Who can read the configuration can open the store: it is as safe as its key.

Invariant: a key is used only for what was wrapped under its own id; with an id reused for other bytes, unwrapping fails.
"""
from holdfast.crypto.aead import open_box, seal_box
from holdfast.crypto.draw import AES_KEY_BYTES, NONCE_BYTES, Draw, exactly
from holdfast.crypto.seal import InvalidKey
from holdfast.crypto.seal_config import SealType
from holdfast.crypto.secret import Secret
from holdfast.errors import BadRequest, IntegrityError

STATIC_VERSION = 3
KEY_ID_MAX_BYTES = 255                                   # its length is one byte of the wrapped form


class StaticKey:
    """One key of the stanza, checked: `current_key_id` with `current_key`, or the previous pair."""

    __slots__ = ("id", "secret")

    def __init__(self, key_id: str, secret: Secret) -> None:
        if not 1 <= len(key_id.encode()) <= KEY_ID_MAX_BYTES:
            raise BadRequest(f"seal \"static\": a key id has 1 to {KEY_ID_MAX_BYTES} bytes")
        if len(secret.value) != AES_KEY_BYTES:
            raise BadRequest(f"seal \"static\": key {key_id!r} has {len(secret.value)} bytes, not {AES_KEY_BYTES}")
        self.id, self.secret = key_id, secret


class StaticSeal:
    """Wrapped form: version 1 B, length of the id 1 B, the id, then a box."""

    type = SealType.STATIC

    def __init__(self, current: StaticKey, previous: StaticKey | None = None) -> None:
        if previous is not None and previous.id == current.id:
            raise BadRequest("seal \"static\": the current and the previous key have the same id")
        self._current = current
        self._keys = {key.id: key for key in (current, previous) if key is not None}

    def wrap(self, secret: Secret, *, name: str, draw: Draw) -> bytes:
        key, nonce = self._current, exactly(draw, NONCE_BYTES)
        return _prefix(key.id) + seal_box(key.secret, secret.value, name=_bound(name, key.id), nonce=nonce)

    def unwrap(self, sealed: bytes, *, name: str) -> Secret:
        key_id = _key_id(sealed)
        key = self._keys.get(key_id)
        if key is None:
            raise InvalidKey(f"seal \"static\": the store is sealed under key {key_id!r}, which is not configured")
        try:
            return Secret(open_box(key.secret, sealed[len(_prefix(key_id)):], name=_bound(name, key_id)))
        except IntegrityError as error:
            raise InvalidKey(f"seal \"static\": key {key_id!r} is not the one that the store was sealed with") from error

    def is_current(self, sealed: bytes) -> bool:
        return _key_id(sealed) == self._current.id


def _prefix(key_id: str) -> bytes:
    name = key_id.encode()
    return bytes((STATIC_VERSION, len(name))) + name


def _bound(name: str, key_id: str) -> str:
    return f"{name}\n{key_id}"


def _key_id(sealed: bytes) -> str:
    if len(sealed) < 2 or sealed[0] != STATIC_VERSION or len(sealed) < 2 + sealed[1]:
        raise IntegrityError("seal \"static\": not a key wrapped by this seal")
    try:
        return sealed[2:2 + sealed[1]].decode()
    except UnicodeDecodeError as error:
        raise IntegrityError("seal \"static\": not a key wrapped by this seal") from error
