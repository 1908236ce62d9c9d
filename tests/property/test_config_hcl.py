"""HCL on any text, and any tree through print and parse."""
from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.hcl_places import NOWHERE, nowhere

from holdfast.config.hcl import Array, HclError, Item, Key, Literal, Object, Value, parse, print_hcl

TRICKY = ["${", "$${a}", '"', "\\", "\n", "true", "a b", "EOF"]
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(TRICKY)
NUMBERS = st.integers(-(1 << 63), (1 << 63) - 1) | st.floats(allow_nan=False, allow_infinity=False)
LITERALS: st.SearchStrategy[Value] = st.builds(Literal, TEXT | st.booleans() | NUMBERS, st.just(NOWHERE))
KEYS = st.builds(Key, TEXT | st.from_regex(r"[a-z_][a-z0-9_.\-]{0,8}", fullmatch=True), st.just(NOWHERE))


def block(keys: list[Key], value: Value) -> Item:
    return Item(tuple(keys), Object((Item((keys[0],), value),), NOWHERE))


def objects(inner: st.SearchStrategy[Value]) -> st.SearchStrategy[Value]:
    item = st.builds(lambda key, value: Item((key,), value), KEYS, inner)
    blocks = st.builds(block, st.lists(KEYS, min_size=1, max_size=3), inner)
    return st.builds(lambda items: Object(tuple(items), NOWHERE), st.lists(item | blocks, max_size=4))


def arrays(inner: st.SearchStrategy[Value]) -> st.SearchStrategy[Value]:
    return st.builds(lambda values: Array(tuple(values), NOWHERE), st.lists(inner, max_size=4))


VALUES = st.recursive(LITERALS, lambda inner: arrays(inner) | objects(inner), max_leaves=12)
TREES = objects(VALUES)
PIECES = st.sampled_from([
    "a", "b", "true", " ", "\n", "\r\n", "=", ",", ":", "{", "}", "[", "]", '"', "\\", "\\x41", "$", "${", "<<E\n", "<<-E\n", "E\n",
    "#", "//", "/*", "*/", "0", "07", "0x", "1.", "1e", "-", ".5", "é", "\0", "\ufeff", '{"a":', "null", "\ud800"])


@settings(max_examples=150)
@given(TREES)
def test_what_is_printed_is_read_again(tree: Value) -> None:
    assert isinstance(tree, Object)
    text = print_hcl(tree)
    read = parse(text)
    assert nowhere(read) == tree
    assert print_hcl(read) == text


@settings(max_examples=150)
@given(st.text(max_size=60) | st.lists(PIECES, max_size=25).map("".join) | st.binary(max_size=40))
def test_any_text_is_a_tree_or_refused(text: str | bytes) -> None:
    tree, refused = parsed(text)
    if tree is not None:
        assert nowhere(parse(print_hcl(tree))) == nowhere(tree)
    if refused is not None:
        assert (refused.at.source, min(refused.at.line, refused.at.column)) >= ("f", 1)


def parsed(text: str | bytes) -> tuple[Object | None, HclError | None]:
    try:
        return parse(text, source="f"), None
    except HclError as error:
        return None, error
