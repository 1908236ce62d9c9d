"""Disks of a cluster's nodes: full, hung, and states saved from them and put back, under load."""
from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from pathlib import Path

import msgspec
import pytest
from tests.client import Client
from tests.cluster_nodes import ACTIVE, Cluster
from tests.cluster_nodes import cluster as cluster_of
from tests.disks import fill, small_disk
from tests.load import History, Load, is_harmed, prepare, summary
from tests.node import mount
from tests.processes import wait_until

from holdfast.testing.history import Act, Operation, by_key, show
from holdfast.testing.linearizable import check_versions

RATE_S = 12.0                                            # of reads, and of writes, at each node: any machine can do that
DISK_BYTES = 160 << 20
HUNG_DISK_BYTES = 192 << 20


def write(client: Client, path: str) -> int:
    return client.post(path, {"data": {"a": 1}}).status


@pytest.mark.parametrize("whose", ["active", "standby"])
def test_a_disk_is_full(short_path: Path, whose: str) -> None:
    """Of the active node: another one takes over; of a standby: nobody notices. No client fails, nothing is lost, and when there is space
    again all is as before."""
    with small_disk(short_path / "disk", DISK_BYTES) as disk, cluster_of(3, data={0 if whose == "active" else 1: disk}) as found:
        found.begin()
        token = prepare(found.active)
        full = found[0 if whose == "active" else 1]
        found.lead(found[0])
        others = [member for member in found.members if member is not full]
        with Load(found.members, token, folder=short_path, reads_s=RATE_S, writes_s=RATE_S, keys=20) as load:
            time.sleep(0.5)
            began = time.monotonic()
            ballast = fill(disk)
            time.sleep(2.5)
            ended = time.monotonic()
            ballast.unlink()
            wait_until(lambda: write(found.active.client(token), "load/data/after") == 200, "writes go on")
            time.sleep(0.5)
        load.seen.check()
        counts = load.seen.counts(since=began, until=ended, nodes=others)
        assert not is_harmed(counts), summary(counts)
        found.wait_whole()
        assert found.active is not full


def test_the_disk_of_a_node_alone_is_full(short_path: Path) -> None:
    """There is nobody to take over: writes are refused with the reason, reads go on, and so do writes once there is space."""
    with small_disk(short_path / "disk", DISK_BYTES) as disk, cluster_of(1, data={0: disk}) as found:
        client = found.begin()[0].client()
        mount(client, "kv")
        assert write(client, "kv/data/a") == 200
        ballast = fill(disk)
        answer = client.post("kv/data/b", {"data": {}})
        assert answer.status == 503
        assert "no space left" in answer.errors[0]
        assert client.get("kv/data/a").status == 200
        log = found[0].log_text
        assert "storage.cannot_write: why=\"no space left" in log
        assert f"disk={disk} free_bytes=" in log
        assert "process.defect" not in log
        ballast.unlink()
        wait_until(lambda: write(client, "kv/data/b") == 200, "writes go on")


