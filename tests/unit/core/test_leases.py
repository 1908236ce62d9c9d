"""Leases: lent, looked up, renewed, revoked by engines that fail or hang. Peer bugs 21, 22 and 37."""
from pathlib import Path

import pytest
from tests.contract import world
from tests.contract.one_node import Seen
from tests.unit.core.token_node import DELETE, GET, LIST, POST, TokenNode

from holdfast.core import due, leases
from holdfast.core.due import Kind
from holdfast.core.lease_store import LEASES, LeaseEntry
from holdfast.core.outcome import Forward, Outside
from holdfast.engine import Memo, Place
from holdfast.engine.effect import AwaitRevoked
from holdfast.ids import Index, Millis
from holdfast.limits import JOB_KEYS_MAX, LEASE_ATTEMPTS_MAX

GONE = ["invalid lease"]


@pytest.fixture
def node(tmp_path: Path) -> TokenNode:
    one = TokenNode(tmp_path)
    one.policy("lender", 'path "contract/*" { capabilities = ["update"] }\npath "auth/token/create" { capabilities = ["update"] }')
    return one


def lend(node: TokenNode, name: str = "a", *, token: str = "", **how: object) -> str:
    """A leased secret without an outside; gives the lease's id."""
    seen = node.post(f"contract/token/{name}", {"ttl": "1h", **how}, token=token)
    assert seen.status == 200, seen.reply.body
    return str(seen.json["lease_id"])


def lookup(node: TokenNode, lease: str) -> Seen:
    return node.post("sys/leases/lookup", {"lease_id": lease})


def waits_for(seen: Seen) -> AwaitRevoked:
    effect, = seen.effects
    assert isinstance(effect, AwaitRevoked)
    return effect


def live(node: TokenNode) -> int:
    return len(node.keys("mount/uuid-contract/live/"))


class TestLending:
    def test_the_answer_and_the_lookup(self, node: TokenNode) -> None:
        seen = node.post("contract/token/a", {"ttl": "1h"})
        assert (seen.json["lease_duration"], seen.json["renewable"]) == (3600, True)
        id = seen.json["lease_id"]
        assert id.startswith("contract/token/a/")
        node.advance(10)
        assert lookup(node, id).json["data"] == {
            "expire_time": "2023-11-14T23:13:20Z", "id": id, "issue_time": "2023-11-14T22:13:20Z", "last_renewal": None,
            "renewable": True, "ttl": 3590}

    def test_the_mount_s_maximum_cuts_and_says_so(self, node: TokenNode) -> None:
        seen = node.post("contract/token/a", {"ttl": "1000h"})
        assert seen.json["lease_duration"] == 768 * 3600
        assert "exceeded the effective max_ttl" in seen.json["warnings"][0]

    def test_a_worker_lends_nothing(self, node: TokenNode) -> None:
        assert isinstance(node.attempt(node.request(POST, "contract/token/a", {}), Place.WORKER), Forward)
        assert isinstance(node.attempt(node.request(POST, "contract/creds/a", {}), Place.WORKER), Forward)

    def test_the_last_use_of_a_token_borrows_nothing(self, node: TokenNode, tmp_path: Path) -> None:
        token = node.create({"policies": ["lender"], "num_uses": 1})
        seen = node.post("contract/creds/a", {}, token=token)
        assert seen.status == 400
        assert seen.json["errors"] == ["Secret cannot be returned; token had one use left, so leased credentials were immediately revoked."]
        node.advance(60)
        node.run_due()
        assert world.users(tmp_path) == ()
        assert node.keys("core/lease/") == node.keys("core/due/") == ()

    def test_a_batch_token_borrows_no_longer_than_it_lives(self, node: TokenNode) -> None:
        parent = node.create({"policies": ["lender"]})
        batch = node.create({"type": "batch", "ttl": "10m"}, token=parent)
        seen = node.post("contract/token/a", {"ttl": "1h"}, token=batch)
        assert seen.json["lease_duration"] == 600
        node.post("auth/token/revoke", {"token": parent})
        assert lookup(node, seen.json["lease_id"]).json["errors"] == GONE
        node.run_due()
        assert live(node) == 0

    def test_21_a_use_and_an_undo_are_durable_before_the_call(self, node: TokenNode, tmp_path: Path) -> None:
        token = node.create({"policies": ["lender"], "num_uses": 2})
        request = node.request(POST, "contract/creds/a", {}, token=token)
        outcome = node.attempt(request, Place.ACTIVE)
        assert isinstance(outcome, Outside)
        assert [due.read(key).kind for key in outcome.changes if key.startswith("core/due/")] == [Kind.UNDO]
        assert any(key.startswith("core/token/id/") for key in outcome.changes)
        assert world.calls(tmp_path) == ()


