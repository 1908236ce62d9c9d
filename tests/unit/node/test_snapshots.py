"""A snapshot on its way out: what it takes of the disk is given back, whatever becomes of it."""
import asyncio
import os
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from holdfast.crypto import Secret
from holdfast.ids import Index
from holdfast.node.snapshots import Snapshots
from holdfast.storage import StateCopy
from holdfast.telemetry.setup import LogOptions, open_logs

STATE = b"state" * 100_000


class FakeSeal:
    def wrap(self, secret: Secret, **_: object) -> bytes:
        return b"sealed"


class FakeReplica:
    def copy(self) -> StateCopy:
        def chunks() -> Generator[bytes, None, None]:
            yield STATE

        return StateCopy(index=Index(3), generation=0, chunks=chunks())


@pytest.fixture
def snapshots(tmp_path: Path) -> Snapshots:
    log: Any = SimpleNamespace(status=SimpleNamespace(members=(), applied=3, term=1))
    main: Any = SimpleNamespace(facts=SimpleNamespace(cluster_id="c"))
    clock: Any = SimpleNamespace(wall_ms=lambda: 0)
    seal: Any = FakeSeal()
    replica: Any = FakeReplica()
    put_back: Any = None
    return Snapshots(main, log, replica, tmp_path, tmp_path / "uploads", lambda: seal, put_back, clock, bytes,
                     open_logs(LogOptions()).logger("raft"))


def test_a_stream_that_nobody_reads_leaves_nothing_on_the_disk(snapshots: Snapshots, tmp_path: Path) -> None:
    """Its client had gone before it began: a generator that never ran has no end to clean up in."""

    async def check() -> None:
        stream = await snapshots.save()
        assert os.listdir(tmp_path) == []
        assert isinstance(stream.chunks, AsyncGenerator)
        await stream.chunks.aclose()

    asyncio.run(check())


def test_a_stream_that_is_read_is_whole_and_leaves_nothing(snapshots: Snapshots, tmp_path: Path) -> None:
    async def check() -> None:
        stream = await snapshots.save()
        archive = b"".join([piece async for piece in stream.chunks])
        assert archive[:2] == b"\x1f\x8b"
        assert os.listdir(tmp_path) == []

    asyncio.run(check())
