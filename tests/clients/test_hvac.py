"""hvac as scripts and Ansible use it: whatever it offers for kv, tokens, userpass and sys, through a read worker over TLS."""
from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hvac
import pytest
from hvac import exceptions
from hvac.api import system_backend
from requests import HTTPError, Response
from tests.conftest import MakeNode
from tests.node import Node
from tests.processes import wait_until

NewName = Callable[[str], str]
HvacFor = Callable[..., Any]
NOT_HERE = {
    # rekeying and root tokens by shares come with high availability; namespaces, Sentinel, quotas and snapshots are later or never
    "cancel_rekey", "cancel_rekey_verify", "cancel_root_generation", "generate_root", "read_backup_keys", "read_rekey_progress",
    "read_rekey_verify_progress", "read_root_generation_progress", "rekey", "rekey_multi", "rekey_verify", "rekey_verify_multi",
    "start_rekey", "start_root_token_generation", "create_namespace", "delete_namespace", "list_namespaces",
    "create_or_update_egp_policy", "create_or_update_rgp_policy", "delete_egp_policy", "delete_rgp_policy", "list_egp_policies",
    "list_rgp_policies", "read_egp_policy", "read_rgp_policy", "create_or_update_quota", "delete_quota", "list_quotas", "read_quota",
    "create_or_update_raft_auto_snapshot_config", "delete_raft_auto_snapshot_config", "list_raft_auto_snapshot_configs",
    "read_raft_auto_snapshot_config", "read_raft_auto_snapshot_status",
}
RULES = 'path "secret/data/{{identity.entity.name}}" {\n  capabilities = ["read"]\n}\n'
NODE = {"contract": True}                            # with the engine that gives leases


@pytest.fixture
def hvac_for(node: Node) -> Iterator[HvacFor]:
    """Clients of a node: `hvac_for(token)`, the root token unless told."""
    made: list[Any] = []

    def make(token: str | None = None, to: Node = node, **options: Any) -> Any:
        made.append(hvac.Client(url=to.address, token=to.root_token if token is None else token, verify=str(to.ca), timeout=60, **options))
        return made[-1]

    yield make
    for client in made:
        client.adapter.close()


@pytest.fixture
def root(hvac_for: HvacFor) -> Any:
    return hvac_for()


@pytest.fixture
def kv1(root: Any, new_name: NewName) -> str:
    """The path of a fresh KV version 1."""
    path = new_name("old")
    _is_204(root.sys.enable_secrets_engine("kv", path=path, options={"version": "1"}))
    return path


@pytest.fixture
def kv2(root: Any, new_name: NewName) -> str:
    """The path of a fresh KV version 2."""
    path = new_name("new")
    _is_204(root.sys.enable_secrets_engine("kv", path=path, options={"version": "2"}))
    return path


def _is_204(answer: Any) -> None:
    """hvac gives the response itself when there is no JSON in it."""
    assert isinstance(answer, Response), answer
    assert (answer.status_code, answer.content) == (204, b"")


def _has_envelope(answer: Any) -> Any:
    """The fields that every secret has, whatever it is."""
    assert {"request_id", "lease_id", "renewable", "lease_duration", "data", "wrap_info", "warnings", "auth"} <= set(answer)
    return answer["data"]


def test_kv_v1_has_a_whole_life(root: Any, kv1: str) -> None:
    kv = root.secrets.kv.v1
    with pytest.raises(exceptions.InvalidPath):
        kv.read_secret("app/db", mount_point=kv1)
    with pytest.raises(exceptions.InvalidPath):
        kv.list_secrets("app", mount_point=kv1)
    _is_204(kv.create_or_update_secret("app/db", {"user": "ann", "tries": 3}, mount_point=kv1))              # a read, and a POST
    _is_204(kv.create_or_update_secret("app/db", {"user": "bob", "more": [1, {"a": None}]}, mount_point=kv1))  # a read, and a PUT
    _is_204(kv.create_or_update_secret("app/x/y", {"a": "b"}, method="PUT", mount_point=kv1))
    read = kv.read_secret("app/db", mount_point=kv1)
    assert _has_envelope(read) == {"user": "bob", "more": [1, {"a": None}]}
    assert (read["lease_id"], read["renewable"], read["lease_duration"]) == ("", False, 2764800)
    assert (read["auth"], read["wrap_info"], read["warnings"]) == (None, None, None)
    assert kv.list_secrets("app", mount_point=kv1)["data"] == {"keys": ["db", "x/"]}
    _is_204(kv.delete_secret("app/db", mount_point=kv1))
    _is_204(kv.delete_secret("app/db", mount_point=kv1))
    with pytest.raises(exceptions.InvalidPath):
        kv.read_secret("app/db", mount_point=kv1)


