"""`version`, `print token`, `path-help`."""
from __future__ import annotations

from holdfast.cli import json_text
from holdfast.cli.command import Command, Session, options
from holdfast.cli.errors import API, ExchangeError, Explained, Failure
from holdfast.cli.paths import sanitize
from holdfast.cli.secret import mapping, text
from holdfast.cli.settings import DEFAULT_ADDRESS


def _version(session: Session) -> int:
    from holdfast.version import VERSION

    # Scripts read the number behind the first "v": it is the Vault release whose API this is.
    session.ui.output(f"Holdfast v{VERSION}")
    return 0


def _print_token(session: Session) -> int:
    session.ui.output(session.client().token)
    return 0


def _path_help(session: Session) -> int:
    path = sanitize(session.arguments(1, 1)[0])
    client = session.client()
    try:
        with Explained("Error retrieving help"):
            response = client.exchange("GET", path, query=[("help", "1")])
            answer = mapping(json_text.parse(response.body))
            if answer is None:
                raise ExchangeError("the answer is not a JSON object")
    except Failure as failure:
        if "Vault is sealed" in failure.message:
            text_for_sealed = "Error: Vault is sealed.\n\nHelp depends on what is mounted, which only an unsealed server knows."
            raise Failure(text_for_sealed, API) from failure
        raise
    session.ui.output(json_text.encode(answer.get("openapi")) if session.ui.format == "json" else text(answer.get("help")))
    return 0


COMMANDS = (
    Command(
        name="version",
        synopsis="Prints the version of this command line",
        usage="",
        text="Prints the version of this program; that of a server is in holdfast status.",
        run=_version,
        warns_of_late_flags=False,
    ),
    Command(
        name="print",
        synopsis="Prints runtime configurations",
        usage="<subcommand>",
        text="Prints what other commands would use.",
        examples=(("Print the token:", "holdfast print token"),),
    ),
    Command(
        name="print token",
        synopsis="Prints the token currently in use",
        usage="",
        text="Prints the token that commands use: VAULT_TOKEN, else the stored one.",
        examples=(("Use it elsewhere:", f'curl -H "X-Vault-Token: $(holdfast print token)" {DEFAULT_ADDRESS}/v1/auth/token/lookup-self'),),
        options=options(format=False),
        run=_print_token,
    ),
    Command(
        name="path-help",
        synopsis="Retrieve API help for paths",
        usage="[options] PATH",
        text="Prints what the server says about the API path PATH; with -format=json its OpenAPI description.",
        examples=(("Ask what an engine can do:", "holdfast path-help secret"),),
        options=options(),
        run=_path_help,
    ),
)
