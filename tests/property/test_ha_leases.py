"""Reads stay linearizable whatever happens, and each rule is needed: with one left out, a wrong read is found. Invariant 14."""
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from tests.property.ha_world import WEIGHTS, Broken, World, walk

from holdfast.ha.effect import LetRead
from holdfast.ha.rules import RULES, Rules
from holdfast.ha.standby import Standby

SEEDS_MAX = 3_000
"""A mutant that none of so many histories finds is one that this test cannot tell from the real thing."""

# What makes the histories that a rule is there for likely.
STEPPING_DOWN: dict[str, float] = {"step_down": 2, "end_the_lane": 12, "elect": 12, "apply": 14, "commit": 8, "advance": 3}
RARE_ROUNDS: dict[str, float] = {"round": 1, "elect": 12, "advance": 4, "apply": 14, "commit": 8, "restart": 0, "step_down": 0}
RELEASING: dict[str, float] = {"break_audit": 3, "deliver": 6, "flow": 2}
CUTTING: dict[str, float] = {"cut": 3}
LATE_MESSAGES: dict[str, float] = {"deliver": 5, "flow": 2}
MUTANTS = [
    pytest.param("waits_for_holders", {}, id="rule_1"),
    pytest.param("asks_the_gate", {}, id="rule_2"),
    pytest.param("caps_by_the_hold", RARE_ROUNDS, id="rule_3_cap"),
    pytest.param("grants_the_caught_up", {}, id="rule_3_caught_up"),
    pytest.param("counts_from_the_ask", LATE_MESSAGES, id="rule_3_from_the_ask"),
    pytest.param("names_leases", RELEASING, id="rule_4"),
    pytest.param("keeps_holders", CUTTING, id="rule_5"),
    pytest.param("awaits_own_term", {}, id="rule_9"),
    pytest.param("collects_before_transfer", STEPPING_DOWN, id="rule_10_grants"),
    pytest.param("ends_hold_at_transfer", {}, id="rule_10_hold"),
]


def test_a_strict_read_without_its_round_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """No rule guards it, and no clock."""
    monkeypatch.setattr(Standby, "read_asked", lambda self, ticket, now: self._emit(LetRead(ticket=ticket)))
    for seed in range(SEEDS_MAX):
        try:
            walk(seed, 1_500)
        except Broken:
            return
    pytest.fail(f"{SEEDS_MAX} histories of strict reads without rounds are all linearizable")


def test_every_switch_has_its_mutant() -> None:
    assert {param.values[0] for param in MUTANTS} == set(Rules.__struct_fields__)
    assert Rules() == RULES, "all rules are on"


@pytest.mark.parametrize(("switch", "weights"), MUTANTS)
def test_without_a_rule_a_wrong_read_is_found(switch: str, weights: dict[str, float]) -> None:
    mutant = Rules(**{switch: False})
    for seed in range(SEEDS_MAX):
        try:
            walk(seed, 1_500, mutant, weights)
        except Broken:
            return
    pytest.fail(f"{SEEDS_MAX} histories without {switch} are all linearizable")


@settings(max_examples=60)
@given(st.integers(0, 1 << 32), st.sampled_from([{}, STEPPING_DOWN, RARE_ROUNDS, RELEASING, CUTTING, LATE_MESSAGES]))
def test_reads_are_linearizable(seed: int, weights: dict[str, float]) -> None:
    walk(seed, 2_000, weights=weights)


def test_the_histories_have_something_in_them() -> None:
    worlds = [walk(seed, 2_000) for seed in range(20)]
    assert sum(world.reads_checked for world in worlds) > 500
    assert sum(world.strict_reads_checked for world in worlds) > 20
    assert sum(world.elections for world in worlds) > 50
    assert sum("is performance_standby" in line for world in worlds for line in world.trace) > 50
    assert sum(line.endswith("gives up") for world in worlds for line in world.trace) > 3


class Histories(RuleBasedStateMachine):
    """The same, action by action: Hypothesis chooses, and shortens what it finds."""

    @initialize(seed=st.integers(0, 1 << 16))
    def begin(self, seed: int) -> None:
        self.world = World(Random(seed))

    @rule(name=st.sampled_from(sorted(WEIGHTS)))
    def act(self, name: str) -> None:
        self.world.act(name)

    @rule(times=st.integers(1, 4))
    def flow(self, times: int) -> None:
        for name in ("round", "elect", "flow", "apply", "flow") * times:
            self.world.act(name)

    @invariant()
    def at_most_one_node_leads_and_holds(self) -> None:
        world = self.world
        assert sum(node.machine.active is not None and node.words.lease > world.now(node) for node in world.nodes.values()) <= 1


def test_reads_are_linearizable_action_by_action() -> None:
    run_state_machine_as_test(Histories, settings=settings(max_examples=60, stateful_step_count=60))
