"""sys/health, sys/seal-status, sys/leader, sys/ha-status: how this node is doing. Source: Vault API, the pages of these names.

sys/health is answered in every state from the facts that main publishes, so that a load balancer's question costs main nothing. The seal
status comes from main itself, as an operator reads it right after giving a share; so does sys/leader, as raft's indexes move with every
write. sys/ha-status is answered by the active node, which alone is told of the others.
"""
import re
from typing import Annotated

import msgspec

from holdfast.config.units import FALSE, TRUE
from holdfast.engine import (
    Context,
    Heartbeat,
    Input,
    Listener,
    Method,
    NodeFacts,
    Nothing,
    Output,
    Perform,
    Raw,
    Response,
    Route,
    Standby,
    Txn,
    doc,
    on,
)
from holdfast.engine.effect import ShowLeader, ShowSealStatus
from holdfast.engine.time import rfc3339
from holdfast.errors import RequestError, UnavailableError, UnsupportedPath
from holdfast.ids import Index, Millis
from holdfast.limits import ECHO_INTERVAL_MS, ECHO_SILENCE_MS
from holdfast.replica import Place, Why
from holdfast.version import BUILD_DATE, VERSION

NO_TIME = "0001-01-01T00:00:00Z"                     # Go's zero time, which Vault does not leave out
UNHEARD_MS = 2 * ECHO_INTERVAL_MS                    # after which a standby says that it has lost its active node
"""As Go reads them; `?standbyok` alone is no yes."""
CODES = range(200, 1000)                             # what a status can be; one below is no answer yet
_NUMBER = re.compile(r"[+-]?[0-9]{1,9}")


class HealthInput(Input, frozen=True):
    """Which status stands for which state; a load balancer knows only statuses."""

    standbyok: Annotated[str | None, doc("A standby answers with the status of the active node.")] = None
    perfstandbyok: Annotated[str | None, doc("A performance standby answers with the status of the active node.")] = None
    activecode: Annotated[str | None, doc("Status of the active node.")] = None
    standbycode: Annotated[str | None, doc("Status of a standby.")] = None
    drsecondarycode: Annotated[str | None, doc("Status of a node of a disaster recovery secondary; there is none here.")] = None
    performancestandbycode: Annotated[str | None, doc("Status of a performance standby.")] = None
    haunhealthycode: Annotated[str | None, doc("Status of a standby that has lost its active node.")] = None
    sealedcode: Annotated[str | None, doc("Status while sealed.")] = None
    uninitcode: Annotated[str | None, doc("Status before initialisation.")] = None
    removedcode: Annotated[str | None, doc("Status of a node that was removed from its cluster.")] = None


class Statuses(msgspec.Struct, frozen=True, kw_only=True):
    """The same, as read."""

    standbyok: bool = False
    perfstandbyok: bool = False
    activecode: int = 200
    standbycode: int = 429
    drsecondarycode: int = 472
    performancestandbycode: int = 473
    haunhealthycode: int = 474
    sealedcode: int = 503
    uninitcode: int = 501
    removedcode: int = 530


class Health(Output, frozen=True):
    initialized: bool
    sealed: bool
    standby: bool
    performance_standby: bool
    replication_performance_mode: str
    replication_dr_mode: str
    server_time_utc: int
    version: str
    enterprise: bool
    cluster_name: str | msgspec.UnsetType
    cluster_id: str | msgspec.UnsetType
    last_wal: int | msgspec.UnsetType
    echo_duration_ms: int
    clock_skew_ms: int
    replication_primary_canary_age_ms: int
    removed_from_cluster: bool | msgspec.UnsetType
    ha_connection_healthy: bool | msgspec.UnsetType
    last_request_forwarding_heartbeat_ms: int | msgspec.UnsetType


class SealStatus(Output, frozen=True):
    type: str
    initialized: bool
    sealed: bool
    t: int
    n: int
    progress: int
    nonce: str
    version: str
    build_date: str
    migration: bool
    cluster_name: str | msgspec.UnsetType
    cluster_id: str | msgspec.UnsetType
    recovery_seal: bool
    recovery_seal_type: str | msgspec.UnsetType
    storage_type: str
    removed_from_cluster: bool | msgspec.UnsetType


class Leader(Output, frozen=True):
    ha_enabled: bool
    is_self: bool
    active_time: str
    leader_address: str
    leader_cluster_address: str
    performance_standby: bool
    performance_standby_last_remote_wal: int
    last_wal: int | msgspec.UnsetType
    raft_committed_index: int | msgspec.UnsetType
    raft_applied_index: int | msgspec.UnsetType


