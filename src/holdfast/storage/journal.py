"""The log of one node in files: appended to, recovered, trimmed. Synchronous; `file` has the threads, `reading` reads it.

Segments are filled one after the other. The next one is made beforehand, with every block written once, so that an append is one write and
one flush of data, without any of the file system's own records. At most one append is under way, and none follows one that failed before
that one's fate is settled: so only the last record can be torn, and whatever is broken before it is damage, not a torn tail.

Invariants: (1) what `append` returned from is read back, whole and in order, by every later `Journal` of the folder, or opening or reading
raises IntegrityError; (2) a fate once told stays, whatever is lost afterwards; (3) a failed flush is never made good by a later one: the
blocks are written again, through another descriptor, before they count; (4) nothing is trimmed but what lies before a durable checkpoint.
"""
import errno
import threading
from bisect import bisect_right
from collections.abc import Callable, Sequence
from pathlib import Path

from holdfast.errors import IntegrityError, InvariantError
from holdfast.ids import Index, Term
from holdfast.limits import SPARE_SEGMENTS
from holdfast.storage import segment as form
from holdfast.storage.batch import WriteBatch
from holdfast.storage.disk import BLOCK_BYTES, Disk, File
from holdfast.storage.log import Full, Uncertain
from holdfast.storage.reading import read_at
from holdfast.storage.segment import SALT_BYTES, Head

SUFFIX, SPARE, UNFINISHED = ".log", "spare-", "unfinished"
ZEROS_BYTES = 1 << 20                                    # written at once when a segment is made
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


class Segment:
    """A segment that holds at least one record, or is about to."""

    __slots__ = ("file", "head", "path")

    def __init__(self, path: Path, file: File, head: Head) -> None:
        self.path, self.file, self.head = path, file, head


