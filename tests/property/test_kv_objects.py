"""Objects that are kept as written, against Python's own JSON; and what stands for lengths of time."""
import json

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from holdfast.engine import seconds
from holdfast.engine.time import go_duration
from holdfast.limits import DURATION_MAX_S
from holdfast.secrets.json_object import fields, kept
from holdfast.secrets.kv_v2.data import names_of


class Number(str):
    """A number as it was written."""


numbers = st.sampled_from(["1.10", "-0", "1e5", "0.000", "12345678901234567890123", "1E+2"]).map(Number)
values = st.recursive(st.none() | st.booleans() | st.text(max_size=4) | numbers,
                      lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=3), below, max_size=3), max_leaves=10)
objects = st.dictionaries(st.text(max_size=3), values, max_size=4)
blanks = st.sampled_from(["", " ", "\n", "\t  "])


def dump(value: object, blank: str, *, ascii_only: bool) -> str:
    match value:
        case Number():
            return str(value)
        case dict():
            members = (f"{blank}{json.dumps(name, ensure_ascii=ascii_only)}{blank}:{blank}{dump(member, blank, ascii_only=ascii_only)}"
                       for name, member in value.items())
            return "{" + ",".join(members) + blank + "}"
        case list():
            return "[" + f"{blank},{blank}".join(dump(item, blank, ascii_only=ascii_only) for item in value) + "]"
        case _:
            return json.dumps(value, ensure_ascii=ascii_only)


def load(text: bytes) -> object:
    return json.loads(text, parse_float=Number, parse_int=Number)


@given(objects, blanks, st.booleans())
def test_an_object_is_kept_as_it_was_written(value: dict[str, object], blank: str, ascii_only: bool) -> None:
    text = dump(value, blank, ascii_only=ascii_only).encode()
    result = kept(fields(text, "data"))
    assert load(result) == value
    assert list(json.loads(result)) == list(value)
    assert kept(fields(result, "data")) == result


def obvious(value: object, depth: int) -> object:
    if not isinstance(value, dict) or not value or depth == 0:
        return None
    return {name: obvious(member, depth - 1) for name, member in value.items()}


@given(objects, st.integers(0, 4))
def test_names_are_those_of_the_object_down_to_a_depth(value: dict[str, object], depth: int) -> None:
    found = msgspec.json.decode(names_of(dump(value, "", ascii_only=True).encode(), depth))
    assert found == {name: obvious(member, (depth or 99) - 1) for name, member in value.items()}


@given(st.integers(0, DURATION_MAX_S))
def test_a_length_of_time_reads_back_as_it_was_shown(length_s: int) -> None:
    assert seconds(go_duration(length_s), "ttl") == length_s
