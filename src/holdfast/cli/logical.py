"""`read`, `write`, `patch`, `delete`, `list`, `unwrap`: any path of the API."""
from __future__ import annotations

from holdfast.cli.command import Command, Session, options
from holdfast.cli.data import Data, parse_data, parse_query
from holdfast.cli.errors import API, USAGE, Explained, Failure
from holdfast.cli.flags import Flag, Kind
from holdfast.cli.output import Ui, output_data, output_list, output_secret, print_field
from holdfast.cli.paths import sanitize
from holdfast.cli.secret import Secret

_FORCE = Flag(name="force", kind=Kind.SWITCH, aliases=("f",), text="Send the request although there is no data; some paths need none.")


def show(session: Session, secret: Secret) -> int:
    """A secret, or the one field of it that was asked for."""
    field = session.flags.string("field") if session.flags.has("field") else ""
    return print_field(session.ui, secret, field) if field else output_secret(session.ui, secret)


def warn_of_mfa(ui: Ui, secret: Secret) -> None:
    if secret.auth is not None and secret.auth.mfa_requirement is not None:
        ui.warn("This login must be validated by a second factor before it gives a token: send the request to sys/mfa/validate.\n")


def _read(session: Session) -> int:
    args = session.arguments(1, None)
    path = sanitize(args[0])
    client = session.client()
    try:
        query = parse_query(args[1:], session.read_stdin)
    except ValueError as error:
        raise Failure(f"Failed to parse K=V data: {error}", USAGE) from error
    if session.ui.format == "raw":
        with Explained(f"Error reading: {path}"):
            body = client.exchange("GET", path, query=query).body
        session.ui.output(body.decode("utf-8", "surrogateescape"))
        return 0
    with Explained(f"Error reading {path}"):
        secret = client.read(path, query)
    if secret is None:
        raise Failure(f"No value found at {path}", API)
    return show(session, secret)


def _data(session: Session) -> tuple[str, Data]:
    """Path and data of a write."""
    args = session.arguments(1, None)
    if len(args) == 1 and not session.flags.switch("force"):
        raise Failure("Must supply data or use -force", USAGE)
    try:
        return sanitize(args[0]), parse_data(args[1:], session.read_stdin)
    except ValueError as error:
        raise Failure(f"Failed to parse K=V data: {error}", USAGE) from error


def _write(session: Session) -> int:
    path, data = _data(session)
    client = session.client()
    with Explained(f"Error writing data to {path}"):
        secret = client.write(path, data or None)
    return _written(session, path, secret)


def _patch(session: Session) -> int:
    path, data = _data(session)
    client = session.client()
    with Explained(f"Error writing data to {path}"):
        secret = client.patch(path, data or None)
    return _written(session, path, secret)


def _written(session: Session, path: str, secret: Secret | None) -> int:
    if secret is None:
        return session.ui.success(f"Success! Data written to: {path}")
    warn_of_mfa(session.ui, secret)
    return show(session, secret)


def _delete(session: Session) -> int:
    args = session.arguments(1, None, expected="at least 1")
    path = sanitize(args[0])
    client = session.client()
    try:
        query = parse_query(args[1:], session.read_stdin)
    except ValueError as error:
        raise Failure(f"Failed to parse string list data: {error}", USAGE) from error
    with Explained(f"Error deleting {path}"):
        secret = client.delete(path, query)
    if secret is None:
        return session.ui.success(f"Success! Data deleted (if it existed) at: {path}")
    return show(session, secret)


def _list(session: Session) -> int:
    path = sanitize(session.arguments(1, 1)[0])
    client = session.client()
    with Explained(f"Error listing {path}"):
        secret = client.list(path)
    return show_list(session.ui, secret, path)


def show_list(ui: Ui, secret: Secret | None, path: str) -> int:
    """The names found, or that there are none (exit code 2)."""
    if secret is not None and secret.wrap_info is not None and secret.wrap_info.ttl:
        return output_secret(ui, secret)
    found = secret is not None and secret.keys() is not None
    if not ui.is_table and not found:
        output_data(ui, {})
        return API
    if secret is None:
        raise Failure(f"No value found at {path}", API)
    if secret.data is None:
        return output_secret(ui, secret)
    if not found:
        raise Failure(f"No entries found at {path}", API)
    return output_list(ui, secret)


def _unwrap(session: Session) -> int:
    args = session.arguments(0, 1, expected="0-1")
    token = args[0].strip() if args else ""
    client = session.client()
    with Explained("Error unwrapping"):
        secret = client.unwrap(token)
    if secret is None:
        return session.ui.success("Successfully unwrapped. There was no data in the wrapped secret.")
    if session.flags.string("field"):
        return show(session, secret)
    return output_list(session.ui, secret) if secret.keys() is not None else show(session, secret)


COMMANDS = (
    Command(
        name="read",
        synopsis="Read data and retrieves secrets",
        usage="[options] PATH [QUERY K=V...]",
        text="Reads the API path PATH: a secret, dynamic credentials, settings. What follows as K=V becomes the query.",
        examples=(("Read a secret of a KV version 1 engine:", "holdfast read secret/my-secret"),),
        options=options(field=True),
        run=_read,
        takes_raw=True,
    ),
    Command(
        name="write",
        synopsis="Write data, configuration, and secrets",
        usage="[options] PATH [DATA K=V...]",
        text="Writes to the API path PATH. A value that begins with @ is read from that file, the value - is read from stdin, and the "
        "argument @FILE or - alone is a whole JSON object. A key given several times becomes a list.",
        examples=(
            ("Store a secret in a KV version 1 engine:", "holdfast write secret/my-secret user=ann password=-"),
            ("Create an encryption key, which needs no data:", "holdfast write -f transit/keys/my-key"),
        ),
        options=options(_FORCE, field=True),
        run=_write,
    ),
    Command(
        name="patch",
        synopsis="Patch data, configuration, and secrets",
        usage="[options] PATH [DATA K=V...]",
        text="As write, but changes only the fields that are given (a JSON merge patch).",
        examples=(("Change one setting of a role:", "holdfast patch pki/roles/web allow_localhost=false"),),
        options=options(_FORCE, field=True),
        run=_patch,
    ),
    Command(
        name="delete",
        synopsis="Delete secrets and configuration",
        usage="[options] PATH [QUERY K=V...]",
        text="Deletes what is at the API path PATH; what that means is up to the engine mounted there.",
        examples=(("Delete a secret of a KV version 1 engine:", "holdfast delete secret/my-secret"),),
        options=options(field=True),
        run=_delete,
    ),
    Command(
        name="list",
        synopsis="List data or secrets",
        usage="[options] PATH",
        text="Lists the names below the API path PATH.",
        examples=(("List the folder my-app of a KV version 1 engine:", "holdfast list secret/my-app"),),
        options=options(detailed=True),
        run=_list,
    ),
    Command(
        name="unwrap",
        synopsis="Unwrap a wrapped secret",
        usage="[options] [TOKEN]",
        text="Gets what was wrapped (-wrap-ttl) and prints it as the first command would have. Without TOKEN the token in use is the "
        "wrapping token.",
        examples=(("Unwrap:", "holdfast unwrap hvs.CAES..."),),
        options=options(field=True),
        run=_unwrap,
    ),
)
