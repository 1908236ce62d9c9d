from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from holdfast.crypto import (
    KEYRING,
    OUTSIDE_BARRIER,
    SEAL_CONFIG,
    AesGcmBarrier,
    Draw,
    Keyring,
    Secret,
    TermKey,
    UnknownKeyTerm,
    new_keyring,
    rotate,
)
from holdfast.crypto.aead import cipher, open_box, seal_box
from holdfast.errors import IntegrityError, InvariantError
from holdfast.ids import Millis

NOW = Millis(1_700_000_000_000)
NONCE = bytes(range(12))


def keyring_of(key: bytes) -> Keyring:
    return Keyring(keys={1: TermKey(secret=Secret(key), installed_ms=NOW)}, active_term=1)


def test_published_vectors_of_aes_256_gcm(vectors: Callable[[str], list[dict[str, Any]]]) -> None:
    """Wycheproof's cases with text as additional data go through the barrier itself, all through its cipher."""
    through_barrier = 0
    for case in vectors("aes_256_gcm"):
        key, nonce, aad, text = (bytes.fromhex(case[name]) for name in ("key", "iv", "aad", "msg"))
        sealed = bytes.fromhex(case["ct"] + case["tag"])
        if case["result"] == "valid":
            assert cipher(Secret(key)).encrypt(nonce, text, aad) == sealed, case["tcId"]
        try:
            name = aad.decode()
        except UnicodeDecodeError:
            continue
        through_barrier += 1
        barrier, stored = AesGcmBarrier(keyring_of(key)), b"\x01\x00\x00\x00\x01" + nonce + sealed
        if case["result"] == "valid":
            assert barrier.encrypt(name, text, nonce=nonce) == stored, case["tcId"]
            assert barrier.decrypt(name, stored) == text, case["tcId"]
        else:
            with pytest.raises(IntegrityError):
                barrier.decrypt(name, stored)
    assert through_barrier >= 10


def test_the_sealed_form() -> None:
    sealed = AesGcmBarrier(keyring_of(bytes(32))).encrypt("a/b", b"value", nonce=NONCE)
    assert sealed[:5] == b"\x01\x00\x00\x00\x01"
    assert sealed[5:17] == NONCE
    assert len(sealed) == 5 + 12 + len(b"value") + 16


def test_a_value_opens_only_under_its_own_name(draw: Draw) -> None:
    barrier = AesGcmBarrier(new_keyring(draw, NOW))
    sealed = barrier.encrypt("secret/a", b"value", nonce=NONCE)
    with pytest.raises(IntegrityError, match="secret/b"):
        barrier.decrypt("secret/b", sealed)


def test_every_changed_bit_is_noticed(draw: Draw) -> None:
    barrier = AesGcmBarrier(new_keyring(draw, NOW))
    sealed = barrier.encrypt("secret/a", b"v", nonce=NONCE)
    for bit in range(len(sealed) * 8):
        changed = bytearray(sealed)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises((IntegrityError, UnknownKeyTerm)):
            barrier.decrypt("secret/a", bytes(changed))


@pytest.mark.parametrize("size", range(33))
def test_a_value_cut_short_is_damage(size: int, draw: Draw) -> None:
    barrier = AesGcmBarrier(new_keyring(draw, NOW))
    with pytest.raises(IntegrityError):
        barrier.decrypt("secret/a", barrier.encrypt("secret/a", b"", nonce=NONCE)[:size])


def test_no_error_shows_the_value_or_the_key(draw: Draw) -> None:
    barrier = AesGcmBarrier(new_keyring(draw, NOW))
    with pytest.raises(IntegrityError) as refused:
        barrier.decrypt("secret/a", b"\x00canary")
    assert "canary" not in str(refused.value)


def test_after_a_rotation_old_values_stay_readable_and_new_ones_have_the_new_term(draw: Draw) -> None:
    old = new_keyring(draw, NOW)
    before = AesGcmBarrier(old).encrypt("k", b"old", nonce=NONCE)
    barrier = AesGcmBarrier(rotate(old, draw, NOW, encryptions=1))
    after = barrier.encrypt("k", b"new", nonce=NONCE)
    assert (before[4], after[4]) == (1, 2)
    assert (barrier.decrypt("k", before), barrier.decrypt("k", after)) == (b"old", b"new")


def test_a_newer_term_means_not_caught_up(draw: Draw) -> None:
    old = new_keyring(draw, NOW)
    sealed = AesGcmBarrier(rotate(old, draw, NOW, encryptions=1)).encrypt("k", b"new", nonce=NONCE)
    with pytest.raises(UnknownKeyTerm, match="term 2"):
        AesGcmBarrier(old).decrypt("k", sealed)


def test_an_older_term_that_is_missing_is_damage(draw: Draw) -> None:
    old = new_keyring(draw, NOW)
    sealed = AesGcmBarrier(old).encrypt("k", b"old", nonce=NONCE)
    full = rotate(old, draw, NOW, encryptions=1)
    cut = msgspec.structs.replace(full, keys={2: full.keys[2]})
    with pytest.raises(IntegrityError, match="term 1 is missing"):
        AesGcmBarrier(cut).decrypt("k", sealed)


@pytest.mark.parametrize("key", sorted(OUTSIDE_BARRIER))
def test_values_outside_the_barrier_pass(key: str, draw: Draw) -> None:
    barrier = AesGcmBarrier(new_keyring(draw, NOW))
    assert barrier.encrypt(key, b"{}", nonce=NONCE) == b"{}"
    assert barrier.decrypt(key, b"{}") == b"{}"


def test_no_other_value_passes_in_plaintext(draw: Draw) -> None:
    barrier = AesGcmBarrier(new_keyring(draw, NOW))
    for key in ("core/root-key", SEAL_CONFIG + "/x", "secret/a"):
        with pytest.raises(IntegrityError):
            barrier.decrypt(key, b'{"type":"shamir"}' + bytes(33))


@pytest.mark.parametrize("size", [0, 11, 13])
def test_a_nonce_of_another_size_stops_the_process(size: int, draw: Draw) -> None:
    with pytest.raises(InvariantError, match="nonce"):
        AesGcmBarrier(new_keyring(draw, NOW)).encrypt("k", b"v", nonce=bytes(size))


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_a_key_of_another_size_stops_the_process(size: int) -> None:
    with pytest.raises(InvariantError, match="AES-256"):
        AesGcmBarrier(keyring_of(bytes(size)))


def test_a_box_is_bound_to_its_name_and_key() -> None:
    sealed = seal_box(Secret(bytes(32)), b"text", name=KEYRING, nonce=NONCE)
    assert sealed[0] == 2
    assert open_box(Secret(bytes(32)), sealed, name=KEYRING) == b"text"
    with pytest.raises(IntegrityError):
        open_box(Secret(bytes(32)), sealed, name="core/other")
    with pytest.raises(IntegrityError):
        open_box(Secret(b"\x01" * 32), sealed, name=KEYRING)
    with pytest.raises(IntegrityError):
        open_box(Secret(bytes(32)), sealed[:28], name=KEYRING)
    with pytest.raises(InvariantError, match="nonce"):
        seal_box(Secret(bytes(32)), b"text", name=KEYRING, nonce=b"short")
