"""What standbys answer themselves, what that costs, and what they pass on."""
from __future__ import annotations

import math
import time
from collections.abc import Sequence
from statistics import median

from tests.client import Client
from tests.cluster_nodes import Cluster, Member
from tests.load import MOUNT, Load
from tests.processes import cpu_s, workers_of

from bench import wrk
from bench.ha.world import SETTLE_S, Row, Told, World
from bench.wrk import Ask, Contender, write_requests

KEYS, READS_S, WRITES_S = 50, 400.0, 500.0
TOKENS, WRITERS = 500, 8
BODY = '{"data":{"username":"application","password":"a-password-of-thirty-two-letters"}}'


def forward_writes(world: World) -> Told:
    """KV version 2 writes, 32 connections, closed loop: at the active node, and through a standby."""
    wrk.require()
    with world.cluster() as (cluster, token):
        asks: list[Ask] = [("POST", f"/v1/{MOUNT}/data/{number}", token, BODY) for number in range(1_000)]
        standby, active = cluster.standbys[0], cluster.active
        places = (("at the active node", active), ("through a standby", standby))
        contenders = [_contender(name, member, asks, cluster) for name, member in places]
        found = wrk.alternate(contenders, seconds=world.seconds(6), rounds=world.times(5))
        is_whole = cluster.wait_whole() is active
    # Peers, the same: 700 to 1,140 writes/s.
    return Told(rows=[Row(what=f"KV v2 writes, {wrk.CONNECTIONS} connections, {name}", found=str(figures), reach="4,000/s, goal 6,000",
                          peers="700–1,140/s") for name, figures in found.items()],
                notes=[] if is_whole else ["the active node has changed meanwhile"])


def standby_read_cpu(world: World) -> Told:
    """Processor time of a read, all nodes together, closed loop: at the active node and at a standby, by turns; and what the active node
    does while a standby is read from, against an idle cluster."""
    wrk.require()
    seconds, above, rows = world.seconds(8), [], []
    with world.cluster() as (cluster, token):
        _write_keys(cluster, token)
        active, (standby, *_) = cluster.active, cluster.standbys
        asks: list[Ask] = [("GET", f"/v1/{MOUNT}/data/{number}", token, "") for number in range(KEYS)]
        places = (("at the active node", active), ("at a standby", standby))
        found = wrk.alternate([_contender(name, member, asks, cluster) for name, member in places], seconds=world.seconds(6),
                              rounds=world.times(5))
        for _ in range(world.times(5)):
            idle, reading = _share(active, seconds), _share_beside_reads(world, active, standby, token, seconds)
            above.append((reading - idle) * 100)
            rows.append(f"the active node: {idle:.3f} of a core idle, {reading:.3f} beside {READS_S:.0f} reads/s at a standby")
    at_active, at_standby = (found[name].cpu_us or math.nan for name, _ in places)
    return Told(rows=[
        Row(what="CPU of a read at a standby against the active", reach="1.05",
            found=f"{at_standby:.1f} / {at_active:.1f} µs = {at_standby / at_active:.2f}"),
        Row(what="… the active's CPU above an idle cluster's", found=f"{median(above):.1f} % of a core", reach="1 %")], notes=rows)


def fresh_tokens(world: World) -> Told:
    """500 tokens, each used on every node as soon as it exists, then revoked through another node and used everywhere again."""
    wrk.require()
    count = world.sized(TOKENS, 20)
    with world.cluster() as (cluster, token):
        _write_keys(cluster, token)
        asks: list[Ask] = [("POST", f"/v1/{MOUNT}/data/{number}", token, BODY) for number in range(1_000)]
        writers = wrk.begin(_contender("writers", cluster.active, asks, cluster), 3_600, WRITERS)
        try:
            refused, accepted, seconds = _use_and_revoke(cluster, count)
        finally:
            writers.terminate()
            writers.communicate()
    # Peers: 36 of 500 were still accepted after their revocation.
    return Told(rows=[Row(what=f"{count} fresh tokens under {WRITERS} writers: refused; accepted after revocation", peers="36 accepted",
                          found=f"{refused}; {accepted}", reach="0; 0")],
                notes=[f"{count} tokens in {seconds:.1f} s, each made, used at three nodes, revoked, and tried at three nodes again"])


