"""The real program at a real terminal, against a server of canned answers on a free port."""
from __future__ import annotations

import http.server
import json
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

_SOURCE = str(Path(__file__).parents[3] / "src")


class _LookupSelf(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        token = self.headers["X-Vault-Token"]
        body = json.dumps({"data": {"id": token, "accessor": "acc", "policies": ["default"], "ttl": 60, "renewable": True}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _LookupSelf) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def _read_until(descriptor: int, end: bytes) -> bytes:
    """What a terminal shows, up to `end` or until the program has gone."""
    shown = b""
    while end not in shown:
        try:
            piece = os.read(descriptor, 4096)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    return shown


def test_a_token_typed_at_a_terminal_is_not_shown_and_then_used(address: str, tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": _SOURCE, "VAULT_ADDR": address, "HOME": str(tmp_path), "TERM": "xterm"}
    env.pop("VAULT_TOKEN", None)
    master, slave = pty.openpty()
    program = [sys.executable, "-m", "holdfast.cli", "login", "-no-print"]
    try:
        process = subprocess.Popen(program, env=env, stdin=slave, stdout=slave, stderr=slave)
        os.close(slave)
        shown = _read_until(master, b"Token (will be hidden): ")
        os.write(master, b"hvs.typed\n")
        shown += _read_until(master, b"never shown")
        assert process.wait(timeout=30) == 0
    finally:
        os.close(master)
    assert shown == b"Token (will be hidden): \r\n"
    assert (tmp_path / ".vault-token").read_text() == "hvs.typed"


def test_a_field_ends_in_a_line_break_only_at_a_terminal(address: str, tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": _SOURCE, "VAULT_ADDR": address, "VAULT_TOKEN": "hvs.t", "HOME": str(tmp_path), "TERM": "xterm"}
    env.pop("NO_COLOR", None)
    program = [sys.executable, "-m", "holdfast.cli", "read", "-field=id", "auth/token/lookup-self"]
    piped = subprocess.run(program, env=env, capture_output=True, check=True, timeout=30)
    assert (piped.stdout, piped.stderr) == (b"hvs.t", b"")
    master, slave = pty.openpty()
    try:
        process = subprocess.Popen(program, env=env, stdin=subprocess.DEVNULL, stdout=slave, stderr=slave)
        os.close(slave)
        shown = _read_until(master, b"\n")
        assert process.wait(timeout=30) == 0
    finally:
        os.close(master)
    assert shown == b"hvs.t\r\n"