@contextmanager
def freezable_disk(at: Path, size_bytes: int) -> Iterator[Path]:
    """A file system of its own that can be frozen; the test is skipped where nobody may mount one."""
    image = at.with_suffix(".image")
    at.mkdir()
    with image.open("wb") as file:
        file.truncate(size_bytes)
    subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True, capture_output=True)
    done = subprocess.run(["mount", "-o", "loop", str(image), str(at)], capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no loop device can be mounted here: {done.stderr.decode().strip()}")
    try:
        yield at
    finally:
        subprocess.run(["fsfreeze", "-u", str(at)], capture_output=True, check=False)
        subprocess.run(["umount", "--lazy", str(at)], check=True)


def test_peer_bug_33_the_disk_of_the_active_node_hangs(short_path: Path) -> None:
    """It keeps its place in no election and serves nothing: leadership goes to a node that can write."""
    with freezable_disk(short_path / "disk", HUNG_DISK_BYTES) as disk, cluster_of(3, data={0: disk}) as found:
        found.begin()
        token = prepare(found.active)
        hung = found[0]
        found.lead(hung)
        with Load(found.members[1:], token, folder=short_path, reads_s=RATE_S, writes_s=RATE_S, keys=20) as load:
            time.sleep(0.5)
            began = time.monotonic()
            subprocess.run(["fsfreeze", "-f", str(disk)], check=True)
            try:
                wait_until(lambda: any(member.health() == ACTIVE for member in found.members[1:]), "another node is active")
                time.sleep(1.0)
            finally:
                subprocess.run(["fsfreeze", "-u", str(disk)], check=True)
        counts = load.seen.counts(since=began)
        load.seen.check()
        assert not is_harmed(counts), summary(counts)
        assert counts.stall.ms < 20_000, summary(counts)
        found.wait_whole()


def test_the_disk_of_the_audit_file_of_the_active_node_is_full(cluster: Cluster) -> None:
    """Its file opens all the same, and takes nothing: another node, which has room, is active soon."""
    active = cluster.wait_whole()
    mount(active.client(), "full", options={"version": "2"})
    device = {"type": "file", "options": {"file_path": "audit.log"}}                # each in its own folder
    active.client().post("sys/audit/own", device).ok()
    file = active.folder / "audit.log"
    try:
        file.unlink()
        file.symlink_to("/dev/full")
        os.kill(active.pid, signal.SIGHUP)
        wait_until(lambda: write(active.client(), "full/data/a") == 500, "an entry is not taken")
        cluster.wait_active(other_than=active)
        for member in cluster.members:
            wait_until(lambda member=member: write(member.client(), "full/data/a") == 200, f"{member.name} writes")  # type: ignore[misc]
    finally:
        file.unlink()
        wait_until(lambda: "audit.works_again" in active.log_text, "it works again")
        cluster.active.client().delete("sys/audit/own").ok()


def test_a_state_is_saved_under_load_and_put_back_under_load(cluster: Cluster, load_token: str, tmp_path: Path) -> None:
    """What was there when it was saved is there, everywhere, and nothing that came later."""
    standby, file = cluster.standbys[0], tmp_path / "state.snap"
    root = cluster.active.client()
    mount(root, "saved")
    root.post("saved/data/a", {"data": {"n": 1}}).ok()
    with Load(cluster.members, load_token, folder=cluster.folder, reads_s=RATE_S, writes_s=RATE_S, keys=20) as load:
        time.sleep(0.3)
        done = standby.cli("operator", "raft", "snapshot", "save", str(file))
        assert done.returncode == 0, done.stderr
        assert os.stat(file).st_mode & 0o777 == 0o600
    load.seen.check()
    counts = load.seen.counts()
    assert not is_harmed(counts), summary(counts)
    root.post("saved/data/a", {"data": {"n": 2}}).ok()
    root.post("saved/data/b", {"data": {"n": 3}}).ok()
    with Load(cluster.members, load_token, folder=cluster.folder, reads_s=RATE_S, writes_s=RATE_S, keys=8) as load:
        time.sleep(0.7)
        began = time.monotonic()
        done = standby.cli("operator", "raft", "snapshot", "restore", str(file))
        assert done.returncode == 0, done.stderr
        cluster.wait_whole()
        ended = time.monotonic()
        time.sleep(0.7)
    check_around(load.seen, began, ended)
    counts = load.seen.counts()
    assert not is_harmed(counts), summary(counts)
    for member in cluster.members:
        for client in (member.client(), member.main()):
            wait_until(lambda client=client: client.get("saved/data/b").status == 404, "as it was")  # type: ignore[misc]
            assert client.get("saved/data/a").data["data"] == {"n": 1}
    standby.kill()
    cluster.restart(standby)
    cluster.wait_whole()
    assert standby.client().get("saved/data/b").status == 404


def check_around(seen: History, began: float, ended: float) -> None:
    """Before the state was put back, and after it, each history is linearizable; what was under way meanwhile is in either, or in none."""
    assert any(each.invoked > ended and not each.is_open for each in seen.history()), "nothing was answered after it"
    for history in by_key(seen.history()).values():
        before = [_open(each) if each.returned > began else each for each in history if each.invoked < began]
        after = [_open(each) if each.invoked < ended else each for each in history if each.returned > began]
        for part in (before, after):
            why = check_versions([each for each in part if each.act is Act.WRITE or not each.is_open])
            assert why is None, f"{why}\n{show(part)[-6000:]}"


def _open(operation: Operation) -> Operation:
    """As one without an answer."""
    return msgspec.structs.replace(operation, returned=inf, version=None)


def test_a_broken_snapshot_is_refused_and_changes_nothing(cluster: Cluster, tmp_path: Path) -> None:
    file, standby = tmp_path / "state.snap", cluster.standbys[0]
    assert standby.cli("operator", "raft", "snapshot", "save", str(file)).returncode == 0
    mount(cluster.active.main(), "kept")
    whole = file.read_bytes()
    for number, broken in enumerate((whole[:-100], whole[:200], b"", b"garbage" * 100, whole[:300] + bytes(8) + whole[308:])):
        wrong = tmp_path / f"wrong-{number}"
        wrong.write_bytes(broken)
        assert standby.cli("operator", "raft", "snapshot", "restore", str(wrong)).returncode == 2, number
        assert cluster.active.main().get("sys/mounts/kept").status == 200, number
    cluster.wait_whole()
