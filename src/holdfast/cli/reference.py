"""docs/commands.md, made from the commands' own records: `python -m holdfast.cli.reference > docs/commands.md`."""
from __future__ import annotations

from collections.abc import Sequence

from holdfast.cli import registry
from holdfast.cli.command import HTTP, Command, options
from holdfast.cli.flags import Flag, FlagGroup
from holdfast.cli.help import flag_head, flag_text

_INTRO = """\
# Commands

Made from the commands' own records by `python -m holdfast.cli.reference`; a test holds it against them.

`holdfast` is a client of the HTTP API with the commands, flags, output and exit codes of `vault`; only `holdfast server` starts a node.
Flags have one dash or two, take their value as `-flag=value` or `-flag value`, and stand before the arguments; `-format` and `-detailed`
count wherever they stand. `holdfast COMMAND -help` prints what is here.

## Exit codes

| code | meaning |
| --- | --- |
| 0 | done |
| 1 | the command line is wrong, or names a command of `vault` that is not here |
| 2 | the server refused, could not be reached, or found nothing |
| 127 | there is no such command |

`holdfast status`: 0 unsealed, 2 sealed, 1 error. `holdfast operator init -status`: 0 initialised, 2 not, 1 error.

## Input and output

- `key=value` arguments: `key=@file` reads the value from a file, `key=-` from stdin, `key=\\@text` is the text `@text`; a key given several
  times becomes a list; `@file` or `-` alone is a whole JSON object.
- `-format`: `table`, `json`, `yaml`, `raw` (`read` only). `-field` prints one field, with a line break only on a terminal.
- Results go to stdout, errors and warnings to stderr. Colours only on a terminal, and not with `NO_COLOR` or `VAULT_CLI_NO_COLOR`.
- The token is `VAULT_TOKEN`, else what `login` has stored in `~/.vault-token` (mode 0600). External token helpers are not supported.

## Environment

| variable | meaning |
| --- | --- |
"""
_VARIABLES = (
    ("VAULT_TOKEN", "the token; wins over the stored one"),
    ("VAULT_CACERT_BYTES", "the authority as PEM text, where VAULT_CACERT is not set"),
    ("VAULT_CLIENT_TIMEOUT", "how long one request may take, 0 for ever; 60s if not set"),
    ("VAULT_HEADERS", "HTTP headers to add to each request, as a JSON object; `-header` wins over one of the same name"),
    ("VAULT_MAX_RETRIES", "how often 412, 429, 5xx (not 501) and failed connections are tried again; never if not set"),
    ("VAULT_PROXY_ADDR, VAULT_HTTP_PROXY", "proxy for all requests; else HTTPS_PROXY, HTTP_PROXY and NO_PROXY count"),
    ("VAULT_CLI_NO_COLOR, NO_COLOR", "no colours"),
)


def _flag_rows(flags: Sequence[Flag]) -> list[str]:
    shown = sorted((flag for flag in flags if not flag.hidden), key=lambda flag: flag.name)
    return [f"| `{flag_head(flag)}` | {flag_text(flag)} |" for flag in shown]


def _flag_table(flags: Sequence[Flag]) -> str:
    return "\n".join(["| flag | meaning |", "| --- | --- |", *_flag_rows(flags)]) + "\n"


def _environment() -> str:
    groups: tuple[FlagGroup, ...] = (*options(field=True, detailed=True), *(g for c in registry.everything() for g in c.options))
    named = {flag.env: f"`-{flag.name}`" for group in groups for flag in group.flags if flag.env and not flag.hidden}
    rows = [(variable, f"as {flag}") for variable, flag in named.items()] + list(_VARIABLES)
    return "\n".join(f"| `{name.replace(', ', '`, `')}` | {text} |" for name, text in sorted(rows)) + "\n"


def _command(command: Command) -> str:
    usage = f"holdfast {command.name} {command.usage}".rstrip()
    parts = [f"## holdfast {command.name}", f"{command.synopsis}.", f"    {usage}", command.text]
    parts += [f"{sentence}\n\n    {line}" for sentence, line in command.examples]
    own = [flag for group in command.options if group is not HTTP for flag in group.flags]
    if any(not flag.hidden for flag in own):
        parts.append(_flag_table(own).rstrip())
    if HTTP in command.options:
        parts.append("And the [flags of every request](#flags-of-every-request).")
    return "\n\n".join(parts) + "\n"


def markdown() -> str:
    """The whole page."""
    missing = ", ".join(f"`{name}`" for name in sorted(registry.MISSING))
    parts = [
        _INTRO + _environment(),
        "## Flags of every request\n\n" + _flag_table(HTTP.flags),
        *(_command(command) for command in registry.everything()),
        f"## Not here\n\nThese commands of `vault` do not exist, and say so: {missing}.\n",
    ]
    return "\n".join(parts)


if __name__ == "__main__":
    print(markdown(), end="")
