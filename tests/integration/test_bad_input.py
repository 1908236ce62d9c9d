"""What is not understood: Vault's 4xx, with a sentence that names the field and the limit, and nothing is changed. Invariant 12.

Each case is asked of a worker and of main; "nothing" is the number of the last batch, which every write would raise.
"""
from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest
from tests.client import Client
from tests.node import Node, mount, new_token
from tests.processes import wait_until


@dataclass(frozen=True)
class Case:
    """`says`: what the sentence must name; "" where Vault says nothing (its empty list of errors)."""

    name: str
    status: int
    says: str
    method: str
    path: str
    body: object = None
    raw: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    token: str | None = None


def _deep(levels: int) -> bytes:
    return b'{"data": ' + b'{"a": ' * levels + b"1" + b"}" * levels + b"}"


LONG = "x" * 600
HUGE = "9" * 30
TTLS = ("1x", "-1h", "-5", "9999999999999h", HUGE, "1e400s", "0x10s", "h", "1h2", True, [1], {"a": 1})
BAD = (
    # Bodies
    Case("no JSON", 400, "JSON", "POST", "kv/data/a", raw=b"not json"),
    Case("half of it", 400, "JSON", "POST", "kv/data/a", raw=b'{"data": {"a": "b"'),
    Case("something after it", 400, "JSON", "POST", "kv/data/a", raw=b'{"data": {}} x'),
    Case("an array", 400, "JSON", "POST", "kv/data/a", raw=b"[1]"),
    Case("a number", 400, "JSON", "POST", "kv/data/a", raw=b"17"),
    Case("no UTF-8", 400, "", "POST", "kv/data/a", raw=b'{"data": {"a": "\xff\xfe"}}'),
    Case("a control character in a string", 400, "JSON", "POST", "kv/data/a", raw=b'{"data": {"a": "\x01"}}'),
    Case("too deep", 400, "300", "POST", "kv/data/a", raw=_deep(301)),
    Case("far too deep", 400, "300", "POST", "kv/data/a", raw=_deep(100_000)),
    Case("a string too long", 400, "1048576", "POST", "kv/data/a", raw=b'{"data": {"a": "' + b"x" * 1_048_577 + b'"}}'),
    Case("too many entries", 400, "10000", "POST", "kv/data/a", body={"data": {str(n): 1 for n in range(10_001)}}),
    Case("too many elements", 400, "10000", "POST", "kv/data/a", body={"data": {"a": [1] * 10_001}}),
    Case("longer than a body may be", 413, "33554432", "POST", "kv/data/a", raw=b"x" * 33_554_433),
    Case("a form that is none", 400, "", "POST", "kv/data/a", raw=b"a=%zz", headers={"Content-Type": "application/x-www-form-urlencoded"}),
    # Types
    Case("data as text", 400, "data", "POST", "kv/data/a", body={"data": "text"}),
    Case("no data", 400, "data", "POST", "kv/data/a", body={"options": {}}),
    Case("cas as text", 400, "check-and-set", "POST", "kv/data/a", body={"data": {}, "options": {"cas": "many"}}),
    Case("cas below zero", 400, "check-and-set", "POST", "kv/data/a", body={"data": {}, "options": {"cas": -1}}),
    Case("versions as text", 400, "versions", "POST", "kv/delete/a", body={"versions": "x"}),
    Case("no versions", 400, "version", "POST", "kv/destroy/a", body={}),
    Case("max_versions as text", 400, "max_versions", "POST", "kv/metadata/a", body={"max_versions": "many"}),
    Case("max_versions without end", 400, "max_versions", "POST", "kv/metadata/a", body={"max_versions": 10 ** 30}),
    Case("metadata that are no text", 400, "custom_metadata", "POST", "kv/metadata/a", body={"custom_metadata": {"a": {"b": 1}}}),
    Case("metadata too long", 400, "512", "POST", "kv/metadata/a", body={"custom_metadata": {"a": "x" * 513}}),
    Case("version of a read", 400, "version", "GET", "kv/data/a?version=first"),
    Case("policies as an object", 400, "policies", "POST", "auth/token/create", body={"policies": {"a": 1}}),
    Case("num_uses as text", 400, "num_uses", "POST", "auth/token/create", body={"num_uses": "many"}),
    Case("num_uses below zero", 400, "number of uses", "POST", "auth/token/create", body={"num_uses": -1}),
    Case("num_uses past 63 bits", 400, "num_uses", "POST", "auth/token/create", body={"num_uses": 1 << 63}),
    Case("token_num_uses past 63 bits", 400, "token_num_uses", "POST", "auth/token/roles/r", body={"token_num_uses": 1 << 63}),
    Case("meta that are no text", 400, "meta", "POST", "auth/token/create", body={"meta": "x"}),
    Case("a type of token that there is not", 400, "type", "POST", "auth/token/create", body={"type": "golden"}),
    Case("a policy that is none", 400, "policy", "POST", "sys/policies/acl/a", body={"policy": "path {"}),
    Case("a capability that there is not", 400, "fly", "POST", "sys/policies/acl/a",
         body={"policy": 'path "a" { capabilities = ["fly"] }'}),
    Case("no policy", 400, "policy", "POST", "sys/policies/acl/a", body={}),
    Case("the policy root", 400, "root", "POST", "sys/policies/acl/root", body={"policy": 'path "a" { capabilities = ["read"] }'}),
    Case("an engine that there is not", 400, "nothing", "POST", "sys/mounts/new", body={"type": "nothing"}),
    Case("no engine", 400, "type", "POST", "sys/mounts/new", body={}),
    Case("a version of kv that there is not", 400, "version", "POST", "sys/mounts/new", body={"type": "kv", "options": {"version": "7"}}),
    Case("options that are no text", 400, "options", "POST", "sys/mounts/new", body={"type": "kv", "options": "two"}),
    Case("a mount where one is", 400, "kv/", "POST", "sys/mounts/kv", body={"type": "kv"}),
    Case("a mount below one", 400, "kv/", "POST", "sys/mounts/kv/below", body={"type": "kv"}),
    Case("a mount below sys/", 400, "sys/", "POST", "sys/mounts/sys/a", body={"type": "kv"}),
    Case("a mount with ..", 400, "..", "POST", "sys/mounts/a/../b", body={"type": "kv"}),
    Case("a tuning of what there is not", 400, "none", "POST", "sys/mounts/none/tune", body={"description": "a"}),
    Case("visibility that there is not", 400, "listing_visibility", "POST", "sys/mounts/kv/tune", body={"listing_visibility": "neon"}),
    Case("an audit device of no type", 400, "", "POST", "sys/audit/a", body={"type": "paper", "options": {}}),
    Case("an audit device without a path", 400, "file_path", "POST", "sys/audit/a", body={"type": "file", "options": {}}),
    Case("a wrapping token that is none", 400, "wrapping token", "POST", "sys/wrapping/unwrap", body={"token": "hvs.nonsense"}),
    Case("a wrap TTL below zero", 400, "X-Vault-Wrap-TTL", "GET", "sys/mounts", headers={"X-Vault-Wrap-TTL": "-1s"}),
    Case("a wrap TTL that is none", 400, "X-Vault-Wrap-TTL", "GET", "sys/mounts", headers={"X-Vault-Wrap-TTL": "soon"}),
    Case("a wrap TTL without end", 400, "X-Vault-Wrap-TTL", "GET", "sys/mounts", headers={"X-Vault-Wrap-TTL": HUGE}),
    Case("a lease that there is not", 400, "lease", "POST", "sys/leases/renew", body={"lease_id": "none/at/all"}),
    Case("no lease", 400, "lease", "POST", "sys/leases/lookup", body={}),
    Case("no path to look at", 400, "path", "POST", "sys/capabilities-self", body={}),
    Case("rotation out of range", 400, "max_operations", "POST", "sys/rotate/config", body={"max_operations": 1}),
    Case("a key that is none", 400, "", "POST", "sys/unseal", body={"key": {"a": 1}}),
    # Methods
    Case("a method that there is not", 405, "", "BREW", "kv/data/a"),
    Case("a method in small letters", 405, "", "get", "kv/data/a"),
    Case("OPTIONS", 405, "", "OPTIONS", "kv/data/a"),
    Case("a method that the path has not", 405, "unsupported operation", "DELETE", "sys/mounts"),
    Case("PATCH without its type", 400, "media type", "PATCH", "kv/data/a", body={"data": {}}),
    Case("PATCH with another type", 415, "application/merge-patch+json", "PATCH", "kv/data/a", body={"data": {}},
         headers={"Content-Type": "application/json"}),
    # Paths
    Case("..", 400, "..", "GET", "kv/data/../config"),
    Case(".. in disguise", 400, "..", "GET", "kv/data/%2e%2e/config"),
    Case(".. behind a slash in disguise", 400, "..", "GET", "kv/data%2f..%2fconfig"),
    Case(".. at the end", 400, "..", "POST", "kv/data/a/..", body={"data": {}}),
    Case("NUL", 400, "", "POST", "kv/data/a%00b", body={"data": {}}),
    Case("a line feed", 400, "", "POST", "kv/data/a%0ab", body={"data": {}}),
    Case("no UTF-8 in the path", 400, "", "POST", "kv/data/%ff%fe", body={"data": {}}),
    Case("half an escape", 400, "", "GET", "kv/data/%4"),
    Case("a trailing slash", 400, "'/'", "POST", "kv/data/a/", body={"data": {}}),
    Case("a trailing slash at a version 1", 400, "'/'", "POST", "old/a/", body={"a": "b"}),
    Case("a path too long", 400, "32512", "POST", "kv/data/" + "x" * 32_600, body={"data": {}}),
    Case("an unknown mount", 404, "no handler for route", "GET", "none/a"),
    Case("a write to an unknown mount", 404, "no handler for route", "POST", "none/a", body={"a": 1}),
    Case("an unknown path of sys", 404, "unsupported path", "GET", "sys/none"),
    Case("a path of identity", 404, "unsupported path", "GET", "identity/entity/id"),
    Case("an unknown path of a method", 404, "unsupported path", "GET", "auth/token/none"),
    Case("an unknown auth method", 404, "no handler for route", "POST", "auth/none/login/a", body={"password": "a"}),
    Case("no path at all", 404, "", "GET", ""),
    # Queries and headers
    Case("a list that is neither", 400, "list", "GET", "kv/metadata/?list=maybe"),
    Case("a query with half an escape", 400, "", "GET", "kv/data/a?version=%4"),
    Case("a state that is none", 400, "X-Vault-Index", "GET", "kv/data/a", headers={"X-Vault-Index": "x"}),
    # Tokens
    Case("no token", 403, "permission denied", "GET", "kv/data/a", token=""),
    Case("a malformed token", 403, "invalid token", "GET", "kv/data/a", token="hvs.not-a-token"),
    Case("a batch token that is none", 403, "invalid token", "GET", "kv/data/a", token="hvb." + "A" * 200),
    Case("an unknown kind of token", 403, "invalid token", "GET", "kv/data/a", token="xyz"),
    Case("a token too long", 403, "invalid token", "GET", "kv/data/a", token="hvs." + "A" * 20_000),
    Case("a token with letters that none has", 403, "", "POST", "kv/data/a", token="hvs.äöü", body={"data": {}}),
    Case("no token for a write", 403, "", "POST", "kv/data/a", token="", body={"data": {"a": 1}}),
    *(Case(f"{field} {ttl!r}", 400, field, "POST", path, body={**more, field: ttl})
      for field, path, more in (("ttl", "auth/token/create", {}), ("explicit_max_ttl", "auth/token/create", {}),
                                ("period", "auth/token/create", {}), ("increment", "auth/token/renew-self", {}),
                                ("default_lease_ttl", "sys/mounts/kv/tune", {}), ("max_lease_ttl", "sys/mounts/kv/tune", {}),
                                ("delete_version_after", "kv/metadata/a", {}), ("delete_version_after", "kv/config", {}),
                                ("token_ttl", "auth/userpass/users/u", {"password": "p"}),
                                ("token_period", "auth/userpass/users/u", {"password": "p"}))
      for ttl in TTLS if not (path == "kv/config" and str(ttl).startswith("-"))),       # there it means: never
)


