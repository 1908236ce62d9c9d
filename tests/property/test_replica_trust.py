"""A replica in LMDB over a log on a disk that loses power: what LMDB holds then is noise, and is never read."""
import asyncio
import tempfile
from pathlib import Path
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.replicas import content

from holdfast.ids import Index, Millis, NodeId
from holdfast.replica.lmdb import LmdbReplica
from holdfast.replica.recovery import catch_up
from holdfast.storage import WriteBatch
from holdfast.storage.disk import BLOCK_BYTES
from holdfast.storage.file import FileLog, Sizes
from holdfast.testing.disk import FakeDisk
from holdfast.testing.memory import MemoryReplica
from holdfast.testing.pool import InlinePool

SIZES = Sizes(segment=8 * BLOCK_BYTES, reserve=0, checkpoint_after=16 * BLOCK_BYTES)
ENDS = st.sampled_from(["kill", "noise", "torn", "old", "gone"])


def batch(number: int, size: int) -> WriteBatch:
    changes = {f"k/{number % 9}": b"%d" % number * size, f"long/{'x' * (number % 4 * 300)}": b"%d" % number, f"k/{size}": None}
    return WriteBatch(index=Index(number), time_ms=Millis(number), changes=changes)


async def live(disk: FakeDisk, folder: Path, model: MemoryReplica, sizes: list[int], dice: Random) -> None:
    log = FileLog(Path("/node"), NodeId("n"), disk=disk, sizes=SIZES, draw=dice.randbytes, appender=InlinePool(), maker=InlinePool())
    replica = LmdbReplica(folder, writable=True, boot_id=disk.boot_id())
    try:
        await catch_up(replica, log)
        assert replica.index == log.durable_index == model.index
        assert content(replica) == model.values()
        fence = await log.lock()
        for size in sizes:
            group = [batch(log.durable_index + 1 + at, size) for at in range(1 + size % 3)]
            await log.append(group, fence)
            model.apply(group)
            if dice.random() < 0.8:                      # else it dies between the two
                replica.apply(group)
            else:
                return
            if log.needs_checkpoint:
                await log.checkpoint(replica.copy())
    finally:
        replica.close()


def scramble(data: Path, how: str, old: bytes, dice: Random) -> None:
    """What the disk may make of pages that were never synced."""
    if how == "gone":
        data.unlink(missing_ok=True)
    elif how == "old":
        data.write_bytes(old)
    elif data.exists():
        content = bytearray(data.read_bytes())
        for _ in range(5):
            at = BLOCK_BYTES * dice.randrange(max(1, len(content) // BLOCK_BYTES))
            content[at:at + BLOCK_BYTES] = dice.randbytes(BLOCK_BYTES) if how == "noise" else bytes(BLOCK_BYTES)
        data.write_bytes(content)


@settings(max_examples=40)
@given(lives=st.lists(st.tuples(st.lists(st.integers(0, 40), max_size=12), ENDS), min_size=1, max_size=5), seed=st.integers(0, 1 << 32))
def test_a_replica_is_right_or_not_read(lives: list[tuple[list[int], str]], seed: int) -> None:
    disk, model, dice = FakeDisk(seed), MemoryReplica(), Random(seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "replica"
        old = b""
        for sizes, end in [*lives, ([], "kill")]:
            asyncio.run(live(disk, folder, model, sizes, dice))
            [data] = folder.glob("*.mdb")
            before = data.read_bytes()
            if end == "kill":
                disk.kill()
            else:
                disk.lose_power()
                scramble(data, end, old, dice)
            old = before
