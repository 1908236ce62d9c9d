"""Logins: the token they are worth, the entity they are of, and what a second one does not write. Peer bugs 9 and 18."""
from pathlib import Path

import pytest
from tests.unit.core.token_node import DELETE, GET, POST, TokenNode

from holdfast.core.identity import ALIASES, ENTITIES, Entity
from holdfast.core.login import display_name, sanitized, wanted_type
from holdfast.core.outcome import Answer, Forward
from holdfast.engine import Mount, Place, TokenType


@pytest.fixture
def node(tmp_path: Path) -> TokenNode:
    one = TokenNode(tmp_path)
    one.policy("dev", 'path "secret/*" { capabilities = ["read"] }')
    assert one.post("auth/userpass/users/alice", {"password": "x", "token_policies": "dev", "token_ttl": "1h"}).status == 204
    return one


def entity_of(node: TokenNode, id: str) -> Entity:
    found = ENTITIES.get(node.txn(), id)
    assert found is not None
    return found


def test_the_auth_block(node: TokenNode) -> None:
    seen = node.post("auth/userpass/login/Alice", {"password": "x"}, token=None)
    auth = seen.json["auth"]
    assert auth["client_token"].startswith("hvs.CAESI")
    assert (auth["policies"], auth["token_policies"], auth["metadata"]) == (["default", "dev"], ["default", "dev"], {"username": "alice"})
    assert (auth["lease_duration"], auth["renewable"], auth["orphan"], auth["token_type"]) == (3600, True, True, "service")
    assert "identity_policies" not in auth
    data = node.lookup(auth["client_token"]).json["data"]
    assert (data["display_name"], data["path"], data["entity_id"]) == ("userpass-alice", "auth/userpass/login/Alice", auth["entity_id"])
    assert (data["meta"], data["orphan"]) == ({"username": "alice"}, True)


def test_who_logs_in_by_another_method_is_told_so(node: TokenNode) -> None:
    """As in Vault no token is needed to hear it, as none is to log in; of all else of a mount nobody without a token learns anything."""
    for method in (GET, DELETE):
        seen = node.call(method, "auth/userpass/login/alice", token=None)
        assert (seen.status, seen.json["errors"]) == (405, ["1 error occurred:\n\t* unsupported operation\n\n"])
    for path in ("auth/userpass/login", "auth/userpass/users/alice", "auth/token/create", "auth/nowhere/login"):
        assert node.call(GET, path, token=None).status == 403


def test_one_entity_however_often(node: TokenNode) -> None:
    first = node.post("auth/userpass/login/alice", {"password": "x"}, token=None)
    second = node.post("auth/userpass/login/alice", {"password": "x"}, token=None)
    assert first.json["auth"]["entity_id"] == second.json["auth"]["entity_id"]
    assert not any(key.startswith("identity/") for key in second.changes)
    entity = entity_of(node, first.json["auth"]["entity_id"])
    assert entity.name.startswith("entity_")
    assert [key.mount_accessor for key in entity.aliases] == ["userpass_uuid-auth-userpass"]
    assert all("alice" not in key for key in node.keys("identity/"))


def test_upper_and_lower_case_name_one_identity(node: TokenNode) -> None:
    one, other = (node.post(f"auth/contract/login/{name}", {}, token=None).json["auth"] for name in ("Bob", "bOB"))
    assert one["entity_id"] == other["entity_id"]


def test_18_a_batch_login_of_a_known_entity_is_a_read(node: TokenNode) -> None:
    node.post("sys/auth/userpass/tune", {"token_type": "batch"})
    first = node.post("auth/contract/login/bob", {}, token=None)
    assert first.json["auth"]["token_type"] == "service"
    node.post("sys/auth/contract/tune", {"token_type": "batch"})
    outcome = node.attempt(node.request(POST, "auth/contract/login/bob", {}, token=None), Place.WORKER)
    assert isinstance(outcome, Answer)
    assert b'"token_type":"batch"' in outcome.reply.body
    assert isinstance(node.attempt(node.request(POST, "auth/contract/login/new", {}, token=None), Place.WORKER), Forward)


def test_a_batch_token_of_a_login(node: TokenNode) -> None:
    node.post("sys/auth/contract/tune", {"token_type": "default-batch"})
    auth = node.post("auth/contract/login/bob", {"policies": "dev"}, token=None).json["auth"]
    assert (auth["token_type"], auth["accessor"], auth["renewable"]) == ("batch", "", False)
    data = node.lookup(auth["client_token"]).json["data"]
    assert (data["entity_id"], data["policies"], data["type"]) == (auth["entity_id"], ["default", "dev"], "batch")


def test_a_batch_token_of_a_login_has_no_uses_and_no_period(node: TokenNode) -> None:
    """As in Vault, a mount tuned to batch tokens does not end the logins of roles that were made for service tokens."""
    node.post("sys/auth/userpass/tune", {"token_type": "batch"})
    node.post("auth/userpass/users/alice", {"token_num_uses": 3, "token_period": "20m", "token_explicit_max_ttl": "10m"})
    seen = node.post("auth/userpass/login/alice", {"password": "x"}, token=None).json
    assert (seen["auth"]["token_type"], seen["auth"]["num_uses"], seen["auth"]["lease_duration"]) == ("batch", 0, 600)
    assert seen["warnings"][-2:] == ['"num_uses" has no effect on a batch token', '"period" has no effect on a batch token']
    assert all(node.lookup(seen["auth"]["client_token"]).json["data"]["num_uses"] == 0 for _ in range(4))


