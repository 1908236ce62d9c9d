"""What user interfaces and the command line ask: visible mounts, the kv preflight, help, OpenAPI."""
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from tests.contract.one_node import OneNode

from holdfast.core.mounts import MOUNTS, MountEntry
from holdfast.core.token_create import create
from holdfast.core.token_store import TokenEntry
from holdfast.engine import Method, Rng, Txn
from holdfast.ids import Index, Millis

GET, LIST, POST, DELETE, HELP = Method.GET, Method.LIST, Method.POST, Method.DELETE, Method.HELP


@pytest.fixture
def node() -> OneNode:
    return OneNode()


def token(node: OneNode, text: str = "") -> str:
    """A token whose one policy says this."""
    made: list[str] = []
    if text:
        assert node.call(POST, "sys/policies/acl/own", {"policy": text}).status == 204

    def change(txn: Txn, rng: Rng) -> None:
        entry = TokenEntry(accessor="", policies=("own",), path="auth/token/create", created_ms=Millis(node.now_ms), index=Index(0))
        made.append(create(txn, Rng(lambda: b"of the token".ljust(32)), entry).text.value.decode())

    node._write(change)
    return made[0]


class TestMounts:
    def test_who_may_reach_a_mount_sees_all_of_it(self, node: OneNode) -> None:
        who = token(node, 'path "secret/data/a" { capabilities = ["read"] }\npath "auth/userpass/*" { capabilities = ["list"] }')
        data = node.call(GET, "sys/internal/ui/mounts", token=who).json["data"]
        assert (list(data["secret"]), list(data["auth"])) == (["secret/"], ["userpass/"])
        assert data["secret"]["secret/"] == node.call(GET, "sys/mounts/secret").json["data"]

    def test_root_sees_all(self, node: OneNode) -> None:
        data = node.call(GET, "sys/internal/ui/mounts").json["data"]
        assert sorted(data["secret"]) == ["cubbyhole/", "kv1/", "secret/"]

    def test_without_a_token_only_what_is_listed_for_everybody(self, node: OneNode) -> None:
        assert node.call(GET, "sys/internal/ui/mounts", token=None).json["data"] == {"auth": {}, "secret": {}}
        node.call(POST, "sys/auth/userpass/tune", {"listing_visibility": "unauth", "description": "people"})
        data = node.call(GET, "sys/internal/ui/mounts", token=None).json["data"]
        assert data == {"auth": {"userpass/": {"type": "userpass", "description": "people", "options": None}}, "secret": {}}

    def test_a_bad_token_is_refused(self, node: OneNode) -> None:
        for path in ("mounts", "mounts/secret"):
            seen = node.call(GET, f"sys/internal/ui/{path}", token="hvs.nobody")
            assert (seen.status, seen.json["errors"]) == (403, ["permission denied"])

    def test_the_kv_preflight(self, node: OneNode) -> None:
        who = token(node, 'path "secret/data/a" { capabilities = ["read"] }')
        data = node.call(GET, "sys/internal/ui/mounts/secret/a/b", token=who).json["data"]
        assert (data["path"], data["type"], data["options"]) == ("secret/", "kv", {"version": "2"})

    def test_the_preflight_of_an_auth_method(self, node: OneNode) -> None:
        assert node.call(GET, "sys/internal/ui/mounts/auth/userpass").json["data"]["path"] == "userpass/"

    @pytest.mark.parametrize("path", ["kv1/a", "nowhere/a"])
    def test_a_mount_out_of_reach_is_refused_like_one_that_is_not_there(self, node: OneNode, path: str) -> None:
        seen = node.call(GET, f"sys/internal/ui/mounts/{path}", token=token(node, 'path "secret/*" { capabilities = ["read"] }'))
        assert (seen.status, seen.json["errors"]) == (403, [
            f'preflight capability check returned 403, please ensure client\'s policies grant access to path "{path}/"'])

    def test_the_preflight_wants_a_token(self, node: OneNode) -> None:
        assert node.call(GET, "sys/internal/ui/mounts/secret", token=None).status == 403

    def test_a_denied_mount_is_out_of_reach(self, node: OneNode) -> None:
        who = token(node, 'path "secret/*" { capabilities = ["deny"] }')
        assert node.call(GET, "sys/internal/ui/mounts/secret", token=who).status == 403


class TestResultantAcl:
    def test_root(self, node: OneNode) -> None:
        assert node.call(GET, "sys/internal/ui/resultant-acl").json["data"] == {"root": True}

    def test_what_a_token_may_do(self, node: OneNode) -> None:
        who = token(node, """
            path "sys/internal/ui/resultant-acl" { capabilities = ["read"] }
            path "a" { capabilities = ["update", "create"] allowed_parameters = { x = ["1"] } min_wrapping_ttl = 5 }
            path "b/*" { capabilities = ["deny"] }""")
        data = node.call(GET, "sys/internal/ui/resultant-acl", token=who).json["data"]
        assert data == {
            "root": False,
            "exact_paths": {"sys/internal/ui/resultant-acl": {"capabilities": ["read"]},
                            "a": {"capabilities": ["create", "update"], "allowed_parameters": {"x": ["1"]}, "min_wrapping_ttl": 5}},
            "glob_paths": {"b/": {"capabilities": ["deny"]}}}


