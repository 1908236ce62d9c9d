"""Which stanza decides, and what several stanzas on one path come to. Source: Vault, "Policies", priority matching."""
import pytest

from holdfast.core.acl_match import Matcher, Permissions, merge, rank
from holdfast.core.policy import Capability, PathRules, Policy

READ, LIST, DENY = Capability.READ, Capability.LIST, Capability.DENY


def stanza(path: str, *capabilities: Capability, **rules: object) -> PathRules:
    return PathRules(path=path, capabilities=frozenset(capabilities), **rules)  # type: ignore[arg-type]


def matcher(*paths: PathRules, name: str = "p") -> Matcher:
    return Matcher([Policy(name=name, paths=paths)])


def deciding(patterns: tuple[str, ...], path: str, *, listing: bool = False) -> str | None:
    """Which of the patterns decides: each requires a parameter of its own name."""
    found = matcher(*(stanza(pattern, READ, required=(pattern,)) for pattern in patterns)).find(path, listing=listing)
    return found.required[0] if found is not None else None


@pytest.mark.parametrize(("patterns", "path", "expected"), [
    (("secret/a", "secret/*"), "secret/a", "secret/a"),
    (("secret/a", "secret/+"), "secret/a", "secret/a"),
    (("secret/*", "secret/fo*"), "secret/foo", "secret/fo*"),
    (("*", "secret/*"), "secret/foo", "secret/*"),
    (("*",), "", "*"),
    (("secret/a",), "secret/a/", None),
    (("secret/a",), "secret", None),
    (("secret/+",), "secret/a/b", None),
    (("secret/+",), "secret/", "secret/+"),
    (("+/b",), "a/b", "+/b"),
    (("+",), "a", "+"),
    (("+",), "a/b", None),
    (("secret/+/b*",), "secret/x/bar/baz", "secret/+/b*"),
    (("secret/+/*",), "secret/x", None),
    (("secret/+/*",), "secret/x/", "secret/+/*"),
    (("secret/+x",), "secret/+x", "secret/+x"),
    (("secret/+x",), "secret/ax", None),
    (("secret/a*b",), "secret/a*b", "secret/a*b"),
    (("secret/a*b",), "secret/axb", None),
])
def test_what_matches(patterns: tuple[str, ...], path: str, expected: str | None) -> None:
    assert deciding(patterns, path) == expected


@pytest.mark.parametrize(("low", "high", "path"), [
    ("secret/+", "secret/a*", "secret/ab"),                  # 1: the first wildcard comes later
    ("foo/+/bar/baz", "foo/bar/+/baz", "foo/bar/bar/baz"),
    ("foo/*", "foo/+", "foo/bar"),                           # 2: no final glob
    ("foo/+/ba*", "foo/+/bar", "foo/x/bar"),
    ("foo/+/+/baz", "foo/+/bar/baz", "foo/x/bar/baz"),       # 3: fewer segment wildcards
    ("foo/+/b*", "foo/+/ba*", "foo/x/bar"),                  # 4: longer
    ("foo/+/ba*", "foo/*", "foo/x/bar"),                     # 3 before 4: the glob without a segment wildcard
])
def test_priority(low: str, high: str, path: str) -> None:
    assert deciding((low, high), path) == high
    assert deciding((high, low), path) == high


def test_equal_in_all_but_the_letters_the_later_in_the_alphabet_decides() -> None:
    assert rank("+/b") > rank("+/a")


def test_a_listing_obeys_an_exact_rule_without_its_slash() -> None:
    assert deciding(("secret/a",), "secret/a/", listing=True) == "secret/a"
    assert deciding(("secret/a", "secret/a/"), "secret/a/", listing=True) == "secret/a/"
    assert deciding(("secret/a", "secret/*"), "secret/a/", listing=True) == "secret/a"


def test_a_listing_does_not_shorten_its_path_for_patterns() -> None:
    assert deciding(("secret/+",), "secret/a/", listing=True) is None


