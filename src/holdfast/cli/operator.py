"""`operator …`: initialising, unsealing, sealing, keys and the cluster."""
from __future__ import annotations

from datetime import UTC, datetime

from holdfast.cli.client import Client
from holdfast.cli.command import Command, Session, options
from holdfast.cli.errors import ExchangeError, Explained
from holdfast.cli.flags import Flag, Kind
from holdfast.cli.json_text import Json, Record, encode, parse
from holdfast.cli.layout import columns, table
from holdfast.cli.output import output_data
from holdfast.cli.secret import Object, mapping, number, parse_secret, text
from holdfast.cli.status import print_status, seal_status


def _unseal(session: Session) -> int:
    args = session.arguments(0, 1, expected="1")
    client = session.client()
    if session.flags.switch("reset"):
        with Explained("Error resetting unseal process"):
            seal = seal_status(client.call("PUT", "sys/unseal", {"reset": True}))
        return print_status(session.ui, client, seal)
    key = args[0].strip() if args else ""
    if not key:
        instead = "Run the command at a terminal; if there is none, the key can be given as its argument."
        key = session.ask_secret("Unseal Key (will be hidden): ", what="unseal key", instead=instead).strip()
    body: Json = {"key": key, "reset": False, "migrate": session.flags.switch("migrate")}
    with Explained("Error unsealing"):
        seal = seal_status(client.call("PUT", "sys/unseal", body))
    return print_status(session.ui, client, seal)


def _seal(session: Session) -> int:
    session.arguments(0, 0)
    client = session.client()
    with Explained("Error sealing"):
        client.call("PUT", "sys/seal")
    session.ui.output("Success! Vault is sealed.")
    return 0


def _step_down(session: Session) -> int:
    session.arguments(0, 0)
    client = session.client()
    with Explained("Error stepping down"):
        client.call("PUT", "sys/step-down")
    session.ui.output(f"Success! Stepped down: {client.address}")
    return 0


def _key_status(session: Session) -> int:
    session.arguments(0, 0)
    return _print_key_status(session, session.client())


def _print_key_status(session: Session, client: Client, *, first: str = "") -> int:
    with Explained("Error reading key status"):
        secret = parse_secret(client.call("GET", "sys/key-status").body)
        if secret is None or secret.data is None:
            raise ExchangeError("data from server response is empty")
    term, installed, count = number(secret["term"]), text(secret["install_time"]), number(secret["encryptions"])
    if not session.ui.is_table:
        return output_data(session.ui, Record(term=term, install_time=installed, encryptions=count))
    if first:
        session.ui.output(first)
        session.ui.output("")
    session.ui.output(columns((("Key Term", str(term)), ("Install Time", _rfc822(installed)), ("Encryption Count", str(count)))))
    return 0


def _rfc822(time: str) -> str:
    """`21 Nov 26 08:00 UTC`."""
    try:
        at = datetime.fromisoformat(time[:19] + "+00:00") if time.endswith("Z") else datetime.fromisoformat(time).astimezone(UTC)
    except ValueError:
        return time
    return f"{at:%d} {_MONTHS[at.month - 1]} {at:%y %H:%M} UTC"


_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def _rotate(session: Session) -> int:
    session.arguments(0, 0)
    client = session.client()
    with Explained("Error rotating key"):
        client.call("POST", "sys/rotate")
    return _print_key_status(session, client, first="Success! Rotated key")


def _members(session: Session) -> int:
    client = session.client()
    with Explained(""):
        answer = mapping(parse(client.call("GET", "sys/ha-status").body)) or {}
    listed = answer.get("nodes")
    nodes = [mapping(node) or {} for node in listed] if isinstance(listed, list) else []
    if not session.ui.is_table:
        return output_data(session.ui, Record(Nodes=[_member_json(node) for node in nodes]))
    header = ("Host Name", "API Address", "Cluster Address", "Active Node", "Version", "Upgrade Version", "Redundancy Zone", "Last Echo")
    session.ui.output(table(header, [_member_row(node) for node in nodes]))
    return 0


def _member_json(node: Object) -> Record:
    return Record(
        hostname=text(node.get("hostname")),
        api_address=text(node.get("api_address")),
        cluster_address=text(node.get("cluster_address")),
        active_node=node.get("active_node") is True,
        last_echo=text(node.get("last_echo")) or None,
        echo_duration_ms=number(node.get("echo_duration_ms")),
        clock_skew_ms=number(node.get("clock_skew_ms")),
        version=text(node.get("version")),
        **{name: text(node.get(name)) for name in ("upgrade_version", "redundancy_zone") if node.get(name)},
        replication_primary_canary_age_ms=number(node.get("replication_primary_canary_age_ms")),
    )


def _member_row(node: Object) -> list[str]:
    date, _, fraction = text(node.get("last_echo")).partition(".")
    echo = date + fraction.lstrip("0123456789")
    addresses = [text(node.get(name)) for name in ("hostname", "api_address", "cluster_address")]
    rest = [text(node.get(name)) for name in ("version", "upgrade_version", "redundancy_zone")]
    return [*addresses, encode(node.get("active_node") is True), *rest, echo]


COMMANDS = (
    Command(
        name="operator",
        synopsis="Perform operator-specific tasks",
        usage="<subcommand> [options] [args]",
        text="What those do who run the servers.",
        examples=(("Unseal:", "holdfast operator unseal"),),
    ),
    Command(
        name="operator unseal",
        synopsis="Unseals the server",
        usage="[options] [KEY]",
        text="Gives the server one key share. Without KEY it is asked for, and not shown.",
        examples=(("Unseal:", "holdfast operator unseal"),),
        options=options(
            Flag(name="reset", kind=Kind.SWITCH, text="Forget the shares given so far."),
            Flag(name="migrate", kind=Kind.SWITCH, text="The share is given for moving to another seal."),
        ),
        run=_unseal,
    ),
    Command(
        name="operator seal",
        synopsis="Seals the server",
        usage="[options]",
        text="Makes the server forget its keys: it serves nothing until it is unsealed again.",
        examples=(("Seal:", "holdfast operator seal"),),
        options=options(format=False),
        run=_seal,
    ),
    Command(
        name="operator step-down",
        synopsis="Forces the active node to resign",
        usage="[options]",
        text="Makes the active node give way to another node of its cluster.",
        examples=(("Step down:", "holdfast operator step-down"),),
        options=options(format=False),
        run=_step_down,
    ),
    Command(
        name="operator members",
        synopsis="Returns the list of nodes in the cluster",
        usage="[options]",
        text="Lists the nodes of the cluster.",
        examples=(("List:", "holdfast operator members"),),
        options=options(),
        run=_members,
    ),
    Command(
        name="operator key-status",
        synopsis="Provides information about the active encryption key",
        usage="[options]",
        text="Prints number and age of the key that new values are encrypted with.",
        examples=(("Print:", "holdfast operator key-status"),),
        options=options(),
        run=_key_status,
    ),
    Command(
        name="operator rotate",
        synopsis="Rotates the underlying encryption key",
        usage="[options]",
        text="Makes a new key for all values written from now on; older keys stay for what they have encrypted.",
        examples=(("Rotate:", "holdfast operator rotate"),),
        options=options(),
        run=_rotate,
    ),
)
