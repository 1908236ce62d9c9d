"""sys/policies/acl, sys/policy and sys/capabilities through the pipeline; and what policies permit there."""
import base64
import json

import pytest
from tests.contract.one_node import OneNode

from holdfast.core.identity import ENTITIES, Entity
from holdfast.core.outcome import Forward, Heavy
from holdfast.core.token_create import create
from holdfast.core.token_store import TokenEntry
from holdfast.engine import Method, Place, Rng, Txn
from holdfast.ids import Index, Millis
from holdfast.limits import CAPABILITY_PATHS_MAX, POLICY_MAX_BYTES, POLICY_NAME_MAX, POLICY_PARSE_ON_LANE_MAX

GET, LIST, POST, DELETE = Method.GET, Method.LIST, Method.POST, Method.DELETE
READER = 'path "secret/data/a*" { capabilities = ["read"] }'


@pytest.fixture
def node() -> OneNode:
    return OneNode()


def token(node: OneNode, *policies: str, entity_id: str = "") -> str:
    """A service token with these policies."""
    made: list[str] = []

    def change(txn: Txn, rng: Rng) -> None:
        entry = TokenEntry(accessor="", policies=policies, path="auth/token/create", created_ms=Millis(node.now_ms), index=Index(0),
                           entity_id=entity_id, display_name="t" * (node.replica.index % 7))
        made.append(create(txn, Rng(lambda: str((policies, node.replica.index)).encode().ljust(32)), entry).text.value.decode())

    node._write(change)
    return made[0]


def write(node: OneNode, name: str, text: str) -> None:
    assert node.call(POST, f"sys/policies/acl/{name}", {"policy": text}).status == 204


