"""OpenAPI 3.0 from the tables that route and validate, so that it cannot say anything else than they do. Source: OpenAPI 3.0.2."""
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from holdfast.engine import Field, Method, Op, Route
from holdfast.version import VERSION

Json: TypeAlias = Mapping[str, object]
IN_BODY = frozenset({Method.POST, Method.PATCH})
WORDS: Mapping[Method, str] = {Method.GET: "read", Method.HEAD: "check", Method.LIST: "list", Method.POST: "write", Method.PATCH: "patch",
                               Method.DELETE: "delete"}

SHOWN = (("list", "array"), ("tuple", "array"), ("dict", "object"), ("mapping", "object"), ("bool", "boolean"), ("str", "string"),
         ("int", "integer"), ("float", "number"))


def document(mounted: Iterable[tuple[str, str, Iterable[Route]]]) -> Json:
    """One document of what is mounted: path below /v1/, tag and routes of each. What stands in braces in a path is a parameter; see
    `literal`."""
    paths: dict[str, Json] = {}
    for mount, tag, routes in mounted:
        for route in routes:
            paths["/" + mount + "/".join(_template(route))] = _path(route, mount, tag)
    _tell_apart(paths)
    return {
        "openapi": "3.0.2",
        "info": {"title": "Holdfast", "description": "Secrets over HTTP. Every path stands below /v1/.", "version": VERSION,
                 "license": {"name": "Mozilla Public License 2.0", "url": "https://www.mozilla.org/en-US/MPL/2.0"}},
        "paths": dict(sorted(paths.items())),
        "components": {"schemas": {}},
    }


def literal(path: str) -> str:
    """A mount's path as it is: braces of its own name no parameter."""
    return path.replace("{", "%7B").replace("}", "%7D")


def parameters(pattern: str) -> tuple[str, ...]:
    """Names of the parts of a path that a pattern leaves open, in order."""
    return tuple(segment[1:] for segment in pattern.split("/") if segment[:1] in (":", "*"))


def _tell_apart(paths: Mapping[str, Json]) -> None:
    """No two operations have one id: mounts whose paths differ in signs alone (`a-b/`, `a/b/`) would give them the same."""
    seen: set[object] = set()
    for _, item in sorted(paths.items()):
        for operation in item.values():
            if isinstance(operation, dict) and "operationId" in operation:
                name, number = operation["operationId"], 1
                while operation["operationId"] in seen:
                    number += 1
                    operation["operationId"] = f"{name}-{number}"
                seen.add(operation["operationId"])


def _template(route: Route) -> Iterator[str]:
    for segment in route.pattern.split("/"):
        yield "{" + segment[1:] + "}" if segment[:1] in (":", "*") else segment


def _path(route: Route, mount: str, tag: str) -> Json:
    in_path = parameters(route.pattern)
    described = {field.name: field for op in route.ops.values() for field in op.fields()}
    item: dict[str, object] = {"description": route.help}
    of_mount = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}, "description": "Path of the mount."}
                for name in re.findall(r"{(.*?)}", mount)]
    if in_path or of_mount:
        item["parameters"] = of_mount + [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"},
             "description": described[name].text if name in described else ""} for name in in_path]
    if route.ops and all(op.sudo for op in route.ops.values()):
        item["x-vault-sudo"] = True
    if route.ops and all(op.public for op in route.ops.values()):
        item["x-vault-unauthenticated"] = True
    if any(op.exists is not None for op in route.ops.values()):
        item["x-vault-createSupported"] = True
    for method, op in route.ops.items():
        # A list is a GET; where both exist they share one operation, which can ask for either.
        if method is Method.LIST and Method.GET in route.ops:
            continue
        name = "get" if method is Method.LIST else method.value.lower()
        item[name] = _operation(route, method, op, mount, tag, lists=Method.LIST in route.ops and name == "get")
    return item


def _operation(route: Route, method: Method, op: Op, mount: str, tag: str, *, lists: bool) -> Json:
    words = re.findall(r"[a-z0-9]+", f"{mount}{route.pattern}".lower())
    operation: dict[str, object] = {
        "summary": op.summary, "operationId": "-".join((*words, WORDS[method])), "tags": [tag],
        "responses": {"204": {"description": "empty body"}} if method is Method.DELETE else {"200": {"description": "OK"}}}
    own = [field for field in op.fields() if field.name not in parameters(route.pattern)]
    asked = [_query(field) for field in own] if method not in IN_BODY else []
    if lists:
        only = method is Method.LIST
        asked.append({"name": "list", "in": "query", "required": only, "description": "Set to true to list.",
                      "schema": {"type": "string", "enum": ["true"]} if only else {"type": "string"}})
    if asked:
        operation["parameters"] = asked
    if method in IN_BODY:
        media = "application/merge-patch+json" if method is Method.PATCH else "application/json"
        operation["requestBody"] = {"required": True, "content": {media: {"schema": _body(own)}}}
    return operation


def _body(fields: Iterable[Field]) -> Json:
    known = tuple(fields)
    schema: dict[str, object] = {
        "type": "object", "properties": {field.name: {**_schema(field), "description": field.text} for field in known}}
    required = [field.name for field in known if field.required]
    return schema | {"required": required} if required else schema


def _query(field: Field) -> Json:
    return {"name": field.name, "in": "query", "description": field.text, "required": field.required, "schema": _schema(field)}


def _schema(field: Field) -> Json:
    """Of an array OpenAPI wants to know of what."""
    shown = kind(field)
    if shown != "array":
        return {"type": shown}
    return {"type": "array", "items": {"type": "integer" if "[int]" in field.type else "string"}}


def kind(field: Field) -> str:
    """The type of a field in JSON's words; of lenient fields, which take several, the first that says most."""
    name = field.type.removesuffix(" | None").rpartition(".")[2]
    if name[:1].isupper():
        return "object"                              # a record, or JSON as it was sent
    text = field.type.lower()
    return next((shown for word, shown in SHOWN if word in text), "string")
