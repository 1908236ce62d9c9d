"""Bytes that two readers could read in two ways, sent to a real node: refused, and nothing behind them on that connection is ever read.

The request that an attacker would smuggle writes a secret; that it is not there afterwards is what counts, whatever was answered. The
connection is an old one, as a proxy's is: requests before it were answered well.
"""
from __future__ import annotations

import socket

import pytest
from tests.client import Client
from tests.node import Node, mount

GET = "GET /v1/sys/seal-status HTTP/1.1\r\nHost: a\r\n"
BAD_HEADS = {
    "length and chunks": "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "two lengths": "Content-Length: 0\r\nContent-Length: 100\r\n\r\n",
    "two equal lengths": "Content-Length: 0\r\nContent-Length: 0\r\n\r\n",
    "a list of lengths": "Content-Length: 0, 0\r\n\r\n",
    "a length with a sign": "Content-Length: +0\r\n\r\n",
    "a length below zero": "Content-Length: -1\r\n\r\n",
    "a length in hex": "Content-Length: 0x0\r\n\r\n",
    "a length with a space inside": "Content-Length: 0 0\r\n\r\n",
    "a length without digits": "Content-Length: \r\n\r\n",
    "a length beyond 64 bits": "Content-Length: 18446744073709551616\r\n\r\n",
    "a space before the colon": "Content-Length : 0\r\n\r\n",
    "a tab before the colon": "Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n",
    "a space before the name": " Content-Length: 0\r\n\r\n",
    "a folded line": "X-Folded: a\r\n b\r\n\r\n",
    "a name with a control character": "X-\x01: a\r\n\r\n",
    "a value with NUL": "X-A: a\x00b\r\n\r\n",
    "a value with a carriage return": "X-A: a\rb\r\n\r\n",
    "no colon": "Nonsense\r\n\r\n",
    "no name": ": a\r\n\r\n",
    "bare line feeds": "X-A: a\n\r\n",
    "a bare line feed at the end": "X-A: a\r\n\n",
    "an encoding that there is not": "Transfer-Encoding: identity\r\n\r\n",
    "an encoding in disguise": "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunks that are not the last encoding": "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "chunks twice": "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks in a list": "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "chunks with a vertical tab": "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "two hosts": "Host: b\r\n\r\n",
}
BAD_CHUNKS = {
    "a size with a sign": "+3\r\nabc\r\n0\r\n\r\n",
    "a size with a prefix": "0x3\r\nabc\r\n0\r\n\r\n",
    "a size below zero": "-1\r\nabc\r\n0\r\n\r\n",
    "a size with a space before it": " 3\r\nabc\r\n0\r\n\r\n",
    "a size beyond 64 bits": "10000000000000003\r\nabc\r\n0\r\n\r\n",
    "no size": "\r\nabc\r\n0\r\n\r\n",
    "a size that ends in a line feed": "3\nabc\r\n0\r\n\r\n",
    "a chunk longer than its size": "3\r\nabcd\r\n0\r\n\r\n",
    "a chunk that ends in a line feed": "3\r\nabc\n0\r\n\r\n",
    "an extension with a line feed": "3;a=\nb\r\nabc\r\n0\r\n\r\n",
    "a trailer without a colon": "3\r\nabc\r\n0\r\nGET /v1/kv HTTP/1.1\r\n\r\n",
    "a trailer that ends in a line feed": "3\r\nabc\r\n0\r\nX-A: b\n\r\n",
}
BAD_LINES = {
    "no version": "GET /v1/sys/seal-status\r\nHost: a\r\n\r\n",
    "an unknown version": "GET /v1/sys/seal-status HTTP/2.0\r\nHost: a\r\n\r\n",
    "a version in small letters": "GET /v1/sys/seal-status http/1.1\r\nHost: a\r\n\r\n",
    "two spaces": "GET  /v1/sys/seal-status HTTP/1.1\r\nHost: a\r\n\r\n",
    "a tab": "GET\t/v1/sys/seal-status HTTP/1.1\r\nHost: a\r\n\r\n",
    "a space at the end": "GET /v1/sys/seal-status HTTP/1.1 \r\nHost: a\r\n\r\n",
    "a line feed alone": "GET /v1/sys/seal-status HTTP/1.1\nHost: a\r\n\r\n",
    "a space in the path": "GET /v1/sys/ seal-status HTTP/1.1\r\nHost: a\r\n\r\n",
    "a method with a colon": "GE:T /v1/sys/seal-status HTTP/1.1\r\nHost: a\r\n\r\n",
}


def _post(world: Node, name: str, more: str) -> str:
    """A write of kv/<name> by root, from its next header on."""
    return f"POST /v1/kv/{name} HTTP/1.1\r\nHost: a\r\nX-Vault-Token: {world.root_token}\r\n{more}"


def _hidden(world: Node) -> str:
    return _post(world, "smuggled", 'Content-Length: 9\r\n\r\n{"a":"b"}')


