"""Tokens on the lane itself, with the real barrier: what is on its way counts, and what never became durable does not. Invariant 2."""
import hashlib
import json
from typing import Any

import pytest

from holdfast import system
from holdfast.core import bootstrap, due, token_format
from holdfast.core.access import Access
from holdfast.core.lane import Due, Lane, Task, Work
from holdfast.core.mounts import Defaults
from holdfast.core.outcome import Answer, Commit
from holdfast.core.secret_names import load_names, token_name
from holdfast.crypto import AesGcmBarrier, Secret, new_shamir_cluster
from holdfast.engine import Client, Method, NodeFacts, Place, Request, Rng, Txn
from holdfast.ids import Index, Millis, RequestId
from holdfast.replica import Derived, Reads, Run
from holdfast.secrets import CUBBYHOLE
from holdfast.testing.memory import MemoryReplica

NOW = Millis(1_700_000_000_000)
FACTS = NodeFacts(initialized=True, sealed=False, is_active=True)


class LaneNode:
    """A lane over a replica in memory. Nothing is durable before `append`."""

    def __init__(self) -> None:
        self._drawn = 0
        self.now_ms = NOW
        cluster = new_shamir_cluster(shares=1, threshold=1, draw=self._draw, now_ms=NOW)
        self.barrier = AesGcmBarrier(cluster.opened.keyring)
        self.replica = MemoryReplica()
        self.access = Access((CUBBYHOLE,), system.build, Defaults(), lambda kind, options: "")
        txn = self.txn(Place.ACTIVE)
        self.root = bootstrap.write_first_state(txn, Rng(lambda: self._draw(32)), NOW).value.decode()
        self.replica.write({key: None if value is None else self.barrier.encrypt(key, value, nonce=self._draw(12))
                            for key, value in txn.changes().items()}, time_ms=NOW)
        self.lane = Lane(self.access, cluster.opened, None, derived=Derived(1_000), nonce=lambda: self._draw(12), time_ms=NOW)

    def _draw(self, size: int) -> bytes:
        self._drawn += 1
        return hashlib.shake_256(str(self._drawn).encode()).digest(size)

    def txn(self, place: Place) -> Txn:
        return Txn(Run(self.replica.open(), self.barrier, place, Derived(100), Reads()))

    def run(self, task: Task) -> Answer | Commit:
        work = Work(task=task, rng=Rng(lambda: self._draw(32)))
        reader = self.replica.open()
        outcome = self.lane.run(work, reader, FACTS, now_ms=self.now_ms)
        assert isinstance(outcome, Answer | Commit)
        self.lane.accept(work, outcome)
        return outcome

    def call(self, method: Method, path: str, body: object = None, *, token: str = "") -> Answer | Commit:
        raw = b"" if body is None else json.dumps(body).encode()
        return self.run(Request(id=RequestId(f"r{self._drawn}"), method=method, path=path, body=raw,
                                token=Secret((token or self.root).encode()), client=Client(address="127.0.0.1")))

    def create(self, body: object, *, token: str = "") -> str:
        outcome = self.call(Method.POST, "auth/token/create", body, token=token)
        assert outcome.reply.status == 200, outcome.reply.body
        auth: Any = json.loads(outcome.reply.body)["auth"]
        return str(auth["client_token"])

    def is_alive(self, token: str) -> bool:
        return self.call(Method.GET, "auth/token/lookup-self", token=token).reply.status == 200

    def append(self) -> int:
        """Makes all that is on its way durable; gives how many batches that were."""
        count = 0
        while group := self.lane.take_group():
            count += len(group)
            self.replica.apply(group)
            self.lane.applied(group[-1].index)
            self.lane.release(group[-1].index)
        return count


@pytest.fixture
def node() -> LaneNode:
    return LaneNode()


def test_what_is_on_its_way_counts(node: LaneNode) -> None:
    parent = node.create({"policies": ["root"], "ttl": "1h"})
    child = node.create({"ttl": "1h"}, token=parent)
    assert node.is_alive(child)
    node.call(Method.POST, "auth/token/revoke", {"token": parent})
    assert not node.is_alive(child)
    assert node.append() == 3
    assert not node.is_alive(child)


def test_a_token_names_its_own_batch_however_many_are_on_their_way(node: LaneNode) -> None:
    signer = node.txn(Place.WORKER).derive(load_names).index
    first = node.replica.index
    tokens = [node.create({"ttl": "1h"}) for _ in range(3)]
    assert [token_format.index_of(token.encode(), signer) for token in tokens] == [Index(first + n) for n in (1, 2, 3)]
    node.append()
    for n, token in enumerate(tokens, start=1):
        names = node.replica.names_between(Index(first + n - 1), Index(first + n))
        assert names is not None
        assert "core/token/id/" + token_name(node.txn(Place.WORKER), token) in names


def test_what_never_became_durable_was_never_there(node: LaneNode) -> None:
    kept = node.create({"policies": ["root"], "ttl": "1h"})
    node.append()
    node.call(Method.POST, "auth/token/revoke", {"token": kept})
    lost = node.create({"ttl": "1h"})
    assert (node.is_alive(kept), node.is_alive(lost)) == (False, True)
    node.lane.abandon(node.replica.index)
    assert (node.is_alive(kept), node.is_alive(lost)) == (True, False)


def test_a_use_is_spent_once_for_each_request_in_their_order(node: LaneNode) -> None:
    token = node.create({"policies": ["root"], "ttl": "1h", "num_uses": 3})
    statuses = [node.call(Method.GET, "auth/token/lookup-self", token=token).reply.status for _ in range(5)]
    assert statuses == [200, 200, 200, 403, 403]
    node.append()
    assert not node.is_alive(token)


def test_the_due_queue_is_worked_off_over_batches_on_their_way(node: LaneNode) -> None:
    parent = node.create({"policies": ["root"], "ttl": "1h"})
    for _ in range(20):
        node.create({"ttl": "2h"}, token=parent)
    node.append()
    node.now_ms = Millis(NOW + 3_600_000)
    steps = 0
    while head := due.next_due(node.txn(Place.MAIN), node.now_ms, 5).due:
        for entry in head:                                   # the same entry may be asked for twice before it is applied
            node.run(Due(entry.key))
            node.run(Due(entry.key))
        node.append()
        steps += 1
        assert steps < 10
    keys = list(node.replica.open().keys("core/token/id/"))
    assert len(keys) == 1


def test_no_token_and_no_accessor_stands_in_a_batch_in_plain(node: LaneNode) -> None:
    canary = node.create({"ttl": "1h", "meta": {"a": "CANARY-META"}})
    group = node.lane.take_group()
    for batch in group:
        for key, value in batch.changes.items():
            assert canary not in key
            assert canary.encode() not in (value or b"")
            assert b"CANARY-META" not in (value or b"")
