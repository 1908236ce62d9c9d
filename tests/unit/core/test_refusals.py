"""What is refused for ever, a path that is nobody's, keeps nothing of the requests that asked for it."""
import gc
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.unit.core.lane_node import FACTS, NOW_MS, LaneNode

from holdfast.core.outcome import Answer
from holdfast.core.pipeline import execute
from holdfast.crypto import AesGcmBarrier, Secret
from holdfast.engine import NOTHING_YET, ActiveMemory, Attempt, Method, Place, Rng, Txn
from holdfast.ids import Index
from holdfast.replica import Derived, Reads, Run
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
