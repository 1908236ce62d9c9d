"""The cache's bounds, and what is opened from values."""
import pytest

from holdfast.ids import Index
from holdfast.replica import Derived, Opened, Overlay, Reader, Reads
from holdfast.storage import WriteBatch
from holdfast.testing.memory import MemoryReplica


def entry(replica: MemoryReplica, *names: str) -> tuple[str, Reads]:
    return "value", Reads(names=list(names), held_at=replica.index)


def test_values_are_bounded_and_those_in_use_stay() -> None:
    replica, cache = MemoryReplica(), Derived(10)
    replica.write({"a": b""})
    cache.catch_up(replica.open())
    for number in range(100):
        for _ in range(2):
            cache.put(number, entry(replica, f"k{number}"))
        assert cache.get(number) is not None
        cache.put("used", entry(replica, "u")) if number == 0 else None
        assert cache.get("used") is not None
        assert len(cache.young) + len(cache._old) <= 10
    assert cache.get(0) is None


def test_what_is_asked_for_once_pushes_nothing_out() -> None:
    replica, cache = MemoryReplica(), Derived(10)
    replica.write({"a": b""})
    cache.catch_up(replica.open())
    for number in range(100):
        cache.put(number, entry(replica, f"k{number}"))
        assert len(cache._computed) <= 10
    assert [number for number in range(100) if cache.get(number) is not None] == list(range(10))


def test_a_value_that_holds_no_more_is_followed_by_the_next_at_once_however_full_it_is() -> None:
    replica, cache = MemoryReplica(), Derived(2)
    replica.write({"a": b"", "b": b""})
    cache.catch_up(replica.open())
    for name in ("a", "b"):
        cache.put(name, entry(replica, name))
    replica.write({"a": b"1"})
    cache.catch_up(replica.open())
    assert cache.get("a") is None
    cache.put("a", entry(replica, "a"))
    assert cache.get("a") is not None
    assert cache.get("b") is not None


def test_names_are_bounded_and_what_is_forgotten_counts_as_changed() -> None:
    replica, cache = MemoryReplica(), Derived(10, names_max=8)
    replica.write({"a": b""})
    cache.catch_up(replica.open())
    cache.put("idle", entry(replica, "k"))
    cache.put("asked", entry(replica, "k"))
    cache.put("noise", entry(replica, "other/"))
    for number in range(40):
        replica.write({f"other/{number}": b""})
        cache.catch_up(replica.open())
        assert cache.get("asked") is not None
        assert len(cache._changed) <= 8 + 2
        assert len(cache._changed_before) <= 8 + 2
    assert cache.get("idle") is None


def test_long_names_count_for_more() -> None:
    replica, cache = MemoryReplica(), Derived(10, names_max=100)
    replica.write({"a": b""})
    cache.catch_up(replica.open())
    cache.put("v", entry(replica, "k"))
    cache.put("noise", entry(replica, "other/"))
    for number in range(40):
        replica.write({f"other/{number}" + "x" * 30_000: b""})
        cache.catch_up(replica.open())
        assert len(cache._changed) <= 3
    assert cache.get("v") is None


def test_what_many_values_share_is_known_in_every_generation_of_names() -> None:
    replica, cache = MemoryReplica(), Derived(10)
    for number in range(100):
        if number % 23 == 0:
            replica.write({"shared": b""})
            cache.catch_up(replica.open())
            assert not [each for each in range(number) if cache.get(each) is not None]
            part = Reads(names=["shared"], held_at=replica.index)
        for _ in range(2):
            cache.put(number, ("value", Reads(names=[f"k{number}"], parts=[part], held_at=replica.index)))
        assert cache.get(number) is not None


def test_a_change_that_no_value_reads_costs_nothing_later() -> None:
    replica, cache = MemoryReplica(), Derived(10, names_max=8)
    replica.write({"a": b""})
    cache.catch_up(replica.open())
    part = Reads(names=["p"], held_at=replica.index)
    cache.put("v", ("value", Reads(names=["k"], parts=[part], held_at=replica.index)))
    for number in range(40):
        replica.write({f"other/{number}": b""})
        cache.catch_up(replica.open())
        assert not cache._changed
    assert cache.get("v") is not None
    replica.write({"p": b""})
    cache.catch_up(replica.open())
    assert cache.get("v") is None


def test_a_value_of_another_state_is_not_kept() -> None:
    replica, cache = MemoryReplica(), Derived(10)
    replica.write({"a": b""})
    old = entry(replica, "k")
    replica.write({"a": b""})
    cache.catch_up(replica.open())
    cache.put("old", old)
    assert cache.get("old") is None


def test_an_older_state_than_the_last_knows_nothing() -> None:
    replica, cache = MemoryReplica(), Derived(10)
    replica.write({"a": b""})
    before = replica.open()
    replica.write({"k": b""})
    cache.catch_up(replica.open())
    cache.put("v", entry(replica, "k"))
    cache.catch_up(before)
    assert cache.get("v") is None


def test_an_empty_cache_asks_for_no_changes() -> None:
    class Refusing:
        index = Index(9)

        def changed_since(self, index: Index) -> frozenset[str]:
            raise AssertionError
    Derived(10).catch_up(Refusing())  # type: ignore[arg-type]


def test_a_resource_is_reopened_when_its_settings_change() -> None:
    replica, done = MemoryReplica(), list[str]()

    def settings(reader: Reader) -> str:
        return (reader.get("path") or b"").decode()

    def opening(path: str) -> str:
        if path == "bad":
            raise OSError(path)
        done.append(f"open {path}")
        return f"file {path}"
    resource = Opened(settings, opening, lambda thing: done.append(f"close {thing}"))
    replica.write({"path": b"a"})
    assert resource.current(replica.open()) == resource.current(replica.open()) == "file a"
    replica.write({"other": b"x"})
    resource.current(replica.open())
    assert done == ["open a"]
    replica.write({"path": b"b"})
    assert resource.current(replica.open()) == "file b"
    replica.write({"path": b"bad"})
    for _ in range(2):
        with pytest.raises(OSError, match="bad"):
            resource.current(replica.open())
    replica.write({"path": b"b"})
    assert resource.current(replica.open()) == "file b"
    resource.close()
    resource.close()
    assert done == ["open a", "close file a", "open b", "close file b", "open b", "close file b"]


def test_an_overlay_without_batches_is_the_replica_itself() -> None:
    replica, overlay = MemoryReplica(), Overlay()
    reader = replica.open()
    assert overlay.over(reader) is reader
    batch = WriteBatch(index=Index(1), time_ms=replica.time_ms, changes={"a": b""})
    overlay.push(batch)
    assert overlay.over(reader) is not reader
    replica.apply([batch])
    later = replica.open()
    assert overlay.over(later) is later
    overlay.applied(Index(1))
    assert overlay.over(reader) is reader