def test_any_path_is_read_written_listed_and_deleted_by_its_name(root: Any, kv1: str) -> None:
    assert root.read(f"{kv1}/none") is None
    assert root.list(f"{kv1}/none") is None
    _is_204(root.write_data(f"{kv1}/a", data={"x": "1"}))
    _is_204(root.write(f"{kv1}/b", x="2"))
    assert root.read(f"{kv1}/a")["data"] == {"x": "1"}
    assert root.list(kv1)["data"]["keys"] == ["a", "b"]
    wrapped = root.read(f"{kv1}/b", wrap_ttl="1m")
    assert wrapped["data"] is None
    assert root.sys.unwrap(wrapped["wrap_info"]["token"])["data"] == {"x": "2"}
    assert root.delete(f"{kv1}/a") is None
    assert root.read(f"{kv1}/a") is None


def test_kv_v2_counts_versions_and_checks_them(root: Any, kv2: str) -> None:
    kv = root.secrets.kv.v2
    made = kv.create_or_update_secret("app/db", {"user": "ann"}, cas=0, mount_point=kv2)
    assert set(_has_envelope(made)) == {"created_time", "custom_metadata", "deletion_time", "destroyed", "version"}
    assert (made["data"]["version"], made["data"]["deletion_time"], made["data"]["destroyed"]) == (1, "", False)
    with pytest.raises(exceptions.InvalidRequest, match="check-and-set parameter did not match the current version"):
        kv.create_or_update_secret("app/db", {"user": "bob"}, cas=0, mount_point=kv2)
    assert kv.create_or_update_secret("app/db", {"user": "bob"}, cas=1, mount_point=kv2)["data"]["version"] == 2
    assert kv.read_secret("app/db", mount_point=kv2, raise_on_deleted_version=True)["data"]["data"] == {"user": "bob"}
    first = kv.read_secret_version("app/db", version=1, mount_point=kv2, raise_on_deleted_version=True)["data"]
    assert (first["data"], first["metadata"]["version"]) == ({"user": "ann"}, 1)
    with pytest.raises(exceptions.InvalidPath):
        kv.read_secret_version("app/db", version=3, mount_point=kv2, raise_on_deleted_version=False)
    assert kv.list_secrets("", mount_point=kv2)["data"]["keys"] == ["app/"]
    assert kv.list_secrets("app", mount_point=kv2)["data"]["keys"] == ["db"]


def test_kv_v2_patch_of_hvac_reads_and_writes_back(root: Any, kv2: str) -> None:
    kv = root.secrets.kv.v2
    with pytest.deprecated_call(), pytest.raises(exceptions.InvalidPath, match="patch only works on existing data"):
        kv.patch("app", {"b": 2}, mount_point=kv2)
    kv.create_or_update_secret("app", {"a": 1, "b": 1}, mount_point=kv2)
    with pytest.deprecated_call():
        assert kv.patch("app", {"b": 2}, mount_point=kv2)["data"]["version"] == 2
    assert kv.read_secret("app", mount_point=kv2, raise_on_deleted_version=True)["data"]["data"] == {"a": 1, "b": 2}


