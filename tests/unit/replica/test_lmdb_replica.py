"""The LMDB replica: whole batches, trust in this boot alone, keys of any length, the window, copies, processes."""
import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.replicas import content

from holdfast.errors import InvariantError, UnavailableError
from holdfast.ids import Index, Millis
from holdfast.limits import KEY_BYTES_MAX, WINDOW_BATCHES, WINDOW_ROW_BATCHES
from holdfast.replica import window, with_folders
from holdfast.replica.lmdb import LmdbReplica
from holdfast.replica.lmdb_file import State
from holdfast.storage import Changes, Snapshot, StateCopy, WriteBatch


def batch(number: int, changes: Changes) -> WriteBatch:
    return WriteBatch(index=Index(number), time_ms=Millis(number * 10), changes=changes)


def write(replica: LmdbReplica, changes: Changes) -> None:
    replica.apply([batch(replica.index + 1, changes)])


def files(replica: LmdbReplica) -> list[str]:
    return sorted(path.name for path in replica.file.parent.glob("*.mdb"))


def snapshot(copy: StateCopy, *, index: int | None = None) -> Snapshot:
    async def chunks() -> AsyncIterator[bytes]:
        for chunk in copy.chunks:
            yield chunk
    return Snapshot(index=Index(copy.index if index is None else index), generation=copy.generation + 1, chunks=chunks())


@pytest.fixture
def replica(tmp_path: Path) -> LmdbReplica:
    return LmdbReplica(tmp_path / "replica", writable=True)


def test_a_new_one_stands_at_zero(replica: LmdbReplica) -> None:
    assert replica.state == State(Index(0), Millis(0), 0)
    assert content(replica) == {}
    assert replica.open().changed_since(Index(0)) == frozenset()


def test_a_group_is_applied_in_order_as_one(replica: LmdbReplica) -> None:
    replica.apply([batch(1, {"a": b"1", "b": b"1"}), batch(2, {"a": None, "c": b"2"}), batch(3, {"b": b"3", "a": b"3"})])
    assert content(replica) == {"a": b"3", "b": b"3", "c": b"2"}
    assert replica.state == State(Index(3), Millis(30), 0)
    replica.apply([])
    assert replica.index == 3


@pytest.mark.parametrize("numbers", [(2,), (0,), (1, 3), (1, 1)])
def test_a_number_left_out_or_twice_applies_nothing(replica: LmdbReplica, numbers: tuple[int, ...]) -> None:
    with pytest.raises(InvariantError):
        replica.apply([batch(number, {"a": b"1"}) for number in numbers])
    assert replica.index == 0
    assert content(replica) == {}


def test_a_reader_keeps_its_state(replica: LmdbReplica) -> None:
    write(replica, {"a": b"1"})
    before = replica.open()
    write(replica, {"a": b"2", "b": b"2"})
    after = replica.open()
    assert (before.index, before.get("a"), before.get("b"), list(before.keys(""))) == (1, b"1", None, ["a"])
    assert (after.index, after.get("a"), list(after.keys(""))) == (2, b"2", ["a", "b"])
    before.close()
    before.close()
    after.close()


def test_a_process_that_was_killed_is_trusted_another_boot_is_not(tmp_path: Path) -> None:
    path = tmp_path / "replica"
    replica = LmdbReplica(path, writable=True, boot_id="one")
    write(replica, {"a": b"1"})
    replica.close()
    again = LmdbReplica(path, writable=True, boot_id="one")
    assert content(again) == {"a": b"1"}
    again.close()
    again.file.write_bytes(os.urandom(40_000))
    other = LmdbReplica(path, writable=True, boot_id="two")
    assert other.state == State(Index(0), Millis(0), 0)
    assert content(other) == {}
    other.close()


def test_a_copied_folder_is_not_trusted(tmp_path: Path) -> None:
    path = tmp_path / "replica"
    replica = LmdbReplica(path, writable=True)
    write(replica, {"a": b"1"})
    replica.close()
    data = replica.file.read_bytes()
    path.rename(tmp_path / "moved")
    path.mkdir()
    replica.file.write_bytes(data)
    (path / "written-in").write_text((tmp_path / "moved" / "written-in").read_text())
    copy = LmdbReplica(path, writable=True)
    assert copy.index == 0
    copy.close()


def test_without_its_stamp_it_is_not_trusted(tmp_path: Path) -> None:
    path = tmp_path / "replica"
    replica = LmdbReplica(path, writable=True)
    write(replica, {"a": b"1"})
    replica.close()
    (path / "written-in").unlink()
    again = LmdbReplica(path, writable=True)
    assert again.index == 0
    again.close()


def test_readers_do_not_make_one(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError):
        LmdbReplica(tmp_path / "replica")


