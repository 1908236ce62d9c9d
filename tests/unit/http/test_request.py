"""From a head and a body to a Request."""
import pytest
from msgspec.structs import replace
from tests.unit.http.wire import PLAIN, new_ids

from holdfast.config.settings import ListenerTelemetry, TcpListener
from holdfast.crypto import Secret
from holdfast.engine import Client, Inconsistent, Method, Request
from holdfast.errors import BadRequest, MethodNotAllowed, NotFound, RequestError, UnsupportedMediaType
from holdfast.http.framing import Framing
from holdfast.http.head import Elsewhere, decode_query, decode_target
from holdfast.http.request import NotServed, Requests, wrap_ttl_s

CLIENT = Client(address="203.0.113.7", port=40_000)


def make(target: str, *headers: str, method: str = "GET", body: bytes = b"", settings: TcpListener = PLAIN) -> Request:
    lines = "".join(f"{each}\r\n" for each in headers)
    framing = Framing(1 << 20)
    framing.receive(f"{method} {target} HTTP/1.1\r\nHost: v\r\nContent-Length: {len(body)}\r\n{lines}\r\n".encode() + body)
    message = framing.next()
    assert message is not None
    return Requests(settings, new_ids()).make(*message, CLIENT)


def test_the_common_read() -> None:
    request = make("/v1/secret/data/a", "X-Vault-Token: t")
    assert (request.method, request.path, request.query, request.body) == (Method.GET, "secret/data/a", {}, b"")
    assert request.token == Secret(b"t")
    assert (request.client, request.id, request.wrap_ttl_s, request.states) == (CLIENT, "id-1", None, ())
    assert request.inconsistent is Inconsistent.FAIL


def test_without_a_token_there_is_none() -> None:
    assert make("/v1/sys/health").token is None
    assert make("/v1/sys/health", "X-Vault-Token:").token is None


@pytest.mark.parametrize(("method", "meant"), [
    ("GET", Method.GET), ("HEAD", Method.HEAD), ("LIST", Method.LIST), ("POST", Method.POST), ("PUT", Method.POST),
    ("DELETE", Method.DELETE), ("HELP", Method.HELP),
])
@pytest.mark.parametrize("query", ["", "?a=b"])
def test_methods(method: str, meant: Method, query: str) -> None:
    assert make("/v1/a" + query, method=method).method is meant


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_the_query_of_a_write_is_kept_for_a_redirect_alone(method: str) -> None:
    request = make("/v1/a?x=1", method=method)
    assert (request.query, request.unread_query) == ({}, {"x": "1"})
    assert make("/v1/a?x=1").unread_query == {}


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "CONNECT", "get", "SCAN", "BREW"])
@pytest.mark.parametrize("query", ["", "?a=b"])
def test_other_methods_are_405(method: str, query: str) -> None:
    with pytest.raises(MethodNotAllowed):
        make("/v1/a" + query, method=method)


@pytest.mark.parametrize("value", ["true", "1", "T", "True", "TRUE", "t"])
def test_a_get_may_ask_for_a_list(value: str) -> None:
    request = make(f"/v1/secret/metadata/a/?list={value}&after=b")
    assert (request.method, request.path, request.query) == (Method.LIST, "secret/metadata/a/", {"after": "b"})


def test_a_get_may_say_that_it_wants_no_list() -> None:
    assert make("/v1/a?list=false").method is Method.GET
    assert make("/v1/a?list=").method is Method.GET
    with pytest.raises(BadRequest, match="list: 'yes' is neither true nor false"):
        make("/v1/a?list=yes")


@pytest.mark.parametrize("method", ["GET", "POST", "LIST"])
def test_help_is_asked_for_by_the_query(method: str) -> None:
    assert make("/v1/a?help=1", method=method).method is Method.HELP
    assert make("/v1/a?help=", method=method).method is not Method.HELP


