"""Requests of web pages: who may ask from another origin, and what the answer says of it.

A browser names the page's origin in a header that no other client sends, so no other request comes here. Invariants: (1) with rules in
force, what a foreign origin asks is refused before anything of it is looked at; (2) every answer to an allowed origin, errors too, says
that the page may read it. Source: Fetch standard, "CORS protocol"; Vault API, "/sys/config/cors".
"""
import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias

from msgspec.structs import replace

from holdfast.engine import Reply, Stream
from holdfast.http.reply import errors

METHODS = ("DELETE", "GET", "OPTIONS", "POST", "PUT", "LIST")
PREFLIGHT_GOOD_FOR_S = 300
Answered: TypeAlias = Reply | Stream | Awaitable[Reply | Stream]


class Rules(Protocol):
    """Whose pages may ask."""

    @property
    def allowed_headers(self) -> tuple[str, ...]: ...

    def allows(self, origin: str) -> bool: ...


RulesNow: TypeAlias = Callable[[], Rules | None]
"""What the newest state says; None: off, and a page is as anybody else."""


class CrossOrigin(Exception):
    """Raised of a request that a page sent. `wants`: the method of the request that this one asks leave for; None: it asks for none."""

    def __init__(self, origin: str, wants: str | None) -> None:
        super().__init__(origin)
        self.origin, self.wants = origin, wants


def crossing(method: str, headers: list[tuple[str, bytes]]) -> CrossOrigin | None:
    """The page that a request came from; None: from none. OPTIONS is no method of the API, so the parser gives it no name."""
    origin = wants = None
    for name, value in headers:
        if name == "origin":
            origin = value.decode("latin-1")
        elif name == "access-control-request-method":
            wants = value.decode("latin-1")
    return CrossOrigin(origin, wants if wants is not None and not method else None) if origin else None


def answer(page: CrossOrigin, rules: Rules | None, serve: Callable[[], Answered]) -> Answered:
    """The answer to a page's request, which `serve` carries out."""
    if rules is None:
        return serve()
    if not rules.allows(page.origin):
        return errors(403, "origin not allowed")
    said = (("Access-Control-Allow-Origin", page.origin), ("Vary", "Origin"))
    if page.wants is None:
        return _saying(serve(), said)
    if page.wants not in METHODS:
        return Reply(status=405)
    return Reply(status=200, content_type="", headers=(
        *said, ("Access-Control-Allow-Methods", ",".join(METHODS)), ("Access-Control-Allow-Headers", ",".join(rules.allowed_headers)),
        ("Access-Control-Max-Age", str(PREFLIGHT_GOOD_FOR_S))))


def _saying(answered: Answered, said: tuple[tuple[str, str], ...]) -> Answered:
    if isinstance(answered, Reply | Stream):
        return replace(answered, headers=(*answered.headers, *said))

    async def later() -> Reply | Stream:
        found = await answered
        return replace(found, headers=(*found.headers, *said))

    return asyncio.ensure_future(later())
