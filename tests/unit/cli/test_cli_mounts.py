"""`secrets …`, `auth …`, `audit …`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

if TYPE_CHECKING:
    from tests.unit.cli.conftest import CommandLine

MOUNTS = {
    "sys/": {
        "type": "system",
        "accessor": "system_1",
        "description": "system endpoints",
        "uuid": "u1",
        "local": False,
        "seal_wrap": True,
        "options": None,
        "config": {"default_lease_ttl": 0, "max_lease_ttl": 0, "force_no_cache": False},
        "external_entropy_access": False,
        "plugin_version": "",
        "running_plugin_version": "v1",
        "running_sha256": "",
        "deprecation_status": "supported",
    },
    "kv/": {
        "type": "kv",
        "accessor": "kv_1",
        "description": "",
        "uuid": "u2",
        "local": True,
        "seal_wrap": False,
        "options": {"version": "2"},
        "config": {"default_lease_ttl": 0, "max_lease_ttl": 3600, "force_no_cache": True, "listing_visibility": "hidden"},
        "plugin_version": "",
        "running_plugin_version": "v2",
        "running_sha256": "",
        "deprecation_status": "",
        "external_entropy_access": False,
    },
}
DETAILED = (
    "Path    Plugin    Accessor    Default TTL    Max TTL    Force No Cache    Replication    Seal Wrap    External Entropy Access    "
    "Options           Description         UUID    Version    Running Version    Running SHA256    Deprecation Status\n"
    "----    ------    --------    -----------    -------    --------------    -----------    ---------    -----------------------    "
    "-------           -----------         ----    -------    ---------------    --------------    ------------------\n"
    "kv/     kv        kv_1        system         3600       true              local          false        false                      "
    "map[version:2]    n/a                 u2      n/a        v2                 n/a               n/a\n"
    "sys/    system    system_1    n/a            n/a        false             replicated     true         false                      "
    "map[]             system endpoints    u1      n/a        v1                 n/a               supported\n"
)


def test_secrets_list(cli: CommandLine) -> None:
    cli.server.on("GET sys/mounts", {"request_id": "r", "data": MOUNTS, **MOUNTS})
    assert cli("secrets list").out == (
        "Path    Type      Accessor    Description\n"
        "----    ----      --------    -----------\n"
        "kv/     kv        kv_1        n/a\n"
        "sys/    system    system_1    system endpoints\n"
    )
    assert cli("secrets list -detailed").out == DETAILED


def test_secrets_list_as_json(cli: CommandLine) -> None:
    cli.server.on("GET sys/mounts", {"data": MOUNTS})
    out = cli("secrets list -format=json").out
    assert msgspec.json.decode(out) == MOUNTS
    assert out.startswith(
        '{\n  "kv/": {\n    "uuid": "u2",\n    "type": "kv",\n    "description": "",\n    "accessor": "kv_1",\n    "config": {\n'
        '      "default_lease_ttl": 0,\n      "max_lease_ttl": 3600,\n      "force_no_cache": true,\n'
        '      "listing_visibility": "hidden"\n    },\n'
        '    "options": {\n      "version": "2"\n    },\n    "local": true,\n'
    )


def test_secrets_enable(cli: CommandLine) -> None:
    cli.server.on("POST sys/mounts/kv")
    cli.server.on("POST sys/mounts/team/secret")
    assert cli("secrets enable kv").out == "Success! Enabled the kv secrets engine at: kv/\n"
    assert cli.server.sent()[2] == {
        "type": "kv",
        "description": "",
        "local": False,
        "seal_wrap": False,
        "external_entropy_access": False,
        "options": None,
        "config": {"options": None, "default_lease_ttl": "0s", "max_lease_ttl": "0s", "force_no_cache": False},
    }
    flags = (
        "-path=team/secret -version=2 -options=a=b -description=ours -default-lease-ttl=1h -max-lease-ttl=2h -force-no-cache -local "
        "-seal-wrap -listing-visibility=unauth -audit-non-hmac-request-keys=x -audit-non-hmac-request-keys=y"
    )
    assert cli(f"secrets enable {flags} kv").out == "Success! Enabled the kv secrets engine at: team/secret/\n"
    body = cli.server.sent()[2]
    assert isinstance(body, dict)
    assert (body["description"], body["options"], body["local"], body["seal_wrap"]) == ("ours", {"a": "b", "version": "2"}, True, True)
    assert body["config"] == {
        "options": None,
        "default_lease_ttl": "1h0m0s",
        "max_lease_ttl": "2h0m0s",
        "force_no_cache": True,
        "listing_visibility": "unauth",
        "audit_non_hmac_request_keys": ["x", "y"],
    }


def test_secrets_disable_and_tune(cli: CommandLine) -> None:
    cli.server.on("DELETE sys/mounts/kv")
    cli.server.on("POST sys/mounts/kv/tune")
    assert cli("secrets disable kv/").out == "Success! Disabled the secrets engine (if it existed) at: kv/\n"
    assert cli("secrets tune -max-lease-ttl=system kv").out == "Success! Tuned the secrets engine at: kv/\n"
    assert cli.server.sent()[2] == {"options": None, "default_lease_ttl": "", "max_lease_ttl": "system", "force_no_cache": False}
    cli('secrets tune -description="" -version=2 kv')
    body = cli.server.sent()[2]
    assert isinstance(body, dict)
    assert (body["description"], body["options"]) == ("", {"version": "2"})


def test_move(cli: CommandLine) -> None:
    cli.server.on("POST sys/remount", {"data": {"migration_id": "m1"}})
    cli.server.on("GET sys/remount/status/m1", {"data": {"migration_info": {"status": "success"}}})
    assert cli("secrets move kv secret").out == (
        "Started moving secrets engine kv/ to secret/, with migration ID m1\n"
        "Success! Finished moving secrets engine kv/ to secret/, with migration ID m1\n"
    )
    assert cli.server.sent(0)[2] == {"from": "kv/", "to": "secret/"}
    cli.server.answers["GET sys/remount/status/m1"].clear()
    cli.server.on("GET sys/remount/status/m1", {"data": {"migration_info": {"status": "failure"}}})
    failed = cli("auth move auth/userpass auth/people")
    assert failed.code == 2
    assert failed.err == "Failure! Error encountered moving auth method auth/userpass/ to auth/people/, with migration ID m1\n"


def test_auth_list(cli: CommandLine) -> None:
    token = {
        "type": "token",
        "accessor": "t1",
        "description": "token based",
        "config": {"token_type": "default-service"},
        "plugin_version": "v9",
    }
    cli.server.on("GET sys/auth", {"data": {"token/": token, "userpass/": {"type": "userpass", "accessor": "u1"}}})
    assert cli("auth list").out == (
        "Path         Type        Accessor    Description    Version\n"
        "----         ----        --------    -----------    -------\n"
        "token/       token       t1          token based    v9\n"
        "userpass/    userpass    u1          n/a            n/a\n"
    )
    assert "default-service" in cli("auth list -detailed").out


def test_auth_enable_disable_tune(cli: CommandLine) -> None:
    cli.server.on("POST sys/auth/people")
    cli.server.on("DELETE sys/auth/people")
    cli.server.on("POST sys/mounts/auth/people/tune")
    assert cli("auth enable -path=people -token-type=batch userpass").out == "Success! Enabled userpass auth method at: people/\n"
    body = cli.server.sent()[2]
    assert isinstance(body, dict)
    assert (body["type"], body["config"]["token_type"]) == ("userpass", "batch")
    assert cli("auth disable people").out == "Success! Disabled the auth method (if it existed) at: people/\n"
    lockout = "-user-lockout-threshold=3 -user-lockout-duration=1m -user-lockout-counter-reset-duration=2m -user-lockout-disable"
    assert cli(f"auth tune {lockout} people").out == "Success! Tuned the auth method at: people/\n"
    body = cli.server.sent()[2]
    assert isinstance(body, dict)
    assert body["user_lockout_config"] == {
        "lockout_threshold": "3",
        "lockout_duration": "1m0s",
        "lockout_counter_reset_duration": "2m0s",
        "lockout_disable": True,
    }
    cli("auth tune people")
    body = cli.server.sent()[2]
    assert isinstance(body, dict)
    assert "user_lockout_config" not in body


def test_auth_help(cli: CommandLine) -> None:
    cli.server.on("GET sys/auth", {"data": {"people/": {"type": "userpass"}, "gh/": {"type": "github"}}})
    by_type, by_path = cli("auth help userpass"), cli("auth help people")
    assert by_type.out == by_path.out
    assert by_type.out.startswith("Usage: holdfast login -method=userpass")
    unknown, foreign = cli("auth help none"), cli("auth help gh")
    assert (unknown.code, unknown.err) == (1, 'No auth method available on the server at "none/"\n')
    assert foreign.code == 2


def test_audit(cli: CommandLine) -> None:
    cli.server.on("PUT sys/audit/file")
    cli.server.on("DELETE sys/audit/file")
    assert cli("audit enable -description=log file file_path=/a.log mode=0600").out == "Success! Enabled the file audit device at: file/\n"
    assert cli.server.sent() == (
        "PUT",
        "sys/audit/file",
        {"type": "file", "description": "log", "options": {"file_path": "/a.log", "mode": "0600"}, "local": False},
    )
    assert cli("audit disable file").out == "Success! Disabled audit device (if it was enabled) at: file/\n"
    without = cli("audit enable")
    assert without.code == 1
    assert without.err.startswith("Error enabling audit device: audit type missing.")


def test_audit_list(cli: CommandLine) -> None:
    device = {"type": "file", "description": "log", "options": {"mode": "0600", "file_path": "/a"}, "local": False, "path": "file/"}
    cli.server.on("GET sys/audit", {"request_id": "r", "data": {}})
    none = cli("audit list")
    assert (none.code, none.out) == (2, "No audit devices are enabled.\n")
    cli.server.answers.clear()
    cli.server.on("GET sys/audit", {"data": {"file/": device}})
    assert cli("audit list").out == "Path     Type    Description\n----     ----    -----------\nfile/    file    log\n"
    assert cli("audit list -detailed").out.splitlines()[2] == "file/    file    log            replicated     file_path=/a mode=0600"
    assert msgspec.json.decode(cli("audit list -format=json").out) == {"file/": device}


@pytest.mark.parametrize(
    ("line", "start"),
    [
        ("secrets enable kv", "Error enabling: "),
        ("secrets disable kv", "Error disabling secrets engine at kv/: "),
        ("secrets list", "Error listing secrets engines: "),
        ("secrets tune kv", "Error tuning secrets engine kv/: "),
        ("secrets move a b", "Error moving secrets engine a/ to b/: "),
        ("auth enable userpass", "Error enabling userpass auth: "),
        ("auth disable userpass", "Error disabling auth method at userpass/: "),
        ("auth list", "Error listing enabled authentications: "),
        ("auth tune userpass", "Error tuning auth method userpass/: "),
        ("audit enable file", "Error enabling audit device: "),
        ("audit disable file", "Error disabling audit device: "),
        ("audit list", "Error listing audits: "),
    ],
)
def test_errors_of_the_server(cli: CommandLine, line: str, start: str) -> None:
    result = cli(line)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith(start + "Error making API request.\n\nURL: ")
    assert result.err.endswith("* no handler for route\n")
