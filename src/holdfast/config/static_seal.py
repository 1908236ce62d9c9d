"""The keys of `seal "static"`: as they stand in the file, in another file, or in the environment.

`file:///path` and `env://NAME` say where; the value, like one that stands in the stanza, is base64 or hex of 32 bytes; a file may hold the
32 bytes themselves.

Invariant: no message and no repr shows a key, or any part of one.
"""
from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from pathlib import Path

import msgspec

from holdfast.config.finding import ConfigError, Finding
from holdfast.config.settings import SealStanza
from holdfast.limits import SEAL_KEY_FILE_MAX_BYTES

KEY_BYTES = 32


class SealKeys(msgspec.Struct, frozen=True, kw_only=True):
    """`previous_key_id` is empty if there is no previous key."""

    current_key_id: str
    current_key: bytes
    previous_key_id: str = ""
    previous_key: bytes = b""

    def __repr__(self) -> str:
        return f"SealKeys(current_key_id={self.current_key_id!r}, previous_key_id={self.previous_key_id!r})"


def seal_keys(stanza: SealStanza, env: Mapping[str, str]) -> SealKeys:
    """Reads the files that the stanza names. Raises ConfigError."""
    try:
        current = _pair(stanza, "current", env)
        previous = _pair(stanza, "previous", env)
    except ValueError as error:
        raise ConfigError([Finding(f'seal "static": {error}')]) from error
    if current is None:
        raise ConfigError([Finding('seal "static": \'current_key_id\' and \'current_key\' must be set')])
    previous_id, previous_key = previous or ("", b"")
    return SealKeys(current_key_id=current[0], current_key=current[1], previous_key_id=previous_id, previous_key=previous_key)


def _pair(stanza: SealStanza, which: str, env: Mapping[str, str]) -> tuple[str, bytes] | None:
    key_id, written = stanza.options.get(f"{which}_key_id", ""), stanza.options.get(f"{which}_key", "")
    if not key_id and not written:
        return None
    if not key_id or not written:
        raise ValueError(f"one of '{which}_key_id' and '{which}_key' is set without the other")
    try:
        return key_id, _key(written, env)
    except ValueError as error:
        raise ValueError(f"'{which}_key': {error}") from None


def _key(written: str, env: Mapping[str, str]) -> bytes:
    scheme, separator, rest = written.partition("://")
    if not separator:
        return _decoded(written)
    if scheme == "env":
        if not env.get(rest):
            raise ValueError(f"the environment has no variable {rest!r}")
        return _decoded(env[rest])
    if scheme == "file":
        return _from_file(Path(rest))
    raise ValueError("a key stands behind file:// or env://, or is written in base64 or hex")


def _from_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            held = file.read(SEAL_KEY_FILE_MAX_BYTES + 1)
    except OSError as error:
        raise ValueError(f"{str(path)!r} cannot be read: {error.strerror}") from None
    if len(held) == KEY_BYTES:
        return held
    try:
        return _decoded(held.decode("ascii"))
    except UnicodeDecodeError:
        raise ValueError(f"{str(path)!r} holds {len(held)} bytes: a key has {KEY_BYTES}, or is written in base64 or hex") from None


def _decoded(text: str) -> bytes:
    text = text.strip()
    if len(text) == 2 * KEY_BYTES:
        try:
            return bytes.fromhex(text)
        except ValueError:
            raise ValueError("the key is neither base64 nor hex") from None
    try:
        key = base64.b64decode(text.replace("-", "+").replace("_", "/").rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("the key is neither base64 nor hex") from None
    if len(key) != KEY_BYTES:
        raise ValueError(f"the key has {len(key)} bytes, not {KEY_BYTES}")
    return key
