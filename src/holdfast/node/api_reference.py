"""docs/api.md, made from the tables that route: `python -m holdfast.node.api_reference > docs/api.md`. A test holds it against them."""
from collections.abc import Iterator

from holdfast.core.access import Access
from holdfast.core.mounts import Defaults
from holdfast.engine import Engine, Method, Op
from holdfast.node.devices import try_device
from holdfast.node.registry import ENGINES
from holdfast.system import build

HEAD = """# API

Made from the tables that route, by `python -m holdfast.node.api_reference`; a test holds it against them.

Paths, fields, status codes and errors are those of Vault 1.17, Community Edition; what is not listed answers 404. `POST` and `PUT` are the
same, `LIST` is also `GET` with `?list=true`, `?help=1` explains any path, and `sys/internal/specs/openapi` gives the whole as OpenAPI.

Marks: **p** needs no token; **s** needs the capability `sudo`; **n** is about this node and never forwarded; **0** answers while
sealed, too.
"""
NAMES = {"system": "sys/", "token": "auth/token/", "userpass": "auth/userpass/", "cubbyhole": "cubbyhole/"}
ORDER = tuple(Method)


def api_reference() -> str:
    """The whole document."""
    access = Access(ENGINES, build, Defaults(), try_device)
    engines = (engine for engine in (access.router.system, *access.registry.engines()) if engine.routes)
    return "\n".join((HEAD, *(line for engine in engines for line in _section(engine))))


def _section(engine: Engine) -> Iterator[str]:
    title = NAMES.get(engine.type, f"{engine.type} version {engine.version}" if engine.version else engine.type)
    yield f"## {title}\n"
    yield "| path | operations | |"
    yield "| --- | --- | --- |"
    for route in sorted(engine.routes, key=lambda route: route.pattern):
        operations = ", ".join(f"{method.value}{_marks(route.ops[method])}" for method in ORDER if method in route.ops)
        yield f"| `{route.pattern}` | {operations} | {route.help} |"
    yield ""


def _marks(op: Op) -> str:
    found = "".join(mark for mark, holds in (("p", op.public), ("s", op.sudo), ("n", op.local), ("0", op.sealed)) if holds)
    return f" ({found})" if found else ""


if __name__ == "__main__":
    print(api_reference(), end="")
