"""The audit files of a process: whole lines, at the end, or a refusal."""
import errno
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from tests.at_once import at_once

from holdfast.core.audit_device import AuditDevice, Device, FileOptions, ready
from holdfast.core.outcome import AuditEntry
from holdfast.crypto import Secret
from holdfast.engine import Reply
from holdfast.errors import AuditError
from holdfast.node.audit_batch import AuditBatch
from holdfast.node.devices import AuditDevices, DiscardSink, FileSink, Sink, StdoutSink, open_sink, try_device

LINE = b'{"a":1}\n'


def device(name: str, **options: str) -> Device:
    return ready(AuditDevice(uuid=f"uuid-{name}", path=f"{name}/", type="file", accessor="a", salt=Secret(bytes(32)),
                             options={"file_path": "discard", **options}))


class FakeSink:
    """Takes lines until told to fail."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.error: OSError | None = None
        self.open, self.reopened = True, 0

    def write(self, lines: bytes) -> None:
        if self.error is not None:
            raise self.error
        self.lines.append(lines)

    def reopen(self) -> None:
        if self.error is not None:
            raise self.error
        self.reopened += 1

    def close(self) -> None:
        self.open = False


class Rig:
    """Devices over fake sinks, one for each file path, and the trouble that was told."""

    def __init__(self) -> None:
        self.sinks: dict[str, FakeSink] = {}
        self.unopenable: dict[str, OSError] = {}
        self.trouble: list[tuple[str, int | None]] = []
        self.devices = AuditDevices(self._open, lambda path, error: self.trouble.append((path, error.errno if error else None)))

    def _open(self, options: FileOptions) -> Sink:
        if options.file_path in self.unopenable:
            raise self.unopenable[options.file_path]
        return self.sinks.setdefault(options.file_path, FakeSink())


A, B = device("a", file_path="/a"), device("b", file_path="/b")
FULL, GONE = OSError(errno.ENOSPC, "no space"), OSError(errno.EACCES, "denied")


def test_each_line_goes_to_its_device() -> None:
    rig = Rig()
    rig.devices.write([(A, b"1\n"), (B, b"2\n")])
    rig.devices.write([(A, b"3\n")])
    assert (rig.sinks["/a"].lines, rig.sinks["/b"].lines) == ([b"1\n", b"3\n"], [b"2\n"])
    assert rig.trouble == []


def batch_of(rig: Rig) -> AuditBatch:
    return AuditBatch(rig.devices)


def test_the_lines_of_many_requests_are_one_write_and_stand_in_their_order() -> None:
    rig = Rig()
    batch = batch_of(rig)
    answers = [(Reply(status=200), batch.add([(A, b"a%d\n" % number), (B, b"b%d\n" % number)])) for number in range(3)]
    assert not rig.sinks
    for reply, settle in answers:
        assert settle(reply) is reply
    assert (rig.sinks["/a"].lines, rig.sinks["/b"].lines) == ([b"a0\na1\na2\n"], [b"b0\nb1\nb2\n"])
    reply = Reply(status=204)
    assert batch.add([(A, b"a3\n"), (B, b"b3\n")])(reply) is reply
    assert rig.sinks["/a"].lines[1:] == [b"a3\n"]


def test_both_lines_of_a_request_go_to_each_device_that_shows_it() -> None:
    rig = Rig()
    batch = batch_of(rig)
    settles = [batch.add_both([AuditEntry(device=each, request=b"asked%d\n" % number, response=b"answered%d\n" % number)
                               for each in (A, B)]) for number in range(2)]
    assert [settle(Reply(status=200)).status for settle in settles] == [200, 200]
    assert rig.sinks["/a"].lines == rig.sinks["/b"].lines == [b"asked0\nanswered0\nasked1\nanswered1\n"]


def test_where_no_device_takes_the_lines_every_request_of_the_batch_is_refused() -> None:
    rig = Rig()
    rig.devices.keep([A])
    rig.sinks["/a"].error = FULL
    batch = batch_of(rig)
    settled = [settle(Reply(status=200, body=b"secret")) for settle in [batch.add([(A, LINE)]), batch.add([(A, LINE)])]]
    assert [(reply.status, b"no audit backend" in reply.body) for reply in settled] == [(500, True)] * 2
    rig.sinks["/a"].error = None
    assert batch.add([(A, LINE)])(Reply(status=200)).status == 200


def test_requests_that_saw_other_devices_are_not_of_one_batch() -> None:
    """A device is enabled or disabled between two requests of one turn: each is judged by its own."""
    rig = Rig()
    rig.devices.keep([A, B])
    rig.sinks["/a"].error = FULL
    batch = batch_of(rig)
    first, second = batch.add([(A, LINE)]), batch.add([(A, LINE), (B, LINE)])
    assert (first(Reply(status=200)).status, second(Reply(status=200)).status) == (500, 200)
    assert rig.sinks["/b"].lines == [LINE]


def test_a_pipe_gets_each_line_by_itself(tmp_path: Path) -> None:
    """What several processes write at once to a pipe stays whole only up to 4 KiB."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        sink = FileSink(FileOptions(file_path=str(path), mode=None))
        pieces: list[bytes] = []

        def write(fd: int, data: bytes) -> int:
            pieces.append(data)
            return len(data)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("holdfast.node.devices.os.write", write)
            sink.write(LINE * 3)
        sink.close()
        assert pieces == [LINE] * 3
    finally:
        os.close(reading)


