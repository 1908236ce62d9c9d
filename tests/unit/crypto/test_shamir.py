from collections.abc import Callable
from itertools import combinations
from typing import Any

import pytest

from holdfast.crypto import Draw, Secret, combine, split
from holdfast.crypto.draw import below
from holdfast.crypto.gf256 import SCALARS, Vectors, inverse, lagrange_at_zero
from holdfast.errors import BadRequest, InvariantError

SECRET = Secret(bytes(range(32)))


def slow_product(a: int, b: int) -> int:
    """Schoolbook: multiply the polynomials, then divide by 0x11B."""
    product = 0
    for bit in range(8):
        if b >> bit & 1:
            product ^= a << bit
    for bit in range(14, 7, -1):
        if product >> bit & 1:
            product ^= 0x11B << bit - 8
    return product


def test_published_vectors_combine(vectors: Callable[[str], list[dict[str, Any]]]) -> None:
    for case in vectors("shamir"):
        shares = [Secret(bytes.fromhex(share)) for share in case["shares"]]
        assert combine(shares, threshold=case["threshold"]) == Secret(bytes.fromhex(case["secret"]))


def test_the_field_is_that_of_aes() -> None:
    assert SCALARS.times(0x57, 0x83) == 0xC1             # FIPS 197, section 4.2
    assert SCALARS.times(0x57, 0x13) == 0xFE             # FIPS 197, section 4.2.1


def test_products_agree_with_the_schoolbook() -> None:
    vectors = Vectors(256)
    everything = int.from_bytes(bytes(range(256)))
    for factor in range(256):
        assert vectors.times(everything, factor).to_bytes(256) == bytes(slow_product(a, factor) for a in range(256))


def test_inverses() -> None:
    assert all(SCALARS.times(a, inverse(a)) == 1 for a in range(1, 256))


def test_lagrange_factors_of_a_constant_sum_to_one() -> None:
    total = 0
    for factor in lagrange_at_zero((3, 7, 200, 255)):
        total ^= factor
    assert total == 1


def test_any_threshold_of_shares_combines_in_any_order(draw: Draw) -> None:
    shares = split(SECRET, shares=5, threshold=3, draw=draw)
    for count in (3, 4, 5):
        for chosen in combinations(shares, count):
            assert combine(chosen, threshold=3) == SECRET
            assert combine(chosen[::-1], threshold=3) == SECRET


def test_the_share_format_is_vaults(draw: Draw) -> None:
    shares = split(SECRET, shares=255, threshold=2, draw=draw)
    assert {len(share.value) for share in shares} == {33}
    xs = [share.value[-1] for share in shares]
    assert sorted(xs) == list(range(1, 256))
    assert xs != sorted(xs)


def test_one_share_of_one_is_the_secret_itself(draw: Draw) -> None:
    assert split(SECRET, shares=1, threshold=1, draw=draw) == (SECRET,)
    assert combine([SECRET], threshold=1) == SECRET


def test_fewer_shares_fit_every_secret(draw: Draw) -> None:
    """With one share of two, each of the 256 values of a secret byte goes with exactly one value of the other share."""
    share = split(Secret(b"\x2a"), shares=2, threshold=2, draw=draw)[0].value
    other_x = 1 if share[-1] != 1 else 2
    found = {combine([Secret(share), Secret(bytes((y, other_x)))], threshold=2).value for y in range(256)}
    assert found == {bytes((value,)) for value in range(256)}


def test_the_greatest_numbers_work(draw: Draw) -> None:
    shares = split(SECRET, shares=255, threshold=255, draw=draw)
    assert combine(shares, threshold=255) == SECRET
    assert combine(shares[1:], threshold=254) != SECRET


@pytest.mark.parametrize(("shares", "threshold"), [(0, 0), (2, 3), (256, 3), (10, 1), (1, 2), (-1, -1)])
def test_numbers_that_do_not_fit_are_refused(shares: int, threshold: int, draw: Draw) -> None:
    with pytest.raises(BadRequest):
        split(SECRET, shares=shares, threshold=threshold, draw=draw)


def test_an_empty_secret_is_refused(draw: Draw) -> None:
    with pytest.raises(BadRequest, match="empty"):
        split(Secret(b""), shares=3, threshold=2, draw=draw)


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ([], "needed"),
        ([b"foo"], "needed"),
        ([b"foo", b"ba"], "same length"),
        ([b"f", b"b"], "two bytes"),
        ([b"foo", b"foo"], "duplicate"),
        ([b"foo", b"ba\x00"], "zero"),
    ],
)
def test_shares_that_do_not_belong_together_are_refused(parts: list[bytes], why: str) -> None:
    with pytest.raises(BadRequest, match=why) as refused:
        combine([Secret(part) for part in parts], threshold=2)
    assert "foo" not in str(refused.value)


def test_numbers_below_a_bound_are_uniform() -> None:
    every_byte = iter(range(256))
    drawn = [below(lambda size: bytes((next(every_byte),)), 3) for _ in range(255)]
    assert [drawn.count(value) for value in range(3)] == [85, 85, 85]


def test_a_source_that_gives_too_little_stops_the_process() -> None:
    with pytest.raises(InvariantError, match="random bytes"):
        split(SECRET, shares=2, threshold=2, draw=lambda size: b"\x01" * (size - 1))
