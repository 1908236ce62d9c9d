"""`read`, `write`, `patch`, `delete`, `list`, `unwrap`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.unit.cli.conftest import CommandLine

SECRET = {
    "request_id": "r1",
    "lease_id": "",
    "lease_duration": 2_764_800,
    "renewable": False,
    "data": {"ttl": 3600, "zip": "zap", "list": ["a", 1], "map": {"b": True, "a": None}, "html": "<&>"},
    "wrap_info": None,
    "warnings": None,
    "auth": None,
}


def test_read_as_a_table(cli: CommandLine) -> None:
    cli.server.on("GET secret/a", SECRET)
    result = cli("read secret/a")
    assert (result.code, result.err) == (0, "")
    assert result.out == (
        "Key                 Value\n"
        "---                 -----\n"
        "refresh_interval    768h\n"
        "html                <&>\n"
        "list                [a 1]\n"
        "map                 map[a:<nil> b:true]\n"
        "ttl                 1h\n"
        "zip                 zap\n"
    )


def test_read_as_json(cli: CommandLine) -> None:
    cli.server.on("GET secret/a", SECRET)
    assert cli("read -format=json secret/a").out == (
        "{\n"
        '  "request_id": "r1",\n'
        '  "lease_id": "",\n'
        '  "lease_duration": 2764800,\n'
        '  "renewable": false,\n'
        '  "data": {\n'
        '    "html": "\\u003c\\u0026\\u003e",\n'
        '    "list": [\n      "a",\n      1\n    ],\n'
        '    "map": {\n      "a": null,\n      "b": true\n    },\n'
        '    "ttl": 3600,\n'
        '    "zip": "zap"\n'
        "  },\n"
        '  "warnings": null\n'
        "}\n"
    )


def test_read_as_yaml_and_raw(cli: CommandLine) -> None:
    cli.server.on("GET secret/a", b'{"data":{"b":"true","a":1.10},"lease_id":"","request_id":"r"}\n')
    assert cli("read -format=yaml secret/a").out == (
        'data:\n  a: 1.1\n  b: "true"\nlease_duration: 0\nlease_id: ""\nrenewable: false\nrequest_id: r\nwarnings: null\n'
    )
    assert cli("read -format=raw secret/a").out == '{"data":{"b":"true","a":1.10},"lease_id":"","request_id":"r"}\n\n'


def test_a_lease_and_warnings(cli: CommandLine) -> None:
    body = {
        "lease_id": "database/creds/app/x",
        "lease_duration": 90,
        "renewable": True,
        "data": {"username": ""},
        "warnings": ["w" * 30 + " end"],
    }
    cli.server.on("GET database/creds/app", body)
    result = cli("read database/creds/app")
    assert result.out == (
        "Key                Value\n"
        "---                -----\n"
        "lease_id           database/creds/app/x\n"
        "lease_duration     1m30s\n"
        "lease_renewable    true\n"
        "username           n/a\n"
    )
    assert result.err == f"WARNING! The following warnings were returned from Vault:\n\n  * {'w' * 30} end\n\n"


def test_one_field(cli: CommandLine) -> None:
    cli.server.on("GET secret/a", SECRET)
    assert cli("read -field=zip secret/a").out == "zap"
    assert cli("read -field=zip secret/a", tty=True).out == "zap\n"
    assert cli("read -field=map secret/a").out == "map[a:<nil> b:true]"
    assert cli("read -field=map -format=json secret/a").out == '{\n  "a": null,\n  "b": true\n}'
    assert cli("read -field=list -format=yaml secret/a").out == "- a\n- 1\n"
    assert cli("read -field=refresh_interval secret/a").out == "2764800"
    missing = cli("read -field=none secret/a")
    assert (missing.code, missing.out, missing.err) == (1, "", 'Field "none" not present in secret\n')


def test_a_query(cli: CommandLine) -> None:
    cli.server.on("GET secret/a?list=1&v=2&v=3", SECRET)
    assert cli("read secret/a v=2 v=3 list=1").code == 0


def test_reading_nothing_and_being_refused(cli: CommandLine) -> None:
    cli.server.on("GET forbidden", {"errors": ["permission denied"]}, status=403)
    nothing, refused = cli("read /secret/none/"), cli("read forbidden")
    assert (nothing.code, nothing.out, nothing.err) == (2, "", "No value found at secret/none\n")
    assert (refused.code, refused.out) == (2, "")
    assert refused.err == (
        "Error reading forbidden: Error making API request.\n\n"
        "URL: GET https://127.0.0.1:8200/v1/forbidden\nCode: 403. Errors:\n\n* permission denied\n"
    )


def test_a_server_that_is_not_there(cli: CommandLine) -> None:
    cli.server.is_down = True
    result = cli("read secret/a")
    assert result.code == 2
    assert result.err == (
        'Error reading secret/a: Get "https://127.0.0.1:8200/v1/secret/a": dial tcp 127.0.0.1:8200: connect: connection refused\n'
    )


def test_write(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "v").write_text("from a file")
    cli.server.on("PUT secret/a")
    result = cli(f"write secret/a x=1 y=@{tmp_path}/v z=-", stdin=b"from stdin")
    assert (result.code, result.out) == (0, "Success! Data written to: secret/a\n")
    assert cli.server.sent() == ("PUT", "secret/a", {"x": "1", "y": "from a file", "z": "from stdin"})
    assert cli("write -format=json secret/a x=1").out == ""


def test_a_whole_body(cli: CommandLine) -> None:
    cli.server.on("PUT secret/a")
    assert cli("write secret/a - extra=1", stdin=b'{"n": 1.10, "deep": {"a": []}}').code == 0
    assert cli.server.requests[-1].body == b'{"deep":{"a":[]},"extra":"1","n":1.10}'


def test_write_without_data(cli: CommandLine) -> None:
    cli.server.on("PUT transit/keys/k")
    refused = cli("write transit/keys/k")
    assert (refused.code, refused.err) == (1, "Must supply data or use -force\n")
    for flag in ("-f", "-force"):
        assert cli(f"write {flag} transit/keys/k").code == 0
        assert cli.server.sent() == ("PUT", "transit/keys/k", None)


def test_write_with_an_answer(cli: CommandLine) -> None:
    cli.server.on("PUT transit/encrypt/k", {"data": {"ciphertext": "vault:v1:x"}})
    assert cli("write -field=ciphertext transit/encrypt/k plaintext=eA==").out == "vault:v1:x"


def test_data_that_cannot_be_read(cli: CommandLine) -> None:
    result = cli("write secret/a novalue")
    assert (result.code, result.err) == (1, 'Failed to parse K=V data: invalid key/value pair "novalue": format must be key=value\n')


def test_patch(cli: CommandLine) -> None:
    cli.server.on("PATCH pki/roles/web", {"data": {"ok": True}})
    result = cli("patch pki/roles/web allow_localhost=false")
    assert result.out == "Key    Value\n---    -----\nok     true\n"
    assert cli.server.header("Content-Type") == "application/merge-patch+json"


def test_delete(cli: CommandLine) -> None:
    cli.server.on("DELETE secret/a")
    cli.server.on("DELETE secret/a?versions=1")
    assert cli("delete secret/a").out == "Success! Data deleted (if it existed) at: secret/a\n"
    assert cli("delete secret/a versions=1").code == 0


def test_list(cli: CommandLine) -> None:
    cli.server.on("GET secret?list=true", {"data": {"keys": ["b", "a/"]}})
    assert cli("list secret/").out == "Keys\n----\na/\nb\n"
    assert cli("list -format=json secret").out == '[\n  "b",\n  "a/"\n]\n'
    assert cli("list -format=yaml secret").out == "- b\n- a/\n"


def test_list_with_details(cli: CommandLine) -> None:
    info = {"a": {"ttl": 60, "type": "x"}, "b": {"type": "y"}}
    cli.server.on("GET auth/token/roles?list=true", {"data": {"keys": ["b", "a"], "key_info": info}})
    assert cli("list -detailed auth/token/roles").out == "Keys    ttl    type\n----    ---    ----\na       1m     x\nb       n/a    y\n"
    assert cli("list auth/token/roles").out == "Keys\n----\na\nb\n"
    assert '"key_info"' in cli("list -detailed -format=json auth/token/roles").out


def test_list_of_nothing(cli: CommandLine) -> None:
    table, json = cli("list secret"), cli("list -format=json secret")
    assert (table.code, table.out, table.err) == (2, "", "No value found at secret\n")
    assert (json.code, json.out, json.err) == (2, "{}\n", "")


def test_wrapping_and_unwrapping(cli: CommandLine) -> None:
    info = {
        "token": "hvs.w",
        "accessor": "acc",
        "ttl": 120,
        "creation_time": "2026-11-21T08:00:00.25Z",
        "creation_path": "secret/a",
        "wrapped_accessor": "",
    }
    cli.server.on("GET secret/a", {"wrap_info": info, "data": None})
    cli.server.on("PUT sys/wrapping/unwrap", SECRET)
    assert cli("read -wrap-ttl=2m secret/a").out == (
        "Key                              Value\n"
        "---                              -----\n"
        "wrapping_token:                  hvs.w\n"
        "wrapping_accessor:               acc\n"
        "wrapping_token_ttl:              2m\n"
        "wrapping_token_creation_time:    2026-11-21 08:00:00.25 +0000 UTC\n"
        "wrapping_token_creation_path:    secret/a\n"
    )
    assert cli.server.header("X-Vault-Wrap-TTL") == "2m0s"
    assert cli("read -wrap-ttl=2m -field=wrapping_token secret/a").out == "hvs.w"
    assert cli("unwrap -field=zip hvs.w").out == "zap"


def test_unwrapping_a_list_and_nothing(cli: CommandLine) -> None:
    cli.server.on("PUT sys/wrapping/unwrap", {"data": {"keys": ["x"]}})
    assert cli("unwrap hvs.w").out == "Keys\n----\nx\n"
    cli.server.answers.clear()
    cli.server.on("PUT sys/wrapping/unwrap")
    assert cli("unwrap hvs.w").out == "Successfully unwrapped. There was no data in the wrapped secret.\n"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("read", "Not enough arguments (expected 1, got 0)"),
        ("write", "Not enough arguments (expected 1, got 0)"),
        ("delete", "Not enough arguments (expected at least 1, got 0)"),
        ("list a b", "Too many arguments (expected 1, got 2)"),
        ("unwrap a b", "Too many arguments (expected 0-1, got 2)"),
    ],
)
def test_the_number_of_arguments(cli: CommandLine, line: str, message: str) -> None:
    result = cli(line)
    assert (result.code, result.out, result.err) == (1, "", message + "\n")
    assert not cli.server.requests
