"""The text of tokens, against the protobuf wire format written out here."""
import base64
import hashlib
import hmac

import pytest

from holdfast.core import token_format
from holdfast.crypto import HmacSha256, Secret
from holdfast.ids import Index

KEY = HmacSha256(Secret(b"k" * 32))
RANDOM = "0123456789abcdefghijklmn"


def decoded(text: str) -> bytes:
    body = text.removeprefix("hvs.")
    return base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))


def test_it_is_the_protobuf_message_that_clients_parse() -> None:
    text = token_format.service(RANDOM, Index(300), KEY)
    inner = b"\x0a\x1c" + b"hvs." + RANDOM.encode() + b"\x10\xac\x02"    # field 1, 28 bytes; field 2, varint 300
    tag = hmac.digest(b"k" * 32, inner, hashlib.sha256)
    assert decoded(text) == b"\x08\x01" + b"\x12\x20" + tag + b"\x1a" + bytes([len(inner)]) + inner


@pytest.mark.parametrize("index", [0, 1, 127, 128, 16_383, 16_384, 2**32, 2**63 - 1])
def test_the_index_comes_back(index: int) -> None:
    text = token_format.service(RANDOM, Index(index), KEY)
    assert text.startswith("hvs.CAESI")
    assert "=" not in text
    assert len(text) >= 95
    assert token_format.index_of(text.encode(), KEY) == index


def test_a_changed_byte_makes_it_no_token_of_ours() -> None:
    raw = decoded(token_format.service(RANDOM, Index(300), KEY))
    for at in range(len(raw)):
        spoilt = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1:]
        text = b"hvs." + base64.urlsafe_b64encode(spoilt).rstrip(b"=")
        assert token_format.index_of(text, KEY) is None, at


@pytest.mark.parametrize("text", [b"", b"hvs.", b"hvs." + RANDOM.encode(), b"hvs." + b"A" * 200, b"hvs." + b"!" * 95, b"s.abc", b"hvb.AAAA",
                                  b"hvs.CAESI", b"\xff" * 100, b"hvs.CAESI" + b"\xff" * 90])
def test_what_is_no_service_token_has_no_index(text: bytes) -> None:
    assert token_format.index_of(text, KEY) is None


def test_another_cluster_s_has_none() -> None:
    text = token_format.service(RANDOM, Index(7), HmacSha256(Secret(b"o" * 32)))
    assert token_format.index_of(text.encode(), KEY) is None


def test_batch_tokens_are_what_they_hold() -> None:
    text = token_format.batch(b"\xff\xfe sealed")
    assert text.startswith("hvb.")
    assert token_format.batch_body(text.encode()) == b"\xff\xfe sealed"
    assert token_format.batch_body(b"hvb.!!!!") is None