class TestTexts:
    def test_a_policy_is_kept_as_it_was_written(self, node: OneNode) -> None:
        written = node.call(POST, "sys/policies/acl/Readers", {"policy": READER})
        assert (written.status, written.json["warnings"]) == (200, ["policy name was converted to readers"])
        assert node.call(POST, "sys/policy/Readers", {"rules": READER}).json["warnings"] == [
            "policy name was converted to readers", "'rules' is deprecated, please use 'policy' instead"]
        seen = node.call(GET, "sys/policies/acl/readers")
        assert seen.json["data"] == {"name": "readers", "policy": READER}
        assert "policy" not in seen.json
        old = node.call(GET, "sys/policy/READERS")
        assert old.json["data"] == {"name": "readers", "rules": READER}
        assert old.json["rules"] == READER

    def test_the_lists_have_both_shapes(self, node: OneNode) -> None:
        write(node, "b", READER)
        write(node, "a/c", READER)
        names = ["a/c", "b", "default", "root"]
        assert node.call(LIST, "sys/policies/acl").json["data"] == {"keys": names}
        assert node.call(LIST, "sys/policies/acl/").json["data"] == {"keys": names}
        for method in (GET, LIST):
            assert node.call(method, "sys/policy").json["data"] == {"keys": names, "policies": names}
            assert node.call(method, "sys/policy").json["policies"] == names

    def test_base64_is_taken_apart(self, node: OneNode) -> None:
        write(node, "p", base64.b64encode(READER.encode()).decode())
        assert node.call(GET, "sys/policies/acl/p").json["data"]["policy"] == READER

    def test_the_old_field_warns(self, node: OneNode) -> None:
        seen = node.call(POST, "sys/policy/p", {"rules": READER})
        assert seen.json["warnings"] == ["'rules' is deprecated, please use 'policy' instead"]
        assert node.call(GET, "sys/policies/acl/p").json["data"]["policy"] == READER
        assert node.call(POST, "sys/policy/q", {"policy": READER}).status == 204
        assert node.call(POST, "sys/policies/acl/r", {"rules": READER}).status == 400

    @pytest.mark.parametrize(("name", "body", "error"), [
        ("p", {}, "'policy' parameter not supplied or empty"),
        ("p", {"policy": ""}, "'policy' parameter not supplied or empty"),
        ("p", {"policy": 'pth "x" {}'}, 'failed to parse policy: invalid key "pth" on line 1'),
        ("p", {"policy": base64.b64encode(b"\xff\xff").decode()}, "failed to parse policy: the base64 holds no UTF-8 text"),
        ("root", {"policy": READER}, 'cannot update "root" policy'),
        ("Response-Wrapping", {"policy": READER}, 'cannot update "response-wrapping" policy'),
        ("n" * (POLICY_NAME_MAX + 1), {"policy": READER}, f"the name of a policy has at most {POLICY_NAME_MAX} characters"),
        ("p", {"policy": "#" * (POLICY_MAX_BYTES + 1)}, f"a policy has at most {POLICY_MAX_BYTES} bytes"),
        ("p", {"policy": "#" * (2 * POLICY_MAX_BYTES + 1)}, f"a policy has at most {POLICY_MAX_BYTES} bytes"),
    ])
    def test_refused(self, node: OneNode, name: str, body: object, error: str) -> None:
        seen = node.call(POST, f"sys/policies/acl/{name}", body)
        assert (seen.status, seen.json["errors"], dict(seen.changes)) == (400, [error], {})

    def test_the_largest_are_taken(self, node: OneNode) -> None:
        write(node, "n" * POLICY_NAME_MAX, "#" * POLICY_MAX_BYTES)

    def test_a_long_text_is_parsed_in_a_pool(self, node: OneNode) -> None:
        request = node.request(POST, "sys/policies/acl/p", {"policy": READER + "\n" + "#" * POLICY_PARSE_ON_LANE_MAX})
        assert isinstance(node.attempt(request, Place.ACTIVE), Heavy)
        seen = node.call(POST, "sys/policies/acl/p", {"policy": "pth {}" + "#" * POLICY_PARSE_ON_LANE_MAX})
        assert seen.json["errors"] == ['failed to parse policy: invalid key "pth" on line 1']
        write(node, "p", READER + "\n" + "#" * POLICY_PARSE_ON_LANE_MAX)
        assert node.call(GET, "secret/data/ab", token=token(node, "p")).status == 404

    def test_a_worker_parses_none(self, node: OneNode) -> None:
        """It handed on what it had parsed, which on its way to main was no longer a policy: every long one was answered 500."""
        request = node.request(POST, "sys/policies/acl/p", {"policy": READER + "\n" + "#" * POLICY_PARSE_ON_LANE_MAX})
        outcome = node.attempt(request, Place.WORKER)
        assert isinstance(outcome, Forward)
        assert outcome.memo.results == {}

    def test_what_is_deleted_is_gone_and_what_is_not_there_is_no_error(self, node: OneNode) -> None:
        write(node, "p", READER)
        for _ in range(2):
            assert node.call(DELETE, "sys/policies/acl/p").status == 204
        seen = node.call(GET, "sys/policies/acl/p")
        assert (seen.status, seen.json) == (404, {"errors": []})

    @pytest.mark.parametrize(("name", "error"), [("root", 'cannot delete "root" policy'), ("default", "cannot delete default policy")])
    def test_what_cannot_be_deleted(self, node: OneNode, name: str, error: str) -> None:
        for path in ("sys/policy", "sys/policies/acl"):
            assert node.call(DELETE, f"{path}/{name}").json["errors"] == [error]

    def test_the_built_in_ones(self, node: OneNode) -> None:
        assert node.call(GET, "sys/policies/acl/root").json["data"] == {"name": "root", "policy": ""}
        assert 'path "cubbyhole/*"' in node.call(GET, "sys/policies/acl/default").json["data"]["policy"]
        write(node, "default", READER)
        assert node.call(GET, "sys/policies/acl/default").json["data"]["policy"] == READER
        assert node.call(LIST, "sys/policies/acl").json["data"]["keys"] == ["default", "root"]


