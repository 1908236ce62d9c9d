"""What a listener's stanza says, seen from outside: each setting in a real node's configuration, and what it changes for a client."""
from __future__ import annotations

import json
import shutil
import socket
import ssl
import time
from pathlib import Path
from typing import Any

import pytest
from tests.client import Client, Closed
from tests.conftest import MakeNode
from tests.node import Node, mount
from tests.processes import wait_until

from holdfast.node.dev import DEV_CA, DEV_CERT, DEV_KEY, write_dev_certificate

SLOW_S = 15.0                                            # ten times a timeout of one second and the clock's half: the machine may be busy


def _drips(node: Node) -> float:
    """Bytes of a head that never ends; how long the server takes them."""
    began = time.monotonic()
    with node.connect() as sock:
        sock.sendall(b"GET /v1/sys/health HTTP/1.1\r\n")
        sock.settimeout(0.2)                         # so slow is a client of this kind
        while time.monotonic() - began < 2 * SLOW_S:
            try:
                sock.sendall(b"X")
                sock.recv(1)
                break
            except TimeoutError:
                continue
            except OSError:
                break
    return time.monotonic() - began


def _ends(client: Client) -> float:
    """How long the server waits before it ends the connection."""
    began = time.monotonic()
    assert client.is_ended
    return time.monotonic() - began


def test_a_client_that_does_not_go_on_is_not_waited_for(make_node: MakeNode) -> None:
    node = make_node(listener='http_read_header_timeout = "1s"\n  http_read_timeout = "1s"\n  http_idle_timeout = "1s"').begin()
    client = node.client()
    client.send(b"GET /v1/sys/health HT")                           # half a head
    assert client.receive().status == 408
    client.send(b"POST /v1/sys/unseal HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf")
    refused = client.receive()
    assert (refused.status, refused.header("connection")) == (408, "close")
    client.get("sys/health").ok()
    assert _ends(client) < SLOW_S, "an idle connection is ended"
    with socket.create_connection(("127.0.0.1", node.port), timeout=2 * SLOW_S) as silent:       # not even a handshake
        began = time.monotonic()
        assert silent.recv(1) == b""
        assert time.monotonic() - began < SLOW_S
    assert _drips(node) < SLOW_S, "a byte now and then does not help"


def test_a_request_that_takes_too_long_is_answered(make_node: MakeNode) -> None:
    node = make_node(contract=True, listener='max_request_duration = "1s"').begin()
    client = node.client()
    mount(client, "con", "contract")
    client.post("con/world", {"folder": str(node.folder)}).ok()
    began = time.monotonic()
    refused = client.get("con/creds/slow?create=hang&within_ms=60000")
    assert refused.status == 503
    assert "max_request_duration is 1 s" in refused.errors[0]
    assert time.monotonic() - began < SLOW_S
    (node.folder / "release").touch()
    assert client.get("sys/health").status == 200


def test_limits_of_bodies(make_node: MakeNode) -> None:
    node = make_node(listener="max_request_size = 2000\n  max_json_depth = 5\n  max_json_string_value_length = 100\n"
                              "  max_json_object_entry_count = 4\n  max_json_array_element_count = 3").begin()
    client = node.client()
    mount(client, "kv", options={"version": "1"})
    refused = client.post("kv/a", {"a": "x" * 3_000})
    assert (refused.status, "2000" in refused.errors[0]) == (413, True)
    bodies: tuple[tuple[dict[str, Any], str], ...] = (
        ({"a": {"a": {"a": {"a": {"a": {"a": 1}}}}}}, "5"), ({"a": "x" * 101}, "100"),
        ({str(n): 1 for n in range(5)}, "4"), ({"a": [1] * 4}, "3"))
    for body, limit in bodies:
        refused = client.post("kv/a", body)
        assert (refused.status, limit in refused.errors[0]) == (400, True), refused
    client.post("kv/a", {"a": ["x" * 100] * 3, "b": {"c": {"d": 1}}}).ok()


