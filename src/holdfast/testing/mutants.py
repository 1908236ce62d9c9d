"""The rules of the read leases, each broken on purpose: what the simulation must find.

Rules 1 to 5, 9 and 10 have switches of their own (`ha.rules.Rules`); 7 and 8 are broken by another `Hold` or `Gate` in raft's driver.
No rule of the leases, so 0 here: that forwarded writes leave a record by which a retry finds its answer (`core/once`).
Rule 11 is broken where it meets rule 8: whoever becomes the only voter elects itself at once. That two changes of the voters lie the vote
gate apart has no mutant: majorities of neighbouring memberships overlap, and nothing was found without it. Rule 6 is about progress, and 12
and 13 are not for the simulation to break: its words are atomic.
"""
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import msgspec

from holdfast.core.once import Once
from holdfast.engine import Origin, Reply, Txn
from holdfast.ha.rules import RULES, Rules
from holdfast.ids import Millis, Term
from holdfast.storage import Fence
from holdfast.storage.raft import RaftLog, driver
from holdfast.storage.raft.driver import Role
from holdfast.storage.raft.gate import Gate, Hold
from holdfast.storage.raft.members import Members
from holdfast.storage.raft.timing import Timing
from holdfast.testing.clients import Load
from holdfast.testing.cluster import Options
from holdfast.testing.nemesis import Plan
from holdfast.testing.run import Outcome, Scenario, run_one


class NoGateAtStart(Gate):
    """Who has just started has forgotten whom it heard."""

    def __init__(self, timing: Timing, now: Millis) -> None:
        super().__init__(timing, now)
        self.opens_at = Millis(0)


class NoGate(NoGateAtStart):
    """Whoever asks gets a vote, if raft itself has nothing against it."""

    def heard_leader(self, at: Millis) -> None:
        """So what?"""


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


class LocksEarly(RaftLog):
    """The fence is given out as soon as this node leads, whatever it still lacks of earlier terms."""

    async def lock(self) -> Fence:
        while True:
            driver = self.driver
            if driver is not None and self._fence is None and driver.role is Role.LEADER:
                self._fence = Fence(term=Term(driver.term), holder=self._node)
                return self._fence
            await self.change()


class Mutant(msgspec.Struct, frozen=True, kw_only=True):
    """`rule`: the one that it breaks; `rules`: with one switch off. `faults`: those that matter where it is broken, by weight."""

    name: str
    rule: int
    faults: Mapping[str, float]
    rules: Rules = RULES
    gate: type[Gate] = Gate
    hold: type[Hold] = Hold
    log: type[RaftLog] = RaftLog
    remembers: bool = True
    only_voter_waits: bool = True
    nodes: int = 3
    every_s: float = 0.5
    bursts: float = 0.5
    at_leader: float = 0.4

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Raft's driver, and the lane, use it as long."""
        find = Once.find if self.remembers else _finds_nothing
        waits = Members.were_ever_others if self.only_voter_waits else property(lambda members: False)
        with patch.object(driver, "Gate", self.gate), patch.object(driver, "Hold", self.hold), patch.object(Once, "find", find), \
                patch.object(Members, "were_ever_others", waits):
            yield

    def scenario(self, seconds: float) -> Scenario:
        """Of a run that is to find it."""
        plan = Plan(every_s=self.every_s, bursts=self.bursts, at_leader=self.at_leader, weights=self.faults)
        return Scenario(seconds=seconds, plan=plan, options=Options(nodes=self.nodes, rules=self.rules),
                        load=Load(reads=15.0, writes=15.0, lookups=3.0))

    def hunt(self, seeds: Iterable[int], *, seconds: float) -> Outcome | None:
        """The first run that finds it; None: none of them does."""
        with self.installed():
            for seed in seeds:
                outcome = run_one(seed, self.scenario(seconds), self.log)
                if outcome.failure is not None:
                    return outcome
        return None


def _finds_nothing(once: Once, txn: Txn, origin: Origin) -> Reply | None:
    """Whatever has been done already."""
    once._hear(txn, origin)
    return None


def _without(rule: int, switch: str, faults: Mapping[str, float], **more: Any) -> Mutant:
    return Mutant(name=switch, rule=rule, rules=msgspec.structs.replace(RULES, **{switch: False}), faults=faults, **more)


MUTANTS: dict[str, Mutant] = {mutant.name: mutant for mutant in (
    _without(1, "waits_for_holders", {"slow": 1}),
    _without(2, "asks_the_gate", {"slow": 1}),
    _without(3, "caps_by_the_hold", {"split": 1}, nodes=5, at_leader=1.0, every_s=1.5, bursts=0.0),
    _without(3, "grants_the_caught_up", {"slow": 1, "restart": 1}),
    _without(3, "counts_from_the_ask", {"slow": 2, "deaf": 2, "stall link": 1}),
    _without(4, "names_leases", {"slow": 3, "deaf": 3, "audit": 12}, every_s=0.2, at_leader=0.1),
    _without(5, "keeps_holders", {"reset": 3, "slow": 1, "stop": 1}),
    Mutant(name="hold_unasked", rule=7, hold=HoldUnasked, faults={"split": 1}, at_leader=1.0, every_s=1.5, bursts=0.0),
    Mutant(name="no_gate", rule=8, gate=NoGate, faults={"split": 2, "restart": 3}, every_s=1.5, bursts=1.0, at_leader=0.5),
    Mutant(name="no_gate_at_start", rule=8, gate=NoGateAtStart, faults={"cut pair": 3, "restart": 3}, every_s=0.6),
    _without(9, "awaits_own_term", {"kill": 1, "restart": 2, "step down": 1}, log=LocksEarly, at_leader=0.8),
    Mutant(name="no_record", rule=0, remembers=False, faults={"kill": 1, "reset": 1, "cut off": 1}, at_leader=0.9, every_s=1.0, bursts=0.0),
    _without(10, "collects_before_transfer", {"step down": 3, "cut off": 2, "stop": 1}, bursts=1.0),
    Mutant(name="hold_again", rule=10, hold=HoldAgain, faults={"step down": 3, "deaf": 3}, bursts=1.0, at_leader=0.9),
    Mutant(name="only_voter_at_once", rule=11, only_voter_waits=False, faults={"demote": 4, "remove": 2, "restart": 2}, every_s=0.8,
           at_leader=0.6),
    _without(10, "ends_hold_at_transfer", {"step down": 3, "deaf": 3}, bursts=1.0, at_leader=0.9),
)}
