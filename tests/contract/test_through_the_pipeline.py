"""The engines and the contract engine through `execute`: what only core and engines together can show. Invariant 3."""
import json
from pathlib import Path

import pytest
from tests.contract import world
from tests.contract.engine import CONTRACT, CONTRACT_AUTH
from tests.contract.misbehaviour import MISBEHAVIOURS
from tests.contract.one_node import OneNode

from holdfast.core.outcome import Answer, Commit, Forward, Heavy, Outside
from holdfast.engine import Memo, Method, Place
from holdfast.engine.effect import Monitor, Reload
from holdfast.errors import InvariantError
from holdfast.limits import BATCH_MAX_BYTES

GET, LIST, POST, PATCH, DELETE = Method.GET, Method.LIST, Method.POST, Method.PATCH, Method.DELETE
STOPPED = sorted(how for how in MISBEHAVIOURS if how.startswith("swallow") and how not in ("swallow-heavy", "swallow-outside",
                                                                                           "swallow-effect"))
WRITES_FIRST = ["put-then-raise", "put-then-refuse", "spend-then-raise", "too-many-keys", "too-many-bytes", "returns-nothing",
                "returns-text",
                "recursion", *sorted(how for how in MISBEHAVIOURS if how.startswith("raise-"))]


@pytest.fixture
def node(tmp_path: Path) -> OneNode:
    one = OneNode({"contract/": CONTRACT, "auth/contract/": CONTRACT_AUTH})
    assert one.call(POST, "contract/world", {"folder": str(tmp_path)}).status == 204
    return one


class TestMisbehaviour:
    @pytest.mark.parametrize("how", STOPPED + WRITES_FIRST)
    def test_at_a_worker_it_leaves_whatever_the_engine_makes_of_it(self, node: OneNode, how: str) -> None:
        outcome = node.attempt(node.request(POST, f"contract/misbehave/{how}"), Place.WORKER)
        assert isinstance(outcome, Forward)
        assert outcome.to is Place.ACTIVE

    def test_heavy_outside_and_effects_leave_too(self, node: OneNode) -> None:
        heavy = node.attempt(node.request(POST, "contract/misbehave/swallow-heavy"), Place.WORKER)
        assert isinstance(heavy, Heavy)
        assert isinstance(node.attempt(node.request(POST, "contract/misbehave/swallow-outside"), Place.WORKER), Forward)
        assert isinstance(node.attempt(node.request(POST, "contract/misbehave/swallow-outside"), Place.ACTIVE), Outside)
        effect = node.attempt(node.request(POST, "contract/misbehave/swallow-effect"), Place.WORKER)
        assert isinstance(effect, Forward)
        assert effect.to is Place.MAIN

    @pytest.mark.parametrize("how", [how for how in WRITES_FIRST if how not in ("put-then-refuse", "spend-then-raise", "too-many-bytes")])
    def test_on_the_lane_it_is_a_500_that_changed_nothing(self, node: OneNode, how: str) -> None:
        seen = node.call(POST, f"contract/misbehave/{how}")
        assert (seen.status, dict(seen.changes), seen.effects) == (500, {}, ())
        assert node.keys("core/due/") == ()
        assert len(seen.json["errors"]) == 1

    def test_a_refusal_drops_writes_jobs_and_effects(self, node: OneNode) -> None:
        seen = node.call(POST, "contract/misbehave/put-then-refuse")
        assert (seen.status, dict(seen.changes), seen.effects) == (400, {}, ())

    def test_more_than_a_batch_holds_is_a_clients_doing_and_no_defect(self, node: OneNode) -> None:
        """A patch of a large value, or a large answer that is to be wrapped: told what is too large, not that we broke."""
        seen = node.call(POST, "contract/misbehave/too-many-bytes")
        assert (seen.status, dict(seen.changes), node.defects) == (413, {}, [])
        assert seen.json["errors"] == ["put failed due to value being too large; "
                                       f"got {BATCH_MAX_BYTES + 1} bytes, max: {BATCH_MAX_BYTES} bytes"]

    def test_a_use_outlives_a_break(self, node: OneNode) -> None:
        seen = node.call(POST, "contract/misbehave/spend-then-raise")
        assert seen.status == 500
        assert [key.rpartition("/")[2] for key in seen.changes] == ["spent"]

    @pytest.mark.parametrize("place", [Place.WORKER, Place.ACTIVE])
    @pytest.mark.parametrize("how", ["derive-writes", "derive-spends"])
    def test_a_derived_value_that_writes_stops_the_process(self, node: OneNode, how: str, place: Place) -> None:
        with pytest.raises(InvariantError):
            node.attempt(node.request(POST, f"contract/misbehave/{how}"), place)

    def test_a_derived_value_that_swallows_its_refusal_has_not_written(self, node: OneNode) -> None:
        assert isinstance(node.attempt(node.request(POST, "contract/misbehave/derive-swallows"), Place.ACTIVE), Answer)

    def test_nothing_of_an_error_reaches_the_client(self, node: OneNode) -> None:
        for how in ("raise-key-error", "raise-os-error", "raise-odd"):
            assert node.call(POST, f"contract/misbehave/{how}").json == {"errors": ["internal error"]}
            assert node.defects.pop()[0] == f"contract/misbehave/{how}", "but whoever runs the node is told"
        assert not node.defects