CHILD = """
import sys
from holdfast.replica.lmdb import LmdbReplica
replica = LmdbReplica(sys.argv[1])
for line in sys.stdin:
    reader = replica.open()
    print(reader.index, reader.get("a"), sorted(reader.changed_since(max(0, reader.index - 1))), flush=True)
    if line != "hold\\n":
        reader.close()
"""


def test_other_processes_read_what_was_applied(replica: LmdbReplica, tmp_path: Path) -> None:
    write(replica, {"a": b"1"})
    worker = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path / "replica")], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              text=True, bufsize=1)
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdin.write("\n")
    assert worker.stdout.readline() == "1 b'1' ['a']\n"
    write(replica, {"a": b"2", "f/b": b"2"})
    worker.stdin.write("hold\n")
    assert worker.stdout.readline() == "2 b'2' ['a', 'f/', 'f/b']\n"
    for number in range(5):
        write(replica, {"c": b"%d" % number})
    assert replica.held_back() == 5
    worker.kill()
    worker.communicate()
    assert replica.reader_check() >= 1
    assert replica.held_back() == 0


def test_a_forked_child_cannot_use_it(replica: LmdbReplica) -> None:
    write(replica, {"a": b"1"})
    pid = os.fork()
    if pid == 0:
        try:
            replica.open()
        except InvariantError:
            os._exit(7)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    assert content(replica) == {"a": b"1"}


def test_the_window_names_what_changed(replica: LmdbReplica) -> None:
    for number in range(1, 6):
        write(replica, {f"m/{number}/x": b"1", "top": None})
    reader = replica.open()
    assert reader.changed_since(Index(5)) == frozenset()
    assert reader.changed_since(Index(9)) == frozenset(), "a state that is older than its caches changes nothing"
    assert reader.changed_since(Index(3)) == {"m/", "m/4/", "m/4/x", "m/5/", "m/5/x", "top"}
    assert reader.changed_since(Index(0)) == with_folders([*(f"m/{number}/x" for number in range(1, 6)), "top"])


def test_the_window_is_bounded_in_batches(replica: LmdbReplica) -> None:
    count = WINDOW_BATCHES + 50
    for start in range(1, count + 1, 512):
        replica.apply([batch(number, {f"k{number}": b""}) for number in range(start, min(start + 512, count + 1))])
    reader = replica.open()
    assert reader.changed_since(Index(count - WINDOW_BATCHES - 1)) is None
    changed = reader.changed_since(Index(count - WINDOW_BATCHES + WINDOW_ROW_BATCHES))
    assert changed is not None
    assert changed >= {f"k{number}" for number in range(51 + WINDOW_ROW_BATCHES, count + 1)}
    assert len(changed) <= WINDOW_BATCHES


def test_batches_applied_together_share_rows_of_the_window(replica: LmdbReplica) -> None:
    rows = (range(1, WINDOW_ROW_BATCHES + 1), range(WINDOW_ROW_BATCHES + 1, WINDOW_ROW_BATCHES + 4))
    replica.apply([batch(number, {f"k{number}": b""}) for row in rows for number in row])
    names = [{f"k{number}" for number in row} for row in rows]
    reader = replica.open()
    for since in (0, 1, WINDOW_ROW_BATCHES - 1):
        assert reader.changed_since(Index(since)) == names[0] | names[1]
    for since in (WINDOW_ROW_BATCHES, WINDOW_ROW_BATCHES + 2):
        assert reader.changed_since(Index(since)) == names[1]
    assert reader.changed_since(Index(WINDOW_ROW_BATCHES + 3)) == frozenset()


def test_the_window_is_bounded_in_bytes(replica: LmdbReplica, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window, "WINDOW_BYTES_MAX", 200_000)
    for _ in range(12):
        # Random names do not deflate: each batch takes some 20 KiB of the window.
        write(replica, {os.urandom(200).hex(): b"" for _ in range(100)})
    reader = replica.open()
    assert reader.changed_since(Index(0)) is None
    few = reader.changed_since(Index(9))
    assert few is not None
    assert len(few) == 300


def test_a_batch_larger_than_the_window_leaves_none(replica: LmdbReplica, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window, "WINDOW_BYTES_MAX", 200_000)
    write(replica, {"a": b""})
    write(replica, {os.urandom(1_000).hex(): b"" for _ in range(300)})
    assert replica.open().changed_since(Index(1)) is None
    write(replica, {"a": b""})
    assert replica.open().changed_since(Index(2)) == {"a"}
    assert replica.open().changed_since(Index(1)) is None


def test_many_similar_names_are_kept_small(replica: LmdbReplica) -> None:
    write(replica, {f"mount/4f6f63c4-8d5c-41c8-9a5b-6d4f7a4f9c11/metadata/team/app/{number}": b"" for number in range(1_000)})
    changed = replica.open().changed_since(Index(0))
    assert changed is not None
    assert len(changed) == 1_000 + 5


