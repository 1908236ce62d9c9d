"""One run of a simulated cluster: load all the while, faults and calms by turns, then the judgement of everything that was answered.

`scenario_of` says what a seed stands for; `python -m holdfast.testing` runs one, or many.
"""
import gc
from collections.abc import Callable, Mapping
from random import Random
from time import process_time

import msgspec
from msgspec.structs import replace

from holdfast.engine import Method, Reply
from holdfast.ha.gate import Word
from holdfast.ha.settings import Consistency
from holdfast.limits import KV_VERSIONS_MAX
from holdfast.node.serving import Served
from holdfast.storage.raft import RaftLog
from holdfast.testing.checks import Watch
from holdfast.testing.clients import Clients, Load
from holdfast.testing.cluster import Cluster, NodeHost, Options
from holdfast.testing.history import Trace
from holdfast.testing.judge import judge
from holdfast.testing.loop import SimLoop, SimulationError, simulation
from holdfast.testing.nemesis import WEIGHTS, WILD, Nemesis, Plan
from holdfast.testing.operators import OPERATIONS, Operators
from holdfast.testing.world import Host

FORMED_WITHIN_S = 60.0                               # autopilot gives one vote after the other
CALM_S = 12.0                                        # until everybody must serve again: raft's back-off, links, leases
ALL_WEIGHTS: Mapping[str, float] = {**WEIGHTS, **OPERATIONS}


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """What is run: `rounds` of so many `seconds` of faults, a calm by whose end every node must serve again, and `quiet_s` without faults.
    `keep`: lines of the trace kept for whoever looks for a fault."""

    seconds: float = 60.0
    rounds: int = 1
    quiet_s: float = 0.0
    options: Options = Options()
    load: Load = Load()
    plan: Plan = Plan(weights=ALL_WEIGHTS)
    keep: int = 0


class Outcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Of one run. `failure`: what was wrong; None: nothing. `seconds` of the cluster's time, `cpu_s` of a real processor's."""

    seed: int
    digest: str
    seconds: float
    failure: str | None = None
    cpu_s: float = 0.0
    changes: int = 0
    reads: int = 0
    statuses: Mapping[str, int] = {}
    faults: Mapping[str, int] = {}
    longest_gap_s: float = 0.0
    tail: tuple[str, ...] = ()


class Runner:
    """The parts of one run. Where reads are strict, clocks run as they like."""

    def __init__(self, loop: SimLoop, scenario: Scenario, trace: Trace, log_of: Callable[..., RaftLog] = RaftLog) -> None:
        self.loop, self.scenario = loop, scenario
        self.cluster = Cluster(loop, scenario.options, trace, log_of=log_of)
        self.watch = Watch(self.cluster)
        self.clients = Clients(self.cluster, scenario.load)
        self.operators = Operators(self.cluster)
        is_strict = scenario.options.consistency is Consistency.STRICT
        plan = replace(scenario.plan, drift=WILD) if is_strict else scenario.plan
        self.nemesis = Nemesis(self.cluster, plan, self.operators.faults, self._leader)

    def run(self) -> None:
        """Raises SimulationError."""
        self.form()
        self.clients.start()
        for _ in range(self.scenario.rounds):
            self.loop.run_until_complete(self.nemesis.run(self.scenario.seconds))
            self._calm_down()
            self.loop.run_for(self.scenario.quiet_s)
        self.clients.is_over = True
        self.loop.run_for(2.0)
        self._check_service()
        self.judge()

    def _calm_down(self) -> None:
        """What was begun ends, and whoever is sealed or removed comes back: then everybody serves, within a bound."""
        self.cluster.calm()
        self.operators.calm()
        self.loop.run_for(CALM_S)
        self._check_service()

    def form(self) -> None:
        """All nodes are there and have their vote, and secret/ is."""
        cluster = self.cluster
        for host in cluster.hosts.values():
            cluster.start(host)
        self._until(lambda: all(self._serves(host) for host in cluster.hosts.values()) and self._voters() == set(cluster.hosts),
                    FORMED_WITHIN_S, "the cluster has not formed")
        for path, body in (("sys/mounts/secret", {"type": "kv", "options": {"version": "2"}}),
                           ("secret/config", {"max_versions": KV_VERSIONS_MAX})):
            self._until(lambda: self.ask(cluster.hosts["n1"], Method.POST, path, body).status in (200, 204), 5.0, path)  # noqa: B023

    def ask(self, host: NodeHost, method: Method, path: str, body: object = None, query: Mapping[str, str] = {}) -> Reply:
        """A request of the test's own, to main; waits for its answer. 0: none came."""
        answers: list[Served] = []
        process, serve = host.serving["main"]
        self.cluster.ask(process, serve, self.cluster.request(method, path, body, query=query), answers.append)
        deadline = self.loop.now + 15.0
        while not answers and self.loop.now < deadline:
            self.loop.run_for(0.001)
        found = answers[0] if answers else Reply(status=0)
        assert isinstance(found, Reply)
        return found

    def judge(self) -> None:
        """Everything that was answered, against what is there now."""
        active = self.cluster.active
        if active is None:
            raise SimulationError("nobody is active after a calm")
        judge(self.cluster, self.clients, active)

    def _voters(self) -> set[str]:
        """As the active node has them."""
        active = self.cluster.active
        return {member.id for member in active.log.status.members if member.voter} if active is not None else set()

    def _serves(self, host: NodeHost) -> bool:
        """It may read, on its own; under strict consistency, ask whether it may."""
        if self.scenario.options.consistency is Consistency.STRICT:
            facts = host.node.main.facts if host.node is not None and host.is_up else None
            return facts is not None and (facts.is_active or facts.performance_standby)
        return host.node is not None and host.is_up and host.node.words.load(Word.LEASE_UNTIL_BOOT_MS) > host.machine.boot_ms()

    def _check_service(self) -> None:
        """After a calm every node reads and writes; but one whose removal took its time until now, over a slow link, comes back later."""
        for host in self.cluster.hosts.values():
            if host.node is not None and host.node.log.is_removed:
                continue
            if not self._serves(host):
                machine = host.node.clustering._machine if host.node is not None else None
                raise SimulationError(f"{host.name} has no lease after a calm: {machine.state.value if machine else 'it is not unsealed'}")
            reply = self.ask(host, Method.POST, "secret/data/after", {"data": {"v": "calm"}})
            if reply.status != 200:
                raise SimulationError(f"{host.name} cannot write after a calm: {reply.status} {reply.body!r}")

    def _until(self, condition: Callable[[], bool], seconds: float, why: str) -> None:
        deadline = self.loop.now + seconds
        while not condition():
            if self.loop.now > deadline:
                raise SimulationError(f"{why} within {seconds} s")
            self.loop.run_for(0.05)

    def _leader(self) -> Host | None:
        active = self.cluster.active
        return active.host if active is not None else None


