"""States that come in whole, among batches: whoever reads, old readers and other views among them, sees each state as it was."""
import asyncio
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.ids import Index, Millis
from holdfast.replica.lmdb import LmdbReader, LmdbReplica
from holdfast.storage import Changes, Snapshot, WriteBatch

KEYS = st.sampled_from(["a", "b/c", "x" * 600, "x" * 600 + "/y", "z" * 1_100])
CHANGES = st.dictionaries(KEYS, st.one_of(st.none(), st.binary(max_size=3)), min_size=1, max_size=4)
STEPS = st.lists(st.one_of(CHANGES, st.sampled_from(["install", "clear", "read", "restart"])), max_size=14)


class World:
    """A replica under test, the state that it should have, and another replica, whose states it is given."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "replica"
        self.replica = LmdbReplica(self.path, writable=True)
        self.source = LmdbReplica(folder / "source", writable=True)
        self.expected: dict[str, bytes] = {}
        self.installed = Index(0)
        self.readers: list[tuple[LmdbReader, Index, dict[str, bytes]]] = []

    def apply(self, changes: Changes) -> None:
        index = Index(self.replica.index + 1)
        self.replica.apply([WriteBatch(index=index, time_ms=Millis(index), changes=changes)])
        for key, value in changes.items():
            self.expected.pop(key, None)
            if value is not None:
                self.expected[key] = value

    def install(self) -> None:
        """A state of a higher index: its keys say which."""
        batches = [WriteBatch(index=Index(at), time_ms=Millis(at), changes={"a": b"%d" % at, "x" * (500 + at % 3): b"%d" % at})
                   for at in range(self.source.index + 1, max(self.source.index, self.replica.index) + 3)]
        self.source.apply(batches)
        copy = self.source.copy()

        async def chunks() -> AsyncIterator[bytes]:
            for chunk in copy.chunks:
                yield chunk

        asyncio.run(self.replica.install(Snapshot(index=copy.index, generation=self.replica.state.generation + 1, chunks=chunks())))
        self.expected = content(self.source.open())
        self.installed = copy.index
        assert self.replica.index == copy.index

    def do(self, step: Changes | str) -> None:
        match step:
            case "install":
                self.install()
            case "clear":
                self.replica.clear()
                self.expected = {}
                assert self.replica.index == 0
            case "read":
                self.readers.append((self.replica.open(), self.replica.index, dict(self.expected)))
            case "restart":
                self.check_readers()
                self.replica.close()
                self.replica = LmdbReplica(self.path, writable=True)
            case _:
                assert isinstance(step, dict)
                before = self.replica.index
                self.apply(step)
                reader = self.replica.open()
                assert set(step) <= (reader.changed_since(before) or set())
                if before and before == self.installed:
                    assert reader.changed_since(Index(before - 1)) is None, "what brought the state is not known"
                reader.close()

    def check_readers(self) -> None:
        for reader, index, expected in self.readers:
            assert reader.index == index
            assert content(reader) == expected
        self.readers.clear()


def content(reader: LmdbReader) -> dict[str, bytes]:
    try:
        return {key: reader.get(key) or b"" for key in reader.keys("")}
    finally:
        reader.close()


@settings(max_examples=40)
@given(steps=STEPS)
def test_every_state_reads_as_it_was(steps: list[Changes | str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        for step in steps:
            world.do(step)
            assert content(world.replica.open()) == world.expected
            assert len(list(world.path.glob("*.mdb"))) == 1
        world.check_readers()
        world.replica.close()
        world.source.close()
