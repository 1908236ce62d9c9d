from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.cli import yaml_text
from holdfast.cli.errors import ExchangeError
from holdfast.cli.json_text import Json, Number, Record, encode, parse, plain, quoted_list

_VALUES: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)


def test_numbers_keep_their_digits() -> None:
    text = '{"a":1.10,"b":12345678901234567890123,"c":1E5}'
    assert encode(parse(text)) == text
    assert plain(parse(text)) == "map[a:1.10 b:12345678901234567890123 c:1E5]"


def test_indented_with_sorted_keys_and_escapes_as_go() -> None:
    value: Json = {"b": [], "a": {}, "c": ["<é\u2028>", True, None], "d": {"x": 1}}
    expected = '{\n  "a": {},\n  "b": [],\n  "c": [\n    "\\u003cé\\u2028\\u003e",\n    true,\n    null\n  ],\n  "d": {\n    "x": 1\n  }\n}'
    assert encode(value, "  ") == expected


def test_a_record_keeps_its_order() -> None:
    assert encode(Record(z=1, a=2)) == '{"z":1,"a":2}'


@settings(max_examples=100)
@given(_VALUES)
def test_encoding_says_what_it_was_given(value: Json) -> None:
    assert json.loads(encode(value)) == value
    assert json.loads(encode(value, "  ")) == value


@pytest.mark.parametrize("text", ["", "{", "NaN", "[1,]", "[" * 200_000])
def test_what_is_not_json(text: str) -> None:
    with pytest.raises(ExchangeError, match="not JSON"):
        parse(text)


def test_plain_notation_of_go() -> None:
    assert plain({"b": [1, "x", None, True], "a": {"k": "v"}}) == "map[a:map[k:v] b:[1 x <nil> true]]"
    assert quoted_list(("a", 'b"c', "ü")) == '["a" "b\\"c" "ü"]'
    assert quoted_list(None) == "[]"


def test_yaml() -> None:
    value: Json = {
        "text": "a\nb",
        "yes": "true",
        "no": True,
        "list": ["x", {"k": Number("1.50")}],
        "int": Number("7"),
        "empty": "",
        "nil": None,
    }
    expected = 'empty: ""\nint: 7\nlist:\n- x\n- k: 1.5\nnil: null\n"no": true\ntext: |-\n  a\n  b\n"yes": "true"'
    assert yaml_text.encode(value) == expected


@settings(max_examples=60)
@given(_VALUES)
def test_yaml_says_what_it_was_given(value: Json) -> None:
    printable = json.loads(json.dumps(value).encode("utf-8", "ignore"))
    text = yaml_text.encode(printable)
    if not _has_odd_spaces(printable):
        assert yaml.safe_load(text) == printable


def _has_odd_spaces(value: Json) -> bool:
    """The whole text is stripped, and surrogates are replaced: such values are left out."""
    shown = json.dumps(value, ensure_ascii=False)
    return any(not c.isprintable() for c in shown) or isinstance(value, str)
