import pytest

from holdfast.crypto import (
    KEYRING,
    OUTSIDE_BARRIER,
    RECOVERY_CONFIG,
    ROOT_KEY,
    SEAL_CONFIG,
    SHAMIR_KEK,
    WRAPPED_RECOVERY_KEY,
    WRAPPED_ROOT_KEY,
    AesGcmBarrier,
    Draw,
    InvalidKey,
    Keyring,
    NewCluster,
    Opened,
    SealConfig,
    SealType,
    Secret,
    ShamirSeal,
    StaticKey,
    StaticSeal,
    change_root_key,
    check_recovery_key,
    combine,
    decode_config,
    follow,
    new_auto_cluster,
    new_shamir_cluster,
    rotate,
    seal_keyring,
    unseal,
)
from holdfast.errors import BadRequest, IntegrityError, InvariantError
from holdfast.ids import Millis

NOW = Millis(1_700_000_000_000)
STATIC = StaticSeal(StaticKey("2025", Secret(b"\x02" * 32)))


def same_keys(a: Keyring, b: Keyring) -> bool:
    return {term: key.secret.value for term, key in a.keys.items()} == {term: key.secret.value for term, key in b.keys.items()}


def shamir_cluster(draw: Draw) -> NewCluster:
    return new_shamir_cluster(shares=5, threshold=3, draw=draw, now_ms=NOW)


def test_three_of_five_shares_unseal(draw: Draw) -> None:
    cluster = shamir_cluster(draw)
    assert decode_config(cluster.stored[SEAL_CONFIG]) == SealConfig(type=SealType.SHAMIR, secret_shares=5, secret_threshold=3)
    key = combine(cluster.shares[1:4], threshold=3)
    opened = unseal(ShamirSeal(key), wrapped_root_key=cluster.stored[WRAPPED_ROOT_KEY], sealed_keyring=cluster.stored[KEYRING])
    assert opened.root_key == cluster.opened.root_key
    assert same_keys(opened.keyring, cluster.opened.keyring)


def test_shares_of_which_one_is_wrong_do_not_unseal(draw: Draw) -> None:
    cluster, other = shamir_cluster(draw), shamir_cluster(draw)
    taken = next(share for share in other.shares if share.value[-1] not in {s.value[-1] for s in cluster.shares[:2]})
    key = combine([*cluster.shares[:2], taken], threshold=3)
    with pytest.raises(InvalidKey, match="unseal failed, invalid key"):
        unseal(ShamirSeal(key), wrapped_root_key=cluster.stored[WRAPPED_ROOT_KEY], sealed_keyring=cluster.stored[KEYRING])


def test_one_share_of_one_unseals(draw: Draw) -> None:
    cluster = new_shamir_cluster(shares=1, threshold=1, draw=draw, now_ms=NOW)
    key = combine(cluster.shares, threshold=1)
    assert len(key.value) == 32
    unseal(ShamirSeal(key), wrapped_root_key=cluster.stored[WRAPPED_ROOT_KEY], sealed_keyring=cluster.stored[KEYRING])


def test_a_static_seal_opens_itself_and_its_shares_are_of_the_recovery_key(draw: Draw) -> None:
    cluster = new_auto_cluster(STATIC, shares=3, threshold=2, draw=draw, now_ms=NOW)
    opened = unseal(STATIC, wrapped_root_key=cluster.stored[WRAPPED_ROOT_KEY], sealed_keyring=cluster.stored[KEYRING])
    assert same_keys(opened.keyring, cluster.opened.keyring)
    assert decode_config(cluster.stored[SEAL_CONFIG]).type is SealType.STATIC
    assert decode_config(cluster.stored[RECOVERY_CONFIG]).secret_threshold == 2
    key = combine(cluster.shares[:2], threshold=2)
    check_recovery_key(STATIC, key, cluster.stored[WRAPPED_RECOVERY_KEY])
    with pytest.raises(InvalidKey, match="recovery key"):
        check_recovery_key(STATIC, Secret(bytes(32)), cluster.stored[WRAPPED_RECOVERY_KEY])


def test_shares_that_cannot_be_made_are_refused_before_anything_is_drawn() -> None:
    def never(size: int) -> bytes:
        raise AssertionError(size)

    with pytest.raises(BadRequest):
        new_shamir_cluster(shares=3, threshold=4, draw=never, now_ms=NOW)
    with pytest.raises(BadRequest):
        new_auto_cluster(STATIC, shares=3, threshold=1, draw=never, now_ms=NOW)


def test_a_shamir_seal_does_not_open_itself(draw: Draw) -> None:
    with pytest.raises(InvariantError):
        new_auto_cluster(ShamirSeal(Secret(bytes(32))), shares=1, threshold=1, draw=draw, now_ms=NOW)


@pytest.mark.parametrize("auto", [True, False])
def test_only_what_unsealed_nodes_need_is_left_to_the_barrier(auto: bool, draw: Draw) -> None:
    cluster = new_auto_cluster(STATIC, shares=1, threshold=1, draw=draw, now_ms=NOW) if auto else shamir_cluster(draw)
    assert set(cluster.stored) - OUTSIDE_BARRIER == ({ROOT_KEY} if auto else {ROOT_KEY, SHAMIR_KEK})
    barrier = AesGcmBarrier(cluster.opened.keyring)
    disk = b"".join(barrier.encrypt(key, value, nonce=draw(12)) for key, value in cluster.stored.items())
    secrets = [cluster.opened.root_key, *cluster.shares, *(key.secret for key in cluster.opened.keyring.keys.values())]
    assert all(secret.value not in disk for secret in secrets)


def test_an_unsealed_node_follows_a_rotation(draw: Draw) -> None:
    opened = shamir_cluster(draw).opened
    rotated = rotate(opened.keyring, draw, NOW, encryptions=3)
    followed = follow(opened, sealed_keyring=seal_keyring(opened.root_key, rotated, nonce=draw(12)), root_key=None)
    assert same_keys(followed.keyring, rotated)


def test_an_unsealed_node_follows_a_change_of_the_root_key(draw: Draw) -> None:
    opened = shamir_cluster(draw).opened
    stored, changed = change_root_key(opened, STATIC, draw)
    assert changed.root_key != opened.root_key
    barrier = AesGcmBarrier(opened.keyring)
    sealed = barrier.encrypt(ROOT_KEY, stored[ROOT_KEY], nonce=draw(12))
    followed = follow(opened, sealed_keyring=stored[KEYRING], root_key=barrier.decrypt(ROOT_KEY, sealed))
    assert followed.root_key == changed.root_key
    again = unseal(STATIC, wrapped_root_key=stored[WRAPPED_ROOT_KEY], sealed_keyring=stored[KEYRING])
    assert again.root_key == changed.root_key


def test_a_node_that_missed_both_says_so(draw: Draw) -> None:
    opened = shamir_cluster(draw).opened
    _, changed = change_root_key(opened, STATIC, draw)
    later = Opened(root_key=changed.root_key, keyring=rotate(changed.keyring, draw, NOW, encryptions=0))
    sealed = seal_keyring(later.root_key, later.keyring, nonce=draw(12))
    with pytest.raises(IntegrityError, match="never had"):
        follow(opened, sealed_keyring=sealed, root_key=None)
