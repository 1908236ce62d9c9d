from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.cli.durations import HOUR, MINUTE, SECOND, format_duration, human_seconds, parse_duration, ttl_to_api, whole_seconds


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0s"),
        (1, "1ns"),
        (1_500, "1.5µs"),
        (20_000_000, "20ms"),
        (SECOND, "1s"),
        (1_500_000_000, "1.5s"),
        (90 * SECOND, "1m30s"),
        (768 * HOUR, "768h0m0s"),
        (-5 * MINUTE, "-5m0s"),
    ],
)
def test_format_as_go(nanoseconds: int, text: str) -> None:
    assert format_duration(nanoseconds) == text
    assert parse_duration(text) == nanoseconds


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (2_764_800, "768h"), (3_600, "1h"), (3_661, "1h1m1s"), (90, "1m30s"), (60, "1m"), (3_630, "1h30s")]
)
def test_for_people(seconds: int, text: str) -> None:
    assert human_seconds(seconds) == text


@pytest.mark.parametrize("text", ["", "h", "1x", "1h2", "1.2.3s", "1 h", "--1s", "99999999999999h"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="time: invalid duration"):
        parse_duration(text)


def test_for_the_api() -> None:
    assert [ttl_to_api(value) for value in (0, -SECOND, HOUR)] == ["", "system", "1h0m0s"]
    assert [whole_seconds(value) for value in (0, SECOND - 1, 90 * SECOND, -SECOND)] == [0, 0, 90, 0]


@settings(max_examples=100)
@given(st.integers(-(1 << 62), 1 << 62))
def test_format_and_parse_are_inverse(nanoseconds: int) -> None:
    assert parse_duration(format_duration(nanoseconds)) == nanoseconds
