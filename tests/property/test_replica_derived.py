"""A cached value is always the one that would be computed now, and an answer made of it depends on all that it was made of. Invariant 5."""
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.replica import Derived, Place, Reads, Run, Txn, with_folders
from holdfast.testing.memory import MemoryReplica, PlainBarrier

FOLDERS = ("a/", "a/x/")
KEYS = tuple(f"{folder}{number}" for folder in FOLDERS for number in range(2))
NOISE = ("n1", "n2", "n3", "n4", "n5", "n6", "n7")           # read by few values, so that most changes of them concern none
STEPS = st.lists(st.one_of(
    st.tuples(st.just("write"), st.sampled_from(KEYS)),
    st.tuples(st.just("delete"), st.sampled_from(KEYS)),
    st.tuples(st.sampled_from(["noise", "noise", "ask noise"]), st.sampled_from(NOISE)),
    st.tuples(st.just("noise"), st.sampled_from(NOISE)),
    st.tuples(st.sampled_from(["ask tree", "ask leaf", "ask refused", "ask parts"]), st.sampled_from(KEYS)),
    st.tuples(st.just("restore"), st.just(""))), min_size=20, max_size=60)
BARRIER = PlainBarrier()


def leaf(txn: Txn, key: str) -> bytes | None:
    return txn.get(key)


def strict(txn: Txn, key: str) -> bytes:
    value = txn.derive(leaf, key)
    if value is None:
        raise KeyError(key)
    return value


def refused(txn: Txn, key: str) -> bytes:
    try:
        return txn.derive(strict, key)
    except KeyError:
        return b"refused"


def tree(txn: Txn, folder: str) -> tuple[object, ...]:
    return (*txn.list(folder), *(txn.derive(refused, f"{folder}{number}") for number in range(2)), txn.derive(whole, folder))


def parts(txn: Txn) -> tuple[object, ...]:
    """Reads nothing itself."""
    return tuple(txn.derive(refused, key) for key in KEYS[1:])


def whole(txn: Txn, folder: str) -> tuple[object, ...]:
    return tuple(txn.all(folder).items())


def ask(replica: MemoryReplica, cache: Derived, action: str, key: str) -> tuple[object, Reads]:
    reader = replica.open()
    cache.catch_up(reader)
    txn = Txn(Run(reader, BARRIER, Place.WORKER, cache, Reads()))
    value: object
    match action:
        case "ask leaf" | "ask noise":
            value = txn.derive(leaf, key)
        case "ask refused":
            value = refused(txn, key)
        case "ask parts":
            value = txn.derive(parts)
        case _:
            value = txn.derive(tree, key[:key.rindex("/") + 1])
    return value, txn.run.reads


def depends(action: str, key: str) -> set[str]:
    """The keys that an answer depends on."""
    match action:
        case "ask leaf" | "ask refused":
            return {key}
        case "ask noise":
            return set()
        case "ask parts":
            return set(KEYS[1:])
        case _:
            return {name for name in KEYS if name.startswith(key[:key.rindex("/") + 1])}


@settings(max_examples=200)
@given(steps=STEPS, entries_max=st.integers(2, 30), names_max=st.integers(1, 12), window=st.integers(2, 40))
def test_cached_is_computed(steps: list[tuple[str, str]], entries_max: int, names_max: int, window: int) -> None:
    replica, cache = MemoryReplica(window), Derived(entries_max, names_max)
    for number, (action, key) in enumerate(steps):
        if action in ("write", "noise"):
            replica.seed({key: b"%d" % number})
            if number % 3:                               # some states are passed over
                cache.catch_up(replica.open())
        elif action == "delete":
            replica.write({key: None})
        elif action == "restore":
            replica.clear()                              # another history, whose numbers may come to be the same
            replica.seed({"a/0": b"%d" % number})
            cache.drop()
        else:
            value, reads = ask(replica, cache, action, key)
            assert value == ask(replica, Derived(1_000), action, key)[0]
            assert {name for name in KEYS if reads.touches(with_folders([name]))} == depends(action, key)
            assert len(cache.young) + len(cache._old) <= entries_max
