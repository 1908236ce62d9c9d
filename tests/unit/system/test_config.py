"""sys/config/cors and sys/config/auditing/request-headers."""
import pytest
from tests.contract.one_node import OneNode

from holdfast.core.cors import STANDARD_HEADERS
from holdfast.engine import Method
from holdfast.limits import AUDITED_HEADERS_MAX, CORS_TEXTS_MAX

GET, POST, DELETE = Method.GET, Method.POST, Method.DELETE
ALWAYS = {"correlation-id": {"hmac": False}, "x-correlation-id": {"hmac": False}}
CORS, HEADERS = "sys/config/cors", "sys/config/auditing/request-headers"


@pytest.fixture
def node() -> OneNode:
    return OneNode()


class TestCors:
    def test_it_is_off_until_it_is_set(self, node: OneNode) -> None:
        assert node.call(GET, CORS).json["data"] == {"enabled": False}
        asked = {"allowed_origins": "https://a.example, https://b.example", "allowed_headers": ["X-Mine"]}
        assert node.call(POST, CORS, asked).status == 204
        seen = node.call(GET, CORS).json
        assert seen["data"] == {"enabled": True, "allowed_origins": ["https://a.example", "https://b.example"],
                                "allowed_headers": [*STANDARD_HEADERS, "X-Mine"]}
        assert seen["enabled"] is True
        assert node.call(DELETE, CORS).status == 204
        assert node.call(GET, CORS).json["data"] == {"enabled": False}
        assert node.call(DELETE, CORS).status == 204

    @pytest.mark.parametrize(("body", "says"), [
        ({}, "at least one origin"), ({"allowed_origins": ["*", "https://a.example"]}, "must be the only value"),
        ({"allowed_origins": "https://a b"}, "allowed_origins"), ({"allowed_origins": "*", "allowed_headers": "a b"}, "allowed_headers"),
        ({"allowed_origins": ["https://a.example"] * (CORS_TEXTS_MAX + 1)}, str(CORS_TEXTS_MAX)),
        ({"allowed_origins": {"a": 1}}, "allowed_origins"),
    ])
    def test_what_it_refuses(self, node: OneNode, body: dict[str, object], says: str) -> None:
        seen = node.call(POST, CORS, body)
        assert seen.status == 400
        assert says in seen.json["errors"][0]
        assert node.call(GET, CORS).json["data"] == {"enabled": False}


class TestAuditedHeaders:
    def test_they_are_kept_by_name_whatever_its_case(self, node: OneNode) -> None:
        assert node.call(POST, f"{HEADERS}/X-Forwarded-For", {"hmac": True}).status == 204
        assert node.call(POST, f"{HEADERS}/x-ticket").status == 204
        assert node.call(GET, f"{HEADERS}/X-FORWARDED-For").json["data"] == {"X-FORWARDED-For": {"hmac": True}}
        assert node.call(GET, HEADERS).json["headers"] == {**ALWAYS, "x-forwarded-for": {"hmac": True}, "x-ticket": {"hmac": False}}
        assert node.call(DELETE, f"{HEADERS}/X-Ticket").status == 204
        assert node.call(GET, f"{HEADERS}/x-ticket").json["errors"] == ["Could not find header in config"]

    def test_two_are_audited_unasked_and_cannot_be_taken_away(self, node: OneNode) -> None:
        assert node.call(GET, HEADERS).json["data"] == {"headers": ALWAYS}
        assert node.call(GET, f"{HEADERS}/Correlation-ID").json["data"] == {"Correlation-ID": {"hmac": False}}
        assert node.call(POST, f"{HEADERS}/correlation-id", {"hmac": True}).status == 204
        assert node.call(GET, HEADERS).json["headers"] == {**ALWAYS, "correlation-id": {"hmac": True}}
        assert node.call(DELETE, f"{HEADERS}/correlation-id").status == 204
        assert node.call(GET, HEADERS).json["headers"] == ALWAYS

    def test_what_cannot_be_audited_is_said(self, node: OneNode) -> None:
        assert "user-agent" in node.call(POST, f"{HEADERS}/User-Agent").json["warnings"][0]

    def test_what_they_refuse(self, node: OneNode) -> None:
        for name in ("a b", "a:b", "x" * 300):
            assert node.call(POST, f"{HEADERS}/{name}").status == 400, name
        for number in range(AUDITED_HEADERS_MAX):
            assert node.call(POST, f"{HEADERS}/x-{number}").status == 204
        assert str(AUDITED_HEADERS_MAX) in node.call(POST, f"{HEADERS}/x-more").json["errors"][0]
        assert node.call(POST, f"{HEADERS}/x-0", {"hmac": True}).status == 204


@pytest.mark.parametrize("path", [CORS, HEADERS, f"{HEADERS}/x-a"])
def test_they_need_sudo(node: OneNode, path: str) -> None:
    node.call(POST, "sys/policies/acl/plain", {"policy": 'path "sys/config/*" { capabilities = ["read", "update", "delete"] }'})
    node.call(POST, "auth/userpass/users/ann", {"password": "p", "token_policies": "plain"})
    token = node.call(POST, "auth/userpass/login/ann", {"password": "p"}, token=None).json["auth"]["client_token"]
    for method in (GET, POST, DELETE):
        if (method, path) not in ((POST, HEADERS), (DELETE, HEADERS)):
            assert node.call(method, path, token=token).status == 403
