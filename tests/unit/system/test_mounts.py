"""sys/mounts and sys/auth through the pipeline: tables, enabling, tuning. Unmounting: test_unmount."""
import re
from dataclasses import replace
from typing import Any

import pytest
from tests.contract.engine import CONTRACT
from tests.contract.one_node import OneNode

from holdfast.engine import Context, Method, Txn
from holdfast.limits import MOUNT_TEXT_MAX
from holdfast.system import mount_table

GET, LIST, POST, DELETE = Method.GET, Method.LIST, Method.POST, Method.DELETE
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@pytest.fixture
def node() -> OneNode:
    return OneNode(more=[CONTRACT])


def enable(node: OneNode, path: str, **body: Any) -> None:
    assert node.call(POST, f"sys/{path}", body).status == 204


def refused(node: OneNode, method: Method, path: str, body: object = None) -> str:
    seen = node.call(method, path, body)
    assert (seen.status, dict(seen.changes)) == (400, {})
    (error,) = seen.json["errors"]
    assert isinstance(error, str)
    return error


class TestSecretsEngines:
    def test_one_is_enabled_and_shown_everywhere(self, node: OneNode) -> None:
        enable(node, "mounts/team/kv", type="kv", description="of the team", options={"version": 2},
               config={"default_lease_ttl": "1h", "max_lease_ttl": 7200, "listing_visibility": "unauth", "force_no_cache": True,
                       "audit_non_hmac_request_keys": "a,b", "passthrough_request_headers": ["X-One"]})
        shown = node.call(GET, "sys/mounts/team/kv").json
        data = shown["data"]
        assert UUID.fullmatch(data.pop("uuid"))
        assert re.fullmatch("kv_[0-9a-f]{8}", data.pop("accessor"))
        assert data == {
            "type": "kv", "description": "of the team", "local": False, "seal_wrap": False, "external_entropy_access": False,
            "options": {"version": "2"}, "plugin_version": "", "running_plugin_version": "v1.17.0+builtin.vault", "running_sha256": "",
            "deprecation_status": "supported",
            "config": {"default_lease_ttl": 3600, "max_lease_ttl": 7200, "force_no_cache": True, "listing_visibility": "unauth",
                       "audit_non_hmac_request_keys": ["a", "b"], "passthrough_request_headers": ["X-One"]}}
        assert shown["type"] == "kv"
        table = node.call(GET, "sys/mounts").json
        assert table["data"]["team/kv/"] == table["team/kv/"] == shown["data"] | {
            "uuid": shown["uuid"], "accessor": shown["accessor"]}
        assert node.call(POST, "team/kv/data/x", {"data": {"a": 1}}).status == 200

    @pytest.mark.parametrize("path", ["core", "core/lease", "systems", "authors"])
    def test_a_path_may_begin_like_one_of_the_server_s_own(self, node: OneNode, path: str) -> None:
        enable(node, f"mounts/{path}", type="kv")
        assert node.call(POST, f"{path}/a", {"b": "c"}).status == 204
        assert node.call(GET, f"{path}/a").json["data"] == {"b": "c"}

    @pytest.mark.parametrize("options", [{"version": 2, "a": True}, ["version=2", "a=1"]])
    def test_options_are_texts_however_they_were_sent(self, node: OneNode, options: object) -> None:
        enable(node, "mounts/a", type="kv", options=options)
        assert node.call(GET, "sys/mounts/a").json["data"]["options"] == {"version": "2", "a": "1"}
        node.call(POST, "sys/mounts/a/tune", {"options": "b=c=d"})
        assert node.call(GET, "sys/mounts/a").json["data"]["options"] == {"version": "2", "a": "1", "b": "c=d"}

    def test_the_table_shows_no_auth_method_and_null_options(self, node: OneNode) -> None:
        data = node.call(GET, "sys/mounts").json["data"]
        assert sorted(data) == ["cubbyhole/", "kv1/", "secret/"]
        assert data["cubbyhole/"]["options"] is None
        assert "deprecation_status" not in data["cubbyhole/"]
        assert "token_type" not in data["kv1/"]["config"]

    @pytest.mark.parametrize(("body", "version"), [
        ({"type": "kv"}, ""), ({"type": "kv-v1"}, "1"), ({"type": "kv-v2"}, "2"), ({"type": "kv", "options": {"version": "1"}}, "1"),
        ({"type": "plugin", "plugin_name": "kv"}, ""), ({"type": "plugin", "config": {"plugin_name": "kv-v2"}}, "2"),
    ])
    def test_kinds_of_kv(self, node: OneNode, body: dict[str, Any], version: str) -> None:
        enable(node, "mounts/x", **body)
        data = node.call(GET, "sys/mounts/x").json["data"]
        assert data["type"] == "kv"
        assert (data["options"] or {}).get("version", "") == version
        assert node.call(POST, "x/data/a" if version == "2" else "x/a", {"data": {"a": 1}}).status == (200 if version == "2" else 204)

    def test_kv_goes_by_its_old_name_too_and_keeps_it(self, node: OneNode) -> None:
        enable(node, "mounts/old", type="generic", options={})
        data = node.call(GET, "sys/mounts/old").json["data"]
        assert (data["type"], data["accessor"][:8], data["options"]) == ("generic", "generic_", None)
        assert node.call(POST, "old/a", {"b": 1}).status == 204
        assert node.call(GET, "old/a").json["data"] == {"b": 1}
        assert node.call(POST, "sys/mounts/old/tune", {"options": {"version": "2"}}).status == 204
        assert node.call(GET, "old/data/a").json["data"]["data"] == {"b": 1}
        assert refused(node, POST, "sys/mounts/x", {"type": "generic", "options": {"version": "2"}}) == \
            'secrets engine "generic" does not allow setting a version'

    @pytest.mark.parametrize(("path", "body", "error"), [
        ("x", {}, "backend type must be specified as a string"),
        ("x", {"type": "foo"}, "plugin not found in the catalog: foo"),
        ("x", {"type": "userpass"}, "plugin not found in the catalog: userpass"),
        ("x", {"type": "plugin"}, "plugin_name must be provided for plugin backend"),
        ("x", {"type": "kv", "options": {"version": "3"}}, "invalid version provided: 3"),
        ("x", {"type": "contract", "options": {"version": "1"}}, 'secrets engine "contract" does not allow setting a version'),
        ("secret", {"type": "kv"}, "path is already in use at secret/"),
        ("secret/below", {"type": "kv"}, "path is already in use at secret/"),
        ("sys", {"type": "kv"}, 'cannot mount "sys/"'),
        ("auth/x", {"type": "kv"}, 'cannot mount "auth/x/"'),
        ("cubbyhole/x", {"type": "kv"}, 'cannot mount "cubbyhole/x/"'),
        ("identity", {"type": "kv"}, 'cannot mount "identity/"'),
        ("x", {"type": "cubbyhole"}, 'mount type of "cubbyhole" is not mountable'),
        ("x", {"type": "system"}, 'mount type of "system" is not mountable'),
        ("x", {"type": "kv", "config": {"default_lease_ttl": "2h", "max_lease_ttl": "1h"}},
         "given default lease TTL greater than given max lease TTL"),
        ("x", {"type": "kv", "config": {"default_lease_ttl": "999h"}},
         "given default lease TTL greater than system max lease TTL of 2764800"),
        ("x", {"type": "kv", "config": {"listing_visibility": "all"}}, "invalid listing_visibility all"),
        ("x", {"type": "kv", "config": {"max_lease_ttl": "x"}}, "max_lease_ttl: 'x' is not a duration such as 30, 30s or 1h30m"),
        ("x", {"type": "kv", "config": {"plugin_version": "v9"}}, "plugin not found in the catalog: kv in version v9"),
        ("x", {"type": "kv", "description": "d" * (MOUNT_TEXT_MAX + 1)}, f"a description has at most {MOUNT_TEXT_MAX} characters"),
        ("x", {"type": "kv", "options": {"a": "b" * MOUNT_TEXT_MAX}}, f"the options of a mount have at most {MOUNT_TEXT_MAX} characters"),
        ("x", {"type": "kv", "config": {"allowed_response_headers": "b" * (MOUNT_TEXT_MAX + 1)}},
         f"a list of names has at most {MOUNT_TEXT_MAX} characters"),
    ])
    def test_what_cannot_be_enabled(self, node: OneNode, path: str, body: object, error: str) -> None:
        assert refused(node, POST, f"sys/mounts/{path}", body) == error

    @pytest.mark.parametrize("path", ["a//b", "a/../b", "a/ b", "a\x01"])
    def test_odd_paths(self, node: OneNode, path: str) -> None:
        refused(node, POST, f"sys/mounts/{path}", {"type": "kv"})

    def test_a_path_above_another_is_in_use(self, node: OneNode) -> None:
        enable(node, "mounts/a/b", type="kv")
        assert refused(node, POST, "sys/mounts/a", {"type": "kv"}) == "path is already in use at a/b/"
        enable(node, "mounts/a/bc", type="kv")

    def test_the_number_of_mounts_is_bounded(self, node: OneNode, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(mount_table, "MOUNTS_MAX", len(node.mounts) + 1)
        enable(node, "mounts/last", type="kv")
        assert refused(node, POST, "sys/mounts/x", {"type": "kv"}) == f"there are {len(node.mounts) + 1} mounts already, which is the limit"

    def test_reading_finds_the_mount_above_and_names_what_it_does_not_find(self, node: OneNode) -> None:
        assert node.call(GET, "sys/mounts/secret/data/x").json["data"]["type"] == "kv"
        assert refused(node, GET, "sys/mounts/none") == "No secret engine mount at none/"

    def test_a_new_mount_begins_with_what_its_engine_writes(self) -> None:
        def start(txn: Txn, ctx: Context) -> None:
            txn.put("first", ctx.mount.path.encode())

        node = OneNode(more=[replace(CONTRACT, start=start)])
        enable(node, "mounts/c", type="contract")
        uuid = node.call(GET, "sys/mounts/c").json["data"]["uuid"]
        assert node.keys(f"mount/{uuid}/") == (f"mount/{uuid}/first",)


class TestTuning:
    def test_what_applies_is_shown(self, node: OneNode) -> None:
        assert node.call(GET, "sys/mounts/kv1/tune").json["data"] == {
            "description": "", "default_lease_ttl": 2764800, "max_lease_ttl": 2764800, "force_no_cache": False, "options": {"version": "1"}}
        assert node.call(POST, "sys/mounts/kv1/tune", {"max_lease_ttl": "1h", "description": "d", "listing_visibility": "unauth",
                                                       "audit_non_hmac_response_keys": ["x"], "options": {"a": "b"}}).status == 204
        seen = node.call(GET, "sys/mounts/kv1/tune").json
        assert seen["data"] == {
            "description": "d", "default_lease_ttl": 3600, "max_lease_ttl": 3600, "force_no_cache": False, "listing_visibility": "unauth",
            "audit_non_hmac_response_keys": ["x"], "options": {"a": "b", "version": "1"}}
        assert seen["max_lease_ttl"] == 3600
        node.call(POST, "sys/mounts/kv1/tune", {"max_lease_ttl": "system", "options": {"a": ""}, "audit_non_hmac_response_keys": []})
        assert node.call(GET, "sys/mounts/kv1/tune").json["data"] == {
            "description": "d", "default_lease_ttl": 2764800, "max_lease_ttl": 2764800, "force_no_cache": False,
            "listing_visibility": "unauth", "options": {"version": "1"}}

    @pytest.mark.parametrize("name", ["delegated_auth_accessors", "allowed_managed_keys", "passthrough_request_headers"])
    def test_lists_are_shown_as_they_were_set_or_whoever_declares_them_sets_them_for_ever(self, node: OneNode, name: str) -> None:
        enable(node, "mounts/x", type="kv", config={name: ["a", "b"]})
        for path in ("sys/mounts/x", "sys/internal/ui/mounts/x"):
            assert node.call(GET, path).json["data"]["config"][name] == ["a", "b"]
        assert node.call(POST, "sys/mounts/x/tune", {name: "c"}).status == 204
        assert node.call(GET, "sys/mounts/x/tune").json["data"][name] == ["c"]
        assert node.call(POST, "sys/mounts/x/tune", {name: []}).status == 204
        assert name not in node.call(GET, "sys/mounts/x/tune").json["data"]

    def test_what_changes_nothing_writes_nothing(self, node: OneNode) -> None:
        assert dict(node.call(POST, "sys/mounts/kv1/tune", {"description": ""}).changes) == {}

    def test_a_kv_store_gets_versions_and_keeps_them(self, node: OneNode) -> None:
        node.call(POST, "kv1/a", {"x": 1})
        assert node.call(POST, "sys/mounts/kv1/tune", {"options": {"version": "2"}}).status == 204
        assert node.call(GET, "kv1/data/a").json["data"]["data"] == {"x": 1}
        assert refused(node, POST, "sys/mounts/kv1/tune", {"options": {"version": 1}}) == "cannot downgrade mount from version 2"

    @pytest.mark.parametrize(("path", "body", "error"), [
        ("mounts/none/tune", {}, 'tune of path "none/" failed: no mount entry found'),
        ("mounts/sys/tune", {}, 'cannot tune "sys/"'),
        ("mounts/cubbyhole/tune", {}, 'cannot tune "cubbyhole/"'),
        ("mounts/kv1/tune", {"default_lease_ttl": 9, "max_lease_ttl": 8},
         "backend max lease TTL of 8 would be less than backend default lease TTL of 9"),
        ("mounts/kv1/tune", {"options": {"version": "3"}}, "invalid version provided: 3"),
        ("mounts/kv1/tune", {"options": {"version": "x"}}, "unable to parse options: 'x' is not a number"),
        ("mounts/kv1/tune", {"listing_visibility": "all"}, "invalid listing_visibility all"),
        ("mounts/kv1/tune", {"token_type": "batch"}, "'token_type' can only be modified on auth mounts"),
        ("mounts/kv1/tune", {"user_lockout_config": {"lockout_threshold": 1}},
         'tuning of user lockout configuration for auth type "kv" not allowed'),
        ("mounts/kv1/tune", {"plugin_version": "v9"}, "plugin not found in the catalog: kv in version v9"),
        ("auth/userpass/tune", {"token_type": "odd"}, "invalid value for 'token_type'"),
        ("auth/userpass/tune", {"user_lockout_config": {"lockout_threshold": "many"}},
         "unable to parse user lockout threshold: 'many' is not a number"),
        ("auth/userpass/tune", {"options": {"version": "2"}}, "invalid version provided: 2"),
    ])
    def test_refused(self, node: OneNode, path: str, body: object, error: str) -> None:
        assert refused(node, POST, f"sys/{path}", body) == error

    def test_reading_what_is_not_there(self, node: OneNode) -> None:
        assert refused(node, GET, "sys/mounts/none/tune") == 'cannot fetch sysview for path "none/"'

    def test_an_auth_method_is_tuned_below_either_path(self, node: OneNode) -> None:
        lockout = {"lockout_threshold": "3", "lockout_duration": "10m", "lockout_counter_reset_duration": 60, "lockout_disable": True}
        assert node.call(POST, "sys/auth/userpass/tune", {"token_type": "batch", "user_lockout_config": lockout}).status == 204
        expected = {"token_type": "batch", "user_lockout_threshold": 3, "user_lockout_duration": 600,
                    "user_lockout_counter_reset_duration": 60, "user_lockout_disable": True}
        for path in ("sys/auth/userpass/tune", "sys/mounts/auth/userpass/tune"):
            assert expected.items() <= node.call(GET, path).json["data"].items()
        config = node.call(GET, "sys/auth").json["data"]["userpass/"]["config"]
        assert config["user_lockout_config"] == {name: value for name, value in expected.items() if name != "token_type"}
        assert node.call(POST, "sys/mounts/auth/userpass/tune", {"user_lockout_config": {"lockout_disable": False}}).status == 204
        assert node.call(GET, "sys/auth/userpass/tune").json["data"]["user_lockout_threshold"] == 3


class TestAuthMethods:
    def test_one_is_enabled_and_shown_without_its_prefix(self, node: OneNode) -> None:
        enable(node, "auth/team", type="userpass", config={"token_type": "default-batch"}, description="d")
        table = node.call(GET, "sys/auth").json
        assert table["team/"] == table["data"]["team/"] == node.call(GET, "sys/auth/team").json["data"]
        assert table["team/"]["config"]["token_type"] == "default-batch"
        assert re.fullmatch("auth_userpass_[0-9a-f]{8}", table["team/"]["accessor"])
        assert node.call(POST, "auth/team/users/ann", {"password": "x"}).status == 204

    def test_the_token_type_has_a_default(self, node: OneNode) -> None:
        enable(node, "auth/x", type="userpass")
        assert node.call(GET, "sys/auth/x").json["data"]["config"]["token_type"] == "default-service"

    @pytest.mark.parametrize(("path", "body", "error"), [
        ("x", {"type": "token"}, "token credential backend cannot be instantiated"),
        ("x", {"type": "kv"}, "plugin not found in the catalog: kv"),
        ("x", {"type": "userpass", "options": {"version": "1"}}, 'auth method "userpass" does not allow setting a version'),
        ("x", {"type": "userpass", "config": {"token_type": "odd"}}, "invalid value for 'token_type'"),
        ("userpass", {"type": "userpass"}, "path is already in use at userpass/"),
        ("userpass/x", {"type": "userpass"}, "path is already in use at userpass/"),
    ])
    def test_what_cannot_be_enabled(self, node: OneNode, path: str, body: object, error: str) -> None:
        assert refused(node, POST, f"sys/auth/{path}", body) == error

    def test_reading_wants_the_exact_path(self, node: OneNode) -> None:
        assert refused(node, GET, "sys/auth/userpass/x") == "No auth engine at userpass/x/"

    def test_the_token_method_stays(self, node: OneNode) -> None:
        assert refused(node, DELETE, "sys/auth/token") == "token credential backend cannot be disabled"

    def test_the_methods_ask_for_sudo(self, node: OneNode) -> None:
        ops = [op for route in node.access.router.system.routes if route.pattern.startswith("auth/") for op in route.ops.values()]
        assert len(ops) == 5
        assert all(op.sudo for op in ops)
