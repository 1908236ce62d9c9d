import hashlib
import hmac
import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.core.audit_hmac import Json, elided, hash_object, hasher, read_object, text_hasher
from holdfast.crypto import Secret

SALT = b"salt"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2**53, 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4), max_leaves=20)
OBJECTS = st.dictionaries(st.text(max_size=5), JSON, max_size=5)


def strings(tree: Json) -> list[str]:
    if isinstance(tree, str):
        return [tree]
    inner = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    return [text for value in inner for text in strings(value)]


def shape(tree: Json) -> Json:
    """The same with every string gone."""
    if isinstance(tree, dict):
        return {key: shape(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [shape(value) for value in tree]
    return "" if isinstance(tree, str) else tree


@settings(max_examples=100)
@given(text=st.text(max_size=100))
def test_a_hash_is_the_hmac_of_the_texts_utf_8(text: str) -> None:
    assert hasher(Secret(SALT))(text) == "hmac-sha256:" + hmac.new(SALT, text.encode(), hashlib.sha256).hexdigest()


@settings(max_examples=100)
@given(tree=OBJECTS)
def test_strings_are_hashed_and_nothing_else_is_touched(tree: dict[str, Json]) -> None:
    result = hash_object(tree, hasher(Secret(SALT)), frozenset())
    assert shape(result) == shape(tree)
    assert strings(result) == [hasher(Secret(SALT))(text) for text in strings(tree)]


@settings(max_examples=100)
@given(tree=OBJECTS, indent=st.sampled_from((None, 1, "\t")))
def test_a_text_is_hashed_as_the_object_that_it_is(tree: dict[str, Json], indent: int | str | None) -> None:
    text = json.dumps(tree, indent=indent, ensure_ascii=False)
    hashed = text_hasher(Secret(SALT))(text.encode())
    if not tree or "\\" in text:
        assert hashed is None
    else:
        assert hashed is not None
        assert b"\n" not in hashed
        assert json.loads(hashed) == hash_object(tree, hasher(Secret(SALT)), frozenset())


@pytest.mark.parametrize("text", [b"", b" ", b"[]", b'"a"', b"1", b"null", b"{}", b"{ } ", b'{"a":"b', b'{"', rb'{"a":"\u0041"}', b'["a"]'])
def test_what_takes_another_way_is_left_to_it(text: bytes) -> None:
    assert text_hasher(Secret(SALT))(text) is None


def test_what_a_quote_or_a_colon_stands_for_is_seen() -> None:
    text = b' { "k:" : "a:b" , "l" : [ "x" , "k:" , 1 ] , "m":{"n":"" }}\n'
    hashed = hasher(Secret(SALT))
    shown = json.loads(text_hasher(Secret(SALT))(text) or b"")
    assert shown == {"k:": hashed("a:b"), "l": [hashed("x"), hashed("k:"), 1], "m": {"n": hashed("")}}


@settings(max_examples=100)
@given(tree=OBJECTS)
def test_what_is_read_is_what_was_written(tree: dict[str, Json]) -> None:
    assert read_object(msgspec.json.encode(tree)) == tree


@pytest.mark.parametrize("text", [b"", b"[]", b'"a"', b"1", b"null", b"{", b"\xff"])
def test_what_is_no_object_is_not_read(text: bytes) -> None:
    assert read_object(text) is None


def test_counting_leaves_other_names_alone() -> None:
    assert elided({"keys": ["a", "b"], "key_info": {"a": 1}, "more": ["c"]}) == {"keys": 2, "key_info": 1, "more": ["c"]}
    assert elided({"keys": "text"}) == {"keys": "text"}
