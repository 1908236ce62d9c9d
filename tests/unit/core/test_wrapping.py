"""Response wrapping through the pipeline. Peer bugs 20 and 43; facts of what is wrapped and what is not: Vault, "Response wrapping"."""
import json
import re
from pathlib import Path

import pytest
from tests.unit.core.token_node import DELETE, GET, LIST, POST, TokenNode

from holdfast.core.outcome import Answer, Commit, Forward
from holdfast.engine import Place

INVALID = ["wrapping token is not valid or does not exist"]


@pytest.fixture
def node(tmp_path: Path) -> TokenNode:
    one = TokenNode(tmp_path)
    assert one.post("kv1/a", {"secret": "x", "n": 1.10}).status == 204
    return one


def wrapped(node: TokenNode, path: str = "kv1/a") -> str:
    seen = node.call(GET, path, wrap_ttl_s=300)
    assert seen.status == 200
    return str(seen.json["wrap_info"]["token"])


def test_20_what_a_wrapped_answer_shows(node: TokenNode) -> None:
    request = node.request(GET, "kv1/a", wrap_ttl_s=300)
    assert isinstance(node.attempt(request, Place.WORKER), Forward)
    seen = node.call(GET, "kv1/a", wrap_ttl_s=300)
    body = seen.json
    info = body.pop("wrap_info")
    assert body == {"request_id": "", "lease_id": "", "renewable": False, "lease_duration": 0, "data": None, "warnings": None, "auth": None,
                    "mount_type": ""}
    assert info["token"].startswith("hvs.CAESI")
    assert re.fullmatch("[0-9A-Za-z]{24}", info["accessor"])
    assert (info["ttl"], info["creation_time"], info["creation_path"]) == (300, "2023-11-14T22:13:20Z", "kv1/a")
    assert "wrapped_accessor" not in info


def test_unwrapping_gives_the_answer_once(node: TokenNode) -> None:
    plain = node.call(GET, "kv1/a").json
    token = wrapped(node)
    seen = node.post("sys/wrapping/unwrap", token=token)
    body = seen.json
    assert body["data"] == plain["data"]
    assert b'"n": 1.1' in seen.reply.body or b'"n":1.1' in seen.reply.body
    assert body["request_id"]
    assert body["wrap_info"] is None
    again = node.post("sys/wrapping/unwrap", token=token)
    assert (again.status, again.json["errors"]) == (400, INVALID)
    assert node.lookup(token).status == 403
    assert node.keys("mount/uuid-cubbyhole/") == node.keys("core/due/") == ()


def test_43_once_however_many_ask_at_once(node: TokenNode) -> None:
    token = wrapped(node)
    requests = [node.request(POST, "sys/wrapping/unwrap", {"token": token}) for _ in range(3)]
    requests += [node.request(POST, "sys/wrapping/unwrap", token=token) for _ in range(3)]
    assert all(isinstance(node.attempt(request, Place.WORKER), Forward) for request in requests)
    answers = []
    for request in requests:
        outcome = node.attempt(request, Place.ACTIVE)
        if isinstance(outcome, Commit):
            node._commit(outcome.changes)
        assert isinstance(outcome, Commit | Answer)
        answers.append(outcome.reply.status)
    assert answers == [200, 400, 400, 400, 400, 400]


def test_the_token_may_come_in_the_body(node: TokenNode) -> None:
    token = wrapped(node)
    caller = node.create({"policies": ["default"], "num_uses": 5})
    assert node.post("sys/wrapping/unwrap", {"token": token}, token=caller).json["data"]["secret"] == "x"
    assert node.lookup(caller).json["data"]["num_uses"] == 3
    assert node.post("sys/wrapping/unwrap", {"token": token}, token=caller).json["errors"] == INVALID


def test_who_asks_with_another_token_must_be_allowed_to(node: TokenNode) -> None:
    token = wrapped(node)
    stranger = node.create({"policies": ["nothing"], "no_default_policy": True})
    assert node.post("sys/wrapping/unwrap", {"token": token}, token=stranger).status == 403
    assert node.post("sys/wrapping/unwrap", {"token": token}, token=None).json["errors"] == ["permission denied"]
    assert node.post("sys/wrapping/unwrap", {"token": token}, token="unknown").status == 403
    assert node.post("sys/wrapping/unwrap", {"token": token}, token=token).status == 200


def test_only_wrapping_tokens_unwrap(node: TokenNode) -> None:
    for token in (node.root, node.create({"policies": ["default"]}), "unknown"):
        assert node.post("sys/wrapping/unwrap", token=token).json["errors"] == INVALID
        assert node.post("sys/wrapping/lookup", {"token": token}).json["errors"] == INVALID
    for path in ("lookup", "unwrap", "rewrap"):
        assert node.post(f"sys/wrapping/{path}", token=None).json["errors"] == ["error validating wrapping token: token is empty"]
    nothing = node.post("sys/wrapping/unwrap", {"token": ""})
    assert (nothing.status, nothing.json["errors"]) == (403, ["error validating wrapping token: empty token in request body"])
    jwt = "eyJhbGciOiJFUzUxMiJ9.eyJqdGkiOiJ4In0.c2ln"
    assert node.post("sys/wrapping/unwrap", {"token": jwt}).json["errors"] == ["wrapping tokens in JWT format are not supported"]


def test_a_wrapping_token_is_named_for_who_asked(node: TokenNode) -> None:
    asking = node.create({"policies": ["root"], "display_name": "ci"})
    accessor = node.call(GET, "kv1/a", wrap_ttl_s=300, token=asking).json["wrap_info"]["accessor"]
    assert node.post("auth/token/lookup-accessor", {"accessor": accessor}).json["data"]["display_name"] == "token-ci"


