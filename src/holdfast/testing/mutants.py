"""The rules of the read leases, each broken on purpose: what the simulation must find.

Rules 1 to 5, 9 and 10 have switches of their own (`ha.rules.Rules`); 7 and 8 are broken by another `Hold` or `Gate` in raft's driver.
Rule 6 is about progress, and 11 to 13 are not for the simulation to break: members do not change in it, and its words are atomic.
"""
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import msgspec

from holdfast.ha.rules import RULES, Rules
from holdfast.ids import Millis
from holdfast.storage.raft import driver
from holdfast.storage.raft.gate import Gate, Hold
from holdfast.storage.raft.timing import Timing


class NoGate(Gate):
    """Whoever asks gets a vote, if raft itself has nothing against it."""

    def __init__(self, timing: Timing, now: Millis) -> None:
        super().__init__(timing, now)
        self.opens_at = Millis(0)

    def heard_leader(self, at: Millis) -> None:
        """So what?"""


class NoGateAtStart(Gate):
    """Who has just started has forgotten whom it heard."""

    def __init__(self, timing: Timing, now: Millis) -> None:
        super().__init__(timing, now)
        self.opens_at = Millis(0)


class HoldUnasked(Hold):
    """From the beginning of a round, whatever comes of it."""

    def begin_round(self, term: int, now: Millis) -> bytes | None:
        context = super().begin_round(term, now)
        if context is not None:
            self._until = max(self._until, Millis(now + self._timing.hold))
        return context


class HoldAgain(Hold):
    """Given up, it comes back with the next round."""

    def give_up(self, term: int) -> Millis:
        until = super().give_up(term)
        self._given_up_in = 0
        return until


class Mutant(msgspec.Struct, frozen=True, kw_only=True):
    """`rule`: the one that it breaks; `rules`: with one switch off."""

    name: str
    rule: int
    rules: Rules = RULES
    gate: type[Gate] = Gate
    hold: type[Hold] = Hold

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Raft's driver uses it as long."""
        with patch.object(driver, "Gate", self.gate), patch.object(driver, "Hold", self.hold):
            yield


def _without(rule: int, switch: str) -> Mutant:
    return Mutant(name=switch, rule=rule, rules=msgspec.structs.replace(RULES, **{switch: False}))


MUTANTS: dict[str, Mutant] = {mutant.name: mutant for mutant in (
    _without(1, "waits_for_holders"), _without(2, "asks_the_gate"), _without(3, "caps_by_the_hold"), _without(3, "grants_the_caught_up"),
    _without(3, "counts_from_the_ask"), _without(4, "names_leases"), _without(5, "keeps_holders"),
    Mutant(name="hold_unasked", rule=7, hold=HoldUnasked), Mutant(name="no_gate", rule=8, gate=NoGate),
    Mutant(name="no_gate_at_start", rule=8, gate=NoGateAtStart), _without(9, "awaits_own_term"),
    _without(10, "collects_before_transfer"), _without(10, "ends_hold_at_transfer"),
)}
