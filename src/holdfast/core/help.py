"""`?help=1`: what a path is, what it takes and what it does, from the table that answers it. Source: Vault API, "Help"."""
from collections.abc import Callable, Iterable, Iterator

import msgspec

from holdfast.core import openapi
from holdfast.engine import Bound, Context, Given, Input, Mount, Op, Raw, Route, Txn


class Help(msgspec.Struct, frozen=True):
    help: str
    see_also: tuple[str, ...] | None
    openapi: openapi.Json


def of_route(mount: Mount, route: Route) -> Op:
    """The operation that explains one route. Whoever has a token may ask; a route that asks for none explains itself to all."""
    return _explaining(mount, (route,), lambda ctx: _text(ctx.request.path, route),
                       public=all(op.public for op in route.ops.values()))


def of_mount(mount: Mount, routes: Iterable[Route]) -> Op:
    """The operation that lists what there is below a mount."""
    known = tuple(routes)
    return _explaining(mount, known, lambda ctx: "\n".join(_overview(mount, known)), public=False)


def _explaining(mount: Mount, routes: tuple[Route, ...], text: Callable[[Context], str], *, public: bool) -> Op:
    def explain(txn: Txn, args: Input, ctx: Context) -> Raw:
        document = openapi.document(((mount.path, mount.type, routes),))
        return Raw(status=200, body=msgspec.json.encode(Help(text(ctx), None, document)) + b"\n")

    def bind(given: Given) -> Bound:
        return Bound(explain, Input(), None)

    return Op(input=Input, bind=bind, summary="Explain this path.", exists=None, public=public, sudo=False, sealed=False, local=False,
              top_level=False)


def _text(path: str, route: Route) -> str:
    head = (f"Request:        {path}", f"Matching Route: {route.pattern}", "", route.help, "")
    return "\n".join((*head, *_fields(route), *_operations(route)))


def _fields(route: Route) -> Iterator[str]:
    fields = {field.name: field for op in route.ops.values() for field in op.fields()}
    if fields:
        yield from ("## PARAMETERS", "")
    for name in sorted(fields):
        yield from (f"    {name} ({openapi.kind(fields[name])})", "", f"        {fields[name].text or '-'}", "")


def _operations(route: Route) -> Iterator[str]:
    yield from ("## DESCRIPTION", "")
    for method, op in route.ops.items():
        yield f"    {method.value}: {op.summary}"
    yield ""


def _overview(mount: Mount, routes: tuple[Route, ...]) -> Iterator[str]:
    yield from ("## DESCRIPTION", "", f"    {mount.type} at {mount.path}", "", "## PATHS", "",
                "    The following paths are supported. Ask for help on one of them to see more.", "")
    for route in sorted(routes, key=lambda route: route.pattern):
        yield from (f"    {route.pattern}", f"        {route.help}", "")
