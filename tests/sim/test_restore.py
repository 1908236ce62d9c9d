"""Snapshots that are put back while clients go on: who was told that it is done finds nothing older anywhere, and nothing is a mixture."""
from collections.abc import Callable
from typing import Any

import pytest

from holdfast.ha.settings import Consistency
from holdfast.node.main import Main
from holdfast.testing.clients import Load
from holdfast.testing.cluster import Options
from holdfast.testing.nemesis import Plan
from holdfast.testing.run import Scenario, run_one

FAULTS = {"restore": 6, "kill": 1, "step down": 1, "slow": 2, "split": 1}
LOAD = Load(reads=20.0, writes=6.0, lookups=4.0)
SCENARIO = Scenario(seconds=25.0, plan=Plan(every_s=1.0, weights=FAULTS), load=LOAD)


@pytest.mark.parametrize("consistency", Consistency)
def test_a_snapshot_is_put_back_whole_or_not_at_all(consistency: Consistency) -> None:
    outcome = run_one(1, Scenario(seconds=25.0, plan=SCENARIO.plan, load=LOAD, options=Options(consistency=consistency)))
    assert outcome.failure is None
    assert outcome.faults["restore"] > 0
    assert outcome.changes > 1


def test_told_too_early_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who puts it back answers before V has passed it: others still read what was there before."""

    async def at_once(main: Main, task: Callable[..., Any]) -> None:
        main.submit_own(task)  # type: ignore[arg-type]

    monkeypatch.setattr(Main, "do_own", at_once)
    scenario = Scenario(seconds=15.0, plan=Plan(every_s=1.0, weights={"restore": 1, "deaf": 2}), load=LOAD)
    failures = (run_one(seed, scenario).failure for seed in range(1, 9))
    assert any("not linearizable" in str(failure) for failure in failures)
