"""The audit entry of a request and of its response: one line of JSON each, for each device, in Vault's words.

Invariants: (1) no secret is in a line unless the device was told `log_raw`: tokens are hashed, every string below `data` is, and of an
error only its kind is shown, its text hashed; (2) a request's two lines carry one id, one `auth` and one `request` block; (3) whatever the
request was, an entry can be made of it: what cannot be read is left out, never the entry.
Left to others: writing (`node/devices`), and when (`node/commit`).

What depends only on device, token, mount and method stands ready (`Standing`), so that a read costs the hashes of its own data.
Source of names and order: Vault API, "Audit devices"; "Audit log entry schema".
"""
import base64
import hashlib
from collections.abc import Mapping, Set
from functools import lru_cache
from typing import TypeAlias

import msgspec
from msgspec.structs import replace

from holdfast.core.audit_device import Device, FileOptions, Parts, Standing, line_head
from holdfast.core.audit_headers import HeaderSettings
from holdfast.core.audit_hmac import TOO_DEEP, Json, elided, hash_object, read_object
from holdfast.core.mounts import RUNNING_VERSION, MountConfig
from holdfast.core.outcome import AuditEntry, Exchange
from holdfast.engine import Auth, Method, Mount, Raw, Request, Response, Token, TokenType, WrapInfo
from holdfast.engine.time import rfc3339
from holdfast.errors import InvalidToken, PermissionDenied, PolicyDenied, UnsupportedOperation, UnsupportedPath, listed
from holdfast.ids import Millis, RequestId

OPERATIONS = {Method.GET: "read", Method.HEAD: "header", Method.LIST: "list", Method.POST: "update", Method.PATCH: "patch",
              Method.DELETE: "delete", Method.HELP: "help"}
ROUTERS_ERRORS = (PermissionDenied(), PolicyDenied(), InvalidToken(), UnsupportedPath(), UnsupportedOperation())
SHOWN_ERRORS = frozenset(("internal error", *(text for error in ROUTERS_ERRORS for text in error.messages)))
"""Errors whose text says nothing of the request: shown as they go on the wire. Of any other only the kind is shown."""
PLAIN_CONFIG = MountConfig()
NO_RESPONSE = Response()
ROOT_NAMESPACE = "root"
Shown: TypeAlias = Mapping[str, Json] | bytes | None


