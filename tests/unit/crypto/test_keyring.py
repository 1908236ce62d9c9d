"""Keys, their rotation, and the count of what each has encrypted. Invariant 8."""
import msgspec
import pytest

from holdfast import limits
from holdfast.crypto import (
    KEYRING,
    Draw,
    KeyMeter,
    Keyring,
    KeyUsage,
    Rotation,
    Secret,
    new_keyring,
    open_keyring,
    rotate,
    rotation_is_due,
    seal_keyring,
)
from holdfast.crypto.aead import seal_box
from holdfast.errors import IntegrityError, InvariantError
from holdfast.ids import Millis

NOW = Millis(1_700_000_000_000)
DAY_MS = 86_400_000
NONCE = bytes(12)
ROOT_KEY = Secret(bytes(range(32)))


def with_rotation(keyring: Keyring, rotation: Rotation) -> Keyring:
    return msgspec.structs.replace(keyring, rotation=rotation)


def same(a: Keyring, b: Keyring) -> bool:
    return msgspec.json.encode(a) == msgspec.json.encode(b)


def test_a_new_keyring_has_one_key_of_its_own(draw: Draw) -> None:
    first, second = new_keyring(draw, NOW), new_keyring(draw, NOW)
    assert (first.active_term, list(first.keys), first.active.installed_ms) == (1, [1], NOW)
    assert first.active.secret != second.active.secret


def test_rotation_keeps_every_key_and_adds_a_fresh_one(draw: Draw) -> None:
    old = new_keyring(draw, NOW)
    new = rotate(old, draw, Millis(NOW + 5), encryptions=42)
    assert (new.active_term, sorted(new.keys)) == (2, [1, 2])
    assert new.keys[1].secret == old.keys[1].secret
    assert (new.keys[1].encryptions, new.keys[2].encryptions) == (42, 0)
    assert new.keys[2].secret != new.keys[1].secret
    assert new.keys[2].installed_ms == NOW + 5
    assert list(old.keys) == [1], "the old record is unchanged"


def test_the_last_term_is_the_last(draw: Draw, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "KEY_TERMS_MAX", 2)
    full = rotate(new_keyring(draw, NOW), draw, NOW, encryptions=0)
    with pytest.raises(InvariantError, match="2 terms"):
        rotate(full, draw, NOW, encryptions=0)


def test_sealed_and_opened_it_is_the_same(draw: Draw) -> None:
    keyring = with_rotation(rotate(new_keyring(draw, NOW), draw, NOW, encryptions=7), Rotation(interval_ms=DAY_MS, encryptions_max=5))
    sealed = seal_keyring(ROOT_KEY, keyring, nonce=NONCE)
    assert same(open_keyring(ROOT_KEY, sealed), keyring)
    assert all(key.secret.value not in sealed for key in keyring.keys.values())


def test_it_travels_in_a_frame_between_processes(draw: Draw) -> None:
    keyring = rotate(new_keyring(draw, NOW), draw, NOW, encryptions=7)
    assert same(msgspec.msgpack.decode(msgspec.msgpack.encode(keyring), type=Keyring), keyring)


def test_no_representation_shows_a_key(draw: Draw) -> None:
    keyring = new_keyring(draw, NOW)
    assert repr(keyring.active.secret.value)[2:10] not in repr(keyring)


def test_another_root_key_does_not_open_it(draw: Draw) -> None:
    sealed = seal_keyring(ROOT_KEY, new_keyring(draw, NOW), nonce=NONCE)
    with pytest.raises(IntegrityError, match=KEYRING):
        open_keyring(Secret(bytes(32)), sealed)


@pytest.mark.parametrize("content", [b"", b"{}", b'{"keys":{},"active_term":1}', b'{"keys":[],"active_term":0}'])
def test_a_record_that_is_no_keyring_is_damage(content: bytes) -> None:
    with pytest.raises(IntegrityError, match=KEYRING):
        open_keyring(ROOT_KEY, seal_box(ROOT_KEY, content, name=KEYRING, nonce=NONCE))