class TestHelp:
    def test_of_a_route(self, node: OneNode) -> None:
        seen = node.call(HELP, "sys/mounts/secret/tune")
        assert sorted(seen.json) == ["help", "openapi", "see_also"]
        assert seen.json["see_also"] is None
        assert seen.json["help"].startswith("Request:        sys/mounts/secret/tune\nMatching Route: mounts/*path/tune\n")
        assert "    max_lease_ttl (string)" in seen.json["help"]
        assert list(seen.json["openapi"]["paths"]) == ["/sys/mounts/{path}/tune"]

    @pytest.mark.parametrize("path", ["auth/userpass/", "auth/userpass", "secret", "cubbyhole/", "sys/", "sys"])
    def test_of_a_mount(self, node: OneNode, path: str) -> None:
        assert "## PATHS" in node.call(HELP, path).json["help"]

    def test_the_system_backend_without_its_slash_asked_by_nobody(self, node: OneNode) -> None:
        """Its entry among the mounts has no engine: the request ended the process, before any token was looked at."""
        entry = MountEntry(uuid="of sys", path="sys/", type="system", accessor="system_1")
        node._write(lambda txn, rng: MOUNTS.put(txn, entry.uuid, entry))
        assert node.call(HELP, "sys", token=None).status == 403
        assert node.call(LIST, "sys", token=None).status == 403
        assert node.call(LIST, "sys").status == 404

    def test_any_token_may_ask_and_nobody_else(self, node: OneNode) -> None:
        who = token(node)
        assert node.call(HELP, "sys/mounts", token=who).status == 200
        assert node.call(HELP, "secret/data/a", token=who).status == 200
        assert node.call(HELP, "sys/mounts", token=None).status == 403
        assert node.call(HELP, "auth/userpass/login/ann", token=None).status == 200

    def test_of_nothing(self, node: OneNode) -> None:
        assert node.call(HELP, "sys/nothing").status == 404
        assert node.call(HELP, "nowhere").status == 404

    def test_every_route_explains_itself(self, node: OneNode) -> None:
        for mount, engine in (("sys/", node.access.router.system), *node.mounts.items()):
            for route in engine.routes:
                path = mount + "/".join("x" if part[:1] in (":", "*") else part for part in route.pattern.split("/"))
                seen = node.call(HELP, path)
                assert seen.status == 200, path
                assert route.help in seen.json["help"], path


class TestOpenApi:
    def document(self, node: OneNode, **more: Any) -> dict[str, Any]:
        reply = node.call(GET, "sys/internal/specs/openapi", **more).reply
        document: dict[str, Any] = json.loads(reply.body)
        return document

    def test_all_mounts_in_reach_and_no_other(self, node: OneNode) -> None:
        paths = self.document(node)["paths"]
        assert {"/sys/mounts/{path}", "/secret/data/{path}", "/auth/userpass/login/{username}", "/cubbyhole/{path}"} <= set(paths)
        reached = self.document(node, token=token(node, 'path "secret/*" { capabilities = ["read"] }'))["paths"]
        assert reached
        assert all(path.startswith("/secret/") for path in reached)
        assert self.document(node, token=None)["paths"] == {}

    def test_operations_say_what_they_take(self, node: OneNode) -> None:
        paths = self.document(node)["paths"]
        body = paths["/sys/mounts/{path}"]["post"]["requestBody"]["content"]["application/json"]["schema"]
        assert body["properties"]["type"] == {"type": "string", "description": 'Type of the engine, such as "kv" or "userpass".'}
        assert "path" not in body["properties"]
        assert paths["/sys/mounts/{path}"]["parameters"][0]["name"] == "path"
        assert paths["/auth/userpass/login/{username}"]["x-vault-unauthenticated"] is True
        assert paths["/sys/auth/{path}"]["x-vault-sudo"] is True
        lists = paths["/sys/policies/acl"]["get"]["parameters"][-1]
        assert (lists["name"], lists["required"], lists["schema"]["enum"]) == ("list", True, ["true"])

    def test_it_is_valid(self, node: OneNode) -> None:
        """Arrays without items, two operations of one id and braces of a mount's own path are what generators of clients stop at."""
        for path in ("a-b", "a/b", "A_b", "a/{b}"):
            assert node.call(POST, f"sys/mounts/{path}", {"type": "kv"}).status == 204
        self.test_operations_have_names_of_their_own(node)
        paths = self.document(node)["paths"] | self.document(node, query={"generic_mount_paths": "true"})["paths"]
        assert all(re.findall(r"{(.*?)}", path) == [known["name"] for known in item.get("parameters", ())] for path, item in paths.items())
        arrays = list(self.arrays(paths))
        assert arrays
        assert all("items" in schema for schema in arrays)

    def arrays(self, value: object) -> Iterator[dict[str, Any]]:
        if isinstance(value, dict):
            if value.get("type") == "array":
                yield value
            value = list(value.values())
        if isinstance(value, list):
            for each in value:
                yield from self.arrays(each)

    def test_a_record_is_an_object(self, node: OneNode) -> None:
        operation = self.document(node)["paths"]["/sys/mounts/{path}"]["post"]
        shown = operation["requestBody"]["content"]["application/json"]["schema"]["properties"]
        assert {name: shown[name]["type"] for name in ("config", "options", "local")} == {
            "config": "object", "options": "object", "local": "boolean"}

    def test_operations_have_names_of_their_own(self, node: OneNode) -> None:
        names = [operation["operationId"] for item in self.document(node)["paths"].values() for operation in item.values()
                 if isinstance(operation, dict)]
        assert len(names) == len(set(names))

    def test_mounts_as_parameters(self, node: OneNode) -> None:
        paths = self.document(node, query={"generic_mount_paths": "true"})["paths"]
        assert "/{secret_mount_path}/data/{path}" in paths
        assert "/auth/{userpass_mount_path}/login/{username}" in paths
        assert "/cubbyhole/{path}" in paths
