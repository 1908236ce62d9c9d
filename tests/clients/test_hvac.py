"""hvac, as programs use it: everything that it offers for KV 1 and 2, tokens, userpass and sys, against a real node.

`test_nothing_of_hvac_is_left_out` counts: a method of these classes is called here, or named among those whose feature does not exist.
"""
from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hvac
import hvac.exceptions
import pytest
import requests
from hvac.api import system_backend
from tests.conftest import MakeNode
from tests.contract import world
from tests.node import Node
from tests.processes import wait_until

POLICY = 'path "kv2/data/*" { capabilities = ["create", "read", "update", "patch", "delete", "list"] }'
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


@pytest.fixture(scope="module")
def session(node: Node) -> Iterator[requests.Session]:
    with requests.Session() as found:
        found.verify = str(node.ca)
        yield found


@pytest.fixture(scope="module")
def vault(node: Node, session: requests.Session) -> hvac.Client:
    """Root, with everything mounted that the tests use."""
    client = hvac.Client(url=node.address, token=node.root_token, session=session)
    client.sys.enable_secrets_engine("kv", path="kv2", options={"version": "2"}, description="versions")
    client.sys.enable_secrets_engine("kv", path="kv1", options={"version": "1"})
    client.sys.enable_auth_method("userpass")
    client.sys.create_or_update_policy("app", POLICY)
    return client


def _as(vault: hvac.Client, token: str) -> hvac.Client:
    return hvac.Client(url=vault.url, token=token, session=vault.session)


def test_kv_version_1(vault: hvac.Client) -> None:
    kv = vault.secrets.kv.v1
    kv.create_or_update_secret("app/db", {"user": "me", "n": 1.5}, mount_point="kv1")
    kv.create_or_update_secret("app/db", {"user": "you"}, mount_point="kv1", method="PUT")
    found = kv.read_secret("app/db", mount_point="kv1")
    assert found["data"] == {"user": "you"}
    assert (found["lease_duration"], found["renewable"], found["lease_id"]) == (2_764_800, False, "")
    assert kv.list_secrets("app", mount_point="kv1")["data"]["keys"] == ["db"]
    assert kv.list_secrets("", mount_point="kv1")["data"]["keys"] == ["app/"]
    kv.delete_secret("app/db", mount_point="kv1")
    with pytest.raises(hvac.exceptions.InvalidPath):
        kv.read_secret("app/db", mount_point="kv1")
    with pytest.raises(hvac.exceptions.InvalidPath):
        kv.list_secrets("app", mount_point="kv1")


@pytest.mark.filterwarnings("ignore:The raise_on_deleted_version parameter")      # hvac's patch does not say which it wants
def test_kv_version_2(vault: hvac.Client) -> None:
    kv, at = vault.secrets.kv.v2, {"mount_point": "kv2"}
    kv.configure(max_versions=10, cas_required=False, **at)
    assert kv.read_configuration(**at)["data"]["max_versions"] == 10
    assert kv.create_or_update_secret("app/db", {"user": "me"}, **at)["data"]["version"] == 1
    assert kv.create_or_update_secret("app/db", {"user": "you", "b": "2"}, cas=1, **at)["data"]["version"] == 2
    with pytest.raises(hvac.exceptions.InvalidRequest):
        kv.create_or_update_secret("app/db", {"user": "late"}, cas=1, **at)
    assert kv.patch("app/db", {"b": "3"}, **at)["data"]["version"] == 3
    found = kv.read_secret_version("app/db", raise_on_deleted_version=True, **at)
    assert found["data"]["data"] == {"user": "you", "b": "3"}
    assert kv.read_secret("app/db", raise_on_deleted_version=True, **at)["data"]["metadata"]["version"] == 3
    assert kv.read_secret_version("app/db", version=1, raise_on_deleted_version=True, **at)["data"]["data"] == {"user": "me"}
    assert kv.list_secrets("app", **at)["data"]["keys"] == ["db"]
    kv.delete_latest_version_of_secret("app/db", **at)
    gone = kv.read_secret_version("app/db", raise_on_deleted_version=False, **at)
    assert gone["data"]["data"] is None
    with pytest.raises(hvac.exceptions.InvalidPath):
        kv.read_secret_version("app/db", raise_on_deleted_version=True, **at)
    kv.undelete_secret_versions("app/db", [3], **at)
    kv.delete_secret_versions("app/db", [1, 2], **at)
    kv.undelete_secret_versions("app/db", [2], **at)
    kv.destroy_secret_versions("app/db", [1], **at)
    kv.update_metadata("app/db", max_versions=5, custom_metadata={"owner": "me"}, delete_version_after="10h", cas_required=True, **at)
    known = kv.read_secret_metadata("app/db", **at)["data"]
    assert (known["current_version"], known["max_versions"], known["custom_metadata"]) == (3, 5, {"owner": "me"})
    assert known["delete_version_after"] == "10h0m0s"
    assert known["versions"]["1"]["destroyed"]
    assert not known["versions"]["2"]["deletion_time"]
    kv.delete_metadata_and_all_versions("app/db", **at)
    with pytest.raises(hvac.exceptions.InvalidPath):
        kv.read_secret_metadata("app/db", **at)


