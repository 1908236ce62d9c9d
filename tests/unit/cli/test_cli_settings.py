"""Flags, environment, stored token: which wins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.unit.cli.conftest import CommandLine

    from holdfast.cli.settings import Settings


def read(cli: CommandLine, flags: str = "", **env: str) -> Settings:
    """The settings that a command with these flags and variables runs with."""
    cli.env.update(env)
    assert cli(f"read {flags} secret/a").code == 2
    return cli.server.settings[-1]


def test_defaults(cli: CommandLine) -> None:
    settings = read(cli)
    assert (settings.address, settings.timeout_s, settings.retries_max, settings.redirects) == ("https://127.0.0.1:8200", 60.0, 0, True)
    assert not settings.tls.skip_verify


def test_variables(cli: CommandLine) -> None:
    settings = read(
        cli,
        VAULT_ADDR="http://a:1",
        VAULT_CACERT="/ca",
        VAULT_CAPATH="/cas",
        VAULT_CLIENT_CERT="/c",
        VAULT_CLIENT_KEY="/k",
        VAULT_SKIP_VERIFY="true",
        VAULT_TLS_SERVER_NAME="name",
        VAULT_NAMESPACE="/team",
        VAULT_WRAP_TTL="60",
        VAULT_MAX_RETRIES="4",
        VAULT_CLIENT_TIMEOUT="1m30s",
        VAULT_HTTP_PROXY="http://p",
        VAULT_PROXY_ADDR="http://q",
        VAULT_DISABLE_REDIRECTS="1",
        VAULT_MFA="m:1",
        VAULT_CACERT_BYTES="PEM",
    )
    tls = settings.tls
    assert (settings.address, settings.namespace, settings.wrap_ttl, settings.retries_max) == ("http://a:1", "team/", "1m0s", 4)
    assert (settings.timeout_s, settings.proxy, settings.redirects, settings.mfa) == (90.0, "http://q", False, ("m:1",))
    assert (tls.ca_cert, tls.ca_path, tls.client_cert, tls.client_key) == ("/ca", "/cas", "/c", "/k")
    assert (tls.server_name, tls.skip_verify, tls.ca_cert_pem) == ("name", True, "PEM")


def test_no_time_limit(cli: CommandLine) -> None:
    """0 of a socket would be: do not wait at all."""
    assert read(cli, VAULT_CLIENT_TIMEOUT="0").timeout_s is None


def test_flags_win_over_variables(cli: CommandLine) -> None:
    env = {"VAULT_ADDR": "http://env", "VAULT_NAMESPACE": "env", "VAULT_SKIP_VERIFY": "true", "VAULT_WRAP_TTL": "1m"}
    settings = read(cli, "-address=http://flag -namespace=flag -tls-skip-verify=false -wrap-ttl=2m", **env)
    assert (settings.address, settings.namespace, settings.tls.skip_verify, settings.wrap_ttl) == ("http://flag", "flag/", False, "2m0s")
    assert read(cli, "-namespace=flag -ns=short").namespace == "short/"
    assert read(cli, "-ns=root").namespace == ""
    assert read(cli, "-address=http://flag", VAULT_AGENT_ADDR="http://agent").address == "http://agent"


def test_the_variable_wins_over_the_stored_token(cli: CommandLine) -> None:
    cli.token_file.write_text("hvs.stored\n")
    assert read(cli).token == "hvs.root"
    assert read(cli, VAULT_TOKEN="").token == "hvs.stored"
    cli.token_file.unlink()
    assert read(cli).token == ""


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({"VAULT_SKIP_VERIFY": "maybe"}, "failed to read environment: could not parse VAULT_SKIP_VERIFY"),
        ({"VAULT_CLIENT_TIMEOUT": "soon"}, 'failed to read environment: could not parse "VAULT_CLIENT_TIMEOUT"'),
        ({"VAULT_CLIENT_TIMEOUT": "-1s"}, 'failed to read environment: could not parse "VAULT_CLIENT_TIMEOUT"'),
        ({"VAULT_MAX_RETRIES": "-1"}, 'failed to read environment: strconv.ParseUint: parsing "-1": invalid syntax'),
        ({"VAULT_HEADERS": '{"A": 1}'}, "failed to read environment: VAULT_HEADERS is no JSON object of strings"),
        ({"VAULT_HEADERS": "A=1"}, "failed to read environment: VAULT_HEADERS is no JSON object of strings"),
        ({"VAULT_HEADERS": '{"X-Vault-Token": "t"}'},
         "failed to setup Headers[X-Vault-Token]: Header starting by 'X-Vault-' are for internal usage only"),
        ({"VAULT_CLIENT_CERT": "/c"}, "failed to setup TLS config: both client cert and client key must be provided"),
    ],
)
def test_what_cannot_be_used_is_an_error(cli: CommandLine, env: dict[str, str], message: str) -> None:
    cli.env.update(env)
    result = cli("read secret/a")
    assert (result.code, result.err) == (2, message + "\n")
    assert not cli.server.requests


def test_own_headers_but_none_of_vaults(cli: CommandLine) -> None:
    assert read(cli, "-header=A=1 -header=B=x=y").headers == (("A", "1"), ("B", "x=y"))
    result = cli("read -header=X-Vault-Token=stolen secret/a")
    assert (result.code, result.err) == (
        2,
        "failed to setup Headers[X-Vault-Token]: Header starting by 'X-Vault-' are for internal usage only\n",
    )


def test_headers_of_the_environment(cli: CommandLine) -> None:
    assert read(cli, "-header=B=flag", VAULT_HEADERS='{"A": "1", "B": "env"}').headers == (("A", "1"), ("B", "flag"))