def test_policies_of_the_entity_count_at_once(node: TokenNode) -> None:
    auth = node.post("auth/userpass/login/alice", {"password": "x"}, token=None).json["auth"]
    entity = entity_of(node, auth["entity_id"])
    node.policy("more", 'path "sys/mounts" { capabilities = ["read"] }')
    assert node.call(GET, "sys/mounts", token=auth["client_token"]).status == 403
    changed = Entity(id=entity.id, name=entity.name, created_ms=entity.created_ms, updated_ms=entity.updated_ms, aliases=entity.aliases,
                     policies=("more", "root"))
    node._write(lambda txn, rng: ENTITIES.put(txn, entity.id, changed))
    assert node.call(GET, "sys/mounts", token=auth["client_token"]).status == 200
    again = node.post("auth/userpass/login/alice", {"password": "x"}, token=None).json["auth"]
    assert again["policies"] == ["default", "dev", "more"]
    assert node.call(GET, "sys/audit", token=again["client_token"]).status == 403       # an entity makes nobody root


def test_a_disabled_entity_is_nobody(node: TokenNode) -> None:
    auth = node.post("auth/userpass/login/alice", {"password": "x"}, token=None).json["auth"]
    entity = entity_of(node, auth["entity_id"])
    changed = Entity(id=entity.id, name=entity.name, created_ms=entity.created_ms, updated_ms=entity.updated_ms, aliases=entity.aliases,
                     disabled=True)
    node._write(lambda txn, rng: ENTITIES.put(txn, entity.id, changed))
    assert node.lookup(auth["client_token"]).status == 403
    assert node.post("auth/userpass/login/alice", {"password": "x"}, token=None).status == 403


def test_no_method_makes_a_root_token(node: TokenNode) -> None:
    assert node.post("auth/contract/login/bob", {"policies": "root"}, token=None).json["errors"] == [
        "auth methods cannot create root tokens"]


@pytest.mark.parametrize("policy", ["response-wrapping", "Control-Group"])
def test_no_method_gives_a_policy_that_core_alone_gives(node: TokenNode, policy: str) -> None:
    """A login with `response-wrapping` alone would pass for a wrapping token."""
    seen = node.post("auth/contract/login/bob", {"policies": policy}, token=None)
    assert (seen.status, seen.json["errors"]) == (400, [f'cannot assign policy "{policy.lower()}"'])


def test_9_a_mount_leaves_no_alias_behind(node: TokenNode) -> None:
    token = node.post("auth/userpass/login/alice", {"password": "x"}, token=None).json["auth"]["client_token"]
    assert len(ALIASES.names(node.txn())) == 1
    assert node.call(DELETE, "sys/auth/userpass").status == 204
    assert node.lookup(token).status == 403
    node.run_due()
    assert ALIASES.names(node.txn()) == ()
    assert len(node.keys("core/token/id/")) == 1
    node.post("sys/auth/userpass", {"type": "userpass"})
    node.post("auth/userpass/users/alice", {"password": "y"})
    assert node.post("auth/userpass/login/alice", {"password": "y"}, token=None).status == 200
    assert node.lookup(token).status == 403


def test_renewing_asks_the_method(node: TokenNode) -> None:
    token = node.post("auth/userpass/login/alice", {"password": "x"}, token=None).json["auth"]["client_token"]
    node.post("auth/userpass/users/alice", {"token_ttl": "2h"})
    assert node.post("auth/token/renew-self", {}, token=token).json["auth"]["lease_duration"] == 7200
    node.call(DELETE, "auth/userpass/users/alice")
    seen = node.post("auth/token/renew-self", {}, token=token)
    assert (seen.status, dict(seen.changes)) != (200, {})
    assert seen.status >= 400


@pytest.mark.parametrize(("mount", "login", "kind"), [
    (TokenType.DEFAULT_SERVICE, TokenType.DEFAULT, "service"), (TokenType.DEFAULT_SERVICE, TokenType.BATCH, "batch"),
    (TokenType.DEFAULT_BATCH, TokenType.DEFAULT, "batch"), (TokenType.DEFAULT_BATCH, TokenType.SERVICE, "service"),
    (TokenType.SERVICE, TokenType.BATCH, "service"), (TokenType.BATCH, TokenType.SERVICE, "batch"),
    (TokenType.DEFAULT, TokenType.DEFAULT, "service")])
def test_who_says_what_type_it_is(mount: TokenType, login: TokenType, kind: str) -> None:
    assert wanted_type(mount, login) == kind


def test_policies_are_made_alike() -> None:
    assert sanitized(("B", " a ", "a", ""), add_default=True) == ("a", "b", "default")
    assert sanitized(("B",), add_default=False) == ("b",)
    assert sanitized(("a", "ROOT"), add_default=True) == ("root",)


def test_the_display_name_is_that_of_the_mount_and_the_method() -> None:
    mount = Mount(uuid="u", path="auth/corp/ldap/", type="ldap", accessor="a", default_ttl_s=1, max_ttl_s=1)
    assert (display_name(mount, "bob"), display_name(mount, "")) == ("corp-ldap-bob", "corp-ldap")
