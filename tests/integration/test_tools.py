"""What the tests of clusters stand on, where the truth is known: load on one node, links that are slow, deaf or down."""
from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.links import Proxy, namespaces
from tests.load import Load, prepare
from tests.node import Node, free_port
from tests.processes import has_ended, wait_until

FAST_S, SLOW_S = 0.2, 0.3


def test_load_on_one_node_is_answered_and_linearizable(node: Node, short_path: Path) -> None:
    with Load([node], prepare(node, "one"), folder=short_path, mount_path="one", keys=5) as load:
        time.sleep(1.0)
    counts = load.seen.counts()
    assert counts.failed == 0, counts.errors
    assert 50 < counts.offered == counts.completed
    assert 0 < counts.stall.ms < 5_000
    assert load.seen.lags, "the probe has seen nothing"
    load.seen.check()
    client = node.client()
    for key, (acknowledged, _) in load.seen.versions().items():
        assert client.get(f"one/data/{key}").data["metadata"]["version"] == acknowledged
    client.close()


def test_a_kill_shows_as_failed_requests_and_as_a_stall(short_path: Path) -> None:
    node = Node(short_path / "n")
    try:
        node.begin()
        with Load([node], prepare(node), folder=short_path, keys=5) as load:
            time.sleep(0.3)
            killed = time.monotonic()
            node.kill()
            node.start()
            node.wait_unsealed()
            time.sleep(0.3)
        counts = load.seen.counts(since=killed)
        assert counts.failed > 0
        assert counts.stall.ms > 100
        load.seen.check()
    finally:
        node.end()


def test_a_history_that_is_wrong_is_found(node: Node, short_path: Path) -> None:
    with Load([node], prepare(node, "wrong"), folder=short_path, mount_path="wrong", keys=1) as load:
        time.sleep(0.5)
    read = next(each for each in reversed(load.seen.samples) if not each.write and each.version > 2)
    read.version -= 1
    with pytest.raises(AssertionError, match="version"):
        load.seen.check()
    read.version += 1
    write = next(each for each in load.seen.samples if each.write and each.version == 2)
    load.seen.samples.remove(write)
    with pytest.raises(AssertionError, match=r"nobody wrote it|acknowledged"):
        load.seen.check()


def test_a_load_whose_owner_has_gone_ends(node: Node, short_path: Path) -> None:
    load = Load([node], prepare(node, "gone"), folder=short_path, mount_path="gone").start()
    process = load._process
    assert process is not None
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(60) == 0
    load._kill()


@contextmanager
def echo() -> Iterator[int]:
    """A server that says again what it hears, on the port that is given."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)

        def serve() -> None:
            try:
                sock, _ = server.accept()
                with sock:
                    while data := sock.recv(1024):
                        sock.sendall(data)
            except OSError:
                pass                                 # the test resets connections

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        thread.join(10)


def test_a_proxy_can_be_slow_deaf_and_reset() -> None:
    with echo() as port:
        proxy = Proxy(free_port(), ("127.0.0.1", port))
        try:
            with socket.create_connection((proxy.host, proxy.port), timeout=30) as sock:
                assert min(_time_of(sock) for _ in range(20)) < FAST_S, "a busy machine is late now and then, not always"
                proxy.delay_s = SLOW_S / 2
                assert _time_of(sock) > SLOW_S
                proxy.delay_s = 0
                proxy.cut()
                sock.settimeout(FAST_S)
                sock.sendall(b"again")
                with pytest.raises(TimeoutError):
                    sock.recv(1024)
                proxy.mend()
                sock.settimeout(30)
                assert sock.recv(1024) == b"again"
                proxy.reset()
                with pytest.raises(ConnectionResetError):
                    _said(sock)
        finally:
            proxy.close()


def _time_of(sock: socket.socket) -> float:
    began = time.monotonic()
    assert _said(sock) == b"hello"
    return time.monotonic() - began


def _said(sock: socket.socket) -> bytes:
    sock.sendall(b"hello")
    return sock.recv(1024)


def test_namespaces_reach_each_other_until_they_are_cut() -> None:
    with namespaces(2) as networks:
        assert _reaches(networks.command(0), networks.hosts[1])
        networks.cut(1)
        assert not _reaches(networks.command(0), networks.hosts[1], within_s=1.0)
        networks.mend(1)
        wait_until(lambda: _reaches(networks.command(0), networks.hosts[1]), "mended")
        networks.cut_one_way(0, 1)
        assert not _reaches(networks.command(0), networks.hosts[1], within_s=1.0)
        networks.mend_one_way(0, 1)
        wait_until(lambda: _reaches(networks.command(0), networks.hosts[1]), "mended")
    assert not any(os.path.exists(f"/run/netns/{name}") for name in networks.names)


def _reaches(command: tuple[str, ...], host: str, within_s: float = 30.0) -> bool:
    """A closed port that refuses is there; one that says nothing is not: on a busy machine the kernel's own packets take their time."""
    program = ("import socket, sys\ntry:\n socket.create_connection((sys.argv[1], 9), timeout=float(sys.argv[2]))\n"
               "except ConnectionRefusedError:\n sys.exit(7)\nexcept OSError as error:\n sys.exit(8)")
    done = subprocess.run([*command, sys.executable, "-c", program, host, str(within_s)], capture_output=True, check=False)
    assert done.returncode in (7, 8), done.stderr
    return done.returncode == 7


def test_what_the_kernel_ends_with_us_ends() -> None:
    """The words before each node's command: should pytest be killed, its nodes are too."""
    program = ("import subprocess, os\nfrom tests.node import DIES_WITH_US\nfrom tests.processes import *\n"
               "no = subprocess.DEVNULL\nchild = subprocess.Popen([*DIES_WITH_US, 'sleep', '60'], stdout=no, stderr=no)\n"
               "wait_until(lambda: 'sleep' in command_line(child.pid)[0], 'runs')\nprint(child.pid, flush=True)\nos.kill(os.getpid(), 9)")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False,
                          env={**os.environ, "PYTHONPATH": os.pathsep.join(("src", "."))}, cwd=Path(__file__).parents[2])
    assert done.stdout, done.stderr
    wait_until(lambda: has_ended(int(done.stdout)), "the child has ended")
