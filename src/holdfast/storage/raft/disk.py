"""The folder of integrated storage: the journal with raft's entries and hard state, and the checkpoint behind it. Synchronous.

The journal is that of the `file` backend, its records numbered for themselves. What a record says is in `form`.

Invariants: (1) what `persist` returned from is what a later opening finds; (2) entries up to the commit index of a hard state are never
replaced; (3) the base is durable before the journal before it is let go; (4) killed at any instant of an opening that finds `peers.json`,
it has that file still, or its members. Leaves to others: threads, and when to do what.
"""
import errno
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from holdfast._native import RaftError, raft_entries, raft_first_entry
from holdfast.errors import IntegrityError, InvariantError
from holdfast.ids import Index, NodeId, Term
from holdfast.limits import FOLLOW_BYTES, RAFT_PERSIST_BYTES
from holdfast.storage import checkpoint
from holdfast.storage.checkpoint import Checkpoint
from holdfast.storage.disk import Disk
from holdfast.storage.journal import Journal
from holdfast.storage.log import StateCopy
from holdfast.storage.raft import form, peers
from holdfast.storage.raft.extents import Extents
from holdfast.storage.raft.form import Base, Change, HardState, Install, Member
from holdfast.storage.raft.members import Members, voters
from holdfast.storage.raft.terms import Terms
from holdfast.storage.reading import Reading, Trimmed
from holdfast.storage.segment import Record

JOURNAL_FOLDER, LOCK_NAME, RESTORE_PREFIX, INCOMING_PREFIX = "log", "lock", "restore-", "incoming-"
RAFT_ID_BYTES = 8

Row = tuple[int, int, int, bytes]
"""An entry: (index, term, 0: data or 1: a change of members, data or the change)."""
Chunk = tuple[int, int, bytes, bytes]
"""Entries that follow one another: (index of the first, of the last, how the first data among them begin, the entries)."""


class Staged(msgspec.Struct, frozen=True, kw_only=True):
    """A state that is whole and durable in this folder, and not the checkpoint yet. `base`: where it stands in raft's log, if it does."""

    index: Index
    generation: int
    file: str
    size: int
    digest: str
    base: str = ""


