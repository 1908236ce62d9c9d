"""Texts of policies: what is printed is read back, and whatever is sent is read or refused."""
from collections.abc import Mapping

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from holdfast.config.hcl import Array, Item, Key, Literal, Object, Position, Value, print_hcl
from holdfast.core.policy import Capability, PathRules, Policy
from holdfast.core.policy_parse import parse
from holdfast.errors import BadRequest

AT = Position(1, 1)
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=8)
LOWER = st.text("abc*_-", min_size=1, max_size=4)
VALUES = st.one_of(WORDS, st.booleans(), st.integers(-(1 << 40), 1 << 40), st.lists(WORDS, min_size=1, max_size=2))
PARAMETERS = st.dictionaries(LOWER, st.lists(VALUES, max_size=3).map(tuple), max_size=3)
GRANTS = st.frozensets(st.sampled_from(sorted(set(Capability) - {Capability.DENY})))


@st.composite
def stanzas(draw: st.DrawFn) -> PathRules:
    path = draw(WORDS.filter(lambda text: not text.startswith("/") and not any(mark in text for mark in ("+*", "{{", "}}"))))
    if draw(st.booleans()):
        return PathRules(path=path, capabilities=frozenset({Capability.DENY}))
    least, most = sorted((draw(st.integers(0, 99)), draw(st.integers(0, 99))))
    return PathRules(path=path, capabilities=draw(GRANTS), allowed=draw(PARAMETERS), denied=draw(PARAMETERS),
                     required=tuple(draw(st.lists(LOWER, max_size=3, unique=True))), min_wrapping_ttl_s=least, max_wrapping_ttl_s=most)


def tree(value: object) -> Value:
    if isinstance(value, list | tuple):
        return Array(tuple(tree(each) for each in value), AT)
    if isinstance(value, Mapping):
        return block({name: tree(each) for name, each in value.items()})
    assert isinstance(value, str | int | bool)
    return Literal(value, AT)


def block(items: Mapping[str, Value]) -> Object:
    return Object(tuple(Item((Key(name, AT),), value) for name, value in items.items()), AT)


def said(rules: PathRules) -> dict[str, object]:
    return {"capabilities": sorted(rules.capabilities), "allowed_parameters": rules.allowed, "denied_parameters": rules.denied,
            "required_parameters": rules.required, "min_wrapping_ttl": rules.min_wrapping_ttl_s,
            "max_wrapping_ttl": rules.max_wrapping_ttl_s}


@settings(max_examples=100)
@given(st.lists(stanzas(), max_size=4))
def test_what_is_printed_is_read_back(paths: list[PathRules]) -> None:
    items = tuple(Item((Key("path", AT), Key(rules.path, AT)), tree(said(rules))) for rules in paths)
    assert parse(print_hcl(Object(items, AT))) == Policy(paths=tuple(paths))


@settings(max_examples=100)
@given(st.lists(stanzas(), max_size=4))
def test_the_json_form_is_read_back(paths: list[PathRules]) -> None:
    text = msgspec.json.encode({"path": [{rules.path: said(rules)} for rules in paths]}).decode()
    assert parse(text) == Policy(paths=tuple(paths))


@settings(max_examples=50)
@given(st.lists(stanzas(), max_size=4))
def test_what_is_stored_is_read_back(paths: list[PathRules]) -> None:
    policy = Policy(name="p", paths=tuple(paths))
    assert msgspec.json.decode(msgspec.json.encode(policy), type=Policy) == policy


PIECES = st.sampled_from((
    "path", '"a/*"', '"a/{{x}}"', "{", "}", "[", "]", "=", ",", '"', "capabilities", '"read"', '"deny"', "policy", "allowed_parameters",
    "min_wrapping_ttl", "5", "-1", "true", "\n", "#", "/*", "<<EOT\n", ":", "\\", "\0", "é"))


@settings(max_examples=150)
@given(st.one_of(st.text(max_size=40), st.lists(PIECES, max_size=16).map(" ".join)))
@example('path "a" { policy = [] }')
@example('{"path": {"a": {"b": {}}}}')
def test_any_text_is_read_or_refused(text: str) -> None:
    found = parsed(text)
    if isinstance(found, str):
        assert found.startswith("failed to parse policy: ")
    else:
        assert all(not rules.allowed and not rules.denied for rules in found.paths if Capability.DENY in rules.capabilities)


def parsed(text: str) -> Policy | str:
    try:
        return parse(text)
    except BadRequest as refused:
        return refused.messages[0]