def test_one_working_device_is_enough() -> None:
    rig = Rig()
    rig.devices.keep([A, B])
    rig.sinks["/a"].error = FULL
    rig.devices.write([(A, LINE), (B, LINE)])
    assert rig.sinks["/b"].lines == [LINE]
    assert not rig.devices.broken


@pytest.mark.parametrize("opens", [True, False])
def test_no_working_device_is_an_error_in_vaults_words(opens: bool) -> None:
    rig = Rig()
    if not opens:
        rig.unopenable = {"/a": GONE, "/b": GONE}
    rig.devices.keep([A, B])
    for sink in rig.sinks.values():
        sink.error = FULL
    with pytest.raises(AuditError, match=r"^1 error occurred:\n\t\* no audit backend succeeded in logging the request\n\n$"):
        rig.devices.write([(A, LINE), (B, LINE)])
    assert rig.devices.broken


def test_trouble_is_told_when_it_begins_and_when_it_ends() -> None:
    rig = Rig()
    rig.devices.keep([A, B])
    rig.sinks["/a"].error = FULL
    for _ in range(3):
        rig.devices.write([(A, LINE), (B, LINE)])
    rig.sinks["/a"].error = None
    for _ in range(3):
        rig.devices.write([(A, LINE), (B, LINE)])
    assert rig.trouble == [("a/", errno.ENOSPC), ("a/", None)]
    assert len(rig.sinks["/a"].lines) == 3


def test_a_device_that_could_not_be_opened_is_tried_again_at_each_entry() -> None:
    rig = Rig()
    rig.unopenable = {"/a": GONE}
    rig.devices.keep([A])
    assert rig.devices.broken
    rig.unopenable = {}
    rig.devices.write([(A, LINE)])
    assert not rig.devices.broken
    assert rig.trouble == [("a/", errno.EACCES), ("a/", None)]


def test_the_table_opens_what_is_new_and_closes_what_is_gone() -> None:
    rig = Rig()
    rig.devices.keep([A])
    rig.devices.keep([A, B])
    assert rig.sinks["/a"].open
    rig.devices.keep([B])
    assert (rig.sinks["/a"].open, rig.sinks["/b"].open) == (False, True)
    rig.devices.keep([])
    assert not rig.sinks["/b"].open
    assert not rig.devices.broken, "without a device nothing is broken"


def test_a_device_that_the_table_does_not_show_yet_takes_its_line() -> None:
    rig = Rig()
    rig.devices.keep([A])
    rig.devices.write([(A, LINE), (B, LINE)])
    assert rig.sinks["/b"].lines == [LINE]


def test_a_device_that_is_gone_takes_its_trouble_along() -> None:
    rig = Rig()
    rig.unopenable = {"/a": GONE}
    rig.devices.keep([A, B])
    rig.devices.keep([B])
    assert not rig.devices.broken


