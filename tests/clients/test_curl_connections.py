"""Beside test_curl: old versions of HTTP, closed connections, client certificates, what headers say of token and answer."""
from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.client import Client
from tests.conftest import MakeNode
from tests.node import Node, mount, new_token
from tests.processes import wait_until

CURL = shutil.which("curl") or ""
IN_CI = os.environ.get("CI") == "true"
pytestmark = pytest.mark.skipif(not CURL and not IN_CI, reason="curl is not installed; in CI (CI=true) that is a failure")
MARK = "\n--- written out: "
WRITE_OUT = f"{MARK}%{{http_code}} %{{http_version}} %{{num_connects}}"


@dataclass(frozen=True)
class Shown:
    """One transfer: what `-i` shows of it, its last status, its version of HTTP, and how many connections it made."""

    text: str
    status: int
    version: str
    connects: int

    @property
    def body(self) -> str:
        return self.text.replace("\r\n", "\n").rpartition("\n\n")[2]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Curl:
    node: Node

    def __call__(self, *words: str, stdin: bytes = b"", token: bool = True) -> Shown:
        [shown] = self.many(*words, stdin=stdin, token=token)
        return shown

    def many(self, *words: str, stdin: bytes = b"", token: bool = True) -> list[Shown]:
        """All transfers of one curl. A word that begins with `v1/` is a path of the server."""
        given = [f"{self.node.address}/{word}" if word.startswith("v1/") else word for word in words]
        header = ["-H", f"X-Vault-Token: {self.node.root_token}"] if token else []
        done = self.run("-sS", "-i", "--cacert", str(self.node.ca), "-w", WRITE_OUT + "\n=====\n", *header, *given, stdin=stdin)
        assert done.returncode == 0, done.stderr.decode()
        found = []
        for text in done.stdout.decode().split("\n=====\n")[:-1]:
            shown, _, written = text.rpartition(MARK)
            status, version, connects = written.split()
            found.append(Shown(shown, int(status), version, int(connects)))
        return found

    def run(self, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Without the tester's ~/.curlrc and proxies."""
        env = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        return subprocess.run([CURL, "-q", "--max-time", "60", *words], input=stdin, capture_output=True, env=env, timeout=120, check=False)


@pytest.fixture
def curl(node: Node) -> Curl:
    assert CURL, "CI has to test with curl, and there is none"
    return Curl(node)


@pytest.fixture
def kv1(client: Client, new_name: Callable[[str], str]) -> str:
    """The path of a fresh KV version 1 with one secret, `a`."""
    path = new_name("old")
    mount(client, path, options={"version": "1"})
    client.post(f"{path}/a", {"x": "1"}).ok()
    return path


def test_curl_is_there_where_ci_runs() -> None:
    """Everywhere else its tests are skipped without it."""
    assert CURL, "CI has to test with curl, and there is none"


def test_a_post_without_a_body(curl: Curl) -> None:
    assert curl("-X", "POST", "v1/auth/token/create").json["auth"]["policies"] == ["root"]
    assert curl("-X", "PUT", "v1/sys/rotate").status == 204


def test_a_merge_patch_needs_its_type(curl: Curl, kv: str) -> None:
    curl("-d", '{"data": {"a": "1", "b": {"c": "2", "d": "3"}}}', f"v1/{kv}/data/x")
    patch = ("-X", "PATCH", "-d", '{"data": {"a": null, "b": {"c": "4"}}}', f"v1/{kv}/data/x")
    assert curl(*patch).status == 415
    patched = curl(*patch, "-H", "Content-Type: application/merge-patch+json")
    assert (patched.status, patched.json["data"]["version"]) == (200, 2)
    assert curl(f"v1/{kv}/data/x").json["data"]["data"] == {"b": {"c": "4", "d": "3"}}


def test_a_connection_ends_when_curl_asks_for_it(curl: Curl) -> None:
    found = curl.many("-H", "Connection: close", "v1/sys/health", "v1/sys/health")
    assert [(shown.status, shown.connects) for shown in found] == [(200, 1), (200, 1)]


def test_http_1_0(curl: Curl, kv1: str) -> None:
    shown = curl("--http1.0", f"v1/{kv1}/a")
    assert (shown.status, shown.json["data"]) == (200, {"x": "1"})
    assert curl("--http1.0", "-d", '{"x": "2"}', f"v1/{kv1}/a").status == 204
    assert [each.connects for each in curl.many("--http1.0", "v1/sys/health", "v1/sys/health")] == [1, 1]


def test_an_answer_is_wrapped_for_as_long_as_asked(curl: Curl, kv1: str) -> None:
    wrapped = curl("-H", "X-Vault-Wrap-TTL: 2m", f"v1/{kv1}/a").json
    assert (wrapped["data"], wrapped["wrap_info"]["ttl"], wrapped["wrap_info"]["creation_path"]) == (None, 120, f"{kv1}/a")
    unwrap = ("-H", f"X-Vault-Token: {wrapped['wrap_info']['token']}", "-X", "POST", "v1/sys/wrapping/unwrap")
    assert curl(*unwrap, token=False).json["data"] == {"x": "1"}
    assert curl(*unwrap, token=False).status == 400
    assert curl("-H", "X-Vault-Wrap-TTL: soon", f"v1/{kv1}/a").status == 400


def test_the_token_as_a_bearer(curl: Curl, client: Client) -> None:
    token = new_token(client, "default")
    shown = curl("-H", f"Authorization: Bearer {token}", "v1/auth/token/lookup-self", token=False)
    assert (shown.status, shown.json["data"]["id"]) == (200, token)
    assert curl("v1/auth/token/lookup-self", token=False).status == 403
    assert curl("-H", "Authorization: Bearer hvs.nobody", "v1/auth/token/lookup-self", token=False).status == 403
    assert curl("-u", f"ann:{token}", "v1/auth/token/lookup-self", token=False).status == 403


def test_paths_and_values_outside_of_ascii(curl: Curl, kv1: str) -> None:
    assert curl("-d", json.dumps({"ключ": "значение 🔑"}, ensure_ascii=False), f"v1/{kv1}/%C3%A4%20b").status == 204
    assert curl(f"v1/{kv1}/%C3%A4%20b").json["data"] == {"ключ": "значение 🔑"}
    assert curl("-X", "LIST", f"v1/{kv1}").json["data"]["keys"] == ["a", "ä b"]


def test_plain_http_at_the_tls_port_is_told_so(curl: Curl) -> None:
    shown = curl("--http0.9", f"http://127.0.0.1:{curl.node.port}/v1/sys/health", token=False)
    assert (shown.status, "Client sent an HTTP request to an HTTPS server." in shown.text) == (400, True)


def test_client_certificates(make_node: MakeNode, tmp_path: Path) -> None:
    assert CURL, "CI has to test with curl, and there is none"
    (tmp_path / "own").mkdir()
    (tmp_path / "other").mkdir()
    own, other = (Node(tmp_path / name) for name in ("own", "other"))       # only for their certificates
    node = make_node(listener=f'tls_client_ca_file = "{own.ca}"\n  tls_require_and_verify_client_cert = true')
    node.launch()
    curl = Curl(node)
    unix = ("--unix-socket", str(node.unix), "http://localhost/v1/sys/seal-status")
    wait_until(lambda: curl.run("-sS", *unix).returncode == 0, "it answers")
    shown = ("-sS", "--cacert", str(node.ca), f"{node.address}/v1/sys/seal-status")
    assert curl("--cert", str(own.certificate), "--key", str(own.key), "v1/sys/seal-status", token=False).status == 200
    assert curl.run(*shown).returncode != 0
    assert curl.run("--cert", str(other.certificate), "--key", str(other.key), *shown).returncode != 0