class TestVerdicts:
    def test_a_changed_policy_holds_at_once(self, node: OneNode) -> None:
        write(node, "p", READER)
        who = token(node, "p")
        assert node.call(GET, "secret/data/ab", token=who).status == 404
        assert node.call(GET, "secret/data/b", token=who).status == 403
        write(node, "p", 'path "secret/data/b*" { capabilities = ["read"] }')
        assert node.call(GET, "secret/data/ab", token=who).status == 403
        assert node.call(GET, "secret/data/b", token=who).status == 404
        node.call(DELETE, "sys/policies/acl/p")
        assert node.call(GET, "secret/data/b", token=who).status == 403

    def test_create_and_update_are_told_apart(self, node: OneNode) -> None:
        write(node, "creator", 'path "kv1/*" { capabilities = ["create"] }')
        write(node, "updater", 'path "kv1/*" { capabilities = ["update"] }')
        creator, updater = token(node, "creator"), token(node, "updater")
        assert node.call(POST, "kv1/a", {"x": 1}, token=updater).status == 403
        assert node.call(POST, "kv1/a", {"x": 1}, token=creator).status == 204
        assert node.call(POST, "kv1/a", {"x": 2}, token=creator).status == 403
        assert node.call(POST, "kv1/a", {"x": 2}, token=updater).status == 204

    def test_each_method_asks_for_its_capability(self, node: OneNode) -> None:
        node.call(POST, "kv1/a", {"x": 1})
        for capability, allowed in (("read", GET), ("list", LIST), ("delete", DELETE)):
            write(node, capability, f'path "kv1/*" {{ capabilities = ["{capability}"] }}')
            who = token(node, capability)
            for method, path in ((GET, "kv1/a"), (LIST, "kv1/"), (DELETE, "kv1/b")):
                assert (node.call(method, path, token=who).status == 403) is (method is not allowed)

    def test_a_listing_is_asked_with_its_slash(self, node: OneNode) -> None:
        node.call(POST, "kv1/f/a", {"x": 1})
        write(node, "slash", 'path "kv1/f/" { capabilities = ["list"] }')
        write(node, "bare", 'path "kv1/f" { capabilities = ["list"] }')
        write(node, "plus", 'path "kv1/+" { capabilities = ["list"] }')
        for name, path, status in (("slash", "kv1/f", 200), ("slash", "kv1/f/", 200), ("bare", "kv1/f/", 200), ("bare", "kv1/f", 200),
                                   ("plus", "kv1/f", 403)):
            assert node.call(LIST, path, token=token(node, name)).status == status, (name, path)

    def test_sudo_is_asked_for_beside_the_capability(self, node: OneNode) -> None:
        write(node, "no", 'path "sys/auth/x" { capabilities = ["update", "read"] }')
        write(node, "yes", 'path "sys/auth/x" { capabilities = ["update", "sudo"] }')
        assert node.call(POST, "sys/auth/x", {"type": "userpass"}, token=token(node, "no")).status == 403
        assert node.call(POST, "sys/auth/x", {"type": "userpass"}, token=token(node, "yes")).status == 204

    def test_deny_wins_over_another_policy(self, node: OneNode) -> None:
        write(node, "allow", 'path "kv1/*" { capabilities = ["read", "sudo"] }')
        write(node, "deny", 'path "kv1/*" { capabilities = ["deny"] }')
        assert node.call(GET, "kv1/a", token=token(node, "allow")).status == 404
        assert node.call(GET, "kv1/a", token=token(node, "allow", "deny")).status == 403

    def test_a_final_slash_leads_past_no_denial(self, node: OneNode) -> None:
        write(node, "p", 'path "sys/*" { capabilities = ["read"] }\npath "sys/mounts" { capabilities = ["deny"] }')
        who = token(node, "p")
        assert node.call(GET, "sys/internal/ui/resultant-acl/", token=who).status == 200
        for path in ("sys/mounts", "sys/mounts/"):
            assert node.call(GET, path, token=who).status == 403, path

    def test_parameters_of_a_body(self, node: OneNode) -> None:
        write(node, "p", 'path "kv1/*" { capabilities = ["create"] allowed_parameters = { x = ["a*"] } required_parameters = ["x"] }')
        who = token(node, "p")
        for body, status in (({"x": "ab"}, 204), ({"x": "b"}, 403), ({"x": "ab", "y": 1}, 403), ({}, 403), (b"{", 400), (b"[]", 400)):
            assert node.call(POST, f"kv1/n{status}", body, token=who).status == status, body

    def test_parameters_of_a_query(self, node: OneNode) -> None:
        node.call(POST, "secret/data/a", {"data": {"x": 1}})
        write(node, "p", 'path "secret/*" { capabilities = ["read"] denied_parameters = { version = [] } }')
        who = token(node, "p")
        assert node.call(GET, "secret/data/a", token=who).status == 200
        assert node.call(GET, "secret/data/a", token=who, query={"version": "1"}).status == 403
        assert node.call(GET, "secret/data/a", token=who, query={"Version": "1"}).status == 403

    def test_wrapping_can_be_compulsory(self, node: OneNode) -> None:
        node.call(POST, "kv1/a", {"x": 1})
        write(node, "p", 'path "kv1/*" { capabilities = ["read"] min_wrapping_ttl = 60 max_wrapping_ttl = "2m" }')
        who = token(node, "p")
        for asked, status in ((None, 403), (0, 403), (59, 403), (60, 200), (120, 200), (121, 403)):
            assert node.call(GET, "kv1/a", token=who, wrap_ttl_s=asked).status == status, asked

    def test_a_templated_path_is_the_entity_s_own(self, node: OneNode) -> None:
        for id, team in (("e1", "blue"), ("e2", "re*d")):
            entity = Entity(id=id, name=id, created_ms=Millis(0), updated_ms=Millis(0), metadata={"team": team})
            node._write(lambda txn, rng, entity=entity: ENTITIES.put(txn, entity.id, entity))  # type: ignore[misc]
        write(node, "own", 'path "kv1/{{identity.entity.id}}/*" { capabilities = ["read"] }\n'
                           'path "kv1/teams/{{identity.entity.metadata.team}}" { capabilities = ["read"] }')
        first, second, nobody = token(node, "own", entity_id="e1"), token(node, "own", entity_id="e2"), token(node, "own")
        for who, path, status in ((first, "e1/a", 404), (first, "e2/a", 403), (second, "e2/a", 404), (second, "e1/a", 403),
                                  (nobody, "e1/a", 403), (first, "teams/blue", 404), (second, "teams/red", 403)):
            assert node.call(GET, f"kv1/{path}", token=who).status == status, path

    def test_an_unknown_path_is_a_403_to_a_stranger_and_a_404_to_who_may_ask(self, node: OneNode) -> None:
        write(node, "p", 'path "nowhere/*" { capabilities = ["read"] }')
        assert node.call(GET, "nowhere/a", token=token(node, "p")).status == 404
        assert node.call(GET, "elsewhere/a", token=token(node, "p")).status == 403

    def test_root_may_do_everything(self, node: OneNode) -> None:
        assert node.call(GET, "sys/auth/token").status == 400


