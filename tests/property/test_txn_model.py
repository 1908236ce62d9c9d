"""A Txn over random histories against an obvious model: own writes, spends, listing, derived values, the overlay, what is abandoned."""
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.ids import Index, Millis
from holdfast.replica import Derived, Overlay, Place, Reader, Reads, Run, Table, Txn, with_folders
from holdfast.replica.reader import folder_name
from holdfast.storage import Changes, WriteBatch
from holdfast.testing.memory import MemoryReplica, PlainBarrier

BARRIER = PlainBarrier()
SEGMENTS = st.sampled_from(["a", "b", "a!", "a0", "é"])
NAMES = st.lists(SEGMENTS, min_size=1, max_size=3).map("/".join)
FOLDERS = st.lists(SEGMENTS, max_size=2).map(lambda parts: "".join(f"{part}/" for part in ["m", *parts]))
KEYS = NAMES.map(lambda name: f"m/{name}")
VALUES = st.one_of(st.none(), st.binary(max_size=2))
AFTERS = st.one_of(st.just(""), NAMES, NAMES.map(lambda name: name + "/"))
Step: TypeAlias = tuple[str, str, bytes | None, str, int]
STEPS = st.lists(st.tuples(
    st.sampled_from(["get", "exists", "list", "names", "all", "table", "derive", "derive", "put", "delete", "spend", "drop"]),
    KEYS, VALUES, AFTERS, st.integers(0, 3)), max_size=8)
ENDS = st.sampled_from(["commit", "commit", "discard", "abandon"])
ATTEMPTS = st.lists(st.tuples(STEPS, ENDS, st.integers(0, 3)), min_size=1, max_size=14)
TABLE = Table("m/", dict[str, int], cached=True)
Results: TypeAlias = list[object]


def leaf(txn: Txn, key: str) -> bytes | None:
    return txn.get(key)


def strict(txn: Txn, key: str) -> bytes:
    value = txn.derive(leaf, key)
    if value is None:
        raise KeyError(key)
    return value


def folder_of(key: str) -> str:
    return key[:key.rindex("/") + 1]


def tree(txn: Txn, folder: str) -> tuple[object, ...]:
    """Made of a list, a whole folder, other derived values and refusals."""
    found: list[object] = [*txn.list(folder), *txn.derive(whole, folder)]
    for name in ("a", "b"):
        try:
            found.append(txn.derive(strict, folder + name))
        except KeyError:
            found.append("refused")
    return tuple(found)


def whole(txn: Txn, folder: str) -> tuple[object, ...]:
    return tuple(txn.all(folder).items())


def listed(values: dict[str, bytes], folder: str) -> list[str]:
    return sorted({key[len(folder):].partition("/")[0] + ("/" if "/" in key[len(folder):] else "")
                   for key in values if key.startswith(folder)})


def below(values: dict[str, bytes], folder: str) -> dict[str, bytes]:
    return {key[len(folder):]: values[key] for key in sorted(values) if key.startswith(folder)}


def applied(values: dict[str, bytes], changes: Changes) -> dict[str, bytes]:
    after = {**values, **{key: value for key, value in changes.items() if value is not None}}
    return {key: value for key, value in after.items() if changes.get(key, b"") is not None}


@dataclass
class World:
    """A lane with its replica, overlay and cache, a worker's cache, and the model: plain dicts."""

    replica: MemoryReplica = field(default_factory=lambda: MemoryReplica(window=6))
    overlay: Overlay = field(default_factory=Overlay)
    cache: Derived = field(default_factory=lambda: Derived(5, names_max=4))
    worker_cache: Derived = field(default_factory=lambda: Derived(5, names_max=4))
    states: list[dict[str, bytes]] = field(default_factory=lambda: [{}])
    pending: list[WriteBatch] = field(default_factory=list)

    @property
    def values(self) -> dict[str, bytes]:
        return self.states[-1]

    def commit(self, changes: Changes) -> None:
        sealed = {key: None if value is None else BARRIER.encrypt(key, value, nonce=b"") for key, value in changes.items()}
        batch = WriteBatch(index=Index(len(self.states)), time_ms=Millis(0), changes=sealed)
        self.overlay.push(batch)
        self.pending.append(batch)
        self.states.append(applied(self.values, changes))

    def apply(self, count: int, tell: bool) -> None:
        """The first batches on their way arrive in the replica; the overlay may be told only later."""
        done, self.pending = self.pending[:count], self.pending[count:]
        self.replica.apply(done)
        if tell:
            self.overlay.applied(self.replica.index)

    def abandon(self) -> None:
        self.overlay.drop()
        self.cache.drop()
        self.pending = []
        del self.states[self.replica.index + 1:]


def run_step(txn: Txn, step: Step) -> object:
    """One read, through whichever way."""
    action, key, _, after, limit = step
    match action:
        case "get":
            return txn.get(key)
        case "exists":
            return txn.exists(key)
        case "list":
            return txn.list(folder_of(key), after=after, limit=limit)
        case "names":
            return txn.names(folder_of(key), after=after, limit=limit)
        case "all":
            return tuple(txn.all(folder_of(key)).items())
        case "table":
            return TABLE.exists(txn, key[2:])
        case _:
            return txn.at("m/").derive(tree, folder_of(key)[2:]) if limit and folder_of(key) != "m/" else txn.derive(tree, folder_of(key))


