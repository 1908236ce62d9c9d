"""A real disk that is full: writes are refused, reads go on, nothing acknowledged is lost, and space lets the log go on."""
import asyncio
from pathlib import Path

import pytest
from tests.disks import fill, small_disk

from holdfast.errors import UnavailableError
from holdfast.ids import Index, Millis, NodeId
from holdfast.replica.lmdb import LmdbReplica
from holdfast.replica.recovery import catch_up
from holdfast.storage import Fence, Full, WriteBatch
from holdfast.storage.file import FileLog, Sizes

SIZES = Sizes(segment=1 << 20, reserve=4 << 20, checkpoint_after=1 << 30)


def batch(number: int) -> WriteBatch:
    return WriteBatch(index=Index(number), time_ms=Millis(number), changes={f"k/{number % 50}": b"%d," % number * 2_000})


async def write_until_full(log: FileLog, replica: LmdbReplica, fence: Fence) -> None:
    while True:
        number = log.durable_index + 1
        try:
            await log.append([batch(number)], fence)
        except Full:
            assert not await log.fate(Index(number))
            return
        replica.apply([batch(number)])


async def check(log: FileLog, replica: LmdbReplica) -> None:
    assert replica.index == log.durable_index
    reader = replica.open()
    for number in range(log.durable_index - 49, log.durable_index + 1):
        assert reader.get(f"k/{number % 50}") == batch(number).changes[f"k/{number % 50}"]
    reader.close()


def test_a_full_disk_loses_nothing_and_recovers(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 24 << 20) as disk:
        asyncio.run(fill_and_free(disk))


def test_a_replica_that_cannot_grow_says_so_and_goes_on_with_space(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 16 << 20) as disk:
        replica = LmdbReplica(disk / "replica", writable=True)
        replica.apply([batch(1)])
        ballast = fill(disk)
        large = WriteBatch(index=Index(2), time_ms=Millis(2), changes={"large": b"x" * (1 << 20), "k/1": b"new"})
        for _ in range(2):
            with pytest.raises(UnavailableError, match="the replica cannot be written"):
                replica.apply([large])
            reader = replica.open()
            assert (reader.index, reader.get("k/1"), reader.get("large")) == (1, batch(1).changes["k/1"], None)
            reader.close()
        ballast.unlink()
        replica.apply([large])
        assert replica.index == 2
        replica.close()


async def fill_and_free(disk: Path) -> None:
    log = FileLog(disk / "store", NodeId("n"), sizes=SIZES)
    replica = LmdbReplica(disk / "store" / "replica", writable=True)
    fence = await log.lock()
    await write_until_full(log, replica, fence)
    await check(log, replica)
    before = log.durable_index
    ballast = fill(disk)
    await write_until_full(log, replica, fence)
    await check(log, replica)
    ballast.unlink()
    log.close()
    replica.close()
    log = FileLog(disk / "store", NodeId("n"), sizes=Sizes(segment=1 << 20, reserve=1 << 20, checkpoint_after=1 << 30))
    replica = LmdbReplica(disk / "store" / "replica", writable=True)
    await catch_up(replica, log)
    assert log.durable_index == before
    fence = await log.lock()
    await log.append([batch(before + 1)], fence)
    replica.apply([batch(before + 1)])
    await check(log, replica)
    replica.close()
    log.close()
