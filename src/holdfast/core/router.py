"""Path to mount, route and operation."""
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

import msgspec
from msgspec.structs import replace

from holdfast.core import help
from holdfast.core.mounts import Defaults, MountEntry, as_mount, load_mounts
from holdfast.engine import Bound, Engine, Given, Input, Method, Mount, Op, Route, Txn
from holdfast.errors import InvariantError, MethodNotAllowed, NotFound, RequestError, UnsupportedOperation, UnsupportedPath


class Hit(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Where a request goes. `engine` is None where the path leads nowhere: its operation refuses."""

    mount: Mount
    entry: MountEntry | None
    engine: Engine | None
    op: Op
    path: Mapping[str, str]                          # path parameters


SYSTEM = Mount(uuid="system", path="sys/", type="system", accessor="", default_ttl_s=0, max_ttl_s=0)
NOWHERE = Mount(uuid="", path="", type="", accessor="", default_ttl_s=0, max_ttl_s=0)
ALIASES = {"generic": "kv"}
"""Types by their old names: a mount keeps the name it was asked for by, or who asks for it would find another than it wants."""
Compiled: TypeAlias = tuple[tuple[re.Pattern[str], Route], ...]
"""Routes with their patterns ready to be matched, in the order in which they are asked."""


def load_system(txn: Txn) -> Mount:
    """For `txn.derive`: with the accessor that the table gives it. While it is sealed, a node knows of none."""
    entry = txn.derive(load_mounts).by_path.get(SYSTEM.path)
    return SYSTEM if entry is None else replace(SYSTEM, accessor=entry.accessor)


class Registry:
    """All engines of this program, by what a mount entry says of them. Compiled once."""

    def __init__(self, engines: Iterable[Engine]) -> None:
        self._engines: dict[tuple[bool, str, str], Engine] = {}
        for engine in engines:
            key = (engine.is_auth, engine.type, engine.version)
            if key in self._engines:
                raise InvariantError(f"two engines of type {engine.type!r} version {engine.version!r}")
            self._engines[key] = engine
        self._compiled = {id(engine): compiled(engine.routes) for engine in self._engines.values()}

    def find(self, type_: str, options: Mapping[str, str], *, is_auth: bool) -> Engine | None:
        """The engine of this type and `version` option; without the option, the lowest version there is."""
        type_, version = ALIASES.get(type_, type_), options.get("version", "")
        exact = self._engines.get((is_auth, type_, version))
        if exact is not None or version:
            return exact
        versions = sorted(v for auth, t, v in self._engines if (auth, t) == (is_auth, type_))
        return self._engines[is_auth, type_, versions[0]] if versions else None

    def of(self, entry: MountEntry) -> Engine:
        """The engine of a mount that exists."""
        engine = self.find(entry.type, entry.options, is_auth=entry.is_auth)
        if engine is None:
            raise InvariantError(f"mount {entry.uuid}: no engine of type {entry.type!r}")
        return engine

    def engines(self) -> tuple[Engine, ...]:
        """All of them, methods first, by type and version."""
        return tuple(self._engines[key] for key in sorted(self._engines, key=lambda key: (not key[0], *key[1:])))

    def types(self, *, is_auth: bool) -> tuple[str, ...]:
        return tuple(sorted({t for auth, t, _ in self._engines if auth is is_auth}))

    def routes(self, engine: Engine) -> Compiled:
        return self._compiled[id(engine)]


class Router:
    """`system` answers below sys/, where nothing is mounted and much must be answered while sealed."""

    def __init__(self, registry: Registry, system: Engine, defaults: Defaults) -> None:
        self.registry, self.system, self.defaults = registry, system, defaults
        self._system_routes = compiled(system.routes)
        self._mount = self._load_mount               # bound once: it is half of a cache key
        self._refuse_path = refusing(UnsupportedPath)
        self._refuse_method = refusing(UnsupportedOperation)
        self._refuse_method_of_login = refusing(UnsupportedOperation, public=True)
        self._refuse_method_to_all = refusing(MethodNotAllowed, to_all=True)

    def _load_mount(self, txn: Txn, uuid: str) -> Mount:
        """For `txn.derive`: one for all that is cached of requests to it."""
        return as_mount(txn.derive(load_mounts).by_uuid[uuid], self.defaults)

    def find_local(self, method: Method, path: str) -> Hit | None:
        """An operation about this node, from the fixed table alone: also while sealed or without a read lease."""
        if not path.startswith(SYSTEM.path):
            return None
        hit = self._in_routes(SYSTEM, None, self.system, self._system_routes, method, path)
        return hit if hit.op.local else None

    def find(self, txn: Txn, method: Method, path: str) -> Hit:
        """Mount by the longest path, then the route by the longest literal."""
        if path.startswith(SYSTEM.path):
            return self._in_routes(txn.derive(load_system), None, self.system, self._system_routes, method, path)
        mounts = txn.derive(load_mounts)
        entry = mounts.at(path)
        if entry is None and (mounts.at(path + "/") is not None or path + "/" == SYSTEM.path):
            return self.find(txn, method, path + "/")    # a mount may be named without its final slash
        if entry is None:
            refusal = refusing(lambda: NotFound(f'no handler for route "{path}". route entry not found.'))
            return Hit(mount=NOWHERE, entry=None, engine=None, op=refusal, path={})
        engine = self.registry.of(entry)
        return self._in_routes(txn.derive(self._mount, entry.uuid), entry, engine, self.registry.routes(engine), method, path)

    def _in_routes(self, mount: Mount, entry: MountEntry | None, engine: Engine, routes: Compiled,
                   method: Method, path: str) -> Hit:
        if method is Method.HELP and path == mount.path:
            return Hit(mount=mount, entry=entry, engine=engine, op=help.of_mount(mount, engine.routes), path={})
        for pattern, route in routes:
            given = pattern.fullmatch(path, len(mount.path))
            if given is not None:
                op = help.of_route(mount, route) if method is Method.HELP else route.ops.get(method) or self._refusing_method(route)
                return Hit(mount=mount, entry=entry, engine=engine, op=op, path=given.groupdict())
        return Hit(mount=mount, entry=entry, engine=engine, op=self._refuse_path, path={})

    def _refusing_method(self, route: Route) -> Op:
        """What a sealed node answers, it answers anybody: there a wrong method is known to be wrong before any token is. Where no token is
        needed to log in, none is to be told that this is not how."""
        if any(op.sealed for op in route.ops.values()):
            return self._refuse_method_to_all
        return self._refuse_method_of_login if any(op.public for op in route.ops.values()) else self._refuse_method


def refusing(error: Callable[[], RequestError], *, to_all: bool = False, public: bool = False) -> Op:
    """An operation that refuses, once token and policy have had their say: who may not ask learns of no mount. `public`: without a token;
    `to_all`: at once, also where the node is sealed.

    `error` makes the refusal anew each time: one that is kept would keep the attempt that it was raised in, and so its state open.
    """

    def bind(given: Given) -> Bound:
        raise error()

    return Op(input=Input, bind=bind, summary="", exists=None, public=public or to_all, sudo=False, sealed=to_all, local=to_all,
              top_level=False)


def compiled(routes: Iterable[Route]) -> Compiled:
    """Patterns, the most literal first. `:name` is one segment, a last `*name` the rest; elsewhere a final slash is optional."""

    def part(text: str) -> str:
        if text.startswith(":"):
            return f"(?P<{text[1:]}>[^/]+)"
        return f"(?P<{text[1:]}>.*)" if text.startswith("*") else re.escape(text)

    def order(route: Route) -> tuple[int, ...]:
        kinds = tuple({":": 1, "*": 2}.get(segment[:1], 0) for segment in route.pattern.split("/"))
        return (*kinds, 3) if kinds[-1] == 2 else kinds      # `*path/tune` is asked before `*path`, which would take it

    return tuple((re.compile("/".join(map(part, route.pattern.split("/"))) + ("" if "*" in route.pattern else "/?"), re.DOTALL), route)
                 for route in sorted(routes, key=order))