def test_an_exact_rule_that_grants_nothing_hides_the_wider_one() -> None:
    found = matcher(stanza("secret/*", READ), stanza("secret/a")).find("secret/a", listing=False)
    assert found is not None
    assert found.capabilities == frozenset()


def test_capabilities_of_several_policies_add_up() -> None:
    both = Matcher([Policy(name="a", paths=(stanza("p", READ),)), Policy(name="b", paths=(stanza("p", READ, LIST),))])
    found = both.find("p", listing=False)
    assert found is not None
    assert found.capabilities == {READ, LIST}
    assert found.granting == {READ: ("a", "b"), LIST: ("b",)}


@pytest.mark.parametrize("order", [1, -1])
def test_deny_wins_on_the_same_path_and_leaves_nothing_else(order: int) -> None:
    paths = (stanza("p", READ, required=("x",), allowed={"a": ()}), stanza("p", DENY))[::order]
    found = matcher(*paths).find("p", listing=False)
    assert found is not None
    assert found.capabilities == {DENY}
    assert not found.allowed
    assert not found.required


def test_deny_on_a_wider_path_does_not_reach_a_closer_one() -> None:
    found = matcher(stanza("secret/*", DENY), stanza("secret/a", READ)).find("secret/a", listing=False)
    assert found is not None
    assert found.capabilities == {READ}


def permissions(**rules: object) -> Permissions:
    return Permissions(capabilities=frozenset({READ}), **rules)  # type: ignore[arg-type]


def test_parameter_lists_join_and_an_empty_one_stands_for_any_value() -> None:
    merged = merge(permissions(allowed={"a": ("1",), "b": ("1",), "c": ()}, denied={"d": ("1",)}),
                   permissions(allowed={"a": ("2",), "b": (), "c": ("3",)}, denied={"d": ("2",), "e": ()}))
    assert {name: set(values) for name, values in merged.allowed.items()} == {"a": {"1", "2"}, "b": set(), "c": set()}
    assert {name: set(values) for name, values in merged.denied.items()} == {"d": {"1", "2"}, "e": set()}


def test_no_rule_on_parameters_does_not_lift_the_rule_of_another_policy() -> None:
    assert merge(permissions(), permissions(allowed={"a": ()})).allowed == {"a": ()}
    assert merge(permissions(allowed={"a": ()}), permissions()).allowed == {"a": ()}


def test_required_parameters_add_up_in_order() -> None:
    assert merge(permissions(required=("a", "b")), permissions(required=("b", "c"))).required == ("a", "b", "c")


@pytest.mark.parametrize(("one", "other", "expected"), [(0, 60, 60), (60, 0, 60), (60, 30, 30), (0, 0, 0)])
def test_of_two_wrapping_times_the_shorter_holds(one: int, other: int, expected: int) -> None:
    merged = merge(permissions(min_wrapping_ttl_s=one, max_wrapping_ttl_s=one),
                   permissions(min_wrapping_ttl_s=other, max_wrapping_ttl_s=other))
    assert (merged.min_wrapping_ttl_s, merged.max_wrapping_ttl_s) == (expected, expected)


@pytest.mark.parametrize(("path", "expected"), [
    ("secret/", True),
    ("secret/data/x", True),
    ("*", True),
    ("sec*", True),
    ("secret/data/*", True),
    ("+/data/x", True),
    ("+", True),
    ("+/*", True),
    ("+/fo*", True),
    ("secret", True),                                        # a listing of secret/ obeys it
    ("secre", False),
    ("secret2/x", False),
    ("other/+/x", False),
])
def test_what_reaches_a_mount(path: str, expected: bool) -> None:
    assert matcher(stanza(path, READ)).reaches("secret/") is expected
    assert not matcher(stanza(path, DENY)).reaches("secret/")
    assert not matcher(stanza(path)).reaches("secret/")


@pytest.mark.parametrize(("path", "expected"), [("+/fo*", True), ("+/+", True), ("a/+/x", True), ("+/x/y", False), ("+/fb*", False)])
def test_what_reaches_a_mount_of_two_segments(path: str, expected: bool) -> None:
    assert matcher(stanza(path, READ)).reaches("a/foo/") is expected
