"""`token …`: making, looking at, renewing and revoking tokens."""
from __future__ import annotations

from holdfast.cli.command import Command, Session, options
from holdfast.cli.durations import format_duration, whole_seconds
from holdfast.cli.errors import USAGE, ExchangeError, Explained, Failure
from holdfast.cli.flags import Flag, Flags, Kind
from holdfast.cli.json_text import Json
from holdfast.cli.logical import show
from holdfast.cli.output import output_data, output_secret
from holdfast.cli.secret import Secret, strings

_ACCESSOR = Flag(name="accessor", kind=Kind.SWITCH, text="The argument is an accessor; the token itself is not printed then.")


def _shown(session: Session, secret: Secret | None) -> int:
    return 0 if secret is None else show(session, secret)


def _create(session: Session) -> int:
    session.arguments(0, 0)
    role = session.flags.string("role")
    client = session.client()
    with Explained("Error creating token"):
        secret = client.fetch("POST", f"auth/token/create/{role}" if role else "auth/token/create", _request(session.flags))
    return _shown(session, secret)


def _request(flags: Flags) -> dict[str, Json]:
    """What is asked of the server; empty settings are left out where Vault's client leaves them out."""
    type = flags.string("type")
    optional: dict[str, Json] = {
        "id": flags.string("id"),
        "policies": list(flags.strings("policy")),
        "meta": dict(flags.pairs("metadata")),
        "no_parent": flags.switch("orphan"),
        "no_default_policy": flags.switch("no-default-policy"),
    }
    return {
        **{name: value for name, value in optional.items() if value},
        "ttl": format_duration(flags.integer("ttl")),
        "explicit_max_ttl": format_duration(flags.integer("explicit-max-ttl")),
        "period": format_duration(flags.integer("period")),
        "display_name": flags.string("display-name"),
        "num_uses": flags.integer("use-limit"),
        "renewable": flags.switch("renewable") and type != "batch",
        "type": type,
        "entity_alias": flags.string("entity-alias"),
    }


def _lookup(session: Session) -> int:
    args = session.args
    accessor = session.flags.switch("accessor")
    if accessor and len(args) != 1:
        raise Failure(f"{'Not enough' if not args else 'Too many'} arguments with -accessor (expected 1, got {len(args)})", USAGE)
    session.arguments(0, 1, expected="0-1")
    value = args[0].strip() if args else ""
    client = session.client()
    with Explained("Error looking up token"):
        if not value:
            secret = client.fetch("GET", "auth/token/lookup-self")
        elif accessor:
            secret = client.fetch("POST", "auth/token/lookup-accessor", {"accessor": value})
        else:
            secret = client.fetch("POST", "auth/token/lookup", {"token": value})
    return _shown(session, secret)


def _renew(session: Session) -> int:
    args = session.arguments(0, 1, expected="1")
    value = args[0].strip() if args else ""
    increment = whole_seconds(session.flags.integer("increment"))
    client = session.client()
    with Explained("Error renewing token"):
        if not value:
            secret = client.fetch("PUT", "auth/token/renew-self", {"increment": increment})
        elif session.flags.switch("accessor"):
            secret = client.fetch("POST", "auth/token/renew-accessor", {"accessor": value, "increment": increment})
        else:
            secret = client.fetch("PUT", "auth/token/renew", {"token": value, "increment": increment})
    return 0 if secret is None else output_secret(session.ui, secret)


def _check_revoke(session: Session) -> None:
    """Raises Failure for flags that contradict each other."""
    flags, count = session.flags, len(session.args)
    is_self, mode, accessor = flags.switch("self"), flags.string("mode"), flags.switch("accessor")
    if mode not in ("", "orphan", "path"):
        raise Failure(f"Invalid mode: {mode}", USAGE)
    if is_self and count:
        raise Failure(f"Too many arguments with -self (expected 0, got {count})", USAGE)
    if not is_self:
        session.arguments(1, 1, expected="1 or -self")
    if is_self and (accessor or mode):
        raise Failure(f"Cannot use -self with {'-accessor' if accessor else '-mode'}!", USAGE)
    if accessor and mode:
        raise Failure(f"Cannot use -accessor with -mode={mode}!", USAGE)


def _revoke(session: Session) -> int:
    _check_revoke(session)
    flags = session.flags
    value = session.args[0].strip() if session.args else ""
    client = session.client()
    with Explained("Error revoking token"):
        if flags.switch("self"):
            client.call("PUT", "auth/token/revoke-self")
        elif flags.switch("accessor"):
            client.call("POST", "auth/token/revoke-accessor", {"accessor": value})
        elif flags.string("mode") == "path":
            client.call("PUT", f"sys/leases/revoke-prefix/{value}")
        else:
            path = "auth/token/revoke-orphan" if flags.string("mode") == "orphan" else "auth/token/revoke"
            client.call("PUT", path, {"token": value})
    session.ui.output("Success! Revoked token (if it existed)")
    return 0


