"""Histories of a register where snapshots were put back: what is right then, and what is not."""
from math import inf

import pytest
from msgspec.structs import replace

from holdfast.crypto import Keyring
from holdfast.engine import NodeFacts
from holdfast.ids import Index
from holdfast.testing.generations import Held, Register, check_restores, generations_of
from holdfast.testing.history import Act, Operation
from holdfast.testing.restores import Restore, Restores, Saved

# A snapshot of index 20, which holds version 2, "b", is put back as index 31 between 50 and 60.
KEYRING: Keyring = None  # type: ignore[assignment]      # nothing is read with it
AT_20 = Saved(b"", Index(20), KEYRING, NodeFacts())


def write(invoked: float, value: str, version: int, index: int, returned: float | None = None) -> Operation:
    return Operation(client=2, key="k", act=Act.WRITE, invoked=invoked, returned=invoked + 1 if returned is None else returned, value=value,
                     version=version, index=index)


def read(invoked: float, value: str | None, version: int, index: int = 0) -> Operation:
    return Operation(client=1, key="k", act=Act.READ, invoked=invoked, returned=invoked + 1, value=value, version=version, index=index)


BEFORE = (write(1, "a", 1, 10), write(3, "b", 2, 20), write(5, "c", 3, 30))
AFTER = write(70, "d", 3, 40)
END = {1: "a", 2: "b", 3: "d"}


def check(*history: Operation, end: dict[int, str | None] | None = None, held: Held = (2, "b"), ordered: bool = True) -> str | None:
    restores = Restores()
    restores.done = [Restore(AT_20, Index(31), 1, 50.0, 60.0)]
    generations = generations_of(restores, lambda restore: held)
    register = Register("k", [*BEFORE, AFTER, *history], generations, restores, dict(END) if end is None else end)
    return register.check(reads_are_ordered=ordered)


@pytest.mark.parametrize("more", [
    (),
    (read(10, "c", 3), read(65, "b", 2), read(80, "d", 3)),
    (read(54, "c", 3), read(54, "b", 2)),                # while it is put back: before, and after
    (read(51, "b", 2), read(58, "b", 2)),
])
def test_what_is_right(more: tuple[Operation, ...]) -> None:
    assert check(*more) is None


@pytest.mark.parametrize(("more", "why"), [
    ((read(65, "c", 3),), "client 1"),                   # what was there before is read after it was answered
    ((read(10, "b", 2),), "client 1"),                   # the snapshot's state, before it was put back
    ((read(52, "b", 2), read(54, "c", 3)), "client 1"),  # there and back
    ((read(80, "b", 2),), "client 1"),
    ((read(80, "e", 4),), "nothing that was ever there"),
    ((write(72, "e", 3, 41),), "version 3 of generation 1"),
])
def test_what_is_wrong(more: tuple[Operation, ...], why: str) -> None:
    assert why in str(check(*more))


def test_what_was_refused_may_have_been_done_before_a_snapshot_took_it_back() -> None:
    refused = replace(write(39, "e", 0, 0, returned=65), done=False)
    assert check(refused, read(40, "e", 4)) is None
    assert "nothing that was ever there" in str(check(replace(refused, returned=45), read(40, "e", 4)))


def test_a_snapshot_has_all_of_its_index_and_nothing_later() -> None:
    assert "a snapshot of index 20 holds version 1" in str(check(held=(1, "a")))
    assert "version 3 of generation 1 is 'c' and 'd'" in str(check(held=(3, "c")))


def test_what_no_snapshot_took_back_is_there_in_the_end_once() -> None:
    assert "was acknowledged" in str(check(end={1: "a", 2: "b"}))
    assert "written twice" in str(check(end={**END, 4: "d"}))
    assert "nobody wrote it" in str(check(end={**END, 4: "x"}))


def test_what_nobody_was_told_of_may_have_been_done_in_either() -> None:
    lost = write(8, "e", 0, 0, returned=inf)
    lost = replace(lost, version=None)
    assert check(lost, read(10, "e", 4)) is None
    assert check(lost, read(80, "e", 4), end={**END, 4: "e"}) is None
    assert check(lost, read(10, "e", 4), read(80, "e", 4), end={**END, 4: "e"}) is None      # its record had gone with the state
    assert "client 1" in str(check(lost, read(80, "e", 4), read(90, "d", 3), end={**END, 4: "e"}))


def test_sessions_see_what_they_named_and_may_see_it_late() -> None:
    assert check(read(80, "b", 2), ordered=False) is None
    assert check(read(80, "c", 3, index=30), ordered=False) is None
    assert "named index 30" in str(check(read(20, "b", 2, index=30), ordered=False))
    assert "named index 40" in str(check(read(80, "b", 2, index=40), ordered=False))
    assert "named index 0" in str(check(read(60, "d", 3), ordered=False)), "of the future"


def test_generations_grow() -> None:
    restores = Restores()
    restores.done = [Restore(AT_20, Index(31), 1, 50.0, 60.0), Restore(AT_20, Index(45), 1, 70.0, 80.0)]
    assert "generation 1" in str(check_restores(restores))
    restores.done[1].generation = 2
    assert check_restores(restores) is None
    assert [restores.holds(50, index) for index in (10, 20, 25, 30, 40, 46)] == [True, True, False, False, False, True]
    assert [restores.holds(44, index) for index in (10, 25, 40)] == [True, False, True]
