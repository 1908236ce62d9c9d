"""What a stanza says of parameters and of wrapping."""
import json
from collections.abc import Mapping

import pytest

from holdfast.core.acl_match import Permissions
from holdfast.core.acl_parameters import permits_parameters, permits_wrapping
from holdfast.core.policy import Capability
from holdfast.engine import Client, Method, Request
from holdfast.errors import BadRequest
from holdfast.ids import RequestId


def request(body: object = None, *, query: Mapping[str, str] | None = None, wrap_ttl_s: int | None = None) -> Request:
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return Request(id=RequestId("r"), method=Method.POST, path="p", query=query or {}, body=raw, wrap_ttl_s=wrap_ttl_s,
                   client=Client(address="192.0.2.1"))


def rules(**said: object) -> Permissions:
    return Permissions(capabilities=frozenset({Capability.UPDATE}), **said)  # type: ignore[arg-type]


@pytest.mark.parametrize(("allowed", "body", "expected"), [
    ({"ttl": ()}, {"ttl": "1h"}, True),
    ({"ttl": ()}, {"TTL": "1h"}, True),
    ({"ttl": ()}, {"other": 1}, False),
    ({"ttl": ()}, {}, True),
    ({"ttl": ()}, None, True),
    ({"*": ()}, {"anything": 1}, True),
    ({"ttl": ("1h",), "*": ()}, {"ttl": "2h"}, False),
    ({"ttl": ("1h",), "*": ()}, {"other": 1}, True),
    ({"ttl": ("1h", "2h")}, {"ttl": "2h"}, True),
    ({"n": ("a*",)}, {"n": "abc"}, True),
    ({"n": ("*c",)}, {"n": "abc"}, True),
    ({"n": ("*b*",)}, {"n": "abc"}, True),
    ({"n": ("a*c",)}, {"n": "abc"}, False),
    ({"n": ("*",)}, {"n": "*"}, True),
    ({"n": ("*",)}, {"n": "x"}, False),                      # a single star is no glob, as in Vault
    ({"n": (5,)}, {"n": 5}, True),
    ({"n": (5,)}, {"n": 5.0}, True),
    ({"n": (5,)}, {"n": "5"}, True),
    ({"n": ("5",)}, {"n": 5}, True),
    ({"n": (True,)}, {"n": True}, True),
    ({"n": (True,)}, {"n": 1}, False),
    ({"n": ("1",)}, {"n": True}, True),                      # a field of text reads true as "1"
    ({"n": ("0",)}, {"n": True}, False),
    ({"n": ("",)}, {"n": None}, False),
    ({"n": (["a", 1],)}, {"n": ["a", 1.0]}, True),
    ({"n": (["a", 1],)}, {"n": ["a"]}, False),
    ({"n": ([True],)}, {"n": [1]}, False),
    ({"n": ({"x": 1},)}, {"n": {"x": 1}}, True),
    ({"n": ({"x": 1},)}, {"n": {"x": 1, "y": 2}}, False),
])
def test_allowed(allowed: Mapping[str, tuple[object, ...]], body: object, expected: bool) -> None:
    assert permits_parameters(rules(allowed=allowed), request(body)) is expected


@pytest.mark.parametrize(("denied", "body", "expected"), [
    ({"ttl": ()}, {"ttl": "1h"}, False),
    ({"ttl": ()}, {"TTL": "1h"}, False),
    ({"ttl": ()}, {"other": 1}, True),
    ({"ttl": ("1h",)}, {"ttl": "2h"}, True),
    ({"ttl": ("1*",)}, {"ttl": "1h"}, False),
    ({"*": ()}, {"x": 1}, False),
    ({"*": ("a",)}, {"x": 1}, False),
    ({"*": ()}, {}, True),
    ({"n": (5,)}, {"n": "5"}, False),
    ({"force": (True,)}, {"force": "true"}, False),
])
def test_denied(denied: Mapping[str, tuple[object, ...]], body: object, expected: bool) -> None:
    assert permits_parameters(rules(denied=denied), request(body)) is expected


def test_denied_counts_before_allowed() -> None:
    assert not permits_parameters(rules(allowed={"a": ()}, denied={"a": ("x",)}), request({"a": "x"}))


@pytest.mark.parametrize(("body", "query", "expected"), [
    ({"A": 1, "b": None}, {}, True),
    ({"a": 1}, {"b": ""}, True),
    ({"a": 1}, {}, False),
    (None, {}, False),
])
def test_required(body: object, query: Mapping[str, str], expected: bool) -> None:
    assert permits_parameters(rules(required=("a", "b")), request(body, query=query)) is expected


@pytest.mark.parametrize(("body", "query"), [
    ({"ttl": "bad", "TTL": "good"}, {}),
    ({"TTL": "good", "ttl": "bad"}, {}),
    ({"ttl": "good"}, {"ttl": "bad"}),
    ({"ttl": None}, {"ttl": "bad"}),
    ({"ttl": "good"}, {"TTL": "bad"}),
])
def test_a_second_value_of_a_name_hides_nothing(body: object, query: Mapping[str, str]) -> None:
    assert not permits_parameters(rules(denied={"ttl": ("bad",)}), request(body, query=query))
    assert not permits_parameters(rules(allowed={"ttl": ("good",)}), request(body, query=query))


def test_how_a_question_is_put_is_no_parameter() -> None:
    assert permits_parameters(rules(allowed={"a": ()}), request(query={"list": "true", "help": "1"}))


@pytest.mark.parametrize("body", [b"[1]", b'{"a":"\xff"}', b'{"\xff":1}', b'{"a":1e400}', b'{"a":' + b"[" * 5_000 + b"]" * 5_000 + b"}"])
def test_a_body_that_is_no_object_is_refused_where_it_matters(body: bytes) -> None:
    with pytest.raises(BadRequest, match="error parsing JSON"):
        permits_parameters(rules(allowed={"a": ()}), request(body))
    assert permits_parameters(rules(), request(body))


def test_a_null_for_a_body_has_no_parameter() -> None:
    """What some of Go's clients send where they have nothing to say."""
    assert permits_parameters(rules(allowed={"a": ()}), request(b"null"))
    assert not permits_parameters(rules(required=("a",)), request(b"null"))


@pytest.mark.parametrize(("least", "most", "asked", "expected"), [
    (0, 0, None, True),
    (5, 0, None, False),
    (5, 0, 4, False),
    (5, 0, 5, True),
    (0, 5, None, False),
    (0, 5, 0, False),
    (0, 5, 5, True),
    (0, 5, 6, False),
    (9, 5, 7, False),                                        # merged from two policies: no time fits
    (9, 5, 9, False),
])
def test_wrapping(least: int, most: int, asked: int | None, expected: bool) -> None:
    assert permits_wrapping(rules(min_wrapping_ttl_s=least, max_wrapping_ttl_s=most), request(wrap_ttl_s=asked)) is expected