class TestRenewing:
    def test_it_lives_on_from_now(self, node: TokenNode) -> None:
        id = lend(node)
        node.advance(1800)
        seen = node.post("sys/leases/renew", {"lease_id": id, "increment": "2h"})
        assert (seen.json["lease_id"], seen.json["lease_duration"], seen.json["data"]) == (id, 7200, None)
        node.advance(3600)
        assert node.run_due() == 0
        data = lookup(node, id).json["data"]
        assert (data["ttl"], data["last_renewal"]) == (3600, "2023-11-14T22:43:20Z")

    @pytest.mark.parametrize("path", ["sys/leases/renew", "sys/renew"])
    def test_22_by_any_of_its_paths(self, node: TokenNode, path: str) -> None:
        id = lend(node)
        assert node.call(POST, f"{path}/{id}", {}).json["lease_id"] == id
        assert node.call(POST, path, {"lease_id": id}).json["lease_id"] == id
        assert isinstance(node.attempt(node.request(POST, path, {"lease_id": id}), Place.WORKER), Forward)

    def test_never_past_the_batch_token_that_it_was_lent_to(self, node: TokenNode) -> None:
        batch = node.create({"type": "batch", "ttl": "10m", "policies": ["lender"]})
        id = lend(node, token=batch, ttl="1m")
        node.advance(30)
        assert node.post("sys/leases/renew", {"lease_id": id, "increment": "5m"}).json["lease_duration"] == 300
        assert node.post("sys/leases/renew", {"lease_id": id, "increment": "1h"}).json["lease_duration"] == 570
        node.advance(570)
        assert lookup(node, id).json["errors"] == GONE
        node.run_due()
        assert live(node) == 0

    def test_a_token_is_not_renewed_as_a_lease(self, node: TokenNode) -> None:
        node.create({"policies": ["lender"], "ttl": "1h"})
        name, = node.call(LIST, "sys/leases/lookup/auth/token/create/").json["data"]["keys"]
        seen = node.post("sys/leases/renew", {"lease_id": f"auth/token/create/{name}"})
        assert (seen.status, seen.json["errors"]) == (400, ["tokens cannot be renewed through this endpoint"])

    def test_never_past_the_maximum_since_it_was_lent(self, node: TokenNode) -> None:
        id = lend(node, max_ttl="90m")
        node.advance(3000)
        # Renewing a secret of this engine gives no maximum of its own, so the mount's counts.
        assert node.post("sys/leases/renew", {"lease_id": id, "increment": "1h"}).json["lease_duration"] == 3600

    def test_the_engine_is_asked(self, node: TokenNode, tmp_path: Path) -> None:
        id = node.post("contract/creds/a", {"ttl": "1h", "max_ttl": "2h"}).json["lease_id"]
        assert node.post("sys/leases/renew", {"lease_id": id, "increment": "9h"}).json["lease_duration"] == 7200
        assert world.calls(tmp_path, "extend") == ("a",)
        refusing = node.post("contract/creds/b", {"renew": "fail"}).json["lease_id"]
        assert node.post("sys/leases/renew", {"lease_id": refusing}).status == 500

    def test_what_cannot_be_renewed(self, node: TokenNode) -> None:
        fixed = lend(node, renewable=False)
        assert node.post("sys/leases/renew", {"lease_id": fixed}).json["errors"] == ["lease is not renewable"]
        assert node.post("sys/leases/renew", {"lease_id": "a/b"}).json["errors"] == ["lease not found"]
        assert node.post("sys/leases/renew", {}).json["errors"] == ["lease_id must be specified"]


