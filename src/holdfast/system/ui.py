"""sys/internal/ui and sys/internal/specs: what user interfaces and the command line ask before they know a token's rights.
Source: Vault API, "/sys/internal/ui/mounts", "/sys/internal/specs/openapi".

Public: without a token only what is listed for everybody is shown. Mounts that a token cannot reach do not exist for it: the refusal is the
same whether there is a mount or not.
"""
from collections.abc import Iterator, Mapping
from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from holdfast.core import acl, openapi
from holdfast.core.access import Access
from holdfast.core.acl_match import Permissions, grants
from holdfast.core.mounts import MountEntry
from holdfast.engine import Context, Input, Method, Nothing, Output, Raw, Response, Route, Token, Txn, doc, on
from holdfast.errors import PermissionDenied
from holdfast.system import mount_fields as fields
from holdfast.system import mount_table

UNAUTHENTICATED = "unauth"                           # value of listing_visibility


class SpecInput(Input, frozen=True):
    generic_mount_paths: Annotated[bool, doc("Show each mount's path as a parameter.")] = False
    context: Annotated[str, doc("Kept for old clients.")] = ""


class PublicMountOut(Output, frozen=True):
    """Of a mount that is listed for everybody, to somebody without a token."""

    type: str
    description: str
    options: Mapping[str, str] | None


class MountsOut(Output, frozen=True):
    auth: Mapping[str, fields.MountOut | PublicMountOut]
    secret: Mapping[str, fields.MountOut | PublicMountOut]


class GrantOut(Output, frozen=True):
    capabilities: tuple[str, ...]
    min_wrapping_ttl: int | UnsetType
    max_wrapping_ttl: int | UnsetType
    allowed_parameters: Mapping[str, tuple[object, ...]] | UnsetType
    denied_parameters: Mapping[str, tuple[object, ...]] | UnsetType
    required_parameters: tuple[str, ...] | UnsetType


class ResultantOut(Output, frozen=True):
    root: bool
    exact_paths: Mapping[str, GrantOut] | UnsetType = UNSET
    glob_paths: Mapping[str, GrantOut] | UnsetType = UNSET


def routes(access: Access) -> tuple[Route, ...]:
    """The routes below sys/ for user interfaces."""

    def specs(txn: Txn, args: SpecInput, ctx: Context) -> Raw:
        """Give the OpenAPI document of the mounts that the caller can reach."""
        return Raw(status=200, body=msgspec.json.encode(openapi.document(_described(txn, access, args, _caller(ctx)))) + b"\n")

    return (
        Route("internal/ui/mounts", "The mounts that a user interface shows.", {Method.GET: on(Nothing, list_visible, public=True)}),
        Route("internal/ui/mounts/*path", "The mount that answers a path.", {Method.GET: on(fields.MountPath, read_visible, public=True)}),
        Route("internal/ui/resultant-acl", "All that the asking token may do.", {Method.GET: on(Nothing, resultant_acl)}),
        Route("internal/specs/openapi", "The API as an OpenAPI document.", {
            method: on(SpecInput, specs, public=True) for method in (Method.GET, Method.POST)
        }),
    )


def list_visible(txn: Txn, args: Nothing, ctx: Context) -> Response:
    """List the mounts that the caller can reach, and those that are listed for everybody."""
    caller = _caller(ctx)
    secret: dict[str, fields.MountOut | PublicMountOut] = {}
    auth: dict[str, fields.MountOut | PublicMountOut] = {}
    for entry in _visible(txn, caller):
        shown = fields.show(entry) if caller is not None else PublicMountOut(
            type=entry.type, description=entry.description, options=entry.options or None)
        if entry.is_auth:
            auth[entry.path.removeprefix("auth/")] = shown
        else:
            secret[entry.path] = shown
    return Response(data=MountsOut(auth=auth, secret=secret))


def read_visible(txn: Txn, args: fields.MountPath, ctx: Context) -> Response:
    """Show the mount that answers a path, if the caller can reach it."""
    caller = _caller(ctx)
    if caller is None:
        raise PermissionDenied
    path = mount_table.asked_path(args.path)
    entry = mount_table.table(txn).at(path)
    if entry is None or not acl.reaches(txn, caller, entry.path):
        raise PermissionDenied(f'preflight capability check returned 403, please ensure client\'s policies grant access to path "{path}"')
    return Response(data=fields.show(entry, path=entry.path.removeprefix("auth/") if entry.is_auth else entry.path))


def resultant_acl(txn: Txn, args: Nothing, ctx: Context) -> Response:
    """Show all that the asking token may do, path by path."""
    token = ctx.token
    assert token is not None, "the route asks for a token"
    if token.is_root:
        return Response(data=ResultantOut(root=True))
    found = acl.matcher(txn, token.policies, token.entity_id)
    return Response(data=ResultantOut(root=False, exact_paths={path: _grant(rules) for path, rules in found.exact.items()},
                                      glob_paths={path: _grant(rules) for path, rules in found.prefixes.items()}))


def _caller(ctx: Context) -> Token | None:
    """None: no token was sent. Raises PermissionDenied: one that is not valid."""
    if ctx.token is None and ctx.request.token is not None:
        raise PermissionDenied
    return ctx.token


def _visible(txn: Txn, caller: Token | None) -> Iterator[MountEntry]:
    for entry in mount_table.table(txn).by_path.values():
        if entry.config.listing_visibility == UNAUTHENTICATED or (caller is not None and acl.reaches(txn, caller, entry.path)):
            yield entry


def _grant(rules: Permissions) -> GrantOut:
    capabilities = tuple(c.value for c in acl.SHOWN if c in rules.capabilities) if grants(rules) else ("deny",)
    return GrantOut(
        capabilities=capabilities, min_wrapping_ttl=rules.min_wrapping_ttl_s or UNSET, max_wrapping_ttl=rules.max_wrapping_ttl_s or UNSET,
        allowed_parameters=rules.allowed or UNSET, denied_parameters=rules.denied or UNSET, required_parameters=rules.required or UNSET)


def _described(txn: Txn, access: Access, args: SpecInput, caller: Token | None) -> Iterator[tuple[str, str, tuple[Route, ...]]]:
    if caller is not None and acl.reaches(txn, caller, "sys/"):
        yield "sys/", "system", access.router.system.routes
    for entry in _visible(txn, caller):
        if entry.path == "sys/":
            continue                                 # above: it is no engine of the registry
        path = openapi.literal(entry.path)
        if args.generic_mount_paths and entry.type not in fields.UNSUPPORTED_STATUS:
            name = path.removeprefix("auth/").strip("/").replace("-", "_").replace("/", "_")
            path = ("auth/" if entry.is_auth else "") + "{" + name + "_mount_path}/"
        yield path, "auth" if entry.is_auth else "secrets", access.registry.of(entry).routes