def test_kv_v2_versions_are_deleted_undeleted_and_destroyed(root: Any, kv2: str) -> None:
    kv = root.secrets.kv.v2
    for number in range(3):
        kv.create_or_update_secret("app", {"n": number}, mount_point=kv2)

    def read(version: int) -> Any:
        return kv.read_secret_version("app", version=version, mount_point=kv2, raise_on_deleted_version=False)["data"]

    _is_204(kv.delete_latest_version_of_secret("app", mount_point=kv2))
    _is_204(kv.delete_secret_versions("app", [1], mount_point=kv2))
    for version in (1, 3):
        assert read(version)["data"] is None
        assert read(version)["metadata"]["deletion_time"]
        with pytest.raises(exceptions.InvalidPath):
            kv.read_secret_version("app", version=version, mount_point=kv2, raise_on_deleted_version=True)
    _is_204(kv.undelete_secret_versions("app", [1, 3], mount_point=kv2))
    assert [read(version)["data"] for version in (1, 2, 3)] == [{"n": 0}, {"n": 1}, {"n": 2}]
    _is_204(kv.destroy_secret_versions("app", [1, 2], mount_point=kv2))
    _is_204(kv.undelete_secret_versions("app", [1], mount_point=kv2))
    with pytest.raises(exceptions.InvalidPath) as gone:                      # destroyed without having been deleted: no deletion time
        kv.read_secret_version("app", version=1, mount_point=kv2, raise_on_deleted_version=False)
    assert gone.value.json["data"]["data"] is None
    assert gone.value.json["data"]["metadata"]["destroyed"] is True
    versions = kv.read_secret_metadata("app", mount_point=kv2)["data"]["versions"]
    assert [versions[str(version)]["destroyed"] for version in (1, 2, 3)] == [True, True, False]
    _is_204(kv.delete_metadata_and_all_versions("app", mount_point=kv2))
    with pytest.raises(exceptions.InvalidPath):
        kv.read_secret_metadata("app", mount_point=kv2)
    with pytest.raises(exceptions.InvalidPath):
        kv.list_secrets("", mount_point=kv2)


def test_kv_v2_metadata_has_settings_of_one_secret(root: Any, kv2: str) -> None:
    kv = root.secrets.kv.v2
    _is_204(kv.update_metadata("app", max_versions=2, cas_required=True, delete_version_after="3h25m19s",
                               custom_metadata={"owner": "ann"}, mount_point=kv2))
    with pytest.raises(exceptions.InvalidRequest, match="check-and-set parameter required for this call"):
        kv.create_or_update_secret("app", {"n": 0}, mount_point=kv2)
    for number in range(3):
        kv.create_or_update_secret("app", {"n": number}, cas=number, mount_point=kv2)
    found = _has_envelope(kv.read_secret_metadata("app", mount_point=kv2))
    assert set(found) == {"cas_required", "created_time", "current_version", "custom_metadata", "delete_version_after", "max_versions",
                          "oldest_version", "updated_time", "versions"}
    assert (found["max_versions"], found["cas_required"], found["delete_version_after"]) == (2, True, "3h25m19s")
    assert (found["current_version"], found["oldest_version"], found["custom_metadata"]) == (3, 2, {"owner": "ann"})
    assert set(found["versions"]) == {"2", "3"}
    assert found["versions"]["3"]["deletion_time"] > found["versions"]["3"]["created_time"]
    read = kv.read_secret("app", mount_point=kv2, raise_on_deleted_version=True)["data"]
    assert (read["data"], read["metadata"]["custom_metadata"]) == ({"n": 2}, {"owner": "ann"})


def test_kv_v2_configuration_holds_for_the_mount(root: Any, kv2: str) -> None:
    kv = root.secrets.kv.v2
    assert kv.read_configuration(mount_point=kv2)["data"] == {"max_versions": 0, "cas_required": False, "delete_version_after": "0s"}
    _is_204(kv.configure(max_versions=5, cas_required=True, delete_version_after="30m", mount_point=kv2))
    assert kv.read_configuration(mount_point=kv2)["data"] == {"max_versions": 5, "cas_required": True, "delete_version_after": "30m0s"}
    with pytest.raises(exceptions.InvalidRequest, match="check-and-set parameter required"):
        kv.create_or_update_secret("app", {"n": 0}, mount_point=kv2)


