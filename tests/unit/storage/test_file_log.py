"""The file log: torn tails, damage, full disks, failed flushes, segments used again, checkpoints, one process a folder."""
import asyncio
import errno
from collections.abc import Coroutine
from inspect import GEN_CLOSED, getgeneratorstate
from pathlib import Path
from random import Random

import pytest

from holdfast.errors import IntegrityError, InvariantError, UnavailableError
from holdfast.ids import Index, Millis, NodeId
from holdfast.replica.recovery import catch_up
from holdfast.storage import Full, Snapshot, StateCopy, Uncertain, WriteBatch
from holdfast.storage.disk import BLOCK_BYTES
from holdfast.storage.file import FileLog, Sizes
from holdfast.testing.disk import FakeDisk, Stopped
from holdfast.testing.memory import MemoryReplica
from holdfast.testing.pool import InlinePool

FOLDER = Path("/store")
LOG = FOLDER / "log"
SEGMENT_BLOCKS = 8
SALTS = Random(1)


def open_log(disk: FakeDisk, *, reserve: int = 0, checkpoint_after: int = 1 << 30) -> FileLog:
    return FileLog(FOLDER, NodeId("n"), disk=disk, draw=SALTS.randbytes, appender=InlinePool(), maker=InlinePool(),
                   sizes=Sizes(segment=SEGMENT_BLOCKS * BLOCK_BYTES, reserve=reserve, checkpoint_after=checkpoint_after))


def batch(number: int, size: int = 10) -> WriteBatch:
    return WriteBatch(index=Index(number), time_ms=Millis(number), changes={f"k/{number % 10}": b"v" * size})


async def append(log: FileLog, first: int, count: int, size: int = 10) -> None:
    fence = await log.lock()
    for number in range(first, first + count):
        await log.append([batch(number, size)], fence)
    await log.unlock(fence, None)


async def read(log: FileLog, after: int = 0) -> list[WriteBatch | Snapshot]:
    found: list[WriteBatch | Snapshot] = []
    if after < log.durable_index:
        async for item in log.follow(Index(after)):
            found.append(item)
            if item.index == log.durable_index:
                break
    return found


def do(call: Coroutine[None, None, object]) -> None:
    asyncio.run(call)


def place_of(number: int) -> tuple[Path, int]:
    """Where batch `number`, appended alone, stands: each takes a block, and each segment one for its head."""
    sequence, at = divmod(number - 1, SEGMENT_BLOCKS - 1)
    return LOG / f"{sequence + 1:016x}.log", (1 + at) * BLOCK_BYTES


def overwrite(disk: FakeDisk, path: Path, offset: int, data: bytes) -> None:
    file = disk.open(path)
    file.write_at(data, offset)
    file.sync()


def test_all_is_there_after_a_restart() -> None:
    disk = FakeDisk()
    log = open_log(disk)
    do(append(log, 1, 30))
    log.close()
    log = open_log(disk)
    assert log.durable_index == 30
    assert asyncio.run(read(log)) == [batch(number) for number in range(1, 31)]
    do(append(log, 31, 3))
    assert asyncio.run(read(log, 29)) == [batch(number) for number in range(30, 34)]


def test_terms_grow_over_restarts() -> None:
    disk = FakeDisk()
    terms = []
    for first in (1, 2, 3):
        log = open_log(disk)
        fence = asyncio.run(log.lock())
        do(log.append([batch(first)], fence))
        terms.append(fence.term)
        log.close()
    assert terms == [1, 2, 3]


def test_a_torn_tail_is_cut_and_written_over() -> None:
    disk = FakeDisk()
    log = open_log(disk)
    do(append(log, 1, 3))
    log.close()
    path, offset = place_of(3)
    overwrite(disk, path, offset + 40, b"torn")
    log = open_log(disk)
    assert log.durable_index == 2
    do(append(log, 3, 2, size=20))
    log.close()
    log = open_log(disk)
    assert asyncio.run(read(log)) == [batch(1), batch(2), batch(3, 20), batch(4, 20)]


@pytest.mark.parametrize("number", [1, 5, 7, 8, 14, 15, 18])
def test_damage_before_the_last_record_is_never_taken_for_a_torn_tail(number: int) -> None:
    disk = FakeDisk()
    log = open_log(disk)
    do(append(log, 1, 19))
    log.close()
    overwrite(disk, *place_of(number), b"\0" * 100)
    with pytest.raises(IntegrityError):
        asyncio.run(read(open_log(disk)))


@pytest.mark.parametrize("sequence", [1, 2, 3])
def test_a_damaged_head_is_noticed(sequence: int) -> None:
    disk = FakeDisk()
    log = open_log(disk)
    do(append(log, 1, 19))
    log.close()
    overwrite(disk, LOG / f"{sequence:016x}.log", 3, b"\1")
    with pytest.raises(IntegrityError):
        open_log(disk)