def test_the_header_that_a_browser_does_not_send(make_node: MakeNode) -> None:
    node = make_node(listener="require_request_header = true")
    node.launch()
    wait_until(lambda: "server started" in node.log_text, "it has started")
    client = node.client("")
    wait_until(lambda: client.get("sys/health").status == 412, "refused without the header")
    assert "X-Vault-Request" in client.get("sys/health").errors[0]
    assert client.get("sys/health", headers={"X-Vault-Request": "true"}).status == 501


def test_headers_of_answers(make_node: MakeNode) -> None:
    custom = 'custom_response_headers {\n "default" = { "X-Mine" = ["always"] }\n "4xx" = { "X-Mine" = ["refused"] }\n }'
    node = make_node(listener=custom, more="enable_response_header_hostname = true").begin()
    client = node.client()
    good, bad = client.get("sys/health"), client.get("none/at/all")
    assert (good.header("x-mine"), bad.header("x-mine")) == ("always", "refused")
    assert good.header("x-vault-hostname") == socket.gethostname()
    assert good.header("strict-transport-security")


def test_versions_of_tls(make_node: MakeNode) -> None:
    node = make_node(listener='tls_min_version = "tls13"').begin()
    assert node.client().get("sys/health").status == 200
    old = ssl.create_default_context(cafile=str(node.ca))
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with socket.create_connection(("127.0.0.1", node.port), timeout=30) as sock, pytest.raises(ssl.SSLError):
        old.wrap_socket(sock, server_hostname="localhost")


def test_client_certificates(make_node: MakeNode, tmp_path: Path) -> None:
    """Verified by an authority of their own: without one nobody comes in, and with another's neither."""
    ours, others = tmp_path / "ours", tmp_path / "others"
    for folder in (ours, others):
        folder.mkdir()
        write_dev_certificate(folder, ())
    node = make_node(listener=f'tls_client_ca_file = "{ours / DEV_CA}"\n  tls_require_and_verify_client_cert = true')
    node.tls.load_cert_chain(ours / DEV_CERT, ours / DEV_KEY)
    node.begin()
    assert node.client().get("sys/health").status == 200
    nobodys, strangers = ssl.create_default_context(cafile=str(node.ca)), ssl.create_default_context(cafile=str(node.ca))
    strangers.load_cert_chain(others / DEV_CERT, others / DEV_KEY)
    for context in (nobodys, strangers):
        assert not _is_served(node, context)


def _is_served(node: Node, context: ssl.SSLContext) -> bool:
    """With TLS 1.3 a client learns only after its handshake that it was refused."""
    with socket.create_connection(("127.0.0.1", node.port), timeout=30) as sock:
        try:
            with context.wrap_socket(sock, server_hostname="localhost") as tls:
                tls.sendall(b"GET /v1/sys/health HTTP/1.1\r\nHost: a\r\n\r\n")
                return tls.recv(12) == b"HTTP/1.1 200"
        except OSError:
            return False


def _addresses(file: Path, path: str) -> list[str]:
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    return [line["request"]["remote_address"] for line in lines if line["request"].get("path") == path and line["type"] == "request"]


def test_whom_a_proxy_speaks_for(make_node: MakeNode) -> None:
    node = make_node(listener='x_forwarded_for_authorized_addrs = "127.0.0.1"\n  x_forwarded_for_reject_not_present = false').begin()
    client, file = node.client(), node.folder / "audit.log"
    client.post("sys/audit/file", {"type": "file", "options": {"file_path": str(file)}}).ok()
    client.get("sys/policies/acl/one", headers={"X-Forwarded-For": "192.0.2.7"})
    client.get("sys/policies/acl/two")
    client.post("sys/policies/acl/three", {"policy": "# none"}, headers={"X-Forwarded-For": "198.51.100.1, 192.0.2.8"})
    assert _addresses(file, "sys/policies/acl/one") == ["192.0.2.7"]
    assert _addresses(file, "sys/policies/acl/two") == ["127.0.0.1"]
    assert _addresses(file, "sys/policies/acl/three") == ["192.0.2.8"], "the last hop, also of what main has answered"
    refused = client.get("sys/policies/acl/one", headers={"X-Forwarded-For": "no address"})
    assert refused.status == 400


