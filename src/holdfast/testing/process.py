"""Machines and processes of a simulation: who owns a callback, and by whose clock it goes.

Invariants: (1) nothing of a process runs while it is stopped or after its death; (2) what was put off while it was stopped runs
afterwards, in order; (3) the death of a process has no effects of its own: no `finally` of it runs while the simulation goes on.
"""
import contextlib
from collections.abc import AsyncGenerator, Callable
from contextvars import Context, ContextVar, copy_context
from enum import Enum, auto
from random import Random
from typing import TYPE_CHECKING, Protocol
from weakref import ReferenceType

from holdfast.ids import Millis

if TYPE_CHECKING:
    import asyncio

    from holdfast.testing.loop import Callback

START_WALL_S = 1_700_000_000.0
BOOTED_BEFORE_S = 1_000.0                            # the first boot, before the simulation's beginning


class Time(Protocol):
    """The simulation's own time."""

    now: float
    """Seconds since its beginning."""


class Machine:
    """A host: its clocks, and whether its disk answers. `rate`: seconds by its clock in a second of the simulation.

    It is the `Clock` of every process on it.
    """

    def __init__(self, time: Time, name: str, *, rate: float = 1.0, wall_ahead_s: float = 0.0,
                 booted_before_s: float = BOOTED_BEFORE_S) -> None:
        self._time, self.name, self.rate = time, name, rate
        self._since = time.now                       # of the simulation's time, when rate or boot last changed
        self._boot_s = booted_before_s               # CLOCK_BOOTTIME then
        self._wall_s = START_WALL_S + wall_ahead_s   # the wall clock then
        self.disk_hangs = False
        self.disk_slow_s = 0.0                       # added to each use of the disk
        self._waiting: list[Callable[[], object]] = []

    def boot_s(self) -> float:
        """CLOCK_BOOTTIME in seconds; also what the processes' event loops go by."""
        return self._boot_s + (self._time.now - self._since) * self.rate

    def boot_ms(self) -> Millis:
        return Millis(int((self._boot_s + (self._time.now - self._since) * self.rate) * 1000))

    def wall_ms(self) -> Millis:
        return Millis(int((self._wall_s + (self._time.now - self._since) * self.rate) * 1000))

    def when(self, boot_s: float) -> float:
        """The simulation's time at which this machine's CLOCK_BOOTTIME is `boot_s`."""
        return self._since + (boot_s - self._boot_s) / self.rate

    def drift(self, rate: float) -> None:
        """From now on the clocks go at another pace."""
        self._settle()
        self.rate = rate

    def jump(self, seconds: float) -> None:
        """Somebody sets the wall clock."""
        self._wall_s += seconds

    def reboot(self) -> None:
        """CLOCK_BOOTTIME begins again."""
        self._settle()
        self._boot_s = 0.0

    def hang_disk(self) -> None:
        """What uses the disk waits from now on."""
        self.disk_hangs = True

    def free_disk(self) -> None:
        """What waited for the disk goes on."""
        self.disk_hangs = False
        waiting, self._waiting = self._waiting, []
        for go_on in waiting:
            go_on()

    def wait_for_disk(self, go_on: Callable[[], object]) -> None:
        self._waiting.append(go_on)

    def _settle(self) -> None:
        elapsed = (self._time.now - self._since) * self.rate
        self._since = self._time.now
        self._boot_s += elapsed
        self._wall_s += elapsed


class State(Enum):
    RUNNING = auto()
    STOPPED = auto()                                 # SIGSTOP: time goes on, nothing of it runs
    DEAD = auto()


RUNNING, STOPPED, DEAD = State


class Process:
    """An operating-system process. What is begun in its context, and all that comes of it, is its own."""

    def __init__(self, machine: Machine, name: str, random: Random) -> None:
        self.machine, self.name, self.random = machine, name, random
        self.state = RUNNING
        self.is_alive = True
        self.parked: list[Callback] = []
        self.tasks: list[ReferenceType[asyncio.Task[object]]] = []
        self.heard_at = 0.0                          # when the last message of another process of its node arrives
        self.at_death: list[Callable[[], None]] = [] # what the kernel does then: closes links, gives locks back
        self._buried: list[asyncio.Task[object] | AsyncGenerator[object, object]] = []
        self._resume: Callable[[list[Callback]], None] = _lose
        self.context: Context = copy_context()
        self.context.run(OWNER.set, self)

    def bind(self, resume: "Callable[[list[Callback]], None]") -> None:
        """`resume` takes what was put off when the process goes on. The loop's."""
        self._resume = resume

    def enter(self) -> Context:
        """A context of its own for one more callback."""
        return self.context.copy()

    def stop(self) -> None:
        """SIGSTOP."""
        if self.state is RUNNING:
            self.state = STOPPED

    def go_on(self) -> None:
        """SIGCONT."""
        if self.state is STOPPED:
            self.state = RUNNING
            parked, self.parked = self.parked, []
            self._resume(parked)

    def kill(self) -> None:
        """SIGKILL. Suspended coroutines are kept as they are: closing them would run their `finally`."""
        if self.state is DEAD:
            return
        self.state, self.is_alive = DEAD, False
        self.parked = []
        self._buried += [task for known in self.tasks if (task := known()) is not None]
        self.tasks = []
        at_death, self.at_death = self.at_death, []
        for effect in at_death:
            effect()

    def bury(self, generator: "AsyncGenerator[object, object]") -> None:
        """It has ended with the process, and stays as it is."""
        self._buried.append(generator)

    def clear(self) -> None:
        """After the simulation: what is left of it goes."""
        buried, self._buried = self._buried, []
        for what in buried:
            if isinstance(what, AsyncGenerator):
                continue
            with contextlib.suppress(BaseException):     # whatever it does on its way out, nobody is there to see it
                what.get_coro().close()


def _lose(parked: "list[Callback]") -> None:
    """A process that no loop runs has nothing put off."""


OWNER: ContextVar[Process | None] = ContextVar("owner", default=None)
"""Whose the running callback is; None: the simulation's own."""
