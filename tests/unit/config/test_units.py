"""Values as Vault lets them be written."""
from __future__ import annotations

from collections.abc import Callable

import pytest

from holdfast.config import units
from holdfast.config.tree import Array, Literal, Object, Position, Scalar, Value

HERE = Position(1, 1)


def lit(value: Scalar) -> Literal:
    return Literal(value, HERE)


@pytest.mark.parametrize(("written", "seconds"), [
    ("30s", 30), ("1h30m", 5_400), ("90", 90), (90, 90), ("2d", 172_800), ("1.5h", 5_400), ("-1m", -60), ("+5s", 5), ("0", 0), ("", 0),
    (0, 0), ("250ms", 0.25), ("1us", 1e-6), ("5µs", 5e-6), ("5μs", 5e-6), ("7ns", 7e-9), (".5s", 0.5), ("1.s", 1), (1.5, 1.5), ("-3", -3),
    ("-2d", -172_800), ("9223372036s", 9_223_372_036),
])
def test_lengths_of_time(written: Scalar, seconds: float) -> None:
    assert units.seconds(lit(written)) == pytest.approx(seconds)


@pytest.mark.parametrize("written", [
    "soon", "1x", "1h 30m", "1w", "d", "1.5d", "1h2", "--5", "-", "+", "s", "1e3", "9223372037", "99999999999d", "1" * 1_000_000, True,
    " 5s", "५s", float("nan"), 1 << 2_000,
])
def test_what_is_no_length_of_time(written: Scalar) -> None:
    with pytest.raises(ValueError, match=r"length of time|longer than"):
        units.seconds(lit(written))


@pytest.mark.parametrize(("written", "size"), [
    ("32mib", 33_554_432), ("32MB", 32_000_000), ("1 kib", 1_024), (" 5gb ", 5_000_000_000), ("2TiB", 2 << 40), ("7", 7), (7, 7), ("", 0),
    (-1, -1), ("-1", -1), ("1kB", 1_000),
])
def test_sizes(written: Scalar, size: int) -> None:
    assert units.size_bytes(lit(written)) == size


@pytest.mark.parametrize("written", [
    "big", "1.5mb", "mb", "1pb", "-1mb", "1  kb", True, 1.5, "9223372036854775808", "99999999999tib", "9" * 1_000_000])
def test_what_is_no_size(written: Scalar) -> None:
    with pytest.raises(ValueError, match=r"no size|no whole number|out of range"):
        units.size_bytes(lit(written))


@pytest.mark.parametrize(("written", "value"), [
    (True, True), (False, False), ("true", True), ("T", True), ("1", True), ("TRUE", True), ("False", False), ("0", False), ("", False),
    (1, True), (0, False), (2.5, True),
])
def test_booleans(written: Scalar, value: bool) -> None:
    assert units.boolean(lit(written)) is value


@pytest.mark.parametrize("written", ["yes", "tRUE", "on", " true"])
def test_what_is_no_boolean(written: str) -> None:
    with pytest.raises(ValueError, match="neither true nor false"):
        units.boolean(lit(written))


@pytest.mark.parametrize(("written", "value"), [(7, 7), ("7", 7), ("-7", -7), ("+7", 7), ("", 0), ("007", 7)])
def test_whole_numbers(written: Scalar, value: int) -> None:
    assert units.whole(lit(written)) == value


@pytest.mark.parametrize("written", [True, 1.0, "1.0", "x", "0x7", "9223372036854775808", "1" * 1_000_000, " 1", "१"])
def test_what_is_no_whole_number(written: Scalar) -> None:
    with pytest.raises(ValueError, match=r"no whole number|out of range"):
        units.whole(lit(written))


@pytest.mark.parametrize(("value", "texts"), [
    (lit("a, b ,,c"), ("a", "b", "c")), (lit(""), ()), (lit("a"), ("a",)), (lit(7), ("7",)),
    (Array((lit("a,b"), lit(1)), HERE), ("a,b", "1")), (Array((), HERE), ()),
])
def test_lists_of_strings(value: Value, texts: tuple[str, ...]) -> None:
    assert units.texts(value) == texts


@pytest.mark.parametrize("read", [units.boolean, units.whole, units.text, units.seconds, units.size_bytes])
@pytest.mark.parametrize("value", [Array((), HERE), Object((), HERE)])
def test_lists_and_blocks_are_no_values(read: Callable[[Value], object], value: Value) -> None:
    with pytest.raises(ValueError, match="stands where one value is wanted"):
        read(value)


def test_truth_is_no_text() -> None:
    with pytest.raises(ValueError, match="true is no string: put it in quotes"):
        units.text(lit(True))