def test_mending_ends_the_trouble_of_what_opens_again() -> None:
    rig = Rig()
    rig.devices.keep([A])
    rig.sinks["/a"].error = FULL
    with pytest.raises(AuditError):
        rig.devices.write([(A, LINE)])
    rig.devices.mend()
    assert rig.devices.broken
    rig.sinks["/a"].error = None
    rig.devices.mend()
    assert not rig.devices.broken
    assert rig.trouble == [("a/", errno.ENOSPC), ("a/", None)]


def test_a_file_on_a_full_disk_opens_and_is_not_mended_by_that(tmp_path: Path) -> None:
    trouble: list[str] = []
    path = tmp_path / "audit.log"
    path.symlink_to("/dev/full")
    full = device("full", file_path=str(path))
    devices = AuditDevices(open_sink, lambda path, error: trouble.append(error.strerror if error else ""))
    devices.keep([full])
    with pytest.raises(AuditError):
        devices.write([(full, LINE)])
    devices.mend()
    assert devices.broken
    path.unlink()
    devices.mend()
    assert not devices.broken
    assert trouble == ["No space left on device", ""]
    (probed,) = path.read_text().splitlines()
    assert '"path":"sys/audit/test"' in probed
    devices.close()


def test_a_device_that_wants_no_test_entry_is_mended_by_opening() -> None:
    rig = Rig()
    quiet = device("a", file_path="/a", skip_test="true")
    rig.unopenable = {"/a": GONE}
    rig.devices.keep([quiet])
    rig.devices.mend()
    assert rig.devices.broken
    rig.unopenable = {}
    rig.devices.mend()
    assert not rig.devices.broken
    assert rig.sinks["/a"].lines == []


def test_reopening_reaches_every_device_also_past_one_that_fails() -> None:
    rig = Rig()
    rig.devices.keep([A, B])
    rig.sinks["/a"].error = GONE
    rig.devices.reopen()
    assert rig.sinks["/b"].reopened == 1
    assert rig.trouble == [("a/", errno.EACCES)]


def test_closing_closes_all() -> None:
    rig = Rig()
    rig.devices.keep([A, B])
    rig.devices.close()
    assert not any(sink.open for sink in rig.sinks.values())
    assert not rig.devices.broken


def options(path: Path, **more: str) -> FileOptions:
    return device("x", file_path=str(path), **more).options


