"""What a node knows of the other nodes, as `NodeFacts` carries it to the processes that answer for it.

Nothing is decided by these records. Times are cluster time, so that a worker can tell an age without asking; an age is at most wrong by
what cluster time moved on by at a change of the active node.
"""
import msgspec

from holdfast.ids import Index, Millis, NodeId


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """A standby's echoes to the active node: made when the first one was answered, kept from then on."""

    heard_ms: Millis                                 # when the last answer came
    took_ms: int                                     # from echo to answer
    skew_ms: int                                     # by which the active node's wall clock is ahead of this one's
    connected: bool                                  # the last answer came over the connection that stands now


class Standby(msgspec.Struct, frozen=True, kw_only=True):
    """Another node, as the active one last heard of it."""

    node: NodeId
    hostname: str
    api_address: str
    cluster_address: str
    version: str
    performance_standby: bool
    heard_ms: Millis
    heard_wall_ms: Millis
    took_ms: int
    skew_ms: int
    applied: Index                                   # WAL
    raft_applied: int


class RaftMember(msgspec.Struct, frozen=True, kw_only=True):
    """`raft_id`: the number of its log; a node that joins with an empty folder has a new one."""

    id: NodeId
    raft_id: int
    address: str                                     # host:port
    voter: bool


class RaftFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Integrated storage, as this node's own log has it. `index`: of the entry that last changed the members."""

    leader: NodeId | None
    members: tuple[RaftMember, ...]
    index: int = 0


class ServerHealth(msgspec.Struct, frozen=True, kw_only=True):
    """One member, as the active node's autopilot judges it."""

    member: RaftMember
    contact_ms: int                                  # since it was last heard of, or since this node began to listen
    term: int                                        # of its last entry; 0: it was not heard of yet
    index: int
    is_healthy: bool
    since_ms: Millis                                 # for how long it has been so


class AutopilotFacts(msgspec.Struct, frozen=True, kw_only=True):
    """At the active node alone. `servers`: all members, by id."""

    leader: NodeId
    servers: tuple[ServerHealth, ...]
    failure_tolerance: int                           # healthy voters that may go before there is no majority