def run_one(seed: int, scenario: Scenario, log_of: Callable[..., RaftLog] = RaftLog) -> Outcome:
    """Never raises for what the simulation finds."""
    trace = Trace(scenario.keep)
    failure: str | None = None
    with simulation(seed) as loop:
        runner = Runner(loop, scenario, trace, log_of)
        try:
            runner.run()
        except SimulationError as error:
            failure = _why(error)
        clients = runner.clients
        return Outcome(seed=seed, failure=failure, digest=trace.digest, seconds=loop.now, changes=runner.watch.changes,
                       reads=clients.reads(), statuses=dict(sorted(clients.statuses.items())),
                       faults=dict(sorted(runner.cluster.faults.items())),
                       longest_gap_s=clients.longest_gap_s, tail=tuple(trace.tail))


def _why(error: BaseException) -> str:
    texts: list[str] = []
    at: BaseException | None = error
    while at is not None:
        texts.append(f"{type(at).__name__}: {at}" if texts else str(at))
        if isinstance(at, BaseExceptionGroup):
            at = at.exceptions[0]
        else:
            at = at.__cause__
    return " ← ".join(texts)


def scenario_of(seed: int) -> Scenario:
    """What a seed stands for: a busy minute one time in four, else a stay of a quarter of an hour; three nodes mostly, now and then four
    or five; strict reads now and then."""
    dice = Random(seed)
    return _busy(dice) if dice.random() < 0.25 else _stay(dice)


def busy_of(seed: int) -> Scenario:
    """A busy minute for certain."""
    return _busy(Random(seed))


def _busy(dice: Random) -> Scenario:
    """Up to 60 writes a second on few keys, and faults all the while."""
    plan = Plan(every_s=dice.choice((0.7, 1.5, 4.0)), bursts=dice.choice((0.2, 0.5)), weights=ALL_WEIGHTS)
    load = Load(reads=dice.choice((8.0, 20.0, 40.0)), writes=dice.choice((3.0, 8.0, 20.0)), lookups=dice.choice((2.0, 8.0)))
    return Scenario(options=_options(dice), plan=plan, load=load)


def _stay(dice: Random) -> Scenario:
    """Rounds of half a minute of faults, a calm, and most of a minute without. Reads cost a simulation little, writes much: there are a
    tenth as many as in a busy minute."""
    plan = Plan(every_s=dice.choice((0.7, 1.5, 3.0)), bursts=dice.choice((0.2, 0.5)), weights=ALL_WEIGHTS)
    load = Load(reads=dice.choice((6.0, 10.0, 15.0)), writes=dice.choice((0.3, 0.6, 1.2)), lookups=dice.choice((0.5, 2.0)), tokens=0.1,
                keys=2, fresh_s=60.0)
    return Scenario(seconds=30.0, rounds=10, quiet_s=48.0, options=_options(dice), plan=plan, load=load)


def _options(dice: Random) -> Options:
    nodes = dice.choices((3, 4, 5), (9, 1, 2))[0]
    return Options(nodes=nodes, consistency=dice.choices((Consistency.STRONG, Consistency.STRICT, Consistency.SESSION), (8, 1, 1))[0])


def run_seed(seed: int) -> Outcome:
    """What `make sim` runs."""
    began = process_time()
    outcome = run_one(seed, scenario_of(seed))
    return replace(outcome, cpu_s=round(process_time() - began, 2))


def be_quick() -> None:
    """For a process that does nothing but simulate: what is loaded now need not be looked through for garbage again and again."""
    gc.collect()
    gc.freeze()
