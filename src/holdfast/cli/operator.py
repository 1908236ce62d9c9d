"""`operator …`: initialising, unsealing, sealing, keys and the cluster."""
from __future__ import annotations

from datetime import UTC, datetime

from holdfast.cli.client import Client
from holdfast.cli.command import Command, Session, options
from holdfast.cli.errors import USAGE, ExchangeError, Explained, Failure
from holdfast.cli.flags import Flag, Flags, Kind
from holdfast.cli.json_text import Json, Record, encode, parse
from holdfast.cli.output import Ui, columns, output_data, table, wrap
from holdfast.cli.secret import Object, mapping, number, parse_secret, strings, text
from holdfast.cli.status import print_status, seal_status

_SHARES = 5
_THRESHOLD = 3
_PGP = ("pgp-keys", "root-token-pgp-key", "recovery-pgp-keys")


def _init(session: Session) -> int:
    session.arguments(0, 0)
    flags = session.flags
    for name in _PGP:
        if flags.string(name):
            raise Failure(f"-{name} is not supported: keys and tokens are not encrypted with PGP", USAGE)
    if flags.switch("consul-auto"):
        raise Failure("-consul-auto is not supported: name the server with -address", USAGE)
    client = session.client()
    if flags.switch("status"):
        return _init_status(session, client)
    with Explained(""):
        seal = seal_status(client.using(show=False).call("GET", "sys/seal-status"))
    asked = _asked(flags, recovery=seal.get("recovery_seal") is True)
    with Explained("Error initializing"):
        answer = mapping(parse(client.call("PUT", "sys/init", asked).body)) or {}
    if not session.ui.is_table:
        return output_data(session.ui, _init_json(asked, answer))
    _print_keys(session.ui, asked, answer)
    return 0


def _init_status(session: Session, client: Client) -> int:
    """Exit codes of its own: 0 initialised, 2 not, 1 error."""
    with Explained("Error checking init status", USAGE):
        answer = mapping(parse(client.call("GET", "sys/init").body)) or {}
    is_done = answer.get("initialized") is True
    if session.ui.is_table:
        session.ui.output("Vault is initialized" if is_done else "Vault is not initialized")
    else:
        output_data(session.ui, Record(initialized=is_done))
    return 0 if is_done else 2


def _asked(flags: Flags, *, recovery: bool) -> dict[str, Json]:
    """The request. Where nothing is said of shares, five and three of the kind that this seal has."""

    def count(name: str, default: int, *, applies: bool) -> int:
        return flags.integer(name) or (default if applies else 0)

    return {
        "secret_shares": count("key-shares", _SHARES, applies=not recovery),
        "secret_threshold": count("key-threshold", _THRESHOLD, applies=not recovery),
        "stored_shares": 0,
        "pgp_keys": None,
        "recovery_shares": count("recovery-shares", _SHARES, applies=recovery),
        "recovery_threshold": count("recovery-threshold", _THRESHOLD, applies=recovery),
        "recovery_pgp_keys": None,
        "root_token_pgp_key": "",
    }


def _init_json(asked: Object, answer: Object) -> Record:
    keys = strings(answer.get("keys")) or ()
    return Record(
        unseal_keys_b64=strings(answer.get("keys_base64")) or (),
        unseal_keys_hex=keys,
        unseal_shares=asked["secret_shares"] if keys else 1,
        unseal_threshold=asked["secret_threshold"] if keys else 1,
        recovery_keys_b64=strings(answer.get("recovery_keys_base64")) or (),
        recovery_keys_hex=strings(answer.get("recovery_keys")) or (),
        recovery_keys_shares=asked["recovery_shares"],
        recovery_keys_threshold=asked["recovery_threshold"],
        root_token=text(answer.get("root_token")),
    )


def _print_keys(ui: Ui, asked: Object, answer: Object) -> None:
    for title, hexadecimal, base64 in (("Unseal", "keys", "keys_base64"), ("Recovery", "recovery_keys", "recovery_keys_base64")):
        for at, key in enumerate(strings(answer.get(base64)) or strings(answer.get(hexadecimal)) or (), 1):
            ui.output(f"{title} Key {at}: {key}")
    ui.output("")
    ui.output(f"Initial Root Token: {text(answer.get('root_token'))}")
    ui.output("")
    if strings(answer.get("keys")):
        shares, threshold = number(asked["secret_shares"]), number(asked["secret_threshold"])
        ui.output(
            wrap(
                f"Vault initialized with {shares} key shares and a key threshold of {threshold}. Give the shares printed above to "
                f"different people, over a safe way: after each start, and after each sealing, {threshold} of them are needed to unseal."
            )
        )
        ui.output("")
        ui.output(
            wrap(
                f"The root key itself is stored nowhere in the open. Whoever has fewer than {threshold} of the shares can never unseal "
                "this server again, and nothing in it can be read any more."
            )
        )
    else:
        ui.output("Success! Vault is initialized")
    if strings(answer.get("recovery_keys")):
        shares, threshold = number(asked["recovery_shares"]), number(asked["recovery_threshold"])
        ui.output("")
        ui.output(
            wrap(
                f"Recovery key initialized with {shares} key shares and a key threshold of {threshold}. Give the shares printed above to "
                "different people, over a safe way."
            )
        )


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
        version=text(node.get("version")),
        **{name: text(node.get(name)) for name in ("upgrade_version", "redundancy_zone") if node.get(name)},
    )


def _member_row(node: Object) -> list[str]:
    date, _, fraction = text(node.get("last_echo")).partition(".")
    echo = date + fraction.lstrip("0123456789")
    addresses = [text(node.get(name)) for name in ("hostname", "api_address", "cluster_address")]
    rest = [text(node.get(name)) for name in ("version", "upgrade_version", "redundancy_zone")]
    return [*addresses, encode(node.get("active_node") is True), *rest, echo]


_INIT = (
    Flag(name="status", kind=Kind.SWITCH, text="Only say whether the server is initialised; exit code 0: it is, 2: it is not, 1: error."),
    Flag(name="key-shares", kind=Kind.INTEGER, aliases=("n",), text="Shares that the unseal key is split into; 5 if it is not given."),
    Flag(name="key-threshold", kind=Kind.INTEGER, aliases=("t",), text="Shares that are needed to unseal; 3 if it is not given."),
    Flag(name="pgp-keys", kind=Kind.STRING, text="Not supported."),
    Flag(name="root-token-pgp-key", kind=Kind.STRING, text="Not supported."),
    Flag(name="recovery-shares", kind=Kind.INTEGER, text="As -key-shares, of the recovery key that there is with auto-unseal."),
    Flag(name="recovery-threshold", kind=Kind.INTEGER, text="As -key-threshold, of the recovery key."),
    Flag(name="recovery-pgp-keys", kind=Kind.STRING, text="Not supported."),
    Flag(name="stored-shares", kind=Kind.INTEGER, default=-1, hidden=True, text="Without effect."),
    Flag(name="consul-auto", kind=Kind.SWITCH, hidden=True, text="Not supported."),
)

COMMANDS = (
    Command(
        name="operator",
        synopsis="Perform operator-specific tasks",
        usage="<subcommand> [options] [args]",
        text="What those do who run the servers.",
        examples=(("Unseal:", "holdfast operator unseal"),),
    ),
    Command(
        name="operator init",
        synopsis="Initializes a server",
        usage="[options]",
        text="Initialises an empty server: makes its keys, and prints the key shares and the first root token. They are shown only now.",
        examples=(("With a single key, for a try:", "holdfast operator init -key-shares=1 -key-threshold=1"),),
        options=options(*_INIT),
        run=_init,
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
