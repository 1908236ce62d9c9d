"""The processes of a node: one port, workers that come and go, an end that leaves nothing, and what each must not leave behind.

Invariant 11.
"""
from __future__ import annotations

import os
import resource
import shutil
import signal
import socket
import time
from pathlib import Path

import pytest
from tests.at_once import at_once
from tests.client import Client
from tests.conftest import MakeNode
from tests.node import Node, mount
from tests.processes import all_of, cpu_s, has_ended, state, wait_until

RATIO_MAX = 0.02
ENDS_WITHIN_S = 0.1
ENDS_BEFORE_S = 8.0                                      # whoever waits for an end waits for ten seconds
TRIES = 6                                                # a machine that others use too is late now and then, and not each time


def test_main_and_workers_answer_on_one_port(make_node: MakeNode) -> None:
    node = make_node(workers=2).begin()
    assert len(node.worker_pids()) == 2
    seen = {_server_of(node) for _ in range(64)}
    assert seen == set(node.worker_pids()), "connections of the one port reach every worker, and main has none of them"


def _server_of(node: Node) -> int:
    """The process that a new connection has reached: the one that has the socket."""
    client = node.client()
    try:
        client.get("sys/health").ok()
        ours = client._sock
        assert ours is not None
        inode = _inode(node.port, ours.getsockname()[1])
        return next(pid for pid in [node.pid, *node.worker_pids()] if inode in _sockets(pid))
    finally:
        client.close()


def _inode(local: int, remote: int) -> str:
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1].endswith(f":{local:04X}") and fields[2].endswith(f":{remote:04X}"):
            return fields[9]
    raise AssertionError("no such connection")


def _sockets(pid: int) -> set[str]:
    try:
        links = [os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")]
    except PermissionError:
        pytest.skip("the files of a process that cannot be dumped are root's to see")
    return {link[len("socket:["):-1] for link in links if link.startswith("socket:[")}


def test_a_killed_worker_is_replaced_and_its_clients_go_on(make_node: MakeNode) -> None:
    node = make_node(workers=1).begin()
    mount(node.client(), "kv")
    node.client().post("kv/data/a", {"data": {"x": "1"}}).ok()
    for _ in range(2):
        before = node.worker_pids()
        os.kill(before[0], signal.SIGKILL)
        wait_until(lambda before=before: node.worker_pids() and node.worker_pids() != before, "another worker")  # type: ignore[misc]
        node.wait_answering()
        client = node.client()
        assert client.get("kv/data/a").ok().data["data"] == {"x": "1"}, "it was given the keys"
        client.post("kv/data/a", {"data": {"x": "1"}}).ok()
    assert node.log_text.count("worker.lost") == 2


def test_a_worker_killed_in_the_middle_of_a_write_leaves_it_whole(make_node: MakeNode) -> None:
    node = make_node(workers=1).begin()
    mount(node.client(), "kv", options={"version": "1"})
    for number in range(3):
        client = node.client()
        client.send(_request("POST", f"kv/a{number}", node.root_token, b'{"x": "1"}'))
        os.kill(node.worker_pids()[0], signal.SIGKILL)
        answered = _is_answered(client)
        node.wait_answering()
        assert node.client().get(f"kv/a{number}").status in ((200,) if answered else (200, 404))
        assert node.main().get("sys/health").status == 200


def _is_answered(client: Client) -> bool:
    try:
        client.receive().ok()
    except OSError:
        return False
    return True


def _request(method: str, path: str, token: str, body: bytes) -> bytes:
    return (f"{method} /v1/{path} HTTP/1.1\r\nHost: a\r\nX-Vault-Token: {token}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n").encode() + body


def test_all_are_gone_right_after_mains_kill_and_the_port_is_free(make_node: MakeNode) -> None:
    node = make_node(workers=3)
    took_s = []
    while min(took_s, default=ENDS_WITHIN_S) >= ENDS_WITHIN_S:
        assert len(took_s) < TRIES, f"never within {ENDS_WITHIN_S} s: {took_s}"
        node.start()
        took_s.append(_killed(node))


def _killed(node: Node) -> float:
    """Seconds until its last process had gone; its port is free then."""
    client = node.client("")
    client.get("sys/seal-status").ok()
    main, workers = node.pid, node.worker_pids()
    assert len(workers) == 3
    began = time.monotonic()
    os.kill(main, signal.SIGKILL)
    wait_until(lambda: all(has_ended(pid) for pid in [main, *workers]), "no process is left")
    took_s = time.monotonic() - began
    client.close()
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)   # closed connections wait out their time, as after any server
        sock.bind(("127.0.0.1", node.port))
        sock.listen()
    node.wait_ended()
    return took_s