@pytest.mark.parametrize(
    ("rotation", "encryptions", "age_ms", "due"),
    [
        (Rotation(), limits.KEY_ENCRYPTIONS_MAX - 1, 400 * DAY_MS, False),
        (Rotation(), limits.KEY_ENCRYPTIONS_MAX, 0, True),
        (Rotation(encryptions_max=100), 99, 0, False),
        (Rotation(encryptions_max=100), 100, 0, True),
        (Rotation(interval_ms=DAY_MS), 0, DAY_MS - 1, False),
        (Rotation(interval_ms=DAY_MS), 0, DAY_MS, True),
        (Rotation(enabled=False, encryptions_max=100, interval_ms=DAY_MS), 100, DAY_MS, False),
        (Rotation(enabled=False), limits.KEY_ENCRYPTIONS_CEILING, 0, True),
        (Rotation(encryptions_max=1 << 40), limits.KEY_ENCRYPTIONS_CEILING, 0, True),
    ],
)
def test_when_a_rotation_is_due(rotation: Rotation, encryptions: int, age_ms: int, due: bool, draw: Draw) -> None:
    keyring = with_rotation(new_keyring(draw, NOW), rotation)
    assert rotation_is_due(keyring, encryptions=encryptions, now_ms=Millis(NOW + age_ms)) is due


def test_the_ceiling_can_be_lowered_for_a_test_of_the_whole(draw: Draw, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "KEY_ENCRYPTIONS_CEILING", 100)
    meter = KeyMeter(new_keyring(draw, NOW), None)
    assert meter.charge(1) == KeyUsage(term=1, reserved=14)
    meter.charge(98)
    assert meter.is_due(NOW)


def test_the_bounds_stay_well_below_what_random_nonces_allow() -> None:
    assert limits.KEY_ENCRYPTIONS_MAX <= 1 << 31
    assert limits.KEY_ENCRYPTIONS_CEILING + limits.KEY_USE_RESERVE + limits.BATCH_CHANGES_MAX < 1 << 32


def test_a_meter_reserves_ahead_and_then_only_counts(draw: Draw) -> None:
    meter = KeyMeter(with_rotation(new_keyring(draw, NOW), Rotation(encryptions_max=800)), None)
    assert meter.charge(1) == KeyUsage(term=1, reserved=102)
    assert meter.used == 2, "the record itself is a value, too"
    assert all(meter.charge(1) is None for _ in range(100))
    assert meter.charge(1) == KeyUsage(term=1, reserved=204)


def test_after_a_crash_the_count_is_never_too_low(draw: Draw) -> None:
    keyring = with_rotation(new_keyring(draw, NOW), Rotation(encryptions_max=800))
    meter, stored, truth = KeyMeter(keyring, None), None, 0
    for values in (1, 5, 90, 3, 200, 1, 1, 60):
        record = meter.charge(values)
        truth += values + (record is not None)
        stored = record or stored
        assert truth <= KeyMeter(keyring, stored).used <= truth + 800 // 8


def test_a_reservation_that_was_not_made_durable_is_made_again(draw: Draw) -> None:
    meter = KeyMeter(new_keyring(draw, NOW), None)
    assert meter.charge(1) is not None
    assert meter.charge(1) is None
    meter.abandon()
    record = meter.charge(1)
    assert record is not None
    assert record.reserved > meter.used == 5


def test_a_meter_says_when_the_next_term_is_due_and_counts_it_from_nothing(draw: Draw) -> None:
    keyring = with_rotation(new_keyring(draw, NOW), Rotation(encryptions_max=100))
    meter = KeyMeter(keyring, None)
    while not meter.is_due(NOW):
        meter.charge(1)
    assert meter.used == 100
    meter.follow(rotate(keyring, draw, NOW, encryptions=meter.used))
    assert (meter.used, meter.is_due(NOW)) == (0, False)
    assert meter.charge(1) == KeyUsage(term=2, reserved=14)


def test_following_a_changed_configuration_keeps_the_count(draw: Draw) -> None:
    keyring = new_keyring(draw, NOW)
    meter = KeyMeter(keyring, None)
    meter.charge(10)
    meter.follow(with_rotation(keyring, Rotation(encryptions_max=5)))
    assert (meter.used, meter.is_due(NOW)) == (11, True)


def test_a_record_of_an_earlier_term_is_not_taken_for_this_one(draw: Draw) -> None:
    keyring = rotate(new_keyring(draw, NOW), draw, NOW, encryptions=9)
    assert KeyMeter(keyring, KeyUsage(term=1, reserved=500)).used == 0
    assert KeyMeter(keyring, KeyUsage(term=2, reserved=500)).used == 500
