"""`policy …`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.cli.policy_format import PolicySyntaxError, format_policy

if TYPE_CHECKING:
    from tests.unit.cli.conftest import CommandLine

RULES = 'path "secret/*" {\n  capabilities = ["read"]\n}\n'


def test_read(cli: CommandLine) -> None:
    cli.server.on("GET sys/policies/acl/app", {"data": {"name": "app", "policy": RULES}})
    assert cli("policy read App").out == RULES
    assert cli("policy read -format=json app").out == '{\n  "policy": "path \\"secret/*\\" {\\n  capabilities = [\\"read\\"]\\n}\\n"\n}\n'


def test_read_of_none(cli: CommandLine) -> None:
    result = cli("policy read none")
    assert (result.code, result.err) == (2, "No policy named: none\n")


def test_read_forbidden(cli: CommandLine) -> None:
    cli.server.on("GET sys/policies/acl/app", {"errors": ["permission denied"]}, status=403)
    result = cli("policy read app")
    assert result.code == 2
    assert result.err.startswith("Error reading policy named app: Error making API request.")


def test_write(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "app.hcl").write_text(RULES)
    cli.server.on("PUT sys/policies/acl/app")
    result = cli(f"policy write App {tmp_path}/app.hcl")
    assert (result.out, result.err) == ("Success! Uploaded policy: app\n", 'Policy name was converted from "App" to "app"\n')
    assert cli.server.sent() == ("PUT", "sys/policies/acl/app", {"policy": RULES})
    assert cli("policy write app -", stdin=b"path {}").err == ""
    assert cli.server.sent()[2] == {"policy": "path {}"}
    missing = cli("policy write app /no/such.hcl")
    assert (missing.code, missing.err) == (2, "Error opening policy file: open /no/such.hcl: no such file or directory\n")


def test_list_and_delete(cli: CommandLine) -> None:
    cli.server.on("GET sys/policies/acl?list=true", {"data": {"keys": ["default", "app", "root"]}})
    cli.server.on("DELETE sys/policies/acl/app")
    assert cli("policy list").out == "default\napp\nroot\n"
    assert cli("policy list -format=json").out == '[\n  "default",\n  "app",\n  "root"\n]\n'
    assert cli("policy delete APP").out == "Success! Deleted policy: app\n"


def test_fmt(cli: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "app.hcl"
    file.write_text(
        '\n# one\npath "a"{\ncapabilities=["read" ,"list"]   # why\n\n\n'
        'min_wrapping_ttl = "1s"\ncomment = "c"\n allowed_parameters={\n"a"=[ ]\n}\n}'
    )
    result = cli(f"policy fmt {file}")
    assert (result.code, result.out) == (0, f"Success! Formatted policy: {file}\n")
    assert file.read_text() == (
        '# one\npath "a" {\n  capabilities = ["read", "list"] # why\n\n  min_wrapping_ttl = "1s"\n  comment          = "c"\n'
        '  allowed_parameters = {\n    "a" = []\n  }\n}\n'
    )
    assert not cli.server.requests


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('path "a {\n}', "line 1: a string is not closed"),
        ('\npath "a" {', "line 2: '{' is not closed"),
        ('path "a" {\n]', "line 2: ']' closes nothing"),
        ("}", "line 1: '}' closes nothing"),
    ],
)
def test_brackets_and_strings(text: str, message: str) -> None:
    with pytest.raises(PolicySyntaxError) as caught:
        format_policy(text)
    assert str(caught.value) == f"failed to parse policy: {message}"


@pytest.mark.parametrize("text", ['path "a {\n}', 'path "a" {', 'path "a" {\n  capabilities = ["fly"]\n}', 'pathh "a" {}'])
def test_fmt_of_what_is_none(cli: CommandLine, tmp_path: Path, text: str) -> None:
    file = tmp_path / "app.hcl"
    file.write_text(text)
    result = cli(f"policy fmt {file}")
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("failed to parse policy: ")
    assert file.read_text() == text


def test_fmt_of_no_file(cli: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "none.hcl"
    result = cli(f"policy fmt {file}")
    assert (result.code, result.err) == (1, f"Error reading source file: open {file}: no such file or directory\n")


_PIECES = st.lists(
    st.sampled_from(
        ['path "a" {\n', "}\n", 'x = "y"\n', "long_name=[1,\n 2]\n", "# c\n", "\n", "   ", "/* b */", "<<E\n t\nE\n", "a", "{}"]
    )
)


@settings(max_examples=150)
@given(_PIECES)
def test_formatting_twice_is_formatting_once_and_keeps_all_tokens(pieces: list[str]) -> None:
    source = "".join(pieces)
    try:
        once = format_policy(source)
    except PolicySyntaxError:
        return
    assert format_policy(once) == once
    assert "".join(once.split()) == "".join(source.split())
