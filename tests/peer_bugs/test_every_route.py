"""Every operation of every route, once through a worker and once in a main process that has none: the same answers.

A worker is a standby of its own node. Whatever the peers' standbys answered wrongly, or not at all, shows here first; and a route that is
added without a word in the script fails the test.
"""
from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from tests.client import Answer, Client
from tests.conftest import MakeNode
from tests.node import Node
from tests.peer_bugs.script import ELSEWHERE, MOUNTED, SCRIPT, Step
from tests.processes import wait_until

from holdfast.core.access import Access
from holdfast.core.mounts import Defaults
from holdfast.core.router import compiled
from holdfast.engine import Engine
from holdfast.node.devices import try_device
from holdfast.node.registry import ENGINES
from holdfast.system import build

CHANCE = re.compile(
    r"hv[sbr]\.[A-Za-z0-9_-]{24,}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\b(?<![.-])[A-Za-z0-9]{24}\b"
    r"|\b(?:auth_)?(?:kv|system|cubbyhole|token|userpass|contract|identity|audit_file)_[0-9a-f]{8}\b|vault-cluster-[0-9a-f]{8}"
    r"|hmac-sha256:[0-9a-f]{64}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)")
SECONDS = {"creation_time", "server_time_utc", "issue_time", "last_remote_wal"}
LENGTHS = {"ttl", "lease_duration", "creation_ttl"}


