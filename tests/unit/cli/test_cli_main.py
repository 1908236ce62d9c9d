"""The program as a whole: finding commands, help, formats, refusals, colours."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from holdfast.cli import registry
from holdfast.version import VERSION

if TYPE_CHECKING:
    from tests.unit.cli.conftest import CommandLine

DOCS = Path(__file__).parents[3] / "docs" / "commands.md"


def test_the_overview(cli: CommandLine) -> None:
    for line in ("-h", "-help", "--help"):
        result = cli(line)
        assert (result.code, result.err) == (0, "")
        assert result.out.startswith("Usage: holdfast <command> [args]\n\nCommon commands:\n    read ")
    nothing = cli("")
    assert (nothing.code, nothing.out) == (127, "")
    assert nothing.err == cli("-h").out


@pytest.mark.parametrize("line", ["version", "-v", "-version", "--version", "version and whatever -x"])
def test_the_version(cli: CommandLine, line: str) -> None:
    result = cli(line)
    assert (result.code, result.out, result.err) == (0, f"Holdfast v{VERSION}\n", "")


@pytest.mark.parametrize("line", ["nosuch", "nosuch -h status", "kvv get x"])
def test_no_such_command(cli: CommandLine, line: str) -> None:
    result = cli(line)
    assert (result.code, result.out) == (127, "")
    assert result.err.startswith("Usage: holdfast <command>")


@pytest.mark.parametrize("name", sorted(registry.MISSING))
def test_commands_that_do_not_exist_say_so(cli: CommandLine, name: str) -> None:
    result = cli(f"{name} -some=flag argument")
    assert (result.code, result.out, result.err) == (1, "", f'the command "{name}" does not exist in Holdfast\n')


def test_a_missing_command_is_not_there(cli: CommandLine) -> None:
    assert not registry.MISSING & {command.name for command in registry.everything()}


@pytest.mark.parametrize("name", ["kv", "kv metadata", "operator", "token", "secrets", "auth", "policy", "lease", "audit", "print"])
def test_a_group_explains_itself(cli: CommandLine, name: str) -> None:
    for line in (name, f"{name} nosuch"):
        result = cli(line)
        assert (result.code, result.out) == (1, "")
        assert result.err.startswith(f"Usage: holdfast {name} <subcommand>")
        assert "\nSubcommands:\n" in result.err
    assert cli(f"{name} -help").out == cli(name).err


@pytest.mark.parametrize("name", [command.name for command in registry.everything()])
def test_every_command_has_help(cli: CommandLine, name: str) -> None:
    result = cli(f"{name} -h")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith(f"Usage: holdfast {name}")
    assert max(len(line) for line in result.out.splitlines() if not line.startswith("      $")) <= 100
    assert "\t" not in result.out
    assert not cli.server.requests


def test_flags_before_the_command(cli: CommandLine) -> None:
    result = cli("-address=http://a kv get x")
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("Invalid flags before the subcommand: -address=http://a.")


def test_late_flags_are_warned_of(cli: CommandLine) -> None:
    warning = "Flags stand before the arguments: [-field=x,--y] came after them and were taken as arguments.\n"
    cli.server.on("GET secret/a?--y=1&-field=x", {"data": {"x": "1"}})
    assert cli("read secret/a -field=x --y=1").err.startswith("Flags stand before the arguments: ")
    assert cli("read secret/a -field=x --y").err == warning + (
        'Failed to parse K=V data: invalid key/value pair "--y": format must be key=value\n'
    )
    assert cli("read -format=json secret/a -field=x --y=1").err == ""


def test_the_format_counts_wherever_it_stands(cli: CommandLine) -> None:
    cli.server.on("GET secret?list=true", {"data": {"keys": ["a"]}})
    expected = '[\n  "a"\n]\n'
    assert cli("list -format json secret").out == expected
    assert cli("list --format=JSON secret").out == expected
    cli.env["VAULT_FORMAT"] = "json"
    assert cli("list secret").out == expected
    assert cli("list -format=table secret").out == "Keys\n----\na\n"


def test_a_format_that_is_none(cli: CommandLine) -> None:
    cli.env["VAULT_FORMAT"] = "xml"
    result = cli("list secret")
    assert (result.code, result.err) == (1, "Invalid output format: xml\n")


def test_colours_only_on_a_terminal_and_for_tables(cli: CommandLine) -> None:
    red = "\033[0;31mNo value found at secret/a\033[0m\n"
    assert cli("read secret/a", tty=True).err == red
    assert cli("read secret/a").err == "No value found at secret/a\n"
    assert cli("read -format=json secret/a", tty=True).err == "No value found at secret/a\n"
    cli.env["VAULT_CLI_NO_COLOR"] = "1"
    assert cli("read secret/a", tty=True).err == "No value found at secret/a\n"


def test_a_request_to_show_where_there_is_none(cli: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "p.hcl"
    file.write_text("")
    result = cli(f"policy fmt -output-curl-string {file}")
    assert result.code == 1


def test_no_token_in_any_message(cli: CommandLine) -> None:
    cli.server.on("GET secret/a", {"errors": ["permission denied"]}, status=403)
    for line in ("read secret/a", "read -output-curl-string secret/a", "read -output-policy secret/a", "token lookup -accessor"):
        result = cli(line)
        assert "hvs.root" not in result.out + result.err


def test_the_page_of_commands_is_that_of_the_records() -> None:
    from holdfast.cli.reference import markdown

    assert DOCS.read_text(encoding="utf-8") == markdown(), "run: python -m holdfast.cli.reference > docs/commands.md"


def test_every_command_is_on_the_page_and_the_other_way_round() -> None:
    lines = DOCS.read_text(encoding="utf-8").splitlines()
    documented = {line.removeprefix("## holdfast ") for line in lines if line.startswith("## holdfast ")}
    assert documented == {command.name for command in registry.everything()}


def test_names_are_unique_and_flags_too() -> None:
    commands = registry.everything()
    assert len({command.name for command in commands}) == len(commands)
    for command in commands:
        names = [name for group in command.options for flag in group.flags for name in (flag.name, *flag.aliases)]
        assert len(set(names)) == len(names), command.name
        assert not set(names) & {"h", "help"}, command.name


def test_as_a_process() -> None:
    """Streams, encoding and exit code of the real program; nothing listens at that address."""
    source = str(Path(__file__).parents[3] / "src")
    env = {**os.environ, "PYTHONPATH": source, "VAULT_ADDR": "http://127.0.0.1:1", "LC_ALL": "C", "HOME": "/nonexistent"}
    done = subprocess.run([sys.executable, "-m", "holdfast.cli", "status"], env=env, capture_output=True, check=False, timeout=30)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr == (
        b'Error checking seal status: Get "http://127.0.0.1:1/v1/sys/seal-status": dial tcp 127.0.0.1:1: connect: connection refused\n'
    )


def test_closed_streams_and_a_reader_that_goes() -> None:
    source = str(Path(__file__).parents[3] / "src")
    env = {**os.environ, "PYTHONPATH": source}
    program = f"{sys.executable} -m holdfast.cli"
    closed = subprocess.run(["/bin/sh", "-c", f"{program} version <&- >&- 2>&-"], env=env, check=False, timeout=30)
    assert closed.returncode == 0
    gone = subprocess.run(["/bin/sh", "-c", f"{program} -h | true"], env=env, capture_output=True, check=False, timeout=30)
    assert gone.stderr == b""


def test_starting_loads_little() -> None:
    """Slow modules are loaded by the commands that need them alone."""
    source = str(Path(__file__).parents[3] / "src")
    code = (
        "import sys\nfrom holdfast.cli.main import run\nfrom holdfast.cli.terminal import ProcessTerminal\n"
        "run(['version'], env={}, terminal=ProcessTerminal({}))\n"
        "print(sorted({'ssl', 'http.client', 'yaml', 'msgspec', 'asyncio', 'cryptography', 'holdfast.cli.kv'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": source}, capture_output=True, check=True, timeout=30
    )
    assert done.stdout.decode().splitlines()[1:] == ["[]"]