def test_a_copy_is_installed_elsewhere(replica: LmdbReplica, tmp_path: Path) -> None:
    write(replica, {f"k/{number}": b"v" * number for number in range(1_000)})
    write(replica, {"long/" + "x" * 3_000: b"1", "k/5": None})
    other = LmdbReplica(tmp_path / "other", writable=True)
    for _ in range(3):
        write(other, {"gone": b"1", "y" * 2_000: b"2"})
    before = other.open()
    asyncio.run(other.install(snapshot(replica.copy())))
    assert before.get("gone") == b"1", "whoever was reading still reads the old state"
    before.close()
    assert content(other) == content(replica)
    assert other.state == State(Index(2), Millis(20), 1)
    assert other.open().changed_since(Index(1)) is None, "what changed is not known"
    write(other, {"z" * 2_000: b"3"})
    assert content(other) == {**content(replica), "z" * 2_000: b"3"}
    assert files(other) == [other.file.name]


def test_a_copy_shows_one_state_while_others_write(replica: LmdbReplica, tmp_path: Path) -> None:
    write(replica, {f"k/{number}": b"v" * 2_000 for number in range(2_000)})
    copy = replica.copy()
    chunks = [next(copy.chunks)]
    write(replica, {f"k/{number}": b"w" for number in range(2_000)})
    chunks += copy.chunks
    other = LmdbReplica(tmp_path / "other", writable=True)
    asyncio.run(other.install(snapshot(StateCopy(index=copy.index, generation=0, chunks=(chunk for chunk in chunks)))))
    assert other.index == 1
    assert set(content(other).values()) == {b"v" * 2_000}


def test_a_copy_that_nobody_takes_to_its_end_is_let_go(replica: LmdbReplica) -> None:
    write(replica, {f"k/{number}": b"v" * 2_000 for number in range(2_000)})
    copy = replica.copy()
    next(copy.chunks)
    copy.chunks.close()
    write(replica, {"a": b"1"})
    assert replica.held_back() == 0


def test_a_snapshot_that_is_not_what_it_says_changes_nothing(replica: LmdbReplica, tmp_path: Path) -> None:
    write(replica, {"a": b"1"})
    other = LmdbReplica(tmp_path / "other", writable=True)
    write(other, {"mine": b"1"})
    with pytest.raises(InvariantError):
        asyncio.run(other.install(snapshot(replica.copy(), index=5)))
    with pytest.raises(UnavailableError):
        asyncio.run(other.install(snapshot(StateCopy(index=Index(1), generation=0, chunks=(b"no environment" * 1_000 for _ in range(1))))))
    assert content(other) == {"mine": b"1"}


def test_clearing_forgets_everything(replica: LmdbReplica) -> None:
    write(replica, {"a": b"1", "x" * 2_000: b"2"})
    replica.clear()
    assert replica.state == State(Index(0), Millis(0), 0)
    assert content(replica) == {}
    write(replica, {"b": b"1"})
    assert replica.open().changed_since(Index(0)) == {"b"}


LONG = ["x" * 500, "x" * 501, "x" * 511, "x" * 512, "x" * 1_000, "x" * 1_001, "x" * 499 + "é", "x" * 499 + "é/a", "x" * 500 + "/b",
        "x" * 501 + "y" * 1_500, "x" * 501 + "y" * 1_500 + "/z", "x" * 499, "w" * 700, "y", "a/" * 600 + "k", "é" * KEY_BYTES_MAX][:-1]


def test_keys_of_any_length_keep_their_order_and_their_values(replica: LmdbReplica) -> None:
    keys = [*LONG, "k" * KEY_BYTES_MAX]
    write(replica, {key: b"%d" % at for at, key in enumerate(keys)})
    reader = replica.open()
    assert list(reader.keys("")) == sorted(keys)
    assert all(reader.get(key) == b"%d" % at for at, key in enumerate(keys))
    for key in keys:
        assert list(reader.keys("", key)) == [other for other in sorted(keys) if other >= key]
        assert list(reader.keys(key)) == [other for other in sorted(keys) if other.startswith(key)]
        assert reader.get(key + "!") is None
        assert reader.get(key[:-1] + "!") is None
    reader.close()


def test_deleting_long_keys_leaves_nothing_behind(replica: LmdbReplica) -> None:
    keys = [*LONG, "k" * KEY_BYTES_MAX]
    write(replica, dict.fromkeys(keys, b"v"))
    for at, key in enumerate(keys):
        write(replica, {key: None, "not there " + "x" * 900: None})
        assert set(content(replica)) == set(keys[at + 1:])
    with replica._env.begin() as txn:
        assert txn.stat(replica.dbs.data)["entries"] == 0
        assert txn.stat(replica.dbs.rests)["entries"] == 0