def test_a_strangers_word_is_not_believed(node: Node, client: Client) -> None:
    file = node.folder / "stranger.log"
    client.post("sys/audit/stranger", {"type": "file", "options": {"file_path": str(file)}}).ok()
    client.get("sys/policies/acl/one", headers={"X-Forwarded-For": "192.0.2.7"})
    assert _addresses(file, "sys/policies/acl/one") == ["127.0.0.1"]
    client.delete("sys/audit/stranger").ok()


def test_the_proxy_protocol(make_node: MakeNode) -> None:
    node = make_node(listener='proxy_protocol_behavior = "use_always"')
    node.start_behind(b"PROXY TCP4 192.0.2.9 127.0.0.1 4711 8200\r\n")
    node.initialise()
    client, file = node.client(), node.folder / "audit.log"
    client.post("sys/audit/file", {"type": "file", "options": {"file_path": str(file)}}).ok()
    client.get("sys/policies/acl/one")
    assert _addresses(file, "sys/policies/acl/one") == ["192.0.2.9"]


def test_tokens_bound_to_addresses(make_node: MakeNode) -> None:
    """The address that counts is the client's, as the proxy tells it, in main as in a worker."""
    node = make_node(listener='x_forwarded_for_authorized_addrs = "127.0.0.1"\n  x_forwarded_for_reject_not_present = false').begin()
    client = node.client()
    mount(client, "kv", options={"version": "1"})
    client.post("auth/token/roles/near", {"token_bound_cidrs": ["192.0.2.0/24"], "orphan": True}).ok()
    mine = client.as_token(client.post("auth/token/create/near", {"policies": ["default"]}).ok().auth["client_token"])
    for method, path in (("GET", "auth/token/lookup-self"), ("POST", "auth/token/renew-self")):
        assert mine.ask(method, path, headers={"X-Forwarded-For": "192.0.2.7"}).status == 200
        assert mine.ask(method, path, headers={"X-Forwarded-For": "198.51.100.7"}).status == 403
        assert mine.ask(method, path).status == 403
    mine.close()


def test_what_is_redacted(make_node: MakeNode) -> None:
    node = make_node(listener="redact_version = true\n  redact_addresses = true\n  redact_cluster_name = true").begin()
    for answer in (node.client("").get("sys/seal-status"), node.client("").get("sys/health")):
        assert answer.json["version"] == ""
        assert not answer.json.get("cluster_name")
    assert node.client("").get("sys/leader").json["leader_address"] == ""
    assert node.client().get("sys/health").json["version"], "a valid token lifts it"


def test_what_is_said_of_replication(make_node: MakeNode) -> None:
    node = make_node(listener="disable_replication_status_endpoints = true").begin()
    assert node.client("").get("sys/replication/status").status == 404
    assert node.main("").get("sys/replication/status").ok().data == {"mode": "disabled"}


def test_without_tls(make_node: MakeNode) -> None:
    node = make_node()
    text = node.config.read_text()
    lines = [line for line in text.splitlines() if "tls_" not in line]
    node.config.write_text("\n".join(lines).replace(f'address       = "127.0.0.1:{node.port}"',
                                                    f'address = "127.0.0.1:{node.port}"\n  tls_disable = true'))
    node.launch()

    def connect() -> socket.socket:
        return socket.create_connection(("127.0.0.1", node.port), timeout=30)

    client = Client(connect)
    try:
        wait_until(lambda: _answers(client), "it answers")
        assert client.get("sys/health").status == 501
    finally:
        client.close()


def _answers(client: Client) -> bool:
    try:
        return client.get("sys/seal-status").status == 200
    except (OSError, Closed):
        return False


def test_the_programs_files_may_move(make_node: MakeNode) -> None:
    """Certificates are read at the start, and again on SIGHUP alone: their folder may be away meanwhile."""
    node = make_node().begin()
    shutil.move(node.certificate, node.folder / "away.pem")
    for _ in range(4):
        assert node.client().get("sys/health").status == 200
