"""`policy …`: what tokens may do."""
from __future__ import annotations

import os

from holdfast.cli.command import Command, Session, options
from holdfast.cli.errors import API, USAGE, ApiError, ExchangeError, Explained, Failure
from holdfast.cli.output import output_data
from holdfast.cli.secret import parse_secret, strings, text
from holdfast.errors import BadRequest


def _name(argument: str) -> str:
    return argument.strip().lower()


def _of_file(path: str, error: OSError) -> str:
    return f"open {path}: {(error.strerror or str(error)).lower()}"


def _read(session: Session) -> int:
    name = _name(session.arguments(1, 1)[0])
    client = session.client()
    try:
        with Explained(f"Error reading policy named {name}"):
            secret = parse_secret(client.exchange("GET", f"sys/policies/acl/{name}").body)
            if secret is None or secret.data is None:
                raise ExchangeError("data from server response is empty")
        rules = text(secret["policy"])
    except Failure as failure:
        if not isinstance(failure.__cause__, ApiError) or failure.__cause__.status != 404:
            raise
        rules = ""
    if not rules:
        raise Failure(f"No policy named: {name}", API)
    if not session.ui.is_table:
        return output_data(session.ui, {"policy": rules})
    session.ui.output(rules.strip())
    return 0


def _write(session: Session) -> int:
    args = session.arguments(2, 2)
    name, path = _name(args[0]), args[1].strip()
    client = session.client()
    try:
        if path == "-":
            content = session.read_stdin()
        else:
            with open(path, "rb") as file:
                content = file.read()
    except OSError as error:
        raise Failure(f"Error opening policy file: {_of_file(path, error)}", API) from error
    with Explained("Error uploading policy"):
        client.call("PUT", f"sys/policies/acl/{name}", {"policy": content.decode("utf-8", "replace")})
    if name != args[0]:
        session.ui.warn(f'Policy name was converted from "{args[0]}" to "{name}"')
    session.ui.output(f"Success! Uploaded policy: {name}")
    return 0


def _delete(session: Session) -> int:
    name = _name(session.arguments(1, 1)[0])
    client = session.client()
    with Explained(f"Error deleting {name}"):
        client.call("DELETE", f"sys/policies/acl/{name}")
    session.ui.output(f"Success! Deleted policy: {name}")
    return 0


def _list(session: Session) -> int:
    session.arguments(0, 0)
    client = session.client()
    with Explained("Error listing policies"):
        secret = parse_secret(client.exchange("GET", "sys/policies/acl", query=[("list", "true")]).body)
        if secret is None or secret.data is None:
            raise ExchangeError("data from server response is empty")
    names = strings(secret["keys"]) or ()
    if not session.ui.is_table:
        return output_data(session.ui, names)
    for name in names:
        session.ui.output(name)
    return 0


def _fmt(session: Session) -> int:
    from holdfast.cli.policy_format import PolicySyntaxError, format_policy
    from holdfast.core.policy_parse import parse

    path = os.path.expanduser(session.arguments(1, 1)[0].strip())
    try:
        with open(path, encoding="utf-8") as file:
            source = file.read()
    except OSError as error:
        raise Failure(f"Error reading source file: {_of_file(path, error)}", USAGE) from error
    except UnicodeDecodeError as error:
        raise Failure(f"Error reading source file: {error}", USAGE) from error
    try:
        parse(source)
        result = format_policy(source)
    except (BadRequest, PolicySyntaxError) as error:
        raise Failure(str(error), USAGE) from error
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(result)
    except OSError as error:
        raise Failure(f"Error writing result: {_of_file(path, error)}", USAGE) from error
    session.ui.output(f"Success! Formatted policy: {path}")
    return 0


COMMANDS = (
    Command(
        name="policy",
        synopsis="Interact with policies",
        usage="<subcommand> [options] [args]",
        text="Policies say what tokens may do at which paths.",
        examples=(("Upload one from a file:", "holdfast policy write app app.hcl"),),
    ),
    Command(
        name="policy read",
        synopsis="Prints the contents of a policy",
        usage="[options] NAME",
        text="Prints the policy NAME.",
        examples=(("Read:", "holdfast policy read app"),),
        options=options(),
        run=_read,
    ),
    Command(
        name="policy write",
        synopsis="Uploads a named policy from a file",
        usage="[options] NAME FILE",
        text="Creates or replaces the policy NAME with what is in FILE, or in stdin if FILE is -.",
        examples=(("From stdin:", "holdfast policy write app - < app.hcl"),),
        options=options(format=False),
        run=_write,
    ),
    Command(
        name="policy delete",
        synopsis="Deletes a policy by name",
        usage="[options] NAME",
        text="Deletes the policy NAME. Tokens that have it lose at once what it allowed.",
        examples=(("Delete:", "holdfast policy delete app"),),
        options=options(format=False),
        run=_delete,
    ),
    Command(
        name="policy list",
        synopsis="Lists the installed policies",
        usage="[options]",
        text="Lists the names of all policies.",
        examples=(("List:", "holdfast policy list"),),
        options=options(),
        run=_list,
    ),
    Command(
        name="policy fmt",
        synopsis="Formats a policy on disk",
        usage="[options] FILE",
        text="Checks the policy in FILE, as the server would, and writes it back with even spaces; comments stay. Needs no server.",
        examples=(("Format:", "holdfast policy fmt app.hcl"),),
        options=options(format=False),
        run=_fmt,
    ),
)
