"""From one seal to another and back: who can open the store before, and who can after."""
from collections.abc import Mapping

import pytest

from holdfast.crypto import (
    KEYRING,
    RECOVERY_CONFIG,
    SEAL_CONFIG,
    WRAPPED_RECOVERY_KEY,
    WRAPPED_ROOT_KEY,
    Draw,
    InvalidKey,
    NewCluster,
    SealType,
    Secret,
    ShamirSeal,
    StaticKey,
    StaticSeal,
    combine,
    decode_config,
    new_auto_cluster,
    new_shamir_cluster,
    unseal,
)
from holdfast.crypto.names import SHAMIR_KEK
from holdfast.crypto.seal_migration import Sealed, Seals, changes, is_pending, open_before, shares_wanted
from holdfast.errors import BadRequest, IntegrityError, InvariantError
from holdfast.ids import Millis

NOW = Millis(1_700_000_000_000)
ONE = StaticSeal(StaticKey("one", Secret(b"1" * 32)))
TWO = StaticSeal(StaticKey("two", Secret(b"2" * 32)))


def stored_by(values: Mapping[str, bytes]) -> Sealed:
    recovery = values.get(RECOVERY_CONFIG)
    return Sealed(config=decode_config(values[SEAL_CONFIG]), root_key=values[WRAPPED_ROOT_KEY], keyring=values[KEYRING],
                  recovery=None if recovery is None else decode_config(recovery), recovery_key=values.get(WRAPPED_RECOVERY_KEY))


def after(values: Mapping[str, bytes], changed: Mapping[str, bytes | None]) -> dict[str, bytes]:
    return {key: value for key, value in {**values, **changed}.items() if value is not None}


def moved(made: NewCluster, values: Mapping[str, bytes], seals: Seals, draw: Draw) -> dict[str, bytes]:
    """The values after a change that shares of the cluster have allowed."""
    sealed = stored_by(values)
    assert is_pending(sealed, seals)
    key = combine(made.shares[:shares_wanted(sealed).secret_threshold], threshold=shares_wanted(sealed).secret_threshold)
    opened = open_before(key, sealed, seals)
    assert opened.root_key == made.opened.root_key
    return after(values, changes(opened.root_key, key, sealed, seals, draw=draw))


@pytest.fixture
def by_shares(draw: Draw) -> NewCluster:
    return new_shamir_cluster(shares=5, threshold=3, draw=draw, now_ms=NOW)


@pytest.fixture
def by_itself(draw: Draw) -> NewCluster:
    return new_auto_cluster(ONE, shares=4, threshold=2, draw=draw, now_ms=NOW)


def test_from_shares_to_a_seal_that_opens_itself(by_shares: NewCluster, draw: Draw) -> None:
    values = moved(by_shares, by_shares.stored, Seals(now=ONE), draw)
    sealed = stored_by(values)
    assert not is_pending(sealed, Seals(now=ONE))
    opened = unseal(ONE, wrapped_root_key=sealed.root_key, sealed_keyring=sealed.keyring)
    assert opened.root_key == by_shares.opened.root_key
    assert (sealed.config.type, sealed.config.secret_shares) == (SealType.STATIC, 1)
    assert sealed.recovery is not None
    assert (sealed.recovery.secret_shares, sealed.recovery.secret_threshold, sealed.recovery.stored_shares) == (5, 3, 0)
    assert SHAMIR_KEK not in values
    key = combine(by_shares.shares[:3], threshold=3)
    with pytest.raises(InvalidKey):
        ShamirSeal(key).unwrap(sealed.root_key, name=WRAPPED_ROOT_KEY)


def test_from_a_seal_that_opens_itself_to_shares(by_itself: NewCluster, draw: Draw) -> None:
    values = moved(by_itself, by_itself.stored, Seals(before=ONE), draw)
    sealed = stored_by(values)
    assert not is_pending(sealed, Seals())
    assert not is_pending(sealed, Seals(before=ONE)), "the stanza may stay for a while"
    key = combine(by_itself.shares[2:], threshold=2)
    assert unseal(ShamirSeal(key), wrapped_root_key=sealed.root_key, sealed_keyring=sealed.keyring).root_key == by_itself.opened.root_key
    assert (sealed.config.secret_shares, sealed.config.secret_threshold, sealed.config.stored_shares) == (4, 2, 1)
    assert values[SHAMIR_KEK] == key.value
    assert not {RECOVERY_CONFIG, WRAPPED_RECOVERY_KEY} & set(values)
    with pytest.raises(IntegrityError):
        ONE.unwrap(sealed.root_key, name=WRAPPED_ROOT_KEY)


def test_there_and_back_and_to_another_seal_with_the_same_shares(by_shares: NewCluster, draw: Draw) -> None:
    values: Mapping[str, bytes] = by_shares.stored
    for seals in (Seals(now=ONE), Seals(now=TWO, before=ONE), Seals(before=TWO), Seals(now=TWO)):
        values = moved(by_shares, values, seals, draw)
    sealed = stored_by(values)
    assert unseal(TWO, wrapped_root_key=sealed.root_key, sealed_keyring=sealed.keyring).root_key == by_shares.opened.root_key
    assert values[KEYRING] == by_shares.stored[KEYRING], "the data's keys were not touched"


def test_nothing_is_pending_where_store_and_configuration_agree(by_shares: NewCluster, by_itself: NewCluster) -> None:
    assert not is_pending(stored_by(by_shares.stored), Seals())
    assert not is_pending(stored_by(by_itself.stored), Seals(now=ONE))
    rotated = StaticSeal(StaticKey("two", Secret(b"2" * 32)), StaticKey("one", Secret(b"1" * 32)))
    assert not is_pending(stored_by(by_itself.stored), Seals(now=rotated)), "a new key of the same seal is no other seal"


def test_a_store_that_the_configuration_cannot_open(by_itself: NewCluster) -> None:
    for seals in (Seals(), Seals(now=TWO)):
        with pytest.raises(BadRequest, match='sealed by "static", and this node is not configured for it'):
            is_pending(stored_by(by_itself.stored), seals)


def test_wrong_keys_change_nothing(by_shares: NewCluster, by_itself: NewCluster) -> None:
    wrong = Secret(b"w" * 32)
    with pytest.raises(InvalidKey):
        open_before(wrong, stored_by(by_shares.stored), Seals(now=ONE))
    with pytest.raises(InvalidKey, match="recovery key"):
        open_before(wrong, stored_by(by_itself.stored), Seals(before=ONE))
    right = combine(by_itself.shares[:2], threshold=2)
    with pytest.raises(InvalidKey):
        open_before(right, stored_by(by_itself.stored), Seals(before=TWO))
    with pytest.raises(InvariantError):
        open_before(right, stored_by(by_itself.stored), Seals(now=ONE))


def test_changes_are_only_made_where_they_are_pending(by_shares: NewCluster, draw: Draw) -> None:
    key = combine(by_shares.shares[:3], threshold=3)
    with pytest.raises(InvariantError):
        changes(by_shares.opened.root_key, key, stored_by(by_shares.stored), Seals(), draw=draw)