class RaftDisk:
    """Opening it locks the folder and recovers.

    Raises UnavailableError: another process has the folder; IntegrityError: what was acknowledged is missing or damaged; PeersError;
    OSError.
    """

    def __init__(self, disk: Disk, folder: Path, node: NodeId, *, draw: Callable[[int], bytes], segment_bytes: int,
                 reserve_bytes: int) -> None:
        self.disk, self.folder, self.node = disk, folder, node
        self.lacks_state = False                         # it has the entries that a snapshot would stand for, and cannot use them
        disk.make_folder(folder)
        self._lock = disk.lock(folder / LOCK_NAME)
        try:
            found = checkpoint.load(disk, folder)
            self.now = (found, form.read_base(found.note) if found else Base())
            sequence = found.sequence if found else 0
            self.journal = Journal(disk, folder / JOURNAL_FOLDER, segment_bytes=segment_bytes, reserve_bytes=reserve_bytes, draw=draw,
                                   checkpoint=(Index(self.base.record), sequence))
            self._adopting = threading.Lock()
            self._serial = 0
            self._installs: list[tuple[int, bytes]] = [] # entries that install a state, found when it was opened
            self.restored: Staged | None = None          # of an entry that installs it, or will
            self.raft_id = 0
            self.state = HardState()
            self.extents = Extents(self.base.index)
            self.terms = Terms(self.base.terms)          # of what is committed
            self.named: tuple[Member, ...] = ()          # by an operator, to this opening
            self._named_at, self._named_before = 0, 0    # the record that says so of this opening or an earlier one, and the entry after it
            self._find_restored()
            self._recover(draw)
            self._remove_incoming()
        except BaseException:
            self._lock.close()
            raise

    now: tuple[Checkpoint | None, Base]
    """The checkpoint and where it stands in raft's log, to be read as one: another thread may change both."""

    @property
    def checkpoint(self) -> Checkpoint | None:
        return self.now[0]

    @property
    def base(self) -> Base:
        return self.now[1]

    @property
    def generation(self) -> int:
        found = self.checkpoint
        return found.generation if found else 0

    @property
    def base_wal(self) -> Index:
        """Index of the last batch of the checkpoint."""
        found = self.checkpoint
        return found.index if found else Index(0)

    @property
    def lacks_first_members(self) -> bool:
        """An operator has named the members, and no checkpoint has them yet: from the log alone, a new one would not learn them."""
        return bool(self._named_before) and not self.base.index

    def bootstrap(self, address: str) -> None:
        """Makes this node the first member of a new log."""
        if self.extents.last or self.state.term:
            raise InvariantError("the raft log has been begun already")
        member = Member(id=self.node, raft_id=self.raft_id, address=address, voter=True)
        change = Change(member=member)
        payload = raft_first_entry(self.raft_id, form.write_change(change))
        self.persist(HardState(1, 0, 1), [(1, 1, b"", payload)])
        self.members.apply(1, change)

    def persist(self, state: HardState, chunks: Sequence[Chunk]) -> None:
        """Durable when it returns. Raises Full: nothing of the last record happened; Uncertain: call `settle`, then this again."""
        records = _joined(chunks)
        before = HardState(state.term, state.vote, self.state.commit)    # a commit index may speak of entries that are in the last record
        for number, (first, last, mark, entries) in enumerate(records, 1):
            record = self._write(state if number == len(records) else before, entries)
            if entries:
                self.extents.add(record, first, last, form.first_index(mark) if mark else 0)
        self.state = state

    def learn_commit(self, index: int) -> None:
        """Entries up to `index`, which are here, are known to be committed. Becomes durable with the next record."""
        for at, term, kind, data in self.read(self.state.commit, index, 1 << 62):
            self.terms.note(at, term)
            if kind == 1:
                self.members.apply(at, form.read_change(data))
        self.state = HardState(self.state.term, self.state.vote, index)

    def stopped_at(self, commit: int) -> None:
        """Raft has stopped: so far the members are those of the log. Becomes durable with the next record."""
        self.state = HardState(self.state.term, self.state.vote, commit)

    def settle(self) -> None:
        """After Uncertain. Raises it again: the disk takes nothing."""
        self.journal.settle()

    def read(self, after: int, through: int, max_bytes: int) -> list[Row]:
        """Entries after `after`, up to `through`; fewer only when they are many. Raises Trimmed."""
        found: list[Row] = []
        extent = self.extents.of(after + 1)
        if extent is None:
            if after < through:
                raise Trimmed
            return found
        reading = Reading(self.journal, self.disk, Index(extent.record - 1))
        size = 0
        try:
            while size < max_bytes and after < through:
                for record in reading.records(1):
                    extent = self.extents.of(after + 1)
                    if extent is None:
                        raise Trimmed
                    if record.first < extent.record:
                        continue
                    rows = [row for row in self._rows(record) if after < row[0] <= min(extent.last, through)]
                    found += rows
                    after, size = extent.last, size + record.size
        finally:
            reading.close()
        return found

    def locate(self, wal: Index, commit: int) -> int:
        """The last entry, up to `commit`, before the first one with a batch after `wal`. Raises Trimmed."""
        if wal < self.base_wal:
            raise Trimmed
        extent = self.extents.of_wal(wal)
        at = extent.first - 1 if extent else self.base.index
        while at < commit:
            for index, _, kind, data in self.read(at, commit, FOLLOW_BYTES):
                if kind == 0 and data and form.last_index(data) > wal:
                    return at
                at = index
        return at

    def window(self, max_bytes: int) -> tuple[tuple[int, int], list[bytes]]:
        """The newest entries for raft to begin with, all that are not committed among them, in whole segments: (index and term before
        them, payloads)."""
        first = self.extents.of(min(self.state.commit + 1, self.extents.last))
        if first is None:
            return (self.base.index, self.base.term), []
        where = self.journal.segment_of(first.record)
        while where and self.journal.bytes_since(where[1].sequence) < max_bytes and (
                earlier := self.journal.segment_of(Index(where[1].first - 1))):
            where = earlier
        if where and (begin := self.extents.next_after(Index(where[1].first - 1))):
            first = begin
        reading = Reading(self.journal, self.disk, Index(first.record - 1))
        try:
            payloads = [self._payload(record) for record in _all(reading)]
        finally:
            reading.close()
        before = first.first - 1
        return (before, self.term_at(before)), [payload for payload in payloads if payload]

    def term_at(self, index: int) -> int:
        """Of an entry that is here, or of the base. Raises Trimmed."""
        if index == self.base.index:
            return self.base.term
        return self.read(index - 1, index, 1)[0][1]

    def wal_at(self, index: int) -> Index:
        """Index of the last batch up to that entry."""
        end = index
        while end > self.base.index:
            extent = self.extents.of(end)
            assert extent is not None
            rows = self.read(extent.first - 1, end, 1)
            for _, _, kind, data in reversed(rows):
                if kind == 0 and data:
                    return form.last_index(data)
            end = extent.first - 1
        return self.base_wal

    def known_through(self) -> int:
        """The last committed entry before one whose state is not here: without raft nobody gets further."""
        return min(self._known_end(), self.state.commit)

    def _known_end(self) -> int:
        found = self.restored
        for index, data in self._installs:
            install = form.read_install(data)
            if index > self.base.index and (found is None or (found.generation, found.digest) != (install.generation, install.digest)):
                return index - 1
        return self.extents.last

    def save(self, copy: StateCopy, base: Base) -> None:
        """Makes a copy of the replica's state the checkpoint, and lets go of the log before it. Slow. Raises OSError."""
        with self._adopting:
            if base.index < self.base.index:
                copy.chunks.close()                      # another state has come in meanwhile
                return
            record, sequence = self._needed_after(base.index)
            base = msgspec.structs.replace(base, record=record, void=self.base.void)
            old, note = self.checkpoint, form.write_base(base)
            if old is not None and (old.generation, old.index) == (copy.generation, copy.index):
                copy.chunks.close()
                made = msgspec.structs.replace(old, sequence=sequence, note=note)
                checkpoint.adopt(self.disk, self.folder, made)
            else:
                made = checkpoint.save(self.disk, self.folder, copy, sequence=sequence, note=note)
            self._begin_at(made, base)

    def install(self, staged: Staged, base: Base) -> None:
        """A state that came from elsewhere takes the place of the log up to `base`, and of all that this node has. Raises OSError."""
        with self._adopting:
            record = self.journal.durable_index
            base = msgspec.structs.replace(base, record=record, void=record)
            made = Checkpoint(format=checkpoint.FORMAT, index=staged.index, generation=staged.generation, sequence=self.journal.sequence,
                              file=staged.file, size=staged.size, digest=staged.digest, note=form.write_base(base))
            checkpoint.adopt(self.disk, self.folder, made)
            self._names(made, base)
            self.extents.reset(base.index)
            self.journal.trim(record)
            self._remove_restored()

    def keep_restored(self, staged: Staged) -> None:
        """A state that an entry of the log will install; it survives this process. Raises OSError."""
        name = f"{RESTORE_PREFIX}{staged.generation:08x}-{staged.index:016x}-{staged.size:x}-{staged.digest}"
        self.disk.rename(self.folder / staged.file, self.folder / name)
        self.disk.sync_folder(self.folder)
        self.restored = msgspec.structs.replace(staged, file=name)
        self._remove_restored()

    def install_restored(self, install: Install, at: Base) -> bool:
        """The state of an entry takes the place of the log up to that entry. False: it is not here. Raises OSError."""
        with self._adopting:
            found = self.restored
            if found is None or (found.generation, found.digest) != (install.generation, install.digest):
                return False
            if at.index <= self.base.index:
                return True
            record, sequence = self._needed_after(at.index)
            base = msgspec.structs.replace(at, record=record, void=self.base.void)
            made = Checkpoint(format=checkpoint.FORMAT, index=install.index, generation=install.generation, sequence=sequence,
                              file=found.file, size=found.size, digest=found.digest, note=form.write_base(base))
            checkpoint.adopt(self.disk, self.folder, made)
            self._begin_at(made, base)
            return True

    def incoming_path(self) -> Path:
        """For a state that comes in: a name that no file has, or had in this process."""
        with self._adopting:
            while True:
                self._serial += 1
                path = self.folder / f"{INCOMING_PREFIX}{self._serial}"
                if not self.disk.exists(path):
                    return path

    def close(self) -> None:
        self.journal.close()
        self._lock.close()

    def prepare(self) -> None:
        """The next segment, if there is room. Slow."""
        try:
            self.journal.prepare()
        except OSError as error:                         # the record that needs it tries again, and says what is wrong
            if error.errno in (errno.EBADF, errno.EINVAL):
                raise

    def _needed_after(self, index: int) -> tuple[Index, int]:
        """(The last record of which nothing after that entry is needed, the sequence of the segment of the record after it)."""
        extent = self.extents.of(index + 1)
        record = extent.record if extent else self.journal.durable_index
        where = self.journal.segment_of(record)
        return Index(record - 1), where[1].sequence if where else self.journal.sequence

    def _names(self, made: Checkpoint, base: Base) -> None:
        """The checkpoint is another one. The file of the one before it goes, if it came in: adopting leaves such files alone."""
        before, self.now = self.checkpoint, (made, base)
        if before is not None and before.file.startswith(INCOMING_PREFIX) and before.file != made.file:
            self.disk.remove(self.folder / before.file)

    def _begin_at(self, made: Checkpoint, base: Base) -> None:
        self._names(made, base)
        self.extents.trim(base.index)
        self.journal.trim(Index(base.record))
        self._remove_restored()

    def _find_restored(self) -> None:
        for name in self.disk.names(self.folder):
            if name.startswith(RESTORE_PREFIX):
                generation, index, size, digest = name.removeprefix(RESTORE_PREFIX).split("-")
                found = Staged(index=Index(int(index, 16)), generation=int(generation, 16), file=name, size=int(size, 16), digest=digest)
                if self.restored is None or self.restored.generation < found.generation:
                    self.restored = found
        self._remove_restored()

    def _remove_incoming(self) -> None:
        """What an earlier process did not take to its end, or replaced."""
        named = self.checkpoint
        for name in self.disk.names(self.folder):
            if name.startswith(INCOMING_PREFIX) and (named is None or name != named.file):
                self.disk.remove(self.folder / name)

    def _remove_restored(self) -> None:
        """Keeps the newest one, if it is newer than the checkpoint, and the checkpoint's own."""
        named = self.checkpoint
        if self.restored is not None and self.restored.generation <= self.generation:
            self.restored = None
        kept = {found.file for found in (named, self.restored) if found is not None}
        for name in self.disk.names(self.folder):
            if name.startswith(RESTORE_PREFIX) and name not in kept:
                self.disk.remove(self.folder / name)

    def _write(self, state: HardState, entries: bytes = b"") -> Index:
        return self._append(form.write_record(self.raft_id, state, entries), state)

    def _append(self, payload: bytes, state: HardState) -> Index:
        number = Index(self.journal.durable_index + 1)
        self.journal.write(payload, first=number, count=1, term=Term(state.term))
        return number

    def _rows(self, record: Record) -> list[Row]:
        """Its entries. A change of members from before an operator named them is an entry that says nothing."""
        rows = _entries(record)
        return [(row[0], row[1], 0, b"") if row[2] == 1 else row for row in rows] if record.first < self._named_at else rows

    def _payload(self, record: Record) -> bytes:
        """Likewise, for raft."""
        entries = form.read_record(record.payload)[2]
        return form.without_changes(entries, _entries(record)) if record.first < self._named_at else entries

    def _recover(self, draw: Callable[[int], bytes]) -> None:
        changes: list[tuple[int, bytes]] = []
        known = {member.id: member.raft_id for member in self.base.members}
        reading = Reading(self.journal, self.disk, Index(self.journal.first_index - 1))
        try:
            for record in _all(reading):
                self.raft_id, self.state, entries = form.read_record(record.payload)
                if entries and record.first > self.base.void:
                    self._take(record, changes)
                elif members := form.read_recovery(record.payload):
                    self._take_named(record.first, members, changes, known)
        finally:
            reading.close()
        if not self.raft_id:
            self.raft_id = int.from_bytes(draw(RAFT_ID_BYTES)) >> 1 or 1
            self._write(self.state)
        if (named := peers.read(self.disk, self.folder)) is not None:
            self._recover_with(named, changes, known)
        self._find_commit(changes)

    def _recover_with(self, named: peers.Peers, changes: list[tuple[int, bytes]], known: dict[NodeId, int]) -> None:
        """An operator says who the members are: durable before the file goes, so that this happens again if the process dies between."""
        _note_known(known, changes)
        self.named = peers.members(named, self.folder, own=(self.node, self.raft_id), known=known, has_log=self.extents.last > 0)
        if voters(self.named) == [self.raft_id] and self._known_end() < self.extents.last:
            raise peers.PeersError(self.folder, "the log has a snapshot that was being restored and is not here, and nobody else would "
                                                "have it: set up new nodes, and restore it there")
        self._take_named(self._append(form.write_recovery(self.raft_id, self.state, self.named), self.state), self.named, changes, known)
        peers.remove(self.disk, self.folder)

    def _take_named(self, record: Index, members: tuple[Member, ...], changes: list[tuple[int, bytes]], known: dict[NodeId, int]) -> None:
        _note_known(known, changes)
        changes.clear()
        self._named_at = record
        if record > self.base.record:                    # else the base is of after it, and has them
            known.update((member.id, member.raft_id) for member in members)
            self.now = (self.checkpoint, msgspec.structs.replace(self.base, members=members))
            self._named_before = self.extents.last + 1

    def _take(self, record: Record, changes: list[tuple[int, bytes]]) -> None:
        rows = _entries(record)
        wal = next((form.first_index(data) for _, _, kind, data in rows if kind == 0 and data), 0)
        self.extents.add(record.first, rows[0][0], rows[-1][0], wal)
        for index, term, _, _ in rows:
            if index > self.base.index:
                self.terms.note(index, term)
        for known in (changes, self._installs):
            while known and known[-1][0] >= rows[0][0]:
                known.pop()
        changes += ((index, data) for index, _, kind, data in rows if kind == 1 and index > self.base.index)
        self._installs += ((index, data) for index, _, kind, data in rows if kind == 0 and data and form.kind_of(data) == form.INSTALL)

    def _find_commit(self, changes: Sequence[tuple[int, bytes]]) -> None:
        """The members, and what is known to be committed. A node that is the only voter commits whatever it has made durable."""
        self.members = Members(self.base.index, self.base.members, self.raft_id)
        if self._named_before:
            self.members.named(self._named_before)
        last = self.extents.last
        commit = max(min(self.state.commit, last), self.base.index, 1 if self._named_before else 0)
        for index, data in changes:
            if index <= commit or self.members.is_alone:
                commit = max(commit, index)
                self.members.apply(index, form.read_change(data))
        if self.members.is_alone:
            commit = last
        self.terms.cut(commit)
        term, vote = self.state.term, self.state.vote
        if self.base.term > term:                        # the snapshot was taken in, and its hard state was not
            term, vote = self.base.term, 0
        self.state = HardState(term, vote, commit)


def _joined(chunks: Sequence[Chunk]) -> list[Chunk]:
    """As few records as there may be; one at least, for the hard state."""
    joined: list[Chunk] = []
    for chunk in chunks:
        if joined:
            first, last, mark, entries = joined[-1]
            if last + 1 == chunk[0] and len(entries) + len(chunk[3]) <= RAFT_PERSIST_BYTES:
                joined[-1] = (first, chunk[1], mark or chunk[2], entries + chunk[3])
                continue
        joined.append(chunk)
    return joined or [(0, 0, b"", b"")]


def _all(reading: Reading) -> Iterator[Record]:
    while found := reading.records(FOLLOW_BYTES):
        yield from found


def _note_known(known: dict[NodeId, int], changes: Sequence[tuple[int, bytes]]) -> None:
    for _, data in changes:
        member = form.read_change(data).member
        known[member.id] = member.raft_id


def _entries(record: Record) -> list[Row]:
    try:
        return raft_entries(form.read_record(record.payload)[2])
    except RaftError as error:
        raise IntegrityError(f"record {record.first} of the raft log cannot be read: {error}") from error