def test_tokens(vault: hvac.Client) -> None:
    token = vault.auth.token
    made = token.create(policies=["app"], ttl="1h", meta={"a": "b"}, display_name="x", renewable=True)["auth"]
    assert made["policies"] == ["app", "default"]
    child = _as(vault, made["client_token"])
    assert child.is_authenticated()
    assert child.auth.token.lookup_self()["data"]["display_name"] == "token-x"
    assert token.lookup(made["client_token"])["data"]["meta"] == {"a": "b"}
    assert token.lookup_accessor(made["accessor"])["data"]["accessor"] == made["accessor"]
    assert made["accessor"] in token.list_accessors()["data"]["keys"]
    assert child.auth.token.renew_self(increment="2h")["auth"]["lease_duration"] == 7_200
    assert token.renew(made["client_token"], increment="30m")["auth"]["lease_duration"] == 1_800
    assert token.renew_accessor(made["accessor"], increment="40m")["auth"]["lease_duration"] == 2_400
    token.revoke(made["client_token"])
    with pytest.raises(hvac.exceptions.Forbidden):
        child.auth.token.lookup_self()
    orphan = token.create_orphan(policies=["app"])["auth"]
    assert orphan["orphan"]
    token.revoke_accessor(orphan["accessor"])
    parent = token.create(policies=["root"])["auth"]
    below = _as(vault, parent["client_token"]).auth.token.create(policies=["app"])["auth"]
    token.revoke_and_orphan_children(parent["client_token"])
    assert _as(vault, below["client_token"]).auth.token.lookup_self()["data"]["orphan"]
    _as(vault, below["client_token"]).auth.token.revoke_self()
    assert not _as(vault, below["client_token"]).is_authenticated()
    token.create_or_update_role("role", allowed_policies="app", orphan=True, token_period="1h")
    assert token.read_role("role")["data"]["allowed_policies"] == ["app"]
    assert token.list_roles()["data"]["keys"] == ["role"]
    assert token.create(role_name="role", policies=["app"])["auth"]["lease_duration"] == 3_600
    token.delete_role("role")
    with pytest.raises(hvac.exceptions.InvalidPath):
        token.read_role("role")
    assert token.tidy().status_code == 202


def test_old_names_of_tokens(vault: hvac.Client) -> None:
    made = vault.auth.token.create(policies=["app"])["auth"]["client_token"]
    client = _as(vault, made)
    client.logout(revoke_token=True)
    assert not client.is_authenticated()
    assert vault.lookup_token()["data"]["id"] == vault.token


def test_userpass(vault: hvac.Client) -> None:
    userpass = vault.auth.userpass
    userpass.create_or_update_user("ann", password="one", policies="app")
    userpass.create_or_update_user("bob", password="one", token_policies=["app"], token_ttl="1h")
    assert userpass.list_user()["data"]["keys"] == ["ann", "bob"]
    assert userpass.read_user("bob")["data"]["token_ttl"] == 3_600
    userpass.update_password_on_user("ann", "two")
    client = hvac.Client(url=vault.url, session=vault.session)
    with pytest.raises(hvac.exceptions.InvalidRequest):
        client.auth.userpass.login("ann", "one")
    auth = client.auth.userpass.login("ann", "two")["auth"]
    assert auth["metadata"] == {"username": "ann"}
    assert client.is_authenticated()
    client.secrets.kv.v2.create_or_update_secret("from-ann", {"a": "b"}, mount_point="kv2")
    with pytest.raises(hvac.exceptions.Forbidden):
        client.sys.list_mounted_secrets_engines()
    userpass.delete_user("ann")
    with pytest.raises(hvac.exceptions.InvalidRequest):
        client.auth.userpass.login("ann", "two")