class Same:
    """What is by chance, by its first appearance: two conversations that mean the same look the same."""

    def __init__(self, node: Node) -> None:
        self._here = {node.address: "<address>", f"127.0.0.1:{node.port}": "<address>", str(node.folder): "<folder>",
                      f"https://127.0.0.1:{node.port + 1}": "<cluster address>"}
        self._seen: dict[str, str] = {}

    def of(self, value: Any, name: str = "") -> Any:
        match value:
            case dict():
                return {self._text(key): self.of(each, key) for key, each in value.items()}
            case list():
                shown = [self.of(each, name) for each in value]
                return sorted(shown) if value and all(isinstance(each, str) and CHANCE.fullmatch(each) for each in value) else shown
            case int() if name in SECONDS:
                return "<time>"
            case int() if name in LENGTHS and value > 60:
                return -(-value // 60) * 60          # a second may have passed
            case int() if name == "last_wal":
                return "<index>"
            case str():
                return self._text(value) if name != "request_id" else "<request>" if value else ""
            case _:
                return value

    def _text(self, text: str) -> str:
        for found, shown in sorted(self._here.items(), key=lambda pair: -len(pair[0])):
            text = text.replace(found, shown)
        text = TIME.sub(lambda time: time[0] if time[0].startswith("0001") else "<time>", text)
        return CHANCE.sub(lambda found: self._seen.setdefault(found[0], f"<{len(self._seen)}>"), text)


class Conversation:
    """The script, said to one node."""

    def __init__(self, node: Node) -> None:
        self._node, self._same = node, Same(node)
        self._names = {"folder": str(node.folder), "share": node.shares[0], "nobody": "", "": node.root_token}

    def say(self, client: Client, step: Step) -> tuple[str, Answer]:
        """What is to be compared, and the answer."""
        answer = self._ask(client, step)
        if step.until:
            wait_until(lambda: self._ask(client, step).status == step.status, f"{step.method} {step.path}")
            answer = self._ask(client, step)
        for name, where in step.keep.items():
            found: Any = answer.json
            for part in where.split("."):
                found = found[part]
            self._names[name] = found
        return self._shown(answer, step), answer

    def _ask(self, client: Client, step: Step) -> Answer:
        body = None if step.body is None else json.loads(self._filled(json.dumps(step.body)))
        headers = dict(step.headers)
        token = headers.pop("X-Vault-Token", self._names[step.token])
        return client.ask(step.method, quote(self._filled(step.path), safe="/?=&.:-_"), body, token=token, headers=headers)

    def _filled(self, text: str) -> str:
        return re.sub(r"\{([a-z_]\w*)\}", lambda name: self._names[name[1]], text)

    def _shown(self, answer: Answer, step: Step) -> str:
        headers = sorted(name for name, _ in answer.headers)
        shown: Any = answer.body.decode(errors="replace")
        if step.loose:
            shown = sorted(json.loads(shown)) if shown.startswith("{") else ""
        elif answer.header("content-type").startswith("application/json") and shown:
            shown = self._same.of(json.loads(shown))
        return json.dumps([answer.status, headers, answer.header("content-type"), shown], indent=1)


@pytest.fixture
def pair(make_node: MakeNode) -> tuple[Node, Node]:
    """A node whose worker answers, and one whose main does."""
    return make_node(workers=1, contract=True).begin(), make_node(workers=0, contract=True).begin()


def test_through_a_worker_every_operation_answers_as_in_main(pair: tuple[Node, Node]) -> None:
    """Any operation asked of a standby: it is no other answer than the active node's."""
    (worker, worker_client), (main, main_client) = ((Conversation(node), node.client()) for node in pair)
    wrong: list[str] = []
    for number, step in enumerate(SCRIPT):
        (from_worker, answer), (from_main, expected) = worker.say(worker_client, step), main.say(main_client, step)
        where = f"step {number}: {step.method} {step.path}"
        if answer.status != step.status or expected.status != step.status:
            wrong.append(f"{where}: {answer.status} from the worker, {expected.status} from main, not {step.status}: {expected.body!r}")
        elif from_worker != from_main:
            wrong.append(f"{where}:\n--- worker\n{from_worker}\n--- main\n{from_main}")
    assert not wrong, f"{len(wrong)} of {len(SCRIPT)} steps\n" + "\n".join(wrong)


def test_reads_of_one_node_are_the_same_from_each_of_its_processes(make_node: MakeNode) -> None:
    """The same state, the same node: whatever differs does so by the process alone."""
    node = make_node(workers=1, contract=True).begin()
    talk, client, main = Conversation(node), node.client(), node.main()
    for step in SCRIPT[:-9]:
        from_worker, _ = talk.say(client, step)
        can_repeat = not (step.loose or step.keep or step.headers) and step.token != "few"
        if can_repeat and step.method in ("GET", "LIST", "HEAD") and step.path != "con/count":
            from_main, _ = talk.say(main, step)
            assert from_worker == from_main, f"{step.method} {step.path}"


def test_the_script_leaves_no_operation_out() -> None:
    """An operation is added: it does not go unasked here."""
    access = Access(ENGINES, build, Defaults(), try_device)
    engines = {(engine.type, engine.version): engine for engine in (access.router.system, *access.registry.engines())}
    assert set(engines) == set(MOUNTED.values()), "an engine that the script does not mount"
    missing = {
        (name[0], method.value, route.pattern) for name, engine in engines.items() for route in engine.routes for method in route.ops
    } - {(MOUNTED[prefix][0], *said) for prefix in MOUNTED for said in _said(prefix, engines[MOUNTED[prefix]])} - ELSEWHERE
    assert not missing


def _said(prefix: str, engine: Engine) -> Iterator[tuple[str, str]]:
    routes = compiled(engine.routes)
    for step in SCRIPT:
        path, _, query = re.sub(r"\{\w+\}", "name", step.path).partition("?")
        if path.startswith(prefix):
            rest = path[len(prefix):]
            method = {"PUT": "POST"}.get(step.method, "LIST" if "list=true" in query else step.method)
            for pattern, route in routes:
                if pattern.fullmatch(rest):
                    yield method, route.pattern
                    break


def test_metrics_and_the_log_are_told_by_every_process(pair: tuple[Node, Node], tmp_path: Path) -> None:
    """Metrics or the log asked of a standby: neither is refused there."""
    for node in pair:
        for client in (node.client(), node.main()):
            assert client.get("sys/metrics").status == 200
            client.send(f"GET /v1/sys/monitor HTTP/1.1\r\nHost: a\r\nX-Vault-Token: {node.root_token}\r\n\r\n".encode())
            head, _ = client.stream()
            assert (head.status, head.header("content-type")) == (200, "text/plain; charset=utf-8")
            client.close()
