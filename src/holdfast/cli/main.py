"""The program `holdfast`: from a command line to an exit code.

1. Exit codes: 0 done; 1 the command line is wrong, or names a command of `vault` that is not here; 2 the server refused or could not be
   reached; 127 no such command. `status` has its own.
2. `-format` and `-detailed` are found wherever they stand; all other flags come before the arguments.
"""
from __future__ import annotations

import io
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.cli import registry
from holdfast.cli.command import ClientFactory, Command, Session
from holdfast.cli.errors import USAGE, Failure, Instead
from holdfast.cli.flags import FlagError, parse, parse_bool
from holdfast.cli.help import command_help, overview
from holdfast.cli.output import FORMATS, Ui, output_secret
from holdfast.cli.settings import Settings
from holdfast.cli.terminal import ProcessTerminal, Terminal

if TYPE_CHECKING:
    from holdfast.cli.client import Client

NO_SUCH_COMMAND = 127
INTERRUPTED = 130
_HELP = ("-h", "-help", "--help")
_VERSION = ("-v", "-version", "--version")
_ANYWHERE = ("output-curl-string", "output-policy", "format", "detailed")


@dataclass(frozen=True, slots=True)
class _Line:
    """A command line, taken apart: the command's words, what follows them, flags that stood before them."""

    command: str
    args: list[str]
    early_flags: list[str]
    wants_help: bool


def run(argv: Sequence[str], *, env: Mapping[str, str], terminal: Terminal, make_client: ClientFactory | None = None) -> int:
    """Runs one command line (without the program's name). Returns the exit code; never raises for what a user or a server can cause."""
    if len(argv) == 1 and argv[0] in _VERSION:
        argv = ["version"]
    format, detailed = _find_format(argv, env)
    color = terminal.is_terminal() and not env.get("VAULT_CLI_NO_COLOR") and format == "table"
    ui = Ui(terminal, format=format, detailed=detailed, color=color)
    if format not in FORMATS:
        ui.error(f"Invalid output format: {format}")
        return USAGE
    line = _take_apart(argv)
    command = registry.find(line.command)
    if command is None:
        return _no_command(line, terminal)
    if line.wants_help or line.early_flags or command.run is None:
        return _explain(line, command, terminal)
    return _run(command, line.args, ui, env, make_client or _network_client(env))


def _find_format(argv: Sequence[str], env: Mapping[str, str]) -> tuple[str, bool]:
    """Format and detail, from wherever they stand."""
    format, detailed, at = "", "", 0
    while at < len(argv) and argv[at] != "--":
        name, equals, value = argv[at].partition("=")
        at += 1
        if name in ("-format", "--format"):
            if not equals and at < len(argv):
                value = argv[at]
                at += 1
            format = value
        elif name in ("-detailed", "--detailed"):
            detailed = value if equals else "true"
    try:
        is_detailed = parse_bool(detailed or env.get("VAULT_DETAILED") or "false")
    except ValueError:
        is_detailed = False
    return (format or env.get("VAULT_FORMAT") or "table").lower(), is_detailed


def _take_apart(argv: Sequence[str]) -> _Line:
    before_dashes = argv[: argv.index("--")] if "--" in argv else argv
    wants_help = any(arg in _HELP for arg in before_dashes)
    at, early = 0, []
    while at < len(argv) and (not argv[at] or argv[at].startswith("-")):
        if argv[at] and argv[at] not in _HELP:
            early.append(argv[at])
        at += 1
    words: list[str] = []
    for arg in argv[at:]:
        if not registry.knows(" ".join([*words, arg])):
            break
        words.append(arg)
    if not words and at < len(argv):
        return _Line(argv[at], [], early, wants_help)
    return _Line(" ".join(words), list(argv[at + len(words) :]), early, wants_help)


def _no_command(line: _Line, terminal: Terminal) -> int:
    if line.command in registry.MISSING:
        terminal.err(f'the command "{line.command}" does not exist in Holdfast\n')
        return USAGE
    help = overview(registry.top_level())
    if line.wants_help and not line.command:
        terminal.out(help)
        return 0
    terminal.err(help)
    return NO_SUCH_COMMAND


def _explain(line: _Line, command: Command, terminal: Terminal) -> int:
    help = command_help(command, registry.below(command.name))
    if line.wants_help:
        terminal.out(help)
        return 0
    if line.early_flags:
        names = " ".join(line.early_flags)
        terminal.err(f"Invalid flags before the subcommand: {names}. Flags of a command stand behind its name.\n\n")
    terminal.err(help)
    return USAGE


def _run(command: Command, argv: list[str], ui: Ui, env: Mapping[str, str], make_client: ClientFactory) -> int:
    assert command.run is not None
    try:
        flags, args = parse(command.options, argv, env)
    except FlagError as error:
        ui.error(str(error))
        return USAGE
    _warn_of_late_flags(command, args, ui)
    if ui.format == "raw" and not command.takes_raw:
        ui.error("This command does not support the -format=raw option.")
        return USAGE
    try:
        code = command.run(Session(ui=ui, flags=flags, args=args, env=env, make_client=make_client))
    except Instead as instead:
        ui.output(instead.text)
        return 0
    except Failure as failure:
        ui.error(failure.message)
        if failure.secret is not None:
            output_secret(ui, failure.secret)
        return failure.code
    if flags.has("output-curl-string") and (flags.switch("output-curl-string") or flags.switch("output-policy")):
        ui.error("this command sends no request that could be shown")
        return USAGE
    return code


def _warn_of_late_flags(command: Command, args: Sequence[str], ui: Ui) -> None:
    late = [arg for arg in args if arg.startswith("-") and arg != "-" and arg.lstrip("-").partition("=")[0] not in _ANYWHERE]
    if late and ui.is_table and command.warns_of_late_flags:
        names = ",".join(late)
        ui.warn(
            f"Flags stand before the arguments: [{names}] came after them and were taken as arguments."
        )


def _network_client(env: Mapping[str, str]) -> ClientFactory:
    def make(settings: Settings) -> Client:
        # Only what sends a request pays for loading the network.
        from holdfast.cli.client import Client
        from holdfast.cli.transport import HttpTransport

        return Client(settings, HttpTransport(settings, env))

    return make


def entry() -> int:
    """The console script."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Any locale must be able to show what the server sends.
            stream.reconfigure(encoding="utf-8", errors="surrogateescape")
    terminal = ProcessTerminal(os.environ)
    try:
        code = run(sys.argv[1:], env=os.environ, terminal=terminal)
        terminal.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader has gone. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return USAGE
    return code
