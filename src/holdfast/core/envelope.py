"""Vault's JSON around an answer; errors to status and body.

The envelope is spliced from bytes made beforehand, and `data` is encoded once. Source: Vault API; Secret of its Go client.
"""
from functools import lru_cache

import msgspec

from holdfast.engine import Auth, Lease, Mount, Raw, Reply, Request, Response, WrapInfo
from holdfast.errors import AuditError, HoldfastError, OutsideError, RequestError, TooLarge, UnavailableError
from holdfast.limits import PASSED_ANSWER_MAX_BYTES

_encode = msgspec.json.Encoder().encode
HEAD = b'{"request_id":"'
PLAIN = b'","lease_id":"","renewable":false,"lease_duration":0,"data":'
PLAIN_TAIL = b',"wrap_info":null,"warnings":null,"auth":null,"mount_type":%b}\n'
NO_ERRORS = b'{"errors":[]}\n'


class AuthOut(msgspec.Struct, frozen=True, kw_only=True):
    """The `auth` block on the wire, in Vault's order."""

    client_token: str
    accessor: str
    policies: tuple[str, ...]
    token_policies: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    identity_policies: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    metadata: dict[str, str] | None
    lease_duration: int
    renewable: bool
    entity_id: str
    token_type: str
    orphan: bool
    mfa_requirement: None = None
    num_uses: int


class WrapOut(msgspec.Struct, frozen=True, kw_only=True):
    """The `wrap_info` block on the wire."""

    token: str
    accessor: str
    ttl: int
    creation_time: str
    creation_path: str
    wrapped_accessor: str | msgspec.UnsetType = msgspec.UNSET


class Errors(msgspec.Struct, frozen=True):
    errors: tuple[str, ...]
    warnings: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET


def tail(mount: Mount) -> bytes:
    """What follows `data` in an answer of this mount that has no warnings, no lease and no login."""
    return _tail(mount.type)


@lru_cache(maxsize=64)
def _tail(type: str) -> bytes:
    return PLAIN_TAIL % _encode(type)


def answer(request: Request, response: Response, mount: Mount, tail: bytes) -> Reply:
    """The reply to a request that was carried out. Nothing to show: 204. `tail`: empty where the fields of `data` stand beside it."""
    data = response.data
    if response.auth is None and response.lease is None and response.wrap_info is None and not response.warnings:
        if data is None:
            return Reply(status=response.status or 204)
        if not tail:
            return Reply(status=response.status or 200, body=full(request, response, mount, top_level=True))
        text = data if type(data) is msgspec.Raw else _encode(data)
        return Reply(status=response.status or 200, body=b"".join((HEAD, request.id.encode(), PLAIN, text, tail)))
    return Reply(status=response.status or 200, body=full(request, response, mount, top_level=not tail))


def full(request: Request, response: Response, mount: Mount, *, top_level: bool = False) -> bytes:
    """The whole envelope; with `top_level` the fields of `data` stand beside it, too. Wrapped answers show nothing of themselves."""
    lease, wrap = response.lease or Lease(id="", duration_s=0, renewable=False), response.wrap_info
    data = _encode(response.data)
    parts = (
        HEAD, b"" if wrap else request.id.encode(), b'","lease_id":', _encode(lease.id),
        b',"renewable":', _encode(lease.renewable), b',"lease_duration":', _encode(lease.duration_s),
        b',"data":', data, b',"wrap_info":', _encode(wrap and _wrap_out(wrap)),
        b',"warnings":', _encode(response.warnings or None), b',"auth":', _encode(response.auth and auth_out(response.auth)),
        b',"mount_type":', _encode("" if wrap else mount.type),
        b"," + data[1:-1] if top_level and len(data) > 2 and data[:1] == b"{" else b"", b"}\n",
    )
    return b"".join(parts)


def auth_out(auth: Auth) -> AuthOut:
    """The block as it goes on the wire."""
    return AuthOut(
        client_token=auth.client_token.value.decode() if auth.client_token else "", accessor=auth.accessor, policies=auth.policies,
        token_policies=auth.token_policies or msgspec.UNSET, identity_policies=auth.identity_policies or msgspec.UNSET,
        metadata=None if auth.metadata is None else dict(auth.metadata), lease_duration=auth.lease_duration, renewable=auth.renewable,
        entity_id=auth.entity_id, token_type=auth.token_type, orphan=auth.orphan, num_uses=auth.num_uses)


def _wrap_out(wrap: WrapInfo) -> WrapOut:
    return WrapOut(token=wrap.token.value.decode(), accessor=wrap.accessor, ttl=wrap.ttl, creation_time=wrap.creation_time,
                   creation_path=wrap.creation_path, wrapped_accessor=wrap.wrapped_accessor or msgspec.UNSET)


def raw(raw: Raw) -> Reply:
    """Bytes as the handler gave them."""
    return Reply(status=raw.status, body=raw.body, content_type=raw.content_type)


def failed(error: HoldfastError) -> Reply:
    """The one table from error to status and body; the texts are those of `texts`."""
    match error:
        case RequestError(messages=()) if not error.warnings:
            return Reply(status=error.status, body=NO_ERRORS)
        case RequestError():
            return _errors(error.status, error.messages, error.warnings)
        case UnavailableError():
            return _errors(503, texts(error))
        case _:
            return _errors(500, texts(error))


def passed_on(reply: Reply) -> Reply:
    """As another process or node may be given it. Reads have no bound, so a list of long names may be longer than any frame."""
    if len(reply.body) <= PASSED_ANSWER_MAX_BYTES:
        return reply
    return failed(TooLarge(f"an answer of {len(reply.body)} bytes cannot be passed on: the limit is {PASSED_ANSWER_MAX_BYTES} bytes"))


def texts(error: HoldfastError) -> tuple[str, ...]:
    """What the client, and the audit entry, is told of it."""
    match error:
        case RequestError():
            return error.messages
        case UnavailableError():
            return (error.why,)
        case AuditError() | OutsideError():
            return (str(error),)
        case _:
            return ("internal error",)


def _errors(status: int, messages: tuple[str, ...], warnings: tuple[str, ...] = ()) -> Reply:
    return Reply(status=status, body=_encode(Errors(messages, warnings or msgspec.UNSET)) + b"\n")
