"""Ciphers and hashes of the native module, beside those of other libraries."""
import hmac

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from holdfast._native import AesGcm, HmacSha256

KEY, NONCE = bytes(range(32)), bytes(range(12))


@given(head=st.binary(max_size=8), value=st.binary(max_size=100), name=st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_a_box_is_what_another_library_makes_of_it(head: bytes, value: bytes, name: str) -> None:
    cipher = AesGcm(KEY)
    box = cipher.seal(head, NONCE, value, name)
    assert box == head + NONCE + AESGCM(KEY).encrypt(NONCE, value, name.encode())
    assert cipher.open(box, len(head), name) == value


def test_a_box_opens_whole_and_under_its_own_name_and_key_alone() -> None:
    cipher = AesGcm(KEY)
    box = cipher.seal(b"head", NONCE, b"value", "name")
    assert cipher.open(box, 4, "other") is None
    assert AesGcm(bytes(32)).open(box, 4, "name") is None
    for at in range(len(box)):
        assert cipher.open(box[:at], 4, "name") is None
        if at >= 4:
            assert cipher.open(box[:at] + bytes([box[at] ^ 1]) + box[at + 1:], 4, "name") is None
    for at in (0, 5, len(box), len(box) + 1, 1 << 40):
        assert cipher.open(box, at, "name") is None


def test_keys_and_nonces_have_one_size() -> None:
    for size in (0, 16, 31, 33):
        with pytest.raises(IndexError):
            AesGcm(bytes(size))
    for size in (0, 11, 13):
        with pytest.raises(IndexError):
            AesGcm(KEY).seal(b"", bytes(size), b"", "")


@given(key=st.binary(max_size=130), text=st.text(st.characters(exclude_categories=["Cs"])))
def test_hmac_is_that_of_the_standard_library(key: bytes, text: str) -> None:
    digest = hmac.digest(key, text.encode(), "sha256")
    assert HmacSha256(key).of(text.encode()) == digest
    assert HmacSha256(key).labelled("hmac-sha256:", text) == "hmac-sha256:" + digest.hex()