def test_a_file_is_made_for_its_owner_alone_and_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "audit.log"
    for _ in range(2):
        sink = FileSink(options(path))
        sink.write(LINE)
        sink.close()
    assert path.read_bytes() == LINE * 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_mode_is_set_also_on_a_file_that_was_there(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    path.touch(0o600)
    FileSink(options(path, mode="0640")).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_mode_0000_leaves_an_existing_file_alone_and_makes_none(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    with pytest.raises(FileNotFoundError):
        FileSink(options(path, mode="0000"))
    path.touch(0o604)
    path.chmod(0o604)
    FileSink(options(path, mode="0000")).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o604


def test_after_a_rotation_lines_go_on_into_a_new_file(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    sink = FileSink(options(path))
    sink.write(b"1\n")
    path.rename(tmp_path / "audit.log.1")
    sink.write(b"2\n")
    sink.reopen()
    sink.write(b"3\n")
    sink.close()
    assert ((tmp_path / "audit.log.1").read_bytes(), path.read_bytes()) == (b"1\n2\n", b"3\n")


def test_a_reopening_that_fails_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    sink = FileSink(options(path))
    path.rename(tmp_path / "audit.log.1")
    path.mkdir()
    with pytest.raises(IsADirectoryError):
        sink.reopen()
    sink.write(LINE)
    sink.close()
    assert (tmp_path / "audit.log.1").read_bytes() == LINE


def test_a_descriptor_that_went_bad_is_replaced_once(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    sink = FileSink(options(path))
    unwritable = os.open(path, os.O_RDONLY)
    os.dup2(unwritable, sink._fd)
    os.close(unwritable)
    sink.write(LINE)
    sink.close()
    assert path.read_bytes() == LINE


def tearing(monkeypatch: pytest.MonkeyPatch, sizes: list[int | OSError]) -> None:
    """`os.write` as a full disk has it: so many bytes taken, or an error; then as ever."""
    write: Callable[[int, bytes], int] = os.write

    def torn(fd: int, data: bytes) -> int:
        if not sizes:
            return write(fd, data)
        step = sizes.pop(0)
        if isinstance(step, OSError):
            raise step
        return write(fd, data[:step])

    monkeypatch.setattr(os, "write", torn)


def test_a_short_write_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "audit.log"
    sink = FileSink(options(path))
    tearing(monkeypatch, [3, 2])
    sink.write(LINE)
    sink.write(LINE)
    sink.close()
    assert path.read_bytes() == LINE * 2


def test_a_line_cut_short_by_a_full_disk_spoils_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "audit.log"
    sink = FileSink(options(path))
    tearing(monkeypatch, [3, FULL])
    with pytest.raises(OSError, match="no space"):
        sink.write(LINE)
    sink.write(LINE)
    sink.write(LINE)
    sink.close()
    assert path.read_bytes() == LINE[:3] + b"\n" + LINE * 2


def test_a_write_that_took_nothing_is_tried_once_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "audit.log"
    sink = FileSink(options(path))
    tearing(monkeypatch, [OSError(errno.ESTALE, "stale")])
    sink.write(LINE)
    sink.close()
    assert path.read_bytes() == LINE


def test_a_file_that_ends_in_a_torn_line_gets_its_end_first(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    path.write_bytes(b'{"to')
    sink = FileSink(options(path))
    sink.write(LINE)
    sink.close()
    assert path.read_bytes() == b'{"to\n' + LINE


def test_a_pipe_that_nobody_reads_fails_and_does_not_hang(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(OSError, match=os.strerror(errno.ENXIO)):
        FileSink(options(path))


def test_lines_of_several_writers_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"

    def write(letter: bytes) -> None:
        for _ in range(20):                              # each opening looks whether the file ends in a line
            sink = FileSink(options(path))
            for _ in range(10):
                sink.write(letter * 5_000 + b"\n")
            sink.close()

    at_once(write, (b"a", b"b", b"c"))
    lines = path.read_bytes().splitlines()
    assert len(lines) == 600
    assert all(len(line) == 5_000 and len(set(line)) == 1 for line in lines)


def test_dev_full_is_a_full_disk() -> None:
    sink = FileSink(options(Path("/dev/full")))
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        sink.write(LINE)
    sink.close()


def test_dev_null_takes_everything_and_keeps_its_mode() -> None:
    before = os.stat("/dev/null").st_mode
    sink = FileSink(options(Path("/dev/null")))
    sink.write(LINE)
    sink.close()
    assert os.stat("/dev/null").st_mode == before


def test_stdout_and_discard(capfd: pytest.CaptureFixture[str]) -> None:
    for name, kind in (("stdout", StdoutSink), ("discard", DiscardSink)):
        sink = open_sink(device("x", file_path=name).options)
        assert isinstance(sink, kind)
        sink.write(LINE)
        sink.reopen()
        sink.close()
    assert capfd.readouterr().out == LINE.decode()


def try_options(**options: str) -> str:
    return try_device(json.dumps(options), "request-1")


def test_a_device_to_be_enabled_is_tried_with_a_line(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    assert try_options(file_path=str(path)) == ""
    assert try_options(file_path=str(path), skip_test="true") == ""
    entry, = path.read_text().splitlines()
    assert json.loads(entry)["request"]["id"] == "request-1"


def test_what_is_wrong_with_a_device_to_be_enabled_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    inside = str(tmp_path / "file" / "audit.log")
    assert try_options(file_path=inside).startswith(f'sanity check failed; unable to open "{inside}" for writing: ')
    assert try_options(file_path="/dev/full") == "audit backend failed test message: No space left on device"
    assert try_options(file_path="/dev/full", skip_test="true") == ""


def test_options_travel_as_the_table_keeps_them() -> None:
    assert try_device(msgspec.json.encode(device("x").record.options).decode(), "request-1") == ""
