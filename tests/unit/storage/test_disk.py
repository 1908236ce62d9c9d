"""The real disk and the fake one do the same; the fake one also loses what it may."""
import errno
from pathlib import Path

import pytest

from holdfast.errors import UnavailableError
from holdfast.storage.disk import BLOCK_BYTES, Disk, OsDisk, boot_id
from holdfast.testing.disk import FakeDisk


@pytest.fixture(params=["real", "fake"])
def disk(request: pytest.FixtureRequest) -> Disk:
    return OsDisk() if request.param == "real" else FakeDisk()


@pytest.fixture
def folder(disk: Disk, tmp_path: Path) -> Path:
    disk.make_folder(tmp_path / "a" / "b")
    return tmp_path / "a" / "b"


def test_what_was_written_is_read(disk: Disk, folder: Path) -> None:
    file = disk.open(folder / "f", create=True)
    file.write_at(b"hello", 0)
    file.write_at(b"HE", 10)
    file.sync()
    assert file.size() == 12
    assert file.read_at(100, 0) == b"hello\0\0\0\0\0HE"
    assert file.read_at(3, 1) == b"ell"
    assert file.read_at(5, 50) == b""
    file.close()
    again = disk.open(folder / "f")
    assert again.read_at(5, 0) == b"hello"
    again.close()
    with pytest.raises(OSError, match=r"closed|Bad file"):
        again.read_at(1, 0)


def test_names(disk: Disk, folder: Path) -> None:
    for name in ("b", "a"):
        disk.open(folder / name, create=True).close()
    assert disk.names(folder) == ["a", "b"]
    with pytest.raises(FileExistsError):
        disk.open(folder / "a", create=True)
    disk.rename(folder / "a", folder / "b")
    assert disk.names(folder) == ["b"]
    assert not disk.exists(folder / "a")
    disk.remove(folder / "b")
    disk.sync_folder(folder)
    for missing in (lambda: disk.remove(folder / "b"), lambda: disk.open(folder / "b"), lambda: disk.rename(folder / "b", folder / "c")):
        with pytest.raises(FileNotFoundError):
            missing()
    disk.make_folder(folder)
    assert disk.names(folder) == []


def test_an_open_file_outlives_its_name(disk: Disk, folder: Path) -> None:
    file = disk.open(folder / "f", create=True)
    file.write_at(b"x", 0)
    disk.remove(folder / "f")
    assert file.read_at(1, 0) == b"x"
    file.close()


def test_a_lock_has_one_holder(disk: Disk, folder: Path) -> None:
    held = disk.lock(folder / "lock")
    with pytest.raises(UnavailableError, match="in use by another process"):
        disk.lock(folder / "lock")
    held.close()
    disk.lock(folder / "lock").close()


def test_free_space_is_known(disk: Disk, folder: Path) -> None:
    assert disk.free_bytes(folder) > 0


def test_this_boot_has_one_name() -> None:
    assert boot_id() == boot_id()
    assert len(boot_id()) >= 16


def outcomes(seed_count: int, sync: bool) -> set[bytes]:
    found = set()
    for seed in range(seed_count):
        disk, folder = FakeDisk(seed), Path("/f")
        disk.make_folder(folder)
        file = disk.open(folder / "f", create=True)
        file.write_at(b"a" * (2 * BLOCK_BYTES), 0)
        file.sync()
        disk.sync_folder(folder)
        file.write_at(b"b" * (2 * BLOCK_BYTES), 0)
        if sync:
            file.sync()
        disk.lose_power()
        content = disk.open(folder / "f").read_at(2 * BLOCK_BYTES, 0)
        found.add(bytes([content[0], content[-1]]) if len(set(content[:BLOCK_BYTES])) == 1 else b"torn")
    return found


def test_power_loss_keeps_what_was_synced_and_any_part_of_the_rest() -> None:
    assert outcomes(20, sync=True) == {b"bb"}
    assert outcomes(200, sync=False) >= {b"aa", b"ab", b"ba", b"bb", b"torn"}


def test_power_loss_may_take_names_that_were_not_synced() -> None:
    names = set()
    for seed in range(40):
        disk, folder = FakeDisk(seed), Path("/f")
        disk.make_folder(folder)
        disk.open(folder / "old", create=True).close()
        disk.sync_folder(folder)
        disk.rename(folder / "old", folder / "moved")
        disk.open(folder / "new", create=True).close()
        before = disk.boot_id()
        disk.lose_power()
        assert disk.boot_id() != before
        names.add(tuple(disk.names(folder)))
    assert names == {("old",), ("moved",), ("new", "old"), ("moved", "new")}


def test_a_failed_sync_is_not_made_good_by_the_next() -> None:
    kept = set()
    for seed in range(40):
        disk, folder = FakeDisk(seed), Path("/f")
        disk.make_folder(folder)
        file = disk.open(folder / "f", create=True)
        file.write_at(b"a", 0)
        file.sync()
        disk.sync_folder(folder)
        file.write_at(b"b", 0)
        disk.fail_syncs = [errno.EIO]
        with pytest.raises(OSError, match="sync failed"):
            file.sync()
        file.sync()
        assert file.read_at(1, 0) == b"b", "the kernel still shows it"
        disk.lose_power()
        kept.add(disk.open(folder / "f").read_at(1, 0))
    assert kept == {b"a", b"b"}


def test_the_death_of_the_process_keeps_what_was_written() -> None:
    disk, folder = FakeDisk(), Path("/f")
    disk.make_folder(folder)
    file = disk.open(folder / "f", create=True)
    disk.lock(folder / "lock")
    file.write_at(b"a", 0)
    disk.kill()
    with pytest.raises(OSError, match="dead"):
        file.read_at(1, 0)
    assert disk.open(folder / "f").read_at(1, 0) == b"a"
    disk.lock(folder / "lock").close()