def _nothing_was_smuggled(world: Node) -> None:
    found = world.main().get("kv/smuggled").status
    world.main().delete("kv/smuggled").ok()          # so that one hole is one failure
    assert found == 404


@pytest.fixture(scope="module")
def world(node: Node) -> Node:
    mount(node.client(), "kv", options={"version": "1"})
    return node


@pytest.fixture(params=["worker", "main"])
def old(world: Node, request: pytest.FixtureRequest) -> Client:
    """A connection that was used before."""
    client = world.client() if request.param == "worker" else world.main()
    client.get("sys/seal-status", token="").ok()
    return client


def _refused(world: Node, client: Client, bytes_: str) -> None:
    client.send((bytes_ + _hidden(world)).encode("latin-1"))
    answer = client.receive()
    assert answer.status == 400, answer
    assert answer.errors[0]
    assert client.is_ended, "nothing else is answered on this connection"
    _nothing_was_smuggled(world)


@pytest.mark.parametrize("head", BAD_HEADS.values(), ids=BAD_HEADS.keys())
def test_a_head_that_can_be_read_in_two_ways(world: Node, old: Client, head: str) -> None:
    _refused(world, old, GET + head)


@pytest.mark.parametrize("line", BAD_LINES.values(), ids=BAD_LINES.keys())
def test_a_request_line_that_is_none(world: Node, old: Client, line: str) -> None:
    _refused(world, old, line)


@pytest.mark.parametrize("chunks", BAD_CHUNKS.values(), ids=BAD_CHUNKS.keys())
def test_chunks_that_can_be_read_in_two_ways(world: Node, old: Client, chunks: str) -> None:
    _refused(world, old, _post(world, "visible", "Transfer-Encoding: chunked\r\n\r\n") + chunks)
    assert world.main().get("kv/visible").status == 404


def test_a_head_beyond_all_bounds(world: Node, old: Client) -> None:
    old.send((GET + "X-A: " + "a" * 2_000_000).encode())
    assert old.receive().status == 400
    assert old.is_ended


def test_the_rest_of_a_refused_body_is_no_request(world: Node, old: Client) -> None:
    """A body too long is refused at its head; what the client goes on to send is not looked at."""
    old.send((_post(world, "large", "Content-Length: 33554433\r\n\r\n") + _hidden(world)).encode())
    assert old.receive().status == 413
    assert old.is_ended
    _nothing_was_smuggled(world)


def test_a_body_is_never_taken_for_a_request(world: Node, old: Client) -> None:
    hidden = _hidden(world)
    for head in (f"Content-Length: {len(hidden)}\r\n\r\n{hidden}",
                 f"Transfer-Encoding: chunked\r\n\r\n{len(hidden):x}\r\n{hidden}\r\n0\r\n\r\n"):
        old.send((GET + head + GET + "\r\n").encode())
        assert old.receive().status == 200
        assert old.receive().status == 200
        _nothing_was_smuggled(world)


def test_one_clients_token_is_not_the_next_ones(world: Node, old: Client) -> None:
    old.send((f"GET /v1/sys/mounts HTTP/1.1\r\nHost: a\r\nX-Vault-Token: {world.root_token}\r\n\r\n"
              "GET /v1/sys/mounts HTTP/1.1\r\nHost: a\r\n\r\n").encode())
    assert [old.receive().status, old.receive().status] == [200, 403]


def test_requests_one_behind_the_other_are_answered_in_order(world: Node, old: Client) -> None:
    """Reads that are answered at once, writes that main has to do, in one packet."""
    packet = "".join(
        _post(world, "piped", f"Content-Length: {len(body)}\r\n\r\n{body}")
        + f"GET /v1/kv/piped HTTP/1.1\r\nHost: a\r\nX-Vault-Token: {world.root_token}\r\n\r\n"
        for body in (f'{{"turn":{turn}}}' for turn in range(30)))
    old.send(packet.encode())
    for turn in range(30):
        assert old.receive().status == 204
        assert old.receive().data == {"turn": turn}


def test_a_client_that_waits_for_100_gets_it(world: Node, old: Client) -> None:
    old.send(_post(world, "later", "Content-Length: 9\r\nExpect: 100-continue\r\n\r\n").encode())
    assert old._line(b"\r\n\r\n") == b"HTTP/1.1 100 Continue"
    old.send(b'{"a":"b"}')
    assert old.receive().status == 204


def test_old_clients(world: Node, old: Client) -> None:
    """HTTP/1.0: answered, and the connection ends unless it was asked to stay."""
    old.send(b"GET /v1/sys/seal-status HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert old.receive().status == 200
    old.send(b"GET /v1/sys/seal-status HTTP/1.0\r\n\r\n")
    assert old.receive().status == 200
    assert old.is_ended


def test_plain_http_on_the_port_for_tls_is_told_so(world: Node) -> None:
    with socket.create_connection(("127.0.0.1", world.port), timeout=30) as sock:
        sock.sendall(b"GET /v1/sys/seal-status HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = b"".join(iter(lambda: sock.recv(4096), b""))
    assert b"Client sent an HTTP request to an HTTPS server." in answer
