"""The keys of `seal "static"`: where they may stand, and how they are written."""
from __future__ import annotations

import base64
from pathlib import Path

import pytest

from holdfast.config import ConfigError, SealKeys, seal_keys
from holdfast.config.settings import SealStanza

KEY = bytes(range(200, 232))
HEX, BASE64 = KEY.hex(), base64.b64encode(KEY).decode()


def stanza(**options: str) -> SealStanza:
    return SealStanza(type="static", options=options)


@pytest.mark.parametrize("written", [HEX, HEX.upper(), BASE64, BASE64.rstrip("="), base64.urlsafe_b64encode(KEY).decode(), f" {BASE64}\n"])
def test_keys_in_the_stanza(written: str) -> None:
    keys = seal_keys(stanza(current_key_id="a", current_key=written), {})
    assert (keys.current_key_id, keys.current_key, keys.previous_key_id, keys.previous_key) == ("a", KEY, "", b"")


@pytest.mark.parametrize("held", [KEY, HEX.encode(), BASE64.encode() + b"\n"])
def test_keys_in_a_file_and_in_the_environment(tmp_path: Path, held: bytes) -> None:
    path = tmp_path / "key"
    path.write_bytes(held)
    keys = seal_keys(stanza(current_key_id="a", current_key="env://K", previous_key_id="b", previous_key=f"file://{path}"), {"K": HEX})
    assert keys == SealKeys(current_key_id="a", current_key=KEY, previous_key_id="b", previous_key=KEY)


@pytest.mark.parametrize(("options", "words"), [
    ({}, "'current_key_id' and 'current_key' must be set"),
    ({"current_key_id": "a"}, "one of 'current_key_id' and 'current_key' is set without the other"),
    ({"current_key_id": "a", "current_key": HEX, "previous_key": HEX},
     "one of 'previous_key_id' and 'previous_key' is set without the other"),
    ({"current_key_id": "a", "current_key": "c4n4ry?"}, "'current_key': the key is neither base64 nor hex"),
    ({"current_key_id": "a", "current_key": "c4n4" * 5}, "'current_key': the key has 15 bytes, not 32"),
    ({"current_key_id": "a", "current_key": "c4" * 31 + "zz"}, "the key is neither base64 nor hex"),
    ({"current_key_id": "a", "current_key": "env://NONE"}, "the environment has no variable 'NONE'"),
    ({"current_key_id": "a", "current_key": "file:///no/such"}, "'/no/such' cannot be read: No such file"),
    ({"current_key_id": "a", "current_key": "http://x"}, "a key stands behind file:// or env://"),
])
def test_what_does_not_fit_is_said_without_the_key(options: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        seal_keys(stanza(**options), {})
    assert words in str(caught.value)
    assert "c4n4" not in str(caught.value)


def test_a_file_with_other_bytes(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"\xff" * 31)
    with pytest.raises(ConfigError, match="holds 31 bytes: a key has 32"):
        seal_keys(stanza(current_key_id="a", current_key=f"file://{path}"), {})


def test_no_repr_shows_a_key() -> None:
    keys = seal_keys(stanza(current_key_id="a", current_key=HEX), {})
    assert repr(keys) == "SealKeys(current_key_id='a', previous_key_id='')"
    assert HEX not in repr(stanza(current_key=HEX))
