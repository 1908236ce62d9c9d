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
from tests.load import Counts, Load, assert_unharmed, is_harmed, summary

BEFORE_S, AFTER_S = 0.7, 2.0
RATE_S = 15.0                                            # of reads, and of writes, at each node: any machine can do that
KEYS = 8
STALL_MAX_MS = 8_000                                     # long before a client gives up; `python -m bench.ha` has the figures
SEED = int(os.environ.get("HOLDFAST_SEED", "0")) or random.randrange(1 << 32)
FAULTS = int(os.environ.get("HOLDFAST_FAULTS", "6"))


def under_load(cluster: Cluster, token: str, happen: Callable[[], object], survivors: Sequence[Member], *,
               after_s: float = AFTER_S, mend: Callable[[], object] = lambda: None) -> Counts:
    """What clients of the survivors saw from then on, until all is mended. The histories of all are checked."""
    with Load(cluster.members, token, folder=cluster.folder, reads_s=RATE_S, writes_s=RATE_S, keys=KEYS) as load:
        time.sleep(BEFORE_S)
        began = time.monotonic()
        happen()
        time.sleep(after_s)
        ended = time.monotonic()
        mend()
    load.seen.check()
    return load.seen.counts(since=began, until=ended, nodes=survivors)


def changes(cluster: Cluster) -> int:
    """How often a node has become active."""
    return sum(member.log_text.count("state=active") for member in cluster.members)


def whole(cluster: Cluster) -> Member:
    """All nodes are back; gives the active one."""
    for member in cluster.members:
        if member.process is None:
            cluster.restart(member)
    return cluster.wait_whole()


def others(cluster: Cluster, member: Member) -> list[Member]:
    return [each for each in cluster.members if each is not member]


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_the_active_node_ends(cluster: Cluster, load_token: str, how: str) -> None:
    def ends() -> Counts:
        active = whole(cluster)
        counts = under_load(cluster, load_token, getattr(active, how), others(cluster, active))
        assert cluster.wait_active() is not active
        cluster.restart(active)
        active.wait_health(PERFORMANCE_STANDBY, ACTIVE)
        return counts

    assert_unharmed(ends, STALL_MAX_MS)


def test_the_active_node_hangs_and_comes_back(cluster: Cluster, load_token: str) -> None:
    """Peer bug 32: an active node that was stopped for longer than its hold neither writes nor answers from what it knew."""
    def hangs() -> Counts:
        active = cluster.wait_whole()

        def hang() -> None:
            active.pause()
            try:
                cluster.wait_active()                # of those that run
            finally:
                active.resume()

        counts = under_load(cluster, load_token, hang, others(cluster, active))
        cluster.wait_whole()
        return counts

    assert_unharmed(hangs, STALL_MAX_MS)


def test_only_main_of_the_active_node_hangs(cluster: Cluster, load_token: str) -> None:
    """Its workers run on: their lease must have an end of its own, or they would answer from the past."""
    def hangs() -> Counts:
        active = cluster.wait_whole()
        return under_load(cluster, load_token, lambda: active.pause(workers=False), others(cluster, active), mend=active.resume)

    assert_unharmed(hangs, STALL_MAX_MS)


def test_step_down_fails_nobody(cluster: Cluster, load_token: str) -> None:
    """Clients of the active node are held and passed on as well."""
    def steps_down() -> Counts:
        active, before = cluster.wait_whole(), changes(cluster)
        counts = under_load(cluster, load_token, lambda: active.main().post("sys/step-down").ok(), cluster.members)
        cluster.wait_whole()
        assert changes(cluster) > before
        return counts

    assert_unharmed(steps_down, STALL_MAX_MS)


def test_step_down_through_a_standby_steps_the_active_down(cluster: Cluster) -> None:
    active, standby = cluster.active, cluster.standbys[0]
    assert standby.client().post("sys/step-down").status == 204
    assert cluster.wait_active(other_than=active)
    cluster.wait_whole()


