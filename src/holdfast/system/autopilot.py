"""sys/storage/raft/autopilot: how the members of an integrated storage are doing, and what is done about it. Source: Vault API, the page
of this name; Vault, "Autopilot".

The active node looks at the members every few seconds (`judge`), shows what it saw, and asks `promotions` and `removals` what is to be
changed; the changes themselves are the log's. Invariants: (1) the leader is never removed; (2) at no time is a majority of the voters
removed, nor so many that fewer than `min_quorum` are left; (3) who was told not to vote is not given a vote here.
"""
from collections.abc import Iterable, Mapping
from typing import Annotated

import msgspec

from holdfast.engine import (
    AutopilotFacts,
    Context,
    Duration,
    Input,
    Method,
    Natural,
    NodeFacts,
    Nothing,
    Output,
    RaftMember,
    Response,
    Route,
    ServerHealth,
    Table,
    Txn,
    doc,
    on,
    seconds,
)
from holdfast.engine.time import go_duration, rfc3339
from holdfast.errors import BadRequest, NotFound
from holdfast.ids import Millis, NodeId
from holdfast.limits import AUTOPILOT_DEAD_LEAST_S, AUTOPILOT_QUORUM_LEAST, AUTOPILOT_TRAILING_MAX, RAFT_MEMBERS_MAX
from holdfast.replica import Place, Why
from holdfast.version import VERSION

NOT_IN_USE = "raft storage is not in use"


