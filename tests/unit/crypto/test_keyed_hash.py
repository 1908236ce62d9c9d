import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from holdfast.crypto import HmacSha256, KeyedHash, Secret
from holdfast.errors import InvariantError

KEY = Secret(bytes(range(32)))


def test_published_vectors_of_hmac_sha256(vectors: Callable[[str], list[dict[str, Any]]]) -> None:
    for case in vectors("hmac_sha256"):
        mac, data, tag = HmacSha256(Secret(bytes.fromhex(case["key"]))), bytes.fromhex(case["data"]), bytes.fromhex(case["tag"])
        assert mac.of(data) == tag, case["case"]
        if data.isascii():
            assert mac.hex(data.decode()) == tag.hex(), case["case"]
            assert mac.labelled("label:")(data.decode()) == f"label:{tag.hex()}", case["case"]
        assert mac.proves(data, tag), case["case"]


def test_a_tag_of_another_value_key_or_length_proves_nothing() -> None:
    mac = HmacSha256(KEY)
    assert not mac.proves(b"a", mac.of(b"b"))
    assert not mac.proves(b"a", HmacSha256(Secret(bytes(32))).of(b"a"))
    assert not mac.proves(b"a", mac.of(b"a")[:-1])


def test_published_vectors_of_keyed_blake2b(vectors: Callable[[str], list[dict[str, Any]]]) -> None:
    """The primitive, as this interpreter has it; the next test ties ours to it."""
    for case in vectors("blake2b_keyed"):
        key, salt, person, message = (bytes.fromhex(case[name]) for name in ("key", "salt", "person", "message"))
        assert hashlib.blake2b(message, key=key, salt=salt, person=person, digest_size=case["size"]).hexdigest() == case["digest"]


@pytest.mark.parametrize("value", [b"", b"hvs.abc", bytes(1000)])
@pytest.mark.parametrize("purpose", [b"", b"token", b"sixteen bytes---"])
def test_the_keyed_hash_is_blake2b_with_key_and_purpose(value: bytes, purpose: bytes) -> None:
    expected = hashlib.blake2b(value, key=KEY.value, person=purpose, digest_size=32).digest()
    hashed = KeyedHash(KEY, purpose)
    assert hashed.of(value) == expected
    assert hashed.of(value) == expected, "a hash leaves no state behind"


def test_purposes_are_apart() -> None:
    assert KeyedHash(KEY, b"token").of(b"a") != KeyedHash(KEY, b"accessor").of(b"a")


@pytest.mark.parametrize(("key", "purpose"), [(bytes(31), b"token"), (bytes(33), b"token"), (bytes(32), bytes(17))])
def test_keys_and_purposes_that_do_not_fit_stop_the_process(key: bytes, purpose: bytes) -> None:
    with pytest.raises(InvariantError):
        KeyedHash(Secret(key), purpose)
