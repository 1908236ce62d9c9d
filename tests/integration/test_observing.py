"""What a node tells of itself through any of its processes: metrics summed over all of them, and its log as it is written."""
from __future__ import annotations

import json
import os
import signal
import socket

import pytest
from tests.client import Client
from tests.conftest import MakeNode
from tests.node import Node, new_token
from tests.processes import wait_until

COUNT = "vault_core_handle_request_count"


def _prometheus(client: Client) -> dict[str, float]:
    answer = client.get("sys/metrics?format=prometheus").ok()
    assert answer.header("content-type").startswith("text/plain")
    lines = [line.rsplit(" ", 1) for line in answer.body.decode().splitlines() if not line.startswith("#")]
    assert len({name for name, _ in lines}) == len(lines), "each series stands there once, however many processes have it"
    return {name: float(value) for name, value in lines}


def test_requests_are_counted_over_all_processes(make_node: MakeNode) -> None:
    node = make_node(workers=2).begin()
    before = _prometheus(node.main())[COUNT]
    clients = [node.client() for _ in range(8)]
    for client in (*clients, node.main()):
        for _ in range(5):
            client.get("sys/mounts").ok()
    assert _prometheus(node.main())[COUNT] == before + 9 * 5 + 1, "and the question before this one"
    assert _prometheus(clients[0])[COUNT] == _prometheus(node.main())[COUNT] - 1
    os.kill(node.worker_pids()[0], signal.SIGKILL)
    wait_until(lambda: node.log_text.count("worker.started") == 3, "another worker")
    assert _prometheus(node.main())[COUNT] >= before + 9 * 5 + 3, "what an ended worker has counted still counts"


def test_metrics_in_json(node: Node, client: Client) -> None:
    for where in (client, node.main()):
        client.get("sys/mounts").ok()
        found = where.get("sys/metrics").ok().json
        gauges = {gauge["Name"]: gauge["Value"] for gauge in found["Gauges"]}
        assert gauges[f"vault.{socket.gethostname()}.core.unsealed"] == 1
        assert {"Timestamp", "Gauges", "Counters", "Samples", "Points"} <= found.keys()


@pytest.mark.parametrize(("accept", "format", "is_text"), [
    ("application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", "", True),
    ("prometheus/telemetry", "", True), ("*/*", "", False), ("text/plain, application/openmetrics-text", "", False),
    ("application/openmetrics-text", "json", False), ("application/json", "prometheus", True),
])
def test_what_accept_asks_for(client: Client, accept: str, format: str, is_text: bool) -> None:
    answer = client.get(f"sys/metrics?format={format}", headers={"Accept": accept}).ok()
    assert answer.header("content-type").startswith("text/plain" if is_text else "application/json")


def test_metrics_ask_for_a_token(node: Node, client: Client) -> None:
    for where in (client, node.main()):
        assert where.get("sys/metrics", token="").status == 403
        assert where.get("sys/metrics", token=new_token(client, "default")).status == 403
        assert where.get("sys/metrics?format=yaml").status == 400


def test_metrics_without_a_token_where_the_listener_says_so(make_node: MakeNode) -> None:
    node = make_node(listener="telemetry {\n unauthenticated_metrics_access = true\n }").begin()
    assert node.client("").get("sys/metrics").status == 200
    assert node.main("").get("sys/metrics").status == 403


def _follow(node: Node, client: Client, query: str) -> None:
    client.send(f"GET /v1/sys/monitor{query} HTTP/1.1\r\nHost: a\r\nX-Vault-Token: {node.root_token}\r\n\r\n".encode())


def test_the_log_as_a_stream_through_a_worker_and_from_main(node: Node) -> None:
    for client in (node.client(), node.main()):
        _follow(node, client, "?log_level=debug")
        head, lines = client.stream()
        assert head.status == 200
        os.kill(node.pid, signal.SIGHUP)
        heard = b""
        while b"core.reloaded" not in heard:
            chunk = lines()
            assert chunk
            heard += chunk
        assert b"[INFO]" in heard
        client.close()                               # the client goes away in the middle: nothing of it stays


def test_what_workers_say_is_in_the_stream(make_node: MakeNode) -> None:
    """Also of a worker that comes later; and nobody is told when nobody listens."""
    node = make_node(workers=1, more='log_requests_level = "debug"').begin()
    main, client = node.main(), node.client()
    _follow(node, main, "?log_level=debug")
    _, lines = main.stream()

    def hears(path: str) -> bool:
        client.get("sys/seal-status").ok()               # of main, which has told its workers before: they hear all in order
        client.get(f"sys/policies/acl/{path}")
        heard = b""
        while f"acl/{path} ".encode() not in heard:
            chunk = lines()
            assert chunk
            heard += chunk
        return True

    assert hears("first")
    os.kill(node.worker_pids()[0], signal.SIGKILL)
    wait_until(lambda: node.log_text.count("worker.started") == 2, "another worker")
    client = node.client()
    assert hears("second")
    main.close()
    assert "completed_request" not in node.log_text, "the log itself is at another level"


def test_handshakes_that_fail_are_logged(node: Node) -> None:
    with socket.create_connection(("127.0.0.1", node.port), timeout=30) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
        sock.recv(1000)
        port = sock.getsockname()[1]
    wait_until(lambda: f"http.handshake_failed: client_address=127.0.0.1:{port} why=" in node.log_text, "who, and why")


def test_the_log_as_json(node: Node, client: Client) -> None:
    _follow(node, client, "?log_format=json")
    _, lines = client.stream()
    os.kill(node.pid, signal.SIGHUP)
    assert lines().startswith(b"{")


def test_many_followers_that_leave_cost_nothing(node: Node) -> None:
    """Peer bug 40's kind: what a client leaves behind must not stay in main."""
    for _ in range(20):
        client = node.client()
        _follow(node, client, "")
        client.stream()
        client.close()
    os.kill(node.pid, signal.SIGHUP)
    files = len(os.listdir(f"/proc/{node.pid}/fd"))
    for _ in range(20):
        client = node.client()
        _follow(node, client, "")
        client.stream()
        client.close()
    os.kill(node.pid, signal.SIGHUP)
    wait_until(lambda: len(os.listdir(f"/proc/{node.pid}/fd")) <= files + 2, "no more files open than before")
    assert node.main().get("sys/health").status == 200


def test_the_stream_as_it_is_asked_for(make_node: MakeNode) -> None:
    """A level in any case, or none, is one, and a log that is JSON is a stream of JSON, as in Vault."""
    node = make_node(more='log_format = "json"').begin()
    for query in ("?log_level=INFO", "?log_level=&log_format=Standard"):
        client = node.client()
        _follow(node, client, query)
        head, lines = client.stream()
        assert head.status == 200
        os.kill(node.pid, signal.SIGHUP)
        assert json.loads(lines())["@level"] == "info"


def test_the_stream_is_for_operators(node: Node, client: Client) -> None:
    assert client.get("sys/monitor", token="").status == 403
    assert client.get("sys/monitor", token=new_token(client, "default")).status == 403
    for query in ("?log_level=loud", "?log_format=xml"):
        refused = client.get(f"sys/monitor{query}")
        assert refused.status == 400
        assert refused.errors[0]
