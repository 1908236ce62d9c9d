"""Words that processes share."""
import os
import subprocess
import sys
import tempfile

import pytest

from holdfast._native import Words


def test_words_keep_what_is_stored() -> None:
    words = Words.create(4)
    assert len(words) == 4
    assert [words.load(index) for index in range(4)] == [0] * 4
    words.store(1, (1 << 63) - 1)
    words.store(2, -(1 << 63))
    assert [words.load(index) for index in range(4)] == [0, (1 << 63) - 1, -(1 << 63), 0]


@pytest.mark.parametrize("index", [4, 1 << 40])
def test_there_is_no_further_word(index: int) -> None:
    words = Words.create(4)
    for use in (lambda: words.load(index), lambda: words.store(index, 1)):
        with pytest.raises(IndexError):
            use()


@pytest.mark.parametrize(("index", "value"), [(-1, 0), (0, 1 << 63), (0, -(1 << 63) - 1)])
def test_numbers_that_do_not_fit_are_errors(index: int, value: int) -> None:
    with pytest.raises(OverflowError):
        Words.create(1).store(index, value)


def test_another_mapping_sees_the_same_and_outlives_the_first() -> None:
    words = Words.create(2)
    other = Words.open(words.fd)
    words.store(0, 7)
    assert other.load(0) == 7
    assert other.fd != words.fd
    del words
    other.store(1, 8)
    assert [other.load(index) for index in range(2)] == [7, 8]


def test_a_child_shares_them() -> None:
    words = Words.create(2)
    words.store(0, 20)
    program = f"from holdfast._native import Words\nwords = Words.open({words.fd})\nwords.store(1, words.load(0) + 1)"
    path = os.pathsep.join(each for each in sys.path if each)
    subprocess.run([sys.executable, "-c", program], pass_fds=(words.fd,), env={**os.environ, "PYTHONPATH": path}, check=True)
    assert [words.load(index) for index in range(2)] == [20, 21]


def test_a_child_that_is_not_given_them_has_not_got_them() -> None:
    assert not os.get_inheritable(Words.create(1).fd)


def test_nobody_can_take_the_memory_away() -> None:
    words = Words.create(1)
    for size in (0, 1 << 20):
        with pytest.raises(PermissionError):
            os.ftruncate(words.fd, size)


def test_other_descriptors_are_refused() -> None:
    with tempfile.TemporaryFile() as file:
        file.write(b"x" * 4_096)
        file.flush()
        with pytest.raises(OSError, match="Invalid argument"):
            Words.open(file.fileno())
    for fd in (-1, 1_000_000):
        with pytest.raises(OSError):  # noqa: PT011 -- the number of the error depends on the system
            Words.open(fd)


@pytest.mark.parametrize("count", [0, (1 << 20) + 1])
def test_the_number_of_words_is_bounded(count: int) -> None:
    with pytest.raises(IndexError):
        Words.create(count)
