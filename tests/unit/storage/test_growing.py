"""A large file, written beside a log: little of it waits for the disk, and nothing is written once it is closed."""
from pathlib import Path

import pytest

from holdfast.limits import SNAPSHOT_CHUNK_BYTES, SNAPSHOT_UNSYNCED_BYTES
from holdfast.storage.disk import OsDisk, OsFile
from holdfast.storage.growing import Growing


def test_little_of_it_waits_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(OsFile, "sync", lambda file: synced.append(file.size()))
    growing = Growing(OsDisk(), tmp_path / "file")
    most = 0
    for _ in range(3 * SNAPSHOT_UNSYNCED_BYTES // 700_000):
        growing.write(bytes(700_000))
        most = max(most, growing.size - (synced[-1] if synced else 0))
    assert most < SNAPSHOT_UNSYNCED_BYTES + SNAPSHOT_CHUNK_BYTES
    growing.sync()
    growing.close()
    assert synced[-1] == growing.size == (tmp_path / "file").stat().st_size


def test_once_closed_it_takes_nothing(tmp_path: Path) -> None:
    growing = Growing(OsDisk(), tmp_path / "file")
    growing.write(b"first")
    growing.close()
    growing.close()
    with pytest.raises(OSError, match="the file is closed"):
        growing.write(b"second")
    assert (tmp_path / "file").read_bytes() == b"first"