@pytest.fixture(scope="module")
def world(node: Node) -> Node:
    root = node.client()
    mount(root, "kv")
    mount(root, "old", options={"version": "1"})
    root.post("kv/data/a", {"data": {"x": "1"}}).ok()
    root.post("sys/auth/userpass", {"type": "userpass"}).ok()
    return node


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.name)
def test_it_is_refused_with_a_sentence_and_changes_nothing(world: Node, case: Case) -> None:
    for client in (world.client(), world.main()):
        before = _last(client)
        answer = client.ask(case.method, case.path, case.body, raw=case.raw, headers=case.headers, token=case.token)
        where = f"{case.method} {case.path[:80]} {str(case.body)[:80]}: {answer.status} {answer.body[:300]!r}"
        assert answer.status == case.status, where
        assert answer.header("content-type").startswith("application/json"), where
        errors = answer.json["errors"]
        assert case.says in " ".join(errors), where
        assert all(len(text) < 2_000 for text in errors), "the sentence is no copy of what was sent"
        assert answer.index == "", where
        assert _last(client) == before, where
        client.close()


def _last(client: Client) -> int:
    found: int = client.get("sys/health", token="").json["last_wal"]
    return found


def test_an_expired_token_is_refused_everywhere(world: Node) -> None:
    root = world.client()
    token = new_token(root, "default", ttl="1s", explicit_max_ttl="1s")
    assert root.get("auth/token/lookup-self", token=token).status == 200
    for client in (world.client(), world.main()):
        wait_until(lambda client=client: client.get("auth/token/lookup-self", token=token).status == 403, "expired")  # type: ignore[misc]
        refused = client.get("auth/token/lookup-self", token=token)
        assert refused.errors == ["2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"]
        assert client.post("kv/data/a", {"data": {}}, token=token).status == 403