def test_a_query_belongs_to_what_reads() -> None:
    assert make("/v1/a?version=2&version=3&b=%26+%2B").query == {"version": "2", "b": "& +"}
    assert make("/v1/a?version=2", method="DELETE").query == {"version": "2"}
    assert make("/v1/a?version=2", method="POST", body=b"{}").query == {}


def test_a_body_belongs_to_what_writes() -> None:
    assert make("/v1/a", method="POST", body=b"{}").body == b"{}"
    for method in ("GET", "LIST", "DELETE", "HEAD"):
        assert make("/v1/a", method=method, body=b"{}").body == b""
        assert make("/v1/a?b=c", method=method, body=b"{}").body == b""


@pytest.mark.parametrize(("target", "path"), [
    ("/v1/secret/a", "secret/a"),
    ("/v1/secret/a/", "secret/a/"),
    ("/v1/", ""),
    ("/v1/secret/a%2Fb", "secret/a/b"),
    ("/v1/secret/a%2fb", "secret/a/b"),
    ("/v1/secret/%C3%A9", "secret/é"),
    ("/v1/secret/a%20b", "secret/a b"),
    ("/v1/secret/a+b", "secret/a+b"),
    ("/v1/secret/a%252Fb", "secret/a%2Fb"),
    ("/v1/secret/..a", "secret/..a"),
    ("/v1/secret/.hidden", "secret/.hidden"),
    ("/v1/secret/...", "secret/..."),
    ("/v1/secret/a;b,c:d@e!$&'()*=~", "secret/a;b,c:d@e!$&'()*=~"),
    ("/v1/secret/%3Fa", "secret/?a"),
    ("/%76%31/secret/a", "secret/a"),
    ("http://vault:8200/v1/secret/a", "secret/a"),
    ("HTTPS://vault/v1/secret/%61", "secret/a"),
])
def test_paths_are_decoded_once(target: str, path: str) -> None:
    assert make(target).path == path