def test_passwords_are_hashed_by_processes_that_give_way_and_end_with_the_node(make_node: MakeNode) -> None:
    node = make_node(workers=1).begin()
    root = node.main()
    root.post("sys/auth/userpass", {"type": "userpass"}).ok()
    root.post("auth/userpass/users/ann", {"password": "a password"}).ok()
    login = node.client("")
    aside: list[int] = []

    def is_aside() -> bool:
        login.post("auth/userpass/login/ann", {"password": "a password"}).ok()
        aside[:] = set(all_of(node.pid)) - set(node.worker_pids())
        return bool(aside) and all(os.sched_getscheduler(pid) == os.SCHED_IDLE for pid in aside)

    wait_until(is_aside, "a login is computed in the idle class")
    assert not [pid for pid in (node.pid, *node.worker_pids()) for thread in os.listdir(f"/proc/{pid}/task")
                if os.sched_getscheduler(int(thread)) == os.SCHED_IDLE], "no thread beside an interpreter that others wait for"
    node.kill()
    assert all(has_ended(pid) for pid in aside)


def test_sigterm_lets_a_request_under_way_end(make_node: MakeNode) -> None:
    node = make_node(workers=1).begin()
    client, idle, kept = node.client(), node.client(), node.client()
    root = node.root_token
    kept.get("sys/health").ok()
    client.post("sys/auth/userpass", {"type": "userpass"}).ok()
    idle.get("sys/health").ok()
    body = b'{"password": "a password that takes bcrypt a while"}'
    client.send(_request("POST", "auth/userpass/users/a", root, body))
    slow = node.client()
    slow.send(b"POST /v1/auth/userpass/users/b HTTP/1.1\r\nHost: a\r\nX-Vault-Token: " + root.encode()
              + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body[:10])
    wait_until(lambda: idle.get("sys/health").ok(), "the worker has read all that was sent before")
    main = node.pid
    os.kill(main, signal.SIGTERM)
    wait_until(lambda: _refuses(node), "nobody is let in any more")
    kept.send(_request("GET", "sys/mounts", root, b""))
    answer = kept.receive()
    assert (answer.status, answer.header("connection")) == (200, "close"), "one more request of a connection that is kept open"
    assert client.receive().status == 204
    slow.send(body[10:])
    assert slow.receive().status == 204, "what has begun to come is taken, too"
    assert idle.is_ended
    assert node.wait_ended() == 0
    assert "core.stopping" in node.log_text
    node.start()
    assert node.client().list("auth/userpass/users").ok().data["keys"] == ["a", "b"]


def _refuses(node: Node) -> bool:
    try:
        node.connect().close()
    except OSError:
        return True
    return False


def test_sigterm_ends_a_stream(make_node: MakeNode) -> None:
    node = make_node(workers=1).begin()
    client = node.client()
    client.send(_request("GET", "sys/monitor?log_level=debug", node.root_token, b""))
    client.stream()
    began = time.monotonic()
    assert node.stop() == 0
    assert time.monotonic() - began < ENDS_BEFORE_S, "it does not wait for what has no end"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_node_that_is_sealed_or_idle_ends_at_once(make_node: MakeNode, number: signal.Signals) -> None:
    node = make_node(static=False)
    node.start()
    began = time.monotonic()
    os.kill(node.pid, number)
    assert node.wait_ended() == 0
    assert time.monotonic() - began < ENDS_BEFORE_S


def test_workers_answer_health_while_main_is_stopped(make_node: MakeNode) -> None:
    node = make_node(workers=1).begin()
    client = node.client()
    mount(client, "kv")
    client.post("kv/data/a", {"data": {"x": "1"}}).ok()
    os.kill(node.pid, signal.SIGSTOP)
    try:
        wait_until(lambda: state(node.pid) == "T", "main has stopped")
        assert client.get("sys/health", token="").status == 200
        assert client.get("kv/data/a").ok().data["data"] == {"x": "1"}, "reads need no main process either"
        writer = node.client()
        writer.send(_request("POST", "kv/data/a", node.root_token, b'{"data": {"x": "2"}}'))
        assert client.get("kv/data/a").ok().data["data"] == {"x": "1"}
    finally:
        os.kill(node.pid, signal.SIGCONT)
    writer.receive().ok()
    assert client.get("kv/data/a").ok().data["data"] == {"x": "2"}


def test_main_does_next_to_nothing_while_workers_read(make_node: MakeNode) -> None:
    node = make_node(workers=1).begin()
    client = node.client()
    mount(client, "kv")
    client.post("kv/data/a", {"data": {"x": "1"}}).ok()
    many = _request("GET", "kv/data/a", node.root_token, b"") * 50
    ratios = []
    for _ in range(TRIES):                           # whatever else main does now and then must not fail the test
        idle, _ = _used(node, 0.7, lambda: time.sleep(0.7))
        reading, reads = _used(node, 1.5, lambda: _pipelined(client, many, 50))
        assert reads >= 200, "there was something to do"
        ratios.append(reading - idle)
        if ratios[-1] < RATIO_MAX:
            return
    raise AssertionError(f"main used {min(ratios):.1%} of a processor more while workers read")


