"""curl, as people paste it from documentation: HTTP details that no client library of ours hides."""
from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from tests.client import Client
from tests.node import Node, mount
from tests.processes import WITHIN_S

CURL = shutil.which("curl")
pytestmark = pytest.mark.skipif(CURL is None, reason="curl is not installed; where CI runs it is")
Curl: TypeAlias = Callable[..., "tuple[int, Any, str]"]


@pytest.fixture(scope="module")
def curl(node: Node) -> Curl:
    """Gives status, JSON or text, and what -v says."""
    mount(node.client(), "kv")
    mount(node.client(), "old", options={"version": "1"})

    def run(*words: str, path: str, stdin: bytes = b"", address: str = node.address) -> tuple[int, Any, str]:
        assert CURL is not None
        done = subprocess.run(
            [CURL, "--silent", "--verbose", "--cacert", str(node.ca), "--write-out", "\n%{http_code}", "--max-time", "20",
             "--header", f"X-Vault-Token: {node.root_token}", *words, f"{address}/v1/{path}"],
            input=stdin, capture_output=True, timeout=120, check=False)
        said = done.stderr.decode(errors="replace")
        assert done.returncode == 0, said
        body, _, status = done.stdout.decode().rpartition("\n")
        try:
            return int(status), json.loads(body), said
        except ValueError:
            return int(status), body, said

    return run


def test_writing_and_reading(curl: Curl) -> None:
    assert curl("--request", "POST", "--data", '{"data": {"a": "b"}}', path="kv/data/a")[0] == 200, "curl calls it a form; it is JSON"
    status, found, said = curl(path="kv/data/a")
    assert (status, found["data"]["data"]) == (200, {"a": "b"})
    assert "< HTTP/1.1 200 OK" in said
    assert "< Content-Type: application/json" in said
    assert "< Cache-Control: no-store" in said
    assert "< Strict-Transport-Security:" in said


def test_every_method(curl: Curl) -> None:
    assert curl("--request", "PUT", "--json", '{"a": "b"}', path="old/a")[0] == 204
    assert curl("--request", "LIST", path="old/")[1]["data"]["keys"] == ["a"]
    assert curl("--get", "--data-urlencode", "list=true", path="old/")[1]["data"]["keys"] == ["a"]
    curl("--json", '{"data": {"a": "1", "b": "2"}}', path="kv/data/p")
    patch = ("--request", "PATCH", "--header", "Content-Type: application/merge-patch+json", "--data", '{"data": {"b": null}}')
    assert curl(*patch, path="kv/data/p")[0] == 200
    assert curl(path="kv/data/p")[1]["data"]["data"] == {"a": "1"}
    assert curl("--request", "DELETE", path="old/a")[0] == 204
    assert curl(path="old/a")[:2] == (404, {"errors": []})
    assert curl("--request", "BREW", path="old/a")[0] == 405


def test_head(curl: Curl) -> None:
    status, body, said = curl("--head", path="sys/health")
    assert status == 200
    assert "HTTP/1.1 200 OK" in body
    assert "Connection: close" not in said


def test_forms(curl: Curl) -> None:
    assert curl("--data-urlencode", "user=m ä&b", "--data-urlencode", "pass=x=y", path="old/form")[0] == 204
    assert curl(path="old/form")[1]["data"] == {"user": "m ä&b", "pass": "x=y"}


def test_a_large_body_with_expect_and_one_in_chunks(curl: Curl, tmp_path: Path) -> None:
    text = "x" * 900_000
    file = tmp_path / "body.json"
    file.write_text(json.dumps({"a": text, "b": text}))
    status, _, said = curl("--request", "POST", "--header", "Expect: 100-continue", "--data-binary", f"@{file}", path="old/large")
    assert status == 204
    assert "< HTTP/1.1 100 Continue" in said
    assert curl(path="old/large")[1]["data"]["a"] == text
    chunked = ("--request", "POST", "--header", "Transfer-Encoding: chunked", "--header", "Content-Type: application/json", "--data-binary")
    assert curl(*chunked, "@-", path="old/chunked", stdin=b'{"a": "b"}')[0] == 204
    assert curl(path="old/chunked")[1]["data"] == {"a": "b"}


def test_one_connection_for_several_requests(curl: Curl, node: Node) -> None:
    more = [f"{node.address}/v1/sys/health", f"{node.address}/v1/sys/seal-status"]
    _, _, said = curl(*more, path="sys/health")
    assert said.count("Connected to 127.0.0.1") == 1
    assert said.lower().count("re-using existing") == 2


def test_tls_versions(curl: Curl, node: Node) -> None:
    assert curl("--tlsv1.3", path="sys/health")[0] == 200
    assert curl("--tlsv1.2", "--tls-max", "1.2", path="sys/health")[0] == 200
    assert CURL is not None
    old = subprocess.run([CURL, "--silent", "--cacert", str(node.ca), "--tls-max", "1.1", f"{node.address}/v1/sys/health"],
                         capture_output=True, timeout=120, check=False)
    assert old.returncode != 0
    stranger = subprocess.run([CURL, "--silent", "--cacert", "/dev/null", f"{node.address}/v1/sys/health"],
                              capture_output=True, timeout=120, check=False)
    assert stranger.returncode != 0


def test_the_unix_socket(curl: Curl, node: Node) -> None:
    status, found, _ = curl("--unix-socket", str(node.unix), path="sys/health", address="http://localhost")
    assert (status, found["sealed"]) == (200, False)


def test_the_log_as_it_is_written(node: Node, client: Client) -> None:
    """A stream shows its lines as they come; `--max-time` ends it."""
    assert CURL is not None
    with subprocess.Popen([CURL, "--silent", "--no-buffer", "--cacert", str(node.ca), "--header", f"X-Vault-Token: {node.root_token}",
                           f"{node.address}/v1/sys/monitor"], stdout=subprocess.PIPE) as following:
        assert following.stdout is not None
        os.set_blocking(following.stdout.fileno(), False)
        heard, deadline = b"", time.monotonic() + WITHIN_S
        while b"core.reloaded" not in heard and time.monotonic() < deadline:
            os.kill(node.pid, signal.SIGHUP)
            time.sleep(0.1)
            heard += following.stdout.read() or b""
        following.terminate()
    assert b"core.reloaded" in heard
    assert client.get("sys/health").status == 200
