"""Lengths of time and sizes: what is written is read, and nothing raises but ValueError."""
from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.config import units
from holdfast.config.tree import Literal, Position

HERE = Position(1, 1)
PARTS = {"h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}


@settings(max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 10_000), st.sampled_from(sorted(PARTS))), min_size=1, max_size=4), st.booleans())
def test_a_length_of_time_is_the_sum_of_its_parts(parts: list[tuple[int, str]], negative: bool) -> None:
    written = "-" * negative + "".join(f"{count}{unit}" for count, unit in parts)
    expected_ms = sum(count * PARTS[unit] for count, unit in parts) * (-1 if negative else 1)
    assert units.duration_s(written) * 1_000 == pytest.approx(expected_ms)


@settings(max_examples=100)
@given(st.integers(0, 1 << 20), st.sampled_from(["kib", "MiB", "gib"]))
def test_a_size_is_its_number_times_its_unit(count: int, unit: str) -> None:
    factor = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}[unit[0].lower()]
    assert units.size_bytes(Literal(f"{count}{unit}", HERE)) == count * factor


@settings(max_examples=150)
@given(st.text(max_size=20) | st.text("0123456789.-+dhmsnuµkgtib ", max_size=12) | st.integers() | st.floats() | st.booleans())
def test_any_value_is_read_or_refused(value: str | int | float | bool) -> None:
    for read in (units.seconds, units.size_bytes, units.whole, units.boolean, units.text, units.texts):
        refused = None
        try:
            read(Literal(value, HERE))
        except ValueError as error:
            refused = str(error)
        assert refused is None or 0 < len(refused) < 200
