"""What is refused for ever, a path that is nobody's, keeps nothing of the requests that asked for it."""
import gc
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.contract.one_node import FACTS as ACTIVE_FACTS
from tests.contract.one_node import OneNode
from tests.unit.core.lane_node import FACTS, NOW_MS, LaneNode

from holdfast.core.outcome import Answer, Forward
from holdfast.core.pipeline import execute
from holdfast.crypto import AesGcmBarrier, Secret
from holdfast.engine import NOTHING_YET, ActiveMemory, Attempt, Method, Place, Rng, Txn
from holdfast.ids import Index
from holdfast.replica import Derived, Reads, Run, Why
from holdfast.replica.lmdb import LmdbReplica
from holdfast.storage import WriteBatch

READERS = 8


@pytest.mark.parametrize(("method", "path", "status"), [
    (Method.GET, "nobody/s", 404), (Method.GET, "secret/nothing/here", 404), (Method.DELETE, "secret/config", 405)])
def test_a_refusal_holds_no_state_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: Method, path: str, status: int) -> None:
    """Each attempt reads in a slot of the replica's, of which there are only so many. The collector of cycles comes too late for them."""
    monkeypatch.setattr("holdfast.replica.lmdb_file.REPLICA_READERS_MAX", READERS)
    node = LaneNode()
    replica = LmdbReplica(tmp_path / "replica", writable=True)
    replica.apply([WriteBatch(index=Index(1), time_ms=NOW_MS, changes=dict(node.replica.values()))])
    derived, barrier = Derived(100), AesGcmBarrier(node.opened.keyring)
    gc.disable()
    try:
        for number in range(3 * READERS):
            reader = replica.open()
            derived.catch_up(reader)
            txn = Txn(Run(reader, barrier, Place.WORKER, derived, Reads()))
            outcome = execute(node.access, node.request(method, path, id=f"r{number}"), Attempt(
                txn=txn, now_ms=NOW_MS, rng=Rng(lambda: b"s" * 32), facts=FACTS, has_lease=True, active=ActiveMemory(), memo=NOTHING_YET))
            reader.close()
            assert isinstance(outcome, Answer)
            assert outcome.reply.status == status, outcome.reply.body
            del reader, txn, outcome
    finally:
        gc.enable()
        replica.close()


@pytest.mark.parametrize("token", [None, Secret(b"hvs.of-nobody")])
def test_who_has_no_token_fills_no_cache_with_paths(token: Secret | None) -> None:
    node = LaneNode()
    derived, barrier = Derived(1_000), AesGcmBarrier(node.opened.keyring)
    kept = []
    for number in range(5):
        reader = node.replica.open()
        derived.catch_up(reader)
        attempt = Attempt(txn=Txn(Run(reader, barrier, Place.WORKER, derived, Reads())), now_ms=NOW_MS, rng=Rng(lambda: b"s" * 32),
                          facts=FACTS, has_lease=True, active=ActiveMemory(), memo=NOTHING_YET)
        outcome = execute(node.access, replace(node.request(Method.GET, f"secret/data/{number}"), token=token), attempt)
        assert isinstance(outcome, Answer)
        assert outcome.reply.status == 403
        kept.append(len(derived.young))
    assert kept[1:] == kept[:1] * 4


LAGGING = replace(ACTIVE_FACTS, is_active=False, performance_standby=True, may_lag=True)


@pytest.mark.parametrize(("method", "path", "token", "status"), [
    (Method.GET, "secret/data/a", "hvs.of-nobody", None),            # it may have been made since
    (Method.POST, "secret/data/a", "hvs.of-nobody", None),
    (Method.POST, "auth/token/lookup-accessor", "", None),           # as may its accessor
    (Method.GET, "secret/data/a", "", 404),                          # what it has is what is read here
    (Method.LIST, "secret/metadata/", "", 404),
    (Method.POST, "sys/seal", "hvs.of-nobody", 403)])                # another node would seal itself
def test_a_standby_that_may_lag_refuses_for_good_only_what_is_read(method: Method, path: str, token: str, status: int | None) -> None:
    node = OneNode()
    request = node.request(method, path, {} if method is Method.POST else None, token=token)
    node.facts = LAGGING
    for place in (Place.WORKER, Place.MAIN):
        outcome = node.attempt(request, place)
        if status is None:
            assert isinstance(outcome, Forward)
            assert (outcome.to, outcome.why) == (Place.ACTIVE, Why.SESSION)
        else:
            assert isinstance(outcome, Answer)
            assert outcome.reply.status == status
    for facts, place in ((replace(LAGGING, may_lag=False), Place.WORKER), (ACTIVE_FACTS, Place.ACTIVE)):
        node.facts = facts
        assert isinstance(node.attempt(request, place), Answer)
