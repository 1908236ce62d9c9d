"""Where each term began in the log: by it the fate of an append can be told though the entry itself is no longer here.

Invariant: of an index at or after the first start that is kept, the term is the one that the log has there, as far as it is committed.
"""
from bisect import bisect_right
from collections.abc import Callable, Iterable

TERMS_MAX = 64                                           # newest ones kept: an append that waits for its fate is of a late one


class Terms:
    """Starts are (index of the term's first entry, term), both growing."""

    def __init__(self, starts: Iterable[tuple[int, int]] = ()) -> None:
        self._starts = list(starts)

    def extend(self, after: int, through: int, term_at: Callable[[int], int]) -> None:
        """Entries after `after`, up to `through`, are committed too."""
        newest = self._starts[-1][1] if self._starts else 0
        if term_at(through) == newest:
            return                                       # terms never fall
        for index in range(after + 1, through + 1):
            term = term_at(index)
            if term > newest:
                self._starts.append((index, term))
                newest = term
        del self._starts[:-TERMS_MAX]

    def note(self, index: int, term: int) -> None:
        """The next entry, which may replace what was noted from its index on."""
        while self._starts and self._starts[-1][0] >= index:
            self._starts.pop()
        if not self._starts or self._starts[-1][1] < term:
            self._starts.append((index, term))
            del self._starts[:-TERMS_MAX]

    def cut(self, through: int) -> None:
        """What comes after `through` is not committed."""
        while self._starts and self._starts[-1][0] > through:
            self._starts.pop()

    def of(self, index: int) -> int:
        """0: not known any more."""
        at = bisect_right(self._starts, (index, 1 << 64))
        return self._starts[at - 1][1] if at else 0

    def up_to(self, index: int) -> tuple[tuple[int, int], ...]:
        """The starts at or before `index`."""
        return tuple(start for start in self._starts if start[0] <= index)
