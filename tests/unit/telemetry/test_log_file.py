"""The log file: its name, its rotation, and who follows it."""
from __future__ import annotations

import os
from pathlib import Path

import pytest

from holdfast.telemetry.sinks import FileOptions, FileSink, LogFileError, log_path


class Clock:
    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


def texts(folder: Path) -> dict[str, str]:
    return {each.name: each.read_text() for each in sorted(folder.iterdir())}


@pytest.mark.parametrize(("path", "name"), [("/l/", "/l/vault.log"), ("/l/diary", "/l/diary.log"), ("/l/diary.txt", "/l/diary.txt")])
def test_names(path: str, name: str) -> None:
    assert log_path(path) == Path(name)


def test_lines_are_appended(tmp_path: Path) -> None:
    for line in (b"a\n", b"b\n"):
        sink = FileSink(FileOptions(path=f"{tmp_path}/x"))
        assert sink.write(line)
        sink.close()
    assert texts(tmp_path) == {"x.log": "a\nb\n"}
    assert (tmp_path / "x.log").stat().st_mode & 0o777 == 0o640


def test_rotation_by_size_keeps_as_many_as_are_wanted(tmp_path: Path) -> None:
    clock = Clock()
    sink = FileSink(FileOptions(path=f"{tmp_path}/", rotate_bytes=4, files_max=2), clock=clock)
    (tmp_path / "vault-old.log").write_text("not ours")
    for number in range(5):
        clock.now_s += 1
        assert sink.write(b"%d..\n" % number)
    assert texts(tmp_path) == {
        "vault-1004000000000.log": "2..\n", "vault-1005000000000.log": "3..\n", "vault-old.log": "not ours", "vault.log": "4..\n"}
    sink.close()


def test_two_rotations_in_one_instant_lose_nothing(tmp_path: Path) -> None:
    sink = FileSink(FileOptions(path=f"{tmp_path}/x.log", rotate_bytes=1), clock=Clock())
    for number in range(3):
        assert sink.write(b"%d\n" % number)
    assert sorted(texts(tmp_path).values()) == ["0\n", "1\n", "2\n"]
    sink.close()


def test_rotation_by_age_and_no_old_file_kept(tmp_path: Path) -> None:
    clock = Clock()
    sink = FileSink(FileOptions(path=f"{tmp_path}/x.log", rotate_after_s=60, files_max=-1), clock=clock)
    for _ in range(3):
        sink.write(b"a\n")
        clock.now_s += 31
    sink.write(b"b\n")
    assert texts(tmp_path) == {"x.log": "a\nb\n"}
    sink.close()


def test_another_process_follows_the_rotation_and_never_rotates(tmp_path: Path) -> None:
    main = FileSink(FileOptions(path=f"{tmp_path}/x.log", rotate_bytes=4), clock=Clock())
    worker = FileSink(FileOptions(path=f"{tmp_path}/x.log", rotate_bytes=4, rotates=False), clock=Clock())
    assert worker.write(b"worker 1\n")
    assert worker.write(b"worker 2\n")
    assert main.write(b"main 1\n")
    assert worker.write(b"worker 3\n")
    assert (tmp_path / "x.log").read_text() == "main 1\nworker 3\n"
    assert sorted(texts(tmp_path).values()) == ["main 1\nworker 3\n", "worker 1\nworker 2\n"]
    main.close()
    worker.close()


def test_a_file_that_was_moved_away_is_made_anew(tmp_path: Path) -> None:
    sink = FileSink(FileOptions(path=f"{tmp_path}/x.log"))
    sink.write(b"a\n")
    os.rename(tmp_path / "x.log", tmp_path / "y.log")
    sink.write(b"b\n")
    assert texts(tmp_path) == {"x.log": "b\n", "y.log": "a\n"}
    sink.close()


def test_a_folder_that_is_gone_loses_lines_until_it_is_back(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    sink = FileSink(FileOptions(path=f"{folder}/x.log"))
    os.rename(folder, tmp_path / "away")
    assert not sink.write(b"a\n")
    folder.mkdir()
    assert sink.write(b"b\n")
    assert texts(folder) == {"x.log": "b\n"}
    sink.close()


def test_a_file_that_cannot_be_opened_is_named() -> None:
    with pytest.raises(LogFileError, match=r"log_file '/nowhere/at/all/x\.log' cannot be opened: No such file"):
        FileSink(FileOptions(path="/nowhere/at/all/x"))
