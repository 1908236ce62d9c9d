"""Whoever is no member gets nothing out of the cluster port, and disturbs nobody: garbage, other certificates, half a handshake."""
from __future__ import annotations

import contextlib
import os
import socket
import ssl
import time
from pathlib import Path

import pytest
from tests.authority import Authority
from tests.cluster_nodes import CALM, Cluster, Member
from tests.processes import memory_bytes, wait_until

ALPN = ["raft_storage_v1", "perf_standby_v1", "req_fw_sb-act_v1"]
CROWD = 300
COST_MAX_BYTES = 32 << 20
ENDS_WITHIN_S = 120.0
SERVED_WITHIN_S = 10.0                                   # a crowd is put up with for longer than this
CLUSTER = CALM


def dial(member: Member) -> socket.socket:
    return socket.create_connection((member.host, member.cluster_port), timeout=ENDS_WITHIN_S)


def is_ended(sock: socket.socket) -> bool:
    """Whether the other side ends it, and says nothing but perhaps an alert."""
    with contextlib.suppress(OSError):
        while data := sock.recv(1 << 16):
            assert data[:1] == b"\x15", f"a stranger was told {data[:100]!r}"     # a TLS alert
    return True


@pytest.fixture(autouse=True)
def _undisturbed(cluster: Cluster) -> object:
    """After each attack the same node is active, and both others read for themselves."""
    active, terms = cluster.active, {member.name: member.log_text.count("state=active") for member in cluster.members}
    yield
    assert cluster.wait_whole() is active
    assert terms == {member.name: member.log_text.count("state=active") for member in cluster.members}


@pytest.mark.parametrize("garbage", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"\x01" * 600, os.urandom(4096), b"\x80"])
def test_garbage(cluster: Cluster, garbage: bytes) -> None:
    for member in cluster.members:
        with dial(member) as sock:
            with contextlib.suppress(ConnectionError):
                sock.sendall(garbage)
                sock.shutdown(socket.SHUT_WR)
            assert is_ended(sock)


@pytest.mark.parametrize("alpn", [*ALPN, "h2", ""])
def test_without_a_certificate_and_with_another_one(cluster: Cluster, tmp_path: Path, alpn: str) -> None:
    """The handshake fails, or the connection ends with it: nothing of ours is answered."""
    stranger = Authority(tmp_path, "Somebody else")
    stranger.issue(tmp_path / "cert.pem", tmp_path / "key.pem", "raft-0", "localhost")
    for member in cluster.members:
        for has_certificate in (False, True):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            if alpn:
                context.set_alpn_protocols([alpn])
            if has_certificate:
                context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
            with dial(member) as sock:
                try:
                    with context.wrap_socket(sock, server_hostname="localhost") as wrapped:
                        wrapped.sendall(b"\x01\x00\x01\x00\x00\x00\x05hello" * 100)
                        assert wrapped.recv(1024) == b"", "a stranger was told something"
                except (ssl.SSLError, ConnectionError):
                    pass                             # refused in the handshake, as it should be


def test_the_certificate_of_the_api_opens_nothing(cluster: Cluster) -> None:
    """A node's own listener certificate, of the right authority, is not what the cluster port knows."""
    active, standby = cluster.active, cluster.standbys[0]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["raft_storage_v1"])
    context.load_cert_chain(standby.certificate, standby.key)
    with dial(active) as sock:
        try:
            with context.wrap_socket(sock) as wrapped:
                wrapped.sendall(b"\x01\x00\x01\x00\x00\x00\x00")
                assert wrapped.recv(1024) == b"", "a stranger was told something"
        except (ssl.SSLError, ConnectionError):
            pass                                     # refused in the handshake, as it should be


def test_a_crowd_that_never_finishes_its_handshake(cluster: Cluster) -> None:
    """They cost a bounded amount of memory, hold nobody up, and end."""
    active = cluster.active
    before = memory_bytes(active.pid)
    crowd: list[socket.socket] = []
    try:
        for _ in range(CROWD):
            with contextlib.suppress(OSError):
                sock = dial(active)
                crowd.append(sock)
                sock.sendall(b"\x16\x03\x01")
        assert memory_bytes(active.pid) - before < COST_MAX_BYTES
        client = cluster.standbys[0].client()
        began = time.monotonic()
        client.post("sys/policies/acl/crowd", {"policy": 'path "a" { capabilities = ["read"] }'}).ok()
        assert time.monotonic() - began < SERVED_WITHIN_S
        client.close()
        wait_until(lambda: all(map(_has_ended, crowd)), "all of them have been closed", ENDS_WITHIN_S)
    finally:
        for sock in crowd:
            sock.close()


def _has_ended(sock: socket.socket) -> bool:
    sock.settimeout(0)
    try:
        return sock.recv(1024) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
