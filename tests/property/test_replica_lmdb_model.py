"""LMDB and the replica in memory tell the same of every state: values, order, what changed; keys of any length."""
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.ids import Index, Millis
from holdfast.replica.lmdb import LmdbReader, LmdbReplica
from holdfast.storage import Changes, WriteBatch
from holdfast.testing.memory import MemoryReader, MemoryReplica

# Pieces of 498 to 502 bytes put names on both sides of where long ones are cut, at one level or several.
PIECES = st.one_of(st.sampled_from(["a", "b", "/", "é", "\U0010ffff", "\0", "0"]), st.integers(498, 502).map(lambda count: "x" * count),
                   st.sampled_from(["y" * 1_000, "é" * 250, "a/" * 300]))
KEYS = st.lists(PIECES, min_size=1, max_size=4).map("".join)
CHANGES = st.dictionaries(KEYS, st.one_of(st.none(), st.binary(max_size=3)), max_size=5)
HISTORIES = st.lists(st.lists(CHANGES, min_size=1, max_size=3), max_size=5)


@settings(max_examples=80)
@given(history=HISTORIES, asked=st.lists(KEYS, max_size=3), since=st.integers(0, 10))
def test_every_state_reads_the_same(history: list[list[Changes]], asked: list[str], since: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        real, model = LmdbReplica(Path(folder), writable=True), MemoryReplica()
        readers = [(real.open(), model.open())]
        written: set[str] = set()
        for group in history:
            batches = [WriteBatch(index=Index(model.index + 1 + at), time_ms=Millis(at), changes=changes)
                       for at, changes in enumerate(group)]
            real.apply(batches)
            model.apply(batches)
            readers.append((real.open(), model.open()))
            written.update(key for changes in group for key in changes)
        for one, other in readers:
            known = Index(min(since, other.index))
            same(one, other, [*asked, *sorted(written)])
            # Of batches that were applied together it tells what all of them changed.
            seen = max(each.index for _, each in readers if each.index <= known)
            assert one.changed_since(known) == other.changed_since(seen if known < other.index else known)
            one.close()
        real.close()


def same(real: LmdbReader, model: MemoryReader, keys: list[str]) -> None:
    assert real.index == model.index
    assert list(real.keys("")) == list(model.keys(""))
    for key in keys:
        assert real.get(key) == model.get(key)
        for prefix in (key, key[:1], key[:500]):
            assert list(real.keys(prefix)) == list(model.keys(prefix))
            assert list(real.keys(prefix, key)) == list(model.keys(prefix, key))
        assert list(real.keys("", key)) == list(model.keys("", key))
