"""What clients notice when a node dies, hangs, is cut off, steps down or restarts."""
from __future__ import annotations

from functools import partial

from tests.cluster_nodes import Cluster, Member
from tests.links import namespaces

from bench.ha.world import Row, Told, Turns, World

AFTER_S = 3.0


def kill(world: World) -> Told:
    """kill -9 of the active node."""
    with world.cluster() as (cluster, token):
        turns = _kills(world, cluster, token, world.times(20))
    # Peers, 400 requests/s: OpenBao 580 failed, 2.2 s without a write in the median, 4.4 s at worst; Vault 1,700 failed, 3.0 s.
    return Told(rows=[
        Row(what=f"kill -9 of the active, {len(turns.counts)} times: failed requests", found=f"{turns.failed}", reach="0", peers="580"),
        Row(what="… time without a completed write", found=turns.stall, reach="250 / 500 ms", peers="2.2 / 4.4 s")], notes=turns.notes)


def _kills(world: World, cluster: Cluster, token: str, times: int) -> Turns:
    turns = Turns()
    for _ in range(times):
        active = cluster.wait_whole()
        counts, _ = world.watched(cluster, token, active.kill, survivors=_without(cluster, active), after_s=AFTER_S)
        turns.counts.append(counts)
        cluster.restart(active)
    return turns


def pause(world: World) -> Told:
    """SIGSTOP of the active node, all its processes; SIGCONT some seconds later, while its successor is at work."""
    with world.cluster() as (cluster, token):
        turns = Turns()
        for _ in range(world.times(10)):
            active = cluster.wait_whole()
            try:
                counts, _ = world.watched(cluster, token, active.pause, survivors=_without(cluster, active), after_s=AFTER_S)
            finally:
                active.resume()
            turns.counts.append(counts)
            cluster.wait_whole()
    return Told(rows=[
        Row(what=f"SIGSTOP of the active, {len(turns.counts)} times: failed requests", found=f"{turns.failed}", reach="0"),
        Row(what="… time without a completed write", found=turns.stall, reach="worst 1.5 s")], notes=turns.notes)


def cut(world: World) -> Told:
    """The active node's network goes: no packet reaches it, and nobody is told."""
    with namespaces(3) as networks, world.cluster(networks=networks) as (cluster, token):
        turns = Turns()
        for _ in range(world.times(10)):
            active = cluster.wait_whole()
            number = cluster.members.index(active)
            try:
                happen, others = partial(networks.cut, number), _without(cluster, active)
                counts, _ = world.watched(cluster, token, happen, survivors=others, after_s=AFTER_S)
            finally:
                networks.mend(number)
            turns.counts.append(counts)
            cluster.wait_whole()
    return Told(rows=[
        Row(what=f"network of the active cut, {len(turns.counts)} times: failed requests", found=f"{turns.failed}", reach="0"),
        Row(what="… time without a completed write", found=turns.stall, reach="worst 1.5 s")], notes=turns.notes)


def step_down(world: World) -> Told:
    """The active node gives its place to another one; its own clients count as well."""
    with world.cluster() as (cluster, token):
        turns = Turns()
        for _ in range(world.times(20)):
            active = cluster.wait_whole()
            asks = partial(active.main().post, "sys/step-down")
            counts, _ = world.watched(cluster, token, asks, survivors=cluster.members, after_s=AFTER_S)
            turns.counts.append(counts)
            cluster.wait_active(other_than=active)
    # Peers: OpenBao 11 failed writes, 0.54 s.
    return Told(rows=[
        Row(what=f"step-down, {len(turns.counts)} times: failed requests", found=f"{turns.failed}", reach="0", peers="11"),
        Row(what="… time without a completed write", found=turns.stall, reach="worst 100 ms, goal 50", peers="0.54 s")], notes=turns.notes)


def standby_stopped(world: World) -> Told:
    """A standby is killed, or stopped with SIGSTOP, in turn: what the others' writes wait for."""
    with world.cluster() as (cluster, token):
        turns = {"kill -9": Turns(), "SIGSTOP": Turns()}
        for turn in range(world.times(10)):
            cluster.wait_whole()
            for how, found in turns.items():
                standby = cluster.standbys[turn % 2]
                happen = standby.kill if how == "kill -9" else standby.pause
                counts, _ = world.watched(cluster, token, happen, survivors=_without(cluster, standby), after_s=AFTER_S)
                found.counts.append(counts)
                if how == "kill -9":
                    cluster.restart(standby)
                else:
                    standby.resume()
                cluster.wait_whole()
    rows = [Row(what=f"a standby: {how}, {len(found.counts)} times: write stall; failed requests", found=f"{found.stall}; {found.failed}",
                reach="worst 250 ms") for how, found in turns.items()]
    return Told(rows=rows, notes=[note for found in turns.values() for note in found.notes])


def big(world: World) -> Told:
    """The same kill -9, alternately on a cluster with 1,000,000 leases and 1,000,000 keys, and on an empty one."""
    from bench.ha.fill import fill_cluster

    size = world.sized(1_000_000, 500)
    with world.cluster("small") as small, world.cluster("big") as large:
        took_s = fill_cluster(large[0], size)
        turns = {"small": Turns(), "large": Turns()}
        for _ in range(world.times(20)):
            for name, (cluster, token) in (("small", small), ("large", large)):
                turns[name].counts += _kills(world, cluster, token, 1).counts
    ratio = turns["large"].median_ms / turns["small"].median_ms
    return Told(
        rows=[Row(what=f"kill -9 with {size:,} leases and {size:,} keys / without: medians", reach="0.85 to 1.15", peers="grows",
                  found=f"{turns['large'].median_ms:.0f} / {turns['small'].median_ms:.0f} ms = {ratio:.2f}; "
                        f"failed {turns['large'].failed} and {turns['small'].failed}")],
        notes=[f"filling took {took_s:.0f} s", *(f"{name}: {note}" for name, found in turns.items() for note in found.notes)])


def _without(cluster: Cluster, member: Member) -> list[Member]:
    return [each for each in cluster.members if each is not member]