def expected(values: dict[str, bytes], step: Step) -> object:
    action, key, _, after, limit = step
    folder = folder_of(key)
    match action:
        case "get":
            return values.get(key)
        case "exists" | "table":
            return key in values
        case "list":
            return tuple([name for name in listed(values, folder) if name > after][:limit or None])
        case "names":
            return tuple([name for name in below(values, folder) if name > after][:limit or None])
        case "all":
            return tuple(below(values, folder).items())
        case _:
            leaves = (values.get(folder + name, "refused") for name in ("a", "b"))
            return (*listed(values, folder), *below(values, folder).items(), *leaves)


def attempt(world: World, steps: list[Step]) -> tuple[Txn, Results]:
    reader = world.overlay.over(world.replica.open())
    assert reader.index == len(world.states) - 1
    world.cache.catch_up(reader)
    txn = Txn(Run(reader, BARRIER, Place.ACTIVE, world.cache, Reads()))
    writes: Changes = {}
    spends: Changes = {}
    results: Results = []
    for step in steps:
        action, key, value, _, _ = step
        if action == "drop":
            txn.drop_writes()
            writes.clear()
        elif action == "put":
            txn.put(key, value or b"")
            writes[key] = value or b""
        elif action == "delete":
            txn.delete(key)
            writes[key] = None
        elif action == "spend":
            txn.spend(key, value)
            spends[key] = value
        else:
            results.append(run_step(txn, step))
            assert results[-1] == expected(applied(world.values, {**spends, **writes}), step), step
    assert txn.changes() == {**spends, **writes}
    return txn, results


def check_worker(world: World, steps: list[Step]) -> tuple[Reads, Results]:
    """The same reads at a worker: the replica alone, perhaps behind the lane."""
    reader = world.replica.open()
    world.worker_cache.catch_up(reader)
    txn = Txn(Run(reader, BARRIER, Place.WORKER, world.worker_cache, Reads()))
    results = []
    for step in steps:
        results.append(run_step(txn, step))
        assert results[-1] == expected(world.states[reader.index], step), step
    return txn.run.reads, results


def check_gate(world: World, seen: list[tuple[list[Step], Index, Reads, Results]]) -> None:
    """Rule 2: if nothing that an answer read has changed since, the answer is still right."""
    reader = world.replica.open()
    for steps, index, reads, results in seen:
        changed = reader.changed_since(index)
        if changed is not None and not reads.touches(changed):
            assert results == [expected(world.states[reader.index], step) for step in steps]


@settings(max_examples=200)
@given(attempts=ATTEMPTS, told=st.booleans())
def test_a_txn_is_a_dict_with_layers(attempts: list[tuple[list[Step], str, int]], told: bool) -> None:
    world = World()
    seen: list[tuple[list[Step], Index, Reads, Results]] = []
    for steps, end, count in attempts:
        txn, _ = attempt(world, steps)
        if end == "commit" and txn.changes():
            world.commit(txn.changes())
        elif end == "abandon":
            world.abandon()
        world.apply(count, told)
        reads_only = [step for step in steps if step[0] not in ("put", "delete", "spend", "drop")]
        at = world.replica.index
        seen.append((reads_only, at, *check_worker(world, reads_only)))
        check_gate(world, seen)


def obvious_keys(values: dict[str, bytes]) -> Callable[[str, str], list[str]]:
    return lambda prefix, start: [key for key in sorted(values) if key.startswith(prefix) and key >= start]


@settings(max_examples=100)
@given(batches=st.lists(st.dictionaries(KEYS, VALUES, max_size=4), max_size=8), arrived=st.integers(0, 8), told=st.integers(0, 8),
       later=st.dictionaries(KEYS, VALUES, max_size=3), prefix=st.one_of(FOLDERS, NAMES), start=KEYS)
def test_a_view_of_the_overlay_stays_what_it_was(batches: list[Changes], arrived: int, told: int, later: Changes, prefix: str,
                                                 start: str) -> None:
    world = World()
    for changes in batches:
        world.commit(changes)
    world.apply(min(arrived, len(batches)), tell=False)
    world.overlay.applied(Index(min(told, world.replica.index)))
    view: Reader = world.overlay.over(world.replica.open())
    values = dict(world.values)

    def check() -> None:
        assert view.index == len(batches)
        assert {key: view.get(key) for key in (*values, "m/none")} == {
            **{key: BARRIER.encrypt(key, value, nonce=b"") for key, value in values.items()}, "m/none": None}
        keys = obvious_keys(values)
        for pair in ((prefix, ""), (prefix, start), ("m/", start), ("", "")):
            assert list(view.keys(*pair)) == keys(*pair)

    check()
    world.commit(later)
    check()
    world.apply(9, tell=True)
    check()
    world.overlay.drop()
    check()


LONG_PATHS = st.lists(st.one_of(SEGMENTS, st.integers(505, 515).map(lambda count: "s" * count), st.just("t/" * 254 + "t")), min_size=1,
                      max_size=4).map("/".join)


@settings(max_examples=100)
@given(keys=st.lists(LONG_PATHS, min_size=1, max_size=4))
def test_whoever_listed_a_folder_above_a_changed_key_is_told(keys: list[str]) -> None:
    changed = with_folders(keys)
    for key in keys:
        assert key in changed
        for at, char in enumerate(key):
            if char == "/":
                assert folder_name(key[:at + 1]) in changed
