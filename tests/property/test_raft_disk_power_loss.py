"""Raft's journal: whatever the disk loses, the hard state, the entries and the checkpoint that were made durable are there. Invariant 4.

The model is a list of entries that later ones replace from their index on, as raft has a follower do.
"""
import contextlib
import errno
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.ids import Index, Millis, NodeId
from holdfast.storage import Changes, StateCopy, Uncertain, WriteBatch
from holdfast.storage.disk import BLOCK_BYTES
from holdfast.storage.raft import form
from holdfast.storage.raft.disk import Chunk, RaftDisk
from holdfast.storage.raft.form import Base, HardState
from holdfast.storage.raft.staging import Staging
from holdfast.testing.disk import FakeDisk, Stopped

FOLDER = Path("/raft")
Entry = tuple[int, int, bytes]                           # index, term, data

ACTIONS = st.one_of(
    st.tuples(st.just("append"), st.lists(st.integers(0, 2 * BLOCK_BYTES), min_size=1, max_size=4)),
    st.tuples(st.just("replace"), st.lists(st.integers(0, 2_000), min_size=1, max_size=3)),
    st.tuples(st.just("vote"), st.just([0])),
    st.tuples(st.just("commit"), st.lists(st.integers(0, 10), min_size=1, max_size=1)),
    st.tuples(st.just("checkpoint"), st.just([0])),
    st.tuples(st.just("install"), st.lists(st.integers(1, 5), min_size=1, max_size=1)),
    st.tuples(st.just("fail_sync"), st.sampled_from([[errno.EIO], [0, errno.EIO], [errno.ENOSPC]])),
    st.tuples(st.just("fail_write"), st.sampled_from([[errno.EIO], [errno.ENOSPC]])),
)
LIVES = st.lists(st.tuples(st.lists(ACTIONS, max_size=14), st.sampled_from(["kill", "power"]), st.integers(0, 80)), min_size=1, max_size=5)


@dataclass
class Model:
    """What was made durable, and what one write may have made of it that nobody was told the end of."""

    state: HardState = field(default_factory=HardState)
    entries: list[Entry] = field(default_factory=list)
    states: list[HardState] = field(default_factory=list)    # also possible
    possible: list[list[Entry]] = field(default_factory=list)

    def after(self, added: Sequence[Entry]) -> list[Entry]:
        return [entry for entry in self.entries if not added or entry[0] < added[0][0]] + list(added)

    def settle(self, state: HardState, added: Sequence[Entry]) -> None:
        self.state, self.entries = state, self.after(added)
        self.states, self.possible = [], []


def varint(number: int) -> bytes:
    found = b""
    while number > 127:
        found, number = found + bytes((number & 127 | 128,)), number >> 7
    return found + bytes((number,))


def payload(entries: Sequence[Entry]) -> bytes:
    """As the native module writes them: the fields of raft's `Entry` in protobuf."""
    encoded = [b"\x10" + varint(term) + b"\x18" + varint(index) + (b"\x22" + varint(len(data)) + data if data else b"")
               for index, term, data in entries]
    return b"".join(len(one).to_bytes(4) + one for one in encoded)


def chunk_of(entries: Sequence[Entry]) -> list[Chunk]:
    mark = next((data[:16] for _, _, data in entries if data), b"")
    return [(entries[0][0], entries[-1][0], mark, payload(entries))] if entries else []


