"""The audit files of this process: every process of a node opens them for itself, and writes whole lines.

Invariants: (1) what is handed to `write` has been given to the kernel, for at least one device, before it returns; else AuditError; (2) a
line goes out in one write, to a file with those behind it, at its end, so that lines of several processes never mix; (3) a line that a
full disk cut short is ended before the next one, so that only it is lost; (4) a device that fails is tried again at each entry, and both
ends of its trouble are reported once. Left to others: what is in a line (`core/audit`), who hears of trouble, and that a node without a
working device serves nothing. Nothing is synced: a power cut may take the last lines, as with Vault.
"""
import os
import stat
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeAlias

import msgspec

from holdfast.core.audit import probe_line
from holdfast.core.audit_device import DISCARD, STDOUT, Device, FileOptions, read_options
from holdfast.errors import AuditError
from holdfast.ids import Millis, RequestId
from holdfast.node.process import RANDOM

NO_DEVICE = "1 error occurred:\n\t* no audit backend succeeded in logging the request\n\n"
STDOUT_FD = 1
CLOSED = -1


class Sink(Protocol):
    """Where one device's lines go. Every method raises OSError."""

    def write(self, lines: bytes) -> None:
        """Takes all of them, or raises."""

    def reopen(self) -> None:
        """The file may have been moved away: starts a new one."""

    def close(self) -> None: ...


OpenSink: TypeAlias = Callable[[FileOptions], Sink]
Trouble: TypeAlias = Callable[[str, OSError | None], None]
"""Told a device's path when it begins to fail, and with None when it works again."""


class AuditDevices:
    """All devices of this process, each opened when its first line comes or when `keep` names it."""

    def __init__(self, open_sink: OpenSink, trouble: Trouble, failed: Callable[[Sequence[bytes]], None] = lambda lines: None) -> None:
        """`failed` is told of lines that no device took."""
        self._open_sink, self._trouble, self._failed = open_sink, trouble, failed
        self._sinks: dict[str, Sink] = {}                # by uuid: a device's options never change
        self._devices: dict[str, Device] = {}            # by uuid, those that there are
        self._failing: set[str] = set()

    @property
    def broken(self) -> bool:
        """There are devices, and none works."""
        return bool(self._devices) and self._failing.issuperset(self._devices)

    def write(self, lines: Sequence[tuple[Device, bytes]]) -> None:
        """Whole lines, one or several, each to its device. Raises AuditError when no device took what was for it."""
        taken = False
        for device, line in lines:
            uuid = device.record.uuid
            try:
                sink = self._sinks.get(uuid)
                if sink is None:
                    self._devices[uuid] = device
                    sink = self._sinks[uuid] = self._open_sink(device.options)
                sink.write(line)
                taken = True
            except OSError as error:
                self._fails(uuid, error)
            else:
                if self._failing:
                    self._works(uuid)
        if not taken:
            self._failed([line for _, line in lines])
            raise AuditError(NO_DEVICE)

    def keep(self, devices: Sequence[Device]) -> None:
        """The device table as it is now: opens what is new, so that a file that cannot be opened is known early; closes what is gone."""
        self._devices = {device.record.uuid: device for device in devices}
        for uuid in self._sinks.keys() - self._devices.keys():
            self._sinks.pop(uuid).close()
        self._failing.intersection_update(self._devices)
        for device in devices:
            uuid = device.record.uuid
            if uuid in self._sinks:
                continue
            try:
                self._sinks[uuid] = self._open_sink(device.options)
            except OSError as error:
                self._fails(uuid, error)
            else:
                self._works(uuid)

    def reopen(self) -> None:
        """SIGHUP: lines go on into new files where the old ones were moved away. Where that fails they go on into the old one."""
        for uuid, sink in self._sinks.items():
            try:
                sink.reopen()
            except OSError as error:
                self._trouble(self._devices[uuid].record.path, error)

    def mend(self) -> None:
        """Now and then, for a process that nothing is asked of because no device works: those that open again and take an entry are whole.
        A file on a full disk opens."""
        for uuid in tuple(self._failing):
            options = self._devices[uuid].options
            try:
                sink = self._sinks.get(uuid)
                if sink is None:
                    sink = self._sinks[uuid] = self._open_sink(options)
                else:
                    sink.reopen()
                if not options.skip_test:
                    sink.write(_probe(options, RANDOM.request_id()))
            except OSError:
                continue                                 # reported when it began
            self._works(uuid)

    def close(self) -> None:
        """The node is sealed or ends."""
        for sink in self._sinks.values():
            sink.close()
        self._sinks.clear()
        self._failing.clear()
        self._devices.clear()

    def _fails(self, uuid: str, error: OSError) -> None:
        if uuid not in self._failing:
            self._failing.add(uuid)
            self._trouble(self._devices[uuid].record.path, error)

    def _works(self, uuid: str) -> None:
        if uuid in self._failing:
            self._failing.remove(uuid)
            self._trouble(self._devices[uuid].record.path, None)


