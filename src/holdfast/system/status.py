"""sys/health, sys/seal-status, sys/leader, sys/ha-status: how this node is doing. Source: Vault API, the pages of these names.

Answered in every state from the facts that main publishes, so that a load balancer's question costs main nothing. The seal status comes
from main itself: an operator reads it right after giving a share.
"""
from typing import Annotated

import msgspec

from holdfast.engine import Context, Input, Listener, Method, NodeFacts, Output, Perform, Raw, Response, Route, Txn, doc, on
from holdfast.engine.effect import ShowSealStatus
from holdfast.engine.time import rfc3339
from holdfast.errors import UnavailableError, UnsupportedPath
from holdfast.version import BUILD_DATE, VERSION

NO_TIME = "0001-01-01T00:00:00Z"                     # Go's zero time, which Vault does not leave out
CODE = msgspec.Meta(ge=100, le=599)


class Nothing(Input, frozen=True):
    """No field."""


class HealthInput(Input, frozen=True):
    """Which status stands for which state; a load balancer knows only statuses."""

    standbyok: Annotated[bool, doc("A standby answers with the status of the active node.")] = False
    perfstandbyok: Annotated[bool, doc("A performance standby answers with the status of the active node.")] = False
    activecode: Annotated[int, CODE, doc("Status of the active node.")] = 200
    standbycode: Annotated[int, CODE, doc("Status of a standby.")] = 429
    drsecondarycode: Annotated[int, CODE, doc("Status of a node of a disaster recovery secondary; there is none here.")] = 472
    performancestandbycode: Annotated[int, CODE, doc("Status of a performance standby.")] = 473
    haunhealthycode: Annotated[int, CODE, doc("Status of a standby that has lost its active node.")] = 474
    sealedcode: Annotated[int, CODE, doc("Status while sealed.")] = 503
    uninitcode: Annotated[int, CODE, doc("Status before initialisation.")] = 501
    removedcode: Annotated[int, CODE, doc("Status of a node that was removed from its cluster.")] = 530


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


class Leader(Output, frozen=True):
    ha_enabled: bool
    is_self: bool
    active_time: str
    leader_address: str
    leader_cluster_address: str
    performance_standby: bool
    performance_standby_last_remote_wal: int
    last_wal: int | msgspec.UnsetType


class HaNode(Output, frozen=True):
    hostname: str
    api_address: str
    cluster_address: str
    active_node: bool
    last_echo: str | None
    echo_duration_ms: int
    clock_skew_ms: int
    version: str


class HaStatus(Output, frozen=True):
    nodes: tuple[HaNode, ...]


class ReplicationStatus(Output, frozen=True):
    mode: str


def health_code(facts: NodeFacts, args: HealthInput) -> int:
    """The first state that holds decides."""
    if not facts.initialized:
        return args.uninitcode
    if facts.sealed:
        return args.sealedcode
    if facts.is_active:
        return args.activecode
    if facts.performance_standby:
        return args.activecode if args.perfstandbyok else args.performancestandbycode
    return args.activecode if args.standbyok else args.standbycode


def health(txn: Txn, args: HealthInput, ctx: Context) -> Raw:
    """Tell the state of this node."""
    facts, listener = ctx.facts, ctx.request.listener
    unsealed = facts.initialized and not facts.sealed
    shows_all = unsealed and ctx.token is not None   # a valid token lifts the redaction
    index = txn.run.reader.index
    body = Health(
        initialized=facts.initialized, sealed=facts.sealed, standby=not facts.is_active, performance_standby=facts.performance_standby,
        replication_performance_mode="disabled" if unsealed else "unknown", replication_dr_mode="disabled" if unsealed else "unknown",
        server_time_utc=ctx.now_ms // 1000, version=VERSION if shows_all or not listener.redact_version else "", enterprise=False,
        cluster_name=_shown(facts.cluster_name, unsealed and (shows_all or not listener.redact_cluster_name)),
        cluster_id=_shown(facts.cluster_id, unsealed), last_wal=index if facts.is_active and index else msgspec.UNSET,
        echo_duration_ms=0, clock_skew_ms=0, replication_primary_canary_age_ms=0)
    code = health_code(facts, args)
    empty = ctx.request.method is Method.HEAD or code == 204
    return Raw(status=code, body=b"" if empty else _json(body))


def seal_status(facts: NodeFacts, listener: Listener) -> SealStatus:
    """What sys/seal-status and sys/unseal show of these facts."""
    unsealed = facts.initialized and not facts.sealed
    return SealStatus(
        type=facts.seal_type, initialized=facts.initialized, sealed=facts.sealed, t=facts.threshold, n=facts.shares,
        progress=facts.unseal_progress, nonce=facts.unseal_nonce, version="" if listener.redact_version else VERSION,
        build_date="" if listener.redact_version else BUILD_DATE, migration=False,
        cluster_name=_shown(facts.cluster_name, unsealed and not listener.redact_cluster_name),
        cluster_id=_shown(facts.cluster_id, unsealed), recovery_seal=facts.recovery_seal,
        recovery_seal_type="shamir" if facts.recovery_seal else msgspec.UNSET, storage_type=facts.storage_type)


def read_seal_status(txn: Txn, args: Nothing, ctx: Context) -> Perform:
    """Tell whether this node is sealed, and how far its unsealing is."""
    return Perform(ShowSealStatus(listener=ctx.request.listener))


def leader(txn: Txn, args: Nothing, ctx: Context) -> Raw:
    """Tell which node is active."""
    facts = ctx.facts
    if facts.ha_enabled and facts.sealed:
        raise UnavailableError("Vault is sealed")
    hidden = ctx.request.listener.redact_addresses
    since = facts.active_since_ms
    index = txn.run.reader.index
    return Raw(status=200, body=_json(Leader(
        ha_enabled=facts.ha_enabled, is_self=facts.ha_enabled and facts.is_active,
        active_time=NO_TIME if since is None or not facts.ha_enabled else rfc3339(since),
        leader_address="" if hidden else facts.active_api_address, leader_cluster_address="" if hidden else facts.active_cluster_address,
        performance_standby=facts.performance_standby, performance_standby_last_remote_wal=index if facts.performance_standby else 0,
        last_wal=index if not facts.sealed and facts.is_active and index else msgspec.UNSET)))


def replication_status(txn: Txn, args: Nothing, ctx: Context) -> Response:
    """Tell that there is no replication between clusters."""
    if ctx.request.listener.hide_replication:
        raise UnsupportedPath
    return Response(data=ReplicationStatus(mode="disabled"))


def ha_status(txn: Txn, args: Nothing, ctx: Context) -> Response:
    """List the nodes that the active node knows."""
    facts = ctx.facts
    node = HaNode(hostname=facts.hostname, api_address=facts.active_api_address, cluster_address=facts.active_cluster_address,
                  active_node=True, last_echo=None, echo_duration_ms=0, clock_skew_ms=0, version=VERSION)
    return Response(data=HaStatus(nodes=(node,)))


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
