"""The text of tokens and the life of things, under any input."""
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.core import token_format, ttl
from holdfast.crypto import HmacSha256, Secret
from holdfast.errors import BadRequest
from holdfast.ids import Index

KEY = HmacSha256(Secret(b"k" * 32))
RANDOM = st.text("0123456789ABCDEFabcdef", min_size=24, max_size=24)
S = st.integers(0, 10_000)


@settings(max_examples=100)
@given(random=RANDOM, index=st.integers(0, 2**64 - 1))
def test_what_is_written_is_read(random: str, index: int) -> None:
    assert token_format.index_of(token_format.service(random, Index(index), KEY).encode(), KEY) == index


@settings(max_examples=200)
@given(text=st.binary(max_size=200), head=st.sampled_from([b"", b"hvs.", b"hvs.CAESI", b"hvb."]))
def test_anything_may_be_asked_about(text: bytes, head: bytes) -> None:
    assert token_format.index_of(head + text, KEY) is None
    token_format.batch_body(head + text)


@settings(max_examples=100)
@given(random=RANDOM, at=st.integers(0, 94), byte=st.sampled_from(b"ABCabc019-_."))
def test_a_changed_character_is_noticed(random: str, at: int, byte: int) -> None:
    text = token_format.service(random, Index(300), KEY).encode()
    changed = text[:at] + bytes([byte]) + text[at + 1:]
    if changed != text and changed[:-1] != text[:-1]:        # the last character has bits that mean nothing
        assert token_format.index_of(changed, KEY) is None


@settings(max_examples=200)
@given(default=st.integers(1, 10_000), most=st.integers(1, 10_000), asked=S, own=S, period=S, own_max=S, explicit=S,
       age_ms=S.map(lambda s: s * 997))
def test_a_life_stays_within_every_bound(default: int, most: int, asked: int, own: int, period: int, own_max: int, explicit: int,
                                         age_ms: int) -> None:
    bounds = [most, *(bound for bound in (own_max, explicit) if bound)]
    ends = explicit if period else min(bounds)
    try:
        life = ttl.life(ttl.Limits(default_s=default, max_s=most), asked_s=asked, own_s=own, period_s=period, own_max_s=own_max,
                        explicit_max_s=explicit, age_ms=age_ms)
    except BadRequest:
        assert ends
        assert age_ms >= ends * 1000
        return
    assert 0 < life.ttl_s <= min(bounds)
    assert not ends or age_ms + life.ttl_ms <= ends * 1000
    wanted = period or asked or own or default
    assert (life.ttl_s == wanted) is (not life.warnings)