def _used(node: Node, at_least_s: float, work: object) -> tuple[float, int]:
    """The share of one processor that main used while `work` ran again and again, and how much of it there was."""
    assert callable(work)
    before, began, done = cpu_s(node.pid), time.monotonic(), 0
    while time.monotonic() - began < at_least_s:
        done += work() or 0
    return (cpu_s(node.pid) - before) / (time.monotonic() - began), done


def _pipelined(client: Client, requests: bytes, count: int) -> int:
    client.send(requests)
    for _ in range(count):
        assert client.receive().status == 200
    return count


def test_no_core_whatever_the_limits_and_signals(make_node: MakeNode) -> None:
    pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
    if pattern.startswith("|") or "/" in pattern:
        pytest.skip(f"cores go to {pattern!r} here, not into the folder of the process")
    command = ("sh", "-c", "ulimit -c unlimited && exec \"$@\"", "sh")
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    if hard != resource.RLIM_INFINITY:
        pytest.skip("cores are limited here already")
    sane = make_node(command=command)
    os.chdir(sane.folder)                            # a process that dumps would do it here
    for victim in ("worker", "main"):
        sane.start()
        pid = sane.pid if victim == "main" else sane.worker_pids()[0]
        assert Path(f"/proc/{pid}/limits").read_text().split("Max core file size")[1].split()[:2] == ["0", "0"]
        os.kill(pid, signal.SIGABRT)
        if victim == "main":
            assert sane.wait_ended() == -signal.SIGABRT
        else:
            wait_until(lambda pid=pid: pid not in sane.worker_pids(), "the worker has ended")  # type: ignore[misc]
            sane.stop()
    assert not [path for path in sane.folder.rglob("core*") if path.is_file()]


def test_a_process_that_cannot_lock_its_memory_says_what_to_do(make_node: MakeNode) -> None:
    node = make_node(more="disable_mlock = false", command=_without_ipc_lock())
    node.launch()
    assert node.wait_ended() == 1
    assert "cannot lock memory" in node.log_text
    assert "disable_mlock" in node.log_text


def test_memory_is_locked_in_every_process(make_node: MakeNode) -> None:
    if os.geteuid() != 0:
        pytest.skip("locking memory is root's right here")
    node = make_node(more="disable_mlock = false")
    node.start()
    for pid in [node.pid, *node.worker_pids()]:
        locked = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmLck:"))
        assert int(locked.split()[1]) > 10_000, f"{pid}: {locked}"


def _without_ipc_lock() -> tuple[str, ...]:
    """A command that takes the right to lock memory away from what it runs."""
    limit = ("sh", "-c", 'ulimit -l 64 && exec "$@"', "sh")
    if os.geteuid() != 0:
        return limit
    program = shutil.which("setpriv")
    if program is None:
        pytest.skip("root can lock memory, and there is no setpriv to take that right away")
    return (*limit, program, "--bounding-set", "-ipc_lock", "--inh-caps", "-ipc_lock")


def test_the_unix_listener_is_mains_alone(make_node: MakeNode) -> None:
    node = make_node(workers=1).begin()
    mount(node.main(), "kv")
    node.main().post("kv/data/a", {"data": {"x": "1"}}).ok()
    assert node.client().get("kv/data/a").ok().data == node.main().get("kv/data/a").ok().data
    assert node.unix.is_socket()
    assert node.stop() == 0
    assert not node.unix.exists()
    node.start()
    node.kill()
    assert node.unix.exists(), "nobody was there to remove it"
    node.start()
    assert node.main().get("kv/data/a").status == 200


def test_a_unix_socket_has_the_mode_that_was_asked_for(make_node: MakeNode) -> None:
    node = make_node(workers=0)
    node.config.write_text(node.config.read_text().replace(f'address = "{node.unix}"', f'address = "{node.unix}"\n  socket_mode = "0600"'))
    node.start()
    assert node.unix.stat().st_mode & 0o777 == 0o600


def test_many_clients_at_once(make_node: MakeNode) -> None:
    """Connections that come together, each with a write and a read of its own: what one writes it reads."""
    node = make_node(workers=2).begin()
    mount(node.client(), "kv", options={"version": "1"})

    def use(number: int) -> None:
        client = node.client()
        for turn in range(5):
            client.post(f"kv/{number}", {"turn": turn}).ok()
            assert client.get(f"kv/{number}").ok().data == {"turn": turn}

    at_once(use, range(24))
