"""`login`, `print token` and the stored token."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from holdfast.cli.layout import wrap

if TYPE_CHECKING:
    from tests.unit.cli.conftest import CommandLine

SELF = {
    "id": "hvs.mine",
    "accessor": "acc",
    "policies": ["default"],
    "identity_policies": ["team"],
    "meta": None,
    "ttl": 3600,
    "renewable": True,
}
AUTH = {
    "client_token": "hvs.ann",
    "accessor": "acc",
    "policies": ["app", "default"],
    "token_policies": ["app", "default"],
    "metadata": {"username": "ann"},
    "lease_duration": 2_764_800,
    "renewable": True,
    "entity_id": "e1",
    "orphan": True,
    "mfa_requirement": None,
}
SUCCESS = "\n".join((
    *wrap("Success! You are now authenticated. Later commands of this user find the token below by themselves, until it expires or is "
          "revoked.").splitlines(), "", ""))


@pytest.fixture(autouse=True)
def no_token(cli: CommandLine) -> None:
    del cli.env["VAULT_TOKEN"]


@pytest.mark.parametrize("line", ["login hvs.mine", "login token=hvs.mine", "login -", "login token=-", "login"])
def test_with_a_token(cli: CommandLine, line: str) -> None:
    cli.server.on("GET auth/token/lookup-self", {"data": SELF})
    result = cli(line, stdin=b"hvs.mine\n", hidden=("hvs.mine",))
    assert result.code == 0
    assert result.out == SUCCESS + (
        "Key                  Value\n"
        "---                  -----\n"
        "token                hvs.mine\n"
        "token_accessor       acc\n"
        "token_duration       1h\n"
        "token_renewable      true\n"
        'token_policies       ["default"]\n'
        'identity_policies    ["team"]\n'
        'policies             ["default" "team"]\n'
    )
    assert cli.token_file.read_text() == "hvs.mine"
    assert stat.S_IMODE(cli.token_file.stat().st_mode) == 0o600
    assert cli.server.header("X-Vault-Token") == "hvs.mine"


def test_the_stored_token_is_used_and_replaced_whole(cli: CommandLine) -> None:
    cli.token_file.write_text("hvs.older-and-longer\n")
    cli.token_file.chmod(0o644)
    assert cli("print token").out == "hvs.older-and-longer\n"
    cli.server.on("GET auth/token/lookup-self", {"data": SELF})
    assert cli("login -no-print hvs.mine").out == ""
    assert cli("print token").out == "hvs.mine\n"
    assert stat.S_IMODE(cli.token_file.stat().st_mode) == 0o600
    assert [path.name for path in cli.home.iterdir()] == [".vault-token"]


def test_a_token_that_does_not_hold(cli: CommandLine) -> None:
    cli.server.on("GET auth/token/lookup-self", {"errors": ["permission denied"]}, status=403)
    result = cli("login hvs.wrong")
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("Error authenticating: error looking up token: Error making API request.")
    assert "hvs.wrong" not in result.err
    assert not cli.token_file.exists()


def test_without_asking_the_server(cli: CommandLine) -> None:
    assert cli("login -no-print hvs.mine lookup=false").code == 0
    assert cli.token_file.read_text() == "hvs.mine"
    assert not cli.server.requests


def test_userpass(cli: CommandLine) -> None:
    cli.server.on("PUT auth/userpass/login/ann", {"auth": AUTH})
    result = cli("login -method=userpass username=ann", hidden=("s3cret",))
    assert result.code == 0
    assert result.err == "Password (will be hidden): \n"
    assert result.out == SUCCESS + (
        "Key                    Value\n"
        "---                    -----\n"
        "token                  hvs.ann\n"
        "token_accessor         acc\n"
        "token_duration         768h\n"
        "token_renewable        true\n"
        'token_policies         ["app" "default"]\n'
        "identity_policies      []\n"
        'policies               ["app" "default"]\n'
        "token_meta_username    ann\n"
    )
    assert cli.server.sent() == ("PUT", "auth/userpass/login/ann", {"password": "s3cret"})
    assert cli.token_file.read_text() == "hvs.ann"


def test_userpass_elsewhere_without_the_token_in_use(cli: CommandLine) -> None:
    cli.env["VAULT_TOKEN"] = "hvs.other"
    cli.server.on("PUT auth/people/login/ann", {"auth": AUTH})
    result = cli("login -method=userpass -path=people -field=token username=ann password=-", stdin=b"s3cret")
    assert result.out == "hvs.ann"
    assert cli.server.header("X-Vault-Token") is None
    assert result.err.startswith("WARNING! VAULT_TOKEN is set, and what it holds wins over the")


def test_printing_without_storing(cli: CommandLine) -> None:
    cli.server.on("PUT auth/userpass/login/ann", {"auth": AUTH})
    only = cli("login -method=userpass -token-only username=ann password=x")
    assert (only.out, only.err) == ("hvs.ann", "")
    kept = cli("login -method=userpass -no-store username=ann password=x")
    assert kept.err.startswith("The token below was not kept, as -no-store asks.")
    assert kept.out.startswith("Success! You are now authenticated.\n\nKey "), "it is not told that later commands find the token"
    assert "hvs.ann" in kept.out
    assert not cli.token_file.exists()


def test_a_root_token_lives_for_ever(cli: CommandLine) -> None:
    cli.server.on("GET auth/token/lookup-self", {"data": {**SELF, "ttl": 0, "policies": ["root"]}})
    assert "token_duration       ∞\n" in cli("login hvs.mine").out


def test_a_wrapped_login_is_unwrapped_unless_only_printed(cli: CommandLine) -> None:
    info = {"token": "hvs.wrapping", "ttl": 60, "creation_time": "2026-11-21T08:00:00Z", "creation_path": "p", "wrapped_accessor": "acc"}
    cli.server.on("PUT auth/userpass/login/ann", {"wrap_info": info})
    cli.server.on("PUT sys/wrapping/unwrap", {"auth": AUTH})
    line = "login -method=userpass -wrap-ttl=60 {} username=ann password=x"
    assert cli(line.format("-token-only")).out == "hvs.wrapping"
    assert cli.server.header("X-Vault-Wrap-TTL") == "1m0s"
    assert "wrapped_accessor:                acc\n" in cli(line.format("-no-store")).out
    assert cli(line.format("-no-print")).code == 0
    assert (cli.server.header("X-Vault-Token"), cli.server.header("X-Vault-Wrap-TTL")) == ("hvs.wrapping", None)
    assert cli.token_file.read_text() == "hvs.ann"


def test_a_second_factor_is_needed(cli: CommandLine) -> None:
    method = {"type": "totp", "id": "m1", "uses_passcode": True}
    requirement = {"mfa_request_id": "r1", "mfa_constraints": {"team": {"any": [method]}}}
    cli.server.on("PUT auth/userpass/login/ann", {"auth": {**AUTH, "client_token": "", "mfa_requirement": requirement}})
    result = cli("login -method=userpass username=ann password=x")
    assert result.out == (
        "Key                                       Value\n"
        "---                                       -----\n"
        "mfa_request_id                            r1\n"
        "mfa_constraint_team_totp_id               m1\n"
        "mfa_constraint_team_totp_uses_passcode    true\n"
    )
    assert "sys/mfa/validate" in result.err
    assert not cli.token_file.exists()


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("login -no-store -no-print x", 1, "-no-store and -no-print cannot be used together"),
        ("login -token-only -no-print x", 1, "-no-store and -no-print cannot be used together"),
        ("login -method=userpass", 2, "Error authenticating: 'username' must be specified"),
        ("login token= ", 2, "Error authenticating: a token must be passed to auth, please view the help for more information"),
        ("login x lookup=maybe", 2, 'Error authenticating: Failed to parse "lookup" as boolean'),
        ("login -method=userpass ann", 1, 'Error parsing configuration: invalid key/value pair "ann": format must be key=value'),
        ("login -method=github token=x", 1, "Unknown auth method: github."),
    ],
)
def test_refusals(cli: CommandLine, line: str, code: int, message: str) -> None:
    result = cli(line)
    assert (result.code, result.out) == (code, "")
    assert result.err.startswith(message)


def test_no_terminal_to_ask_at(cli: CommandLine) -> None:
    result = cli("login", stdin=b"hvs.mine")
    assert result.code == 1
    assert 'Pass "-" as the argument' in result.err


def test_a_token_that_cannot_be_stored_is_still_shown(cli: CommandLine) -> None:
    cli.server.on("GET auth/token/lookup-self", {"data": SELF})
    cli.env["HOME"] = str(cli.home / "none")
    result = cli("login hvs.mine")
    assert result.code == 2
    assert "Error storing token: " in result.err
    assert "token                hvs.mine\n" in result.out


@pytest.mark.parametrize("line", ["login -non-interactive", "login -non-interactive -method=userpass username=ann",
                                  "operator unseal -non-interactive"])
def test_nothing_is_asked_for_where_that_is_not_wanted(cli: CommandLine, line: str) -> None:
    result = cli(line, hidden=("typed",), tty=True)
    assert (result.code, result.out) == (1, "")
    assert "is not asked for with -non-interactive." in result.err
    assert not cli.server.requests


def test_what_is_piped_in_is_no_question(cli: CommandLine) -> None:
    cli.server.on("GET auth/token/lookup-self", {"data": SELF})
    assert cli("login -non-interactive -token-only -", stdin=b"hvs.mine\n").out == "hvs.mine"
    assert cli("write -non-interactive secret/a b=-", stdin=b"typed", tty=True).code == 2
    assert cli.server.sent() == ("PUT", "secret/a", {"b": ""})
