"""`token …` and `lease …`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.unit.cli.conftest import CommandLine

AUTH = {
    "client_token": "hvs.new",
    "accessor": "acc",
    "policies": ["app", "default"],
    "token_policies": ["app", "default"],
    "metadata": {"a": "1"},
    "lease_duration": 3600,
    "renewable": True,
}
TABLE = (
    "Key                  Value\n"
    "---                  -----\n"
    "token                hvs.new\n"
    "token_accessor       acc\n"
    "token_duration       1h\n"
    "token_renewable      true\n"
    'token_policies       ["app" "default"]\n'
    "identity_policies    []\n"
    'policies             ["app" "default"]\n'
    "token_meta_a         1\n"
)


def test_create(cli: CommandLine) -> None:
    cli.server.on("POST auth/token/create", {"auth": AUTH})
    assert cli("token create").out == TABLE
    assert cli.server.sent()[2] == {
        "ttl": "0s",
        "explicit_max_ttl": "0s",
        "period": "0s",
        "display_name": "",
        "num_uses": 0,
        "renewable": True,
        "type": "service",
        "entity_alias": "",
    }
    assert cli("token create -field=token").out == "hvs.new"


def test_create_with_everything(cli: CommandLine) -> None:
    cli.server.on("POST auth/token/create/web", {"auth": AUTH})
    flags = (
        "-id=hvs.own -display-name=me -ttl=90m -explicit-max-ttl=24h -period=1h -renewable=false -orphan -no-default-policy -use-limit=3 "
        "-role=web -metadata=a=1 -metadata=b=2 -policy=app -policy=ops -entity-alias=ann"
    )
    assert cli(f"token create {flags}").code == 0
    assert cli.server.sent()[2] == {
        "id": "hvs.own",
        "display_name": "me",
        "ttl": "1h30m0s",
        "explicit_max_ttl": "24h0m0s",
        "period": "1h0m0s",
        "renewable": False,
        "no_parent": True,
        "no_default_policy": True,
        "num_uses": 3,
        "meta": {"a": "1", "b": "2"},
        "policies": ["app", "ops"],
        "entity_alias": "ann",
        "type": "service",
    }


def test_a_batch_token_cannot_be_renewed(cli: CommandLine) -> None:
    cli.server.on("POST auth/token/create", {"auth": AUTH})
    cli("token create -type=batch")
    body = cli.server.sent()[2]
    assert isinstance(body, dict)
    assert (body["type"], body["renewable"]) == ("batch", False)


def test_create_as_json(cli: CommandLine) -> None:
    cli.server.on("POST auth/token/create", {"request_id": "r", "auth": AUTH, "warnings": ["w"]})
    assert cli("token create -format=json").out == (
        '{\n  "request_id": "r",\n  "lease_id": "",\n  "lease_duration": 0,\n  "renewable": false,\n  "data": null,\n'
        '  "warnings": [\n    "w"\n  ],\n  "auth": {\n    "client_token": "hvs.new",\n    "accessor": "acc",\n'
        '    "policies": [\n      "app",\n      "default"\n    ],\n    "token_policies": [\n      "app",\n      "default"\n    ],\n'
        '    "identity_policies": null,\n    "metadata": {\n      "a": "1"\n    },\n    "orphan": false,\n    "entity_id": "",\n'
        '    "lease_duration": 3600,\n    "renewable": true,\n    "mfa_requirement": null\n  }\n}\n'
    )


def test_lookup(cli: CommandLine) -> None:
    data = {
        "accessor": "acc",
        "creation_ttl": 3600,
        "expire_time": None,
        "explicit_max_ttl": 0,
        "num_uses": 0,
        "policies": ["root"],
        "ttl": 0,
        "type": "service",
    }
    cli.server.on("GET auth/token/lookup-self", {"data": data})
    cli.server.on("POST auth/token/lookup", {"data": data})
    cli.server.on("POST auth/token/lookup-accessor", {"data": data})
    assert cli("token lookup").out == (
        "Key                 Value\n"
        "---                 -----\n"
        "accessor            acc\n"
        "creation_ttl        1h\n"
        "expire_time         <nil>\n"
        "explicit_max_ttl    0s\n"
        "num_uses            0\n"
        "policies            [root]\n"
        "ttl                 0s\n"
        "type                service\n"
    )
    assert cli("token lookup hvs.x").code == 0
    assert cli.server.sent() == ("POST", "auth/token/lookup", {"token": "hvs.x"})
    assert cli("token lookup -accessor acc").code == 0
    assert cli.server.sent() == ("POST", "auth/token/lookup-accessor", {"accessor": "acc"})


def test_renew(cli: CommandLine) -> None:
    for target in ("PUT auth/token/renew-self", "PUT auth/token/renew", "POST auth/token/renew-accessor"):
        cli.server.on(target, {"auth": AUTH})
    assert cli("token renew").out == TABLE
    assert cli.server.sent() == ("PUT", "auth/token/renew-self", {"increment": 0})
    cli("token renew -increment=30m hvs.x")
    assert cli.server.sent() == ("PUT", "auth/token/renew", {"token": "hvs.x", "increment": 1800})
    cli("token renew -i 60 -accessor acc")
    assert cli.server.sent() == ("POST", "auth/token/renew-accessor", {"accessor": "acc", "increment": 60})


@pytest.mark.parametrize(
    ("line", "sent"),
    [
        ("token revoke hvs.x", ("PUT", "auth/token/revoke", {"token": "hvs.x"})),
        ("token revoke -self", ("PUT", "auth/token/revoke-self", None)),
        ("token revoke -accessor acc", ("POST", "auth/token/revoke-accessor", {"accessor": "acc"})),
        ("token revoke -mode=orphan hvs.x", ("PUT", "auth/token/revoke-orphan", {"token": "hvs.x"})),
        ("token revoke -mode=path auth/userpass", ("PUT", "sys/leases/revoke-prefix/auth/userpass", None)),
    ],
)
def test_revoke(cli: CommandLine, line: str, sent: tuple[str, str, object]) -> None:
    cli.server.on(f"{sent[0]} {sent[1]}")
    result = cli(line)
    assert (result.code, result.out) == (0, "Success! Revoked token (if it existed)\n")
    assert cli.server.sent() == sent


def test_capabilities(cli: CommandLine) -> None:
    cli.server.on("POST sys/capabilities-self", {"data": {"capabilities": ["read", "create"], "secret/a": ["read", "create"]}})
    cli.server.on("POST sys/capabilities", {"data": {"capabilities": ["deny"]}})
    assert cli("token capabilities secret/a").out == "create, read\n"
    assert cli.server.sent() == ("POST", "sys/capabilities-self", {"token": "hvs.root", "path": "secret/a"})
    assert cli("token capabilities -format=json hvs.x secret/a").out == '[\n  "deny"\n]\n'
    assert cli.server.sent() == ("POST", "sys/capabilities", {"token": "hvs.x", "path": "secret/a"})
    cli.server.on("POST sys/capabilities-accessor", {"data": {"secret/a": ["list"]}})
    assert cli("token capabilities -accessor acc secret/a").out == "list\n"
    assert cli.server.sent() == ("POST", "sys/capabilities-accessor", {"accessor": "acc", "path": "secret/a"})


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("token create x", "Too many arguments (expected 0, got 1)"),
        ("token lookup a b", "Too many arguments (expected 0-1, got 2)"),
        ("token lookup -accessor", "Not enough arguments with -accessor (expected 1, got 0)"),
        ("token lookup -accessor a b", "Too many arguments with -accessor (expected 1, got 2)"),
        ("token renew a b", "Too many arguments (expected 1, got 2)"),
        ("token revoke", "Not enough arguments (expected 1 or -self, got 0)"),
        ("token revoke a b", "Too many arguments (expected 1 or -self, got 2)"),
        ("token revoke -self a", "Too many arguments with -self (expected 0, got 1)"),
        ("token revoke -self -accessor", "Cannot use -self with -accessor!"),
        ("token revoke -self -mode=orphan", "Cannot use -self with -mode!"),
        ("token revoke -accessor -mode=orphan a", "Cannot use -accessor with -mode=orphan!"),
        ("token revoke -mode=all a", "Invalid mode: all"),
        ("token capabilities", "Not enough arguments (expected 1-2, got 0)"),
        ("token capabilities -accessor a", "Not enough arguments with -accessor (expected 2, got 1)"),
        ("token capabilities -accessor a b c", "Too many arguments with -accessor (expected 2, got 3)"),
        ("lease lookup", "Missing ID!"),
        ("lease renew", "Missing ID!"),
        ("lease revoke", "Not enough arguments (expected 1, got 0)"),
        ("lease revoke -force x", "Specifying -force requires also specifying -prefix"),
    ],
)
def test_refusals(cli: CommandLine, line: str, message: str) -> None:
    result = cli(line)
    assert (result.code, result.out, result.err) == (1, "", message + "\n")
    assert not cli.server.requests


def test_lease_lookup_and_renew(cli: CommandLine) -> None:
    cli.server.on("PUT sys/leases/lookup", {"data": {"id": "db/creds/a/1", "ttl": 90}})
    cli.server.on("PUT sys/leases/renew", {"lease_id": "db/creds/a/1", "lease_duration": 60, "renewable": True})
    assert cli("lease lookup db/creds/a/1").out == "Key    Value\n---    -----\nid     db/creds/a/1\nttl    1m30s\n"
    assert cli("lease renew -increment=1m db/creds/a/1").out == (
        "Key                Value\n---                -----\n"
        "lease_id           db/creds/a/1\nlease_duration     1m\nlease_renewable    true\n"
    )
    assert cli.server.sent()[2] == {"increment": 60, "lease_id": "db/creds/a/1"}


@pytest.mark.parametrize(
    ("flags", "sent", "text"),
    [
        ("", ("PUT", "sys/leases/revoke/db/creds", {"sync": False}), "All revocation operations queued successfully!"),
        ("-sync", ("PUT", "sys/leases/revoke/db/creds", {"sync": True}), "Success! Revoked lease: db/creds"),
        ("-prefix", ("PUT", "sys/leases/revoke-prefix/db/creds", {"sync": False}), "All revocation operations queued successfully!"),
        (
            "-prefix -sync",
            ("PUT", "sys/leases/revoke-prefix/db/creds", {"sync": True}),
            "Success! Revoked any leases with prefix: db/creds",
        ),
        ("-prefix -f", ("PUT", "sys/leases/revoke-force/db/creds", None), "Success! Force revoked any leases with prefix: db/creds"),
    ],
)
def test_lease_revoke(cli: CommandLine, flags: str, sent: tuple[str, str, object], text: str) -> None:
    cli.server.on(f"{sent[0]} {sent[1]}")
    result = cli(f"lease revoke {flags} db/creds/")
    assert (result.code, result.out) == (0, text.replace("db/creds", "db/creds/") + "\n")
    assert cli.server.sent() == sent
    assert bool(result.err) == ("-f" in flags)


def test_lease_errors(cli: CommandLine) -> None:
    cli.server.on("PUT sys/leases/revoke-prefix/db", {"errors": ["permission denied"]}, status=403)
    result = cli("lease revoke -prefix db")
    assert result.code == 2
    assert result.err.startswith("Error revoking leases with prefix db: Error making API request.")
