"""What texts of policies say, and which are refused."""
import pytest

from holdfast.core.policy import Capability, PathRules
from holdfast.core.policy_parse import parse
from holdfast.core.policy_store import DEFAULT_TEXT, RESPONSE_WRAPPING_TEXT
from holdfast.errors import BadRequest

C = Capability


def only(text: str) -> PathRules:
    (rules,) = parse(text).paths
    return rules


def refusal(text: str) -> str:
    with pytest.raises(BadRequest) as refused:
        parse(text)
    (message,) = refused.value.messages
    assert message.startswith("failed to parse policy: ")
    return message.removeprefix("failed to parse policy: ")


def test_hcl_and_json_say_the_same() -> None:
    hcl = parse('path "secret/*" { capabilities = ["read", "list"] }\npath "sys/mounts" { capabilities = ["sudo"] }')
    json = parse('{"path": {"secret/*": {"capabilities": ["read", "list"]}, "sys/mounts": {"capabilities": ["sudo"]}}}')
    listed = parse('{"path": [{"secret/*": {"capabilities": ["read", "list"]}}, {"sys/mounts": {"capabilities": ["sudo"]}}]}')
    assert hcl == json == listed
    assert [rules.path for rules in hcl.paths] == ["secret/*", "sys/mounts"]


def test_every_capability() -> None:
    names = [c.value for c in Capability if c is not C.DENY]
    assert only(f'path "a" {{ capabilities = {names} }}'.replace("'", '"')).capabilities == set(Capability) - {C.DENY}


def test_deny_stands_alone() -> None:
    rules = only('path "a" { capabilities = ["read", "deny", "sudo"] allowed_parameters = { x = [] } min_wrapping_ttl = 5 }')
    assert rules == PathRules(path="a", capabilities=frozenset({C.DENY}))


@pytest.mark.parametrize(("word", "expected"), [
    ("deny", {C.DENY}),
    ("read", {C.READ, C.LIST}),
    ("write", {C.CREATE, C.READ, C.UPDATE, C.DELETE, C.LIST}),
    ("sudo", {C.CREATE, C.READ, C.UPDATE, C.DELETE, C.LIST, C.SUDO}),
    ("", set()),
])
def test_the_old_words(word: str, expected: set[Capability]) -> None:
    assert only(f'path "a" {{ policy = "{word}" }}').capabilities == expected


def test_an_old_word_and_capabilities_add_up() -> None:
    assert only('path "a" { policy = "read" capabilities = ["update"] }').capabilities == {C.READ, C.LIST, C.UPDATE}


def test_parameters_and_wrapping() -> None:
    rules = only("""
        path "auth/token/create" {
          capabilities = ["update"]
          allowed_parameters = { "TTL" = ["1h", 5, true, 1.5], "*" = [] }
          denied_parameters = { "policies" = ["root*"] }
          required_parameters = ["TTL", "ttl", "meta"]
          min_wrapping_ttl = "1m"
          max_wrapping_ttl = 90
        }""")
    assert rules.allowed == {"ttl": ("1h", 5, True, 1.5), "*": ()}
    assert rules.denied == {"policies": ("root*",)}
    assert rules.required == ("ttl", "meta")
    assert (rules.min_wrapping_ttl_s, rules.max_wrapping_ttl_s) == (60, 90)


def test_values_may_be_nested() -> None:
    assert only('path "a" { allowed_parameters = { "x" = [["a", 1], { b = { c = true } }] } }').allowed == {
        "x": (["a", 1], {"b": {"c": True}})}


def test_one_leading_slash_is_taken_off() -> None:
    assert only('path "/secret/a" {}').path == "secret/a"


def test_templates_are_seen() -> None:
    assert parse('path "secret/{{identity.entity.id}}/*" {}').templated
    assert not parse('path "secret/*" {}').templated


def test_what_only_enterprise_obeys_is_accepted() -> None:
    control_group = 'control_group = { factor "f" { identity { approvals = 1 } } }'
    text = f'path "a" {{ capabilities = ["read"] comment = "x" mfa_methods = ["m"] {control_group} }}'
    assert only(text) == PathRules(path="a", capabilities=frozenset({C.READ}))


def test_nothing_says_nothing() -> None:
    assert parse("").paths == parse("# only a remark\n").paths == parse("{}").paths == parse('name = "x"').paths == ()


@pytest.mark.parametrize(("text", "expected"), [
    ('pth "x" {}', 'invalid key "pth" on line 1'),
    ('Path "x" {}', 'invalid key "Path" on line 1'),
    ('path "a" {\n  policies = "read"\n}', 'path "a": invalid key "policies" on line 2'),
    ('path "a" {\n  capabilities = ["raed"]\n}', 'path "a": invalid capability "raed" on line 2'),
    ('path "a" {\n  capabilities = ["Read"]\n}', 'path "a": invalid capability "Read" on line 2'),
    ('path "a" { policy = "all" }', 'path "a": invalid policy "all" on line 1'),
    ('path "a" { policy = 5 }', 'path "a": invalid policy "5" on line 1'),
    ('path "a" { capabilities = "read" }', 'path "a": capabilities on line 1: a list is expected'),
    ('path "a" { capabilities = [1] }', 'path "a": capabilities on line 1: a list of strings is expected'),
    ('path "a" { required_parameters = "x" }', 'path "a": required_parameters on line 1: a list is expected'),
    ('path "a" { allowed_parameters = ["x"] }',
     'path "a": allowed_parameters on line 1: a block of names with lists of values is expected'),
    ('path "a" { denied_parameters = { x = "y" } }', 'path "a": denied_parameters "x" on line 1: a list is expected'),
    ('path "a/+*" {}', "path \"a/+*\": invalid use of wildcards ('+*' is forbidden) on line 1"),
    ('path "a/{{x" {}',
     'path "a/{{x": failed to validate policy templating: unbalanced templating characters (on line 1)'),
    ('path "a/x}}" {}',
     'path "a/x}}": failed to validate policy templating: unbalanced templating characters (on line 1)'),
    ('path "a" { min_wrapping_ttl = "1m" max_wrapping_ttl = 5 }',
     'path "a": max_wrapping_ttl cannot be less than min_wrapping_ttl (on line 1)'),
    ('path "a" { min_wrapping_ttl = -1 }',
     'path "a": error parsing min_wrapping_ttl: a duration cannot be negative (on line 1)'),
    ('path "a" { min_wrapping_ttl = true }',
     'path "a": error parsing min_wrapping_ttl on line 1: a duration such as 60 or "1m" is expected'),
    ('path { capabilities = ["read"] }', 'path on line 1: "capabilities" stands where a path with a block is expected'),
    ('path = "a"', "path on line 1: a block with a path in quotes is expected"),
])
def test_what_is_refused_names_stanza_and_line(text: str, expected: str) -> None:
    assert refusal(text) == expected


@pytest.mark.parametrize("text", ['path "a" {', "{", "\0", "path", '{"path": 1', "]"])
def test_no_hcl_is_refused_with_its_place(text: str) -> None:
    assert "1:" in refusal(text)


def test_the_built_in_texts_can_be_read_and_grant_nothing_dangerous() -> None:
    default = parse(DEFAULT_TEXT)
    assert default.templated
    assert len(default.paths) == 18
    assert not any(rules.capabilities & {C.SUDO, C.DENY} for rules in default.paths)
    assert [rules.path for rules in default.paths if "*" in rules.path] == ["cubbyhole/*", "sys/tools/hash/*"]
    assert [rules.path for rules in parse(RESPONSE_WRAPPING_TEXT).paths] == ["cubbyhole/response", "sys/wrapping/unwrap"]
