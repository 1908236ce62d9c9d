"""Whatever the disk loses, what was acknowledged is there, whole and in order, and everything else is whole or absent. Invariant 4."""
import asyncio
import contextlib
import errno
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.errors import IntegrityError
from holdfast.ids import Index, Millis, NodeId
from holdfast.replica.recovery import catch_up
from holdfast.storage import Snapshot, Uncertain, WriteBatch
from holdfast.storage.disk import BLOCK_BYTES
from holdfast.storage.file import FileLog, Sizes
from holdfast.testing.disk import FakeDisk, Stopped
from holdfast.testing.memory import MemoryReplica
from holdfast.testing.pool import InlinePool

FOLDER = Path("/node")
SIZES = Sizes(segment=8 * BLOCK_BYTES, reserve=0, checkpoint_after=20 * BLOCK_BYTES)
ACTIONS: st.SearchStrategy[tuple[str, list[int]]] = st.one_of(
    st.tuples(st.just("append"), st.lists(st.integers(0, 3 * BLOCK_BYTES), min_size=1, max_size=4)),
    st.tuples(st.just("fail_write"), st.sampled_from([[errno.EIO], [errno.ENOSPC]])),
    st.tuples(st.just("fail_sync"), st.sampled_from([[errno.EIO], [0, errno.EIO], [errno.EIO, errno.EIO], [errno.ENOSPC]])),
    st.tuples(st.just("checkpoint"), st.just([])),
)
LIVES = st.lists(st.tuples(st.lists(ACTIONS, max_size=12), st.sampled_from(["close", "kill", "power"]), st.integers(0, 60)), min_size=1,
                 max_size=6)


@dataclass
class Machine:
    """What a test knows: batches that were acknowledged, and those whose fate it was not told before all stopped."""

    disk: FakeDisk
    acknowledged: list[WriteBatch] = field(default_factory=list)
    unknown: list[WriteBatch] = field(default_factory=list)
    replica: MemoryReplica = field(default_factory=MemoryReplica)
    boots: int = 0
    dice: Random = field(default_factory=lambda: Random(0))              # salts never repeat

    def group(self, sizes: list[int]) -> list[WriteBatch]:
        first = len(self.acknowledged) + 1
        return [WriteBatch(index=Index(first + at), time_ms=Millis(first), changes={f"k/{(first + at) % 7}": bytes([first % 256]) * size,
                                                                                    f"k/{at}": None})
                for at, size in enumerate(sizes)]


def expected(batches: list[WriteBatch]) -> dict[str, bytes]:
    values: dict[str, bytes | None] = {}
    for batch in batches:
        values.update(batch.changes)
    return {key: value for key, value in values.items() if value is not None}


async def recover(machine: Machine) -> FileLog:
    """A new process: the log, what it says was durable, and a replica that is trusted within one boot alone."""
    log = FileLog(FOLDER, NodeId("n"), disk=machine.disk, sizes=SIZES, draw=machine.dice.randbytes,
                  appender=InlinePool(), maker=InlinePool())
    if machine.boots != machine.disk.boots:
        machine.replica, machine.boots = MemoryReplica(), machine.disk.boots
    known = len(machine.acknowledged)
    assert known <= log.durable_index <= known + len(machine.unknown)
    assert log.durable_index in (known, known + len(machine.unknown)), "a group is durable as one"
    machine.acknowledged += machine.unknown[:log.durable_index - known]
    machine.unknown = []
    await check_log(machine, log)
    await catch_up(machine.replica, log)
    assert machine.replica.index == len(machine.acknowledged)
    assert machine.replica.values() == expected(machine.acknowledged)
    return log


async def check_log(machine: Machine, log: FileLog) -> None:
    """All that can still be read is what was appended, without gaps."""
    at = 0
    if log.durable_index:
        async for item in log.follow(Index(0)):
            assert item.index == at + 1 or isinstance(item, Snapshot)
            at = item.index
            if isinstance(item, WriteBatch):
                assert item == machine.acknowledged[at - 1]
            else:
                assert b"".join([chunk async for chunk in item.chunks])
            if at == log.durable_index:
                break


async def live(machine: Machine, actions: list[tuple[str, list[int]]], steps: int | None) -> None:
    machine.disk.steps_left = steps
    log = await recover(machine)
    fence = await log.lock()
    for action, numbers in actions:
        if action == "append":
            machine.unknown = group = machine.group(numbers)
            try:
                await log.append(group, fence)
            except Uncertain:
                if not await settled(log, group[-1].index):
                    return                               # the node stops: its disk takes nothing
                machine.unknown = []
                continue
            machine.acknowledged += group
            machine.unknown = []
            machine.replica.apply(group)
        elif action == "checkpoint":
            if machine.replica.index:
                await checkpoint(machine, log)
        elif action == "fail_write":
            machine.disk.fail_writes = list(numbers)
        else:
            machine.disk.fail_syncs = list(numbers)
    machine.disk.steps_left = None
    log.close()


async def checkpoint(machine: Machine, log: FileLog) -> None:
    with contextlib.suppress(OSError):                   # the old one stays, and the log goes on
        await log.checkpoint(machine.replica.copy())


async def settled(log: FileLog, index: Index) -> bool:
    try:
        assert not await log.fate(index)
    except Uncertain:
        return False
    return True


@settings(max_examples=150)
@given(lives=LIVES, seed=st.integers(0, 1 << 32))
def test_nothing_acknowledged_is_lost(lives: list[tuple[list[tuple[str, list[int]]], str, int]], seed: int) -> None:
    machine = Machine(FakeDisk(seed))
    for actions, end, steps in lives:
        try:
            asyncio.run(live(machine, actions, None if end == "close" else steps))
        except (Stopped, OSError):
            assert end != "close" or machine.disk.boots    # an error of the disk while it recovers ends the process, as a stop does
        machine.disk.fail_writes, machine.disk.fail_syncs = [], []
        if end == "power":
            machine.disk.lose_power()
        else:
            machine.disk.kill()
    log = asyncio.run(recover(machine))
    log.close()


@settings(max_examples=60)
@given(sizes=st.lists(st.integers(0, 2 * BLOCK_BYTES), min_size=4, max_size=12), seed=st.integers(0, 1 << 32), data=st.data())
def test_damage_is_never_served(sizes: list[int], seed: int, data: st.DataObject) -> None:
    """Bytes that change on the disk by themselves: the log refuses, or the damage was beyond what was acknowledged."""
    machine = Machine(FakeDisk(seed))
    asyncio.run(live(machine, [("append", [size]) for size in sizes], None))
    names = [name for name in machine.disk.names(FOLDER / "log") if name.endswith(".log")]
    path = FOLDER / "log" / data.draw(st.sampled_from(names))
    file = machine.disk.open(path)
    offset = data.draw(st.integers(0, file.size() - 1))
    file.write_at(bytes([file.read_at(1, offset)[0] ^ (1 + data.draw(st.integers(0, 254)))]), offset)
    before = list(machine.acknowledged)
    machine.acknowledged, machine.unknown = [], before
    machine.disk.lose_power()
    try:
        log = FileLog(FOLDER, NodeId("n"), disk=machine.disk, sizes=SIZES, appender=InlinePool(), maker=InlinePool())
        machine.acknowledged = before[:log.durable_index]
        # Of the last record alone nobody can tell damage from a torn tail.
        assert log.durable_index >= len(before) - 1
        asyncio.run(check_log(machine, log))
    except IntegrityError:
        return