def test_the_active_node_is_sealed(cluster: Cluster, load_token: str) -> None:
    def is_sealed() -> Counts:
        active = whole(cluster)
        counts = under_load(cluster, load_token, lambda: active.main().post("sys/seal").ok(), others(cluster, active))
        active.wait_health(SEALED)
        assert cluster.states()[active.name] == SEALED
        active.stop()
        return counts

    assert_unharmed(is_sealed, STALL_MAX_MS)


@pytest.mark.parametrize("how", ["kill", "stop", "pause", "seal"])
def test_a_standby_goes(cluster: Cluster, load_token: str, how: str) -> None:
    """Writes wait for its read lease to end, and for nothing else."""
    def goes() -> Counts:
        standby = others(cluster, whole(cluster))[0]
        happen = (lambda: standby.main().post("sys/seal").ok()) if how == "seal" else getattr(standby, how)
        counts = under_load(cluster, load_token, happen, others(cluster, standby), after_s=1.5, mend=standby.resume)
        if how == "seal":
            standby.wait_health(SEALED)
            standby.stop()
        return counts

    assert_unharmed(goes, STALL_MAX_MS)


def test_rolling_restart(cluster: Cluster, load_token: str) -> None:
    """One node after the other, as an upgrade goes, the active one last. Clients of a node that restarts are elsewhere meanwhile."""
    left = [*cluster.standbys, cluster.active]

    def restarts() -> Counts:
        """Once more means the next one: all of them are restarted, and none of them disturbs."""
        member = left[0]

        def restart() -> None:
            member.stop()
            cluster.restart(member)
            cluster.wait_whole()

        counts = under_load(cluster, load_token, restart, others(cluster, member), after_s=0.3)
        return counts

    while left:
        assert_unharmed(restarts, STALL_MAX_MS)
        del left[0]


def test_all_nodes_are_killed_at_once(cluster: Cluster, load_token: str) -> None:
    """What was acknowledged is there afterwards, whichever node is active then."""
    with Load(cluster.members, load_token, folder=cluster.folder, reads_s=RATE_S, writes_s=RATE_S, keys=KEYS) as load:
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
    """HOLDFAST_FAULTS of them (6), from HOLDFAST_SEED; one at a time, each mended before the next one. No client of another node fails."""
    rng = random.Random(SEED)
    print(f"HOLDFAST_SEED={SEED}")
    with Load(cluster.members, load_token, folder=cluster.folder, reads_s=RATE_S, writes_s=RATE_S, keys=KEYS) as load:
        faults = [_one_fault(cluster, rng) for _ in range(FAULTS)]
    load.seen.check()
    for (what, member, began, ended), following in zip(faults, [*(each[1] for each in faults[1:]), None], strict=True):
        nodes = [each for each in others(cluster, member) if each is not following]      # the next one may have met a last request
        counts = load.seen.counts(since=began, until=ended, nodes=nodes)
        assert not is_harmed(counts), f"HOLDFAST_SEED={SEED}, {what} at {member.name}: {summary(counts)}"
    client = cluster.standbys[0].client()
    for key, (acknowledged, possible) in load.seen.versions().items():
        answer = client.get(f"load/data/{key}")
        found = answer.data["metadata"]["version"] if answer.status == 200 else 0
        assert acknowledged <= found <= possible, f"HOLDFAST_SEED={SEED}: {key}"


def _one_fault(cluster: Cluster, rng: random.Random) -> tuple[str, Member, float, float]:
    """What it was, whose, when it began and when all was whole again."""
    member, what, began = cluster[rng.randrange(3)], rng.choice(["kill", "term", "pause", "step down", "seal", "worker"]), time.monotonic()
    match what:
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
        case "seal":
            member.main().post("sys/seal").ok()
            time.sleep(rng.random())
            member.stop()
            cluster.restart(member)
        case "worker":
            os.kill(member.worker_pids()[0], signal.SIGKILL)
    time.sleep(rng.random() * 0.3)
    cluster.wait_whole()
    return what, member, began, time.monotonic()