def test_token_is_made_looked_up_renewed_and_revoked(root: Any, hvac_for: HvacFor) -> None:
    token = root.auth.token
    made = token.create(policies=["default"], meta={"for": "a test"}, ttl="1h", explicit_max_ttl="2h", display_name="robot", num_uses=0)
    auth = made["auth"]
    assert {"client_token", "accessor", "policies", "token_policies", "metadata", "lease_duration", "renewable", "entity_id", "token_type",
            "orphan", "mfa_requirement", "num_uses"} <= set(auth)
    assert (auth["policies"], auth["metadata"], auth["renewable"]) == (["default"], {"for": "a test"}, True)
    assert (auth["lease_duration"], auth["token_type"], auth["orphan"]) == (3600, "service", False)
    found = token.lookup(auth["client_token"])["data"]
    assert (found["display_name"], found["explicit_max_ttl"], found["type"], found["path"]) == (
        "token-robot", 7200, "service", "auth/token/create")
    assert 0 < found["ttl"] <= 3600
    by_accessor = token.lookup_accessor(auth["accessor"])["data"]
    assert (by_accessor["id"], by_accessor["accessor"]) == ("", auth["accessor"])
    assert token.renew(auth["client_token"], increment="30m")["auth"]["lease_duration"] == 1800
    assert token.renew_accessor(auth["accessor"], increment=600)["auth"]["lease_duration"] == 600
    own = hvac_for(auth["client_token"])
    assert own.is_authenticated()
    assert own.auth.token.lookup_self()["data"]["id"] == auth["client_token"]
    assert own.auth.token.renew_self(increment="15m")["auth"]["lease_duration"] == 900
    _is_204(own.auth.token.revoke_self())
    assert not own.is_authenticated()
    with pytest.raises(exceptions.Forbidden):
        token.lookup(auth["client_token"])


def test_token_revocations_take_the_children_or_leave_them(root: Any, hvac_for: HvacFor) -> None:
    token = root.auth.token

    def family() -> tuple[Any, Any]:
        parent = token.create(policies=["root"], ttl="1h")["auth"]
        return parent, hvac_for(hvac_for(parent["client_token"]).auth.token.create(ttl="1h")["auth"]["client_token"])

    parent, child = family()
    _is_204(token.revoke(parent["client_token"]))
    assert not child.is_authenticated()
    parent, child = family()
    _is_204(token.revoke_accessor(parent["accessor"]))
    assert not child.is_authenticated()
    parent, child = family()
    _is_204(token.revoke_and_orphan_children(parent["client_token"]))
    assert child.is_authenticated()
    assert child.auth.token.lookup_self()["data"]["orphan"] is True
    assert token.create_orphan(ttl="1h")["auth"]["orphan"] is True
    assert parent["accessor"] not in token.list_accessors()["data"]["keys"]
    assert token.tidy().status_code == 202


def test_token_with_uses_id_period_type_and_wrapping(root: Any, hvac_for: HvacFor, new_name: NewName) -> None:
    token = root.auth.token
    used = hvac_for(token.create(num_uses=2, policies=["default"])["auth"]["client_token"])
    assert used.auth.token.lookup_self()["data"]["num_uses"] == 1
    assert used.is_authenticated()
    assert not used.is_authenticated()
    id = new_name("my-own-token")
    assert token.create(id=id, policies=["default"])["auth"]["client_token"] == id
    assert token.create(period="20m", policies=["default"])["auth"]["lease_duration"] == 1200
    batch = token.create(type="batch", policies=["default"], ttl="5m")["auth"]
    assert (batch["token_type"], batch["accessor"], batch["renewable"]) == ("batch", "", False)
    assert hvac_for(batch["client_token"]).is_authenticated()
    wrapped = token.create(policies=["default"], wrap_ttl="60s")
    assert wrapped["auth"] is None
    assert set(wrapped["wrap_info"]) >= {"token", "accessor", "ttl", "creation_time", "creation_path", "wrapped_accessor"}
    with pytest.raises(exceptions.Forbidden):                                # a token in the body is unwrapped for who is somebody
        hvac_for("").sys.unwrap(wrapped["wrap_info"]["token"])
    assert hvac_for(wrapped["wrap_info"]["token"]).sys.unwrap()["auth"]["accessor"] == wrapped["wrap_info"]["wrapped_accessor"]


def test_token_roles(root: Any, new_name: NewName) -> None:
    token, role = root.auth.token, new_name("role")
    _is_204(token.create_or_update_role(role, allowed_policies=["default", "app"], orphan=True, token_period="10m", path_suffix="ci-1"))
    found = token.read_role(role)["data"]
    assert (found["allowed_policies"], found["orphan"]) == (["app", "default"], True)
    assert (found["token_period"], found["path_suffix"]) == (600, "ci-1")
    assert role in token.list_roles()["data"]["keys"]
    made = token.create(role_name=role, policies=["app"])["auth"]
    assert (made["orphan"], made["lease_duration"], made["policies"]) == (True, 600, ["app", "default"])
    with pytest.raises(exceptions.InvalidRequest):
        token.create(role_name=role, policies=["other"])
    _is_204(token.delete_role(role))
    with pytest.raises(exceptions.InvalidPath):
        token.read_role(role)


