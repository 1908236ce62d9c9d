"""Shamir's secret sharing in Vault's share format: any `threshold` shares give the secret, fewer say nothing about it.

A share is one byte longer than the secret: the values of one random polynomial a byte, then the coordinate x, which is random, not zero,
and different in each share. A single share with threshold 1 is the secret itself, without a coordinate.
Source: A. Shamir, "How to share a secret" (1979); the field is that of draft-mcgrew-tss-03.

Invariants: (1) every coefficient but the constant is uniformly random, the highest too (a forced one would say something);
(2) combining never guesses: shares that do not fit together by length or coordinate are refused. Shares of another secret cannot be
told from right ones; that the result is the right key is for the seal to prove.
"""
from collections.abc import Sequence

from holdfast.crypto.draw import Draw, below, exactly
from holdfast.crypto.gf256 import Vectors, lagrange_at_zero
from holdfast.crypto.secret import Secret
from holdfast.errors import BadRequest

SHARES_MAX = 255                                         # coordinates other than zero in the field
SHARE_OVERHEAD_BYTES = 1


def split(secret: Secret, *, shares: int, threshold: int, draw: Draw) -> tuple[Secret, ...]:
    """`shares` shares, any `threshold` of which combine. BadRequest as `seal_config` words it where the numbers do not fit."""
    if shares == threshold == 1:
        return (secret,)
    if not 2 <= threshold <= shares <= SHARES_MAX:
        raise BadRequest(f"cannot split into {shares} shares with a threshold of {threshold}")
    size = len(secret.value)
    if not size:
        raise BadRequest("cannot split an empty secret")
    vectors, constant = Vectors(size), int.from_bytes(secret.value)
    above = [int.from_bytes(exactly(draw, size)) for _ in range(threshold - 1)]
    made = []
    for x in _coordinates(shares, draw):
        y = 0
        for coefficient in above:
            y = vectors.times(y ^ coefficient, x)
        made.append(Secret((y ^ constant).to_bytes(size) + bytes((x,))))
    return tuple(made)


def combine(shares: Sequence[Secret], *, threshold: int) -> Secret:
    """The secret of at least `threshold` shares. BadRequest if they cannot belong together."""
    if len(shares) < threshold or not shares:
        raise BadRequest(f"{threshold} shares are needed, not {len(shares)}")
    if threshold == 1:
        return shares[0]
    parts = [share.value for share in shares]
    size = len(parts[0]) - SHARE_OVERHEAD_BYTES
    if size < 1:
        raise BadRequest("parts must be at least two bytes")
    if any(len(part) != size + SHARE_OVERHEAD_BYTES for part in parts):
        raise BadRequest("all parts must be the same length")
    xs = tuple(part[-1] for part in parts)
    if len(set(xs)) != len(xs):
        raise BadRequest("duplicate part detected")
    if 0 in xs:
        raise BadRequest("no part has the coordinate zero")
    vectors, result = Vectors(size), 0
    for part, factor in zip(parts, lagrange_at_zero(xs), strict=True):
        result ^= vectors.times(int.from_bytes(part[:-1]), factor)
    return Secret(result.to_bytes(size))


def _coordinates(count: int, draw: Draw) -> list[int]:
    """`count` distinct numbers from 1 to 255 in random order: the first steps of a Fisher-Yates shuffle."""
    left = list(range(1, SHARES_MAX + 1))
    for at in range(count):
        chosen = at + below(draw, len(left) - at)
        left[at], left[chosen] = left[chosen], left[at]
    return left[:count]