class TestRevoking:
    @pytest.mark.parametrize("path", ["sys/leases/revoke", "sys/revoke"])
    def test_22_dead_when_answered_and_gone_soon_after(self, node: TokenNode, path: str) -> None:
        for in_path in (False, True):
            id = lend(node)
            seen = node.post(f"{path}/{id}", {"sync": False}) if in_path else node.post(path, {"lease_id": id, "sync": False})
            assert seen.status == 202
            assert lookup(node, id).json["errors"] == GONE
            assert live(node) == 1
            node.run_due()
            assert live(node) == 0
        assert node.keys("core/lease/") == node.keys("core/due/") == ()

    @pytest.mark.parametrize("body", [{}, {"sync": True}])
    def test_it_is_done_when_answered(self, node: TokenNode, tmp_path: Path, body: dict[str, bool]) -> None:
        id = node.post("contract/creds/a", {}).json["lease_id"]
        assert node.post("sys/leases/revoke", {"lease_id": id, **body}).status == 204
        assert world.users(tmp_path) == ()
        assert node.keys("core/lease/") == node.keys("core/due/") == ()

    def test_it_says_what_went_wrong_and_keeps_the_lease(self, node: TokenNode, tmp_path: Path) -> None:
        id = node.post("contract/creds/a", {"revoke": "fail"}).json["lease_id"]
        seen = node.post("sys/leases/revoke", {"lease_id": id})
        assert (seen.status, seen.json["errors"]) == (400, ["failed to revoke entry: drop a: refused"])
        assert lookup(node, id).status == 200
        assert world.users(tmp_path) == ("a",)

    def test_of_what_is_not_there_nothing_is_said(self, node: TokenNode) -> None:
        seen = node.post("sys/leases/revoke", {"lease_id": "contract/token/a/none"})
        assert (seen.status, dict(seen.changes)) == (204, {})
        assert node.post("sys/leases/revoke", {"lease_id": "contract/token/a/none", "sync": False}).status == 202

    def test_a_failure_is_tried_six_times_each_later_than_the_last(self, node: TokenNode, tmp_path: Path) -> None:
        id = node.post("contract/creds/a", {"ttl": "1h", "revoke": "fail"}).json["lease_id"]
        node.advance(3600)
        waits = []
        for attempt in range(1, LEASE_ATTEMPTS_MAX + 1):
            node.run_due()
            assert len(world.calls(tmp_path, "drop")) == attempt
            head = due.next_due(node.txn(), Millis(node.now_ms), 1)
            if head.next_ms is not None:
                waits.append((head.next_ms - node.now_ms) // 1000)
                node.now_ms = head.next_ms
        assert waits == [10, 20, 40, 80, 160]
        assert node.keys("core/due/") == ()
        data = lookup(node, id).json["data"]
        assert (data["revoke_error"], data["renewable"]) == ("drop a: refused", False)
        listed = node.call(GET, "sys/leases", query={"type": "irrevocable"}).json["data"]
        accessor = node.call(GET, "sys/mounts/contract").json["data"]["accessor"]
        assert listed == {"lease_count": 1, "leases": [{"lease_id": id, "mount_id": accessor, "error": "drop a: refused"}]}
        counted = node.call(GET, "sys/leases/count", query={"type": "Irrevocable"}).json["data"]
        assert counted == {"lease_count": 1, "counts": {accessor: 1}}

    def test_the_list_of_what_cannot_be_revoked_ends_where_it_is_told_to(self, node: TokenNode) -> None:
        for name in ("a", "b"):
            node.post(f"contract/creds/{name}", {"ttl": "1s", "revoke": "fail"})
        for _ in range(LEASE_ATTEMPTS_MAX):
            node.advance(1_000)
            node.run_due()

        def listed(limit: str) -> Seen:
            return node.call(GET, "sys/leases", query={"type": "irrevocable", "limit": limit})

        one = listed("1").json
        assert (one["data"]["lease_count"], len(one["data"]["leases"]), len(one["warnings"])) == (1, 1, 1)
        for limit in ("", "none", "2", "9" * 30):
            assert (listed(limit).json["data"]["lease_count"], listed(limit).json["warnings"]) == (2, None)
        for limit in ("0", "-1", "x", "1.5"):
            assert listed(limit).json["errors"] == ["limit must be 'none' or a positive integer"]

    @pytest.mark.parametrize("path", ["sys/leases", "sys/leases/count"])
    def test_only_of_those_there_are_lists(self, node: TokenNode, path: str) -> None:
        for query in ({}, {"type": "revocable"}):
            seen = node.call(GET, path, query=query)
            assert (seen.status, seen.json) == (404, {"errors": []})

    def test_what_an_engine_cannot_revoke_an_operator_can_ask_for_again(self, node: TokenNode, tmp_path: Path) -> None:
        id = node.post("contract/creds/a", {"ttl": "1s", "revoke": f"fail-{LEASE_ATTEMPTS_MAX}"}).json["lease_id"]
        for _ in range(LEASE_ATTEMPTS_MAX):
            node.advance(1_000)
            node.run_due()
        assert lookup(node, id).json["data"]["revoke_error"]
        assert node.post("sys/leases/revoke", {"lease_id": id, "sync": False}).status == 202
        node.run_due()
        assert world.users(tmp_path) == ()
        assert node.keys("core/lease/") == node.keys("core/due/") == ()


class TestPrefixes:
    def test_all_below_are_dead_at_once(self, node: TokenNode) -> None:
        inside = [lend(node, f"team-{n}") for n in range(30)]
        token = node.create({"policies": ["lender"]})
        other = lend(node, "elsewhere", token=token)
        seen = node.post("sys/leases/revoke-prefix/contract/token/team-7", {"sync": False})
        assert (seen.status, len(seen.changes)) == (202, 2)
        assert [lookup(node, id).status for id in inside] == [400 if n == 7 else 200 for n in range(30)]
        assert node.post("sys/revoke-prefix/contract", {"sync": False}).status == 202
        assert {lookup(node, id).status for id in (*inside, other)} == {400}
        later = lend(node, "team-7")
        node.run_due()
        assert lookup(node, later).status == 200
        assert live(node) == 1
        assert node.keys("core/mark/") == ()

    def test_tokens_of_logins_are_below_their_paths(self, node: TokenNode) -> None:
        token = node.post("auth/contract/login/bob", {"policies": "lender"}, token=None).json["auth"]["client_token"]
        id = lend(node, token=token)
        other = node.post("auth/contract/login/eve", {}, token=None).json["auth"]["client_token"]
        assert node.post("sys/leases/revoke-prefix/auth/contract/login/bob", {"sync": False}).status == 202
        assert (node.is_alive(token), node.is_alive(other), node.is_alive(node.root)) == (False, True, True)
        assert lookup(node, id).json["errors"] == GONE
        node.run_due()
        assert live(node) == 0
        assert node.is_alive(other)

    def test_one_lease_may_be_named_as_a_prefix(self, node: TokenNode) -> None:
        id = lend(node)
        assert node.post(f"sys/leases/revoke-prefix/{id}", {"sync": False}).status == 202
        assert lookup(node, id).json["errors"] == GONE

    def test_one_lease_may_be_forced(self, node: TokenNode, tmp_path: Path) -> None:
        id = node.post("contract/creds/a", {"revoke": "fail"}).json["lease_id"]
        node.post(f"sys/leases/revoke-force/{id}")
        node.run_due()
        assert node.keys("core/lease/") == node.keys("core/due/") == ()

    def test_the_answer_waits_until_each_engine_was_asked(self, node: TokenNode) -> None:
        for name in ("a", "b", "c"):
            lend(node, name)
        failing = node.post("contract/creds/d", {"revoke": "fail"}).json["lease_id"]
        awaited = waits_for(node.post("sys/leases/revoke-prefix/contract"))
        later = lend(node, "b")
        steps = []
        while not (found := leases.progress(node.txn(), awaited, leases.NOT_BEGUN)).done:
            steps.append(found)
            node._do(due.next_due(node.txn(), Millis(node.now_ms), 1).due[0].key, Memo())
        assert steps
        assert found.failed == failing
        assert live(node) == 1
        assert lookup(node, later).status == 200, "what was lent since is not waited for"

    def test_many_are_looked_at_in_small_steps(self, node: TokenNode) -> None:
        txn = node.txn()
        for n in range(250):
            txn.put(f"core/lease/id/contract/token/a/{n:05}", _encoded(node))
        node._commit(txn.changes())
        awaited = waits_for(node.post("sys/leases/revoke-prefix/contract"))
        txn, found, steps = node.txn(), leases.NOT_BEGUN, 0
        assert leases.progress(txn, awaited, found) is found
        for mark in node.keys("core/mark/"):
            txn.delete(mark)
        node._commit(txn.changes())
        while not found.done:
            found, steps = leases.progress(node.txn(), awaited, found), steps + 1
        assert steps == 3, "these are not being revoked, so they are passed over"

    def test_force_drops_what_the_engine_cannot_revoke(self, node: TokenNode, tmp_path: Path) -> None:
        id = node.post("contract/creds/a", {"revoke": "fail"}).json["lease_id"]
        waits_for(node.post("sys/leases/revoke-force/contract/creds"))
        assert lookup(node, id).json["errors"] == GONE
        node.run_due()
        assert node.keys("core/lease/") == node.keys("core/due/") == ()
        assert world.calls(tmp_path, "drop") == ("a",)

    def test_force_ends_what_was_given_up(self, node: TokenNode) -> None:
        node.post("contract/creds/a", {"ttl": "1s", "revoke": "fail"})
        for _ in range(LEASE_ATTEMPTS_MAX):
            node.advance(1_000)
            node.run_due()
        assert node.keys("core/lease/irrevocable/")
        waits_for(node.post("sys/leases/revoke-force/contract"))
        node.run_due()
        assert node.keys("core/lease/") == node.keys("core/due/") == ()

    def test_many_go_in_small_batches(self, node: TokenNode) -> None:
        txn = node.txn()
        for n in range(1_000):
            txn.put(f"core/lease/id/contract/token/a/{n:05}", _encoded(node))
        node._commit(txn.changes())
        node.post("sys/leases/revoke-prefix/contract")
        sizes = []
        while head := due.next_due(node.txn(), Millis(node.now_ms), 1).due:
            before = node.replica.index
            node._do(head[0].key, Memo())
            sizes.append(len(node.replica.names_between(Index(before), node.replica.index) or ()))
        assert max(sizes) <= JOB_KEYS_MAX
        assert node.keys("core/lease/") == ()

    @pytest.mark.parametrize("path", ["sys/leases/revoke-prefix/", "sys/leases/revoke-force/"])
    def test_they_need_sudo_and_a_prefix(self, node: TokenNode, path: str) -> None:
        node.policy("plain", f'path "{path}*" {{ capabilities = ["update"] }}')
        assert node.post(path + "contract", token=node.create({"policies": ["plain"]})).status == 403


class TestListing:
    def test_folder_by_folder(self, node: TokenNode) -> None:
        id = lend(node)
        name = id.rpartition("/")[2]
        assert node.call(LIST, "sys/leases/lookup/contract").json["data"]["keys"] == ["token/"]
        assert node.call(LIST, "sys/leases/lookup/contract/token/a/").json["data"]["keys"] == [name]
        assert node.call(LIST, "sys/leases/lookup").json["data"]["keys"] == ["contract/"]
        assert node.call(LIST, "sys/leases/lookup/none").status == 404

    def test_tokens_that_expire_have_lease_ids_too(self, node: TokenNode) -> None:
        token = node.post("auth/contract/login/bob", {"ttl": "1h"}, token=None).json["auth"]["client_token"]
        name, = node.call(LIST, "sys/leases/lookup/auth/contract/login/bob").json["data"]["keys"]
        data = lookup(node, f"auth/contract/login/bob/{name}").json["data"]
        assert data["ttl"] == 3600
        assert node.post("sys/leases/revoke", {"lease_id": f"auth/contract/login/bob/{name}"}).status == 204
        assert not node.is_alive(token)


class TestUnmounting:
    def test_the_old_engine_revokes_what_it_lent(self, node: TokenNode, tmp_path: Path) -> None:
        id = node.post("contract/creds/a", {"revoke": "fail-1"}).json["lease_id"]
        assert node.call(DELETE, "sys/mounts/contract").status == 204
        assert lookup(node, id).json["errors"] == GONE
        for _ in range(20):
            node.run_due()
            node.advance(10)
        assert world.users(tmp_path) == ()
        assert node.keys("core/lease/") == node.keys("core/due/") == node.keys("mount/uuid-contract/") == ()


def test_37_a_mount_that_hangs_holds_up_no_other(node: TokenNode) -> None:
    """The head of the queue shows other mounts' entries, however many of a busy one stand before them."""
    txn = node.txn()
    for n in range(3_000):
        due.put(txn, node.now_ms - 10_000 + n, Kind.LEASE, f"uuid-hangs/contract/creds/a/{n}")
    mine = due.put(txn, node.now_ms, Kind.TOKEN, "f" * 64)
    node._commit(txn.changes())
    head = due.next_due(node.txn(), Millis(node.now_ms), 10)
    assert {entry.share for entry in head.due} == {"uuid-hangs"}
    after, found = "", []
    for _ in range(3):
        head = due.next_due(node.txn(), Millis(node.now_ms), 10, busy={"uuid-hangs"}, after=after)
        found += [entry.key for entry in head.due]
        after = head.after
        if not after:
            break
    assert found == [mine]


def _encoded(node: TokenNode) -> bytes:
    lease = LeaseEntry(mount="uuid-contract", mount_path="contract/", path="contract/token/a", kind="token", record=b"x", token="",
                       issued_ms=Millis(node.now_ms), expires_ms=Millis(node.now_ms + 1), due_ms=Millis(node.now_ms + 1), index=Index(1))
    txn = node.txn()
    LEASES.put(txn, "one", lease)
    value = txn.changes()["core/lease/id/one"]
    assert value is not None
    return value
