"""The fast matcher against one that tries every stanza on every path and ranks what fits, step by step as the documentation says it."""
import re
from collections.abc import Sequence
from functools import cmp_to_key

from hypothesis import example, given, settings
from hypothesis import strategies as st

from holdfast.core.acl_match import Matcher, Permissions, has_segment_wildcards
from holdfast.core.policy import Capability, PathRules, Policy

SEGMENTS = ("a", "b", "ab", "+", "")
NAMES = st.lists(st.sampled_from(("a", "b", "ab")), max_size=3)
CAPABILITIES = st.frozensets(
    st.sampled_from((Capability.READ, Capability.LIST, Capability.CREATE, Capability.SUDO, Capability.DENY)), max_size=3)
VALUES = st.dictionaries(
    st.sampled_from(("x", "y", "*")), st.lists(st.sampled_from(("1", "2")), max_size=2, unique=True).map(tuple), max_size=2)


@st.composite
def patterns(draw: st.DrawFn) -> str:
    path = "/".join(draw(st.lists(st.sampled_from(SEGMENTS), min_size=1, max_size=4)))
    return path + "*" if not path.endswith("+") and draw(st.booleans()) else path


@st.composite
def stanzas(draw: st.DrawFn) -> PathRules:
    path, capabilities = draw(patterns()), draw(CAPABILITIES)
    if Capability.DENY in capabilities:
        return PathRules(path=path, capabilities=frozenset({Capability.DENY}))
    return PathRules(path=path, capabilities=capabilities, allowed=draw(VALUES), min_wrapping_ttl_s=draw(st.sampled_from((0, 5, 9))))


POLICIES = st.lists(st.lists(stanzas(), max_size=6), max_size=5)
PATHS = st.lists(st.sampled_from(("a", "b", "ab", "abc", "")), min_size=1, max_size=5).map("/".join)


def made(policies: Sequence[Sequence[PathRules]]) -> list[Policy]:
    return [Policy(name=f"p{n}", paths=tuple(paths)) for n, paths in enumerate(policies)]


def fits(pattern: str, path: str) -> bool:
    """By a regular expression: `+` is one segment where it is a whole one, a final `*` is anything."""
    glob = pattern.endswith("*")
    parts = (pattern[:-1] if glob else pattern).split("/")
    whole = "/".join("[^/]*" if part == "+" else re.escape(part) for part in parts)
    return re.fullmatch(whole + (".*" if glob else ""), path, re.DOTALL) is not None


def compare(one: str, other: str) -> int:
    """The documentation's rules in turn; negative: `one` has the lower priority."""
    def first_wildcard(pattern: str) -> int:
        return pattern.index("+") if has_segment_wildcards(pattern) else len(pattern) - 1

    def pairs() -> Sequence[tuple[object, object]]:
        return ((first_wildcard(one), first_wildcard(other)), (not one.endswith("*"), not other.endswith("*")),
                (-one.split("/").count("+"), -other.split("/").count("+")), (len(one), len(other)), (one, other))

    return next((-1 if first < second else 1 for first, second in pairs() if first != second), 0)  # type: ignore[operator]


def deciding(policies: Sequence[Policy], path: str, *, listing: bool) -> str | None:
    patterns = {rules.path for policy in policies for rules in policy.paths}
    exact = {pattern for pattern in patterns if not pattern.endswith("*") and not has_segment_wildcards(pattern)}
    for wanted in (path, path.removesuffix("/") if listing else path):
        if wanted in exact:
            return wanted
    return max((pattern for pattern in patterns - exact if fits(pattern, path)), key=cmp_to_key(compare), default=None)


def told(policies: Sequence[Policy], pattern: str) -> object:
    """What all stanzas on one pattern come to together, said without `merge`."""
    on_it = [(policy.name, rules) for policy in policies for rules in policy.paths if rules.path == pattern]
    if any(Capability.DENY in rules.capabilities for _, rules in on_it):
        return {Capability.DENY}, {}, 0, set()
    names = {name for _, rules in on_it for name in rules.allowed}
    lists = {name: [rules.allowed[name] for _, rules in on_it if name in rules.allowed] for name in names}
    allowed = {name: set() if () in values else {value for each in values for value in each} for name, values in lists.items()}
    times = [rules.min_wrapping_ttl_s for _, rules in on_it if rules.min_wrapping_ttl_s]
    readers = {name for name, rules in on_it if Capability.READ in rules.capabilities}
    return {capability for _, rules in on_it for capability in rules.capabilities}, allowed, min(times, default=0), readers


def found(known: Permissions) -> object:
    return (set(known.capabilities), {name: set(values) for name, values in known.allowed.items()}, known.min_wrapping_ttl_s,
            set(known.granting.get(Capability.READ, ())))


@settings(max_examples=150)
@given(POLICIES, PATHS, st.booleans())
@example([[PathRules(path="a/+/b*", capabilities=frozenset({Capability.READ}))], [PathRules(path="a/*")]], "a/a/b/c", False)
def test_the_fast_matcher_finds_what_the_obvious_one_finds(policies: list[list[PathRules]], path: str, listing: bool) -> None:
    known = made(policies)
    pattern, fast = deciding(known, path, listing=listing), Matcher(known).find(path, listing=listing)
    assert (fast is None) is (pattern is None)
    if fast is not None and pattern is not None:
        assert found(fast) == told(known, pattern)


@settings(max_examples=50)
@given(POLICIES, PATHS, st.data())
def test_deny_wins_wherever_it_stands(policies: list[list[PathRules]], path: str, data: st.DataObject) -> None:
    denial = [PathRules(path=path, capabilities=frozenset({Capability.DENY}))]
    at = data.draw(st.integers(0, len(policies)))
    fast = Matcher(made([*policies[:at], denial, *policies[at:]])).find(path, listing=False)
    assert fast is not None
    assert fast.capabilities == {Capability.DENY}


@settings(max_examples=50)
@given(POLICIES, PATHS)
def test_the_order_of_policies_changes_no_verdict(policies: list[list[PathRules]], path: str) -> None:
    named = made(policies)
    forwards, backwards = Matcher(named).find(path, listing=False), Matcher(named[::-1]).find(path, listing=False)
    assert (forwards and found(forwards)) == (backwards and found(backwards))


@settings(max_examples=50)
@given(stanzas(), NAMES.filter(bool), NAMES)
def test_a_mount_below_which_something_is_granted_is_reached(rules: PathRules, mount: list[str], below: list[str]) -> None:
    matcher = Matcher(made([[rules]]))
    granted = matcher.find("/".join((*mount, *below)), listing=False)
    if below and granted is not None and granted.capabilities - {Capability.DENY}:
        assert matcher.reaches("/".join(mount) + "/")


@settings(max_examples=100)
@given(POLICIES, POLICIES, PATHS, st.booleans())
def test_own_stanzas_over_shared_ones_are_as_all_made_at_once(shared: list[list[PathRules]], own: list[list[PathRules]], path: str,
                                                              listing: bool) -> None:
    known = made([*shared, *own])
    base = Matcher(known[:len(shared)])
    before = base.find(path, listing=listing)
    both, whole = Matcher(known[len(shared):], base), Matcher(known)
    fast, expected = both.find(path, listing=listing), whole.find(path, listing=listing)
    assert (fast and found(fast)) == (expected and found(expected))
    after = base.find(path, listing=listing)
    assert (before and found(before)) == (after and found(after))
