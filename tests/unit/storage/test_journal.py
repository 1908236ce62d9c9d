"""A journal that has been closed writes nothing more: not the next segment either, which a thread may still be about to make."""
import os
from pathlib import Path

import pytest

from holdfast.errors import InvariantError
from holdfast.ids import Index, Millis, Term
from holdfast.storage import WriteBatch
from holdfast.storage.disk import BLOCK_BYTES
from holdfast.storage.journal import Journal
from holdfast.storage.reading import Reading
from holdfast.testing.disk import FakeDisk

FOLDER = Path("/log")
TERM = Term(1)


def opened(disk: FakeDisk) -> Journal:
    return Journal(disk, FOLDER, segment_bytes=4 * BLOCK_BYTES, reserve_bytes=0, draw=os.urandom)


def batch(number: int) -> WriteBatch:
    return WriteBatch(index=Index(number), time_ms=Millis(number), changes={"k": b"v"})


def test_once_closed_it_makes_no_segment() -> None:
    disk = FakeDisk()
    journal = opened(disk)
    journal.append([batch(1)], TERM)
    names = disk.names(FOLDER)
    journal.close()
    assert not journal.prepare()
    assert disk.names(FOLDER) == names
    journal.close()
    again = opened(disk)
    assert [found.index for found in Reading(again, disk, Index(0)).take(1_000)] == [1]


def test_once_closed_it_takes_nothing() -> None:
    disk = FakeDisk()
    journal = opened(disk)
    journal.append([batch(1)], TERM)
    journal.close()
    with pytest.raises(InvariantError, match="the log has been closed"):
        journal.append([batch(2)], TERM)
    with pytest.raises(InvariantError, match="the log has been closed"):
        journal.settle()
    assert opened(disk).durable_index == 1