class TestWords:
    def test_a_spend_and_a_refusal_are_one_batch(self, node: OneNode) -> None:
        for how, status, used in (("refuse", 400, 1), ("break", 500, 2), ("ok", 200, 3)):
            seen = node.call(POST, "contract/spend/a", {"how": how})
            assert seen.status == status
            assert any(key.endswith("spent/a") for key in seen.changes)
            assert any(key.endswith("kept/a") for key in seen.changes) is (how == "ok")
            assert node.keys("mount/uuid-contract/spent/") == ("mount/uuid-contract/spent/a",), used

    def test_heavy_computing_is_done_once_and_travels_to_main(self, node: OneNode) -> None:
        request = node.request(POST, "contract/heavy/x", {"write": True})
        first = node.attempt(request, Place.WORKER)
        assert isinstance(first, Heavy)
        second = node.attempt(request, Place.WORKER, Memo().having(first.key, first.compute()))
        assert isinstance(second, Forward)
        assert isinstance(node.attempt(request, Place.ACTIVE, second.memo), Commit)

    def test_memory_of_the_active_node(self, node: OneNode) -> None:
        assert isinstance(node.attempt(node.request(GET, "contract/count"), Place.WORKER), Forward)
        assert [node.call(GET, "contract/count").json["data"]["value"] for _ in range(2)] == ["1", "2"]

    def test_what_is_no_value(self, node: OneNode) -> None:
        raw = node.call(GET, "contract/raw").reply
        assert (raw.status, raw.body, raw.content_type) == (202, b"\x00\x01\x02", "application/octet-stream")
        assert node.call(GET, "contract/stream").effects == (Monitor(level="info"),)
        assert node.call(POST, "contract/effect").effects == (Reload("audit"),)

    def test_jobs_go_on_in_small_batches(self, node: OneNode) -> None:
        assert node.call(POST, "contract/many/2500").status == 204
        assert node.run_due() == 3
        assert len(node.keys("mount/uuid-contract/many/")) == 2500
        node.call(DELETE, "contract/many/2500")
        assert node.run_due() == 3
        assert node.keys("mount/uuid-contract/many/") == ()
        assert node.keys("core/due/") == ()

    def test_a_job_that_raises_is_tried_again_later(self, node: OneNode) -> None:
        node.call(POST, "contract/stumble/2")
        for _ in range(3):
            node.run_due()
            node.now_ms += 3_600_000
        assert node.keys("mount/uuid-contract/stumbled") == ("mount/uuid-contract/stumbled",)
        assert node.keys("core/due/") == ()


