"""The checkers of histories: against histories that are right, against spoilt ones, and against each other."""
from math import inf
from random import Random

import pytest

from holdfast.testing.histories import right, spoilt
from holdfast.testing.history import Act, Operation
from holdfast.testing.linearizable import check_any, check_unique, check_versions


def read(invoked: float, returned: float, value: str | None, version: int | None = None) -> Operation:
    return Operation(client=1, key="k", act=Act.READ, invoked=invoked, returned=returned, value=value, version=version)


def write(invoked: float, returned: float, value: str, version: int | None = None) -> Operation:
    return Operation(client=2, key="k", act=Act.WRITE, invoked=invoked, returned=returned, value=value, version=version)


RIGHT = {
    "nothing": [],
    "reads of nothing": [read(0, 1, None), read(2, 3, None)],
    "a read during a write sees either": [write(0, 10, "a"), read(1, 2, None), read(3, 4, "a")],
    "an open write that was seen": [write(0, inf, "a"), read(5, 6, "a")],
    "an open write that comes late": [write(0, inf, "a"), write(1, 2, "b"), read(3, 4, "b"), read(5, 6, "a")],
    "two writes at once": [write(0, 10, "a"), write(0, 10, "b"), read(11, 12, "a")],
}
WRONG = {
    "a write that was acknowledged is not there": [write(0, 1, "a"), read(2, 3, None)],
    "an older value after a newer one": [write(0, 1, "a"), write(2, 3, "b"), read(4, 5, "a")],
    "two readers do not agree": [write(0, 10, "a"), read(1, 2, "a"), read(3, 4, None)],
    "a value before it was written": [read(0, 1, "a"), write(2, 3, "a")],
    "there and back": [write(0, 10, "a"), write(0, 10, "b"), read(11, 12, "a"), read(13, 14, "b"), read(15, 16, "a")],
    "nobody wrote it": [read(0, 1, "a")],
}


@pytest.mark.parametrize("name", RIGHT)
def test_right_histories_pass(name: str) -> None:
    assert check_unique(RIGHT[name]) is None
    assert check_any(RIGHT[name]) is None


@pytest.mark.parametrize("name", WRONG)
def test_wrong_histories_are_found(name: str) -> None:
    assert check_unique(WRONG[name]) is not None
    assert check_any(WRONG[name]) is not None


def test_versions_show_what_values_alone_do_not() -> None:
    history = [write(0, 10, "a", 2), write(0, 10, "b", 1), read(11, 12, "a", 2)]
    assert check_versions(history) is None
    assert "version 1" in str(check_versions([*history, read(13, 14, "b", 1)]))
    assert "written twice" in str(check_versions([*history, read(13, 14, "b", 3)]))
    assert "nobody wrote" in str(check_versions([*history, read(13, 14, "c", 3)]))
    assert "version 2 is" in str(check_versions([*history, read(13, 14, "c", 2)]))
    assert "version 2 is" in str(check_versions([*history, write(13, 14, "d", 2)]))


def test_the_fast_checker_and_the_search_agree() -> None:
    dice, wrong = Random(5), 0
    for _ in range(400):
        history = right(dice, 24)
        assert check_unique(history) is None
        assert check_any(history) is None
        broken = spoilt(dice, history)
        assert (check_unique(broken) is None) == (check_any(broken) is None), broken
        wrong += check_unique(broken) is not None
    assert wrong > 100, "the spoilt ones were too good"


def test_versions_find_all_that_the_search_finds() -> None:
    dice, found = Random(6), 0
    for _ in range(400):
        history = right(dice, 24)
        assert check_versions(history) is None
        broken = spoilt(dice, history)
        if check_any(broken) is not None:
            assert check_versions(broken) is not None, broken
            found += 1
    assert found > 100


def test_compare_and_set_is_searched() -> None:
    dice, wrong = Random(7), 0
    for _ in range(200):
        history = right(dice, 16, cas=True)
        assert check_any(history) is None
        wrong += check_any(spoilt(dice, history)) is not None
    assert wrong > 40


def test_a_long_history_is_checked_at_once() -> None:
    history = right(Random(8), 50_000, clients=8)
    assert check_unique(history) is None
    assert check_versions(history) is None
