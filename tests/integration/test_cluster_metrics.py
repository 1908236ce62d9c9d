"""Which metrics of high availability each kind of node shows, under Vault's names and with Vault's types.

Of Vault's names these are none of ours, as there is nothing that they could tell of: `raft_storage.bolt.*`, `raft-storage.{get,put,list,
delete,transaction}`, `raft.fsm.*`, `raft.rpc.*`, `raft.replication.*`, `raft.snapshot.*`, `raft.candidate.electSelf`, `raft.transition.*`
(HashiCorp's own raft and bolt), `logshipper.*`, `merkle.*`, `wal.*` but for `wal.last_wal` (its replication), `cache.*` (no cache stands
before the replica).
"""
from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from tests.client import Client
from tests.cluster_nodes import CALM, PERFORMANCE_STANDBY, SEALED, STANDBY, Cluster, Member
from tests.cluster_nodes import cluster as cluster_of
from tests.processes import wait_until

EVERY, UNSEALED = frozenset("APSX"), frozenset("APS")
"""A: the active node, P: a performance standby, S: a plain standby, X: a sealed one."""
ACTIVE, STANDBYS, SERVES = frozenset("A"), frozenset("PS"), frozenset("AP")


class Shown(NamedTuple):
    type: str
    on: frozenset[str]
    labels: frozenset[str] = frozenset()


GAUGES = {
    "core_active": EVERY, "core_unsealed": EVERY, "core_performance_standby": EVERY, "core_in_flight_requests": EVERY,
    "core_replication_performance_primary": EVERY, "core_replication_performance_secondary": EVERY, "core_replication_dr_primary": EVERY,
    "core_replication_dr_secondary": EVERY, "core_replication_write_undo_logs": EVERY, "wal_last_wal": EVERY,
    "raft_peers": ACTIVE, "autopilot_healthy": ACTIVE, "autopilot_failure_tolerance": ACTIVE, "expire_num_leases": ACTIVE,
    "expire_num_irrevocable_leases": ACTIVE, "core_mount_table_num_entries": ACTIVE,
}
CLUSTER, PEER = frozenset({"cluster"}), frozenset({"peer_id"})
TABLE = {
    **{name: Shown("gauge", on, CLUSTER if name.startswith("core_") else frozenset()) for name, on in GAUGES.items()},
    **{f"raft_storage_stats_{name}": Shown("gauge", EVERY, PEER) for name in ("applied_index", "commit_index", "fsm_pending", "term")},
    "raft_storage_follower_applied_index_delta": Shown("gauge", ACTIVE, PEER),
    "raft_storage_follower_last_heartbeat_ms": Shown("gauge", ACTIVE, PEER),
    "autopilot_node_healthy": Shown("gauge", ACTIVE, frozenset({"node_id"})),
    "core_handle_request": Shown("summary", EVERY),
    "route_read_sys_": Shown("summary", EVERY),
    **{name: Shown("summary", SERVES) for name in ("core_check_token", "core_fetch_acl_and_token", "token_lookup")},
    "ha_rpc_client_forward": Shown("summary", STANDBYS),
    "ha_rpc_client_echo": Shown("summary", STANDBYS, PEER),
    "raft_state_follower": Shown("counter", UNSEALED),
    "raft_state_leader": Shown("counter", ACTIVE),
    "raft_apply": Shown("counter", ACTIVE),
    "raft_commitTime": Shown("summary", ACTIVE),
    "raft_leader_lastContact": Shown("summary", ACTIVE),
    "core_post_unseal": Shown("summary", ACTIVE),
}
ONCE_ACTIVE = {
    "core_step_down": Shown("summary", ACTIVE), "core_pre_seal": Shown("summary", ACTIVE), "core_leadership_lost": Shown("summary", ACTIVE),
}
"""What a node shows that was active once."""
LISTENER = "telemetry {\n unauthenticated_metrics_access = true\n }"
TELEMETRY = "telemetry {\n disable_hostname = true\n}\n"


def shown(member: Member) -> dict[str, Shown]:
    client = Client(member.connect, "")
    text = client.get("sys/metrics?format=prometheus").ok().body.decode()
    client.close()
    types = dict(re.findall(r"^# TYPE vault_(\w+) (\w+)$", text, re.MULTILINE))
    labels: dict[str, set[str]] = {}
    for name, said in re.findall(r"^vault_(\w+)(?:\{(.*)\})? \S+$", text, re.MULTILINE):
        base = name if name in types else re.sub(r"_(sum|count)$", "", name)
        labels.setdefault(base, set()).update(re.findall(r"(\w+)=", said))
    return {name: Shown(type_, frozenset(), frozenset(labels.get(name, ())) - {"quantile"}) for name, type_ in types.items()}


def check(found: dict[str, Shown], kind: str, table: dict[str, Shown]) -> None:
    for name, wanted in table.items():
        if kind not in wanted.on:
            if wanted.type == "gauge":
                assert name not in found, f"{name} is none of a node of kind {kind}"
            continue
        assert name in found, f"{name} is missing on a node of kind {kind}"
        assert found[name].type == wanted.type, name
        assert wanted.labels <= found[name].labels, name


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """n0 was active, and is so again no more; one of the others is a plain standby."""
    with cluster_of(3, listener=LISTENER, more=TELEMETRY, **CALM) as found:
        found.begin()
        yield found


def test_each_kind_of_node_shows_its_metrics(kinds: Cluster) -> None:
    plain = kinds.standbys[0]
    plain.stop()
    plain.more += "disable_performance_standby = true\n"
    plain.write_config()
    plain.start()
    plain.wait_health(STANDBY)
    performing = next(member for member in kinds.standbys if member is not plain)
    for number, member in enumerate((plain, performing)):
        member.client(kinds.root_token).post(f"sys/policies/acl/m{number}", {"policy": 'path "a" { capabilities = ["read"] }'}).ok()
    wait_until(lambda: "expire_num_leases" in shown(kinds.active) and "raft_storage_follower_last_heartbeat_ms" in shown(kinds.active),
               "the state was looked at")
    check(shown(kinds.active), "A", TABLE)
    check(shown(performing), "P", TABLE)
    check(shown(plain), "S", TABLE)


def test_what_only_the_active_node_tells_ends_with_its_time(kinds: Cluster) -> None:
    before = kinds.active
    before.client(kinds.root_token).post("sys/step-down").ok()
    kinds.wait_active(other_than=before)
    before.wait_health(PERFORMANCE_STANDBY, STANDBY)
    check(shown(before), "A", ONCE_ACTIVE)
    wait_until(lambda: "expire_num_leases" not in shown(before), "it counts the state no more")
    check(shown(before), "P", {name: wanted for name, wanted in TABLE.items() if wanted.type == "gauge"})


def test_a_sealed_node_shows_what_it_can(kinds: Cluster) -> None:
    sealed = next(member for member in kinds.members if member.health() == PERFORMANCE_STANDBY)
    sealed.client(kinds.root_token).post("sys/seal").ok()
    sealed.wait_health(SEALED)
    found = shown(sealed)
    assert {"core_seal_with_request", "core_seal_internal"} <= found.keys()
    check(found, "X", {name: wanted for name, wanted in TABLE.items() if wanted.type == "gauge"})
