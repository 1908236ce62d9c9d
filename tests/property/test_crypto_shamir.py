"""Shamir: any threshold of the shares gives the secret back, whatever the numbers and the secret."""
import hashlib

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.crypto import Draw, Secret, combine, split


def seeded(seed: bytes) -> Draw:
    drawn = 0

    def draw(size: int) -> bytes:
        nonlocal drawn
        drawn += 1
        return hashlib.shake_256(seed + drawn.to_bytes(8)).digest(size)

    return draw


@st.composite
def numbers(take: st.DrawFn) -> tuple[int, int]:
    shares = take(st.integers(2, 24))
    return shares, take(st.integers(2, shares))


@settings(max_examples=100)
@given(secret=st.binary(min_size=1, max_size=64), numbers=numbers(), seed=st.binary(max_size=8), pick=st.randoms(use_true_random=False))
def test_any_threshold_of_shares_recovers(secret: bytes, numbers: tuple[int, int], seed: bytes, pick: object) -> None:
    shares, threshold = numbers
    made = split(Secret(secret), shares=shares, threshold=threshold, draw=seeded(seed))
    chosen = pick.sample(made, threshold)  # type: ignore[attr-defined]
    assert combine(chosen, threshold=threshold) == Secret(secret)
    assert combine(made, threshold=threshold) == Secret(secret)


@settings(max_examples=50)
@given(secret=st.binary(min_size=1, max_size=16), threshold=st.integers(2, 6), seed=st.binary(max_size=8))
def test_fewer_shares_determine_nothing(secret: bytes, threshold: int, seed: bytes) -> None:
    """One share short, every value of every byte is possible, each for exactly one value of the missing share."""
    made = split(Secret(secret), shares=threshold, threshold=threshold, draw=seeded(seed))
    known, x = made[:-1], made[-1].value[-1:]
    results = [combine([*known, Secret(bytes((y,)) * len(secret) + x)], threshold=threshold).value for y in range(256)]
    for at in range(len(secret)):
        assert sorted(result[at] for result in results) == list(range(256))
