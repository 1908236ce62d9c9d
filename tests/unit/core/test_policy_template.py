"""Paths that are filled in for the entity of a token."""
import pytest

from holdfast.core.policy import PathRules, Policy
from holdfast.core.policy_template import AliasView, GroupView, Subject, fill, is_template, plain, rendered

ANN = Subject(
    id="e-1", name="ann", metadata={"team": "blue", "glob": "x*", "empty": ""},
    aliases=(AliasView(id="a-1", name="ann@example", mount_accessor="userpass_1", metadata={"m": "1"}, custom_metadata={"c": "2"}),),
    groups=(GroupView(id="g-1", name="staff", metadata={"floor": "3"}),))


@pytest.mark.parametrize(("text", "expected"), [
    ("identity.entity.id", "e-1"),
    (" identity.entity.name ", "ann"),
    ("identity.entity.metadata.team", "blue"),
    ("identity.entity.aliases.userpass_1.id", "a-1"),
    ("identity.entity.aliases.userpass_1.name", "ann@example"),
    ("identity.entity.aliases.userpass_1.metadata.m", "1"),
    ("identity.entity.aliases.userpass_1.custom_metadata.c", "2"),
    ("identity.groups.ids.g-1.name", "staff"),
    ("identity.groups.names.staff.id", "g-1"),
    ("identity.groups.names.staff.metadata.floor", "3"),
])
def test_values(text: str, expected: str) -> None:
    assert fill(f"secret/{{{{{text}}}}}/x", ANN) == f"secret/{expected}/x"


@pytest.mark.parametrize("text", [
    "identity.entity.metadata.none", "identity.entity.metadata.empty", "identity.entity.metadata", "identity.entity.aliases.other.id",
    "identity.entity.aliases.userpass_1", "identity.entity.custom_metadata.c", "identity.groups.names.other.id",
    "identity.groups.names.staff", "identity.groups.all.staff.id", "identity.entity", "entity.id", "", "identity.entity.metadata.glob",
])
def test_without_a_value_or_with_a_wildcard_in_it_the_stanza_does_not_apply(text: str) -> None:
    assert fill(f"secret/{{{{{text}}}}}/x", ANN) is None


def test_a_token_without_an_entity_gets_no_templated_stanza() -> None:
    policy = Policy(paths=(PathRules(path="secret/{{identity.entity.id}}/*"), PathRules(path="secret/own")), templated=True)
    assert [rules.path for rules in plain(policy).paths] == ["secret/own"]
    assert [rules.path for rules in rendered(policy, None).paths] == []
    assert [rules.path for rules in rendered(policy, ANN).paths] == ["secret/e-1/*"]


def test_several_in_one_path() -> None:
    assert fill("{{identity.entity.name}}/{{identity.entity.metadata.team}}", ANN) == "ann/blue"


@pytest.mark.parametrize(("text", "expected"), [("a/b", False), ("a/{{x}}", True), ("{{a}}{{b}}", True)])
def test_what_is_a_template(text: str, expected: bool) -> None:
    assert is_template(text) is expected


@pytest.mark.parametrize("text", ["{{a", "a}}", "{{a}}b}}", "{{a{{b}}"])
def test_braces_that_do_not_pair_up(text: str) -> None:
    with pytest.raises(ValueError, match="unbalanced"):
        is_template(text)
