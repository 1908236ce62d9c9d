"""What a method on a path comes to for a token: route, token and policy as one cached value, the shape of the hot path."""
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

import msgspec

from holdfast.core import acl, envelope, tokens
from holdfast.core.audit_device import NO_DEVICES, Device, Standing, standing
from holdfast.core.audit_headers import HeaderSettings
from holdfast.core.mounts import Defaults
from holdfast.core.router import Hit, Registry, Router
from holdfast.engine import Bound, Engine, Given, Method, Mount, Op, Request, Token, Txn
from holdfast.errors import BadRequest, InvalidToken, PermissionDenied, RequestError
from holdfast.ids import Millis

WRITES = frozenset((Method.POST, Method.PATCH))
NO_QUERY: Mapping[str, str] = {}


class Way(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What method, path and policies decide: one value for all tokens that have them. Its fields are explained at Grant."""

    hit: Hit
    rules: acl.Rules | None
    permitted: bool
    is_plain: bool
    bound: Bound | None
    prefix: str
    tail: bytes
    devices: tuple[Device, ...]
    headers: Mapping[str, HeaderSettings]


class Grant(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """All that method, path and token decide. Depends on no time, query or body: what those decide is asked at each request."""

    hit: Hit
    mount: Mount                                     # of the hit: what each read needs stands in this one record
    token: Token | None
    rules: acl.Rules | None                          # None: asks for no token
    permitted: bool                                  # whatever query and body are; else `acl.permit` decides at each request
    is_plain: bool                                   # permitted, no write: nothing more is asked before the handler runs
    sure_until_ms: Millis                            # until then the token is good for any number of requests from anywhere
    bound: Bound | None                              # for a request without query and body; None: it cannot be bound so
    prefix: str                                      # of the engine's keys
    tail: bytes                                      # of the envelope; empty where it has fields of `data` beside it
    standing: Standing                               # what the audit devices show of all this


BuildSystem: TypeAlias = Callable[["Access"], tuple[Engine, Iterable[Engine]]]
"""Gives the engine below sys/ and the other engines that stand on core; they find mounts, leases and tokens through the Access."""


TryDevice: TypeAlias = Callable[[str, str], str]
"""Opens an audit device as its options (JSON) say and writes a line to it; gives what went wrong, or ""."""
Defect: TypeAlias = Callable[[str, BaseException], None]
"""Told where an engine raised what it should not have, so that it does not go unseen: the client learns only that something failed."""


class Access:
    """The engines, compiled once per process, and the load function of `Grant`."""

    def __init__(self, engines: Iterable[Engine], system: BuildSystem, defaults: Defaults, try_device: TryDevice,
                 defect: Defect = lambda where, error: None) -> None:
        self.defaults, self.try_device, self.defect = defaults, try_device, defect
        below_sys, others = system(self)
        self.registry = Registry((*engines, *others))
        self.router = Router(self.registry, below_sys, defaults)
        self.grant, self._way = self._grant, self._find_way      # bound once: each is half of a cache key

    def local(self, hit: Hit) -> Grant:
        """For a sealed node: an operation that reads nothing and asks for no token."""
        return Grant(hit=hit, mount=hit.mount, token=None, rules=None, permitted=True, is_plain=not hit.op.writes,
                     sure_until_ms=tokens.FOREVER_MS, bound=None, prefix="", tail=_tail(hit), standing=NO_DEVICES)

    def _grant(self, txn: Txn, method: Method, path: str, principal: tokens.Principal | None) -> Grant:
        if path.endswith("/") and method in WRITES:
            raise BadRequest("cannot write to a path ending in '/'")
        token = tokens.find(txn, principal) if principal is not None else None
        if token is not None:
            way = txn.derive(self._way, method, path, token.policies, acl.subject(txn, token))
        else:                                            # nobody without a token fills the cache with paths of his own
            way = self._way(txn, method, path, (), "")
            if not way.hit.op.public:
                raise PermissionDenied if principal is None else InvalidToken
        return Grant(hit=way.hit, mount=way.hit.mount, token=token, rules=way.rules, permitted=way.permitted, is_plain=way.is_plain,
                     sure_until_ms=tokens.FOREVER_MS if token is None else tokens.sure_until_ms(token),
                     bound=way.bound, prefix=way.prefix, tail=way.tail,
                     standing=Standing(way.devices, way.headers) if way.devices else NO_DEVICES)

    def _find_way(self, txn: Txn, method: Method, path: str, policies: tuple[str, ...], entity_id: str) -> Way:
        hit = self.router.find(txn, method, path)
        rules = None if hit.op.public else acl.rules(txn, policies, entity_id, method, path)
        permitted = rules is None or acl.permits_always(rules, hit.op, method)
        seen = NO_DEVICES if _is_about_state(hit.op) else standing(txn)
        return Way(hit=hit, rules=rules, permitted=permitted,
                   is_plain=permitted and not hit.op.writes and not (seen.devices and method is Method.POST), bound=_bind_path(hit),
                   prefix="" if hit.engine is None or hit.engine.at_root else hit.mount.prefix, tail=_tail(hit),
                   devices=seen.devices, headers=seen.headers)


def bind(grant: Grant, request: Request) -> Bound:
    """The typed input of a request with query or body; of a bare path it is part of the grant, where it can be bound at all."""
    return grant.hit.op.bind(Given(grant.hit.path, request.query, request.body))


def creates(txn: Txn, grant: Grant, request: Request) -> bool:
    """Whether a write is of something that is not there yet. Asked before the handler runs."""
    exists = grant.hit.op.exists
    if exists is None or request.method is not Method.POST:
        return False
    return not exists(txn.at(grant.prefix) if grant.prefix else txn, Given(grant.hit.path, request.query, request.body))


def _tail(hit: Hit) -> bytes:
    return b"" if hit.op.top_level else envelope.tail(hit.mount)


def _is_about_state(op: Op) -> bool:
    """What anybody may ask of a sealed node, too (health, init, unsealing). It is not audited, as in Vault: no device that fails may hide
    a node's state from those who would mend it. Source: Vault, "Audit devices", the paths that are not audited."""
    return op.public and op.sealed


def _bind_path(hit: Hit) -> Bound | None:
    try:
        return hit.op.bind(Given(hit.path, NO_QUERY, b""))
    except RequestError:
        return None                                  # raised anew at the request, after what else may refuse it
