import hashlib

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from holdfast.crypto import ApartSeal, Draw, Secret
from holdfast.errors import IntegrityError, InvariantError

KEY = Secret(bytes(range(32)))
SEAL = ApartSeal(KEY, b"batch token")


@pytest.mark.parametrize("text", [b"", b"a", bytes(5_000)])
def test_what_is_sealed_is_opened(text: bytes, draw: Draw) -> None:
    sealed = SEAL.seal(text, draw)
    assert len(sealed) == 1 + 32 + len(text) + 16
    assert SEAL.open(sealed) == text


def test_the_form_is_the_documented_one(draw: Draw) -> None:
    sealed = SEAL.seal(b"text", draw)
    key = hashlib.blake2b(sealed[1:33], key=KEY.value, person=b"batch token", digest_size=32).digest()
    assert sealed[:1] == b"\x04"
    assert AESGCM(key).decrypt(bytes(12), sealed[33:], b"batch token") == b"text"


def test_the_same_text_is_never_sealed_the_same_way(draw: Draw) -> None:
    assert len({SEAL.seal(b"text", draw)[33:] for _ in range(100)}) == 100


def test_every_changed_bit_is_noticed(draw: Draw) -> None:
    sealed = SEAL.seal(b"text", draw)
    for bit in range(len(sealed) * 8):
        changed = bytearray(sealed)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(IntegrityError):
            SEAL.open(bytes(changed))


def test_another_key_or_purpose_does_not_open(draw: Draw) -> None:
    sealed = SEAL.seal(b"text", draw)
    for other in (ApartSeal(Secret(bytes(32)), b"batch token"), ApartSeal(KEY, b"wrapping")):
        with pytest.raises(IntegrityError):
            other.open(sealed)


@pytest.mark.parametrize("size", [0, 1, 33, 48])
def test_what_is_too_short_does_not_open(size: int, draw: Draw) -> None:
    with pytest.raises(IntegrityError):
        SEAL.open(SEAL.seal(b"", draw)[:size])


def test_a_source_that_gives_too_little_stops_the_process() -> None:
    with pytest.raises(InvariantError, match="random"):
        SEAL.seal(b"text", lambda size: bytes(size - 1))