def test_old_names_of_token_calls(root: Any, hvac_for: HvacFor) -> None:
    made = root.auth.token.create(policies=["default"], ttl="1h")["auth"]
    own = hvac_for(made["client_token"])
    assert root.lookup_token()["data"]["id"] == root.token
    assert root.lookup_token(made["accessor"], accessor=True)["data"]["accessor"] == made["accessor"]
    assert root.renew_token(made["client_token"])["auth"]["client_token"] == made["client_token"]
    own.logout(revoke_token=True)
    assert own.token is None
    assert not hvac_for(made["client_token"]).is_authenticated()


def test_userpass(root: Any, hvac_for: HvacFor, new_name: NewName) -> None:
    path = new_name("people")
    _is_204(root.sys.enable_auth_method("userpass", description="people", path=path, config={"default_lease_ttl": "1h"}))
    users = root.auth.userpass
    _is_204(users.create_or_update_user("Ann", password="first", policies=["app", "default"], mount_point=path, token_ttl="10m"))
    assert users.list_user(mount_point=path)["data"] == {"keys": ["ann"]}
    read = users.read_user("ann", mount_point=path)["data"]
    assert (read["token_policies"], read["token_ttl"]) == (["app", "default"], 600)
    assert "password" not in read
    client = hvac_for("")
    auth = client.auth.userpass.login("ann", "first", mount_point=path)["auth"]
    assert (auth["policies"], auth["metadata"], auth["lease_duration"]) == (["app", "default"], {"username": "ann"}, 600)
    assert client.token == auth["client_token"]
    assert client.is_authenticated()
    _is_204(users.update_password_on_user("ann", "second", mount_point=path))
    with pytest.raises(exceptions.InvalidRequest, match="invalid username or password"):
        hvac_for("").auth.userpass.login("ann", "first", mount_point=path)
    assert hvac_for("").auth.userpass.login("ann", "second", use_token=False, mount_point=path)["auth"]["entity_id"] == auth["entity_id"]
    _is_204(users.delete_user("ann", mount_point=path))
    with pytest.raises(exceptions.InvalidPath):
        users.read_user("ann", mount_point=path)
    _is_204(root.sys.disable_auth_method(path))
    assert not client.is_authenticated()


def test_policies_under_both_names(root: Any, new_name: NewName) -> None:
    name = new_name("policy")
    _is_204(root.sys.create_or_update_policy(name, RULES))
    read = root.sys.read_policy(name)
    assert (read["data"]["name"], read["data"]["rules"], read["rules"]) == (name, RULES, RULES)
    assert root.get_policy(name) == RULES
    assert {name, "root", "default"} <= set(root.sys.list_policies()["data"]["policies"])
    _is_204(root.sys.create_or_update_acl_policy(name, {"path": {"secret/*": {"capabilities": ["list"]}}}))
    acl = root.sys.read_acl_policy(name)["data"]
    assert acl["name"] == name
    assert '"capabilities"' in acl["policy"]
    assert name in root.sys.list_acl_policies()["data"]["keys"]
    _is_204(root.sys.delete_acl_policy(name))
    _is_204(root.sys.delete_policy(name))
    with pytest.raises(exceptions.InvalidPath):
        root.sys.read_policy(name)
    with pytest.raises(exceptions.InvalidPath):
        root.sys.read_acl_policy(name)
    with pytest.raises(exceptions.InvalidRequest):
        root.sys.create_or_update_policy(name, "path {")


