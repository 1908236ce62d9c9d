"""`kv …`: version 1 and 2 with the same commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.unit.cli.conftest import CommandLine

METADATA = {"created_time": "2026-11-21T08:00:00.123Z", "custom_metadata": None, "deletion_time": "", "destroyed": False, "version": 3}
V2_TABLE = (
    "= Secret Path =\n"
    "secret/data/app\n"
    "\n"
    "======= Metadata =======\n"
    "Key                Value\n"
    "---                -----\n"
    "created_time       2026-11-21T08:00:00.123Z\n"
    "custom_metadata    <nil>\n"
    "deletion_time      n/a\n"
    "destroyed          false\n"
    "version            3\n"
)


@pytest.fixture(autouse=True)
def mounts(cli: CommandLine) -> None:
    """`secret/` is of version 2, `old/` of version 1."""
    for path in ("secret", "secret/app", "secret/team/app", "secret/team"):
        cli.server.on(f"GET sys/internal/ui/mounts/{path}", {"data": {"path": "secret/", "type": "kv", "options": {"version": "2"}}})
    for path in ("old", "old/app"):
        cli.server.on(f"GET sys/internal/ui/mounts/{path}", {"data": {"path": "old/", "type": "kv", "options": None}})


@pytest.mark.parametrize("line", ["kv get secret/app", "kv get -mount=secret app", "kv get -mount secret/ /app"])
def test_get_version_2(cli: CommandLine, line: str) -> None:
    cli.server.on("GET secret/data/app", {"data": {"data": {"user": "ann", "n": 1}, "metadata": METADATA}})
    result = cli(line)
    assert (result.code, result.err) == (0, "")
    assert result.out == V2_TABLE + "\n==== Data ====\nKey     Value\n---     -----\nn       1\nuser    ann\n"


def test_get_version_1(cli: CommandLine) -> None:
    cli.server.on("GET old/app", {"data": {"user": "ann"}, "lease_duration": 2_764_800})
    for line in ("kv get old/app", "kv get -mount=old app"):
        assert cli(line).out == "==== Data ====\nKey     Value\n---     -----\nuser    ann\n"


def test_the_question_for_the_mount_comes_first_and_is_never_wrapped(cli: CommandLine) -> None:
    cli.server.on("GET secret/data/app", {"wrap_info": {"token": "hvs.w", "ttl": 60}})
    cli("kv get -wrap-ttl=1m secret/app")
    assert [cli.server.sent(at)[1] for at in (0, 1)] == ["sys/internal/ui/mounts/secret/app", "secret/data/app"]
    assert [cli.server.header("X-Vault-Wrap-TTL", at) for at in (0, 1)] == [None, "1m0s"]
    assert cli("kv get -wrap-ttl=1m -field=wrapping_token secret/app").out == "hvs.w"


def test_get_an_older_version(cli: CommandLine) -> None:
    cli.server.on("GET secret/data/app?version=2", {"data": {"data": {"user": "old"}, "metadata": METADATA}})
    assert cli("kv get -version=2 -field=user secret/app").out == "old"


def test_fields(cli: CommandLine) -> None:
    cli.server.on("GET secret/data/app", {"data": {"data": {"user": "ann"}, "metadata": METADATA}})
    cli.server.on("GET secret/data/team/app", {"data": {"data": {"data": "inner"}, "metadata": METADATA}})
    assert cli("kv get -field=user secret/app").out == "ann"
    assert cli("kv get -field=data -format=json secret/app").out == '{\n  "user": "ann"\n}'
    assert cli("kv get -field=data secret/team/app").out == "inner"
    missing = cli("kv get -field=nothing secret/app")
    assert (missing.code, missing.err) == (1, 'Field "nothing" not present in secret\n')


def test_a_deleted_version(cli: CommandLine) -> None:
    cli.server.on("GET secret/data/app", {"data": {"data": None, "metadata": METADATA}}, status=404)
    assert cli("kv get secret/app").out == V2_TABLE + "\n"
    field = cli("kv get -field=user secret/app")
    assert (field.code, field.err) == (2, "No data found at secret/data/app\n")


def test_nothing_there(cli: CommandLine) -> None:
    result = cli("kv get secret/app")
    assert (result.code, result.out, result.err) == (2, "", "No value found at secret/data/app\n")


def test_get_as_json(cli: CommandLine) -> None:
    cli.server.on("GET secret/data/app", b'{"request_id":"r","data":{"data":{"n":1.10},"metadata":{"version":1}},"mount_type":"kv"}')
    out = cli("kv get -format=json secret/app").out
    assert '"n": 1.10' in out
    assert out.endswith('  "warnings": null,\n  "mount_type": "kv"\n}\n')


def test_put_version_2(cli: CommandLine) -> None:
    cli.server.on("PUT secret/data/app", {"data": METADATA})
    result = cli("kv put secret/app user=ann pass=-", stdin=b"s3cret")
    assert result.out == V2_TABLE
    assert cli.server.sent() == ("PUT", "secret/data/app", {"data": {"user": "ann", "pass": "s3cret"}, "options": {}})
    cli("kv put -cas=0 -mount=secret app a=b")
    assert cli.server.sent() == ("PUT", "secret/data/app", {"data": {"a": "b"}, "options": {"cas": 0}})
    assert cli("kv put -field=version secret/app a=b").out == "3"


def test_put_version_1(cli: CommandLine) -> None:
    cli.server.on("PUT old/app")
    assert cli("kv put old/app user=ann").out == "Success! Data written to: old/app\n"
    assert cli.server.sent() == ("PUT", "old/app", {"user": "ann"})


def test_patch(cli: CommandLine) -> None:
    cli.server.on("PATCH secret/data/app", {"data": METADATA})
    assert cli("kv patch -cas=2 -remove-data=old secret/app user=bob").out == V2_TABLE
    assert cli.server.sent() == ("PATCH", "secret/data/app", {"data": {"user": "bob", "old": None}, "options": {"cas": 2}})
    assert cli("kv patch -remove-data=old secret/app").code == 0


@pytest.mark.parametrize(("method", "status"), [("", 403), ("", 405), ("-method=rw", 200)])
def test_patch_by_reading_and_writing(cli: CommandLine, method: str, status: int) -> None:
    cli.server.on("PATCH secret/data/app", {"errors": ["no"]}, status=status)
    cli.server.on("GET secret/data/app", {"data": {"data": {"user": "ann", "old": "x", "keep": "y"}, "metadata": METADATA}})
    cli.server.on("PUT secret/data/app", {"data": METADATA})
    result = cli(f"kv patch {method} -remove-data=old secret/app user=bob")
    assert (result.code, result.out) == (0, V2_TABLE)
    assert cli.server.sent() == ("PUT", "secret/data/app", {"data": {"user": "bob", "keep": "y"}, "options": {"cas": 3}})
    assert ("patch" in result.err) == (status == 403)


def test_patch_that_may_only_patch(cli: CommandLine) -> None:
    cli.server.on("PATCH secret/data/app", {"errors": ["no"]}, status=403)
    assert cli("kv patch -method=patch secret/app user=bob").code == 2
    assert [cli.server.sent(at)[0] for at in range(len(cli.server.requests))] == ["GET", "PATCH"]


def test_delete(cli: CommandLine) -> None:
    cli.server.on("DELETE secret/data/app")
    cli.server.on("PUT secret/delete/app")
    cli.server.on("DELETE old/app")
    assert cli("kv delete secret/app").out == "Success! Data deleted (if it existed) at: secret/data/app\n"
    assert cli("kv delete -versions=1,2 -versions=4 secret/app").out == "Success! Data deleted (if it existed) at: secret/data/app\n"
    assert cli.server.sent() == ("PUT", "secret/delete/app", {"versions": ["1", "2", "4"]})
    assert cli("kv delete old/app").out == "Success! Data deleted (if it existed) at: old/app\n"


@pytest.mark.parametrize("kind", ["undelete", "destroy"])
def test_undelete_and_destroy(cli: CommandLine, kind: str) -> None:
    cli.server.on(f"PUT secret/{kind}/app")
    assert cli(f"kv {kind} -mount=secret -versions=1 app").out == f"Success! Data written to: secret/{kind}/app\n"
    assert cli.server.sent()[2] == {"versions": ["1"]}
    without = cli(f"kv {kind} secret/app")
    assert (without.code, without.err) == (1, f'No versions provided, use the "-versions" flag to specify the version to {kind}.\n')
    old = cli(f"kv {kind} -versions=1 old/app")
    assert (old.code, old.err) == (1, f"{kind.capitalize()} not supported on KV Version 1\n")


def test_list(cli: CommandLine) -> None:
    cli.server.on("GET secret/metadata?list=true", {"data": {"keys": ["team/", "app"]}})
    cli.server.on("GET secret/metadata/team?list=true", {"data": {"keys": ["x"]}})
    cli.server.on("GET old?list=true", {"data": {"keys": ["y"]}})
    assert cli("kv list secret").out == "Keys\n----\napp\nteam/\n"
    assert cli("kv list -mount=secret").out == "Keys\n----\napp\nteam/\n"
    assert cli("kv list secret/team/").out == "Keys\n----\nx\n"
    assert cli("kv list -mount=old").out == "Keys\n----\ny\n"
    nothing = cli("kv list secret/team/app")
    assert (nothing.code, nothing.err) == (2, "No value found at secret/metadata/team/app\n")


def test_rollback(cli: CommandLine) -> None:
    cli.server.on("GET secret/data/app", {"data": {"data": None, "metadata": METADATA}}, status=404)
    cli.server.on("GET secret/data/app?version=1", {"data": {"data": {"user": "first"}, "metadata": {"version": 1, "destroyed": False}}})
    gone = {"data": {"data": None, "metadata": {"version": 2, "deletion_time": "2026-11-21T08:00:00Z"}}}
    cli.server.on("GET secret/data/app?version=2", gone, status=404)
    cli.server.on("PUT secret/data/app", {"data": METADATA})
    assert cli("kv rollback -version=1 secret/app").code == 0
    assert cli.server.sent() == ("PUT", "secret/data/app", {"data": {"user": "first"}, "options": {"cas": 3}})
    deleted = cli("kv rollback -version=2 secret/app")
    assert (deleted.code, deleted.err) == (2, "Cannot roll back to a version that has been deleted\n")


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("kv rollback secret/app", 1, "Version flag must be specified"),
        ("kv rollback -version=0 secret/app", 1, "Invalid value 0 for the version flag"),
        ("kv rollback -version=1", 1, "Invalid number of arguments (expected 1, got 0)"),
        ("kv rollback -version=1 old/app", 2, "K/V engine mount must be version 2 for rollback support"),
        ("kv patch old/app a=b", 2, "K/V engine mount must be version 2 for patch support"),
        ("kv patch -method=other secret/app a=b", 2, "Unsupported method provided to -method flag: other"),
        ("kv put secret/app", 1, "Must supply data"),
        ("kv put", 1, "Not enough arguments (expected >1, got 0)"),
        ("kv get", 1, "Not enough arguments (expected 1, got 0)"),
        ("kv list", 1, "Not enough arguments (expected 1, got 0)"),
        ("kv metadata get old/app", 1, "Metadata not supported on KV Version 1"),
    ],
)
def test_refusals(cli: CommandLine, line: str, code: int, message: str) -> None:
    result = cli(line)
    assert (result.code, result.out, result.err) == (code, "", message + "\n")


def test_enable_versioning(cli: CommandLine) -> None:
    cli.server.on("POST sys/mounts/old/tune")
    assert cli("kv enable-versioning old").out == "Success! Tuned the secrets engine at: old/\n"
    method, target, body = cli.server.sent()
    assert (method, target) == ("POST", "sys/mounts/old/tune")
    assert isinstance(body, dict)
    assert body["options"] == {"version": "2"}


def test_a_mount_in_a_namespace(cli: CommandLine) -> None:
    cli.server.on("GET sys/internal/ui/mounts/kv/app", {"data": {"path": "team/kv/", "options": {"version": "2"}}})
    cli.server.on("GET kv/data/app", {"data": {"data": {"a": "b"}, "metadata": METADATA}})
    assert cli("kv get -namespace=team -field=a kv/app").out == "b"


def test_a_server_that_cannot_tell_has_version_1(cli: CommandLine) -> None:
    cli.server.on("GET other/app", {"data": {"a": "b"}})
    assert cli("kv get -field=a other/app").out == "b"
    assert cli("kv get -field=a -mount=other app").out == "b"


def test_the_question_refused(cli: CommandLine) -> None:
    cli.server.on("GET sys/internal/ui/mounts/forbidden/app", {"errors": ["permission denied"]}, status=403)
    plain, curl = cli("kv get forbidden/app"), cli("kv get -output-curl-string forbidden/app")
    assert plain.code == curl.code == 2
    assert plain.err.startswith(
        "Error making API request.\n\nURL: GET https://127.0.0.1:8200/v1/sys/internal/ui/mounts/forbidden/app\nCode: 403."
    )
    assert "needs read access to forbidden/app" in curl.err


def test_show_the_request(cli: CommandLine) -> None:
    curl, policy = cli("kv get -output-curl-string secret/app"), cli("kv put -output-policy secret/app a=b")
    assert curl.out.endswith(" https://127.0.0.1:8200/v1/secret/data/app\n")
    assert policy.out == 'path "secret/data/app" {\n  capabilities = ["create", "update"]\n}\n'
    assert curl.code == policy.code == 0


def test_metadata_get(cli: CommandLine) -> None:
    version = {"created_time": "2026-11-21T08:00:00Z", "deletion_time": "", "destroyed": False}
    data = {"cas_required": False, "current_version": 10, "max_versions": 0, "versions": {"10": version, "9": version}}
    cli.server.on("GET secret/metadata/app", {"data": data})
    rows = (
        "Key              Value\n---              -----\n"
        "created_time     2026-11-21T08:00:00Z\ndeletion_time    n/a\ndestroyed        false\n"
    )
    assert cli("kv metadata get -mount=secret app").out == (
        "== Metadata Path ==\nsecret/metadata/app\n\n"
        "======= Metadata =======\n"
        "Key                Value\n---                -----\ncas_required       false\ncurrent_version    10\nmax_versions       0\n"
        f"\n====== Version 9 ======\n{rows}\n===== Version 10 =====\n{rows}"
    )


def test_metadata_put_and_patch(cli: CommandLine) -> None:
    cli.server.on("PUT secret/metadata/app")
    cli.server.on("PATCH secret/metadata/app")
    flags = "-max-versions=5 -cas-required -delete-version-after=3h25m19s -custom-metadata=owner=ann"
    assert cli(f"kv metadata put {flags} secret/app").out == "Success! Data written to: secret/metadata/app\n"
    settings = {"max_versions": 5, "cas_required": True, "delete_version_after": "3h25m19s"}
    assert cli.server.sent()[2] == {**settings, "custom_metadata": {"owner": "ann"}}
    cli("kv metadata put secret/app")
    assert cli.server.sent()[2] == {}
    cli("kv metadata patch -cas-required=false -custom-metadata=a=b -remove-custom-metadata=owner secret/app")
    assert cli.server.sent()[2] == {"cas_required": False, "custom_metadata": {"a": "b", "owner": None}}


def test_metadata_delete(cli: CommandLine) -> None:
    cli.server.on("DELETE secret/metadata/app")
    assert cli("kv metadata delete secret/app").out == "Success! Data deleted (if it existed) at: secret/metadata/app\n"