class HaNode(Output, frozen=True):
    hostname: str
    api_address: str
    cluster_address: str
    active_node: bool
    last_echo: str | None
    echo_duration_ms: int
    clock_skew_ms: int
    version: str
    replication_primary_canary_age_ms: int = 0


class HaStatus(Output, frozen=True):
    nodes: tuple[HaNode, ...]


class ReplicationStatus(Output, frozen=True):
    mode: str


def is_initialized(facts: NodeFacts) -> bool:
    """Also of a node that waits for shares of the cluster that it is to join: it has that one's seal, and begins none of its own."""
    return facts.initialized or facts.threshold > 0


def statuses(args: HealthInput) -> Statuses:
    """Raises RequestError, which names nothing, as in Vault: who asks is a load balancer."""
    sent = {name: value for name in HealthInput.__struct_fields__ if (value := getattr(args, name)) is not None}
    return msgspec.convert({name: _flag(value) if name.endswith("ok") else _code(value) for name, value in sent.items()}, Statuses)


def _flag(text: str) -> bool:
    if text and text not in TRUE and text not in FALSE:
        raise RequestError
    return text in TRUE


def _code(text: str) -> int:
    if not _NUMBER.fullmatch(text) or int(text) not in CODES:
        raise RequestError
    return int(text)


def health_code(facts: NodeFacts, args: Statuses, now_ms: Millis) -> int:
    """The first state that holds decides."""
    if not is_initialized(facts):
        return args.uninitcode
    if facts.removed:
        return args.removedcode
    if facts.sealed:
        return args.sealedcode
    if facts.is_active:
        return args.activecode
    if facts.heartbeat is not None and not _is_heard(facts.heartbeat, now_ms):
        return args.haunhealthycode
    if facts.performance_standby:
        return args.activecode if args.perfstandbyok else args.performancestandbycode
    return args.activecode if args.standbyok else args.standbycode


def health(txn: Txn, args: HealthInput, ctx: Context) -> Raw:
    """Tell the state of this node."""
    facts = ctx.facts
    code = health_code(facts, statuses(args), ctx.now_ms)
    empty = ctx.request.method is Method.HEAD or code == 204
    shows_all = not facts.sealed and ctx.token is not None               # a valid token lifts the redaction
    body = _health(facts, ctx.request.listener, now_ms=ctx.now_ms, index=txn.run.reader.index, shows_all=shows_all)
    return Raw(status=code, body=b"" if empty else _json(body))


def _health(facts: NodeFacts, listener: Listener, *, now_ms: Millis, index: Index, shows_all: bool) -> Health:
    unsealed = facts.initialized and not facts.sealed
    beat = facts.heartbeat if unsealed and not facts.is_active else None
    mode = "disabled" if unsealed and (facts.is_active or (beat is not None and beat.connected)) else "unknown"
    return Health(
        initialized=is_initialized(facts), sealed=facts.sealed, standby=not facts.is_active, performance_standby=facts.performance_standby,
        replication_performance_mode=mode, replication_dr_mode=mode, server_time_utc=now_ms // 1000,
        version=VERSION if shows_all or not listener.redact_version else "", enterprise=False,
        cluster_name=_shown(facts.cluster_name, unsealed and (shows_all or not listener.redact_cluster_name)),
        cluster_id=_shown(facts.cluster_id, unsealed), last_wal=index if facts.is_active and index else msgspec.UNSET,
        echo_duration_ms=beat.took_ms if beat else 0, clock_skew_ms=beat.skew_ms if beat else 0, replication_primary_canary_age_ms=0,
        removed_from_cluster=msgspec.UNSET if facts.removed is None else facts.removed,
        ha_connection_healthy=_is_heard(beat, now_ms) if beat else msgspec.UNSET,
        last_request_forwarding_heartbeat_ms=(_age_ms(beat, now_ms) if beat else 0) or msgspec.UNSET)


def _is_heard(beat: Heartbeat, now_ms: Millis) -> bool:
    return _age_ms(beat, now_ms) <= UNHEARD_MS


def _age_ms(beat: Heartbeat, now_ms: Millis) -> int:
    return max(0, now_ms - beat.heard_ms)


