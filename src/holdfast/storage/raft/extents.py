"""Which record of the journal holds which entries: a table in memory, 32 bytes a record.

Invariants: (1) the entries from the first row to the last follow one another without a gap; (2) each entry is in one row, that of the
newest record that holds it; (3) `wal` never falls from row to row. May be used from several threads.
"""
import threading
from array import array
from bisect import bisect_left, bisect_right
from typing import NamedTuple

from holdfast.errors import IntegrityError
from holdfast.ids import Index


class Extent(NamedTuple):
    """Entries `first` to `last` in one record. `wal`: index of their first batch; where they have none, what the row before says. No batch
    before the first row that says so has a higher index, and none after it a lower one."""

    record: Index
    first: int
    last: int
    wal: int


class Extents:
    """Entries after `base`, which a checkpoint holds."""

    def __init__(self, base: int) -> None:
        self._mutex = threading.Lock()
        self._base = base
        self._record, self._first, self._last, self._wal = (array("Q") for _ in range(4))

    @property
    def last(self) -> int:
        """Index of the last entry."""
        with self._mutex:
            return self._last[-1] if self._last else self._base

    def add(self, record: Index, first: int, last: int, wal: int) -> None:
        """`wal`: index of its first batch; 0: it has none. What stands from `first` on is replaced. IntegrityError: a gap."""
        with self._mutex:
            first = max(first, self._base + 1)
            while self._first and self._first[-1] >= first:
                for column in (self._record, self._first, self._last, self._wal):
                    column.pop()
            end = self._last[-1] if self._last else self._base
            if end + 1 < first:
                raise IntegrityError(f"the raft log has entry {first} after entry {end}")
            if self._last:
                self._last[-1] = min(end, first - 1)
            if last < first:
                return                                   # all of it is in the checkpoint; what it replaced is gone all the same
            self._record.append(record)
            self._first.append(first)
            self._last.append(last)
            self._wal.append(wal or (self._wal[-1] if self._wal else 0))

    def of(self, index: int) -> Extent | None:
        """The row with that entry."""
        with self._mutex:
            at = bisect_left(self._last, index)
            return self._row(at) if at < len(self._last) and self._first[at] <= index else None

    def of_wal(self, wal: int) -> Extent | None:
        """The last row with batches that does not begin after batch `wal`; None: all do, or there is none."""
        with self._mutex:
            at = bisect_right(self._wal, wal)
            return self._row(bisect_left(self._wal, self._wal[at - 1])) if at else None

    def next_after(self, record: Index) -> Extent | None:
        """The first row of a later record."""
        with self._mutex:
            at = bisect_right(self._record, record)
            return self._row(at) if at < len(self._record) else None

    def trim(self, base: int) -> None:
        """Forgets entries up to `base`."""
        with self._mutex:
            self._base = max(self._base, base)
            gone = bisect_left(self._last, self._base + 1)
            for column in (self._record, self._first, self._last, self._wal):
                del column[:gone]
            if self._first:
                self._first[0] = max(self._first[0], self._base + 1)

    def reset(self, base: int) -> None:
        """A snapshot has taken the place of all entries."""
        with self._mutex:
            self._base = base
            for column in (self._record, self._first, self._last, self._wal):
                del column[:]

    def _row(self, at: int) -> Extent:
        return Extent(Index(self._record[at]), self._first[at], self._last[at], self._wal[at])