def test_policies(vault: hvac.Client) -> None:
    sys = vault.sys
    sys.create_or_update_policy("one", POLICY)
    sys.create_or_update_acl_policy("two", POLICY)
    assert sys.read_policy("one")["data"]["rules"] == POLICY
    assert sys.read_acl_policy("two")["data"]["policy"] == POLICY
    assert {"one", "two", "app", "default", "root"} <= set(sys.list_policies()["data"]["policies"])
    assert {"one", "two"} <= set(sys.list_acl_policies()["data"]["keys"])
    sys.delete_policy("one")
    sys.delete_acl_policy("two")
    with pytest.raises(hvac.exceptions.InvalidPath):
        sys.read_policy("one")
    with pytest.raises(hvac.exceptions.InvalidPath):
        sys.read_acl_policy("two")
    made = vault.auth.token.create(policies=["app"])["auth"]
    paths = ["kv2/data/a", "sys/mounts"]
    for found in (sys.get_capabilities(paths, token=made["client_token"]), sys.get_capabilities(paths, accessor=made["accessor"]),
                  _as(vault, made["client_token"]).sys.get_capabilities(paths)):
        assert found["data"]["kv2/data/a"] == ["create", "delete", "list", "patch", "read", "update"]
        assert found["data"]["sys/mounts"] == ["deny"]
    assert sys.get_capabilities(["sys/mounts"])["data"]["sys/mounts"] == ["root"]


def test_mounts_and_methods(vault: hvac.Client) -> None:
    sys = vault.sys
    sys.enable_secrets_engine("kv", path="short", config={"default_lease_ttl": "1h"}, options={"version": "2"})
    assert sys.list_mounted_secrets_engines()["data"]["short/"]["config"]["default_lease_ttl"] == 3_600
    assert sys.retrieve_mount_option("short", "version") == "2"
    sys.tune_mount_configuration("short", description="tuned", max_lease_ttl="10h", listing_visibility="unauth")
    assert sys.read_mount_configuration("short")["data"]["max_lease_ttl"] == 36_000
    sys.move_backend("short", "moved")
    wait_until(lambda: "moved/" in sys.list_mounted_secrets_engines()["data"], "it has moved")
    sys.disable_secrets_engine("moved")
    assert "moved/" not in sys.list_mounted_secrets_engines()["data"]
    sys.enable_auth_method("userpass", path="people", description="people")
    assert sys.list_auth_methods()["data"]["people/"]["type"] == "userpass"
    sys.tune_auth_method("people", default_lease_ttl="1h", description="tuned")
    assert sys.read_auth_method_tuning("people")["data"]["default_lease_ttl"] == 3_600
    sys.disable_auth_method("people")
    assert "people/" not in sys.list_auth_methods()["data"]


def test_wrapping(vault: hvac.Client) -> None:
    wrapped = vault.sys.wrap({"a": "b"}, ttl=60)["wrap_info"]
    assert wrapped["ttl"] == 60
    assert vault.sys.unwrap(wrapped["token"])["data"] == {"a": "b"}
    with pytest.raises(hvac.exceptions.InvalidRequest):
        vault.sys.unwrap(wrapped["token"])
    made = vault.auth.token.create(policies=["app"], wrap_ttl="60s")["wrap_info"]["token"]
    assert _as(vault, made).sys.unwrap()["auth"]["policies"] == ["app", "default"]


def test_audit_devices(vault: hvac.Client, node: Node) -> None:
    file = node.folder / "hvac.log"
    vault.sys.enable_audit_device("file", path="hvac", options={"file_path": str(file)}, description="of a test")
    assert vault.sys.list_enabled_audit_devices()["data"]["hvac/"]["options"]["file_path"] == str(file)
    hashed = vault.sys.calculate_hash("hvac", vault.token)["data"]["hash"]
    assert hashed in file.read_text()
    vault.sys.disable_audit_device("hvac")
    assert "hvac/" not in vault.sys.list_enabled_audit_devices()["data"]


