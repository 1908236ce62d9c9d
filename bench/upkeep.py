"""What a node costs by being there: memory, and the time until it serves."""
from __future__ import annotations

from statistics import median
from time import monotonic

from tests.client import Client
from tests.node import Node
from tests.processes import wait_until, workers_of

from bench import wrk
from bench.figures import Result
from bench.machine import anonymous_kib
from bench.world import BODY, MOUNT, World, key, mount_with_keys, tokens
from bench.wrk import Ask, write_requests

REQUESTS, TOKENS, KEYS = 1_000_000, 20_000, 20_000
CHUNK_S = 5.0
WRITES_IN = 20                                       # one write in so many requests
MEMORY_TARGET_MIB = 120
START_TARGET_S = 0.5
MIB = 1024


def memory(world: World) -> Result:
    """10^6 requests, one in twenty a write, by more tokens on more keys than are remembered."""
    wrk.require()
    keys, count, requests = world.size(KEYS, 50), world.size(TOKENS, 50), world.size(REQUESTS, 1_000)
    with world.node() as node:
        mount_with_keys(node, keys)
        asking = tokens(node, count, node.root_token, policies=[MOUNT])
        asks: list[Ask] = [("GET" if number % WRITES_IN else "POST", f"/v1/{MOUNT}/data/{key(number % keys)}", asking[number % count],
                            "" if number % WRITES_IN else BODY) for number in range(max(keys, count))]
        contender = world.contender(node, write_requests(node.folder / "requests", asks))
        sent, seen = 0, [(0, _sizes(node))]
        while sent < requests:
            sent += wrk.run(contender, CHUNK_S if not world.quick else 1).requests
            seen.append((sent, _sizes(node)))
    half = next(sizes for at, sizes in seen if at >= sent // 2)
    end = seen[-1][1]
    return Result(
        rows=[(f"after {at:,} requests", f"main {main / MIB:.1f} MiB, worker {worker / MIB:.1f} MiB")
              for at, (main, worker) in (seen[0], (sent // 2, half), seen[-1])],
        ratios=[("MiB of both / 120", sum(end) / MIB / MEMORY_TARGET_MIB, "at most 1.00"),
                ("after all / after half", sum(end) / sum(half), "about 1.00")])


def _sizes(node: Node) -> tuple[int, int]:
    worker, = workers_of(node.pid)
    return anonymous_kib(node.pid), anonymous_kib(worker)


def start(world: World) -> Result:
    """From exec to the first answer of an unsealed node over TLS, unsealed by `seal "static"`."""
    took = []
    with world.node(one_core=False) as node:
        mount_with_keys(node, world.size(1_000, 10))
        for _ in range(world.size(9, 3)):
            node.stop()
            began = monotonic()
            node.launch()
            wait_until(lambda: _serves(node), "answers", 30)
            took.append(monotonic() - began)
    return Result(rows=[("starts", "  ".join(f"{each:.2f} s" for each in took))],
                  ratios=[("median / 0.5 s", median(took) / START_TARGET_S, "at most 1.00")])


def _serves(node: Node) -> bool:
    client = Client(node.connect, node.root_token)
    try:
        return client.get(f"{MOUNT}/data/{key(0)}").status == 200
    except OSError:
        return False
    finally:
        client.close()
