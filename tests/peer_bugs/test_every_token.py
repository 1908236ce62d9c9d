"""Every operation of every route, asked of a worker and of main of the same node: as root, with a token that may nearly nothing, with none.

`test_every_route` tells what right answers are; here the two processes have the same state, and whatever differs does so by the process
alone. A route that is added is asked without a word here. As root, only what changes nothing: reads, writes whose body is no JSON, and
deleting what is not there.
"""
from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from tests.client import Answer, Client
from tests.node import Node, mount, new_token, policy
from tests.peer_bugs.test_every_route import Same

from holdfast.core.access import Access
from holdfast.core.mounts import Defaults
from holdfast.engine import Method
from holdfast.node.devices import try_device
from holdfast.node.registry import ENGINES
from holdfast.system import build

MOUNTED = {("system", ""): "sys/", ("token", ""): "auth/token/", ("userpass", ""): "auth/up/", ("cubbyhole", ""): "cubbyhole/",
           ("kv", "1"): "old/", ("kv", "2"): "kv/", ("identity", ""): "identity/"}
THERE, ABSENT = "ann", "none"                        # whatever a path can name is there under the one, and not under the other
NO_JSON = b'{"a":'
READS = (Method.GET, Method.LIST, Method.HEAD)
HEADERS = {"content-type", "cache-control", "allow", "retry-after", "strict-transport-security", "x-vault-index"}
ENDLESS = {"sys/monitor"}
OF_ONE_PROCESS = {"sys/metrics", "sys/health"}       # told by each of itself, or of the moment: only names of fields are compared
Ask = tuple[str, str, bytes]


def _paths(pattern: str) -> Iterator[str]:
    for name in (THERE, ABSENT):
        yield re.sub(r"[:*]\w+", name, pattern)


def _operations() -> list[tuple[Method, str]]:
    access = Access(ENGINES, build, Defaults(), try_device)
    engines = (access.router.system, *access.registry.engines())
    found = {(method, MOUNTED[engine.type, engine.version] + path): None
             for engine in engines for route in engine.routes for method in route.ops for path in _paths(route.pattern)}
    return [pair for pair in found if pair[1] not in ENDLESS]


def _as_root() -> Iterator[Ask]:
    for method, path in _operations():
        if method in READS:
            yield method.value, path, b""
        elif method is not Method.DELETE:
            yield method.value, path, NO_JSON
        elif ABSENT in path:
            yield method.value, path, b""


def _as_others() -> Iterator[Ask]:
    for method, path in _operations():
        yield method.value, path, b"" if method in READS or method is Method.DELETE else b"{}"


@pytest.fixture(scope="module")
def furnished(node: Node) -> Node:
    """Something of each kind, all of the same name."""
    main = node.main()
    for path in ("kv", THERE):
        mount(main, path)
    mount(main, "old", options={"version": "1"})
    for path in ("up", THERE):
        main.post(f"sys/auth/{path}", {"type": "userpass"}).ok()
    main.post(f"auth/up/users/{THERE}", {"password": "p"}).ok()
    main.post(f"auth/token/roles/{THERE}", {"orphan": True}).ok()
    main.post(f"kv/data/{THERE}", {"data": {"a": 1.10}}).ok()
    for path in ("old", "cubbyhole"):
        main.post(f"{path}/{THERE}", {"a": "b"}).ok()
    policy(main, THERE, f'path "kv/data/{THERE}" {{ capabilities = ["read"] }}')
    main.post(f"sys/audit/{THERE}", {"type": "file", "options": {"file_path": str(node.folder / "audit.log")}}).ok()
    return node


def _compare(node: Node, token: str, asks: Iterator[Ask]) -> list[Answer]:
    """The same from both, each time; gives the worker's answers."""
    client, main, same, wrong, answers = node.client(token), node.main(token), Same(node), [], []
    for method, path, body in asks:
        here, there = (_ask(where, method, path, body) for where in (client, main))
        from_worker, from_main = (_shown(same, path, answer) for answer in (here, there))
        if from_worker != from_main:
            wrong.append(f"{method} {path}:\n--- worker\n{from_worker}\n--- main\n{from_main}")
        answers.append(here)
    assert not wrong, f"{len(wrong)} of {len(answers)} requests\n" + "\n".join(wrong)
    return answers


def _ask(client: Client, method: str, path: str, body: bytes) -> Answer:
    return client.ask(method, path, raw=body)


def _shown(same: Same, path: str, answer: Answer) -> str:
    names = [name for name, _ in answer.headers]
    assert len(names) == len(set(names)), f"{path}: {names}"
    shown: Any = answer.body.decode(errors="replace")
    if answer.header("content-type").startswith("application/json") and shown:
        whole = json.loads(shown)
        shown = sorted(whole) if path in OF_ONE_PROCESS else same.of(whole)
    return json.dumps([answer.status, answer.header("content-type"), sorted(set(names) & HEADERS), shown], indent=1, sort_keys=True)


def _through_both(node: Node, token: str, asks: Iterator[Ask], least: int) -> list[int]:
    workers = node.worker_pids()
    answers = _compare(node, token, asks)
    assert len(answers) >= least, "the tables of routes have been walked"
    assert node.worker_pids() == workers, "and no process has ended"
    assert "worker.lost" not in node.log_text
    return [answer.status for answer in answers]


def test_every_route_through_a_worker_equals_main_as_root(furnished: Node) -> None:
    """Any operation asked of a standby: no 500 there, no other status, header, field or value than main's."""
    statuses = _through_both(furnished, furnished.root_token, _as_root(), 150)
    assert not {500, 502, 503} & set(statuses)
    assert statuses.count(403) <= 1, "the mount of a path without one is nobody's to see; all else is root's"
    assert statuses.count(200) > 30, "much of it was there"


def test_every_route_through_a_worker_equals_main_with_a_weak_token(furnished: Node) -> None:
    """A token that may nearly nothing, asked of a standby: it may no more there, and is refused in the same words."""
    token = new_token(furnished.main(), THERE, no_default_policy=True)
    statuses = _through_both(furnished, token, _as_others(), 200)
    assert not {500, 502, 503} & set(statuses)
    assert statuses.count(403) > 150
    assert furnished.client(token).get(f"kv/data/{THERE}").ok().data["data"] == {"a": 1.10}, "what it may do, it may"


def test_every_route_through_a_worker_equals_main_without_a_token(furnished: Node) -> None:
    """No token at all, asked of a standby: what is public is answered as in main, all else is refused as there, and nothing changes."""
    statuses = _through_both(furnished, "", _as_others(), 200)
    assert not {500, 502, 503} & set(statuses)
    assert statuses.count(403) > 150
    assert furnished.client().get("sys/seal-status").ok().json["sealed"] is False