def test_a_wrapping_token_is_good_for_nothing_else(node: TokenNode) -> None:
    token = wrapped(node)
    for method, path in ((GET, "kv1/a"), (POST, "auth/token/create"), (POST, "auth/token/renew-self"), (GET, "sys/mounts")):
        assert node.call(method, path, token=token).status == 403, path
        token = wrapped(node)


def test_it_expires(node: TokenNode) -> None:
    token = wrapped(node)
    node.advance(300)
    assert node.post("sys/wrapping/unwrap", token=token).json["errors"] == INVALID
    assert node.run_due() == 1
    assert node.keys("mount/uuid-cubbyhole/") == node.keys("core/due/") == ()


def test_a_lookup_takes_nothing_and_asks_for_no_token(node: TokenNode) -> None:
    token = wrapped(node)
    expected = {"creation_path": "kv1/a", "creation_time": "2023-11-14T22:13:20Z", "creation_ttl": 300}
    assert node.post("sys/wrapping/lookup", {"token": token}, token=None).json["data"] == expected
    assert node.call(GET, "sys/wrapping/lookup", token=token).json["data"] == expected
    assert node.at_worker(POST, "sys/wrapping/lookup", {"token": token}, token=None) == 200
    assert node.post("sys/wrapping/unwrap", token=token).status == 200


def test_26_one_that_a_worker_does_not_have_yet_is_asked_for_at_the_active_node(node: TokenNode) -> None:
    request = node.request(GET, "kv1/a", wrap_ttl_s=60)
    outcome = node.attempt(request, Place.ACTIVE)
    assert isinstance(outcome, Commit)
    token = json.loads(outcome.reply.body)["wrap_info"]["token"]
    assert node.at_worker(POST, "sys/wrapping/lookup", {"token": token}, token=None) is None
    assert node.at_worker(POST, "sys/wrapping/lookup", token=token) is None


def test_rewrapping(node: TokenNode) -> None:
    token = wrapped(node)
    node.advance(200)
    seen = node.post("sys/wrapping/rewrap", {"token": token})
    info = seen.json["wrap_info"]
    assert (info["ttl"], info["creation_path"], info["creation_time"]) == (300, "kv1/a", "2023-11-14T22:16:40Z")
    assert node.post("sys/wrapping/unwrap", token=token).json["errors"] == INVALID
    node.advance(200)
    assert node.post("sys/wrapping/unwrap", token=info["token"]).json["data"]["secret"] == "x"


def test_wrapping_data_of_ones_own(node: TokenNode) -> None:
    assert node.post("sys/wrapping/wrap", {"a": 1}).json["errors"] == ["endpoint requires response wrapping to be used"]
    token = node.post("sys/wrapping/wrap", b'{"a": 1.10, "b": [1]}', wrap_ttl_s=60).json["wrap_info"]["token"]
    seen = node.post("sys/wrapping/unwrap", token=token)
    assert b'"data":{"a": 1.10, "b": [1]}' in seen.reply.body.replace(b'"data": ', b'"data":')


def test_a_login_is_wrapped_with_the_accessor_of_its_token(node: TokenNode) -> None:
    seen = node.post("auth/contract/login/bob", {"policies": "default"}, token=None, wrap_ttl_s=60)
    info = seen.json["wrap_info"]
    assert seen.json["auth"] is None
    auth = node.post("sys/wrapping/unwrap", token=info["token"]).json["auth"]
    assert auth["accessor"] == info["wrapped_accessor"]
    assert node.lookup(auth["client_token"]).status == 200


def test_a_lease_is_wrapped_with_its_id(node: TokenNode) -> None:
    token = node.post("contract/token/a", {}, wrap_ttl_s=60).json["wrap_info"]["token"]
    body = node.post("sys/wrapping/unwrap", token=token).json
    assert body["lease_id"].startswith("contract/token/a/")
    assert node.post("sys/leases/lookup", {"lease_id": body["lease_id"]}).status == 200


def test_what_is_not_wrapped(node: TokenNode) -> None:
    written = node.post("kv1/b", {"x": 1}, wrap_ttl_s=60)
    assert (written.status, written.reply.body) == (204, b"")
    assert node.call(GET, "kv1/none", wrap_ttl_s=60).status == 404
    assert node.call(LIST, "kv1/none/", wrap_ttl_s=60).status == 404
    assert node.call(DELETE, "kv1/b", wrap_ttl_s=60).status == 204
    assert len(node.keys("core/token/id/")) == 1


def test_a_404_that_says_something_is_wrapped_and_comes_out_as_one(node: TokenNode) -> None:
    """Vault's client takes a 404 of an unwrapping for a wrapped one."""
    node.post("secret/data/a", {"data": {"x": 1}})
    node.call(DELETE, "secret/data/a")
    for path, method in (("secret/data/a", GET), ("secret/a", POST)):
        plain = node.call(method, path)
        seen = node.call(method, path, wrap_ttl_s=60)
        assert (plain.status, seen.status, seen.json["data"], seen.json["warnings"]) == (404, 200, None, None)
        again = node.post("sys/wrapping/rewrap", {"token": seen.json["wrap_info"]["token"]}).json["wrap_info"]["token"]
        found = node.post("sys/wrapping/unwrap", token=again)
        assert (found.status, found.json["data"], found.json["warnings"]) == (404, plain.json["data"], plain.json["warnings"])


def test_the_old_way_of_reading_it(node: TokenNode) -> None:
    token = wrapped(node)
    body = node.call(GET, "cubbyhole/response", token=token).json
    assert json.loads(body["data"]["response"])["data"]["secret"] == "x"
    assert node.post("sys/wrapping/unwrap", token=token).json["errors"] == INVALID
