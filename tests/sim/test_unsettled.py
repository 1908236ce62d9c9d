"""The fate of an append that nobody can tell: raft stopped, or a snapshot took the place of the entry. What was in it may have happened."""
from holdfast.ids import Index
from holdfast.storage import Unsettled
from holdfast.storage.raft import RaftLog
from holdfast.testing.clients import Load
from holdfast.testing.nemesis import Plan
from holdfast.testing.run import Scenario, run_one

FAULTS = {"cut off": 3, "split": 3, "stop": 1, "kill": 1}
SCENARIO = Scenario(seconds=40.0, plan=Plan(every_s=1.0, bursts=0.2, at_leader=0.9, weights=FAULTS),
                    load=Load(reads=10.0, writes=20.0, lookups=3.0))


def test_what_nobody_can_tell_is_done_once_at_most() -> None:
    """Every fate, here. Forwarded writes are asked for again, under their ids; the active node's own clients hear that it is not known."""
    told: list[bool] = []

    class Forgets(RaftLog):
        async def fate(self, index: Index) -> bool:
            told.append(await super().fate(index))
            raise Unsettled("forgotten")

    outcome = run_one(3, SCENARIO, Forgets)
    assert outcome.failure is None
    assert outcome.statuses["write 200"] > 500
    assert {True, False} <= set(told), "one that was durable, and one that was not"
