"""Distributions that can be added up: counts of values in buckets that grow by a twentieth.

Invariants:
1. A quantile is off by at most 2.5 %, for values from a thousandth up to ten thousand million; count and sum are exact.
2. The sum of two distributions is the distribution of both sets of values.
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from math import ceil, sqrt

import msgspec

GROWTH = 1.05
SMALLEST, LARGEST = 0.001, 1e10


def _bounds() -> tuple[float, ...]:
    bounds = [SMALLEST]
    while bounds[-1] < LARGEST:
        bounds.append(bounds[-1] * GROWTH)
    return tuple(bounds)


BOUNDS = _bounds()                     # bucket i holds what is at least BOUNDS[i-1] and less than BOUNDS[i]
BUCKETS = len(BOUNDS) + 1
_MIDDLES = (0.0, *(sqrt(low * high) for low, high in pairwise(BOUNDS)), BOUNDS[-1])


class Distribution(msgspec.Struct, frozen=True):
    """`buckets`: only those that hold something, by number."""

    count: int = 0
    sum: float = 0.0
    buckets: Mapping[int, int] = {}

    def quantile(self, fraction: float) -> float:
        """The value below which `fraction` (0 to 1) of all lie; not a number without any."""
        rank, passed = max(1, ceil(fraction * self.count)), 0
        for number in sorted(self.buckets):
            passed += self.buckets[number]
            if passed >= rank:
                return self._middle(number)
        return float("nan")

    @property
    def least(self) -> float:
        return self._middle(min(self.buckets)) if self.buckets else 0.0

    @property
    def most(self) -> float:
        return self._middle(max(self.buckets)) if self.buckets else 0.0

    @property
    def mean(self) -> float:
        return self.sum / self.count if self.count else 0.0

    @property
    def deviation(self) -> float:
        """The standard deviation of a sample."""
        if self.count < 2:
            return 0.0
        middle = sum(self._middle(number) * count for number, count in self.buckets.items()) / self.count
        squares = sum((self._middle(number) - middle) ** 2 * count for number, count in self.buckets.items())
        return sqrt(squares / (self.count - 1))

    def since(self, earlier: Distribution) -> Distribution:
        """What came after `earlier`, a former state of the same distribution."""
        grown = ((number, count - earlier.buckets.get(number, 0)) for number, count in self.buckets.items())
        return Distribution(self.count - earlier.count, self.sum - earlier.sum, {number: count for number, count in grown if count > 0})

    def _middle(self, number: int) -> float:
        """One value alone in its bucket is the sum itself."""
        return self.sum if self.count == 1 else _MIDDLES[number]


def added(distributions: Iterable[Distribution]) -> Distribution:
    count, total, buckets = 0, 0.0, dict[int, int]()
    for each in distributions:
        count, total = count + each.count, total + each.sum
        for number, held in each.buckets.items():
            buckets[number] = buckets.get(number, 0) + held
    return Distribution(count, total, buckets)
