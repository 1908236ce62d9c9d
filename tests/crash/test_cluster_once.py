"""Exactly once: the active node is killed between "durable" and "answered", again and again, under writes at every node. Invariant 15.

Each write has a key of its own, and KV counts the writes of a key: one that was acknowledged took place once, one that was not, at most
once. HOLDFAST_ONCE_KILLS: how often (4 in `make test`, 1,000 in `make once`).
"""
from __future__ import annotations

import json
import os
import signal
import time

import pytest
import uvloop
from bench.lines import fill
from tests.cluster_nodes import ACTIVE, PERFORMANCE_STANDBY, Cluster, Member
from tests.conftest import MakeCluster
from tests.load import History, Load, is_done, prepare
from tests.processes import wait_until

KILLS = int(os.environ.get("HOLDFAST_ONCE_KILLS", "4"))
IN_ONE_LOAD = 40                                     # kills; then what was written is counted, and a new load begins
RATE_S = 20.0                                        # writes, at each node
WHOLE_WITHIN_S = 120.0
POLL_S = 0.05                                        # polls take from the nodes what they need for their start
WORKERS = (1, 0, 0)                                  # so that writes are forwarded by a worker, and by main itself


def test_each_write_takes_place_once_however_often_the_active_node_dies(make_cluster: MakeCluster) -> None:
    found = _begun(make_cluster)
    token = prepare(found.active)
    caught = writes = 0
    for first in range(0, KILLS, IN_ONE_LOAD):
        kills, began = min(IN_ONE_LOAD, KILLS - first), time.monotonic()
        seen = _load_and_kill(found, token, kills)
        met = _check(found, seen)
        caught, writes = caught + sum(met), writes + len(met)
        print(f"{first + kills} kills: {writes} writes, {caught} of them met a kill and were answered; none took place twice, none that "
              f"was answered is missing; {(time.monotonic() - began) / kills:.1f} s for each kill", flush=True)
    assert caught > KILLS, "hardly a write was under way at any kill"


def test_without_the_record_writes_take_place_twice(make_cluster: MakeCluster) -> None:
    """The same with nodes that do not look for the record: this test sees it."""
    found = _begun(make_cluster, HOLDFAST_TEST_NO_RECORD="1")
    token = prepare(found.active)
    for _ in range(25):                              # one kill in three meets no forwarded write
        seen = _load_and_kill(found, token, 1)
        if any(version > 1 for version in _versions(found, seen).values()):
            return
    pytest.fail("no write took place twice, though nobody looked for records")


def _begun(make_cluster: MakeCluster, **env: str) -> Cluster:
    found = make_cluster(3)
    for member, workers in zip(found.members, WORKERS, strict=True):
        member.env |= {"HOLDFAST_TEST_DIES_AT": str(found.folder / "die"), **env}
        member.workers = workers
        member.write_config()
    return found.begin()


def _load_and_kill(found: Cluster, token: str, kills: int) -> History:
    with Load(found.members, token, folder=found.folder, reads_s=1, writes_s=RATE_S, keys=0) as load:
        for _ in range(kills):
            (found.folder / "die").touch()
            dead = _wait_dead(found)
            dead.wait_ended()
            dead.launch()
            _wait_serving(found)
        found.wait_whole(within_s=WHOLE_WITHIN_S)
    return load.seen


def _wait_dead(found: Cluster) -> Member:
    """Whoever was active at the next append that was durable."""
    def ended() -> list[Member]:
        return [each for each in found.members if each.process is not None and each.process.poll() is not None]

    wait_until(ended, "the active node has died")
    dead, = ended()
    assert dead.process is not None
    assert dead.process.returncode == -signal.SIGKILL, dead.tail
    return dead


def _wait_serving(found: Cluster) -> None:
    """One is active, and the others could take over: their main processes say so."""
    deadline = time.monotonic() + WHOLE_WITHIN_S
    while sorted(states := [member.health() for member in found.members]) != [ACTIVE, PERFORMANCE_STANDBY, PERFORMANCE_STANDBY]:
        assert time.monotonic() < deadline, f"not whole within {WHOLE_WITHIN_S} s: {states}\n{found.tails}"
        time.sleep(POLL_S)


def _check(found: Cluster, seen: History) -> tuple[bool, ...]:
    """Gives for each write whether a kill has met it, and it was answered all the same: it took longer than any other."""
    versions = _versions(found, seen)
    for each in seen.samples:
        if each.write and each.sent:
            version = versions[f"{seen.prefix}{each.key}"]
            assert version == 1 if is_done(each) else version <= 1, f"{each}: took place {version} times"
    return tuple(is_done(each) and each.returned - each.due > 0.1 for each in seen.samples if each.write)


def _versions(found: Cluster, seen: History) -> dict[str, int]:
    """How often each write took place, as the active node tells."""
    names = [f"{seen.prefix}{each.key}" for each in seen.samples if each.write and each.sent]
    sure = [f"{seen.prefix}{each.key}" for each in seen.samples if each.write and is_done(each)]
    active = found.active
    bodies = uvloop.run(fill(active.unix, (("GET", f"/v1/load/metadata/{name}", found.root_token, "") for name in sure), keep=True))
    counted = {name: int(json.loads(body)["data"]["current_version"]) for name, body in zip(sure, bodies, strict=True)}
    client = active.main()
    for name in names:
        if name not in counted:
            answer = client.get(f"load/metadata/{name}")
            counted[name] = int(answer.data["current_version"]) if answer.status == 200 else 0
    return counted
