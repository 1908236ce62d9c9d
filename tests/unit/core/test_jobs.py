"""Steps of the due queue and calls to the outside: the three batches, undo, failures, repetition. Peer bugs 21 and 50."""
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace
from tests.contract import world
from tests.contract.engine import Cred
from tests.unit.core.token_node import DELETE, POST, TokenNode

from holdfast.core import due, jobs
from holdfast.core.due import Kind
from holdfast.core.outcome import Answer, Commit, Outcome, Outside
from holdfast.core.router import SYSTEM
from holdfast.engine import Context, Engine, Input, Job, Memo, Place, Response, Route, Txn, on
from holdfast.ids import Millis, RequestId
from holdfast.limits import BATCH_CHANGES_MAX, JOB_RETRY_MAX_MS, UNDO_MARGIN_MS
from holdfast.replica import Abandoned, OutsideCall

WITHIN_MS = 2_000


@pytest.fixture
def node(tmp_path: Path) -> TokenNode:
    one = TokenNode(tmp_path)
    one.policy("lender", 'path "contract/*" { capabilities = ["update"] }')
    return one


def queued(node: TokenNode) -> list[due.Due]:
    return [due.read(key) for key in node.keys("core/due/")]


def step(node: TokenNode, key: str, memo: Memo | None = None) -> Outcome:
    return jobs.execute(node.access, key, node._attempt(Place.ACTIVE, RequestId(key), memo or Memo()))


class TestTheThreeBatches:
    def test_the_undo_is_due_when_the_call_can_no_longer_be_under_way(self, node: TokenNode) -> None:
        outcome = node.attempt(node.request(POST, "contract/creds/a", {"within_ms": WITHIN_MS}), Place.ACTIVE)
        assert isinstance(outcome, Outside)
        entry, = (due.read(key) for key in outcome.changes)
        assert (entry.kind, entry.share, entry.key) == (Kind.UNDO, "uuid-contract", outcome.undo_key)
        assert entry.at_ms == node.now_ms + WITHIN_MS + UNDO_MARGIN_MS
        assert outcome.within_ms == WITHIN_MS

    def test_what_the_handler_wrote_before_its_call_is_not_kept(self, node: TokenNode) -> None:
        attempt = node._attempt(Place.ACTIVE, RequestId("r"), Memo())
        attempt.txn.put("written", b"1")
        attempt.txn.spend("spent", b"2")
        outcome = jobs.outside(attempt.txn, OutsideCall(b"k", lambda: None, None, 100), attempt, None, ())
        assert outcome.changes == {"spent": b"2"}
        assert outcome.undo_key == ""

    def test_a_second_call_of_a_request_waits_with_the_undo_of_the_first(self, node: TokenNode, tmp_path: Path) -> None:
        first = node.attempt(node.request(POST, "contract/creds/a", {}), Place.ACTIVE)
        assert isinstance(first, Outside)
        node._commit(first.changes)
        first.call()
        node.advance(1)
        attempt = node._attempt(Place.ACTIVE, RequestId("r"), Memo(spent=True, undo_key=first.undo_key))
        attempt.txn.run.stop = call = OutsideCall(b"k", lambda: None, Job(kind="drop-user", record=_drop("b")), 5_000)
        mount = replace(SYSTEM, uuid="uuid-contract")
        second = jobs.outside(attempt.txn, call, attempt, mount, ())
        node._commit(second.changes)
        entry, = queued(node)
        assert (entry.key, entry.at_ms) == (second.undo_key, node.now_ms + 5_000 + UNDO_MARGIN_MS)
        node.now_ms = entry.at_ms
        node.run_due()
        assert world.calls(tmp_path, "drop") == ("b", "a")           # what was done last is undone first
        assert node.keys("core/due/") == ()

    def test_50_a_node_that_died_in_between_is_undone_by_its_successor(self, node: TokenNode, tmp_path: Path) -> None:
        outcome = node.attempt(node.request(POST, "contract/creds/a", {}), Place.ACTIVE)
        assert isinstance(outcome, Outside)
        node._commit(outcome.changes)
        outcome.call()                                       # the call was made, and the node died
        assert world.users(tmp_path) == ("a",)
        assert node.run_due() == 0
        node.advance((WITHIN_MS + UNDO_MARGIN_MS) / 1000)
        node.run_due()
        assert world.users(tmp_path) == ()
        assert node.keys("core/due/") == ()

    def test_50_a_request_that_comes_back_after_its_undo_has_run_gets_nothing(self, node: TokenNode, tmp_path: Path) -> None:
        request = node.request(POST, "contract/creds/a", {})
        outcome = node.attempt(request, Place.ACTIVE)
        assert isinstance(outcome, Outside)
        node._commit(outcome.changes)
        password = outcome.call()
        node.advance(60)
        node.run_due()
        late = node.attempt(request, Place.ACTIVE, Memo(results={outcome.key: password}, spent=True, undo_key=outcome.undo_key))
        assert isinstance(late, Answer)
        assert late.reply.status == 500
        assert world.users(tmp_path) == ()
        assert node.keys("core/lease/") == ()

    def test_a_call_that_fails_is_undone_at_once(self, node: TokenNode, tmp_path: Path) -> None:
        seen = node.post("contract/creds/a", {"create": "fail"})
        assert seen.status == 500
        entry, = queued(node)
        assert (entry.kind, entry.at_ms) == (Kind.UNDO, node.now_ms)
        node.run_due()
        assert world.calls(tmp_path) == ("create a", "drop a")
        assert node.keys("core/due/") == node.keys("core/lease/") == ()

    def test_an_undo_that_fails_is_tried_until_it_works(self, node: TokenNode, tmp_path: Path) -> None:
        assert node.post("contract/creds/a", {"then": "refuse", "undo": "fail-3"}).status == 400
        for _ in range(5):
            node.run_due()
            node.advance(10)
        assert world.users(tmp_path) == ()
        assert world.calls(tmp_path, "drop") == ("a",) * 4
        assert node.keys("core/due/") == ()

    def test_the_last_use_of_a_token_lasts_for_the_whole_request(self, node: TokenNode, tmp_path: Path) -> None:
        token = node.create({"policies": ["lender"], "num_uses": 1})
        seen = node.post("contract/call/a", {}, token=token)
        assert seen.status == 200
        assert node.post("contract/call/a", {}, token=token).status == 403
        node.advance(WITHIN_MS / 1000 + UNDO_MARGIN_MS / 1000)
        node.run_due()
        assert len(node.keys("core/token/id/")) == 1
        assert node.keys("core/due/") == ()


