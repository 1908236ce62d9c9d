import json

import pytest

from holdfast.crypto import (
    WRAPPED_ROOT_KEY,
    Draw,
    InvalidKey,
    Seal,
    SealConfig,
    SealType,
    Secret,
    ShamirSeal,
    StaticKey,
    StaticSeal,
    check_shares,
    decode_config,
    encode_config,
)
from holdfast.errors import BadRequest, IntegrityError

ROOT_KEY = Secret(b"\x52" * 32)
OLD = StaticKey("2024", Secret(b"\x01" * 32))
NEW = StaticKey("2025", Secret(b"\x02" * 32))


@pytest.mark.parametrize("seal", [ShamirSeal(Secret(bytes(32))), StaticSeal(NEW), StaticSeal(NEW, OLD)])
def test_what_is_wrapped_is_unwrapped(seal: Seal, draw: Draw) -> None:
    sealed = seal.wrap(ROOT_KEY, name=WRAPPED_ROOT_KEY, draw=draw)
    assert ROOT_KEY.value not in sealed
    assert sealed[0] != 1, "never taken for a value of the barrier"
    assert seal.unwrap(sealed, name=WRAPPED_ROOT_KEY) == ROOT_KEY
    assert seal.is_current(sealed)


@pytest.mark.parametrize("seal", [ShamirSeal(Secret(bytes(32))), StaticSeal(NEW)])
def test_it_is_bound_to_where_it_is_stored(seal: Seal, draw: Draw) -> None:
    sealed = seal.wrap(ROOT_KEY, name=WRAPPED_ROOT_KEY, draw=draw)
    with pytest.raises(InvalidKey):
        seal.unwrap(sealed, name="core/recovery-key")


def test_a_wrong_unseal_key_is_the_callers_mistake(draw: Draw) -> None:
    sealed = ShamirSeal(Secret(bytes(32))).wrap(ROOT_KEY, name=WRAPPED_ROOT_KEY, draw=draw)
    with pytest.raises(InvalidKey, match=r"^unseal failed, invalid key$") as refused:
        ShamirSeal(Secret(b"\x01" * 32)).unwrap(sealed, name=WRAPPED_ROOT_KEY)
    assert refused.value.status == 400


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_an_unseal_key_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(InvalidKey, match=f"not {size}"):
        ShamirSeal(Secret(bytes(size)))


def test_the_previous_static_key_still_opens_and_asks_to_be_replaced(draw: Draw) -> None:
    sealed = StaticSeal(OLD).wrap(ROOT_KEY, name=WRAPPED_ROOT_KEY, draw=draw)
    seal = StaticSeal(NEW, OLD)
    assert seal.unwrap(sealed, name=WRAPPED_ROOT_KEY) == ROOT_KEY
    assert not seal.is_current(sealed)
    again = seal.wrap(ROOT_KEY, name=WRAPPED_ROOT_KEY, draw=draw)
    assert seal.is_current(again)
    assert StaticSeal(NEW).unwrap(again, name=WRAPPED_ROOT_KEY) == ROOT_KEY


def test_a_static_key_that_is_not_configured_is_named(draw: Draw) -> None:
    sealed = StaticSeal(OLD).wrap(ROOT_KEY, name=WRAPPED_ROOT_KEY, draw=draw)
    with pytest.raises(InvalidKey, match="'2024'"):
        StaticSeal(NEW).unwrap(sealed, name=WRAPPED_ROOT_KEY)


def test_an_id_reused_for_other_bytes_does_not_open(draw: Draw) -> None:
    sealed = StaticSeal(OLD).wrap(ROOT_KEY, name=WRAPPED_ROOT_KEY, draw=draw)
    with pytest.raises(InvalidKey, match="not the one"):
        StaticSeal(StaticKey(OLD.id, NEW.secret)).unwrap(sealed, name=WRAPPED_ROOT_KEY)


@pytest.mark.parametrize("sealed", [b"", b"\x03", b"\x03\x05abcd", b"\x02\x01a", b"\x03\x01\xff" + bytes(30)])
def test_what_no_static_seal_made_is_damage(sealed: bytes) -> None:
    with pytest.raises(IntegrityError):
        StaticSeal(NEW).unwrap(sealed, name=WRAPPED_ROOT_KEY)


@pytest.mark.parametrize("size", [0, 16, 31, 33, 64])
def test_a_static_key_has_exactly_32_bytes(size: int) -> None:
    with pytest.raises(BadRequest, match=f"has {size} bytes"):
        StaticKey("id", Secret(b"\x77" * size))


@pytest.mark.parametrize("key_id", ["", "x" * 256, "é" * 128])
def test_a_key_id_has_a_bounded_length(key_id: str) -> None:
    with pytest.raises(BadRequest, match="key id"):
        StaticKey(key_id, Secret(bytes(32)))


def test_current_and_previous_need_different_ids() -> None:
    with pytest.raises(BadRequest, match="same id"):
        StaticSeal(NEW, StaticKey(NEW.id, OLD.secret))


@pytest.mark.parametrize(
    ("shares", "threshold", "why"),
    [
        (0, 1, "shares must be at least one"),
        (1, 0, "threshold must be at least one"),
        (3, 1, "threshold must be greater than one for multiple shares"),
        (256, 3, "shares must be less than 256"),
        (3, 4, "threshold cannot be larger than shares"),
    ],
)
def test_shares_that_cannot_be_made_are_refused_in_vaults_words(shares: int, threshold: int, why: str) -> None:
    with pytest.raises(BadRequest, match=f"^invalid seal configuration: {why}$"):
        check_shares(shares, threshold)


@pytest.mark.parametrize(("shares", "threshold"), [(1, 1), (2, 2), (5, 3), (255, 255)])
def test_shares_that_can_be_made(shares: int, threshold: int) -> None:
    check_shares(shares, threshold)


def test_the_stored_configuration_is_plain_json_with_vaults_names() -> None:
    config = SealConfig(type=SealType.SHAMIR, secret_shares=5, secret_threshold=3)
    stored = encode_config(config)
    assert json.loads(stored) == {"type": "shamir", "secret_shares": 5, "secret_threshold": 3, "stored_shares": 1, "nonce": ""}
    assert decode_config(stored) == config


@pytest.mark.parametrize("stored", [b"", b"{", b'{"type":"shamir"}', b'{"type":"awskms","secret_shares":1,"secret_threshold":1}'])
def test_a_damaged_or_unknown_configuration_is_said(stored: bytes) -> None:
    with pytest.raises(IntegrityError, match="seal configuration"):
        decode_config(stored)


def test_which_seals_have_recovery_keys() -> None:
    assert SealType.STATIC.has_recovery_key
    assert not SealType.SHAMIR.has_recovery_key