def seal_status(facts: NodeFacts, listener: Listener) -> SealStatus:
    """What sys/seal-status and sys/unseal show of these facts."""
    unsealed = facts.initialized and not facts.sealed
    return SealStatus(
        type=facts.seal_type, initialized=facts.initialized, sealed=facts.sealed, t=facts.threshold, n=facts.shares,
        progress=facts.unseal_progress, nonce=facts.unseal_nonce, version="" if listener.redact_version else VERSION,
        build_date="" if listener.redact_version else BUILD_DATE, migration=facts.migrating,
        cluster_name=_shown(facts.cluster_name, unsealed and not listener.redact_cluster_name),
        cluster_id=_shown(facts.cluster_id, unsealed), recovery_seal=facts.recovery_seal,
        recovery_seal_type="shamir" if facts.recovery_seal else msgspec.UNSET, storage_type=facts.storage_type,
        removed_from_cluster=msgspec.UNSET if facts.removed is None else facts.removed)


def read_seal_status(txn: Txn, args: Nothing, ctx: Context) -> Perform:
    """Tell whether this node is sealed, and how far its unsealing is."""
    return Perform(ShowSealStatus(listener=ctx.request.listener))


def leader_status(facts: NodeFacts, listener: Listener, *, index: Index, raft_committed: int = 0, raft_applied: int = 0) -> Leader:
    """What sys/leader shows of these facts. `index`: of the replica. Raft's: its last entry's, and that of the last one that is applied
    here; 0 where raft is not the storage. Raises UnavailableError, in the words by which clients know a sealed node."""
    if facts.ha_enabled and facts.sealed:
        raise UnavailableError("Vault is sealed")
    hidden = listener.redact_addresses or not facts.ha_enabled
    since = facts.active_since_ms
    return Leader(
        ha_enabled=facts.ha_enabled, is_self=facts.ha_enabled and facts.is_active,
        active_time=rfc3339(since) if since is not None and facts.ha_enabled and facts.is_active else NO_TIME,
        leader_address="" if hidden else facts.active_api_address, leader_cluster_address="" if hidden else facts.active_cluster_address,
        performance_standby=facts.performance_standby, performance_standby_last_remote_wal=index if facts.performance_standby else 0,
        last_wal=index if not facts.sealed and facts.is_active and index else msgspec.UNSET,
        raft_committed_index=raft_committed or msgspec.UNSET, raft_applied_index=raft_applied or msgspec.UNSET)


def leader(txn: Txn, args: Nothing, ctx: Context) -> Perform:
    """Tell which node is active."""
    return Perform(ShowLeader(listener=ctx.request.listener))


def replication_status(txn: Txn, args: Nothing, ctx: Context) -> Response:
    """Tell that there is no replication between clusters."""
    if ctx.request.listener.hide_replication:
        raise UnsupportedPath
    return Response(data=ReplicationStatus(mode="disabled"))


def ha_status(txn: Txn, args: Nothing, ctx: Context) -> Response:
    """List the nodes that the active node knows."""
    txn.need(Place.ACTIVE, Why.EFFECT)
    facts = ctx.facts
    own = HaNode(hostname=facts.hostname, api_address=facts.active_api_address, cluster_address=facts.active_cluster_address,
                 active_node=True, last_echo=None, echo_duration_ms=0, clock_skew_ms=0, version=VERSION)
    others = (_ha_node(each) for each in facts.standbys if ctx.now_ms - each.heard_ms < ECHO_SILENCE_MS)
    return Response(data=HaStatus(nodes=tuple(sorted((own, *others), key=lambda node: node.api_address))))


def _ha_node(standby: Standby) -> HaNode:
    return HaNode(hostname=standby.hostname, api_address=standby.api_address, cluster_address=standby.cluster_address, active_node=False,
                  last_echo=rfc3339(standby.heard_wall_ms), echo_duration_ms=standby.took_ms, clock_skew_ms=standby.skew_ms,
                  version=standby.version)


ROUTES = (
    Route("health", "The state of this node, as a status that load balancers understand.", {
        method: on(HealthInput, health, public=True, sealed=True, local=True) for method in (Method.GET, Method.HEAD)
    }),
    Route("seal-status", "Whether this node is sealed.", {Method.GET: on(Nothing, read_seal_status, public=True, sealed=True, local=True)}),
    Route("leader", "Which node is active.", {Method.GET: on(Nothing, leader, public=True, sealed=True, local=True)}),
    Route("replication/status", "Replication between clusters.", {Method.GET: on(Nothing, replication_status, public=True)}),
    Route("ha-status", "The nodes of the cluster.", {Method.GET: on(Nothing, ha_status, top_level=True)}),
)


def _shown(text: str, shows: bool) -> str | msgspec.UnsetType:
    return text if shows and text else msgspec.UNSET


def _json(body: Output) -> bytes:
    return msgspec.json.encode(body) + b"\n"