def test_a_missing_segment_is_noticed() -> None:
    for sequence in (1, 2):
        disk = FakeDisk()
        log = open_log(disk)
        do(append(log, 1, 19))
        log.close()
        disk.remove(LOG / f"{sequence:016x}.log")
        with pytest.raises(IntegrityError, match="files are missing"):
            open_log(disk)


def test_a_lost_log_behind_a_checkpoint_is_noticed() -> None:
    disk, replica = FakeDisk(), MemoryReplica()
    log = open_log(disk)
    do(append(log, 1, 9))
    replica.apply([batch(number) for number in range(1, 10)])
    do(log.checkpoint(replica.copy()))
    log.close()
    for name in disk.names(LOG):
        disk.remove(LOG / name)
    with pytest.raises(IntegrityError, match="files are missing"):
        open_log(disk)


def test_a_full_disk_refuses_before_anything_is_written_and_recovers() -> None:
    disk = FakeDisk()
    log = open_log(disk, reserve=1_000_000)

    async def test() -> None:
        fence = await log.lock()
        await log.append([batch(1), batch(2)], fence)
        disk.free = 999_999
        with pytest.raises(Full, match="no space left"):
            await log.append([batch(3)], fence)
        assert not await log.fate(Index(3))
        assert await read(log) == [batch(1), batch(2)], "reads go on"
        disk.free = 1_000_000
        await log.append([batch(3)], fence)
        assert len(await read(log)) == 3
    do(test())


def test_space_that_runs_out_within_a_write_is_a_settled_refusal() -> None:
    disk = FakeDisk()
    log = open_log(disk)

    async def test() -> None:
        fence = await log.lock()
        await log.append([batch(1)], fence)
        disk.fail_writes = [errno.ENOSPC]
        with pytest.raises(Full):
            await log.append([batch(2, 9_000)], fence)
        assert not await log.fate(Index(2))
        await log.append([batch(2, 20)], fence)
    do(test())
    log.close()
    disk.lose_power()
    assert asyncio.run(read(open_log(disk))) == [batch(1), batch(2, 20)]


def test_space_that_runs_out_for_the_next_segment_is_a_refusal() -> None:
    disk = FakeDisk()
    log = open_log(disk)

    async def test() -> None:
        fence = await log.lock()
        await log.append([batch(1, 6 * BLOCK_BYTES)], fence)
        await log.append([batch(2, 6 * BLOCK_BYTES)], fence)
        disk.remove(LOG / f"{3:016x}.log")
        log._journal._prepared = None
        disk.fail_writes = [errno.ENOSPC]
        with pytest.raises(Full, match="next segment"):
            await log.append([batch(3, 6 * BLOCK_BYTES)], fence)
        assert not await log.fate(Index(3))
        await log.append([batch(3)], fence)
    do(test())


@pytest.mark.parametrize("first", [1, 2], ids=["first of its segment", "later"])
def test_a_failed_flush_is_uncertain_until_settled_and_never_comes_back(first: int) -> None:
    for seed in range(20):
        disk = FakeDisk(seed)
        log = open_log(disk)

        async def test(log: FileLog = log, disk: FakeDisk = disk) -> None:
            fence = await log.lock()
            for number in range(1, first):
                await log.append([batch(number)], fence)
            disk.fail_syncs = [errno.EIO]
            with pytest.raises(Uncertain):
                await log.append([batch(first, 99)], fence)
            with pytest.raises(Uncertain, match="not settled"):
                await log.append([batch(first, 98)], fence)
            assert not await log.fate(Index(first))
            await log.append([batch(first)], fence)
        do(test())
        disk.lose_power()
        assert asyncio.run(read(open_log(disk))) == [batch(number) for number in range(1, first + 1)]


def test_a_fate_that_cannot_be_settled_says_so() -> None:
    disk = FakeDisk()
    log = open_log(disk)

    async def test() -> None:
        fence = await log.lock()
        await log.append([batch(1)], fence)
        disk.fail_syncs = [errno.EIO, errno.EIO]
        with pytest.raises(Uncertain):
            await log.append([batch(2)], fence)
        with pytest.raises(Uncertain):
            await log.fate(Index(2))
        assert not await log.fate(Index(2)), "a later try may succeed"
        await log.append([batch(2)], fence)
    do(test())


def test_a_group_larger_than_a_segment_fits() -> None:
    disk = FakeDisk()
    log = open_log(disk)
    do(append(log, 1, 2, size=5 * SEGMENT_BLOCKS * BLOCK_BYTES))
    do(append(log, 3, 1))
    log.close()
    disk.lose_power()
    found = asyncio.run(read(open_log(disk)))
    assert [item.index for item in found] == [1, 2, 3]


