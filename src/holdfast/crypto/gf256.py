"""The field GF(2^8) of Shamir's shares: polynomials over GF(2) modulo x^8 + x^4 + x^3 + x + 1 (0x11B, the field of AES).

A *vector* holds many field elements in the bytes of one int, so that a whole secret is multiplied at once. Only public numbers (share
coordinates) steer a branch; the secret bytes pass through the same shifts, masks and exclusive-ors whatever they are, and index no table.
What this cannot promise: CPython's ints store no leading zero words, so the time of an operation may tell whether the first bytes
of a vector are zero. Nothing here runs on behalf of a remote stranger: only init, unseal and rekey do.
"""


class Vectors:
    """Arithmetic on vectors of `size` field elements."""

    def __init__(self, size: int) -> None:
        assert size > 0, size
        ones = int.from_bytes(b"\x01" * size)
        self._ones, self._low_bits = ones, 0x7F * ones

    def times(self, vector: int, factor: int) -> int:
        """Each element times the public `factor`."""
        product = 0
        while factor:
            if factor & 1:
                product ^= vector
            vector = self._double(vector)
            factor >>= 1
        return product

    def _double(self, vector: int) -> int:
        carries = vector >> 7 & self._ones
        return (vector & self._low_bits) << 1 ^ carries * 0x1B


SCALARS = Vectors(1)


def inverse(a: int) -> int:
    """1/a for a public `a` from 1 to 255: a^254, by squaring."""
    assert 0 < a < 256, a
    result, power = 1, a
    for bit in range(8):
        if 254 >> bit & 1:
            result = SCALARS.times(result, power)
        power = SCALARS.times(power, power)
    return result


def lagrange_at_zero(xs: tuple[int, ...]) -> tuple[int, ...]:
    """The factor of each point's value in the value at zero of the polynomial through the points. `xs`: distinct, none of them 0."""
    assert len(set(xs)) == len(xs), "distinct"
    assert 0 not in xs, "the value at zero is the secret"
    factors = []
    for x in xs:
        above = below = 1
        for other in xs:
            if other != x:
                above, below = SCALARS.times(above, other), SCALARS.times(below, x ^ other)
        factors.append(SCALARS.times(above, inverse(below)))
    return tuple(factors)
