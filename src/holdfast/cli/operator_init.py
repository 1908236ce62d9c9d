"""`operator init`: the keys of a new server, printed once.

1. Key shares and the root token go to stdout and nowhere else.
"""
from __future__ import annotations

from holdfast.cli.client import Client
from holdfast.cli.command import Command, Session, options
from holdfast.cli.errors import USAGE, Explained, Failure
from holdfast.cli.flags import Flag, Flags, Kind
from holdfast.cli.json_text import Json, Record, parse
from holdfast.cli.layout import wrap
from holdfast.cli.output import Ui, output_data
from holdfast.cli.secret import Object, mapping, number, strings, text
from holdfast.cli.status import seal_status

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
        name="operator init",
        synopsis="Initializes a server",
        usage="[options]",
        text="Initialises an empty server: makes its keys, and prints the key shares and the first root token. They are shown only now.",
        examples=(("With a single key, for a try:", "holdfast operator init -key-shares=1 -key-threshold=1"),),
        options=options(*_INIT),
        run=_init,
    ),
)