class Journal:
    """Opening recovers: it reads the last segment, cuts a torn tail and makes the last record durable again.

    `checkpoint`: index of the durable checkpoint, and the sequence of the segment that held that batch. Raises IntegrityError: a batch that
    was acknowledged is not there, or not whole.
    """

    def __init__(self, disk: Disk, folder: Path, *, segment_bytes: int, reserve_bytes: int, draw: Callable[[int], bytes],
                 checkpoint: tuple[Index, int] = (Index(0), 0)) -> None:
        self._disk, self._folder, self._draw = disk, folder, draw
        self._segment_bytes, self._reserve_bytes = segment_bytes, reserve_bytes
        self._segments: list[Segment] = []
        self._prepared: Path | None = None               # of the sequence after the last segment's
        self._spares: list[Path] = []
        self._end = 0                                    # of the last record in the last segment
        self._unsettled: int | None = None               # offset of a record that may or may not be durable
        self._making = threading.Lock()                  # one makes, moves or removes files
        self._closed = False
        self.durable_index = checkpoint[0]
        self.term = Term(0)                              # of the last record
        disk.make_folder(folder)
        self._recover(*checkpoint)

    @property
    def first_index(self) -> Index:
        """Index of the first batch that can be read."""
        return self._segments[0].head.first if self._segments else Index(self.durable_index + 1)

    @property
    def sequence(self) -> int:
        """Of the segment that is being filled; 0: none yet."""
        return self._segments[-1].head.sequence if self._segments else 0

    def append(self, group: Sequence[WriteBatch], term: Term) -> None:
        """Durable when it returns. Raises Full: nothing happened; Uncertain: ask `settle`; InvariantError: a gap in the numbers."""
        if not group:
            return
        for number, batch in enumerate(group, self.durable_index + 1):
            if batch.index != number:
                raise InvariantError(f"batch {batch.index} after batch {number - 1}")
        self.write(form.payload_of(group), first=group[0].index, count=len(group), term=term)

    def write(self, payload: bytes, *, first: Index, count: int, term: Term) -> None:
        """One record, as `append` does it; what it says is the caller's, and its number is the one after the last."""
        self._refuse_when_closed()
        if self._unsettled is not None:
            raise Uncertain("the fate of the last append is not settled")
        size = form.record_size(payload)
        if self._disk.free_bytes(self._folder) < self._reserve_bytes:
            raise Full(f"no space left on the storage device: less than {self._reserve_bytes} bytes are free")
        begins = not self._segments or (self._end + size > self._segment_bytes and self._end > BLOCK_BYTES)
        if begins:
            self._begin_segment(first)
        at = self._segments[-1]
        offset = BLOCK_BYTES if begins else self._end
        data = form.write_record(at.head, offset, payload, first=first, count=count, term=term)
        self._unsettled = offset
        try:
            if begins:
                at.file.write_durably(form.write_head(at.head) + data, 0)
            else:
                at.file.write_durably(data, offset)
        except OSError as error:
            self._failed(error)
        self._unsettled = None
        self._end = offset + size
        self.durable_index, self.term = Index(first + count - 1), term

    def settle(self) -> None:
        """Decides an append whose outcome is not known: it is not there, and will not be. Uncertain: the disk takes not even this."""
        self._refuse_when_closed()
        if self._unsettled is None:
            return
        at, offset = self._segments[-1], self._unsettled
        begins = offset == BLOCK_BYTES
        try:
            fresh = self._disk.open(at.path)
        except OSError as error:
            raise Uncertain(f"the log cannot be opened: {error}") from error
        try:
            # Without its first block there is no record. What else of it is or is not on the disk no longer matters.
            fresh.write_at(bytes(BLOCK_BYTES), 0 if begins else offset)
            fresh.sync()
        except OSError as error:
            fresh.close()
            raise Uncertain(f"the log cannot be written: {error}") from error
        at.file.close()
        at.file = fresh
        self._unsettled = None
        if begins:
            with self._making:
                self._segments.pop()
                fresh.close()
                self._prepared = at.path                 # in place of one that `prepare` may have made after it
                self._end = self._segments[-1].file.size() if self._segments else 0  # what is left there is not worth using

    def prepare(self) -> bool:
        """Makes the next segment, if there is none. Slow; may run beside appends. False: no space for it, or it is closed."""
        with self._making:
            if self._closed:                             # without its segments it would make the first one anew, over the real one
                return False
            if self._prepared is not None:
                return True
            try:
                self._prepared = self._make(self.sequence + 1)
            except OSError as error:
                if error.errno in NO_SPACE:
                    return False
                raise
            return True

    @property
    def is_prepared(self) -> bool:
        return self._prepared is not None

    def trim(self, through: Index) -> None:
        """Lets go of segments that hold nothing after `through`, a durable checkpoint. May run beside appends and readers."""
        with self._making:
            while len(self._segments) > 1 and self._segments[1].head.first <= through + 1:
                gone = self._segments.pop(0)
                gone.file.close()
                self._recycle(gone.path)

    def segment_of(self, index: Index) -> tuple[Path, Head] | None:
        """Where a batch stands or will stand; None: it was trimmed."""
        segments = self._segments[:]                     # `trim` may run in another thread
        at = bisect_right(segments, index, key=lambda one: one.head.first)
        return (segments[at - 1].path, segments[at - 1].head) if at else None

    def bytes_since(self, sequence: int) -> int:
        """About how much log there is from that segment on."""
        return max(0, self.sequence - sequence) * self._segment_bytes + self._end

    def close(self) -> None:
        """Waits for a segment that is being made; nothing is written afterwards. The next opening settles what was not settled."""
        with self._making:
            self._closed = True
            for segment in self._segments:
                segment.file.close()
            self._segments.clear()

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise InvariantError("the log has been closed")

    def _failed(self, error: OSError) -> None:
        if error.errno in NO_SPACE:
            self.settle()
            raise Full(f"no space left on the storage device: {error}") from error
        raise Uncertain(f"the log could not be written: {error}") from error

    def _begin_segment(self, first: Index) -> None:
        try:
            if not self.prepare():
                raise Full("no space left on the storage device for the next segment of the log")
            path = self._prepared
            assert path is not None
            file = self._disk.open(path)
        except OSError as error:
            raise Uncertain(f"the next segment of the log could not be made: {error}") from error
        with self._making:                               # `prepare` sees both or neither
            self._segments.append(Segment(path, file, Head(self.sequence + 1, first, self._draw(SALT_BYTES))))
            self._prepared = None

    def _make(self, sequence: int) -> Path:
        path = self._folder / f"{sequence:016x}{SUFFIX}"
        if self._spares:
            spare = self._spares.pop()
            file = self._disk.open(spare)
            try:
                file.write_at(bytes(BLOCK_BYTES), 0)     # a head that was refused may still be on the platter
                file.sync()
            finally:
                file.close()
            self._disk.rename(spare, path)
        else:
            unfinished = self._folder / UNFINISHED
            if self._disk.exists(unfinished):
                self._disk.remove(unfinished)
            file = self._disk.open(unfinished, create=True)
            try:
                for offset in range(0, self._segment_bytes, ZEROS_BYTES):
                    file.write_at(bytes(min(ZEROS_BYTES, self._segment_bytes - offset)), offset)
                file.sync()
            except OSError:
                self._disk.remove(unfinished)            # or it would keep what little space there was
                raise
            finally:
                file.close()
            self._disk.rename(unfinished, path)
        self._disk.sync_folder(self._folder)
        return path

    def _recycle(self, path: Path) -> None:
        file = self._disk.open(path)
        usual = file.size() == self._segment_bytes
        file.close()
        if usual and len(self._spares) < SPARE_SEGMENTS:
            spare = self._folder / f"{SPARE}{path.name}"
            self._disk.rename(path, spare)
            self._spares.append(spare)
        else:
            self._disk.remove(path)

    def _recover(self, checkpoint: Index, sequence: int) -> None:
        useless = self._open_segments()
        while self._segments and not self._scan_last():
            # Its head was written with its first record, and only the head arrived: it was never begun.
            last = self._segments.pop()
            last.file.write_at(bytes(BLOCK_BYTES), 0)
            last.file.sync()
            last.file.close()
            useless.append(last.path)
        if self.sequence < sequence or self.durable_index < checkpoint:
            raise IntegrityError(f"the log in {self._folder} ends at batch {self.durable_index}, before its checkpoint of {checkpoint}: "
                                 f"files are missing")
        if self.first_index > checkpoint + 1:
            raise IntegrityError(f"the log in {self._folder} begins at batch {self.first_index}, after its checkpoint of {checkpoint}: "
                                 f"files are missing")
        for path in useless:
            self._set_aside(path)
        self._disk.sync_folder(self._folder)

    def _open_segments(self) -> list[Path]:
        """Those with a head, without a gap up to the last. Gives the files that are of no use as they are."""
        disk, folder = self._disk, self._folder
        begun: list[Segment] = []
        useless: list[Path] = []
        damaged: Path | None = None
        for name in disk.names(folder):
            path = folder / name
            if name.startswith(SPARE) or not name.endswith(SUFFIX):
                useless.append(path)
                continue
            file = disk.open(path)
            sequence = int(name.removesuffix(SUFFIX), 16)
            head = form.read_head(file.read_at(BLOCK_BYTES, 0), sequence)
            if head is not None:
                begun.append(Segment(path, file, head))
                damaged = None
                continue
            if _had_two_records(file, sequence):
                damaged = path                           # unless a later one has a head: then it was trimmed, and used again
            file.close()
            useless.append(path)
        if damaged is not None:
            raise IntegrityError(f"{damaged}: its head is damaged")
        while begun and (not self._segments or begun[-1].head.sequence == self._segments[0].head.sequence - 1):
            self._segments.insert(0, begun.pop())
        for old in begun:                                # trimmed before, and back: removing them had not become durable
            old.file.close()
            useless.append(old.path)
        return useless

    def _set_aside(self, path: Path) -> None:
        """Of no use as it is: a spare, if it is whole."""
        file = self._disk.open(path)
        usual = file.size() == self._segment_bytes
        file.close()
        if path.name == UNFINISHED or not usual or len(self._spares) >= SPARE_SEGMENTS:
            self._disk.remove(path)
        else:
            spare = self._folder / f"{SPARE}{path.name.removeprefix(SPARE)}"
            if spare != path:
                self._disk.rename(path, spare)
            self._spares.append(spare)

    def _scan_last(self) -> bool:
        """Finds the end of the last segment, and makes durable that its last record is there and no other. False: it holds none."""
        at = self._segments[-1]
        offset, expected, last = BLOCK_BYTES, at.head.first, None
        while (record := read_at(at.file, at.head, offset)) is not None:
            if record.first != expected:
                raise IntegrityError(f"{at.path}: batch {record.first} stands where batch {expected} should")
            last, offset, expected = (record, offset), offset + record.size, Index(record.last + 1)
        self._refuse_records_after(at, offset)
        if last is None:
            return False
        record, begin = last
        # A process that died may have left it in the kernel's memory only, even as clean after a failed flush: written again, it counts.
        at.file.write_at(form.write_record(at.head, begin, record.payload, first=record.first, count=record.count, term=record.term), begin)
        at.file.write_at(form.write_head(at.head), 0)
        if offset < self._segment_bytes:
            # Likewise what is not there: a record that was made void, which did not arrive, would come back.
            at.file.write_at(bytes(BLOCK_BYTES), offset)
        at.file.sync()
        self._end, self.durable_index, self.term = offset, record.last, record.term
        return True

    def _refuse_records_after(self, at: Segment, offset: int) -> None:
        """A valid record after an invalid one: what lies between was acknowledged, and is damaged."""
        for beyond in range(offset + BLOCK_BYTES, at.file.size(), BLOCK_BYTES):
            if read_at(at.file, at.head, beyond) is not None:
                raise IntegrityError(f"{at.path}: the record at {offset} is damaged, and valid ones follow it")


def _had_two_records(file: File, sequence: int) -> bool:
    """Without a head: a first record alone may be a torn write of both; a second one was written after both were durable."""
    first = form.record_head(file.read_at(BLOCK_BYTES, BLOCK_BYTES), sequence)
    return first is not None and form.record_head(file.read_at(BLOCK_BYTES, BLOCK_BYTES + first), sequence) is not None
