"""KV version 2 writes: as many as the log takes; and few of them beside logins."""
from __future__ import annotations

import asyncio
import json
from contextlib import ExitStack
from itertools import cycle

import uvloop
from tests.node import Node
from tests.processes import cpu_s, workers_of

from bench import wrk
from bench.figures import Figures, Result, percentile
from bench.lines import Line, at_times, rendered, to_tls
from bench.machine import append_us
from bench.world import BODY, MOUNT, World, key, mount_with_keys
from bench.wrk import CONNECTIONS, Ask, alternate, write_requests

KEYS = 1_000
WRITES_S, LOGINS_S = 500, 10
TARGET_S = 10_000


def kv_write(world: World) -> Result:
    """Writes over TLS through the worker, fsynced in groups, beside the cost of one append with fdatasync on this disk. The node has both
    cores, as main and its worker work at once; the load's own process shares one of them."""
    wrk.require()
    keys = world.size(KEYS, 100)
    with world.node(one_core=False) as node, ExitStack() as others:
        token = mount_with_keys(node, 0)
        asks: list[Ask] = [("POST", f"/v1/{MOUNT}/data/{key(number)}", token, BODY) for number in range(keys)]
        ours = world.contender(node, write_requests(node.folder / "requests", asks))
        contenders = [ours, *others.enter_context(world.peer_contender(asks, keys=0))]
        probes = [append_us(node.folder, count=world.size(1_000, 100))]
        processes = {"main": node.pid, "the worker": workers_of(node.pid)[0]}
        before, served_before = {name: cpu_s(pid) for name, pid in processes.items()}, _answered(node)
        found = alternate(contenders, seconds=world.seconds, rounds=world.rounds)
        writes = _answered(node) - served_before
        cpu_us = {name: (cpu_s(pid) - before[name]) / writes * 1e6 for name, pid in processes.items()}
        probes.append(append_us(node.folder, count=world.size(1_000, 100)))
    figures, probe_us = found["holdfast"], sum(probes) / len(probes)
    ratios: list[tuple[str, float, str | None]] = [
        ("writes/s / 10,000", figures.requests_s / TARGET_S, "1.00 where an append costs 135–205 µs"),
        ("writes in the time of one append with fdatasync", figures.requests_s * probe_us / 1e6, None)]
    if "peer" in found:
        ratios.append(("holdfast / peer, requests/s", figures.requests_s / found["peer"].requests_s, None))
    return Result(rows=[*found.items(), ("CPU a write", ", ".join(f"{name} {us:.1f} µs" for name, us in cpu_us.items())),
                        ("disk", f"one append with fdatasync: {probes[0]:.0f} µs before, {probes[1]:.0f} µs after")], ratios=ratios)


def _answered(node: Node) -> int:
    """How many batches there are: one a write."""
    found: str = node.main().get("sys/health").json["last_wal"]
    return int(found)


def logins_beside_writes(world: World) -> Result:
    """Open loop, 500 writes/s, without and with 10 userpass logins/s (bcrypt of the usual cost)."""
    with world.node(one_core=False) as node:
        token = mount_with_keys(node, 0)
        root = node.main()
        root.post("sys/auth/userpass", {"type": "userpass"}).ok()
        root.post("auth/userpass/users/bench", {"password": "a password", "policies": MOUNT}).ok()
        seconds, rounds = world.size(20, 1), world.size(3, 1)
        without, beside, logins = uvloop.run(_both(node, token, seconds, rounds))
    whole = seconds * rounds
    ratio = percentile(beside, 99) / percentile(without, 99)
    return Result(
        rows=[(f"{WRITES_S} writes/s", _shown(without, whole)), (f"… beside {LOGINS_S} logins/s", _shown(beside, whole)),
              ("the logins", _shown(logins, whole))],
        ratios=[("write p99 beside logins / without", ratio, "at most 1.50")])


async def _both(node: Node, token: str, seconds: float, rounds: int) -> tuple[list[float], list[float], list[float]]:
    asks = cycle(rendered(("POST", f"/v1/{MOUNT}/data/{key(number)}", token, BODY)) for number in range(KEYS))
    login = cycle([rendered(("POST", "/v1/auth/userpass/login/bench", "", json.dumps({"password": "a password"})))])
    lines = await _lines(node)
    without: list[float] = []
    beside: list[float] = []
    logins: list[float] = []
    await at_times(lines, asks, rate_s=WRITES_S, seconds=1)
    await at_times(lines, login, rate_s=LOGINS_S, seconds=1)             # what hashes passwords starts once
    for _ in range(rounds):
        without += await at_times(lines, asks, rate_s=WRITES_S, seconds=seconds)
        of_logins = await _lines(node)                   # now: a new connection on which nothing is asked ends after 10 s
        async with asyncio.TaskGroup() as group:
            writing = group.create_task(at_times(lines, asks, rate_s=WRITES_S, seconds=seconds))
            entering = group.create_task(at_times(of_logins, login, rate_s=LOGINS_S, seconds=seconds))
        beside += writing.result()
        logins += entering.result()
        for line in of_logins:
            line.close()
    for line in lines:
        line.close()
    return without, beside, logins


async def _lines(node: Node) -> list[Line]:
    return [await to_tls(node.port, node.tls) for _ in range(CONNECTIONS)]


def _shown(took: list[float], seconds: float) -> Figures:
    return Figures(requests=len(took), requests_s=len(took) / seconds, p50_ms=percentile(took, 50), p99_ms=percentile(took, 99))