@pytest.mark.parametrize(("target", "message"), [
    ("/v1/secret/../sys/raw", "relative paths not supported"),
    ("/v1/secret/..", "relative paths not supported"),
    ("/v1/../v1/secret", "relative paths not supported"),
    ("/v1/secret/%2e%2e/a", "relative paths not supported"),
    ("/v1/secret/%2E./a", "relative paths not supported"),
    ("/v1/secret/a%2f..%2fb", "relative paths not supported"),
    ("/v1/secret/a%00b", "cannot be printed"),
    ("/v1/secret/a%0ab", "cannot be printed"),
    ("/v1/secret/a%7fb", "cannot be printed"),
    ("/v1/secret/%E2%80%8B", "cannot be printed"),
    ("/v1/secret/%ff", "not UTF-8"),
    ("/v1/secret/%c0%af", "not UTF-8"),
    ("/v1/secret/%", "two hexadecimal digits"),
    ("/v1/secret/%2", "two hexadecimal digits"),
    ("/v1/secret/%zz", "two hexadecimal digits"),
    ("/v1/a?b=%2", "two hexadecimal digits"),
    ("/v1/a?b=%ff", "the query is not UTF-8"),
    ("*", "the request target is no path"),
    ("vault:8200", "the request target is no path"),
    ("ftp://vault/v1/a", "the request target is no path"),
    ("http://user@vault/v1/a", "the request target is no path"),
])
def test_other_paths_are_refused(target: str, message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        make(target)


@pytest.mark.parametrize(("target", "location"), [
    ("/v1//secret/a", "/v1/secret/a"),
    ("/v1/secret//a", "/v1/secret/a"),
    ("/v1/secret/./a", "/v1/secret/a"),
    ("/v1/secret/a//", "/v1/secret/a/"),
    ("/v1/secret/a/.", "/v1/secret/a/"),
    ("//evil.example/v1/a", "/evil.example/v1/a"),
    ("/v1/secret%2f%2fa%20b", "/v1/secret/a%20b"),
])
def test_paths_with_empty_segments_are_sent_to_the_plain_way(target: str, location: str) -> None:
    with pytest.raises(Elsewhere) as elsewhere:
        make(target)
    assert elsewhere.value.location == location


@pytest.mark.parametrize("target", ["/v2/a", "/v1", "/v", "/metrics", "/V1/a"])
def test_outside_of_the_api_there_is_nothing(target: str) -> None:
    with pytest.raises(NotFound):
        make(target)


@pytest.mark.parametrize("target", ["/", "/ui", "/ui/", "/ui/vault/auth", "/robots.txt"])
def test_what_belongs_to_the_user_interface_is_not_served(target: str) -> None:
    with pytest.raises(NotServed):
        make(target)


@pytest.mark.parametrize(("text", "length_s"), [
    ("60", 60), ("60s", 60), ("1h30m", 5_400), ("2d", 172_800), ("500ms", 1), ("1.5s", 2), ("0", 0), ("0s", 0),
    ("9223372036", 9_223_372_036),
])
def test_wrap_ttl(text: str, length_s: int) -> None:
    assert wrap_ttl_s(text) == length_s
    assert make("/v1/a", f"X-Vault-Wrap-TTL: {text}").wrap_ttl_s == length_s


def test_wrapping_tokens_are_never_jwts() -> None:
    with pytest.raises(BadRequest, match="JWT format are not supported"):
        make("/v1/a", "X-Vault-Wrap-TTL: 60", "X-Vault-Wrap-Format: jwt")
    assert make("/v1/a", "X-Vault-Wrap-Format: jwt").wrap_ttl_s is None


@pytest.mark.parametrize("text", [
    "abc", "-60", "-1h", "1h-", "h", "1x", "1e9", "9223372037", "99999999999999999999", "9" * 60 + "h", "1" * 100, "٥"])
def test_wrap_ttl_that_is_none(text: str) -> None:
    with pytest.raises(BadRequest, match="error parsing X-Vault-Wrap-TTL header: "):
        wrap_ttl_s(text)


def test_headers_that_ask_for_a_state() -> None:
    request = make("/v1/a", "X-Vault-Index: one", "X-Vault-Index: two", "X-Vault-Inconsistent: forward-active-node",
                   "X-Vault-Forward: active-node", "X-Vault-No-Request-Forwarding: 1")
    assert request.states == ("one", "two")
    assert request.inconsistent is Inconsistent.FORWARD
    assert request.wants_active
    assert request.no_forwarding
    assert make("/v1/a", "X-Vault-Index:", "X-Vault-Index: two").states == ("two",)


@pytest.mark.parametrize("header", ["X-Vault-Inconsistent: perhaps", "X-Vault-Forward: anywhere"])
def test_headers_that_ask_for_the_unknown_ask_for_nothing(header: str) -> None:
    request = make("/v1/a", header)
    assert (request.inconsistent, request.wants_active) == (Inconsistent.FAIL, False)


def test_other_headers_change_nothing() -> None:
    plain = make("/v1/a")
    others = ("X-Vault-Namespace: ns1", "Accept-Language: en", "Cookie: a=b", "X-Forwarded-For: 10.0.0.1", "X-Vault-MFA: one:123",
              "X-Vault-MFA: no such form")
    request = make("/v1/a", *others)
    assert request.headers == tuple((name.lower(), value.encode()) for name, _, value in (line.partition(": ") for line in others))
    assert replace(request, headers=()) == plain


def test_a_listener_may_require_the_request_header() -> None:
    settings = replace(PLAIN, require_request_header=True)
    assert make("/v1/a", "X-Vault-Request: true", settings=settings).path == "a"
    for headers in ((), ("X-Vault-Request: false",), ("X-Vault-Request:",)):
        with pytest.raises(RequestError, match='missing "X-Vault-Request" header') as refused:
            make("/v1/a", *headers, settings=settings)
        assert refused.value.status == 412


def test_a_listener_marks_its_requests() -> None:
    settings = replace(PLAIN, redact_version=True, redact_addresses=True, redact_cluster_name=True,
                       telemetry=ListenerTelemetry(unauthenticated_metrics_access=True))
    listener = make("/v1/sys/health", settings=settings).listener
    assert (listener.redact_version, listener.redact_addresses, listener.redact_cluster_name, listener.open_metrics) == (True,) * 4
    assert make("/v1/sys/health").listener != listener


def test_patch_is_a_merge_patch() -> None:
    request = make("/v1/a", "Content-Type: application/merge-patch+json; charset=utf-8", method="PATCH", body=b"{}")
    assert (request.method, request.body) == (Method.PATCH, b"{}")
    with pytest.raises(UnsupportedMediaType, match=r"requires Content-Type of application/merge-patch\+json, provided application/json"):
        make("/v1/a", "Content-Type: application/json", method="PATCH", body=b"{}")
    with pytest.raises(BadRequest, match="mime: no media type"):
        make("/v1/a", method="PATCH", body=b"{}")


@pytest.mark.parametrize(("body", "becomes"), [
    (b"a=b&c=d%20e&a=f+g", b'{"a":"b,f g","c":"d e"}'),
    (b'  {"a":"b"}', b'  {"a":"b"}'),
    (b"[1]", b"[1]"),
    (b"", b""),
])
def test_a_form_becomes_json_unless_it_is_json_already(body: bytes, becomes: bytes) -> None:
    assert make("/v1/a", "Content-Type: application/x-www-form-urlencoded", method="POST", body=body).body == becomes


@pytest.mark.parametrize("body", [b"a=%2", b"a=\xff", b"a=b&" * 1_000])
def test_a_form_that_is_none(body: bytes) -> None:
    with pytest.raises(BadRequest, match=r"^error parsing form data: "):
        make("/v1/a", "Content-Type: application/x-www-form-urlencoded", method="POST", body=body)


@pytest.mark.parametrize("body", [b"\n", b" ", b"\r\n \t"])
@pytest.mark.parametrize(("method", "content_type"), [
    ("POST", "application/json"), ("PUT", ""), ("POST", "application/x-www-form-urlencoded"), ("PATCH", "application/merge-patch+json")])
def test_a_body_of_blanks_is_none(body: bytes, method: str, content_type: str) -> None:
    lines = [f"Content-Type: {content_type}"] if content_type else []
    assert make("/v1/a", *lines, method=method, body=body).body == b""


def test_json_limits_are_the_listener_s() -> None:
    settings = replace(PLAIN, max_json_depth=2)
    assert make("/v1/a", method="POST", body=b'{"a":{}}', settings=settings).body == b'{"a":{}}'
    with pytest.raises(BadRequest, match="JSON input exceeds allowed nesting depth: max_json_depth is 2"):
        make("/v1/a", method="POST", body=b'{"a":{"b":{}}}', settings=settings)


def test_a_query_has_a_bound() -> None:
    assert len(decode_query("&".join(f"a{n}=1" for n in range(1_000)), 1_000)) == 1_000
    with pytest.raises(BadRequest, match="more than 1000 query parameters"):
        decode_query("&" * 1_000, 1_000)


def test_a_target_keeps_its_letters() -> None:
    assert decode_target("/v1/Secret/A%2fB") == "/v1/Secret/A/B"


def test_a_snapshot_is_taken_as_it_is() -> None:
    """Neither JSON nor a form, whatever a client calls it, and however plain the request is."""
    for content_type in ("application/json", "application/x-www-form-urlencoded", ""):
        lines = [f"Content-Type: {content_type}"] if content_type else []
        request = make("/v1/sys/storage/raft/snapshot", *lines, method="POST", body=b"\x1f\x8b{[[[a=b&c")
        assert request.body == b"\x1f\x8b{[[[a=b&c"