class TestCapabilities:
    def test_of_the_asking_token(self, node: OneNode) -> None:
        write(node, "p", 'path "kv1/*" { capabilities = ["update", "read", "create", "sudo"] } path "kv1/no" { capabilities = ["deny"] }')
        who = token(node, "default", "p")
        one = node.call(POST, "sys/capabilities-self", {"path": "kv1/a"}, token=who)
        assert one.json["data"] == {"kv1/a": ["create", "read", "sudo", "update"], "capabilities": ["create", "read", "sudo", "update"]}
        assert one.json["capabilities"] == ["create", "read", "sudo", "update"]
        assert one.json["kv1/a"] == ["create", "read", "sudo", "update"]
        several = node.call(POST, "sys/capabilities-self", {"paths": ["kv1/a", "kv1/no", "other"]}, token=who)
        assert several.json["data"] == {"kv1/a": ["create", "read", "sudo", "update"], "kv1/no": ["deny"], "other": ["deny"]}

    def test_root(self, node: OneNode) -> None:
        assert node.call(POST, "sys/capabilities-self", {"path": "x"}).json["data"]["x"] == ["root"]

    def test_of_another_token(self, node: OneNode) -> None:
        write(node, "p", 'path "kv1/*" { capabilities = ["read"] }')
        seen = node.call(POST, "sys/capabilities", {"token": token(node, "p"), "paths": "kv1/a,kv1/b"})
        assert seen.json["data"] == {"kv1/a": ["read"], "kv1/b": ["read"]}

    def test_of_an_accessor(self, node: OneNode) -> None:
        write(node, "p", 'path "kv1/*" { capabilities = ["read"] }')
        who = token(node, "p")
        records = [record(node, key) for key in node.keys("core/token/id/")]
        accessor = next(each["accessor"] for each in records if each["policies"] == ["p"])
        assert node.call(POST, "sys/capabilities", {"token": who, "path": "kv1/a"}).json["data"]["kv1/a"] == ["read"]
        assert node.call(POST, "sys/capabilities-accessor", {"accessor": accessor, "path": "kv1/a"}).json["data"]["kv1/a"] == ["read"]

    @pytest.mark.parametrize(("path", "body", "error"), [
        ("capabilities-self", {}, "paths must be supplied"),
        ("capabilities-self", {"paths": ["x"] * (CAPABILITY_PATHS_MAX + 1)},
         f"at most {CAPABILITY_PATHS_MAX} paths can be asked about at once"),
        ("capabilities", {"path": "x"}, "no token found"),
        ("capabilities", {"path": "x", "token": "hvs.nobody"}, "invalid token"),
        ("capabilities-accessor", {"path": "x"}, "missing accessor"),
        ("capabilities-accessor", {"path": "x", "accessor": "nobody"}, "invalid accessor"),
    ])
    def test_refused(self, node: OneNode, path: str, body: object, error: str) -> None:
        seen = node.call(POST, f"sys/{path}", body)
        assert (seen.status, seen.json["errors"]) == (400, [error])


def record(node: OneNode, key: str) -> dict[str, object]:
    value = node.replica.open().get(key)
    assert value is not None
    decoded: dict[str, object] = json.loads(node.barrier.decrypt(key, value))
    return decoded