def test_secrets_engines_are_mounted_tuned_moved_and_unmounted(root: Any, new_name: NewName) -> None:
    path, other = new_name("mount"), new_name("moved")
    _is_204(root.sys.enable_secrets_engine("kv", path=path, description="words", config={"max_lease_ttl": "2h"}, options={"version": "2"}))
    with pytest.raises(exceptions.InvalidRequest, match="path is already in use"):
        root.sys.enable_secrets_engine("kv", path=path)
    listed = root.sys.list_mounted_secrets_engines()["data"][f"{path}/"]
    assert {"accessor", "config", "description", "external_entropy_access", "local", "options", "plugin_version", "running_plugin_version",
            "running_sha256", "seal_wrap", "type", "uuid"} <= set(listed)
    assert (listed["type"], listed["description"], listed["options"], listed["config"]["max_lease_ttl"]) == (
        "kv", "words", {"version": "2"}, 7200)
    assert root.sys.retrieve_mount_option(path, "version", "1") == "2"
    _is_204(root.sys.tune_mount_configuration(path, default_lease_ttl="1h", max_lease_ttl="3h", description="other",
                                              listing_visibility="unauth", audit_non_hmac_request_keys=["a"],
                                              audit_non_hmac_response_keys=["b"],
                                              passthrough_request_headers=["X-Me"], options={"version": "2"}))
    tuned = root.sys.read_mount_configuration(path)["data"]
    assert (tuned["default_lease_ttl"], tuned["max_lease_ttl"], tuned["description"], tuned["listing_visibility"]) == (
        3600, 10800, "other", "unauth")
    assert (tuned["audit_non_hmac_request_keys"], tuned["audit_non_hmac_response_keys"], tuned["passthrough_request_headers"]) == (
        ["a"], ["b"], ["X-Me"])
    root.secrets.kv.v2.create_or_update_secret("app", {"a": 1}, mount_point=path)
    moved = root.sys.move_backend(path, other)
    assert moved["data"]["migration_id"]
    assert root.secrets.kv.v2.read_secret("app", mount_point=other, raise_on_deleted_version=True)["data"]["data"] == {"a": 1}
    _is_204(root.sys.disable_secrets_engine(other))
    _is_204(root.sys.disable_secrets_engine(other))
    with pytest.raises(exceptions.InvalidPath, match="no handler for route"):
        root.secrets.kv.v2.read_secret("app", mount_point=other, raise_on_deleted_version=True)


def test_auth_methods_are_enabled_tuned_and_disabled(root: Any, new_name: NewName) -> None:
    path = new_name("auth")
    _is_204(root.sys.enable_auth_method("userpass", description="words", path=path))
    listed = root.sys.list_auth_methods()["data"]
    assert (listed[f"{path}/"]["type"], listed[f"{path}/"]["description"], listed["token/"]["type"]) == ("userpass", "words", "token")
    _is_204(root.sys.tune_auth_method(path, default_lease_ttl="1h", max_lease_ttl="2h", description="other", listing_visibility="unauth",
                                      audit_non_hmac_request_keys=["a", "b"], passthrough_request_headers=["X-Me"]))
    tuned = root.sys.read_auth_method_tuning(path)["data"]
    assert (tuned["default_lease_ttl"], tuned["max_lease_ttl"], tuned["description"], tuned["listing_visibility"]) == (
        3600, 7200, "other", "unauth")
    assert (tuned["audit_non_hmac_request_keys"], tuned["passthrough_request_headers"]) == (["a", "b"], ["X-Me"])
    _is_204(root.sys.disable_auth_method(path))
    assert f"{path}/" not in root.sys.list_auth_methods()["data"]


def test_wrapping(root: Any, hvac_for: HvacFor) -> None:
    wrapped = root.sys.wrap(payload={"a": "b"}, ttl=90)
    assert (wrapped["data"], wrapped["request_id"]) == (None, "")
    info = wrapped["wrap_info"]
    assert (info["ttl"], info["creation_path"]) == (90, "sys/wrapping/wrap")
    assert root.write_data("sys/wrapping/lookup", data={"token": info["token"]})["data"]["creation_ttl"] == 90
    again = root.write_data("sys/wrapping/rewrap", data={"token": info["token"]})["wrap_info"]["token"]
    assert hvac_for(again).sys.unwrap()["data"] == {"a": "b"}
    with pytest.raises(exceptions.InvalidRequest, match="wrapping token is not valid or does not exist"):
        root.sys.unwrap(again)


