"""Reads the log of one node from its files, beside whoever appends to it.

Invariants: (1) batches are given in order, each once, and none that is not durable; (2) what is not whole is never given: it was trimmed,
or the log is damaged.
"""
from pathlib import Path
from typing import Protocol

from holdfast.errors import IntegrityError
from holdfast.ids import Index
from holdfast.storage import segment as form
from holdfast.storage.batch import WriteBatch
from holdfast.storage.disk import BLOCK_BYTES, Disk, File
from holdfast.storage.segment import Head, Record


class Trimmed(Exception):
    """The batch asked for is no longer in the log: start from the checkpoint."""


class Source(Protocol):
    """The journal, as a reader needs it; asked from another thread than its own."""

    @property
    def durable_index(self) -> Index: ...

    def segment_of(self, index: Index) -> tuple[Path, Head] | None:
        """Where a batch stands or will stand; None: it was trimmed."""


class Reading:
    """Reads batches in order, from the one after `after` on. May be used in another thread than the journal."""

    def __init__(self, journal: Source, disk: Disk, after: Index) -> None:
        self._journal, self._disk = journal, disk
        self._next = Index(after + 1)                    # to be given
        self._at: tuple[File, Head] | None = None
        self._offset, self._expected = 0, self._next     # the record at `_offset` begins with `_expected`

    def take(self, max_bytes: int) -> list[WriteBatch]:
        """The next batches, about `max_bytes` of them; none: it has caught up. Raises Trimmed, or IntegrityError: the log is damaged."""
        wanted = self._next
        return [batch for record in self.records(max_bytes) for batch in record.batches() if batch.index >= wanted]

    def records(self, max_bytes: int) -> list[Record]:
        """The same as the records that they stand in; the first one may begin before."""
        found: list[Record] = []
        size, durable = 0, self._journal.durable_index
        while self._next <= durable and size < max_bytes:
            record = self._record()
            found.append(record)
            size += record.size
            self._next = max(self._next, Index(record.last + 1))
        return found

    def close(self) -> None:
        if self._at is not None:
            self._at[0].close()
            self._at = None

    def _record(self) -> Record:
        where = self._journal.segment_of(self._expected if self._at else self._next)
        if where is None:
            raise Trimmed
        path, head = where
        if self._at is None or self._at[1] != head:
            self._enter(path, head)
        assert self._at is not None
        record = read_at(self._at[0], head, self._offset)
        if record is None or record.first != self._expected:
            if self._journal.segment_of(self._expected) != where:
                raise Trimmed                            # while it was read
            raise IntegrityError(f"{path}: batch {self._expected} should stand at {self._offset}, and does not")
        self._offset, self._expected = self._offset + record.size, Index(record.last + 1)
        return record

    def _enter(self, path: Path, head: Head) -> None:
        self.close()
        try:
            self._at = self._disk.open(path), head
        except FileNotFoundError as error:
            raise Trimmed from error
        self._offset, self._expected = BLOCK_BYTES, head.first


def read_at(file: File, head: Head, offset: int) -> Record | None:
    """The record that begins there; None: no valid one does."""
    block = file.read_at(BLOCK_BYTES, offset)
    size = form.record_head(block, head.sequence)
    if size is None:
        return None
    return form.read_record(head, offset, block if size == BLOCK_BYTES else block + file.read_at(size - BLOCK_BYTES, offset + BLOCK_BYTES))
