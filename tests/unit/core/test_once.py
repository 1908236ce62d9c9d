"""Forwarded writes run exactly once, whatever becomes of the active node between the run and the answer."""
import json
from random import Random

import pytest
from msgspec.structs import replace
from tests.unit.core.lane_node import FACTS, LaneNode, key_of

from holdfast.core import once
from holdfast.core.lane import Lane
from holdfast.core.once import Once
from holdfast.core.outcome import Commit, Do
from holdfast.crypto import AesGcmBarrier, Secret
from holdfast.engine import Method, Origin, Place, RaftFacts, RaftMember, Reply, Request, Txn, WriteId
from holdfast.engine.effect import AwaitRevoked, ChangeMembership, StepDown
from holdfast.ids import NodeId
from holdfast.limits import ONCE_ENDED_AT_ONCE, ONCE_REPLY_MAX_BYTES
from holdfast.replica import Derived, Reads, Run


@pytest.fixture
def node() -> LaneNode:
    return LaneNode()


def test_a_retry_at_a_successor_finds_the_answer_and_runs_nothing(node: LaneNode) -> None:
    request = node.put("a", {"n": 1})
    node.run(request, node.origin(request, 1))
    node.append()                                        # durable; the node dies before it has answered
    node.take_over()
    before = node.index
    reply = node.finish(request, node.origin(request, 1))
    assert reply.status == 200
    assert json.loads(reply.body)["data"]["version"] == 1
    assert [name for name, _ in reply.headers] == ["X-Vault-Index"]
    assert node.index == before, "nothing was written"
    assert node.versions("a") == 1


def test_a_retry_gets_the_very_bytes_of_the_first_answer(node: LaneNode) -> None:
    request = node.put("a", {"n": 1})
    first = node.finish(request, node.origin(request, 1))
    assert node.finish(request, node.origin(request, 1)) == first
    node.take_over()
    assert node.finish(request, node.origin(request, 1)) == first


def test_what_was_not_durable_runs_at_the_successor(node: LaneNode) -> None:
    request = node.put("a", {"n": 1})
    node.run(request, node.origin(request, 1))
    node.take_over()
    assert node.finish(request, node.origin(request, 1)).status == 200
    assert node.versions("a") == 1


def test_a_retry_while_the_first_is_on_its_way_waits_with_it(node: LaneNode) -> None:
    request = node.put("a", {"n": 1})
    node.run(request, node.origin(request, 1))
    node.run(request, node.origin(request, 1))
    assert node.release() == ()
    node.append()
    replies = [ready.outcome.reply for ready in node.release()]  # type: ignore[union-attr]
    assert len(replies) == 2
    assert replies[0] == replies[1]
    assert node.versions("a") == 1


def test_a_refusal_that_spends_nothing_is_run_again(node: LaneNode) -> None:
    request = node.put("a", {"n": 1}, cas=7)
    assert node.finish(request, node.origin(request, 1)).status == 400
    assert node.records() == []


def test_a_check_and_set_that_was_done_is_not_refused_when_it_comes_again(node: LaneNode) -> None:
    request = node.put("a", {"n": 1}, cas=0)
    first = node.finish(request, node.origin(request, 1))
    node.take_over()
    assert node.finish(request, node.origin(request, 1)) == first, "not 400: check-and-set parameter did not match"


def test_another_request_under_the_same_id_is_refused(node: LaneNode) -> None:
    request, other = node.put("a", {"n": 1}), node.put("a", {"n": 2})
    node.finish(request, node.origin(request, 1))
    reply = node.finish(other, node.origin(other, 1))
    assert reply.status == 409
    assert b"the id of another one" in reply.body
    assert node.versions("a") == 1


def test_who_has_another_key_learns_nothing(node: LaneNode) -> None:
    request = node.put("a", {"n": 1})
    origin = node.origin(request, 1)
    node.finish(request, origin)
    forged = Origin(id=origin.id, digest=origin.digest, floor=1, reply_key=Secret(b"another".ljust(32)))
    assert node.finish(request, forged).status == 409


def test_the_store_does_not_hold_the_answer(node: LaneNode) -> None:
    """With every key of the barrier, the record is still sealed."""
    request = node.request(Method.POST, "auth/token/create", {})
    reply = node.finish(request, node.origin(request, 1))
    token = json.loads(reply.body)["auth"]["client_token"].encode()
    reader, barrier = node.replica.open(), AesGcmBarrier(node.opened.keyring)
    for name in node.records():
        sealed = reader.get(name)
        assert sealed is not None
        opened = barrier.decrypt(name, sealed)
        assert token not in opened
        assert token[-12:] not in opened
    assert key_of("b", 1).value not in b"".join(node.replica.values().values())


