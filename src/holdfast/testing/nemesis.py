"""What goes wrong in a simulation, and when: faults drawn from one source, each with an end.

It knows hosts and the network, nothing of what runs on them. Further faults (a step-down, a seal) are the world's to add.
"""
import asyncio
from collections.abc import Callable, Mapping
from random import Random

import msgspec

from holdfast.testing.process import Process
from holdfast.testing.world import MAIN, Host, World

DRIFT_MAX = 0.02                                     # of each clock, against the simulation's: two differ by twice that at most
WILD = 0.3                                           # … where no clock is trusted


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How often, in seconds between two faults on average; and how likely each is, by its name. `bursts`: how many of them come in company,
    within a moment in which leases and holds still last. `at_leader`: how many befall whoever leads. `drift`: of clocks, at most."""

    every_s: float = 1.5
    bursts: float = 0.3
    at_leader: float = 0.4
    drift: float = DRIFT_MAX
    weights: Mapping[str, float] = msgspec.field(default_factory=lambda: dict(WEIGHTS))


WEIGHTS: Mapping[str, float] = {
    "kill": 4, "kill main": 2, "lose power": 2, "stop": 4, "cut one way": 3, "cut off": 3, "cut pair": 2, "slow": 2, "lossy": 2, "reset": 2,
    "disk hangs": 2, "disk slow": 1, "drift": 1, "wall clock": 1, "split": 3, "stall link": 3, "restart": 3,
    "deaf": 2,
}
USUAL = Plan()
BURST_S = 0.12                                       # within which the faults of a burst come


class Nemesis:
    """`more`: further faults, each told the host that it is to befall; False: it does not befall it now."""

    def __init__(self, world: World, plan: Plan, more: Mapping[str, Callable[[Host], bool | None]] = {},
                 leader: Callable[[], Host | None] = lambda: None) -> None:
        self._world, self._plan, self._more, self._leader = world, plan, dict(more), leader
        self._dice = Random(world.loop.random.getrandbits(64))
        self._names = sorted(plan.weights)
        self._weights = [plan.weights[name] for name in self._names]
        self._do: dict[str, Callable[[Host], bool | None]] = {
            "kill": self._kill, "kill main": self._kill_main, "lose power": self._lose_power, "stop": self._stop,
            "cut one way": self._cut_one_way, "cut off": self._cut_off, "cut pair": self._cut_pair, "slow": self._slow,
            "lossy": self._lossy, "reset": self._reset, "disk hangs": self._disk_hangs, "disk slow": self._disk_slow, "drift": self._drift,
            "wall clock": self._wall_clock,
            "split": self._split, "stall link": self._stall_link, "restart": self._restart, "deaf": self._deaf, **self._more,
        }
        self._rounds = 0                             # begun or over

    async def run(self, seconds: float) -> None:
        """So long; then it is over, but what it has begun has not ended, and does not by itself. In no process of its own."""
        loop = asyncio.get_running_loop()
        self._rounds += 1
        until = loop.time() + seconds
        while (wait_s := self._dice.expovariate(1 / self._plan.every_s)) < until - loop.time():
            await asyncio.sleep(wait_s)
            self.strike()
            if self._dice.random() < self._plan.bursts:
                for _ in range(self._dice.randrange(1, 4)):
                    await asyncio.sleep(self._dice.random() * BURST_S)
                    self.strike()
        await asyncio.sleep(max(0.0, until - loop.time()))
        self._rounds += 1

    def strike(self) -> None:
        """One fault, now."""
        world = self._world
        name = self._dice.choices(self._names, self._weights)[0]
        host = world.hosts[self._dice.choice(tuple(world.hosts))]
        if self._dice.random() < self._plan.at_leader:
            host = self._leader() or host
        world.note(f"{name}: {host.name}")
        if self._do[name](host) is not False:
            world.faults[name] += 1

    def _later(self, seconds: float, undo: Callable[[], object]) -> None:
        began, loop = self._rounds, self._world.loop
        loop.at(loop.now + seconds, lambda: undo() if self._rounds == began else None)

    def _span(self, low: float, high: float) -> float:
        """Seconds: short ones as likely as long ones."""
        dice = self._dice
        return float(low * (high / low) ** dice.random())

    def _other(self, host: Host) -> str:
        return self._dice.choice([name for name in self._world.hosts if name != host.name])

    def _kill(self, host: Host) -> None:
        self._world.kill(host)
        self._later(self._span(0.02, 5.0), lambda: self._world.start(host))

    def _restart(self, host: Host) -> None:
        """At once: what it promised before, it has forgotten."""
        self._world.kill(host)
        self._later(self._span(0.001, 0.05), lambda: self._world.start(host))

    def _kill_main(self, host: Host) -> None:
        """Its workers live on for a moment, until they notice."""
        self._world.kill(host, MAIN)
        workers = [name for name in host.processes if name != MAIN]
        self._later(self._span(0.001, 0.5), lambda: self._world.kill(host, *workers) if workers and not host.is_up else None)
        self._later(self._span(0.5, 5.0), lambda: self._world.start(host))

    def _lose_power(self, host: Host) -> None:
        self._world.lose_power(host)
        self._later(self._span(0.5, 8.0), lambda: self._world.start(host))

    def _stop(self, host: Host) -> None:
        processes = list(host.processes.values())
        if self._dice.random() < 0.5:                # one alone
            processes = self._dice.sample(processes, min(1, len(processes)))
        for process in processes:
            process.stop()
        self._later(self._span(0.01, 4.0), lambda: _go_on(processes))

    def _cut_one_way(self, host: Host) -> None:
        ways = [(host.name, self._other(host))]
        self._cut(ways if self._dice.random() < 0.5 else [(target, source) for source, target in ways])

    def _cut_pair(self, host: Host) -> None:
        other = self._other(host)
        self._cut([(host.name, other), (other, host.name)])

    def _cut_off(self, host: Host) -> None:
        others = [name for name in self._world.hosts if name != host.name]
        out, back = [(host.name, other) for other in others], [(other, host.name) for other in others]
        self._cut(self._dice.choice((out, back, out + back, out + back)))

    def _split(self, host: Host) -> None:
        """In two, with `host` on one side; half of the time both sides learn at once that their links are no more."""
        others = [name for name in self._world.hosts if name != host.name]
        with_it = [host.name, *self._dice.sample(others, self._dice.randrange(0, len(others) // 2 + 1))]
        without = [name for name in others if name not in with_it]
        if self._dice.random() < 0.5:
            for one in with_it:
                for other in without:
                    self._world.network.reset(one, other)
        self._cut([way for one in with_it for other in without for way in ((one, other), (other, one))])

    def _stall_link(self, host: Host) -> None:
        """One connection alone, one way: a segment is lost again and again."""
        self._world.network.stall_one(host.name, self._span(0.02, 2.0))

    def _cut(self, ways: list[tuple[str, str]]) -> None:
        network = self._world.network
        for way in ways:
            network.cut(*way)

        def heal() -> None:
            for way in ways:
                network.heal(*way)

        self._later(self._span(0.05, 8.0), heal)

    def _slow(self, host: Host) -> None:
        way = self._world.network.way(host.name, self._other(host))
        delay_s = self._span(0.005, 0.3)
        way.delay_s, way.slow_s = (delay_s / 2, delay_s), (delay_s, 2 * delay_s)
        self._later(self._span(0.2, 8.0), way.calm)

    def _deaf(self, host: Host) -> None:
        """It hears everybody late, and is heard at once."""
        ways = [self._world.network.way(name, host.name) for name in self._world.hosts if name != host.name]
        delay_s = self._span(0.01, 0.15)
        for way in ways:
            way.delay_s = way.slow_s = (delay_s / 2, delay_s)

        def calm() -> None:
            for way in ways:
                way.calm()

        self._later(self._span(0.2, 4.0), calm)

    def _lossy(self, host: Host) -> None:
        way = self._world.network.way(host.name, self._other(host))
        way.loss, way.repeat, way.slow = self._span(0.01, 0.5), self._span(0.01, 0.5), self._span(0.01, 0.5)
        self._later(self._span(0.2, 8.0), way.calm)

    def _reset(self, host: Host) -> None:
        self._world.network.reset(host.name, self._other(host))

    def _disk_hangs(self, host: Host) -> None:
        host.machine.hang_disk()
        self._later(self._span(0.05, 5.0), host.machine.free_disk)

    def _disk_slow(self, host: Host) -> None:
        host.machine.disk_slow_s = self._span(0.005, 0.3)
        self._later(self._span(0.5, 8.0), lambda: setattr(host.machine, "disk_slow_s", 0.0))

    def _drift(self, host: Host) -> None:
        host.machine.drift(1.0 + self._dice.uniform(-self._plan.drift, self._plan.drift))

    def _wall_clock(self, host: Host) -> None:
        host.machine.jump(self._dice.choice((-1, 1)) * self._span(0.01, 3_000.0))


def _go_on(processes: list[Process]) -> None:
    for process in processes:
        process.go_on()
