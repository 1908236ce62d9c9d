"""From a parsed head and a body to a Request, by the rules of one listener.

The common request (a plain path, no query, no header that we have to look at) takes a short way; whatever it skips, it skips because there
is nothing to decide. Source: Vault API, "API operations"; the listener's settings.
"""
import math
from collections.abc import Callable, Mapping
from typing import NoReturn

import msgspec

from holdfast.config.settings import Listener as Settings
from holdfast.config.units import FALSE, TRUE, duration_s
from holdfast.crypto import Secret
from holdfast.engine import Client, Inconsistent, Listener, Method, Request
from holdfast.errors import BadRequest, MethodNotAllowed, NotFound, RequestError, UnsupportedMediaType
from holdfast.http.cross_origin import crossing
from holdfast.http.forwarded import Forwarded
from holdfast.http.head import API, MARKED, PLAIN, UPLOADS, Head, decode_query, decode_target
from holdfast.http.json_limits import JsonLimits
from holdfast.ids import RequestId
from holdfast.limits import DURATION_MAX_S, HTTP_QUERY_PARAMETERS_MAX

METHODS: Mapping[str, Method] = {
    "GET": Method.GET, "HEAD": Method.HEAD, "LIST": Method.LIST, "POST": Method.POST, "PUT": Method.POST, "PATCH": Method.PATCH,
    "DELETE": Method.DELETE, "HELP": Method.HELP,
}
_INCONSISTENT = frozenset(each.value for each in Inconsistent)
MERGE_PATCH = "application/merge-patch+json"
FORM = "application/x-www-form-urlencoded"
POST, PATCH, GET, HELP = Method.POST, Method.PATCH, Method.GET, Method.HELP


class NotServed(Exception):
    """A path outside of the API that Vault leaves to its web server."""


class Headers(msgspec.Struct, frozen=True):
    """The request headers that only some clients send, read once."""

    wrap_ttl: str = ""
    states: tuple[str, ...] = ()
    inconsistent: str = ""
    forward: str = ""
    no_forwarding: bool = False


class Requests:
    """Makes the requests of one listener. `new_id` gives each its name."""

    def __init__(self, settings: Settings, new_id: Callable[[], RequestId]) -> None:
        self._new_id = new_id
        self._needs_mark = settings.require_request_header
        self._forwarded = Forwarded(settings) if settings.x_forwarded_for_authorized_addrs else None
        self._is_plain = not self._needs_mark and self._forwarded is None
        self._json = JsonLimits(
            depth=settings.max_json_depth, string_bytes=settings.max_json_string_value_length,
            entries=settings.max_json_object_entry_count, elements=settings.max_json_array_element_count)
        self.listener = Listener(
            redact_addresses=settings.redact_addresses, redact_cluster_name=settings.redact_cluster_name,
            redact_version=settings.redact_version, hide_replication=settings.disable_replication_status_endpoints,
            open_metrics=settings.telemetry.unauthenticated_metrics_access)

    def make(self, head: Head, body: bytes, client: Client) -> Request:
        """Raises RequestError, NotServed, Elsewhere and CrossOrigin: the connection can go on after each."""
        _, name, path, query, token, content_type, _, flags, others = head
        if not flags & PLAIN or query is not None or others is not None or not self._is_plain:
            if others is not None and (page := crossing(name, others)) is not None:
                raise page
            return self.make_any(head, body, client)
        method = METHODS.get(name)
        if method is GET:
            return Request(id=self._new_id(), method=method, path=path, token=Secret(token) if token else None, client=client,
                           listener=self.listener)
        if method is None:
            raise MethodNotAllowed
        if path in UPLOADS:
            return self.make_any(head, body, client)
        type_ = content_type.decode("latin-1") if content_type else ""
        return Request(id=self._new_id(), method=method, path=path, body=self._body(method, path, body, type_), content_type=type_,
                       token=Secret(token) if token else None, client=client, listener=self.listener)

    def make_any(self, head: Head, body: bytes, client: Client) -> Request:
        """As `make`, wherever it came from."""
        _, name, target, query, token, content_type, _, flags, others = head
        if self._needs_mark and not flags & MARKED:
            raise _Precondition('missing "X-Vault-Request" header')
        if self._forwarded is not None:
            client = self._forwarded.client(client, others or [])
        path = target if flags & PLAIN else _api_path(target)
        given = decode_query(query, HTTP_QUERY_PARAMETERS_MAX) if query else {}
        method = _method(name, given)
        headers = read_headers(others) if others else Headers()
        type_ = content_type.decode("latin-1") if content_type else ""
        query_read, unread = ({}, given) if method is POST or method is PATCH else (given, {})
        return Request(
            id=self._new_id(), method=method, path=path, query=query_read, unread_query=unread,
            body=self._body(method, path, body, type_), content_type=type_, token=Secret(token) if token else None,
            wrap_ttl_s=wrap_ttl_s(headers.wrap_ttl) if headers.wrap_ttl else None, client=client, listener=self.listener,
            wants_active=headers.forward == "active-node", no_forwarding=headers.no_forwarding, states=headers.states,
            inconsistent=_inconsistent(headers.inconsistent), headers=tuple(others) if others else ())

    def _body(self, method: Method, path: str, body: bytes, content_type: str) -> bytes:
        """What a handler is given: JSON, where the method has a body at all. What else is sent is read and thrown away, as in Vault."""
        if method is PATCH:
            media_type = content_type.partition(";")[0].strip().lower()
            if not media_type:
                raise BadRequest("mime: no media type")
            if media_type != MERGE_PATCH:
                raise UnsupportedMediaType(f"PATCH requires Content-Type of {MERGE_PATCH}, provided {media_type[:64]}")
        elif method is not POST:
            return b""
        if path in UPLOADS:
            return body
        if not body or body.isspace():                   # a final line end alone, as pipes and editors leave one
            return b""
        if method is POST and content_type and _is_form(body, content_type):
            return _form_as_json(body)
        self._json.check(body)
        return body