def test_a_checkpoint_lets_the_log_before_it_go_and_its_files_are_used_again() -> None:
    disk, replica = FakeDisk(), MemoryReplica()
    log = open_log(disk, checkpoint_after=10 * BLOCK_BYTES)
    assert not log.needs_checkpoint
    do(append(log, 1, 40))
    assert log.needs_checkpoint
    replica.apply([batch(number) for number in range(1, 41)])
    do(log.checkpoint(replica.copy()))
    assert not log.needs_checkpoint
    names = disk.names(LOG)
    assert [name for name in names if name.endswith(".log") and not name.startswith("spare")] == [f"{6:016x}.log", f"{7:016x}.log"]
    assert len([name for name in names if name.startswith("spare")]) == 2
    do(append(log, 41, 30))
    log.close()
    disk.lose_power()
    log = open_log(disk)
    fresh = MemoryReplica()
    do(catch_up(fresh, log))
    replica.apply([batch(number) for number in range(41, 71)])
    assert fresh.index == 70
    assert fresh.values() == replica.values()


def test_a_follower_before_the_checkpoint_gets_the_snapshot_first() -> None:
    disk, replica = FakeDisk(), MemoryReplica()
    log = open_log(disk)
    do(append(log, 1, 40))
    replica.apply([batch(number) for number in range(1, 31)])
    do(log.checkpoint(replica.copy()))
    for after in (0, 5):
        found = asyncio.run(read(log, after))
        assert isinstance(found[0], Snapshot)
        assert [item.index for item in found] == list(range(30, 41))
    assert asyncio.run(read(log, 33)) == [batch(number) for number in range(34, 41)]


def test_the_same_checkpoint_twice_is_one() -> None:
    disk, replica = FakeDisk(), MemoryReplica()
    log = open_log(disk)
    do(append(log, 1, 3))
    replica.apply([batch(number) for number in range(1, 4)])
    do(log.checkpoint(replica.copy()))
    do(log.checkpoint(replica.copy()))
    log.close()
    disk.lose_power()
    fresh = MemoryReplica()
    do(catch_up(fresh, open_log(disk)))
    assert fresh.values() == replica.values()


def test_a_checkpoint_of_nothing_is_a_defect() -> None:
    with pytest.raises(InvariantError):
        do(open_log(FakeDisk()).checkpoint(MemoryReplica().copy()))


def test_a_checkpoint_that_fails_leaves_the_old_one_and_the_log() -> None:
    disk, replica = FakeDisk(), MemoryReplica()
    log = open_log(disk)
    do(append(log, 1, 20))
    replica.apply([batch(number) for number in range(1, 11)])
    do(log.checkpoint(replica.copy()))
    replica.apply([batch(number) for number in range(11, 21)])
    disk.fail_writes, copy = [errno.ENOSPC], replica.copy()
    with pytest.raises(OSError, match="the write failed"):
        do(log.checkpoint(copy))
    assert getgeneratorstate(copy.chunks) == GEN_CLOSED, "nothing holds pages of the replica"
    assert len([name for name in disk.names(FOLDER) if name.startswith("state-")]) == 1

    def broken() -> StateCopy:
        whole = replica.copy()

        def chunks() -> object:
            yield next(whole.chunks)
            raise UnavailableError("the replica cannot be copied")
        return StateCopy(index=whole.index, generation=0, chunks=chunks())  # type: ignore[arg-type]
    with pytest.raises(UnavailableError):
        do(log.checkpoint(broken()))
    log.close()
    fresh = MemoryReplica()
    do(catch_up(fresh, open_log(disk)))
    assert fresh.index == 20


def test_a_damaged_checkpoint_is_refused() -> None:
    for name in ("checkpoint", "state-00000000-000000000000000a"):
        disk, replica = FakeDisk(), MemoryReplica()
        log = open_log(disk)
        do(append(log, 1, 20))
        replica.apply([batch(number) for number in range(1, 11)])
        do(log.checkpoint(replica.copy()))
        log.close()
        file = disk.open(FOLDER / name)
        last = file.size() - 1
        file.write_at(bytes([file.read_at(1, last)[0] ^ 1]), last)
        with pytest.raises(IntegrityError):
            do(catch_up(MemoryReplica(), open_log(disk)))


def test_a_replica_ahead_of_its_log_is_built_anew() -> None:
    disk, other = FakeDisk(), MemoryReplica()
    log = open_log(disk)
    do(append(log, 1, 3))
    other.write({"of another log": b"x"})
    for _ in range(5):
        other.write({"y": b"x"})
    do(catch_up(other, log))
    assert other.index == 3
    assert "of another log" not in other.values()


def test_a_folder_belongs_to_one_process() -> None:
    disk = FakeDisk()
    log = open_log(disk)
    with pytest.raises(UnavailableError, match="in use by another process"):
        open_log(disk)
    log.close()
    open_log(disk).close()


def test_a_process_that_stops_while_it_recovers_recovers_the_next_time() -> None:
    for steps in range(12):
        disk = FakeDisk(steps)
        log = open_log(disk)
        do(append(log, 1, 10))
        disk.kill()
        disk.steps_left = steps
        try:
            open_log(disk)
        except Stopped:
            disk.lose_power()
        else:
            disk.kill()
        assert open_log(disk).durable_index == 10
