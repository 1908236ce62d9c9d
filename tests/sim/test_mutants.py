"""Every rule of the read leases, broken on purpose, is found; unbroken, under the same faults, nothing is.

`make test` runs those that show within seconds; HOLDFAST_MUTANTS=all all of them.
"""
import os

import pytest

from holdfast.testing.mutants import MUTANTS
from holdfast.testing.run import run_one

SOON = ("waits_for_holders", "asks_the_gate", "grants_the_caught_up", "counts_from_the_ask", "keeps_holders", "no_gate", "no_record",
        "only_voter_at_once")
"""Of rules 1, 2, 3, 5, 8 and 11, and of exactly once."""
WANTED = tuple(MUTANTS) if os.environ.get("HOLDFAST_MUTANTS") == "all" else SOON
SEEDS = range(1, 25)


def test_every_rule_that_can_be_broken_has_a_mutant() -> None:
    assert {mutant.rule for mutant in MUTANTS.values()} == {0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11}


@pytest.mark.parametrize("name", WANTED)
def test_a_broken_rule_is_found(name: str) -> None:
    found = MUTANTS[name].hunt(SEEDS, seconds=30.0)
    assert found is not None, f"rule {MUTANTS[name].rule}, broken, shows in none of {len(SEEDS)} runs"
    assert "may read" in str(found.failure) or "run the lane" in str(found.failure) or "linearizable" in str(found.failure) \
        or name == "awaits_own_term", found.failure


@pytest.mark.parametrize("name", WANTED if len(WANTED) > len(SOON) else ("waits_for_holders",))
def test_unbroken_nothing_is_found(name: str) -> None:
    """The scenario of a mutant, with all rules."""
    scenario = MUTANTS[name].scenario(8.0)
    whole = MUTANTS["no_gate"].scenario(8.0).options.rules
    outcome = run_one(1, type(scenario)(seconds=8.0, plan=scenario.plan, load=scenario.load,
                                        options=type(scenario.options)(nodes=scenario.options.nodes, rules=whole)))
    assert outcome.failure is None