class Life:
    """One process."""

    def __init__(self, disk: FakeDisk, model: Model, dice: Random) -> None:
        self.disk, self.model, self.dice = disk, model, dice
        self.raft = RaftDisk(disk, FOLDER, NodeId("n"), draw=dice.randbytes, segment_bytes=8 * BLOCK_BYTES, reserve_bytes=0)

    def check(self) -> None:
        """What is found is the model, or the model with the write whose end nobody was told."""
        base, model = self.raft.base.index, self.model
        found = self.raft.read(base, self.raft.extents.last, 1 << 30)
        rows = [(index, term, data) for index, term, _, data in found]
        begin = [(base, self.raft.base.term)] if base else []
        fitting = [one for one in (model.entries, *model.possible)
                   if [entry for entry in one if entry[0] > base] == rows and begin == [entry[:2] for entry in one if entry[0] == base]]
        assert fitting
        assert (self.raft.state.term, self.raft.state.vote) in [(state.term, state.vote) for state in (model.state, *model.states)]
        assert self.raft.state.commit in {max(state.commit, base) for state in (model.state, *model.states)}
        (before, term), payloads = self.raft.window(1)
        assert before <= max(self.raft.state.commit, base)
        assert bool(payloads) == bool(rows)
        assert term == next((of for index, of, _ in fitting[0] if index == before), 0)
        model.settle(self.raft.state, [])
        model.entries = fitting[0]

    def act(self, action: str, sizes: list[int]) -> None:
        model, state = self.model, self.model.state
        last = model.entries[-1][0] if model.entries else 0
        if action == "append":
            self.persist(HardState(state.term or 1, state.vote, state.commit), self.some(last + 1, state.term or 1, sizes))
        elif action == "replace":
            first = max(state.commit, last - 2) + 1
            self.persist(HardState(state.term + 1, 7, state.commit), self.some(first, state.term + 1, sizes))
        elif action == "vote":
            self.persist(HardState(state.term + 1, self.dice.randrange(9), state.commit), [])
        elif action == "commit":
            self.persist(HardState(state.term, state.vote, min(last, state.commit + sizes[0])), [])
        elif action == "checkpoint":
            self.checkpoint()
        elif action == "install":
            self.install(max(last, state.commit) + sizes[0])
        elif action == "fail_sync":
            self.disk.fail_syncs = list(sizes)
        else:
            self.disk.fail_writes = list(sizes)

    def some(self, first: int, term: int, sizes: list[int]) -> list[Entry]:
        """Entries with a batch each, whose numbers go on with those of the entries; one without a size is empty."""
        return [(index, term, form.write_group([WriteBatch(index=Index(index), time_ms=Millis(term), changes=_changes(term, size))])
                 if size else b"") for index, size in enumerate(sizes, first)]

    def persist(self, state: HardState, entries: list[Entry]) -> None:
        model = self.model
        model.states.append(state)
        model.possible.append(model.after(entries))
        for _ in range(4):
            try:
                self.raft.persist(state, chunk_of(entries))
                model.settle(state, entries)
                return
            except (Uncertain, OSError):
                with contextlib.suppress(Uncertain, OSError):
                    self.raft.settle()
        raise Stopped                                    # a disk that takes nothing: the process ends

    def checkpoint(self) -> None:
        model, base = self.model, self.raft.base.index
        if model.state.commit <= base:
            return
        index, term, _ = model.entries[model.state.commit - 1]
        wal = self.raft.wal_at(index)
        if wal <= self.raft.base_wal:
            return

        def state() -> Generator[bytes, None, None]:
            yield b"state at %d" % wal

        with contextlib.suppress(OSError):
            self.raft.save(StateCopy(index=wal, generation=0, chunks=state()), Base(index=index, term=term))


    def install(self, index: int) -> None:
        """A snapshot from a leader of a later term: what is here makes way for it."""
        model, term = self.model, self.model.state.term + 1
        try:
            staging = Staging(self.raft)
            staging.write(b"state", 5)
            staged = staging.finish(Index(self.raft.base_wal + index), 0)
        except OSError:
            return
        model.states.append(HardState(term, 0, index))
        model.possible.append([(at, term, b"") for at in range(1, index + 1)])
        for _ in range(4):
            with contextlib.suppress(OSError, Uncertain):
                self.raft.settle()
                self.raft.install(staged, Base(index=index, term=term))
                self.raft.persist(HardState(term, 0, index), [])
                model.settle(HardState(term, 0, index), [])
                model.entries = [(at, term, b"") for at in range(1, index + 1)]
                return
        raise Stopped


def _changes(term: int, size: int) -> Changes:
    return {"k": bytes((term % 256,)) * size}


@settings(max_examples=120)
@given(lives=LIVES, seed=st.integers(0, 1 << 32))
def test_what_was_made_durable_is_there_whatever_the_disk_loses(lives: list[tuple[list[tuple[str, list[int]]], str, int]],
                                                                seed: int) -> None:
    disk, model, dice = FakeDisk(seed), Model(), Random(seed)
    for actions, end, steps in lives:
        with contextlib.suppress(Stopped):
            life = Life(disk, model, dice)
            life.check()
            disk.steps_left = steps
            for action, sizes in actions:
                life.act(action, sizes)
        disk.steps_left = None
        disk.fail_syncs.clear()
        disk.fail_writes.clear()
        disk.lose_power() if end == "power" else disk.kill()
    Life(disk, model, dice).check()