class _Precondition(RequestError):
    status = 412


def _api_path(target: str) -> str:
    path = decode_target(target)
    if path.startswith(API):
        return path[len(API):]
    if path == "/" or path.startswith("/ui") or path == "/robots.txt":
        raise NotServed
    raise NotFound


def _method(name: str, query: dict[str, str]) -> Method:
    method = METHODS.get(name)
    if query.get("help"):
        return HELP
    if method is None:
        raise MethodNotAllowed
    if method is GET and (listed := query.get("list")):
        if listed in TRUE:
            del query["list"]
            return Method.LIST
        if listed not in FALSE:
            raise BadRequest(f"list: {listed[:64]!r} is neither true nor false")
    return method


def read_headers(others: list[tuple[str, bytes]]) -> Headers:
    """The headers of one request that matter beside those the native parser knows."""
    values: dict[str, list[str]] = {}
    for name, value in others:
        if name.startswith("x-vault-"):
            values.setdefault(name, []).append(value.decode("latin-1"))

    def first(name: str) -> str:
        return values.get(name, [""])[0]

    # A client that carries states about, and has got none yet, as from an answer to a read, sends an empty one.
    states = tuple(state for state in values.get("x-vault-index", ()) if state)
    if first("x-vault-wrap-ttl") and first("x-vault-wrap-format").lower() == "jwt":
        raise BadRequest("X-Vault-Wrap-Format: wrapping tokens in JWT format are not supported")
    return Headers(
        wrap_ttl=first("x-vault-wrap-ttl"), states=states, inconsistent=first("x-vault-inconsistent"),
        forward=first("x-vault-forward"), no_forwarding=bool(first("x-vault-no-request-forwarding")))


def wrap_ttl_s(text: str) -> int:
    """X-Vault-Wrap-TTL in whole seconds, at least 1 unless it is 0. Raises BadRequest."""
    try:
        length_s = duration_s(text)
    except ValueError:
        _bad_ttl("not a duration such as 30, 30s or 1h30m")
    if length_s < 0:
        _bad_ttl("requested wrap ttl cannot be negative")
    if length_s > DURATION_MAX_S:
        _bad_ttl(f"a duration is at most {DURATION_MAX_S} s")
    return math.ceil(length_s)


def _bad_ttl(why: str) -> NoReturn:
    raise BadRequest(f"error parsing X-Vault-Wrap-TTL header: {why}")


def _inconsistent(value: str) -> Inconsistent:
    """Another value is as none, as in Vault."""
    return Inconsistent(value) if value in _INCONSISTENT else Inconsistent.FAIL


def _is_form(body: bytes, content_type: str) -> bool:
    """A form by its type, unless it looks like JSON: curl calls everything a form."""
    return content_type.partition(";")[0].strip().lower() == FORM and body.lstrip(b" \t\r\n")[:1] not in (b"{", b"[")


def _form_as_json(body: bytes) -> bytes:
    """The fields as a JSON object; the values of a repeated one are joined by commas."""
    try:
        return msgspec.json.encode(_form_fields(body.decode()))
    except UnicodeDecodeError as error:
        raise BadRequest("error parsing form data: not UTF-8") from error
    except BadRequest as error:
        raise BadRequest(f"error parsing form data: {error}") from error


def _form_fields(text: str) -> dict[str, str]:
    fields: dict[str, list[str]] = {}
    if text.count("&") >= HTTP_QUERY_PARAMETERS_MAX:
        raise BadRequest(f"more than {HTTP_QUERY_PARAMETERS_MAX} fields")
    for pair in text.split("&"):
        for name, value in decode_query(pair, 1).items():
            fields.setdefault(name, []).append(value)
    return {name: ",".join(values) for name, values in fields.items()}
