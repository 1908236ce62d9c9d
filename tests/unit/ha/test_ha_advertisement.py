"""Who is active, as the log says it."""
from tests.unit.ha.machines import A, B, advertisement

from holdfast.ha.advertisement import LEADERS, advertise, newest
from holdfast.replica import Derived, Place, Reads, Run, Txn
from holdfast.testing.memory import MemoryReplica, PlainBarrier


def txn(replica: MemoryReplica) -> Txn:
    return Txn(Run(replica.open(), PlainBarrier(), Place.ACTIVE, Derived(100), Reads()))


def write(replica: MemoryReplica, made: Txn) -> None:
    replica.write({key: None if value is None else PlainBarrier().encrypt(key, value, nonce=b"") for key, value in made.changes().items()})


def test_there_may_be_none() -> None:
    assert newest(txn(MemoryReplica())) is None


def test_a_successor_takes_the_place_of_all_before_it() -> None:
    replica = MemoryReplica()
    first, second = advertisement(3, A), advertisement(5, B)
    for uuid, made in (("u1", first), ("u2", second)):
        change = txn(replica)
        advertise(change, uuid, made)
        write(replica, change)
        assert newest(txn(replica)) == made
    assert LEADERS.names(txn(replica)) == ("u2",)


def test_of_several_the_newest_term_counts() -> None:
    replica = MemoryReplica()
    change = txn(replica)
    for uuid, made in (("u1", advertisement(9, A)), ("u2", advertisement(10, B)), ("u3", advertisement(2, A))):
        LEADERS.put(change, uuid, made)
    write(replica, change)
    found = newest(txn(replica))
    assert found is not None
    assert (found.node, found.term) == (B, 10)


def test_its_key_is_not_shown() -> None:
    assert "kkkk" not in repr(advertisement())
