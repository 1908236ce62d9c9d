"""Tables and prose."""
from __future__ import annotations

from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.cli.layout import LINE_WIDTH, columns, go_time, table, wrap


def test_widths_count_bytes_and_padding_counts_characters() -> None:
    assert columns([["ü", "x"], ["abc", "y"]]) == "ü      x\nabc    y"
    assert columns([["üüü", "x"], ["abc", "y"]]) == "üüü       x\nabc       y"


def test_empty_cells_and_spaces_around() -> None:
    assert table(("Key", "Value"), [(" a ", ""), ("", " b c ")]) == "Key    Value\n---    -----\na      n/a\nn/a    b c"


def test_prose_is_broken_evenly() -> None:
    text = (
        "Whoever breaks prose into lines looks at all of it: a first line that is as full as it can be may leave a last one that is "
        "nearly empty, and that is what readers notice."
    )
    assert wrap(text).splitlines() == [
        "Whoever breaks prose into lines looks at all of it: a first line that is as",
        "full as it can be may leave a last one that is nearly empty, and that is what",
        "readers notice.",
    ]
    assert wrap("") == ""
    assert wrap("a b", indent=4) == "    a b"


def _least(words: tuple[str, ...]) -> int:
    """The least sum of squares, found by trying everything."""

    @cache
    def cost(at: int) -> int:
        if len(" ".join(words[at:])) <= LINE_WIDTH:
            return 0
        ends = [end for end in range(at + 1, len(words)) if len(" ".join(words[at:end])) <= LINE_WIDTH]
        return min((LINE_WIDTH - len(" ".join(words[at:end]))) ** 2 + cost(end) for end in ends)

    return cost(0)


@settings(max_examples=60)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=40))
def test_no_other_breaks_are_more_even(lengths: list[int]) -> None:
    words = tuple("x" * length for length in lengths)
    lines = wrap(" ".join(words)).splitlines()
    assert " ".join(lines).split() == list(words)
    assert all(len(line) <= LINE_WIDTH for line in lines)
    assert sum((LINE_WIDTH - len(line)) ** 2 for line in lines[:-1]) == _least(words)


def test_times_as_go_prints_them() -> None:
    assert go_time("2026-11-21T08:00:00.25Z") == "2026-11-21 08:00:00.25 +0000 UTC"
    assert go_time("2026-11-21T08:00:00+02:00") == "2026-11-21 08:00:00 +0200 +0200"
    assert [go_time(text) for text in ("", "soon", "2026-11-21")] == ["", "soon", "2026-11-21"]
