"""Help, printed from the commands' own records."""
from __future__ import annotations

from collections.abc import Sequence

from holdfast.cli.command import Command
from holdfast.cli.durations import format_duration
from holdfast.cli.flags import Flag, Kind, Value
from holdfast.cli.layout import wrap

EXAMPLES = {
    Kind.SWITCH: "",
    Kind.STRING: "string",
    Kind.INTEGER: "int",
    Kind.DURATION: "duration",
    Kind.STRINGS: "string",
    Kind.PAIRS: "key=value",
}
COMMON = ("read", "write", "delete", "list", "login", "server", "status", "unwrap")


def flag_text(flag: Flag) -> str:
    """All that is to say about a flag: what it does, its other names, its default, its variable."""
    text = flag.text
    if flag.aliases:
        text += " Also " + ", ".join(f"-{alias}" for alias in flag.aliases) + "."
    if default := _default(flag.kind, flag.default):
        text += f" The default is {default}."
    if flag.env:
        text += f" The environment variable is {flag.env}."
    return text


def _default(kind: Kind, default: Value) -> str:
    if default in (None, "", -1, "(not set)") or isinstance(default, bool):
        return "true" if default is True else ""
    if isinstance(default, int):
        return format_duration(default) if kind is Kind.DURATION else str(default)
    return ",".join(default) if isinstance(default, tuple) else str(default)


def flag_head(flag: Flag) -> str:
    example = EXAMPLES[flag.kind]
    return f"-{flag.name}=<{example}>" if example else f"-{flag.name}"


def command_help(command: Command, below: Sequence[Command]) -> str:
    """The help of one command and the names of those below it."""
    parts = [f"Usage: holdfast {command.name}{' ' if command.usage else ''}{command.usage}"]
    if command.text:
        parts.append(wrap(command.text, indent=2))
    for sentence, line in command.examples:
        parts += [wrap(sentence, indent=2)] if sentence else []
        parts.append(f"      $ {line}")
    for group in command.options:
        parts.append(f"{group.title}:")
        shown = sorted((flag for flag in group.flags if not flag.hidden), key=lambda flag: flag.name)
        parts += [f"  {flag_head(flag)}\n{wrap(flag_text(flag), indent=6)}" for flag in shown]
    if below:
        width = max(len(_last(item)) for item in below)
        parts.append("Subcommands:\n" + "\n".join(f"    {_last(item):<{width}}    {item.synopsis}" for item in below))
    return "\n\n".join(parts) + "\n"


def _last(command: Command) -> str:
    return command.name.rpartition(" ")[2]


def overview(commands: Sequence[Command]) -> str:
    """The help of the program: its first words."""
    named = {command.name: command for command in commands}
    common = [named[name] for name in COMMON]
    other = [command for command in sorted(commands, key=lambda c: c.name) if command.name not in COMMON]
    width = max(len(command.name) for command in commands)

    def lines(items: Sequence[Command]) -> str:
        return "\n".join(f"    {item.name:<{width}}      {item.synopsis}" for item in items)

    return f"Usage: holdfast <command> [args]\n\nCommon commands:\n{lines(common)}\n\nOther commands:\n{lines(other)}\n"
