"""The stanzas with a type: listeners, storage, seals, service registration, lockouts.

Invariants:
1. A stanza's type is one that is on offer, or the error lists those that are.
2. Of storage there is one stanza in a file; its options that belong to the node (`redirect_addr`, `cluster_addr`) leave it.

Left to others: whether a backend that is on offer exists in this build (`node`), the keys of a `static` seal (`static_seal`).
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from holdfast.config import units
from holdfast.config.decode import Block, block_of, fields, options_of, without_refused
from holdfast.config.finding import Findings
from holdfast.config.headers import response_headers
from holdfast.config.options import check_options
from holdfast.config.rules import REFUSED_OF_LISTENERS
from holdfast.config.settings import SealStanza, ServiceRegistration, StorageStanza, TcpListener, UnixListener, UserLockout
from holdfast.config.tree import Item, Object

R = TypeVar("R")
STORAGES = ("file", "inmem", "raft", "consul", "etcd", "postgresql")
REGISTRATIONS = ("consul", "kubernetes")
SEALS = ("shamir", "static")
LOCKOUTS = ("all", "userpass", "ldap", "approle")
MOVED = {"redirect_addr": "api_addr", "advertise_addr": "api_addr", **{key: key for key in ("cluster_addr", "disable_clustering")}}


def typed_block(item: Item) -> tuple[str, Block]:
    """Type and contents of `listener "tcp" { … }`; the type may also stand within, as `type`. Raises ValueError."""
    outer = block_of(item.inner(), item.name)
    if len(item.keys) == 1 and (given := outer.under("type")):
        kind = units.text(given[-1].inner())
        return kind.lower(), Block(outer.without("type").items, item.at, f'{item.name} "{kind}"')
    if len(outer.items) == 1 and isinstance(outer.items[0].value, Object):
        kind = outer.items[0].name
        return kind.lower(), Block(block_of(outer.items[0].inner(), item.name).items, item.at, f'{item.name} "{kind}"')
    raise ValueError(f'{item.name} has no type: write {item.name} "…" {{ … }}')


def each_of(items: Sequence[Item], read: Callable[[str, Block, Findings], R], findings: Findings) -> list[R]:
    """The records of all stanzas that could be read; why the others could not is in `findings`."""
    found: list[R] = []
    for item in items:
        try:
            found.append(read(*typed_block(item), findings))
        except ValueError as error:
            findings.error(str(error), item.at)
    return found


def one_of(items: Sequence[Item], read: Callable[[str, Block, Findings], R], findings: Findings) -> R | None:
    """The record of the one stanza; None if there is none, or it could not be read."""
    if len(items) > 1:
        findings.error(f"only one {items[0].name!r} block is permitted", items[1].at)
    found = each_of(items[:1], read, findings)
    return found[0] if found else None


def listener(kind: str, block: Block, findings: Findings) -> TcpListener | UnixListener:
    headers = block.under("custom_response_headers")
    plain = without_refused(block.without("custom_response_headers"), REFUSED_OF_LISTENERS, findings)
    if kind not in ("tcp", "unix"):
        raise ValueError(f'unsupported listener type "{kind[:40]}": there are "tcp" and "unix"')
    found = fields(TcpListener if kind == "tcp" else UnixListener, plain, findings)
    try:
        found["custom_response_headers"] = response_headers(tuple(item.inner() for item in headers))
    except ValueError as error:
        findings.error(f"'{block.name}.custom_response_headers': {error}", headers[0].at)
    if kind == "tcp":
        return TcpListener(**found)  # type: ignore[arg-type]
    if not found.get("address"):
        raise ValueError('listener "unix" has no address: the path of its socket')
    return UnixListener(**found)  # type: ignore[arg-type]


def storage(kind: str, block: Block, findings: Findings) -> StorageStanza:
    """Its options that belong to the node are left out: `moved_options` gives them."""
    if kind not in STORAGES:
        raise ValueError(f'storage "{kind[:40]}" is not supported; these are: {", ".join(STORAGES)}')
    own = block.without(*MOVED)
    check_options("storage", kind, own, findings)
    return StorageStanza(type=kind, options=options_of(own, findings))


def moved_options(items: Sequence[Item]) -> tuple[Item, ...]:
    """What a storage stanza says of the node, under the names that it has at the top level."""
    found: list[Item] = []
    for item in items:
        try:
            _, block = typed_block(item)
        except ValueError:                     # reported where the stanza itself is read
            continue
        for old, new in MOVED.items():
            found += (Item((msgspec.structs.replace(each.keys[0], text=new), *each.keys[1:]), each.value) for each in block.under(old))
    return tuple(found)


def seal(kind: str, block: Block, findings: Findings) -> SealStanza:
    if kind not in SEALS:
        raise ValueError(f'seal "{kind[:40]}" is not supported; these are: {", ".join(SEALS)}')
    own, disabled = block.without("disabled"), block.under("disabled")
    check_options("seal", kind, own, findings)
    is_disabled = units.boolean(disabled[-1].inner()) if disabled else False
    return SealStanza(type=kind, disabled=is_disabled, options=options_of(own, findings))


def service_registration(kind: str, block: Block, findings: Findings) -> ServiceRegistration:
    if kind not in REGISTRATIONS:
        raise ValueError(f'service_registration "{kind[:40]}" is not supported; these are: {", ".join(REGISTRATIONS)}')
    check_options("service_registration", kind, block, findings)
    return ServiceRegistration(type=kind, options=options_of(block, findings))


def user_lockouts(items: Sequence[Item], findings: Findings) -> tuple[UserLockout, ...]:
    """`all` first, then the types that have a stanza, each with what it leaves out filled from `all`."""
    given: dict[str, dict[str, object]] = {}
    for item in items:
        try:
            kind, block = typed_block(item)
            if kind not in LOCKOUTS:
                raise ValueError(f'user_lockout "{kind[:40]}" is not supported; these are: {", ".join(LOCKOUTS)}')
        except ValueError as error:
            findings.error(str(error), item.at)
            continue
        if kind in given:
            findings.warn(f'user_lockout "{kind}" is given more than once: this one holds', item.at)
        given[kind] = fields(UserLockout, block, findings)
    common = given.pop("all", {})
    return tuple(UserLockout(**{**common, **own, "type": kind}) for kind, own in (("all", {}), *sorted(given.items())))  # type: ignore[arg-type]