def test_an_answer_that_is_too_large_is_told_of_not_kept(node: LaneNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(once, "ONCE_REPLY_MAX_BYTES", 100)
    request = node.put("a", {"n": 1})
    first = node.finish(request, node.origin(request, 1))
    assert first.status == 200
    reply = node.finish(request, node.origin(request, 1))
    assert reply.status == 409
    assert json.loads(reply.body)["errors"] == [once.COMMITTED.format(len(first.body))]
    assert node.versions("a") == 1


def test_the_bound_of_a_kept_answer_is_exact() -> None:
    node = LaneNode()
    request = node.put("a", {"n": 1})
    node.run(request, node.origin(request, 1))
    origin = node.origin(request, 2)
    for size, kept in ((ONCE_REPLY_MAX_BYTES, True), (ONCE_REPLY_MAX_BYTES + 1, False)):
        made = Once()
        assert made.find(node.lane._txn, origin) is None
        changes = made.record(origin, Reply(status=200, body=bytes(size)), lambda: node.draw(12))
        value = changes[once.key(origin)]
        assert value is not None
        assert (len(value) > size) is kept


def test_below_the_floor_nothing_is_run(node: LaneNode) -> None:
    old, new = node.put("a", {"n": 1}), node.put("b", {"n": 1})
    node.finish(new, node.origin(new, 5, floor=5))
    reply = node.finish(old, node.origin(old, 4, floor=1))
    assert reply.status == 409
    assert node.versions("a") == 0


def test_an_earlier_run_of_the_forwarder_is_refused(node: LaneNode) -> None:
    old, new = node.put("a", {"n": 1}), node.put("b", {"n": 1})
    node.finish(new, node.origin(new, 1, incarnation=2))
    assert node.finish(old, node.origin(old, 9, incarnation=1)).status == 409
    node.take_over()                                     # also where only the store knows of the later one
    assert node.finish(old, node.origin(old, 9, incarnation=1)).status == 409
    assert node.versions("a") == 0


def test_a_run_of_the_forwarder_that_left_no_record_bars_nobody(node: LaneNode) -> None:
    """A node that joined again, its clock behind, knew of those before it by their records alone: each of its writes was refused."""
    nothing, write = node.put("a", {"n": 1}, cas=7), node.put("a", {"n": 1})
    assert node.finish(nothing, node.origin(nothing, 9, floor=9, incarnation=3)).status == 400
    assert node.finish(write, node.origin(write, 1, incarnation=2)).status == 200
    assert node.finish(nothing, node.origin(nothing, 8, incarnation=3)).status == 409, "what it has told still counts"
    assert node.finish(write, node.origin(write, 10, incarnation=3)).status == 200
    assert node.finish(write, node.origin(write, 2, incarnation=2)).status == 409, "the newest that left a record"
    assert node.versions("a") == 2


def test_records_below_the_floor_go_a_few_at_a_time(node: LaneNode) -> None:
    count = 3 * ONCE_ENDED_AT_ONCE
    for sequence in range(1, count + 1):
        request = node.put("a", {"n": sequence})
        node.finish(request, node.origin(request, sequence, floor=1))
    assert len(node.records()) == count
    left = count
    for step in range(1, 5):
        request = node.put("a", {"n": step})
        node.run(request, node.origin(request, count + step, floor=count + step))
        (batch,) = node.append()
        gone = [key for key, value in batch.changes.items() if value is None and key.startswith(once.PREFIX)]
        assert len(gone) <= ONCE_ENDED_AT_ONCE
        left += 1 - len(gone)
        assert len(node.records()) == left
        node.release()
    assert node.records() == [once.key(node.origin(request, count + 4))], "all but the last"


def test_a_successor_finds_and_removes_what_earlier_terms_and_incarnations_left(node: LaneNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(once, "ONCE_SCAN_MAX", 4)
    for incarnation in (1, 2):
        for sequence in range(1, 7):
            request = node.put("a", {"n": sequence})
            node.finish(request, node.origin(request, sequence, incarnation=incarnation))
            node.take_over()
    other = node.put("b", {})
    node.finish(other, node.origin(other, 1, node="c/1"))
    for sequence in range(7, 14):
        request = node.put("a", {"n": sequence})
        node.finish(request, node.origin(request, sequence, incarnation=2, floor=sequence))
    last = node.origin(request, 13, incarnation=2)
    assert node.records() == [once.key(last), "core/once/c%2F1/0000000000000001/0000000000000001"]


def test_after_an_append_that_failed_the_records_are_looked_up_again(node: LaneNode) -> None:
    first, second, third = (node.put(name, {"n": 1}) for name in "abc")
    node.finish(first, node.origin(first, 1))
    node.run(second, node.origin(second, 2))
    node.lane.take_group()
    assert len(node.lane.abandon(node.index)) == 1
    assert node.finish(first, node.origin(first, 1)).status == 200
    node.finish(second, node.origin(second, 2))
    node.finish(third, node.origin(third, 3, floor=3))
    assert node.records() == [once.key(node.origin(third, 3))]
    assert [node.versions(name) for name in "abc"] == [1, 1, 1]


def test_a_write_of_this_nodes_own_leaves_no_record(node: LaneNode) -> None:
    assert node.finish(node.put("a", {"n": 1})).status == 200
    assert node.records() == []


def deliver_through_crashes(node: LaneNode, random: Random, count: int) -> list[str]:
    """Writes, each to a path of its own, sent again and again until an answer arrives; the active node dies wherever it likes."""
    acknowledged: list[str] = []
    for sequence in range(1, count + 1):
        request = node.put(f"w{sequence}", {"n": sequence})
        while True:
            node.run(request, node.origin(request, sequence, floor=sequence))
            if random.random() < 0.3:
                node.take_over()                         # before it was durable
                continue
            node.append()
            if random.random() < 0.3:
                node.take_over()                         # durable, and not answered
                continue
            reply = node.release()[-1].outcome.reply  # type: ignore[union-attr]
            assert reply.status == 200, reply.body
            if random.random() < 0.7:                    # else the answer is lost on its way
                break
        acknowledged.append(f"w{sequence}")
    return acknowledged


def test_killed_between_durable_and_answer_each_write_is_done_once() -> None:
    node = LaneNode()
    acknowledged = deliver_through_crashes(node, Random(1), 150)
    assert [node.versions(path) for path in acknowledged] == [1] * 150


def test_without_the_record_a_write_is_done_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    find = Once.find
    monkeypatch.setattr(Once, "find", lambda self, txn, origin: find(self, txn, origin) and None)
    node = LaneNode()
    acknowledged = deliver_through_crashes(node, Random(1), 30)
    assert max(node.versions(path) for path in acknowledged) > 1


def test_the_lane_gives_the_record_the_reply_that_the_client_sees(node: LaneNode) -> None:
    """Its header names the batch that the record itself is in."""
    request: Request = node.put("a", {"n": 1})
    first = node.finish(request, node.origin(request, 1))
    assert isinstance(node.lane, Lane)
    again = node.finish(request, node.origin(request, 1))
    assert dict(again.headers)["X-Vault-Index"] == dict(first.headers)["X-Vault-Index"]


def test_the_waiting_of_a_write_is_done_again_by_who_finds_its_record(node: LaneNode) -> None:
    """The node died between the batch and its effect: the successor must not say 204 before all is revoked."""
    request = node.request(Method.POST, "sys/leases/revoke-prefix/database/creds", {"sync": True})
    first = node.outcome(request, node.origin(request, 1))
    assert isinstance(first, Do)
    assert isinstance(first.effect, AwaitRevoked)
    node.take_over()
    before = node.index
    again = node.outcome(request, node.origin(request, 1))
    assert isinstance(again, Commit)
    assert (again.effects, again.reply.status) == ((first.effect,), 204)
    assert node.index == before, "nothing was revoked again"


def test_a_change_of_members_is_done_again_by_who_finds_its_record(node: LaneNode) -> None:
    request = node.request(Method.POST, "sys/storage/raft/remove-peer", {"server_id": "n3"})
    node.facts = replace(FACTS, storage_type="raft", raft=RaftFacts(leader=NodeId("n1"), members=(
        RaftMember(id=NodeId("n3"), raft_id=33, address="c:8201", voter=True),)))
    node.finish(request, node.origin(request, 1))
    node.take_over()
    again = node.outcome(request, node.origin(request, 1))
    assert isinstance(again, Commit)
    assert again.effects == (ChangeMembership(node=NodeId("n3"), raft_id=33, change="remove"),)


def test_a_step_down_that_comes_again_does_not_put_the_successor_out_of_its_place(node: LaneNode) -> None:
    request = node.request(Method.POST, "sys/step-down")
    node.facts = replace(FACTS, ha_enabled=True)
    first = node.outcome(request, node.origin(request, 1))
    assert isinstance(first, Commit)
    assert first.effects == (StepDown(),)
    node.take_over()
    again = node.outcome(request, node.origin(request, 1))
    assert isinstance(again, Commit)
    assert (again.effects, again.reply.status) == ((), 204)


def test_an_effect_that_this_version_does_not_know_is_passed_over() -> None:
    """Of a record of a version after this one."""
    origin = Origin(id=WriteId(node=NodeId("b"), incarnation=1, sequence=1), digest=b"d", floor=1, reply_key=Secret(b"k" * 32))
    found = once._answer("name", once.Record(b"d", b"", 7, (("Dance", b"\x80"),)), origin)
    assert (found.effects, found.reply.status) == ((), 409)


def test_the_newest_incarnation_that_left_a_record(node: LaneNode) -> None:
    """A node that joins again under its old name asks for it: what it forwards must come after."""
    request = node.put("a", {"n": 1})
    for incarnation in (3, 300, 16):
        node.take_over()                                 # who has not heard of those before
        node.run(request, node.origin(request, 1, incarnation=incarnation))
        node.append()
    txn = Txn(Run(node.replica.open(), AesGcmBarrier(node.opened.keyring), Place.MAIN, Derived(10), Reads()))
    assert once.newest_incarnation(txn, NodeId("b")) == 300
    assert once.newest_incarnation(txn, NodeId("another")) == 0
