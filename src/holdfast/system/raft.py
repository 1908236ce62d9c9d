"""sys/storage/raft: who the members of an integrated storage are, and how they become it. Source: Vault API, sys/storage/raft.

What these change is not in the replica but in the log: each is an effect. On a node whose storage is another one, all are refused.
"""
import base64
import binascii
from typing import Annotated

from holdfast.crypto import Secret
from holdfast.engine import Context, Input, Method, Natural, Output, Perform, RaftFacts, Response, Route, Txn, doc, on
from holdfast.engine.effect import AdmitJoiner, ChallengeJoiner, ChangeMembership, Join, RestoreSnapshot, SaveSnapshot
from holdfast.errors import BadRequest, UnavailableError
from holdfast.ids import NodeId
from holdfast.limits import JOIN_ANSWER_MAX_BYTES, SERVER_ID_MAX
from holdfast.replica import Place, Why
from holdfast.system import autopilot
from holdfast.system.autopilot import require_raft


class Anything(Input, frozen=True):
    """Whatever was asked, the answer is the same."""


class JoinInput(Input, frozen=True):
    leader_api_addr: Annotated[str, doc("API address of a node of the cluster.")] = ""
    auto_join: Annotated[str, doc("Not supported: nodes are not discovered.")] = ""
    auto_join_scheme: Annotated[str, doc("Kept for clients of Vault.")] = ""
    auto_join_port: Annotated[Natural, doc("Kept for clients of Vault.")] = 0
    leader_ca_cert: Annotated[str, doc("PEM: who vouches for the leader's certificate.")] = ""
    leader_client_cert: Annotated[str, doc("PEM: this node's certificate, for a leader that asks for one.")] = ""
    leader_client_key: Annotated[str, doc("PEM: its key.")] = ""
    leader_tls_servername: Annotated[str, doc("Name that the leader's certificate is held against.")] = ""
    retry: Annotated[bool, doc("Try again until it is done.")] = False
    non_voter: Annotated[bool, doc("Follow the log without a vote.")] = False


class ChallengeInput(Input, frozen=True):
    server_id: Annotated[str, doc("Id of the node that wants to join.")] = ""


class AnswerInput(Input, frozen=True):
    server_id: Annotated[str, doc("Id of the node that wants to join.")] = ""
    raft_id: Annotated[Natural, doc("Number of its log.")] = 0
    answer: Annotated[str, doc("What the challenge held, in base64.")] = ""
    cluster_addr: Annotated[str, doc("Its cluster address, host:port.")] = ""
    non_voter: Annotated[bool, doc("Follow the log without a vote.")] = False


class ServerInput(Input, frozen=True):
    server_id: Annotated[str, doc("Id of the node.")] = ""
    dr_operation_token: Annotated[str, doc("Kept for clients of Vault.")] = ""


class ServerOut(Output, frozen=True):
    node_id: str
    address: str
    leader: bool
    voter: bool
    protocol_version: str = "3"


class Members(Output, frozen=True):
    servers: tuple[ServerOut, ...]
    index: int


class ConfigurationOut(Output, frozen=True):
    config: Members


def bootstrap(txn: Txn, args: Anything, ctx: Context) -> Response:
    """Say that there is nothing to begin: an integrated storage is there from the initialisation on, and none stands beside another one."""
    if ctx.facts.sealed:
        raise BadRequest("node must be unsealed to bootstrap")
    if ctx.facts.storage_type != "raft":
        raise BadRequest("raft backend not in use")
    raise BadRequest("could not bootstrap clustered storage: error bootstrapping cluster: cluster already has state")


def join(txn: Txn, args: JoinInput, ctx: Context) -> Perform:
    """Make this node a member of a cluster."""
    require_raft(ctx)
    if args.auto_join_scheme not in ("", "http", "https"):
        raise BadRequest(f'invalid scheme "{args.auto_join_scheme[:64]}"; must either be http or https')
    if args.auto_join:
        raise BadRequest("auto_join is not supported: nodes are not discovered, name one by leader_api_addr")
    if not args.leader_api_addr:
        raise BadRequest("leader_api_addr is required: the API address of a node of the cluster")
    return Perform(Join(
        leader_api_addr=args.leader_api_addr, leader_ca_cert=args.leader_ca_cert, leader_client_cert=args.leader_client_cert,
        leader_client_key=Secret(args.leader_client_key.encode()) if args.leader_client_key else None,
        leader_tls_servername=args.leader_tls_servername, retry=args.retry, non_voter=args.non_voter))


def challenge(txn: Txn, args: ChallengeInput, ctx: Context) -> Perform:
    """Give a node that wants to join something that only this cluster's seal opens."""
    require_raft(ctx)
    return Perform(ChallengeJoiner(server_id=_server(args.server_id)))


