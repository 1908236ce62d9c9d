"""`operator raft …`: the members of an integrated storage."""
from __future__ import annotations

from pathlib import Path

from holdfast.cli.client import Client
from holdfast.cli.command import Command, Session, options
from holdfast.cli.errors import USAGE, ExchangeError, Explained, Failure
from holdfast.cli.flags import Flag, Kind
from holdfast.cli.json_text import Json, Record, encode, parse
from holdfast.cli.layout import table
from holdfast.cli.output import output_data
from holdfast.cli.secret import Object, mapping, text


def _join(session: Session) -> int:
    args = session.arguments(0, 1, expected="0-1")
    leader = args[0].strip() if args else ""
    flags = session.flags
    scheme = flags.string("auto-join-scheme")
    if scheme not in ("http", "https"):
        raise Failure(f'invalid scheme "{scheme}"; must either be http or https', USAGE)
    discovers = "provider=" in leader
    body = Record(
        auto_join=leader if discovers else "",
        auto_join_scheme=scheme if discovers else "",
        auto_join_port=flags.integer("auto-join-port") if discovers else 0,
        leader_api_addr="" if discovers else leader,
        leader_ca_cert=_contents(flags.string("leader-ca-cert"), "leader CA certificate"),
        leader_client_cert=_contents(flags.string("leader-client-cert"), "leader client certificate"),
        leader_client_key=_contents(flags.string("leader-client-key"), "leader client key"),
        retry=flags.switch("retry"),
        non_voter=flags.switch("non-voter"),
    )
    client = session.client()
    with Explained("Error joining the node to the Raft cluster"):
        answer = mapping(parse(client.call("POST", "sys/storage/raft/join", body).body)) or {}
    joined = answer.get("joined") is True
    if not session.ui.is_table:
        return output_data(session.ui, Record(joined=joined))
    session.ui.output(table(("Key", "Value"), [("Joined", encode(joined))]))
    return 0


def _contents(given: str, what: str) -> str:
    """What is given, or the file that `@name` names."""
    if not given.startswith("@"):
        return given
    try:
        return Path(given[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"Failed to parse {what}: {error}", USAGE) from error


def _list_peers(session: Session) -> int:
    client = session.client()
    with Explained("Error reading the raft cluster configuration"):
        secret = client.read("sys/storage/raft/configuration")
    if secret is None:
        raise Failure("No raft cluster configuration found", 2)
    if not session.ui.is_table:
        return output_data(session.ui, secret.to_json())
    with Explained("Error reading the raft cluster configuration"):
        servers = _servers(secret["config"])
    session.ui.output(table(("Node", "Address", "State", "Voter"), [_peer_row(server) for server in servers]))
    return 0


def _servers(config: Json) -> list[Object]:
    listed = (mapping(config) or {}).get("servers")
    if not isinstance(listed, list):
        raise ExchangeError("the answer names no servers")
    return [mapping(server) or {} for server in listed]


def _peer_row(server: Object) -> tuple[str, ...]:
    state = "leader" if server.get("leader") is True else "follower"
    return text(server.get("node_id")), text(server.get("address")), state, encode(server.get("voter") is True)


def _remove_peer(session: Session) -> int:
    return _change(session, "remove-peer", "Error removing the peer from raft cluster", "Peer removed successfully!")


def _promote(session: Session) -> int:
    return _change(session, "promote", "Error promoting server", "Server promoted successfully!")


def _demote(session: Session) -> int:
    return _change(session, "demote", "Error demoting server", "Server demoted successfully!")


def _change(session: Session, change: str, problem: str, success: str) -> int:
    if len(session.args) != 1:
        raise Failure(f"Incorrect arguments (expected 1, got {len(session.args)})", USAGE)
    server = session.args[0].strip()
    if not server:
        raise Failure("Server id is required", USAGE)
    client: Client = session.client()
    with Explained(problem):
        client.write(f"sys/storage/raft/{change}", {"server_id": server})
    session.ui.output(success)
    return 0


def _of_leader(name: str, what: str) -> Flag:
    return Flag(name=name, kind=Kind.STRING, text=f"{what}, as PEM; @file reads it from a file.")


COMMANDS = (
    Command(
        name="operator raft",
        synopsis="Interact with Vault's raft storage backend",
        usage="<subcommand> [options] [args]",
        text="The members of an integrated storage.",
        examples=(("List:", "holdfast operator raft list-peers"),),
    ),
    Command(
        name="operator raft join",
        synopsis="Joins a node to the Raft cluster",
        usage="[options] LEADER-API-ADDR",
        text="Makes the node that is asked a member of the cluster to which the node at LEADER-API-ADDR belongs. With key shares, the node "
        "must then be unsealed with those of that cluster.",
        examples=(("Join:", "holdfast operator raft join https://node1.example:8200"),),
        options=options(
            Flag(name="auto-join-scheme", kind=Kind.STRING, default="https", text="Scheme of addresses that are discovered."),
            Flag(name="auto-join-port", kind=Kind.INTEGER, default=8200, text="Port of addresses that are discovered."),
            _of_leader("leader-ca-cert", "Authority that the leader's certificate is verified against"),
            _of_leader("leader-client-cert", "Certificate to show to the leader"),
            _of_leader("leader-client-key", "Private key of -leader-client-cert"),
            Flag(name="retry", kind=Kind.SWITCH, text="Answer at once, and let the node try again until it has joined."),
            Flag(name="non-voter", kind=Kind.SWITCH, text="Join without a vote."),
        ),
        run=_join,
    ),
    Command(
        name="operator raft list-peers",
        synopsis="Returns the Raft peer set",
        usage="[options]",
        text="Lists the members of the cluster, as the node that is asked knows them.",
        examples=(("List:", "holdfast operator raft list-peers"),),
        options=options(),
        run=_list_peers,
    ),
    Command(
        name="operator raft remove-peer",
        synopsis="Removes a node from the Raft cluster",
        usage="[options] SERVER-ID",
        text="Takes a node out of the cluster. Before it can join again, its data must be deleted.",
        examples=(("Remove:", "holdfast operator raft remove-peer node3"),),
        options=options(),
        run=_remove_peer,
    ),
    Command(
        name="operator raft promote",
        synopsis="Promotes a non-voter to a voter",
        usage="[options] SERVER-ID",
        text="Gives a node that only follows the log a vote.",
        examples=(("Promote:", "holdfast operator raft promote node4"),),
        options=options(),
        run=_promote,
    ),
    Command(
        name="operator raft demote",
        synopsis="Demotes a voter to a non-voter",
        usage="[options] SERVER-ID",
        text="Takes a node's vote; it goes on following the log and answering reads.",
        examples=(("Demote:", "holdfast operator raft demote node3"),),
        options=options(),
        run=_demote,
    ),
)
