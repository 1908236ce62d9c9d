"""Whatever becomes of one node, clients of the others see no error, and no write takes longer than it must: under load at every node.

The bounds here are those of a busy machine; `python -m bench.ha` measures.
"""
from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Sequence

import pytest
from tests.cluster_nodes import ACTIVE, PERFORMANCE_STANDBY, SEALED, Cluster, Member
from tests.load import Counts, Load, summary

BEFORE_S, AFTER_S = 0.7, 2.0
RATE_S = 50.0
STALL_MAX_MS = 3_000
SEED = int(os.environ.get("HOLDFAST_SEED", "0")) or random.randrange(1 << 32)
FAULTS = int(os.environ.get("HOLDFAST_FAULTS", "6"))


def under_load(cluster: Cluster, token: str, happen: Callable[[], object], survivors: Sequence[Member], *,
               after_s: float = AFTER_S, mend: Callable[[], object] = lambda: None) -> Counts:
    """What clients of the survivors saw from then on, until all is mended. The histories of all are checked."""
    with Load(cluster.members, token, folder=cluster.folder, reads_s=RATE_S, writes_s=RATE_S, keys=20) as load:
        time.sleep(BEFORE_S)
        began = time.monotonic()
        happen()
        time.sleep(after_s)
        ended = time.monotonic()
        mend()
    load.seen.check()
    return load.seen.counts(since=began, until=ended, nodes=survivors)


def assert_unharmed(counts: Counts, stall_ms: float = STALL_MAX_MS) -> None:
    assert counts.failed == 0, summary(counts)
    assert counts.offered > 0
    assert counts.stall.ms < stall_ms, summary(counts)


def others(cluster: Cluster, member: Member) -> list[Member]:
    return [each for each in cluster.members if each is not member]


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_the_active_node_ends(cluster: Cluster, load_token: str, how: str) -> None:
    active = cluster.active
    assert_unharmed(under_load(cluster, load_token, getattr(active, how), others(cluster, active)))
    assert cluster.wait_active() is not active
    cluster.restart(active)
    active.wait_health(PERFORMANCE_STANDBY)


def test_the_active_node_hangs_and_comes_back(cluster: Cluster, load_token: str) -> None:
    """Peer bug 32: an active node that was stopped for longer than its hold neither writes nor answers from what it knew."""
    active = cluster.active

    def hang() -> None:
        active.pause()
        time.sleep(2.0)
        active.resume()

    assert_unharmed(under_load(cluster, load_token, hang, others(cluster, active)))
    assert cluster.wait_whole() is not active


def test_only_main_of_the_active_node_hangs(cluster: Cluster, load_token: str) -> None:
    """Its workers run on: their lease must have an end of its own, or they would answer from the past."""
    active = cluster.active
    assert_unharmed(under_load(cluster, load_token, lambda: active.pause(workers=False), others(cluster, active), mend=active.resume))


def test_step_down_fails_nobody(cluster: Cluster, load_token: str) -> None:
    """Clients of the active node are held and passed on as well."""
    active = cluster.active
    counts = under_load(cluster, load_token, lambda: active.main().post("sys/step-down").ok(), cluster.members)
    assert_unharmed(counts, stall_ms=1_000)
    assert cluster.wait_active(other_than=active)


def test_step_down_through_a_standby_steps_the_active_down(cluster: Cluster) -> None:
    active, standby = cluster.active, cluster.standbys[0]
    assert standby.client().post("sys/step-down").status == 204
    assert cluster.wait_active(other_than=active)
    cluster.wait_whole()


def test_the_active_node_is_sealed(cluster: Cluster, load_token: str) -> None:
    active = cluster.active
    assert_unharmed(under_load(cluster, load_token, lambda: active.main().post("sys/seal").ok(), others(cluster, active)))
    active.wait_health(SEALED)
    assert cluster.states()[active.name] == SEALED
    active.stop()