def answer(txn: Txn, args: AnswerInput, ctx: Context) -> Perform:
    """Take the answer to a challenge: the node becomes a member."""
    require_raft(ctx)
    if not args.answer:
        raise BadRequest("no answer provided")
    if not args.cluster_addr:
        raise BadRequest("no cluster_addr provided")
    if len(args.answer) > JOIN_ANSWER_MAX_BYTES or len(args.cluster_addr) > JOIN_ANSWER_MAX_BYTES:
        raise BadRequest(f"answer and cluster_addr have at most {JOIN_ANSWER_MAX_BYTES} characters")
    if args.raft_id < 1:
        raise BadRequest("no raft_id provided")
    try:
        answered = base64.b64decode(args.answer, validate=True)
    except (binascii.Error, ValueError):
        raise BadRequest("could not base64 decode answer") from None
    return Perform(AdmitJoiner(server_id=_server(args.server_id), raft_id=args.raft_id, cluster_addr=args.cluster_addr, answer=answered,
                               non_voter=args.non_voter))


def configuration(txn: Txn, args: Anything, ctx: Context) -> Response:
    """Show the members, as this node's own log has them."""
    require_raft(ctx)
    raft = _raft(ctx)
    servers = tuple(ServerOut(node_id=member.id, address=member.address, leader=member.id == raft.leader, voter=member.voter)
                    for member in sorted(raft.members, key=lambda member: member.id))
    return Response(data=ConfigurationOut(config=Members(index=raft.index, servers=servers)))


def remove_peer(txn: Txn, args: ServerInput, ctx: Context) -> Response:
    """Take a node out of the cluster."""
    return _change(txn, args, ctx, "remove")


def promote(txn: Txn, args: ServerInput, ctx: Context) -> Response:
    """Give a node that only follows a vote."""
    return _change(txn, args, ctx, "promote")


def demote(txn: Txn, args: ServerInput, ctx: Context) -> Response:
    """Take a node's vote away."""
    return _change(txn, args, ctx, "demote")


def _change(txn: Txn, args: ServerInput, ctx: Context, change: str) -> Response:
    require_raft(ctx)
    node = NodeId(_server(args.server_id))
    txn.need(Place.ACTIVE, Why.EFFECT)
    member = next((member for member in _raft(ctx).members if member.id == node), None)
    if member is None:
        if change == "remove":                       # done already, as in Vault: whoever removes it twice is not to be told of a failure
            return Response(warnings=(f"no member has the id {node}",))
        raise BadRequest(f"no member has the id {node}")
    autopilot.keep_without_vote(txn, node, without=change == "demote")       # or it would be given its vote again
    ctx.effect(ChangeMembership(node=node, raft_id=member.raft_id, change=change))
    return Response()


def _raft(ctx: Context) -> RaftFacts:
    if ctx.facts.raft is None:
        raise UnavailableError("this node's log is not running")
    return ctx.facts.raft


def _server(server_id: str) -> str:
    if not server_id:
        raise BadRequest("no server_id provided")
    if len(server_id) > SERVER_ID_MAX:
        raise BadRequest(f"server_id has at most {SERVER_ID_MAX} characters")
    return server_id


def save_snapshot(txn: Txn, args: Anything, ctx: Context) -> Perform:
    """Give the state of the cluster as an archive."""
    require_raft(ctx)
    return Perform(SaveSnapshot())


def restore_snapshot(txn: Txn, args: Anything, ctx: Context) -> Perform:
    """Put the state of an archive of this cluster in the place of all that is there."""
    return _restore(ctx, force=False)


def force_snapshot(txn: Txn, args: Anything, ctx: Context) -> Perform:
    """Put the state of any archive in the place of all that is there."""
    return _restore(ctx, force=True)


def _restore(ctx: Context, *, force: bool) -> Perform:
    require_raft(ctx)
    if not ctx.request.upload:
        raise BadRequest("no snapshot provided: the body is the archive")
    return Perform(RestoreSnapshot(upload=ctx.request.id, force=force))


ROUTES = (
    Route("storage/raft/join", "Joining a cluster.", {
        Method.POST: on(JoinInput, join, public=True, sealed=True, local=True, any_case=True),
    }),
    Route("storage/raft/bootstrap", "Beginning a cluster.", {Method.POST: on(Anything, bootstrap, public=True, sealed=True, local=True)}),
    Route("storage/raft/bootstrap/challenge", "What a node that joins has to open.", {
        Method.POST: on(ChallengeInput, challenge, public=True),
    }),
    Route("storage/raft/bootstrap/answer", "The proof that it was opened.", {Method.POST: on(AnswerInput, answer, public=True)}),
    Route("storage/raft/configuration", "The nodes of the cluster.", {Method.GET: on(Anything, configuration)}),
    Route("storage/raft/remove-peer", "Removing a node from the cluster.", {Method.POST: on(ServerInput, remove_peer)}),
    Route("storage/raft/promote", "Giving a node a vote.", {Method.POST: on(ServerInput, promote)}),
    Route("storage/raft/demote", "Taking a node's vote away.", {Method.POST: on(ServerInput, demote)}),
    Route("storage/raft/snapshot", "The state of the cluster as a file.", {
        Method.GET: on(Anything, save_snapshot), Method.POST: on(Anything, restore_snapshot, any_body=True),
    }),
    Route("storage/raft/snapshot-force", "The state of the cluster from any file.", {
        Method.POST: on(Anything, force_snapshot, any_body=True),
    }),
    *autopilot.ROUTES,
)
