"""sys/config/cors, sys/config/auditing/request-headers: settings of the whole cluster, kept like everything else, so that each process and
each node follows them with the state it reads. Source: Vault API, the pages of these names.
"""
import re
from collections.abc import Mapping
from typing import Annotated

from msgspec import UNSET, UnsetType

from holdfast.core.audit_headers import AUDITED, KEPT_BY_PARSER, HeaderSettings, load_audited
from holdfast.core.cors import CORS, EVERY_ORIGIN, RULES, STANDARD_HEADERS, CrossOriginRules, load_rules
from holdfast.engine import Context, Input, Method, Name, Nothing, Output, Response, Route, Strings, Txn, doc, on, strings
from holdfast.errors import BadRequest
from holdfast.limits import AUDITED_HEADERS_MAX, CORS_TEXTS_MAX, HEADER_NAME_MAX

_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_ORIGIN = re.compile(r"[\x21-\x7e]{1,512}")


class CorsInput(Input, frozen=True):
    enable: Annotated[bool, doc("Kept for old clients: writing the settings enables it.")] = True
    allowed_origins: Annotated[Strings, doc("Origins that may ask, or \"*\" alone for every one.")] = None
    allowed_headers: Annotated[Strings, doc("Headers that a page may send beside the standard ones.")] = None


class CorsOut(Output, frozen=True):
    enabled: bool
    allowed_origins: tuple[str, ...] | UnsetType = UNSET
    allowed_headers: tuple[str, ...] | UnsetType = UNSET


class HeaderInput(Input, frozen=True):
    header: Annotated[Name, doc("Name of the header.")]


class HeaderSettingsInput(HeaderInput, frozen=True):
    hmac: Annotated[bool, doc("Show its hash instead of its value.")] = False


class HeadersOut(Output, frozen=True):
    headers: Mapping[str, HeaderSettings]


def read_cors(txn: Txn, args: Nothing, ctx: Context) -> Response:
    """Show which pages may ask."""
    rules = load_rules(txn)
    if rules is None:
        return Response(data=CorsOut(enabled=False))
    return Response(data=CorsOut(enabled=True, allowed_origins=rules.allowed_origins, allowed_headers=rules.allowed_headers))


def write_cors(txn: Txn, args: CorsInput, ctx: Context) -> Response:
    """Let pages of these origins ask."""
    origins, headers = strings(args.allowed_origins), strings(args.allowed_headers)
    if not origins:
        raise BadRequest("at least one origin or the wildcard must be provided")
    if EVERY_ORIGIN in origins and len(origins) > 1:
        raise BadRequest("to allow all origins the '*' must be the only value for allowed_origins")
    if max(len(origins), len(headers)) > CORS_TEXTS_MAX:
        raise BadRequest(f"at most {CORS_TEXTS_MAX} allowed_origins and allowed_headers each")
    for origin in origins:
        if not _ORIGIN.fullmatch(origin):
            raise BadRequest(f"allowed_origins: {origin[:64]!r} is no origin such as https://example.com")
    for header in headers:
        _check_name(header, "allowed_headers")
    CORS.put(txn, RULES, CrossOriginRules(allowed_origins=origins, allowed_headers=(*STANDARD_HEADERS, *headers)))
    return Response()


def delete_cors(txn: Txn, args: Nothing, ctx: Context) -> Response:
    """Let no page of another origin ask."""
    CORS.delete(txn, RULES)
    return Response()


def list_headers(txn: Txn, args: Nothing, ctx: Context) -> Response:
    """List the headers that stand in audit entries."""
    return Response(data=HeadersOut(headers=txn.derive(load_audited)))


def read_header(txn: Txn, args: HeaderInput, ctx: Context) -> Response:
    """Show how a header stands in audit entries."""
    settings = txn.derive(load_audited).get(args.header.lower())
    if settings is None:
        raise BadRequest("Could not find header in config")
    return Response(data={args.header: settings})


def write_header(txn: Txn, args: HeaderSettingsInput, ctx: Context) -> Response:
    """Show a header in audit entries."""
    _check_name(args.header, "header")
    name = args.header.lower()
    if not AUDITED.exists(txn, name) and len(AUDITED.names(txn)) >= AUDITED_HEADERS_MAX:
        raise BadRequest(f"at most {AUDITED_HEADERS_MAX} headers can be audited")
    AUDITED.put(txn, name, HeaderSettings(hmac=args.hmac))
    if name in KEPT_BY_PARSER:
        return Response(warnings=(f"the header {name!r} is not kept with a request: it will not stand in audit entries",))
    return Response()


def delete_header(txn: Txn, args: HeaderInput, ctx: Context) -> Response:
    """Show a header in audit entries no more."""
    AUDITED.delete(txn, args.header.lower())
    return Response()


ROUTES = (
    Route("config/cors", "Which pages of other origins may ask.", {
        Method.GET: on(Nothing, read_cors, sudo=True, top_level=True), Method.POST: on(CorsInput, write_cors, sudo=True),
        Method.DELETE: on(Nothing, delete_cors, sudo=True)}),
    Route("config/auditing/request-headers", "The request headers that stand in audit entries.", {
        Method.GET: on(Nothing, list_headers, sudo=True, top_level=True)}),
    Route("config/auditing/request-headers/:header", "One of them.", {
        Method.GET: on(HeaderInput, read_header, sudo=True, top_level=True), Method.POST: on(HeaderSettingsInput, write_header, sudo=True),
        Method.DELETE: on(HeaderInput, delete_header, sudo=True)}),
)


def _check_name(name: str, field: str) -> None:
    if len(name) > HEADER_NAME_MAX or not _HEADER_NAME.fullmatch(name):
        raise BadRequest(f"{field}: {name[:64]!r} is no name of a header of at most {HEADER_NAME_MAX} characters")
