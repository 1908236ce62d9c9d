"""Whole clusters under faults. Every answer is judged: see `holdfast.testing.run`. `make sim` runs others for as long as it is told."""
import pytest
from msgspec.structs import replace

from holdfast.testing.nemesis import Plan
from holdfast.testing.run import ALL_WEIGHTS, Scenario, busy_of, run_one


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_nothing_is_lost_doubled_or_stale(seed: int) -> None:
    outcome = run_one(seed, replace(busy_of(seed), seconds=15.0))
    assert outcome.failure is None, f"{outcome.failure}\nagain: make sim SEED={seed}"
    assert outcome.reads > 300
    assert sum(outcome.faults.values()) > 3


def refused(statuses: dict[str, int]) -> list[str]:
    return [status for status in statuses if status.endswith((" 500", " 503", " 0"))]


def test_a_calm_day_refuses_nobody() -> None:
    """Without faults there is one change of the active node, the first, and no client sees an error."""
    outcome = run_one(1, Scenario(seconds=8.0, plan=Plan(weights={"drift": 1})))
    assert outcome.failure is None
    assert outcome.changes == 1
    assert refused(dict(outcome.statuses)) == []
    assert outcome.longest_gap_s < 1.5


def test_a_step_down_loses_no_request() -> None:
    outcome = run_one(2, Scenario(seconds=12.0, plan=Plan(every_s=1.0, bursts=0.0, at_leader=1.0, weights={"step down": 1})))
    assert outcome.failure is None
    assert outcome.changes > 5
    assert refused(dict(outcome.statuses)) == []


def test_every_kind_of_fault_befalls_somebody() -> None:
    plan = Plan(every_s=0.4, weights=ALL_WEIGHTS)
    outcome = run_one(4, Scenario(seconds=45.0, plan=plan))
    assert outcome.failure is None
    assert set(outcome.faults) == set(ALL_WEIGHTS)