@pytest.mark.parametrize("how", ["kill", "stop", "pause", "seal"])
def test_a_standby_goes(cluster: Cluster, load_token: str, how: str) -> None:
    """Writes wait for its read lease to end, and for nothing else."""
    standby = cluster.standbys[0]
    happen = (lambda: standby.main().post("sys/seal").ok()) if how == "seal" else getattr(standby, how)
    counts = under_load(cluster, load_token, happen, others(cluster, standby), after_s=1.5, mend=standby.resume)
    assert_unharmed(counts, stall_ms=1_000)
    if how == "seal":
        standby.wait_health(SEALED)
        standby.stop()


def test_rolling_restart(cluster: Cluster, load_token: str) -> None:
    """One node after the other, as an upgrade goes, the active one last. Clients of a node that restarts are elsewhere meanwhile."""
    order = [*cluster.standbys, cluster.active]
    with Load(cluster.members, load_token, folder=cluster.folder, reads_s=RATE_S, writes_s=RATE_S, keys=20) as load:
        times = []
        for member in order:
            began = time.monotonic()
            member.stop()
            cluster.restart(member)
            cluster.wait_whole()
            times.append((member, began, time.monotonic()))
            time.sleep(0.3)                          # what was due by then is answered before the next one stops
    load.seen.check()
    for member, began, ended in times:
        assert_unharmed(load.seen.counts(since=began, until=ended, nodes=others(cluster, member)))


def test_all_nodes_are_killed_at_once(cluster: Cluster, load_token: str) -> None:
    """What was acknowledged is there afterwards, whichever node is active then."""
    with Load(cluster.members, load_token, folder=cluster.folder, reads_s=RATE_S, writes_s=RATE_S, keys=20) as load:
        time.sleep(BEFORE_S)
        cluster.kill_all()
        for member in cluster.members:
            member.launch()
        for member in cluster.members:
            member.wait_answering()
            member.wait_unsealed()
        cluster.wait_whole()
        time.sleep(1.0)
    load.seen.check()
    client = cluster.standbys[0].client()
    for key, (acknowledged, possible) in load.seen.versions().items():
        answer = client.get(f"load/data/{key}")
        found = answer.data["metadata"]["version"] if answer.status == 200 else 0
        assert acknowledged <= found <= possible, key


def test_random_faults(cluster: Cluster, load_token: str) -> None:
    """HOLDFAST_FAULTS of them (6), from HOLDFAST_SEED; one at a time, each mended before the next one."""
    rng = random.Random(SEED)
    print(f"HOLDFAST_SEED={SEED}")
    with Load(cluster.members, load_token, folder=cluster.folder, reads_s=RATE_S, writes_s=RATE_S, keys=20) as load:
        for _ in range(FAULTS):
            _one_fault(cluster, rng)
    load.seen.check()
    client = cluster.standbys[0].client()
    for key, (acknowledged, possible) in load.seen.versions().items():
        answer = client.get(f"load/data/{key}")
        found = answer.data["metadata"]["version"] if answer.status == 200 else 0
        assert acknowledged <= found <= possible, f"HOLDFAST_SEED={SEED}: {key}"


def _one_fault(cluster: Cluster, rng: random.Random) -> None:
    member = cluster[rng.randrange(3)]
    match rng.choice(["kill", "term", "pause", "step down", "worker"]):
        case "kill":
            member.kill()
            time.sleep(rng.random())
            cluster.restart(member)
        case "term":
            member.stop()
            cluster.restart(member)
        case "pause":
            member.pause(workers=rng.random() < 0.7)
            time.sleep(rng.random() * 1.5)
            member.resume()
        case "step down":
            member.main().post("sys/step-down").ok()
        case "worker":
            os.kill(member.worker_pids()[0], signal.SIGKILL)
    time.sleep(rng.random() * 0.3)
    cluster.wait_whole()
    assert cluster.active.health() == ACTIVE
