"""The token fields that auth methods share."""
import msgspec
import pytest

from holdfast.auth.token_fields import OldTokenFields, by_new_names, changed, old_names, same_policies, shown
from holdfast.engine import TokenParams, TokenType
from holdfast.errors import BadRequest

FULL = TokenParams(policies=("dev",), ttl_s=60, max_ttl_s=120, explicit_max_ttl_s=180, period_s=240, num_uses=5,
                   bound_cidrs=("10.0.0.0/8",),
                   type=TokenType.SERVICE, no_default_policy=True)


def sent(**fields: object) -> OldTokenFields:
    return msgspec.json.decode(msgspec.json.encode(fields), type=OldTokenFields, strict=False)


def test_what_is_not_sent_stays() -> None:
    assert changed(FULL, sent()) == FULL


def test_what_is_sent_is_read_leniently() -> None:
    new = changed(TokenParams(), sent(
        token_policies=" dev , ops,dev", token_ttl="1m", token_max_ttl="120", token_explicit_max_ttl=180,
        token_period="4m", token_num_uses="5",
        token_bound_cidrs=["10.1.2.3/8", "192.0.2.1"], token_type="service", token_no_default_policy="true"))
    assert new == TokenParams(policies=("dev", "ops"), ttl_s=60, max_ttl_s=120, explicit_max_ttl_s=180, period_s=240, num_uses=5,
                              bound_cidrs=("10.1.2.3/8", "192.0.2.1"), type=TokenType.SERVICE, no_default_policy=True)


@pytest.mark.parametrize(("name", "field", "empty"), [
    ("token_policies", "policies", []), ("token_ttl", "ttl_s", 0), ("token_ttl", "ttl_s", ""), ("token_bound_cidrs", "bound_cidrs", ""),
    ("token_num_uses", "num_uses", 0), ("token_no_default_policy", "no_default_policy", False),
])
def test_an_empty_value_resets(name: str, field: str, empty: object) -> None:
    assert getattr(changed(FULL, sent(**{name: empty})), field) == getattr(TokenParams(), field)


@pytest.mark.parametrize(("fields", "error"), [
    ({"token_ttl": "2h", "token_max_ttl": "1h"}, "'token_ttl' cannot be greater than 'token_max_ttl'"),
    ({"token_ttl": -1}, "token_ttl: a duration cannot be negative"), ({"token_period": "-5s"},
                                                                      "token_period: a duration cannot be negative"),
    ({"token_max_ttl": "soon"}, "token_max_ttl: 'soon' is not a duration"), ({"token_ttl": 1e300}, "token_ttl: a duration is at most"),
    ({"token_type": "batch", "token_period": 5}, "when set to generate periodic tokens"),
    ({"token_num_uses": -1}, "'token_num_uses' cannot be negative"),
    ({"token_type": "batch", "token_num_uses": 5}, "with limited use count"),
    ({"token_type": "paper"}, "invalid 'token_type' value \"paper\""), ({"token_type": "default-batch"}, "invalid 'token_type' value"),
    ({"token_bound_cidrs": "10.0.0.0/33"}, "token_bound_cidrs: '10.0.0.0/33' is not an address or a network"),
])
def test_what_does_not_fit_is_named(fields: dict[str, object], error: str) -> None:
    with pytest.raises(BadRequest) as raised:
        changed(TokenParams(), sent(**fields))
    assert error in str(raised.value)


@pytest.mark.parametrize("fields", [
    {"token_num_uses": 1 << 63}, {"token_num_uses": "x"}, {"token_policies": {"a": 1}}, {"token_ttl": [1]},
    {"token_no_default_policy": "maybe"}, {"token_type": 5}])
def test_wrong_types_are_refused_at_the_edge(fields: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        sent(**fields)


def test_old_names_are_read_and_shown_until_the_new_one_is_used() -> None:
    first = sent(policies="dev", ttl="1m", max_ttl=120, bound_cidrs="10.0.0.0/8")
    params, names = changed(TokenParams(), by_new_names(first)), old_names((), first)
    assert (params.policies, params.ttl_s, params.max_ttl_s, params.bound_cidrs) == (("dev",), 60, 120, ("10.0.0.0/8",))
    data = shown(params, names)
    assert {old: data[old] for old in ("policies", "ttl", "max_ttl", "bound_cidrs")} == {
        "policies": ("dev",), "ttl": 60, "max_ttl": 120, "bound_cidrs": ("10.0.0.0/8",)}
    second = sent(token_ttl="90s")
    names = old_names(names, second)
    assert "ttl" not in shown(changed(params, second), names)
    both = sent(ttl=10, token_ttl=20)
    assert changed(params, by_new_names(both)).ttl_s == 20
    assert "max_ttl" not in shown(changed(params, sent(token_max_ttl=0)), ("max_ttl",))


def test_policies_are_compared_without_default() -> None:
    assert same_policies(("dev", "default"), ("Dev ",))
    assert same_policies((), ("default",))
    assert not same_policies(("dev",), ("dev", "ops"))