def test_leases(root: Any, new_name: NewName, tmp_path: Path) -> None:
    path = new_name("contract")
    _is_204(root.sys.enable_secrets_engine("contract", path=path))
    _is_204(root.write_data(f"{path}/world", data={"folder": str(tmp_path)}))

    def lease() -> str:
        made = root.write_data(f"{path}/creds/{new_name('user')}", data={"ttl": "10m", "max_ttl": "1h"})
        assert (made["renewable"], made["lease_duration"]) == (True, 600)
        found: str = made["lease_id"]
        return found

    id = lease()
    read = root.sys.read_lease(id)["data"]
    assert set(read) == {"id", "issue_time", "expire_time", "last_renewal", "renewable", "ttl"}
    assert (read["id"], read["renewable"], read["last_renewal"]) == (id, True, None)
    folder, _, name = id.rpartition("/")
    assert root.sys.list_leases(f"{folder}/")["data"]["keys"] == [name]
    renewed = root.sys.renew_lease(id, increment=1200)
    assert (renewed["lease_id"], renewed["lease_duration"]) == (id, 1200)
    assert root.sys.renew_lease(id)["lease_id"] == id                        # hvac sends "increment": null
    assert root.sys.revoke_lease(id).status_code in (202, 204)
    with pytest.raises(exceptions.InvalidRequest, match="invalid lease"):
        root.sys.read_lease(id)
    wait_until(lambda: not list((tmp_path / "users").iterdir()), "the user is dropped outside")
    for revoke in (root.sys.revoke_prefix, root.sys.revoke_force):
        id = lease()
        assert revoke(f"{path}/creds").status_code in (202, 204)
        with pytest.raises(exceptions.InvalidRequest, match="invalid lease"):
            root.sys.read_lease(id)


def test_audit_devices(root: Any, new_name: NewName, tmp_path: Path) -> None:
    path, file = new_name("file"), tmp_path / "audit.log"
    _is_204(root.sys.enable_audit_device("file", description="words", options={"file_path": str(file)}, path=path))
    listed = root.sys.list_enabled_audit_devices()["data"][f"{path}/"]
    assert (listed["type"], listed["description"], listed["options"]["file_path"]) == ("file", "words", str(file))
    hashed = root.sys.calculate_hash(path, "a secret")["data"]["hash"]
    assert hashed.startswith("hmac-sha256:")
    _is_204(root.sys.disable_audit_device(path))
    assert f"{path}/" not in root.sys.list_enabled_audit_devices()["data"]
    assert '"path":"sys/audit-hash/' in file.read_text().replace(" ", "")


def test_capabilities(root: Any, hvac_for: HvacFor, new_name: NewName) -> None:
    name = new_name("reader")
    root.sys.create_or_update_policy(name, 'path "secret/*" {\n  capabilities = ["read", "list"]\n}\n')
    made = root.auth.token.create(policies=[name])["auth"]
    for found in (root.sys.get_capabilities(["secret/a"], token=made["client_token"]),
                  root.sys.get_capabilities(["secret/a"], accessor=made["accessor"]),
                  hvac_for(made["client_token"]).sys.get_capabilities(["secret/a"])):
        assert sorted(found["data"]["secret/a"]) == ["list", "read"]
        assert sorted(found["capabilities"]) == ["list", "read"]
    many = root.sys.get_capabilities(["secret/a", "other"], token=made["client_token"])["data"]
    assert many["other"] == ["deny"]
    assert root.sys.get_capabilities(["any"])["data"]["any"] == ["root"]


def test_state_of_an_open_node(root: Any, hvac_for: HvacFor) -> None:
    nobody = hvac_for("")
    assert nobody.sys.is_initialized()
    assert nobody.sys.read_init_status() == {"initialized": True}
    assert not nobody.sys.is_sealed()
    status = nobody.sys.read_seal_status()
    assert {"type", "initialized", "sealed", "t", "n", "progress", "nonce", "version", "build_date", "migration", "recovery_seal",
            "storage_type", "cluster_name", "cluster_id"} <= set(status)
    assert nobody.seal_status["sealed"] is False
    head = nobody.sys.read_health_status()
    assert (head.status_code, head.content) == (200, b"")
    body = nobody.sys.read_health_status(method="GET")
    assert (body["initialized"], body["sealed"], body["standby"]) == (True, False, False)
    assert body["version"].split(".")[0].isdigit()
    assert nobody.sys.read_health_status(method="GET", active_code=299).status_code == 299
    leader = nobody.sys.read_leader_status()
    assert leader["is_self"] is True or leader["ha_enabled"] is False
    assert nobody.ha_status == leader
    with pytest.raises(exceptions.Forbidden):
        nobody.auth.token.lookup_self()


