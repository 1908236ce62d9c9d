"""A million of everything in a cluster, by its own API, as fast as it takes them."""
from __future__ import annotations

import time

import uvloop
from tests.cluster_nodes import Cluster
from tests.node import mount

from bench.lines import fill

KEYS_IN_FOLDER = 1_000


def fill_cluster(cluster: Cluster, size: int) -> float:
    """So many keys of a KV version 1, and so many tokens, each with its lease; the seconds it took."""
    began, active = time.monotonic(), cluster.active
    mount(active.main(), "many", options={"version": "1"})
    token = active.root_token
    uvloop.run(fill(active.unix, (("POST", f"/v1/many/{number // KEYS_IN_FOLDER}/{number}", token, '{"v":"1"}') for number in range(size))))
    uvloop.run(fill(active.unix, (("POST", "/v1/auth/token/create", token, '{"policies":["default"],"ttl":"700h"}') for _ in range(size))))
    return time.monotonic() - began
