"""Every rule of the read leases, broken on purpose, is found; unbroken, under the same faults, nothing is."""
import pytest

from holdfast.testing.mutants import MUTANTS
from holdfast.testing.run import run_one

SEEDS = range(1, 25)


def test_every_rule_that_can_be_broken_has_a_mutant() -> None:
    assert {mutant.rule for mutant in MUTANTS.values()} == {0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_broken_rule_is_found(name: str) -> None:
    found = MUTANTS[name].hunt(SEEDS, seconds=30.0)
    assert found is not None, f"rule {MUTANTS[name].rule}, broken, shows in none of {len(SEEDS)} runs"
    assert "may read" in str(found.failure) or "run the lane" in str(found.failure) or "linearizable" in str(found.failure) \
        or name == "awaits_own_term", found.failure


@pytest.mark.parametrize("name", MUTANTS)
def test_unbroken_nothing_is_found(name: str) -> None:
    """The scenario of a mutant, with all rules."""
    scenario = MUTANTS[name].scenario(8.0)
    whole = MUTANTS["no_gate"].scenario(8.0).options.rules
    outcome = run_one(1, type(scenario)(seconds=8.0, plan=scenario.plan, load=scenario.load,
                                        options=type(scenario.options)(nodes=scenario.options.nodes, rules=whole)))
    assert outcome.failure is None
