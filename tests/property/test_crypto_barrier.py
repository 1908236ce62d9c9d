"""The barrier: what goes in comes out, under any history of rotations, and nothing else does. Invariant 8."""
import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.crypto import OUTSIDE_BARRIER, AesGcmBarrier, KeyMeter, Keyring, KeyUsage, Rotation, new_keyring, rotate
from holdfast.errors import IntegrityError
from holdfast.ids import Millis

NOW = Millis(1)
NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40).filter(lambda name: name not in OUTSIDE_BARRIER)


def draw(size: int) -> bytes:
    return hashlib.shake_256(b"keys").digest(size)


@settings(max_examples=100)
@given(name=NAMES, other=NAMES, value=st.binary(max_size=200), nonce=st.binary(min_size=12, max_size=12), later=st.integers(0, 3))
def test_values_of_every_term_open_later_under_their_name_alone(name: str, other: str, value: bytes, nonce: bytes, later: int) -> None:
    keyring = new_keyring(draw, NOW)
    sealed = AesGcmBarrier(keyring).encrypt(name, value, nonce=nonce)
    for _ in range(later):
        keyring = rotate(keyring, draw, NOW, encryptions=0)
    barrier = AesGcmBarrier(keyring)
    assert barrier.decrypt(name, sealed) == value
    if other != name:
        with pytest.raises(IntegrityError):
            barrier.decrypt(other, sealed)


@settings(max_examples=100)
@given(
    encryptions_max=st.integers(1, 2_000),
    steps=st.lists(st.tuples(st.integers(0, 300), st.sampled_from(["durable", "lost", "crash", "restart"])), max_size=40),
)
def test_a_meter_never_counts_less_than_the_log_holds(encryptions_max: int, steps: list[tuple[int, str]]) -> None:
    """Model: the log's own truth, next to what a meter would start from if the process ended at this moment."""
    keyring = Keyring(keys=new_keyring(draw, NOW).keys, active_term=1, rotation=Rotation(encryptions_max=encryptions_max))
    meter, stored, in_log = KeyMeter(keyring, None), None, 0
    for values, fate in steps:
        record: KeyUsage | None = meter.charge(values)
        if fate in ("durable", "restart"):
            stored = record or stored
            in_log += values + (record is not None)
        else:
            meter.abandon()
        if fate in ("crash", "restart"):
            meter = KeyMeter(keyring, stored)
        assert meter.used >= in_log
        assert KeyMeter(keyring, stored).used >= in_log
