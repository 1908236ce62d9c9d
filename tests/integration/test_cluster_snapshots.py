"""A state of more than memory should be asked for, saved and put back."""
from __future__ import annotations

import os
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.client import Client
from tests.cluster_nodes import CALM, Cluster, Member
from tests.node import mount, new_token
from tests.processes import memory_bytes, wait_until

VALUES, VALUE_BYTES = 112, 720_000
STATE_BYTES = 100 << 20
GROWS_MAX_BYTES = 40 << 20
LOOK_EVERY_S = 0.02
PATH = "sys/storage/raft/snapshot"
CLUSTER = CALM


@contextmanager
def watched(members: list[Member]) -> Iterator[dict[str, int]]:
    """How much the memory of each process grows meanwhile, at most."""
    processes = {f"{member.name} {kind} {pid}": pid for member in members
                 for kind, pids in (("main", [member.pid]), ("worker", member.worker_pids())) for pid in pids}
    before = {name: memory_bytes(pid) for name, pid in processes.items()}
    most, ended = dict(before), threading.Event()

    def look() -> None:
        while not ended.wait(LOOK_EVERY_S):
            for name, pid in processes.items():
                most[name] = max(most[name], memory_bytes(pid))

    thread = threading.Thread(target=look)
    thread.start()
    grown: dict[str, int] = {}
    try:
        yield grown
    finally:
        ended.set()
        thread.join()
    grown.update({name: most[name] - before[name] for name in processes})


@pytest.fixture(scope="module")
def snapshot(shared_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("snapshots") / "large.snap"
    root = shared_cluster.active.client()
    mount(root, "large", options={"version": "1"})
    for number in range(VALUES):
        root.post(f"large/{number}", {"value": b64encode(os.urandom(VALUE_BYTES)).decode()}).ok()
    saved = shared_cluster.active.cli("operator", "raft", "snapshot", "save", str(file))
    assert saved.returncode == 0, saved.stderr
    assert file.stat().st_size > STATE_BYTES
    return file


def uploads(cluster: Cluster) -> list[str]:
    return [name for member in cluster.members for name in os.listdir(member.data / "uploads")]


@pytest.mark.parametrize("through", ["active", "standby"])
def test_an_upload_is_in_no_memory(cluster: Cluster, snapshot: Path, tmp_path: Path, through: str) -> None:
    """Not where it comes in, nor while it is unpacked and checked. One that lacks its end is refused when all of that was done."""
    cut = tmp_path / "cut.snap"
    cut.write_bytes(snapshot.read_bytes()[:-100])
    asked = cluster.active if through == "active" else cluster.standbys[0]
    with watched([cluster.active, *cluster.standbys[:1]]) as grown:
        done = asked.cli("operator", "raft", "snapshot", "restore", str(cut))
    assert done.returncode == 2
    assert "the snapshot is cut off" in done.stderr
    assert max(grown.values()) < GROWS_MAX_BYTES, grown
    wait_until(lambda: not uploads(cluster), "nothing is left")


@contextmanager
def reading(cluster: Cluster) -> Iterator[list[float]]:
    """Reads at every process of every node meanwhile, one after the other; how long each took, in seconds. All must succeed."""
    took: list[float] = []
    failed: list[str] = []
    ended = threading.Event()

    def read(client: Client) -> None:
        while not ended.is_set():
            begun = time.monotonic()
            answer = client.get("large/0")
            took.append(time.monotonic() - begun)
            if answer.status != 200:
                failed.append(f"{answer.status} {answer.errors}")

    threads = [threading.Thread(target=read, args=[connect()]) for member in cluster.members for connect in (member.client, member.main)]
    for thread in threads:
        thread.start()
    try:
        yield took
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert failed == []
    assert len(took) >= len(threads)


@pytest.mark.parametrize("through", ["active", "standby"])
def test_a_large_state_is_put_back(cluster: Cluster, snapshot: Path, through: str) -> None:
    """What a standby is asked for goes to the active node, and nothing of it is left anywhere. No node holds it in memory, neither the one
    that sends it nor those that take it; all go on answering, under the same active node."""
    active = cluster.active
    active.client().post("large/later", {"value": "x"}).ok()
    states = {member.name: member.log_text.count("ha.state") for member in cluster.members}
    asked = active if through == "active" else cluster.standbys[0]
    with watched(cluster.members) as grown, reading(cluster):
        done = asked.cli("operator", "raft", "snapshot", "restore", str(snapshot))
        assert done.returncode == 0, done.stderr
        cluster.wait_whole()
        for member in cluster.members:
            wait_until(lambda member=member: member.client().get("large/later").status == 404, "as it was")  # type: ignore[misc]
            assert len(member.client().get(f"large/{VALUES - 1}").ok().data["value"]) > VALUE_BYTES
    assert max(grown.values()) < GROWS_MAX_BYTES, grown
    assert {member.name: member.log_text.count("ha.state") for member in cluster.members} == states, "one has led all the while"
    wait_until(lambda: not uploads(cluster), "nothing is left")


def test_a_node_that_was_away_gets_the_state_in_little_memory(cluster: Cluster, snapshot: Path) -> None:
    """From the active node's checkpoint: the log does not say any more what it lacks."""
    away = cluster.standbys[0]
    away.stop()
    done = cluster.active.cli("operator", "raft", "snapshot", "restore", str(snapshot))
    assert done.returncode == 0, done.stderr
    away.start()
    with watched(cluster.members) as grown:
        away.wait_unsealed()
        cluster.wait_whole()
        assert len(away.client().get(f"large/{VALUES - 1}").ok().data["value"]) > VALUE_BYTES
    assert max(grown.values()) < GROWS_MAX_BYTES, grown


def announce(client: Client, size: int) -> tuple[int, str]:
    """Status and Location of the answer to an upload of which nothing is sent."""
    client.send(f"POST /v1/{PATH} HTTP/1.1\r\nHost: holdfast\r\nX-Vault-Token: {client.token}\r\nExpect: 100-continue\r\n"
                f"Content-Length: {size}\r\n\r\n".encode())
    answer = client.receive()
    return answer.status, answer.header("location")


def test_who_may_not_is_told_before_anything_is_sent(cluster: Cluster) -> None:
    active, standby = cluster.active, cluster.standbys[0]
    stranger = new_token(active.client(), "default")
    for client in (active.client(stranger), active.main(stranger), active.client("no-such-token")):
        assert announce(client, 1 << 40)[0] == 403
    assert announce(active.client(), 1 << 50)[0] == 413
    for client in (standby.client(), standby.main()):
        assert announce(client, 1 << 40) == (307, f"{active.address}/v1/{PATH}")


def test_what_is_no_snapshot_is_refused_and_leaves_nothing(cluster: Cluster) -> None:
    for client in (cluster.active.client(), cluster.active.main()):
        assert client.ask("POST", PATH, raw=b"no snapshot").status == 400
        assert client.ask("PUT", f"{PATH}-force", raw=os.urandom(3 << 20)).status == 400
        assert client.ask("POST", PATH, raw=b"").errors == ["no snapshot provided: the body is the archive"]
    few = new_token(cluster.active.client(), "root", num_uses=5)
    assert cluster.active.client(few).ask("POST", PATH, raw=b"no snapshot").status == 400
    wait_until(lambda: not uploads(cluster), "nothing is left")
