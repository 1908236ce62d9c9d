"""Web pages that ask: who is let in, what the answers say."""
import asyncio
from collections.abc import Awaitable

import msgspec
import pytest
from tests.unit.http.wire import Wire, place, run_virtual

from holdfast.engine import Reply, Request, Stream
from holdfast.http.cross_origin import RulesNow

OURS, FOREIGN = "https://ui.example.com", "https://evil.example.org"


class SomeRules(msgspec.Struct, frozen=True):
    """Of the test's own: this room knows no other."""

    origins: tuple[str, ...] = (OURS,)
    allowed_headers: tuple[str, ...] = ("X-Vault-Token", "X-Mine")

    def allows(self, origin: str) -> bool:
        return origin in self.origins


def served(request: Request) -> Reply | Stream | Awaitable[Reply | Stream]:
    async def later() -> Reply:
        await asyncio.sleep(0)
        return Reply(status=200, body=b'{"later": true}\n')

    return later() if request.path == "slow" else Reply(status=200, body=request.path.encode())


def ask(*lines: str, rules: RulesNow = SomeRules) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the answer to one request."""

    async def talk() -> bytes:
        here = place(served, cross_origin=rules)
        wire = Wire(here)
        wire.send("".join(f"{line}\r\n" for line in (*lines, "Host: v", "")).encode())
        await asyncio.sleep(0.1)
        here.close()
        return wire.received

    head, _, body = run_virtual(talk()).partition(b"\r\n\r\n")
    first, *rest = head.decode().split("\r\n")
    return int(first.split()[1]), dict(line.lower().split(": ", 1) for line in rest), body


@pytest.mark.parametrize("path", ["secret/a", "slow"])
def test_an_allowed_page_may_read_the_answer(path: str) -> None:
    status, headers, body = ask(f"GET /v1/{path} HTTP/1.1", f"Origin: {OURS}")
    assert (status, headers["access-control-allow-origin"], headers["vary"]) == (200, OURS, "origin")
    assert "access-control-allow-methods" not in headers
    assert body


def test_it_may_read_errors_too() -> None:
    for line in ("GET /v1/a/../b HTTP/1.1", "BREW /v1/a HTTP/1.1", "GET /none HTTP/1.1", "GET /v1//a HTTP/1.1"):
        status, headers, _ = ask(line, f"Origin: {OURS}")
        assert status >= 300, line
        assert headers["access-control-allow-origin"] == OURS, line


def test_a_foreign_page_is_refused_before_anything_is_done() -> None:
    for line in ("GET /v1/secret/a HTTP/1.1", "OPTIONS /v1/secret/a HTTP/1.1"):
        status, headers, body = ask(line, f"Origin: {FOREIGN}")
        assert (status, body) == (403, b'{"errors":["origin not allowed"]}\n')
        assert "access-control-allow-origin" not in headers


def test_leave_is_given_beforehand() -> None:
    status, headers, body = ask("OPTIONS /v1/secret/a HTTP/1.1", f"Origin: {OURS}", "Access-Control-Request-Method: PUT")
    assert (status, body) == (200, b"")
    assert headers["access-control-allow-methods"].split(",") == ["delete", "get", "options", "post", "put", "list"]
    assert headers["access-control-allow-headers"] == "x-vault-token,x-mine"
    assert headers["access-control-max-age"] == "300"
    assert ask("OPTIONS /v1/secret/a HTTP/1.1", f"Origin: {OURS}", "Access-Control-Request-Method: BREW")[0] == 405
    assert ask("OPTIONS /v1/secret/a HTTP/1.1", f"Origin: {OURS}")[0] == 405


def test_without_rules_a_page_is_as_anybody_else() -> None:
    status, headers, _ = ask("GET /v1/secret/a HTTP/1.1", f"Origin: {FOREIGN}", rules=lambda: None)
    assert (status, "access-control-allow-origin" in headers, "vary" in headers) == (200, False, False)
    assert ask("OPTIONS /v1/a HTTP/1.1", f"Origin: {FOREIGN}", "Access-Control-Request-Method: PUT", rules=lambda: None)[0] == 405


def test_who_names_no_origin_is_not_asked_about() -> None:
    def refuse() -> None:
        raise AssertionError("nobody needs the rules")

    assert ask("GET /v1/secret/a HTTP/1.1", "X-Other: 1", rules=refuse)[0] == 200
