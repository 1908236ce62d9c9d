"""Members of one raft log under faults: one batch an index, one fence a term, no two holds at once, fates that stay what they were."""
import pytest

from holdfast.testing.nemesis import WEIGHTS, Plan
from holdfast.testing.raft_cluster import run_members


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_three_members(seed: int) -> None:
    outcome = run_members(seed, seconds=40)
    assert outcome.fences > 1
    assert outcome.appends > 500


def test_five_members_and_faults_one_upon_the_other() -> None:
    outcome = run_members(101, seconds=30, count=5, plan=Plan(every_s=0.5, bursts=0.5))
    assert outcome.fences > 3


def test_every_kind_of_fault_befalls_somebody() -> None:
    outcome = run_members(7, seconds=60, plan=Plan(every_s=0.25))
    assert set(outcome.faults) == set(WEIGHTS)