class TestLeases:
    def lease(self, node: OneNode, path: str, **query: str) -> str:
        seen = node.call(GET, path, query=query)
        assert seen.status == 200, seen.reply
        assert seen.json["lease_id"].startswith(path + "/")
        return str(seen.json["lease_id"])

    def test_an_outside_call_is_made_once_and_its_undo_is_gone(self, node: OneNode, tmp_path: Path) -> None:
        seen = node.call(GET, "contract/creds/ann", query={"ttl": "60s"})
        assert seen.json["data"] == {"name": "ann", "password": "password of ann"}
        assert (seen.json["lease_duration"], seen.json["renewable"]) == (60, True)
        assert world.calls(tmp_path) == ("create ann",)
        assert not [key for key in node.keys("core/due/") if "/undo/" in key]

    def test_a_lease_that_ends_is_revoked(self, node: OneNode, tmp_path: Path) -> None:
        self.lease(node, "contract/creds/ann", ttl="60s")
        self.lease(node, "contract/token/bob", ttl="60s")
        node.run_due()
        assert world.users(tmp_path) == ("ann",)
        node.now_ms += 61_000
        node.run_due()
        assert world.users(tmp_path) == ()
        assert node.keys("mount/uuid-contract/live/") == ()
        assert node.keys("core/due/") == ()

    def test_a_revocation_that_fails_is_tried_again(self, node: OneNode, tmp_path: Path) -> None:
        self.lease(node, "contract/creds/ann", ttl="60s", revoke="fail-2")
        for _ in range(4):
            node.now_ms += 3_600_000
            node.run_due()
        assert world.calls(tmp_path, "drop") == ("ann",) * 3
        assert world.users(tmp_path) == ()

    def test_a_revocation_that_fails_for_ever_is_given_up(self, node: OneNode, tmp_path: Path) -> None:
        self.lease(node, "contract/creds/ann", ttl="60s", revoke="fail")
        for _ in range(20):
            node.now_ms += 24 * 3_600_000
            node.run_due()
        assert len(world.calls(tmp_path, "drop")) == 6
        assert node.keys("core/due/") == ()

    def test_a_call_that_fails_leaves_nothing(self, node: OneNode, tmp_path: Path) -> None:
        seen = node.call(GET, "contract/creds/ann", query={"create": "fail"})
        assert seen.status == 500
        node.now_ms += 60_000
        node.run_due()
        assert world.users(tmp_path) == ()
        assert [key for key in node.keys("core/due/") if "/undo/" in key] == []

    def test_a_handler_that_refuses_after_its_call_is_undone(self, node: OneNode, tmp_path: Path) -> None:
        seen = node.call(GET, "contract/creds/ann", query={"then": "refuse"})
        assert (seen.status, seen.json["errors"]) == (400, ["refused after the call"])
        node.run_due()
        assert world.calls(tmp_path) == ("create ann", "drop ann")
        assert world.users(tmp_path) == ()


    def test_an_unmounted_engine_still_revokes_what_it_leased(self, node: OneNode, tmp_path: Path) -> None:
        for name in ("ann", "bob", "eve"):
            self.lease(node, f"contract/creds/{name}", revoke="fail-1")
        node.call(POST, "contract/many/1500")
        node.run_due()
        assert node.call(DELETE, "sys/mounts/contract").status == 204
        assert node.call(GET, "contract/creds/new").status == 404
        assert node.call(POST, "sys/mounts/contract", {"type": "contract"}).status == 204
        assert node.call(LIST, "contract/live").status == 404
        for _ in range(3):
            node.run_due()
            node.now_ms += 3_600_000
        assert world.users(tmp_path) == ()
        assert sorted(world.calls(tmp_path, "drop")) == sorted(2 * ("ann", "bob", "eve"))
        assert node.keys("mount/uuid-contract/") == ()
        assert node.keys("core/due/") == ()


class TestLogin:
    def test_userpass(self, node: OneNode) -> None:
        assert node.call(POST, "auth/userpass/users/ann", {"password": "hunter2", "token_ttl": "1h", "token_policies": "dev"}).status == 204
        seen = node.call(POST, "auth/userpass/login/Ann", {"password": "hunter2"}, token=None)
        auth = seen.json["auth"]
        assert (auth["lease_duration"], auth["renewable"], auth["metadata"]) == (3600, True, {"username": "ann"})
        assert auth["policies"] == ["default", "dev"]
        assert node.call(GET, "cubbyhole/x", token=auth["client_token"]).status == 404
        assert node.call(POST, "cubbyhole/x", {"v": 1}, token=auth["client_token"]).status == 204
        assert node.call(GET, "cubbyhole/x", token=auth["client_token"]).json["data"] == {"v": 1}
        assert node.call(GET, "cubbyhole/x").status == 404
        assert node.call(GET, "secret/data/x", token=auth["client_token"]).status == 403

    @pytest.mark.parametrize("name", ["ann", "nobody"])
    def test_five_wrong_passwords_lock_also_the_right_one(self, node: OneNode, name: str) -> None:
        node.call(POST, "auth/userpass/users/ann", {"password": "hunter2"})
        for _ in range(5):
            seen = node.call(POST, f"auth/userpass/login/{name}", {"password": "wrong"}, token=None)
            assert (seen.status, seen.json["errors"]) == (400, ["invalid username or password"])
        assert node.call(POST, f"auth/userpass/login/{name}", {"password": "hunter2"}, token=None).status == 403
        node.now_ms += 16 * 60_000
        node.run_due()
        assert node.call(POST, f"auth/userpass/login/{name}", {"password": "hunter2"}, token=None).status == (200 if name == "ann" else 400)


