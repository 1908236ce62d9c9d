"""Merge patch against the algorithm of RFC 7396 as its section 2 writes it, over plain Python values."""
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.secrets.merge_patch import merge

NUMBERS = ("1.10", "1e5", "0.000", "12345678901234567890123", "-7", "1E+2", "3.14159265358979323846264338327950288")


class Number(str):
    """A number as it was written."""


def dump(value: object) -> str:
    match value:
        case Number():
            return str(value)
        case dict():
            return "{" + ",".join(f"{json.dumps(name)}:{dump(member)}" for name, member in value.items()) + "}"
        case list():
            return "[" + ",".join(map(dump, value)) + "]"
        case _:
            return json.dumps(value)


def load(text: bytes) -> object:
    return json.loads(text, parse_float=Number, parse_int=Number)


def obvious(target: object, patch: object) -> object:
    if not isinstance(patch, dict):
        return patch
    found = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            found.pop(name, None)
        else:
            found[name] = obvious(found.get(name), value)
    return found


names = st.sampled_from(["a", "b", "c", "é", "\"", ""])
leaves = st.none() | st.booleans() | st.text(max_size=3) | st.sampled_from(NUMBERS).map(Number)
values = st.recursive(leaves, lambda below: st.lists(below, max_size=3) | st.dictionaries(names, below, max_size=4), max_leaves=12)
objects = st.dictionaries(names, values, max_size=4)


@settings(max_examples=200)
@given(objects, objects)
def test_merge_is_what_the_rfc_says_and_keeps_numbers(target: dict[str, object], patch: dict[str, object]) -> None:
    assert load(merge(dump(target).encode(), dump(patch).encode())) == obvious(target, patch)


@pytest.mark.parametrize(("target", "patch", "result"), [
    ('{"a":"b"}', '{"a":"c"}', '{"a":"c"}'), ('{"a":"b"}', '{"b":"c"}', '{"a":"b","b":"c"}'), ('{"a":"b"}', '{"a":null}', "{}"),
    ('{"a":"b","b":"c"}', '{"a":null}', '{"b":"c"}'), ('{"a":["b"]}', '{"a":"c"}', '{"a":"c"}'), ('{"a":"c"}', '{"a":["b"]}',
                                                                                                  '{"a":["b"]}'),
    ('{"a":{"b":"c"}}', '{"a":{"b":"d","c":null}}', '{"a":{"b":"d"}}'), ('{"a":[{"b":"c"}]}', '{"a":[1]}', '{"a":[1]}'),
    ('{"e":null}', '{"a":1}', '{"e":null,"a":1}'), ("{}", '{"a":{"bb":{"ccc":null}}}', '{"a":{"bb":{}}}'),
])
def test_the_cases_of_the_rfcs_appendix(target: str, patch: str, result: str) -> None:
    assert merge(target.encode(), patch.encode()) == result.encode()


def test_a_deep_patch_needs_no_deep_stack() -> None:
    deep = b'{"a":' * 400 + b"1" + b"}" * 400
    assert merge(deep, deep) == deep