class TestSteps:
    def test_one_that_was_done_already_does_nothing(self, node: TokenNode) -> None:
        node.create({"ttl": "1h"})
        node.advance(3600)
        key, = node.keys("core/due/")
        first = step(node, key)
        assert isinstance(first, Commit)
        node._commit(first.changes)
        assert isinstance(step(node, key), Answer)

    def test_one_that_is_not_due_yet_does_nothing(self, node: TokenNode) -> None:
        node.create({"ttl": "1h"})
        key, = node.keys("core/due/")
        assert isinstance(step(node, key), Answer)

    def test_a_step_that_is_repeated_over_the_same_state_is_the_same(self, node: TokenNode) -> None:
        parent = node.create({"policies": ["lender"]})
        node.post("contract/token/a", {}, token=parent)
        node.post("auth/token/revoke", {"token": parent})
        key = node.keys("core/due/")[0]
        one, other = step(node, key), step(node, key)
        assert isinstance(one, Commit)
        assert isinstance(other, Commit)
        assert one.changes == other.changes

    def test_a_job_that_raises_waits_longer_each_time(self, node: TokenNode) -> None:
        node.post("contract/stumble/20", {})
        waits = []
        for _ in range(12):
            entry, = queued(node)
            node.now_ms = max(entry.at_ms, node.now_ms)
            node.run_due()
            waits.append(queued(node)[0].at_ms - node.now_ms)
        assert waits[:4] == [10_000, 20_000, 40_000, 80_000]
        assert waits[-1] == JOB_RETRY_MAX_MS

    def test_a_job_of_a_mount_that_is_gone_is_gone(self, node: TokenNode) -> None:
        node.post("contract/stumble/1000", {})
        node.call(DELETE, "sys/mounts/contract")
        for _ in range(30):
            node.advance(3_600)
            node.run_due()
        assert node.keys("core/due/") == node.keys("mount/uuid-contract/") == ()

    def test_a_step_that_calls_out_takes_no_time_on_the_lane(self, node: TokenNode) -> None:
        node.post("contract/creds/a", {"ttl": "1s"})
        node.advance(1)
        key, = node.keys("core/due/")
        outcome = step(node, key)
        assert isinstance(outcome, Outside)
        assert outcome.changes == {}

    def test_the_head_is_found_by_kind_and_time(self, node: TokenNode) -> None:
        node.create({"ttl": "1h"})
        node.create({"ttl": "2h"})
        head = due.next_due(node.txn(), Millis(node.now_ms), 5)
        assert head.due == ()
        assert head.next_ms == node.now_ms + 3_600_000


def _drop(name: str) -> bytes:
    return msgspec.json.encode(Cred(name=name, revoke="ok", renew="ok", ttl_s=0, max_ttl_s=0))


class Begin(Input, frozen=True):
    kind: str


def _begin(txn: Txn, args: Begin, ctx: Context) -> Response:
    """Queue a job of this kind."""
    ctx.job(Job(kind=args.kind, record=b""))
    return Response()


def _exits(txn: Txn, job: Job, ctx: Context) -> None:
    txn.put("left", b"x")
    raise SystemExit(1)


def _abandons(txn: Txn, job: Job, ctx: Context) -> None:
    txn.put("left", b"x")
    raise Abandoned


def _too_much(txn: Txn, job: Job, ctx: Context) -> None:
    for number in range(BATCH_CHANGES_MAX + 1):
        txn.put(f"left/{number}", b"x")


def _swallows(txn: Txn, job: Job, ctx: Context) -> None:
    """What an engine makes of being stopped does not count: the step goes on with the result."""
    try:
        ctx.heavy(len, b"123")
    except BaseException:  # noqa: BLE001 — an engine that knows no better
        return
    txn.put("done", b"3")


ODD = Engine(type="odd", routes=(Route("begin/:kind", "Begins a job.", {POST: on(Begin, _begin)}),),
             jobs={"exits": _exits, "abandons": _abandons, "too-much": _too_much, "swallows": _swallows})


class TestOddEngines:
    @pytest.mark.parametrize("kind", ["exits", "abandons", "too-much", "unknown"])
    def test_a_step_that_breaks_leaves_nothing_but_its_next_time(self, kind: str) -> None:
        node = TokenNode(None, {"odd/": ODD})
        assert node.post(f"odd/begin/{kind}").status == 204
        node.run_due()
        assert node.keys("mount/uuid-odd/") == ()
        entry, = queued(node)
        assert (entry.kind, entry.at_ms) == (Kind.JOB, node.now_ms + 10_000)

    def test_a_step_that_swallows_its_stop_is_stopped_all_the_same(self) -> None:
        node = TokenNode(None, {"odd/": ODD})
        node.post("odd/begin/swallows")
        node.run_due()
        assert len(node.keys("mount/uuid-odd/done")) == 1
        assert queued(node) == []