class TestValues:
    """The shapes on the wire."""

    def test_kv_v2(self, node: OneNode) -> None:
        written = node.call(POST, "secret/data/a", b'{"data":{"n":1.10}}').json
        assert written["data"] == {"created_time": "2023-11-14T22:13:20Z", "custom_metadata": None, "deletion_time": "", "destroyed": False,
                                   "version": 1}
        found = node.call(GET, "secret/data/a")
        assert b'"data":{"data":{"n":1.10},"metadata":{' in found.reply.body
        assert {key: found.json[key] for key in ("lease_id", "renewable", "lease_duration", "wrap_info", "warnings", "auth",
                                                 "mount_type")} == {
            "lease_id": "", "renewable": False, "lease_duration": 0, "wrap_info": None, "warnings": None, "auth": None, "mount_type": "kv"}
        node.call(DELETE, "secret/data/a")
        gone = node.call(GET, "secret/data/a")
        assert (gone.status, gone.json["data"]["data"]) == (404, None)
        assert node.call(GET, "secret/data/none").reply.body.strip() == b'{"errors":[]}'
        elsewhere = node.call(GET, "secret/a")
        assert (elsewhere.status, elsewhere.json["data"]) == (404, None)
        assert elsewhere.json["warnings"][0].startswith("Invalid path for a versioned K/V secrets engine")

    def test_fields_that_nobody_knows_are_named_in_a_warning(self, node: OneNode) -> None:
        seen = node.call(POST, "secret/data/a", {"data": {}, "path": "b", "colour": "red"})
        assert (seen.status, seen.json["warnings"]) == (200, [
            "Endpoint ignored these unrecognized parameters: [colour]",
            "Endpoint replaced the value of these parameters with the values captured from the endpoint's path: [path]"])
        assert node.call(POST, "secret/config", {"max_versions": 5, "colour": "red"}).status == 204     # as in Vault: nothing shows it

    def test_kv_v1(self, node: OneNode) -> None:
        assert node.call(POST, "kv1/a", b'{"n":1.10,"ttl":"5s"}').status == 204
        found = node.call(GET, "kv1/a")
        assert b'"data":{"n":1.10,"ttl":"5s"}' in found.reply.body
        assert (found.json["lease_id"], found.json["lease_duration"], found.json["renewable"]) == ("", 5, False)

    def test_an_upgrade_of_the_mount_moves_nothing(self, node: OneNode) -> None:
        node.call(POST, "kv1/a", b'{"n":1.10}')
        assert node.call(POST, "sys/mounts/kv1/tune", {"options": {"version": "2"}}).status in (200, 204)
        found = node.call(GET, "kv1/data/a")
        assert found.json["data"]["metadata"]["version"] == 1
        assert b'"data":{"n":1.10}' in found.reply.body
        assert node.call(PATCH, "kv1/data/a", {"data": {"m": 1}}, content_type="application/merge-patch+json").status == 200
        assert node.call(LIST, "kv1/metadata/").json["data"] == {"keys": ["a"]}

    def test_a_wrapped_read_stands_in_the_cubbyhole_of_its_token(self, node: OneNode) -> None:
        node.call(POST, "secret/data/a", {"data": {"v": 1}})
        wrap = node.call(GET, "secret/data/a", wrap_ttl_s=60).json["wrap_info"]
        assert wrap["creation_path"] == "secret/data/a"
        kept = node.call(GET, "cubbyhole/response", token=wrap["token"]).json["data"]["response"]
        assert json.loads(kept)["data"]["data"] == {"v": 1}
        assert node.call(GET, "cubbyhole/response", token=wrap["token"]).status == 403
        node.run_due()
        assert node.keys("mount/uuid-cubbyhole/") == ()