class PolicyInfo(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    namespace_id: str = ROOT_NAMESPACE
    type: str = "acl"


class PolicyResults(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    allowed: bool
    granting_policies: tuple[PolicyInfo, ...] = ()


class AuthOut(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The `auth` block; absent is what is empty, as everywhere in an entry."""

    client_token: str = ""
    accessor: str = ""
    display_name: str = ""
    policies: tuple[str, ...] = ()
    token_policies: tuple[str, ...] = ()
    identity_policies: tuple[str, ...] = ()
    policy_results: PolicyResults | None = None
    metadata: Mapping[str, str] | None = None
    num_uses: int = 0
    remaining_uses: int = 0
    entity_id: str = ""
    token_type: str = ""
    token_ttl: int = 0
    token_issue_time: str = ""


class Namespace(msgspec.Struct, frozen=True):
    id: str = ROOT_NAMESPACE


class RequestHead(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the `request` block shows of mount and token."""

    client_id: str = ""
    operation: str = ""
    mount_point: str = ""
    mount_type: str = ""
    mount_accessor: str = ""
    mount_running_version: str = ""
    mount_class: str = ""
    client_token: str = ""
    client_token_accessor: str = ""
    namespace: Namespace


class MountOut(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What every `response` block begins with."""

    mount_point: str = ""
    mount_type: str = ""
    mount_accessor: str = ""
    mount_running_plugin_version: str = ""
    mount_class: str = ""


class WrapOut(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    ttl: int
    token: str
    accessor: str
    creation_time: str
    creation_path: str
    wrapped_accessor: str = ""


class Tail(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the `request` block ends with, behind path and data."""

    remote_address: str = ""
    remote_port: int = 0
    wrap_ttl: int = 0
    headers: Mapping[str, tuple[str, ...]] | None = None


def entries(standing: Standing, exchange: Exchange) -> tuple[AuditEntry, ...]:
    """Each device's two lines; none without a device. Never raises for what a request or response holds."""
    if not standing.devices:
        return ()
    request, parts = exchange.request, standing.parts
    if not (parts and standing.token is exchange.token and standing.permitted is exchange.permitted
            and standing.creates is exchange.creates):
        parts = tuple([_parts(device, exchange) for device in standing.devices])
        if exchange.token is not None or request.token is None:      # a grant without a token may be one for many that are none
            standing.parts = parts
            standing.token, standing.permitted, standing.creates = exchange.token, exchange.permitted, exchange.creates
    time = _time(exchange.now_ms)
    asked = _asked(request) if request.body or request.query else None
    shown = _shown(exchange)
    headers = standing.headers if request.headers else None
    if len(parts) == 1:                                  # nearly always: a loop would cost a tenth of the entry
        return (_entry(parts[0], exchange, time, asked, shown, headers),)
    return tuple([_entry(ready, exchange, time, asked, shown, headers) for ready in parts])


def probe_line(options: FileOptions, *, id: RequestId, now_ms: Millis) -> bytes:
    """What is written to a device that is being enabled, to see whether it works."""
    return b"".join((line_head(options), _time(now_ms), b'","type":"request","auth":{"token_type":"default"},"request":{"id":', _encode(id),
                     b',"operation":"update","namespace":{"id":"root"},"path":"sys/audit/test"}}\n'))


def _entry(ready: Parts, exchange: Exchange, time: bytes, asked: Mapping[str, Json] | None, shown: Shown,
           headers: Mapping[str, HeaderSettings] | None) -> AuditEntry:
    device, request = ready.device, exchange.request
    client, head = request.client, device.head
    if headers or request.wrap_ttl_s:
        tail = _tail(Tail(remote_address=client.address, remote_port=client.port, wrap_ttl=request.wrap_ttl_s or 0,
                          headers=_headers(device, request, headers) if headers else None))
    else:
        tail = _tail_of(client.address, client.port)
    block = b"".join((request.id.encode(), ready.request, b',"data":' + _data(device, asked, ready.plain_asked) if asked else b"", tail))
    response, answered = _response(ready, exchange, shown), ready.answered
    if type(exchange.result) is Response and exchange.result.auth is not None:
        answered = _answered(ready, exchange, exchange.result.auth)
    if not exchange.errors and client.forwarded_from is None:
        return AuditEntry(device=device, request=b"".join((head, time, ready.asked, block, b"}\n")),
                          response=b"".join((head, time, answered, block, b',"response":{', response, b"}}\n")))
    failed = _error(exchange.errors) if exchange.errors else b""
    refused = b"" if exchange.permitted else failed      # a request entry tells of an error only where it was not let through
    origin = b',"forwarded_from":' + _encode(client.forwarded_from) if client.forwarded_from else b""
    return AuditEntry(
        device=device, request=b"".join((head, time, ready.asked, block, refused, origin, b"}\n")),
        response=b"".join((head, time, answered, block, b',"response":{', response, b"}", failed,
                           b',"forwarded":true}\n' if origin else b"}\n")))


def _answered(ready: Parts, exchange: Exchange, auth: Auth) -> bytes:
    """What the response's line has behind its time: the `auth` block is that of who has just logged in, as in Vault. Of a token that
    another one makes or renews, it is the other's."""
    mount = exchange.mount
    if mount is None or not mount.is_auth or mount.type == "token":
        return ready.answered
    block = replace(_auth_of(ready.device, auth, exchange.now_ms), num_uses=0, policy_results=PolicyResults(allowed=exchange.permitted))
    return b'","type":"response","auth":' + _encode(block) + b',"request":{"id":"'


def _response(ready: Parts, exchange: Exchange, shown: Shown) -> bytes:
    """The fields of `response`. Its `data`: none where that is no object or an empty one."""
    parts = [ready.response] if ready.response else []
    data = ready.hashed_text(shown) if ready.hashed_text is not None and type(shown) is bytes else None
    if data is None and shown:
        data = _walked(ready, shown, exchange.request.method)
    result = exchange.result
    full = result if type(result) is Response else NO_RESPONSE
    if full.auth is not None:
        parts.append(b'"auth":' + _encode(_auth_of(ready.device, full.auth, exchange.now_ms)))
    if full.lease is not None and full.lease.id:
        parts.append(b'"secret":{"lease_id":' + _encode(full.lease.id) + b"}")
    if data:
        parts.append(b'"data":' + data)
    if full.warnings:
        parts.append(b'"warnings":' + _encode(full.warnings))
    if full.wrap_info is not None:
        parts.append(b'"wrap_info":' + _encode(_wrap_of(ready.device, full.wrap_info)))
    return b",".join(parts)


def _walked(ready: Parts, shown: Shown, method: Method) -> bytes:
    tree = read_object(shown) if isinstance(shown, bytes) else shown
    if not tree:
        return b""
    elides = ready.device.options.elide_list_responses and method is Method.LIST
    return _data(ready.device, elided(tree) if elides else tree, ready.plain_answered)


def _data(device: Device, tree: Mapping[str, Json], plain: Set[str]) -> bytes:
    try:
        return _encode(tree if device.options.log_raw else hash_object(tree, device.hashed, plain))
    except RecursionError:
        return _encode(TOO_DEEP)


def _asked(request: Request) -> Mapping[str, Json] | None:
    """`request.data`: the query of what reads, the body of what writes."""
    if request.method in (Method.POST, Method.PATCH):
        return read_object(request.body) if request.body else None
    if not request.query:
        return None
    return {name: value for name, value in request.query.items() if name not in ("list", "help")}


def _headers(device: Device, request: Request, audited: Mapping[str, HeaderSettings]) -> Mapping[str, tuple[str, ...]] | None:
    """`request.headers`: those that are to be audited, in the order of their names."""
    found: dict[str, tuple[str, ...]] = {}
    for name, settings in audited.items():
        values = tuple([value.decode("utf-8", "replace") for given, value in request.headers if given == name])
        if values:
            found[name] = tuple(map(device.hashed, values)) if settings.hmac and not device.options.log_raw else values
    return found or None


def _shown(exchange: Exchange) -> Shown:
    """`response.data`, as text where it is JSON of a handler."""
    result = exchange.result
    if exchange.errors:
        return {"error": exchange.errors[0] if len(exchange.errors) == 1 else listed(*exchange.errors)}
    if isinstance(result, Response):
        data = result.data
        return None if data is None else bytes(data) if isinstance(data, msgspec.Raw) else _encode(data)
    if isinstance(result, Raw):
        text = result.body.decode("utf-8", "replace")
        return {"http_content_type": result.content_type, "http_raw_body": text, "http_status_code": result.status}
    return None


def _parts(device: Device, exchange: Exchange) -> Parts:
    token, mount, request = exchange.token, exchange.mount, exchange.request
    hashed = _raw if device.options.log_raw else device.hashed
    client_token = hashed(request.token.value.decode("utf-8", "replace")) if request.token is not None else ""
    accessor = _accessor(device, token.accessor) if token is not None else ""
    results = PolicyResults(allowed=exchange.permitted, granting_policies=tuple(PolicyInfo(name=name) for name in exchange.granting))
    where = _mount_out(mount)
    operation = "create" if exchange.creates else OPERATIONS[request.method]
    head = RequestHead(
        client_id=_client_id(token), operation=operation, mount_point=where.mount_point, mount_type=where.mount_type,
        mount_accessor=where.mount_accessor, mount_running_version=where.mount_running_plugin_version, mount_class=where.mount_class,
        client_token=client_token, client_token_accessor=accessor, namespace=Namespace())
    auth = _encode(_auth_block(token, client_token, accessor, results))
    config = exchange.entry.config if exchange.entry is not None else PLAIN_CONFIG
    elides = device.options.elide_list_responses and request.method is Method.LIST
    return Parts(
        device=device,
        asked=b'","type":"request","auth":' + auth + b',"request":{"id":"',
        answered=b'","type":"response","auth":' + auth + b',"request":{"id":"',
        request=b'",' + _encode(head)[1:-1] + b',"path":' + _encode(_path(request)),
        response=_encode(where)[1:-1],
        plain_asked=frozenset(config.audit_non_hmac_request_keys), plain_answered=frozenset(config.audit_non_hmac_response_keys),
        hashed_text=None if config.audit_non_hmac_response_keys or elides or device.options.log_raw else device.hashed_text)


def _mount_out(mount: Mount | None) -> MountOut:
    if mount is None or not mount.type:
        return MountOut()
    return MountOut(mount_point=mount.path, mount_type=mount.type, mount_accessor=mount.accessor,
                    mount_running_plugin_version=RUNNING_VERSION, mount_class="auth" if mount.is_auth else "secret")


def _auth_block(token: Token | None, client_token: str, accessor: str, results: PolicyResults) -> AuthOut:
    if token is None:
        return AuthOut(client_token=client_token, policy_results=results, token_type=TokenType.DEFAULT.value)
    return AuthOut(client_token=client_token, accessor=accessor, display_name=token.display_name, policies=token.policies,
                   token_policies=token.token_policies or token.policies, identity_policies=token.identity_policies, policy_results=results,
                   metadata=token.metadata or None, remaining_uses=max(token.num_uses, 0), entity_id=token.entity_id,
                   token_type=token.type, token_ttl=token.ttl_s, token_issue_time=_issued(token.issued_ms))


def _auth_of(device: Device, auth: Auth, now_ms: Millis) -> AuthOut:
    """The `auth` block of a login, or of a token made or renewed."""
    hashed = _raw if device.options.log_raw else device.hashed
    token = hashed(auth.client_token.value.decode("utf-8", "replace")) if auth.client_token is not None else ""
    return AuthOut(client_token=token, accessor=_accessor(device, auth.accessor), display_name=auth.display_name, policies=auth.policies,
                   token_policies=auth.token_policies, identity_policies=auth.identity_policies, metadata=auth.metadata or None,
                   num_uses=auth.num_uses, entity_id=auth.entity_id, token_type=auth.token_type, token_ttl=auth.lease_duration,
                   token_issue_time=_issued(now_ms))


def _issued(time_ms: Millis | None) -> str:
    """To the second, as Vault shows when a token was made."""
    return rfc3339(time_ms // 1000 * 1000) if time_ms is not None else ""


def _wrap_of(device: Device, wrap: WrapInfo) -> WrapOut:
    hashed = _raw if device.options.log_raw else device.hashed
    return WrapOut(ttl=wrap.ttl, token=hashed(wrap.token.value.decode("utf-8", "replace")), accessor=_accessor(device, wrap.accessor),
                   creation_time=wrap.creation_time, creation_path=wrap.creation_path,
                   wrapped_accessor=_accessor(device, wrap.wrapped_accessor))


def _accessor(device: Device, accessor: str) -> str:
    options = device.options
    return device.hashed(accessor) if accessor and options.hmac_accessor and not options.log_raw else accessor


def _client_id(token: Token | None) -> str:
    """The entity; without one, Vault's id of all tokens with the same policies."""
    if token is None:
        return ""
    text = "\x7f".join(sorted(token.policies)) + "\x00" + ROOT_NAMESPACE
    return token.entity_id or base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _path(request: Request) -> str:
    return request.path + "/" if request.method is Method.LIST and not request.path.endswith("/") else request.path


def _error(errors: tuple[str, ...]) -> bytes:
    only = errors[0] if len(errors) == 1 else ""
    return b',"error":' + _encode(only if only in SHOWN_ERRORS else listed("invalid request"))


def _tail(tail: Tail) -> bytes:
    """The end of a `request` block, from the comma on that goes before it, where there is anything."""
    text = _encode(tail)
    return b"," + text[1:] if len(text) > len(b"{}") else b"}"


@lru_cache(maxsize=1024)
def _tail_of(address: str, port: int) -> bytes:
    """Of a connection, and so of many requests."""
    return _tail(Tail(remote_address=address, remote_port=port))


@lru_cache(maxsize=4)
def _time(now_ms: Millis) -> bytes:
    """RFC 3339 in UTC with the fraction that Go prints. Many requests have the same."""
    seconds, millis = divmod(now_ms, 1000)
    return _second(seconds) + FRACTIONS[millis]


@lru_cache(maxsize=4)
def _second(seconds: int) -> bytes:
    return rfc3339(seconds * 1000)[:-1].encode()


def _raw(text: str) -> str:
    return text


FRACTIONS = (b"Z", *(f".{millis:03d}".rstrip("0").encode() + b"Z" for millis in range(1, 1000)))
_encode = msgspec.json.Encoder().encode
