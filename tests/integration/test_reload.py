"""SIGHUP: certificates, the log's level, audit files. What does not fit is reported, and what was there stays."""
from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import ssl
from pathlib import Path

from tests.client import Client
from tests.conftest import MakeNode
from tests.node import Node
from tests.processes import wait_until

from holdfast.node.dev import DEV_CERT, DEV_KEY, write_dev_certificate


def _hang_up(node: Node, says: str) -> None:
    """SIGHUP, until the log says what came of it once more."""
    before = node.log_text.count(says)
    os.kill(node.pid, signal.SIGHUP)
    wait_until(lambda: node.log_text.count(says) > before, says)


def _shown(node: Node) -> bytes:
    """The certificate that new connections get. Which authority has signed it, does not matter here."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    node.tls = context
    with node.connect() as sock:
        shown = sock.getpeercert(binary_form=True)
    assert shown is not None
    return shown


def _der(path: Path) -> bytes:
    return ssl.PEM_cert_to_DER_cert(path.read_text())


def _another_pair(node: Node) -> Path:
    folder = node.folder / "another"
    folder.mkdir()
    write_dev_certificate(folder, ())
    return folder


def test_certificates_are_swapped_and_open_connections_stay(make_node: MakeNode) -> None:
    node = make_node(workers=2).begin()
    client = node.client()
    client.get("sys/health").ok()
    first = _der(node.certificate)
    assert _shown(node) == first
    another = _another_pair(node)
    for name in (DEV_CERT, DEV_KEY):
        shutil.copy(another / name, node.folder / name)
    _hang_up(node, "core.reloaded")
    second = _der(another / DEV_CERT)
    wait_until(lambda: {_shown(node) for _ in range(16)} == {second}, "every worker shows the new certificate")
    assert second != first
    assert client.get("sys/health").status == 200, "the connection from before goes on"


def test_a_certificate_that_does_not_fit_its_key_is_refused(make_node: MakeNode) -> None:
    node = make_node(workers=1).begin()
    first = _der(node.certificate)
    another = _another_pair(node)
    shutil.copy(another / DEV_CERT, node.certificate)        # its key is not there yet
    _hang_up(node, "core.reload_failed")
    assert {_shown(node) for _ in range(8)} == {first}
    assert "PRIVATE" not in node.log_text
    os.kill(node.worker_pids()[0], signal.SIGKILL)
    wait_until(lambda: node.log_text.count("worker.started") == 2, "another worker")
    assert _shown(node) == first, "also a worker that starts now has what was there"
    node.certificate.write_text("no certificate at all")
    _hang_up(node, "core.reload_failed")
    shutil.copy(another / DEV_CERT, node.certificate)
    shutil.copy(another / DEV_KEY, node.key)
    _hang_up(node, "core.reloaded")
    wait_until(lambda: _shown(node) == _der(another / DEV_CERT), "the new pair")


def test_a_node_whose_certificate_does_not_fit_its_key_does_not_start(make_node: MakeNode) -> None:
    node = make_node(workers=1)
    shutil.copy(_another_pair(node) / DEV_CERT, node.certificate)
    node.launch()
    assert node.wait_ended() == 1
    assert f"Error: listener 127.0.0.1:{node.port}: " in node.log_text
    assert "Traceback" not in node.log_text


def test_a_certificate_that_cannot_be_read_stops_nothing(make_node: MakeNode) -> None:
    node = make_node(workers=1).begin()
    node.key.rename(node.folder / "elsewhere")
    _hang_up(node, "core.reload_failed")
    assert node.client().get("sys/health").status == 200


def test_the_logs_level_changes_in_every_process(make_node: MakeNode) -> None:
    node = make_node(workers=1).begin()
    node.more = 'log_level = "error"'
    node.write_config()
    os.kill(node.pid, signal.SIGHUP)
    client = node.client()
    client.send(b"GET /v1/sys/monitor?log_level=info HTTP/1.1\r\nHost: a\r\nX-Vault-Token: " + node.root_token.encode() + b"\r\n\r\n")
    _, lines = client.stream()
    os.kill(node.pid, signal.SIGHUP)                         # said at level info: heard in the stream, and not written
    assert b"core.reloaded" in lines()
    assert "core.reloaded" not in node.log_text.splitlines()[-1]
    node.more = 'log_level = "info"'
    node.write_config()
    _hang_up(node, "core.reloaded")


def test_headers_of_answers_change_in_every_process(make_node: MakeNode) -> None:
    custom = 'custom_response_headers {{\n "default" = {{ "X-Mine" = ["{}"] }}\n }}'
    node = make_node(workers=1, listener=custom.format("first")).begin()
    client = node.client()
    assert client.get("sys/health").header("x-mine") == "first"
    node.listener = custom.format("second")
    node.write_config()
    _hang_up(node, "core.reloaded")
    wait_until(lambda: client.get("sys/health").header("x-mine") == "second", "a connection of before shows it, too")
    os.kill(node.worker_pids()[0], signal.SIGKILL)
    wait_until(lambda: node.log_text.count("worker.started") == 2, "another worker")
    assert node.client().get("sys/health").header("x-mine") == "second"


def test_a_session_of_before_is_not_taken_up_again(make_node: MakeNode) -> None:
    """Who was let in by a certificate, or an authority, that counts no more begins anew; so does everybody else."""
    node = make_node(workers=1).begin()
    context = ssl.create_default_context(cafile=str(node.ca))
    context.maximum_version = ssl.TLSVersion.TLSv1_2             # its session is there at the end of the handshake

    def connect(session: ssl.SSLSession | None) -> ssl.SSLSocket:
        sock = socket.create_connection(("127.0.0.1", node.port), timeout=30)
        return context.wrap_socket(sock, server_hostname="localhost", session=session)

    with connect(None) as first:
        session = first.session
    with connect(session) as second:
        assert second.session_reused
    _hang_up(node, "core.reloaded")

    def is_fresh() -> bool:
        with connect(session) as third:
            return not third.session_reused

    wait_until(is_fresh, "the ticket is under a key that is no more")


def _completed(node: Node) -> list[str]:
    return [line for line in node.log_text.splitlines() if "core: completed_request:" in line]


def test_requests_are_logged_where_asked_for(make_node: MakeNode) -> None:
    node = make_node(workers=1, more='log_requests_level = "info"').begin()
    client, main = node.client(), node.main()
    for where in (client, main):
        where.get("sys/policies/acl/none")
    wait_until(lambda: sum("request_path=/v1/sys/policies/acl/none" in line for line in _completed(node)) == 2, "a line for each")
    line = next(line for line in _completed(node) if "acl/none" in line)
    assert "[INFO]" in line
    for field in ("status_code=404", "request_method=GET", "client_address=", "start_time=", "duration="):
        assert field in line
    node.more = 'log_requests_level = "off"'
    node.write_config()
    _hang_up(node, "core.reloaded")
    wait_until(lambda: _is_quiet(node, client), "a worker, too, logs no more")


def _is_quiet(node: Node, client: Client) -> bool:
    before = len(_completed(node))
    client.get("sys/health")
    client.get("sys/seal-status")                                # main has answered it: what was said before is written
    return len(_completed(node)) == before


def test_a_configuration_that_cannot_be_read_changes_nothing(make_node: MakeNode) -> None:
    node = make_node(workers=1).begin()
    good = node.config.read_text()
    node.config.write_text("listener {{{")
    _hang_up(node, "core.reload_failed")
    assert node.client().get("sys/health").status == 200
    node.config.write_text(good)
    _hang_up(node, "core.reloaded")


def test_audit_files_are_opened_anew_in_every_process(make_node: MakeNode) -> None:
    node = make_node(workers=1).begin()
    file, old = node.folder / "audit.log", node.folder / "audit.log.1"
    client, main = node.client(), node.main()
    client.post("sys/audit/file", {"type": "file", "options": {"file_path": str(file)}}).ok()
    client.get("sys/mounts").ok()
    main.get("sys/auth").ok()
    file.rename(old)
    client.get("sys/mounts").ok()
    assert not file.exists(), "until it is told, each process writes on where it was"
    _hang_up(node, "core.reloaded")
    before = old.read_bytes()

    def both_write_to_the_new_one() -> bool:
        for where, path in ((client, "sys/policies/acl/none"), (main, "sys/policies/acl/nothing")):
            where.get(path)
        return file.exists() and {"sys/policies/acl/none", "sys/policies/acl/nothing"} <= {
            json.loads(line)["request"]["path"] for line in file.read_text().splitlines()}

    wait_until(both_write_to_the_new_one, "lines of both processes in the new file")
    after = old.read_bytes()
    client.get("sys/mounts").ok()
    main.get("sys/mounts").ok()
    assert old.read_bytes() == after, "and nobody writes to the old one any more"
    assert after.startswith(before)


def test_a_node_whose_port_was_given_to_it_can_be_reloaded(make_node: MakeNode) -> None:
    """A listener on port 0 answers at another address than its stanza says."""
    node = make_node(workers=0)
    node.config.write_text(node.config.read_text().replace(f":{node.port}\"", ":0\"", 1))
    node.launch()
    wait_until(lambda: "server started" in node.log_text, "it has started")
    _hang_up(node, "core.reloaded")
    assert node.main("").get("sys/health").status == 501