def test_barrier_key_is_rotated(root: Any) -> None:
    before = root.sys.get_encryption_key_status()
    assert {"term", "install_time", "encryptions"} <= set(before["data"])
    assert before["term"] == before["data"]["term"]
    _is_204(root.sys.rotate_encryption_key())
    assert root.sys.get_encryption_key_status()["data"]["term"] == before["data"]["term"] + 1
    assert root.key_status["term"] == before["data"]["term"] + 1


def test_list_as_get_and_as_its_own_verb(root: Any, hvac_for: HvacFor, kv1: str) -> None:
    root.secrets.kv.v1.create_or_update_secret("a", {"b": "c"}, method="POST", mount_point=kv1)
    for client in (hvac_for(strict_http=True), hvac_for(strict_http=False)):
        assert client.secrets.kv.v1.list_secrets("", mount_point=kv1)["data"]["keys"] == ["a"]


def test_refusals_become_exceptions_that_say_why(root: Any, hvac_for: HvacFor, kv1: str) -> None:
    weak = hvac_for(root.auth.token.create(policies=["default"])["auth"]["client_token"])
    with pytest.raises(exceptions.Forbidden) as refused:
        weak.secrets.kv.v1.read_secret("a", mount_point=kv1)
    assert any("permission denied" in error for error in refused.value.errors)
    with pytest.raises(exceptions.UnexpectedError, match="delete"):           # 405, for which hvac has no class
        root.adapter.delete(url="/v1/sys/health")


def test_from_nothing_to_sealed_and_open_again(make_node: MakeNode, hvac_for: HvacFor) -> None:
    fresh = make_node(static=False, workers=1)
    fresh.start()
    client = hvac_for("", to=fresh)
    assert not client.sys.is_initialized()
    assert client.sys.read_health_status().status_code == 501
    made = client.sys.initialize(secret_shares=3, secret_threshold=2)
    assert (len(made["keys"]), len(made["keys_base64"])) == (3, 3)
    with pytest.raises(exceptions.InvalidRequest, match="already initialized"):
        client.sys.initialize(secret_shares=1, secret_threshold=1)
    assert client.sys.is_sealed()
    assert client.sys.read_health_status().status_code == 503
    with pytest.raises(exceptions.VaultDown):
        hvac_for("any", to=fresh).auth.token.lookup_self()
    assert client.sys.submit_unseal_key(made["keys"][0])["progress"] == 1
    assert client.sys.submit_unseal_key(reset=True)["progress"] == 0
    assert client.sys.submit_unseal_keys(made["keys_base64"][1:])["sealed"] is False
    fresh.wait_unsealed()
    client.token = made["root_token"]
    assert client.is_authenticated()
    _is_204(client.sys.seal())
    assert client.sys.is_sealed()
    assert client.sys.submit_unseal_keys(made["keys"][:2])["sealed"] is False
    fresh.wait_unsealed()
    assert client.auth.token.lookup_self()["data"]["id"] == made["root_token"]


def test_a_node_without_a_cluster_steps_down_and_knows_no_raft(root: Any) -> None:
    sys = root.sys
    _is_204(sys.step_down())
    assert not sys.is_sealed()
    for call in (sys.read_raft_config, lambda: sys.remove_raft_node("a"), sys.take_raft_snapshot, lambda: sys.restore_raft_snapshot(b"x"),
                 lambda: sys.force_restore_raft_snapshot(b"x"), lambda: sys.join_raft_cluster("https://127.0.0.1:1")):
        with pytest.raises((exceptions.InvalidRequest, HTTPError)):
            _raised(call())


def _raised(answer: Any) -> None:
    """Snapshots come as the response itself, whatever it says."""
    if isinstance(answer, Response):
        answer.raise_for_status()


def test_nothing_of_hvac_is_left_out(root: Any) -> None:
    offered = {name for part in (root.auth.token, root.auth.userpass, root.secrets.kv.v1, root.secrets.kv.v2)
               for name, _ in inspect.getmembers(part, inspect.ismethod) if not name.startswith("_")}
    offered |= {name for name, _ in inspect.getmembers(system_backend.SystemBackend, inspect.isfunction) if not name.startswith("_")}
    called = set(re.findall(r"\.(\w+)\b", Path(__file__).read_text()))
    assert offered - called - NOT_HERE - {"get_private_attr_name"} == set()
    assert offered >= NOT_HERE, "a word of a list that means nothing"
