"""Hosts, each with a machine, a disk and the processes of one node; and what can befall them.

Whoever uses it says how a node's processes begin (`launch`) and what of its memory outlives a process but not the machine (`lose_power`).
"""
import asyncio
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Coroutine
from random import Random

from holdfast.testing.disk import FakeDisk
from holdfast.testing.history import Trace
from holdfast.testing.loop import SimLoop
from holdfast.testing.network import Network
from holdfast.testing.process import Machine, Process

MAIN = "main"


class Host:
    """One machine and its node."""

    def __init__(self, loop: SimLoop, name: str, dice: Random) -> None:
        self.name = name
        self.machine = Machine(loop, name, rate=1.0 + dice.uniform(-0.001, 0.001), wall_ahead_s=dice.uniform(-2.0, 2.0),
                               booted_before_s=dice.uniform(100.0, 100_000.0))
        self.disk = FakeDisk(dice.getrandbits(32))
        self.processes: dict[str, Process] = {}
        self.life = 0                                # how often its node was started
        self.wanted = True                           # it is to be up, or to return
        self.has_power = True

    @property
    def main(self) -> Process | None:
        return self.processes.get(MAIN)

    @property
    def is_up(self) -> bool:
        main = self.main
        return main is not None and main.is_alive


class World(ABC):
    """All hosts, and the network between them. `faults` counts what was done to them."""

    def __init__(self, loop: SimLoop, names: tuple[str, ...], trace: Trace) -> None:
        self.loop, self.trace = loop, trace
        self.dice = Random(loop.random.getrandbits(64))
        self.network = Network(loop, self.note)
        self.hosts = {name: self.new_host(name) for name in names}
        self.faults: Counter[str] = Counter()

    def new_host(self, name: str) -> Host:
        return Host(self.loop, name, self.dice)

    @abstractmethod
    def launch(self, host: Host) -> None:
        """Begins the node's processes, by `begin`."""

    @abstractmethod
    def lost_power(self, host: Host) -> None:
        """The machine's memory is gone."""

    def note(self, text: str) -> None:
        """A line of the trace."""
        self.trace.note(f"{self.loop.now:.6f} {text}")

    def begin(self, host: Host, name: str, first: Callable[[Process], Coroutine[object, object, None]]) -> Process:
        """A process of the node, and the task that it begins with."""
        process = host.processes[name] = self.loop.process(host.machine, f"{host.name}/{name}")
        self.loop.call_soon(self._first, first, process, context=process.enter())
        return process

    def _first(self, first: Callable[[Process], Coroutine[object, object, None]], process: Process) -> None:
        self.loop.create_task(first(process)).add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.loop.call_exception_handler({"message": "a process has ended", "exception": error})

    def start(self, host: Host) -> None:
        """The node's processes begin, if they are not there."""
        if not host.is_up:
            host.life += 1
            if not host.has_power:
                host.has_power = True
                self.network.power_on(host.name)
            self.note(f"start {host.name}")
            self.launch(host)

    def kill(self, host: Host, *names: str) -> None:
        """SIGKILL; without names, to all processes of the node."""
        for name in names or tuple(host.processes):
            process = host.processes.pop(name, None)
            if process is not None:
                self.note(f"kill {process.name}")
                process.kill()
        if not names or MAIN in names:
            host.disk.kill()

    def lose_power(self, host: Host) -> None:
        """Everything on the machine ends without a word; what was not synced may be lost."""
        self.note(f"lose power {host.name}")
        host.has_power = False
        self.network.lose_power(host.name)
        for process in host.processes.values():
            process.kill()
        host.processes.clear()
        host.disk.lose_power()
        host.machine.free_disk()
        host.machine.reboot()
        self.lost_power(host)

    def calm(self) -> None:
        """Nothing stands in the way of anybody any more, and every node returns."""
        self.note("calm")
        self.network.heal_all()
        for host in self.hosts.values():
            host.machine.free_disk()
            host.machine.disk_slow_s = 0.0
            for process in host.processes.values():
                process.go_on()
            if host.wanted:
                self.start(host)
