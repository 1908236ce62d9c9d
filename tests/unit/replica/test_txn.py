"""What an attempt may do where, how it stops, and what listing costs."""
from collections.abc import Callable, Iterator

import pytest

from holdfast.crypto import UnknownKeyTerm
from holdfast.errors import BadRequest, IntegrityError, InvariantError
from holdfast.ids import Index
from holdfast.limits import KEY_BYTES_MAX
from holdfast.replica import Abandoned, Derived, HeavyCall, Need, Place, Reader, Reads, Run, Table, Txn, Why, with_folders
from holdfast.testing.memory import MemoryReplica, PlainBarrier


def txn_over(reader: Reader, place: Place = Place.ACTIVE, barrier: PlainBarrier | None = None) -> Txn:
    cache = Derived(100)
    cache.catch_up(reader)
    return Txn(Run(reader, barrier or PlainBarrier(), place, cache, Reads()))


@pytest.fixture
def replica() -> MemoryReplica:
    replica = MemoryReplica()
    replica.seed({"m/a": b"1", "m/f/x": b"2", "m/f/y": b"3", "m/z": b"4"})
    return replica


@pytest.mark.parametrize("place", [Place.WORKER, Place.MAIN])
def test_the_first_write_below_the_lane_stops_the_attempt(replica: MemoryReplica, place: Place) -> None:
    writes: list[Callable[[Txn], object]] = [lambda txn: txn.put("k", b""), lambda txn: txn.delete("k"), lambda txn: txn.spend("k", b""),
                                             lambda txn: txn.own_index]
    for write in writes:
        txn = txn_over(replica.open(), place)
        with pytest.raises(Abandoned):
            write(txn)
        assert txn.run.stop == Need(Place.ACTIVE, Why.WRITE)
        assert txn.changes() == {}


def test_once_stopped_nothing_goes_on_and_the_first_reason_stays(replica: MemoryReplica) -> None:
    txn = txn_over(replica.open(), Place.WORKER)
    inner = txn.at("m/")
    with pytest.raises(Abandoned):
        inner.need(Place.MAIN, Why.EFFECT)
    for call in (lambda: txn.get("m/a"), lambda: txn.exists("m/a"), lambda: inner.list(), lambda: txn.names("m/"), lambda: txn.all("m/"),
                 lambda: txn.derive(load_all), lambda: txn.put("k", b""), lambda: txn.need(Place.WORKER, Why.WRITE),
                 lambda: txn.halt(HeavyCall(b"key", dict))):
        with pytest.raises(Abandoned):
            call()
    assert txn.run.stop == Need(Place.MAIN, Why.EFFECT)


def load_all(txn: Txn) -> dict[str, bytes]:
    return txn.all("m/")


def test_what_a_place_can_do_it_does(replica: MemoryReplica) -> None:
    txn_over(replica.open(), Place.MAIN).need(Place.MAIN, Why.EFFECT)
    txn = txn_over(replica.open())
    txn.need(Place.ACTIVE, Why.OUTSIDE)
    assert txn.own_index == 2


def test_a_stop_inside_a_derived_value_stops_the_attempt(replica: MemoryReplica) -> None:
    def load(txn: Txn) -> None:
        try:
            txn.need(Place.ACTIVE, Why.ACTIVE_MEMORY)
        except BaseException:  # noqa: BLE001 — as an engine might
            return
    txn = txn_over(replica.open(), Place.WORKER)
    txn.derive(load)
    assert txn.run.stop == Need(Place.ACTIVE, Why.ACTIVE_MEMORY)


def test_a_derived_value_must_not_write(replica: MemoryReplica) -> None:
    with pytest.raises(InvariantError):
        txn_over(replica.open()).derive(lambda txn: txn.put("k", b""))


class Behind(PlainBarrier):
    def decrypt(self, key: str, sealed: bytes) -> bytes:
        raise UnknownKeyTerm(key)


def test_an_unknown_key_term_means_not_caught_up_but_not_on_the_lane(replica: MemoryReplica) -> None:
    reads: list[Callable[[Txn], object]] = [lambda txn: txn.get("m/a"), lambda txn: txn.all("m/"), lambda txn: txn.derive(load_all)]
    for place, higher in ((Place.WORKER, Place.MAIN), (Place.MAIN, Place.ACTIVE)):
        for read in reads:
            txn = txn_over(replica.open(), place, Behind())
            with pytest.raises(Abandoned):
                read(txn)
            assert txn.run.stop == Need(higher, Why.BEHIND)
    with pytest.raises(IntegrityError):
        txn_over(replica.open(), Place.ACTIVE, Behind()).get("m/a")


def test_existence_is_asked_without_opening_the_value(replica: MemoryReplica) -> None:
    txn = txn_over(replica.open(), Place.WORKER, Behind())
    assert txn.exists("m/a")
    assert not txn.exists("m/b")
    assert txn.run.reads.names == ["m/a", "m/b"]