class FileSink:
    """A file that lines are appended to."""

    def __init__(self, options: FileOptions) -> None:
        self._options = options
        self._torn = False                               # the file ends in the middle of a line
        self._takes_many = True                          # in one write, whole; not so a pipe, where they would mix with those of others
        self._fd = self._open()

    def write(self, lines: bytes) -> None:
        if self._fd == CLOSED:
            self._fd = self._open()
        for line in (lines,) if self._takes_many else lines.splitlines(keepends=True):
            self._write(line)

    def _write(self, line: bytes) -> None:
        try:
            self._put(line)
        except OSError:
            if self._torn:                               # what is here of the line must not be followed by all of it elsewhere
                raise
            self.reopen()                                # once more: what the descriptor led to may have gone
            self._put(line)

    def _put(self, line: bytes) -> None:
        whole = b"\n" + line if self._torn else line
        written = os.write(self._fd, whole)
        if written != len(whole):
            self._torn = True
            write_all(self._fd, whole[written:])
        self._torn = False

    def reopen(self) -> None:
        fresh = self._open()
        self.close()
        self._fd = fresh

    def close(self) -> None:
        if self._fd != CLOSED:
            fd, self._fd = self._fd, CLOSED
            os.close(fd)

    def _open(self) -> int:
        path, mode = self._options.file_path, self._options.mode
        create = 0
        if mode is not None:
            create = os.O_CREAT
            os.makedirs(os.path.dirname(os.path.abspath(path)), mode=0o700, exist_ok=True)
        # A pipe that nobody reads must fail, not hang the node: hence without blocking, which files do not notice.
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK | create, mode or 0o600)
        try:
            state = os.fstat(fd)
            self._takes_many = stat.S_ISREG(state.st_mode)
            if self._takes_many:
                if mode is not None and stat.S_IMODE(state.st_mode) != mode:
                    os.fchmod(fd, mode)
                self._torn = is_torn(fd, path)
        except OSError:
            os.close(fd)
            raise
        return fd


class StdoutSink:
    """The process's standard output."""

    def write(self, lines: bytes) -> None:
        for line in lines.splitlines(keepends=True):         # it may be a pipe
            write_all(STDOUT_FD, line)

    def reopen(self) -> None:
        """Stays what it is."""

    def close(self) -> None:
        """Stays open: it is not ours."""


class DiscardSink:
    """Takes everything and keeps nothing: for measuring what auditing costs."""

    def write(self, lines: bytes) -> None:
        """Gone."""

    def reopen(self) -> None:
        """Nothing is open."""

    def close(self) -> None:
        """Nothing is open."""


def open_sink(options: FileOptions) -> Sink:
    """Opens what a device's options name. OSError says why it cannot be."""
    if options.file_path == STDOUT:
        return StdoutSink()
    if options.file_path == DISCARD:
        return DiscardSink()
    return FileSink(options)


def try_device(options: str, request_id: str) -> str:
    """For enabling a device: opens it as its options (JSON, as the API took them) say, and writes an entry that names the request. Gives
    what went wrong, or ""."""
    read = read_options(msgspec.json.decode(options, type=Mapping[str, str]))
    try:
        sink = open_sink(read)
    except OSError as error:
        return f'sanity check failed; unable to open "{read.file_path}" for writing: {error.strerror}'
    try:
        if not read.skip_test:
            sink.write(_probe(read, RequestId(request_id)))
    except OSError as error:
        return f"audit backend failed test message: {error.strerror}"
    finally:
        sink.close()
    return ""


def _probe(options: FileOptions, id: RequestId) -> bytes:
    return probe_line(options, id=id, now_ms=Millis(int(time.time() * 1000)))


def write_all(fd: int, data: bytes) -> None:
    """All of it, in as few writes as the kernel allows."""
    while data:
        data = data[os.write(fd, data):]


def is_torn(fd: int, path: str) -> bool:
    """Whether the file ends in the middle of a line that nobody is writing any more. Where we may write but not read: no."""
    try:
        reading = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except PermissionError:
        return False
    try:
        size = os.fstat(reading).st_size
        while size and os.pread(reading, 1, size - 1) != b"\n":
            os.utime(fd)                                 # waits until a write that another process is in has ended
            seen, size = size, os.fstat(reading).st_size
            if seen == size:
                return True
        return False
    finally:
        os.close(reading)
