"""`operator raft autopilot …`: how the members are doing, and what is done about it."""
from __future__ import annotations

from collections.abc import Iterator

from holdfast.cli.client import Client
from holdfast.cli.command import Command, Session, options
from holdfast.cli.durations import format_duration
from holdfast.cli.errors import USAGE, Explained, Failure
from holdfast.cli.flags import Flag, Kind
from holdfast.cli.json_text import Json, Record, encode
from holdfast.cli.layout import table
from holdfast.cli.output import output_data, output_secret
from holdfast.cli.secret import Object, mapping, number, strings, text

PRETTY = "pretty"
_STATE, _CONFIG = "sys/storage/raft/autopilot/state", "sys/storage/raft/autopilot/configuration"
_SERVER_FIELDS = (
    ("ID", "id"), ("Name", "name"), ("Address", "address"), ("NodeStatus", "node_status"), ("LastContact", "last_contact"),
    ("LastTerm", "last_term"), ("LastIndex", "last_index"), ("Healthy", "healthy"), ("StableSince", "stable_since"), ("Status", "status"),
    ("Version", "version"), ("UpgradeVersion", "upgrade_version"), ("RedundancyZone", "redundancy_zone"), ("NodeType", "node_type"),
)
_SERVER_LINES = (
    ("Name", "name"), ("Address", "address"), ("Status", "status"), ("Node Status", "node_status"), ("Healthy", "healthy"),
    ("Last Contact", "last_contact"), ("Last Term", "last_term"), ("Last Index", "last_index"), ("Version", "version"),
)
_SERVER_MAYBE = (("Upgrade Version", "upgrade_version"), ("Redundancy Zone", "redundancy_zone"), ("Node Type", "node_type"))
_NUMBERS = frozenset(("last_term", "last_index"))
_CONFIG_ROWS = (
    ("Cleanup Dead Servers", "cleanup_dead_servers"), ("Last Contact Threshold", "last_contact_threshold"),
    ("Dead Server Last Contact Threshold", "dead_server_last_contact_threshold"),
    ("Server Stabilization Time", "server_stabilization_time"), ("Min Quorum", "min_quorum"), ("Max Trailing Logs", "max_trailing_logs"),
    ("Disable Upgrade Migration", "disable_upgrade_migration"),
)
_DURATIONS = ("last-contact-threshold", "dead-server-last-contact-threshold", "server-stabilization-time")


def _state(session: Session) -> int:
    _no_arguments(session)
    client = session.client()
    with Explained("Error checking autopilot state"):
        data = _data(client, _STATE)
    if data is None:
        return 0
    asked = session.flags.given("format") or bool(session.env.get("VAULT_FORMAT"))
    if session.ui.format == PRETTY or not asked:
        session.ui.output("".join(f"{line}\n" for line in _pretty(data)))
        return 0
    if session.ui.is_table:
        raise Failure("Could not parse output: cannot use the table formatter for this type", USAGE)
    return output_data(session.ui, _to_json(data))


def _pretty(data: Object) -> Iterator[str]:
    yield f"{'Healthy:':33}{_shown(data, 'healthy')}"
    yield f"{'Failure Tolerance:':33}{number(data.get('failure_tolerance'))}"
    yield f"{'Leader:':33}{text(data.get('leader'))}"
    for title, name in (("Voters:", "voters"), ("Non Voters:", "non_voters")):
        names = strings(data.get(name)) or ()
        if names or name == "voters":
            yield title
            yield from (f"   {each}" for each in names)
    if number(data.get("optimistic_failure_tolerance")) > 0:
        yield f"{'Optimistic Failure Tolerance:':33}{number(data.get('optimistic_failure_tolerance'))}"
    yield "Servers:"
    for id, server in _servers(data):
        yield f"   {text(server.get('id')) or id}"
        shown = (*_SERVER_LINES, *((title, name) for title, name in _SERVER_MAYBE if text(server.get(name))))
        yield from (f"      {title + ':':19}{_shown(server, name)}" for title, name in shown)


def _to_json(data: Object) -> Record:
    return Record(
        Healthy=data.get("healthy") is True,
        FailureTolerance=number(data.get("failure_tolerance")),
        Servers=Record({id: Record({title: _typed(server, name) for title, name in _SERVER_FIELDS}) for id, server in _servers(data)}),
        Leader=text(data.get("leader")),
        Voters=strings(data.get("voters")),
        NonVoters=strings(data.get("non_voters")),
        RedundancyZones=data.get("redundancy_zones"),
        Upgrade=data.get("upgrade_info"),
        OptimisticFailureTolerance=number(data.get("optimistic_failure_tolerance")),
    )