def test_a_key_has_a_longest_length(replica: MemoryReplica) -> None:
    txn = txn_over(replica.open()).at("m/")
    txn.put("é" * ((KEY_BYTES_MAX - 2) // 2), b"")
    for key in ("é" * (KEY_BYTES_MAX // 2), "k" * (KEY_BYTES_MAX - 1)):
        with pytest.raises(BadRequest, match=f"the limit is {KEY_BYTES_MAX} bytes"):
            txn.put(key, b"")
    with pytest.raises(BadRequest, match="UTF-8"):
        txn.delete("\ud800")
    assert len(txn.changes()) == 1


def test_writes_go_and_spends_stay(replica: MemoryReplica) -> None:
    txn = txn_over(replica.open())
    txn.spend("m/a", b"spent")
    txn.put("m/a", b"written")
    txn.at("m/").delete("z")
    assert (txn.get("m/a"), txn.get("m/z")) == (b"written", None)
    assert txn.changes() == {"m/a": b"written", "m/z": None}
    txn.drop_writes()
    assert (txn.get("m/a"), txn.get("m/z")) == (b"spent", b"4")
    assert txn.changes() == {"m/a": b"spent"}


def test_reads_are_recorded_misses_and_folders_too(replica: MemoryReplica) -> None:
    txn = txn_over(replica.open())
    txn.at("m/").get("none")
    txn.list("m/", limit=1)
    txn.at("m/").names("f/")
    txn.all("m/")
    assert txn.run.reads.names == ["m/none", "m/", "m/f/", "m/"]
    assert txn.run.reads.touches({"m/f/"})
    assert not txn.run.reads.touches({"m/a", "n/"})


def test_what_a_refusal_read_is_recorded(replica: MemoryReplica) -> None:
    def refuse(txn: Txn) -> None:
        txn.get("m/none")
        raise KeyError
    txn = txn_over(replica.open())
    with pytest.raises(KeyError):
        txn.derive(refuse)
    assert txn.run.reads.touches({"m/none"})


class Counting:
    """Counts the keys that are walked."""

    def __init__(self, below: Reader) -> None:
        self._below, self.walked = below, 0
        self.index, self.get, self.changed_since, self.close = below.index, below.get, below.changed_since, below.close

    def keys(self, prefix: str, start: str = "") -> Iterator[str]:
        for key in self._below.keys(prefix, start):
            self.walked += 1
            yield key


def test_listing_costs_what_it_gives() -> None:
    replica = MemoryReplica()
    replica.seed({f"m/{folder}/{number:03}": b"" for folder in range(5) for number in range(100)})
    for own in (False, True):
        reader = Counting(replica.open())
        txn = txn_over(reader).at("m/")
        if own:
            txn.put("5", b"")
        assert txn.list() == tuple(f"{folder}/" for folder in range(5)) + (("5",) if own else ())
        assert txn.list("3/", after="050", limit=2) == ("051", "052")
        assert txn.names("1/", after="010", limit=3) == ("011", "012", "013")
        assert reader.walked <= 5 + 3 + 4


def test_a_walk_in_steps_sees_every_key_once() -> None:
    replica = MemoryReplica()
    replica.seed({f"t/{folder}/{number}": b"1" for folder in ("a", "a!", "b") for number in range(7)})
    table = Table("t/", int)
    txn = txn_over(replica.open())
    found: list[str] = []
    while step := table.names(txn, after=found[-1] if found else "", limit=4):
        found += step
    assert found == sorted(f"{folder}/{number}" for folder in ("a", "a!", "b") for number in range(7))
    assert table.names(txn, "a!/", limit=2) == ("0", "1")
    assert table.list(txn) == ("a!/", "a/", "b/")
    assert table.all(txn, "b/") == {str(number): 1 for number in range(7)}


def test_a_cached_table_decodes_once_and_follows_changes(replica: MemoryReplica) -> None:
    table = Table("c/", list[int], cached=True)
    replica.seed({"c/k": b"[1]"})
    cache = Derived(10)

    def get() -> list[int] | None:
        reader = replica.open()
        cache.catch_up(reader)
        return table.get(Txn(Run(reader, PlainBarrier(), Place.WORKER, cache, Reads())), "k")
    first = get()
    assert first == [1]
    assert get() is first
    replica.seed({"other": b""})
    assert get() is first
    replica.seed({"c/k": b"[2]"})
    assert get() == [2]
    replica.write({"c/k": None})
    assert get() is None


def test_folders_above_keys_are_named_once_and_long_ones_by_their_beginning() -> None:
    assert with_folders(["a/b/c", "a/b/d", "x", "f/"]) == {"a/b/c", "a/b/d", "a/b/", "a/", "x", "f/"}
    deep = "s/" * 10_000 + "k"
    names = with_folders([deep])
    assert len(names) < 260
    assert sum(map(len, names - {deep})) < 70_000
    replica = MemoryReplica()
    for folder in ("s/" * 9_000, "s/" * 300, "s/" * 256, "s/" * 5):
        txn = txn_over(replica.open(), Place.WORKER)
        txn.list(folder)
        assert txn.run.reads.touches(names), len(folder)
    txn = txn_over(replica.open(), Place.WORKER)
    txn.list("s/" * 100 + "t/")
    assert not txn.run.reads.touches(names)


def test_without_its_index_nothing_is_known() -> None:
    replica = MemoryReplica(window=3)
    for _ in range(5):
        replica.seed({"a": b""})
    assert replica.open().changed_since(Index(1)) is None
    assert replica.open().changed_since(Index(2)) == {"a"}