class Given(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What operators set; a field that they did not set, or set to zero, has its default, whatever that will be. Lengths in s."""

    cleanup_dead_servers: bool | None = None
    last_contact_threshold: int = 0
    dead_server_last_contact_threshold: int = 0
    max_trailing_logs: int = 0
    min_quorum: int = 0
    server_stabilization_time: int = 0


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """What holds. The defaults are Vault's."""

    cleanup_dead_servers: bool = False
    last_contact_threshold: int = 10
    dead_server_last_contact_threshold: int = 86_400
    max_trailing_logs: int = 1_000
    min_quorum: int = 0
    server_stabilization_time: int = 10


class Contact(msgspec.Struct, frozen=True, kw_only=True):
    """What the leader's log knows of a member: how long ago it was heard of (None: not in this term), and the last entry that it has."""

    age_ms: int | None
    index: int


class Mark(msgspec.Struct, frozen=True):
    """A member that follows the log and is to have no vote."""


CONFIG = Table("core/raft/autopilot/configuration", Given)
NON_VOTERS = Table("autopilot/non-voters/", Mark)


# What the active node's timer calls


def config(txn: Txn) -> Config:
    """What holds now."""
    given = CONFIG.get(txn) or Given()
    found = {name: value for name in Given.__struct_fields__ if (value := getattr(given, name)) or value is False}
    return Config(**found)


def non_voters(txn: Txn) -> frozenset[NodeId]:
    """Who is to have no vote."""
    return frozenset(NodeId(name) for name in NON_VOTERS.names(txn))


def keep_without_vote(txn: Txn, node: NodeId, *, without: bool) -> None:
    """Notes whether a member is to have a vote: for the batch beside a join or a change of the members."""
    if without:
        NON_VOTERS.put(txn, node, Mark())
    elif NON_VOTERS.exists(txn, node):
        NON_VOTERS.delete(txn, node)


def judge(before: AutopilotFacts | None, members: Iterable[RaftMember], contacts: Mapping[int, Contact], held: Config, *, leader: NodeId,
          term: int, index: int, now_ms: Millis) -> AutopilotFacts:
    """How the members are doing. `before`: the last judgement of this term; `contacts`: by raft id, so that who comes back with
    an empty folder is no older than it is; `index`: of the leader's last entry; `now_ms`: cluster time."""
    known = {server.member.raft_id: server for server in before.servers} if before is not None else {}

    def server(member: RaftMember) -> ServerHealth:
        seen = Contact(age_ms=0, index=index) if member.id == leader else contacts.get(member.raft_id, Contact(age_ms=None, index=0))
        healthy = (seen.age_ms is not None and seen.age_ms <= held.last_contact_threshold * 1000
                   and seen.index + held.max_trailing_logs >= index)
        last = known.get(member.raft_id)
        since_ms = last.since_ms if last is not None and last.is_healthy is healthy else now_ms
        return ServerHealth(member=member, contact_ms=now_ms - since_ms if seen.age_ms is None else seen.age_ms, index=seen.index,
                            term=0 if seen.age_ms is None else term, is_healthy=healthy, since_ms=since_ms)

    servers = tuple(server(member) for member in sorted(members, key=lambda member: member.id))
    voters = [each for each in servers if each.member.voter]
    spare = sum(each.is_healthy for each in voters) - (len(voters) // 2 + 1)
    return AutopilotFacts(leader=leader, servers=servers, failure_tolerance=max(0, spare))


def promotions(facts: AutopilotFacts, without_vote: frozenset[NodeId], held: Config, *, began_ms: Millis,
               now_ms: Millis) -> tuple[RaftMember, ...]:
    """Who is to be given a vote: whoever has been well for long enough. `began_ms`: when the active node began to look; until it has looked
    for a while, it cannot know for how long anybody has been well, and asks only that they are."""
    for_ms = held.server_stabilization_time * 1000
    wanted_ms = for_ms if now_ms - began_ms > for_ms * 11 // 10 else 0
    well = (each for each in facts.servers if each.is_healthy and now_ms - each.since_ms >= wanted_ms)
    return tuple(each.member for each in well if not each.member.voter and each.member.id not in without_vote)


def removals(facts: AutopilotFacts, held: Config) -> tuple[RaftMember, ...]:
    """Who is to be removed: the dead, as far as what is left stays safe."""
    if not held.cleanup_dead_servers:
        return ()
    dead = [each for each in facts.servers if is_dead(each, held) and each.member.id != facts.leader]
    voters = sum(each.member.voter for each in facts.servers)
    at_most = max(0, min((voters - 1) // 2, voters - held.min_quorum))
    return (*(each.member for each in dead if not each.member.voter),
            *[each.member for each in dead if each.member.voter][:at_most])


def is_dead(server: ServerHealth, held: Config) -> bool:
    """Not heard of for longer than the configuration says."""
    return server.contact_ms > held.dead_server_last_contact_threshold * 1000


# The API


class ConfigInput(Input, frozen=True):
    cleanup_dead_servers: Annotated[bool | None, doc("Whether servers that are dead are removed.")] = None
    last_contact_threshold: Annotated[Duration, doc("For how long a server may not be heard of and be healthy.")] = None
    dead_server_last_contact_threshold: Annotated[Duration, doc("After how long unheard of a server is dead.")] = None
    max_trailing_logs: Annotated[Natural | None, doc("By how many entries a server may be behind and be healthy.")] = None
    min_quorum: Annotated[Natural | None, doc("How many voters the removal of dead servers leaves at least.")] = None
    server_stabilization_time: Annotated[Duration, doc("For how long a server is healthy before it is given a vote.")] = None
    disable_upgrade_migration: Annotated[bool | None, doc("Not supported: there are no automated upgrades.")] = None


class ConfigOut(Output, frozen=True):
    cleanup_dead_servers: bool
    last_contact_threshold: str
    dead_server_last_contact_threshold: str
    max_trailing_logs: int
    min_quorum: int
    server_stabilization_time: str
    disable_upgrade_migration: bool = False


class ServerOut(Output, frozen=True):
    id: str
    name: str
    address: str
    node_status: str
    last_contact: str
    last_term: int
    last_index: int
    healthy: bool
    stable_since: str
    status: str
    version: str
    node_type: str


class StateOut(Output, frozen=True):
    healthy: bool
    failure_tolerance: int
    servers: dict[str, ServerOut]
    leader: str
    voters: tuple[str, ...]
    non_voters: tuple[str, ...] | msgspec.UnsetType


def read_state(txn: Txn, args: Nothing, ctx: Context) -> Response:
    """Show how the servers of the cluster are doing."""
    _at_the_active_node(txn, ctx)
    facts = ctx.facts.autopilot
    if facts is None:
        raise NotFound
    return Response(data=_state(facts, ctx.facts, config(txn), non_voters(txn)))


def read_config(txn: Txn, args: Nothing, ctx: Context) -> Response:
    """Show when servers are healthy, get a vote, or are removed."""
    _at_the_active_node(txn, ctx)
    held = config(txn)
    return Response(data=ConfigOut(
        cleanup_dead_servers=held.cleanup_dead_servers, last_contact_threshold=go_duration(held.last_contact_threshold),
        dead_server_last_contact_threshold=go_duration(held.dead_server_last_contact_threshold), max_trailing_logs=held.max_trailing_logs,
        min_quorum=held.min_quorum, server_stabilization_time=go_duration(held.server_stabilization_time)))


def write_config(txn: Txn, args: ConfigInput, ctx: Context) -> Response:
    """Set when servers are healthy, get a vote, or are removed."""
    require_raft(ctx)
    if args.disable_upgrade_migration is not None:
        raise BadRequest("disable_upgrade_migration is only available in Vault Enterprise")
    changes = _changes(args)
    CONFIG.put(txn, "", msgspec.structs.replace(CONFIG.get(txn) or Given(), **changes))
    held = config(txn)
    if held.cleanup_dead_servers and held.min_quorum < AUTOPILOT_QUORUM_LEAST:
        raise BadRequest(f"min_quorum must be set when cleanup_dead_servers is set and it should at least be {AUTOPILOT_QUORUM_LEAST}; "
                         f"cleanup_dead_servers: true, min_quorum: {held.min_quorum}")
    if held.cleanup_dead_servers and held.dead_server_last_contact_threshold < AUTOPILOT_DEAD_LEAST_S:
        raise BadRequest(f"dead_server_last_contact_threshold should not be set to less than {AUTOPILOT_DEAD_LEAST_S // 60}m; "
                         f"received: {held.dead_server_last_contact_threshold}")
    return Response()


def require_raft(ctx: Context) -> None:
    """Raises BadRequest on a node whose storage is another one."""
    if ctx.facts.storage_type != "raft":
        raise BadRequest(NOT_IN_USE)


def _at_the_active_node(txn: Txn, ctx: Context) -> None:
    require_raft(ctx)
    txn.need(Place.ACTIVE, Why.EFFECT)


def _changes(args: ConfigInput) -> dict[str, object]:
    """The fields that were sent."""
    changes: dict[str, object] = {}
    for name in ("last_contact_threshold", "dead_server_last_contact_threshold", "server_stabilization_time"):
        sent: Duration = getattr(args, name)
        if sent is not None:
            changes[name] = seconds(sent, name)
    for name, most in (("max_trailing_logs", AUTOPILOT_TRAILING_MAX), ("min_quorum", RAFT_MEMBERS_MAX)):
        number: int | None = getattr(args, name)
        if number is not None and number > most:
            raise BadRequest(f"{name} is at most {most}")
        if number is not None:
            changes[name] = number
    if args.cleanup_dead_servers is not None:
        changes["cleanup_dead_servers"] = args.cleanup_dead_servers
    return changes


def _state(facts: AutopilotFacts, node: NodeFacts, held: Config, without_vote: frozenset[NodeId]) -> StateOut:
    versions = {standby.node: standby.version for standby in node.standbys}

    def server(each: ServerHealth) -> ServerOut:
        member = each.member
        leads = member.id == facts.leader
        return ServerOut(
            id=member.id, name=member.id, address=member.address, node_status="failed" if is_dead(each, held) else "alive",
            last_contact=_length(each.contact_ms), last_term=each.term, last_index=each.index, healthy=each.is_healthy,
            stable_since=rfc3339(each.since_ms), status="leader" if leads else "voter" if member.voter else "non-voter",
            version=VERSION if leads else versions.get(member.id, VERSION),
            node_type="non-voter" if not member.voter and member.id in without_vote else "voter")

    without = tuple(each.member.id for each in facts.servers if not each.member.voter)
    return StateOut(
        healthy=all(each.is_healthy for each in facts.servers), failure_tolerance=facts.failure_tolerance, leader=facts.leader,
        servers={each.member.id: server(each) for each in facts.servers},
        voters=tuple(each.member.id for each in facts.servers if each.member.voter), non_voters=without or msgspec.UNSET)


def _length(length_ms: int) -> str:
    """As Go prints it."""
    if 0 < length_ms < 1000:
        return f"{length_ms}ms"
    whole, rest = divmod(length_ms, 1000)
    text = go_duration(whole)
    return f"{text[:-1]}.{rest:03d}".rstrip("0") + "s" if rest else text


ROUTES = (
    Route("storage/raft/autopilot/state", "How the servers of the cluster are doing.", {Method.GET: on(Nothing, read_state)}),
    Route("storage/raft/autopilot/configuration", "How servers are looked after.", {
        Method.GET: on(Nothing, read_config), Method.POST: on(ConfigInput, write_config),
    }),
)