def _servers(data: Object) -> list[tuple[str, Object]]:
    listed = mapping(data.get("servers")) or {}
    return [(id, mapping(listed[id]) or {}) for id in sorted(listed)]


def _typed(server: Object, name: str) -> Json:
    if name == "healthy":
        return server.get(name) is True
    return number(server.get(name)) if name in _NUMBERS else text(server.get(name))


def _shown(source: Object, name: str) -> str:
    value = _typed(source, name)
    return value if isinstance(value, str) else encode(value)


def _get_config(session: Session) -> int:
    _no_arguments(session)
    client = session.client()
    with Explained(""):
        data = _data(client, _CONFIG)
    if data is None:
        return 0
    if not session.ui.is_table:
        return output_data(session.ui, data)
    session.ui.output(table(("Key", "Value"), [(title, _value(data.get(name))) for title, name in _CONFIG_ROWS]))
    return 0


def _value(value: Json) -> str:
    return value if isinstance(value, str) else encode(value)


def _set_config(session: Session) -> int:
    _no_arguments(session)
    flags = session.flags
    data: dict[str, Json] = {}
    if flags.given("cleanup-dead-servers"):
        data["cleanup_dead_servers"] = flags.switch("cleanup-dead-servers")
    for name in ("max-trailing-logs", "min-quorum"):
        if flags.integer(name) < 0:
            raise Failure(f'invalid value "{flags.integer(name)}" for flag -{name}: a number from 0 up', USAGE)
        if flags.integer(name):
            data[name.replace("-", "_")] = flags.integer(name)
    for name in _DURATIONS:
        if flags.integer(name) > 0:
            data[name.replace("-", "_")] = format_duration(flags.integer(name))
    client = session.client()
    with Explained(""):
        secret = client.write(_CONFIG, data)
    return 0 if secret is None else output_secret(session.ui, secret)


def _no_arguments(session: Session) -> None:
    if session.args:
        raise Failure(f"Incorrect arguments (expected 0, got {len(session.args)})", USAGE)


def _data(client: Client, path: str) -> Object | None:
    secret = client.read(path)
    return None if secret is None else secret.data


COMMANDS = (
    Command(
        name="operator raft autopilot",
        synopsis="Interact with autopilot of the raft storage",
        usage="<subcommand> [options] [args]",
        text="How the members of an integrated storage are doing, who is given a vote and who is removed.",
        examples=(("Show:", "holdfast operator raft autopilot state"),),
    ),
    Command(
        name="operator raft autopilot state",
        synopsis="Displays the state of the cluster as seen by autopilot",
        usage="[options]",
        text="Prints how the members of the cluster are doing.",
        examples=(("Show:", "holdfast operator raft autopilot state"),),
        options=options(),
        run=_state,
    ),
    Command(
        name="operator raft autopilot get-config",
        synopsis="Returns the configuration of autopilot",
        usage="[options]",
        text="Prints when members count as healthy, when they are given a vote, and when they are removed.",
        examples=(("Print:", "holdfast operator raft autopilot get-config"),),
        options=options(),
        run=_get_config,
    ),
    Command(
        name="operator raft autopilot set-config",
        synopsis="Modifies the configuration of autopilot",
        usage="[options]",
        text="Changes what get-config prints; what no flag names stays as it is.",
        examples=(("Change:", "holdfast operator raft autopilot set-config -server-stabilization-time=30s"),),
        options=options(
            Flag(name="cleanup-dead-servers", kind=Kind.SWITCH, text="Remove members that are dead."),
            Flag(name="last-contact-threshold", kind=Kind.DURATION, text="For how long a member may not be heard of and be healthy."),
            Flag(name="dead-server-last-contact-threshold", kind=Kind.DURATION, text="After how long unheard of a member is dead."),
            Flag(name="max-trailing-logs", kind=Kind.INTEGER, text="By how many entries a member may be behind and be healthy."),
            Flag(name="min-quorum", kind=Kind.INTEGER, text="How many voters the removal of dead members leaves at least."),
            Flag(name="server-stabilization-time", kind=Kind.DURATION, text="For how long a member is healthy before it is given a vote."),
        ),
        run=_set_config,
    ),
)