def test_leases(make_node: MakeNode) -> None:
    node = make_node(contract=True).begin()
    with requests.Session() as session:
        session.verify = str(node.ca)
        vault = hvac.Client(url=node.address, token=node.root_token, session=session)
        vault.sys.enable_secrets_engine("contract", path="con")
        vault.write_data("con/world", data={"folder": str(node.folder)})
        leases = [vault.read(f"con/creds/u{number}")["lease_id"] for number in range(4)]
        assert vault.sys.read_lease(leases[0])["data"]["renewable"]
        assert set(vault.sys.list_leases("con/creds/")["data"]["keys"]) == {"u0/", "u1/", "u2/", "u3/"}
        assert vault.sys.renew_lease(leases[0], increment=600)["lease_duration"] == 600
        vault.sys.revoke_lease(leases[0])
        vault.sys.revoke_prefix("con/creds/u1")
        vault.sys.revoke_force("con/creds/u2")
        for lease in leases[:3]:
            with pytest.raises(hvac.exceptions.InvalidRequest):
                vault.sys.read_lease(lease)
        wait_until(lambda: world.users(node.folder) == ("u3",), "three are dropped")


def test_the_node(vault: hvac.Client) -> None:
    sys = vault.sys
    assert sys.is_initialized()
    assert sys.read_init_status() == {"initialized": True}
    assert not sys.is_sealed()
    assert sys.read_seal_status()["type"] == "static"
    assert vault.seal_status["sealed"] is False
    assert sys.read_health_status().status_code == 200
    health = sys.read_health_status(method="GET")
    assert (health["initialized"], health["sealed"]) == (True, False)
    assert sys.read_leader_status()["ha_enabled"] is False
    assert vault.ha_status["ha_enabled"] is False
    assert sys.step_down().status_code == 204
    before = sys.get_encryption_key_status()["data"]["term"]
    sys.rotate_encryption_key()
    assert sys.get_encryption_key_status()["data"]["term"] == before + 1
    assert vault.key_status["term"] == before + 1
    for call in (sys.read_raft_config, lambda: sys.remove_raft_node("a"), sys.take_raft_snapshot, lambda: sys.restore_raft_snapshot(b"x"),
                 lambda: sys.force_restore_raft_snapshot(b"x"), lambda: sys.join_raft_cluster("https://127.0.0.1:1")):
        with pytest.raises((hvac.exceptions.InvalidRequest, requests.HTTPError)):
            _raised(call())


def _raised(answer: Any) -> None:
    """Some calls of hvac give the answer as it came."""
    if isinstance(answer, requests.Response):
        answer.raise_for_status()


def test_init_unseal_and_seal(make_node: MakeNode) -> None:
    node = make_node(static=False)
    node.start()
    with requests.Session() as session:
        session.verify = str(node.ca)
        vault = hvac.Client(url=node.address, session=session)
        assert not vault.sys.is_initialized()
        made = vault.sys.initialize(secret_shares=3, secret_threshold=2)
        assert (len(made["keys"]), len(made["keys_base64"])) == (3, 3)
        assert vault.sys.is_initialized()
        assert vault.sys.is_sealed()
        assert vault.sys.submit_unseal_key(made["keys"][0])["progress"] == 1
        assert vault.sys.submit_unseal_key(reset=True)["progress"] == 0
        assert not vault.sys.submit_unseal_keys(made["keys"][1:])["sealed"]
        node.wait_unsealed()
        vault.token = made["root_token"]
        assert vault.is_authenticated()
        vault.sys.seal()
        assert vault.sys.is_sealed()
        with pytest.raises(hvac.exceptions.VaultDown):
            vault.sys.list_mounted_secrets_engines()
        vault.sys.submit_unseal_keys(made["keys_base64"][:2])
        assert not vault.sys.is_sealed()


def test_read_write_list_delete(vault: hvac.Client) -> None:
    vault.write_data("kv1/raw/a", data={"x": "1"})
    assert vault.read("kv1/raw/a")["data"] == {"x": "1"}
    assert vault.list("kv1/raw")["data"]["keys"] == ["a"]
    vault.delete("kv1/raw/a")
    assert vault.read("kv1/raw/a") is None
    assert vault.list("kv1/raw") is None


def test_nothing_of_hvac_is_left_out(vault: hvac.Client) -> None:
    offered = {name for part in (vault.auth.token, vault.auth.userpass, vault.secrets.kv.v1, vault.secrets.kv.v2)
               for name, _ in inspect.getmembers(part, inspect.ismethod) if not name.startswith("_")}
    offered |= {name for name, _ in inspect.getmembers(system_backend.SystemBackend, inspect.isfunction) if not name.startswith("_")}
    called = set(re.findall(r"\.(\w+)\b", Path(__file__).read_text()))
    assert offered - called - NOT_HERE - {"get_private_attr_name"} == set()
    assert offered >= NOT_HERE, "a word of a list that means nothing"
