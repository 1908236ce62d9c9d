"""The shape of a JSON text, in Rust, against the same asked of the decoded value."""
import json
from typing import TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast._native import check_json

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

strings = st.text(st.characters(codec="utf-8"), max_size=8)
values: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | strings,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(strings, inner, max_size=4), max_leaves=20)
limits = st.integers(0, 6)


def shape(value: Json) -> tuple[int, int, int, int]:
    """Depth, longest string in bytes, most entries, most elements."""
    match value:
        case str():
            return 0, len(value.encode()), 0, 0
        case list():
            found = [shape(each) for each in value] or [(0, 0, 0, 0)]
            depth, string, entries, elements = (max(each[index] for each in found) for index in range(4))
            return depth + 1, string, entries, max(elements, len(value))
        case dict():
            found = [shape(each) for each in (*value, *value.values())] or [(0, 0, 0, 0)]
            depth, string, entries, elements = (max(each[index] for each in found) for index in range(4))
            return depth + 1, string, max(entries, len(value)), elements
        case _:
            return 0, 0, 0, 0


@given(values, limits, limits, limits, limits, st.booleans(), st.sampled_from([None, 1]))
@settings(max_examples=300)
def test_a_limit_is_broken_when_the_value_breaks_it(
        value: Json, depth: int, string: int, entries: int, elements: int, ascii_only: bool, indent: int | None) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
    names = ("depth", "string", "entries", "elements")
    given_limits = (depth, string, entries, elements)
    broken = {name for name, found, limit in zip(names, shape(value), given_limits, strict=True) if limit and found > limit}
    first = check_json(text, *given_limits)
    assert (first in broken) if broken else (first is None)


@given(st.binary(max_size=200), limits, limits, limits, limits)
@settings(max_examples=200)
def test_any_bytes_are_looked_at_without_harm(data: bytes, depth: int, string: int, entries: int, elements: int) -> None:
    assert check_json(data, depth, string, entries, elements) in (None, "depth", "string", "entries", "elements")
    assert check_json(data, 0, 0, 0, 0) is None