def _use_and_revoke(cluster: Cluster, count: int) -> tuple[int, int, float]:
    refused = accepted = 0
    roots = [member.client() for member in cluster.members]
    users = [Client(member.connect) for member in cluster.members]
    began = time.monotonic()
    for number in range(count):
        at = number % len(roots)
        made = roots[at].post("auth/token/create", {"policies": [MOUNT], "ttl": "1h"}).ok().auth["client_token"]
        refused += sum(user.get(f"{MOUNT}/data/0", token=made).status != 200 for user in users)
        roots[(at + 1) % len(roots)].post("auth/token/revoke", {"token": made}).ok()
        accepted += sum(user.get(f"{MOUNT}/data/0", token=made).status != 403 for user in users)
    seconds = time.monotonic() - began
    for user in users:
        user.close()
    return refused, accepted, seconds


def read_latency(world: World) -> Told:
    """Reads through a standby, 100/s, on an idle cluster and while 500 writes/s to other keys go on at the active node."""
    seconds, alone, beside = world.seconds(15), [], []
    with world.cluster() as (cluster, token):
        active, (standby, *_) = cluster.active, cluster.standbys
        for _ in range(world.times(3)):
            alone.append(_read_p99(world, standby, token, seconds))
            with Load([active], token, folder=world.folder, reads_s=0, writes_s=WRITES_S):
                beside.append(_read_p99(world, standby, token, seconds))
    ratio = median(beside) / median(alone)
    return Told(rows=[Row(what=f"p99 of a read at a standby beside {WRITES_S:.0f} writes/s / on an idle cluster",
                          found=f"{median(beside):.2f} / {median(alone):.2f} ms = {ratio:.2f}", reach="2")])


def _read_p99(world: World, standby: Member, token: str, seconds: float) -> float:
    """Of reads of a key that is there, and written once a second. What the load itself costs when it begins is left out."""
    with Load([standby], token, folder=world.folder, reads_s=100, writes_s=1, keys=1, connections=8) as load:
        time.sleep(SETTLE_S)
        began = time.monotonic()
        time.sleep(seconds)
    counts = load.seen.counts(since=began)
    assert not counts.failed, counts.errors
    return counts.read_p99_ms


def _contender(name: str, member: Member, asks: Sequence[Ask], cluster: Cluster) -> Contender:
    """Processor time is that of all processes of all nodes."""
    requests = write_requests(member.folder / f"requests-{len(name)}", asks)

    def pids() -> list[int]:
        return [pid for each in cluster.members for pid in (each.pid, *workers_of(each.pid))]

    return Contender(name=name, url=member.address, requests=requests, pids=pids)


def _write_keys(cluster: Cluster, token: str) -> None:
    client = cluster.active.main(token)
    for number in range(KEYS):
        client.post(f"{MOUNT}/data/{number}", {"data": {"n": number}}).ok()


def _share_beside_reads(world: World, of: Member, at: Member, token: str, seconds: float) -> float:
    """The one's use of processor time while reads go to the other, cores."""
    with Load([at], token, folder=world.folder, reads_s=READS_S, writes_s=0, connections=16) as load:
        time.sleep(SETTLE_S)
        share = _share(of, seconds)
    counts = load.seen.counts()
    assert not counts.failed, counts.errors
    return share


def _share(of: Member, seconds: float) -> float:
    """Processor time of all its processes, a second."""
    def used() -> float:
        return sum(map(cpu_s, (of.pid, *workers_of(of.pid))))

    before, began = used(), time.monotonic()
    time.sleep(seconds)
    passed = time.monotonic() - began
    return (used() - before) / passed
