"""States that come in, beside the checkpoints that a node makes meanwhile."""
import os
from pathlib import Path

from holdfast.ids import Index, NodeId
from holdfast.storage import StateCopy
from holdfast.storage.checkpoint import chunks
from holdfast.storage.raft.disk import RaftDisk, Staged
from holdfast.storage.raft.form import Base
from holdfast.storage.raft.staging import Staging
from holdfast.testing.disk import FakeDisk

FOLDER = Path("/raft")


def opened(disk: FakeDisk) -> RaftDisk:
    return RaftDisk(disk, FOLDER, NodeId("n1"), draw=os.urandom, segment_bytes=65_536, reserve_bytes=4_096)


def staged(raft: RaftDisk, index: int) -> Staged:
    staging = Staging(raft)
    staging.write(b"from elsewhere", 100)
    return staging.finish(Index(index), 0)


def state_of(raft: RaftDisk) -> bytes:
    assert raft.checkpoint is not None
    return b"".join(chunks(raft.disk, raft.folder, raft.checkpoint))


def own_copy(index: int) -> StateCopy:
    return StateCopy(index=Index(index), generation=0, chunks=(part for part in [b"own"]))


def test_a_checkpoint_that_is_made_meanwhile_leaves_it_alone() -> None:
    disk = FakeDisk()
    raft = opened(disk)
    coming = staged(raft, 9)
    raft.save(own_copy(4), Base(index=4, term=1))
    raft.install(coming, Base(index=9, term=2))
    assert state_of(raft) == b"from elsewhere"
    disk.kill()
    assert state_of(opened(disk)) == b"from elsewhere"


def test_the_checkpoint_keeps_its_file_when_another_state_comes_in_after_a_restart() -> None:
    disk = FakeDisk()
    raft = opened(disk)
    raft.install(staged(raft, 9), Base(index=9, term=2))
    disk.kill()
    staging = Staging(opened(disk))
    staging.write(b"half of ano", 100)
    disk.kill()
    assert state_of(opened(disk)) == b"from elsewhere"


def test_nothing_of_those_before_it_is_left() -> None:
    disk = FakeDisk()
    raft = opened(disk)
    raft.install(staged(raft, 9), Base(index=9, term=2))
    Staging(raft)
    raft.install(staged(raft, 12), Base(index=12, term=2))
    disk.kill()
    raft = opened(disk)
    assert raft.checkpoint is not None
    assert [name for name in disk.names(FOLDER) if name.startswith(("incoming-", "state-"))] == [raft.checkpoint.file]