def test_what_a_policy_does_not_grant_is_told_from_a_bad_token(world: Node) -> None:
    token = new_token(world.client(), "default")
    for client in (world.client(token), world.main(token)):
        for method, path in (("GET", "kv/data/a"), ("POST", "kv/data/a"), ("GET", "none/at/all"), ("GET", "sys/metrics")):
            refused = client.ask(method, path)
            assert (refused.status, refused.errors) == (403, ["1 error occurred:\n\t* permission denied\n\n"])


@pytest.mark.parametrize("path", ["kv/data//a", "kv//data/a", "kv/./data/a", "/kv/data/a"])
def test_a_path_written_in_a_roundabout_way_is_redirected(world: Node, path: str) -> None:
    answer = world.client().get(path)
    assert answer.status == 301
    assert answer.header("location") == "/v1/kv/data/a"


def test_a_name_may_hold_what_names_hold(world: Node, client: Client) -> None:
    for name, shown in (("a%20b", "a b"), ("a%2Bb", "a+b"), ("%C3%A4", "ä"), ("a%2fb%2fc", "a/b/c"), ("a:b@c;d=e", "a:b@c;d=e"),
                        ("%F0%9F%94%91", "🔑"), ("a%3fb", "a?b"), ("a%23b", "a#b"), ("...", "..."), ("a..b", "a..b")):
        client.post(f"kv/data/names/{name}", {"data": {"name": shown}}).ok()
        for where in (client, world.main()):
            assert where.get(f"kv/data/names/{name}").ok().data["data"] == {"name": shown}
            keys = where.list("kv/metadata/names").ok().data["keys"]
            assert shown in keys or shown.split("/")[0] + "/" in keys


def test_the_answer_to_a_bad_body_does_not_repeat_it(world: Node) -> None:
    secret = "do-not-repeat-me"
    for body in (b'{"data": {"password": "' + secret.encode(), b'{"data": "' + secret.encode() + b'"}',
                 b'{"options": {"cas": "' + secret.encode() + b'"}, "data": {}}'):
        answer = world.client().ask("POST", "kv/data/a", raw=body)
        assert answer.status == 400
        assert secret not in answer.body.decode()
    assert secret not in world.log_text


def test_bodies_at_the_limits_are_taken(world: Node, client: Client) -> None:
    for body in (_deep(298), json.dumps({"data": {"a": "x" * 1_048_576}}).encode(),
                 json.dumps({"data": {str(n): 1 for n in range(10_000)}}).encode(), json.dumps({"data": {"a": [1] * 10_000}}).encode()):
        for where in (client, world.main()):
            assert where.ask("POST", "kv/data/limits", raw=body).status == 200
    assert client.get("kv/data/limits").ok().data["data"]["a"] == [1] * 10_000