def _capabilities(session: Session) -> int:
    accessor, count = session.flags.switch("accessor"), len(session.args)
    if accessor and count != 2:
        raise Failure(f"{'Not enough' if count < 2 else 'Too many'} arguments with -accessor (expected 2, got {count})", USAGE)
    args = session.arguments(1, 2, expected="1-2")
    path = args[-1]
    client = session.client()
    token = args[0] if count == 2 else client.token
    if accessor:
        target, who = "sys/capabilities-accessor", "accessor"
    else:
        target, who = "sys/capabilities-self" if token == client.token else "sys/capabilities", "token"
    with Explained("Error listing capabilities"):
        secret = client.fetch("POST", target, {who: token, "path": path})
        if secret is None or secret.data is None:
            raise ExchangeError("data from server response is empty")
    found = strings(secret[path]) or strings(secret["capabilities"])
    if not found:
        raise Failure("No capabilities found", USAGE)
    if session.ui.is_table:
        session.ui.output(", ".join(sorted(found)))
        return 0
    return output_data(session.ui, found)


_CREATE = (
    Flag(name="id", kind=Kind.STRING, text="The token itself, instead of one that the server makes. Needs sudo."),
    Flag(name="display-name", kind=Kind.STRING, text="Name for people and logs; not secret."),
    Flag(name="ttl", kind=Kind.DURATION, text="How long the token lives unless it is renewed, as 30s or 5m."),
    Flag(name="explicit-max-ttl", kind=Kind.DURATION, text="How long it lives at most, whatever is renewed."),
    Flag(name="period", kind=Kind.DURATION, text="Makes it periodic: each renewal gives it this long again, without end. Needs sudo."),
    Flag(name="renewable", kind=Kind.SWITCH, default=True, text="Whether it can be renewed."),
    Flag(name="orphan", kind=Kind.SWITCH, text="Make it without a parent, so that it outlives the token in use. Needs sudo."),
    Flag(name="no-default-policy", kind=Kind.SWITCH, text='Leave the policy "default" out.'),
    Flag(name="use-limit", kind=Kind.INTEGER, text="How often it can be used; 0: no limit."),
    Flag(name="role", kind=Kind.STRING, text="Token role to make it against; the role may decide some of its settings."),
    Flag(name="type", kind=Kind.STRING, default="service", text='"service" or "batch".'),
    Flag(name="metadata", kind=Kind.PAIRS, text="A key=value pair that goes with it, also into the audit log; may be given several times."),
    Flag(name="policy", kind=Kind.STRINGS, text="A policy that it gets; may be given several times. Without any: those of the parent."),
    Flag(name="entity-alias", kind=Kind.STRING, text="Entity alias that it belongs to; needs -role."),
)

COMMANDS = (
    Command(
        name="token",
        synopsis="Interact with tokens",
        usage="<subcommand> [options] [args]",
        text="Tokens are what every request is allowed or refused by.",
        examples=(("Make a token that lives for an hour:", "holdfast token create -policy=app -ttl=1h"),),
    ),
    Command(
        name="token create",
        synopsis="Create a new token",
        usage="[options]",
        text="Makes a token, a child of the token in use: it is revoked with its parent.",
        examples=(("Make one that can be used twice:", "holdfast token create -policy=app -use-limit=2"),),
        options=options(*_CREATE, field=True),
        run=_create,
    ),
    Command(
        name="token lookup",
        synopsis="Display information about a token",
        usage="[options] [TOKEN | ACCESSOR]",
        text="Prints what the server knows of a token; without an argument, of the token in use.",
        examples=(("By its accessor:", "holdfast token lookup -accessor 9793c9b3..."),),
        options=options(_ACCESSOR, field=True),
        run=_lookup,
    ),
    Command(
        name="token renew",
        synopsis="Renew a token lease",
        usage="[options] [TOKEN]",
        text="Gives a token more time; without an argument, the token in use.",
        examples=(("Ask for half an hour:", "holdfast token renew -increment=30m hvs.CAES..."),),
        options=options(
            _ACCESSOR,
            Flag(name="increment", kind=Kind.DURATION, aliases=("i",), text="Time to ask for, as 30s or 5m; the server need not grant it."),
        ),
        run=_renew,
    ),
    Command(
        name="token revoke",
        synopsis="Revoke a token and its children",
        usage="[options] [TOKEN | ACCESSOR]",
        text="Revokes a token and all below it.",
        examples=(("Revoke the token in use:", "holdfast token revoke -self"),),
        options=options(
            Flag(name="accessor", kind=Kind.SWITCH, text="The argument is an accessor."),
            Flag(name="self", kind=Kind.SWITCH, text="Revoke the token in use."),
            Flag(
                name="mode",
                kind=Kind.STRING,
                text='"orphan": its children stay, without a parent; "path": the argument is a path, all tokens made below it are revoked.',
            ),
            format=False,
        ),
        run=_revoke,
    ),
    Command(
        name="token capabilities",
        synopsis="Print capabilities of a token on a path",
        usage="[options] [TOKEN | ACCESSOR] PATH",
        text="Prints what a token may do at PATH; without TOKEN, the token in use.",
        examples=(("Ask for the token in use:", "holdfast token capabilities secret/data/app"),),
        options=options(Flag(name="accessor", kind=Kind.SWITCH, text="The first argument is an accessor.")),
        run=_capabilities,
    ),
)
