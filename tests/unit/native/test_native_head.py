"""Request heads as the native parser gives them. What it refuses stands in tests/unit/http/test_smuggling.py."""
import pytest

from holdfast._native import HeadError, parse_head

HOST = b"Host: v\r\n"
GET = b"GET /v1/a HTTP/1.1\r\n" + HOST + b"\r\n"


def test_positions() -> None:
    data = (b"PATCH /v1/secret/a?b=c HTTP/1.1\r\nHost: v\r\nContent-Type: application/json\r\nContent-Length: 12\r\nX-Vault-Token: t\r\n"
            b"X-Other:  spaced \r\nConnection: close\r\nX-Vault-Request: true\r\nExpect: 100-continue\r\n\r\n")
    assert parse_head(data + b"rest") == (
        len(data), "PATCH", "secret/a", "b=c", b"t", b"application/json", 12, 4 | 8 | 16, [("x-other", b"spaced")])


def test_what_every_client_sends_is_not_handed_on() -> None:
    data = b"GET /v1/a HTTP/1.1\r\nHost: v\r\nUser-Agent: u\r\nAccept: */*\r\nAccept-Encoding: gzip\r\nConnection: keep-alive\r\n\r\n"
    assert parse_head(data) == (len(data), "GET", "a", None, None, None, -1, 1 | 8, None)


@pytest.mark.parametrize(("method", "known"), [
    *((name, name) for name in ("GET", "HEAD", "LIST", "POST", "PUT", "PATCH", "DELETE", "HELP")),
    *((name, "") for name in ("OPTIONS", "BREW", "get")),
])
def test_methods(method: str, known: str) -> None:
    head = parse_head(method.encode() + GET[3:])
    assert head is not None
    assert head[1] == known


@pytest.mark.parametrize(("target", "path", "is_plain"), [
    (b"/v1/secret/a", "secret/a", True),
    (b"/v1/", "", True),
    (b"/v1/a/", "a/", True),
    (b"/v1/a.b/c..d", "a.b/c..d", True),
    (b"/v1/a%20b", "/v1/a%20b", False),
    (b"/v1/a//b", "/v1/a//b", False),
    (b"/v1//a", "/v1//a", False),
    (b"/v1/./a", "/v1/./a", False),
    (b"/v1/.a", "/v1/.a", False),
    (b"/v1/a/..", "/v1/a/..", False),
    (b"/v1", "/v1", False),
    (b"/ui/", "/ui/", False),
    (b"http://v/v1/a", "http://v/v1/a", False),
    (b"*", "*", False),
])
def test_plain_paths_are_ready_to_use(target: bytes, path: str, is_plain: bool) -> None:
    head = parse_head(GET.replace(b"/v1/a", target))
    assert head is not None
    assert (head[2], bool(head[7] & 8)) == (path, is_plain)


def test_a_head_that_has_not_ended() -> None:
    for end in range(len(GET)):
        assert parse_head(GET[:end]) is None
        assert parse_head(GET[:end], 0, max(0, end - 1)) is None
    assert parse_head(GET, 0, len(GET) - 1) == parse_head(GET)


def test_a_head_behind_another() -> None:
    first = parse_head(GET + GET)
    assert first is not None
    second = parse_head(GET + GET, first[0], first[0])
    assert second is not None
    assert second == (2 * len(GET), *first[1:])
    assert parse_head(GET, len(GET), 0) is None
    assert parse_head(GET, 1_000, 5_000) is None


def test_an_error_shows_nothing_of_the_head() -> None:
    with pytest.raises(HeadError) as error:
        parse_head(b"GET /v1/canary HTTP/1.1\r\nX-Vault-Token: canary\r\ncanary canary\r\n\r\n")
    assert "canary" not in str(error.value)
    assert isinstance(error.value, ValueError)


@pytest.mark.parametrize("arguments", [(None,), ("text",), (GET, -1), (GET, 0, -1), (GET, 1 << 70)])
def test_wrong_arguments_are_errors(arguments: tuple[object, ...]) -> None:
    with pytest.raises((TypeError, OverflowError)):
        parse_head(*arguments)  # type: ignore[arg-type]
