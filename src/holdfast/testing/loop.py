"""An asyncio event loop in virtual time: no I/O, no threads, and the same order of everything for the same seed.

Time moves only when nothing is left to do at the present instant. A callback belongs to the process in whose context it was made
(`process.OWNER`): it runs only while that process does, and its timers go by that machine's clock.

Invariants: (1) callbacks of one instant run in the order in which they were made; (2) an exception that nobody takes, and a time that does
not go on, end the run; (3) what threads would do is done in one piece at one instant, and known somewhat later.
"""
import asyncio
import contextlib
import gc
import heapq
import sys
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from concurrent.futures import Executor, Future
from contextvars import Context, copy_context
from functools import partial
from itertools import count
from random import Random
from typing import Any, ParamSpec, TypeVar, TypeVarTuple, cast
from weakref import WeakKeyDictionary, ref

from holdfast.testing.process import DEAD, OWNER, RUNNING, Machine, Process

T = TypeVar("T")
P = ParamSpec("P")
Ts = TypeVarTuple("Ts")
CALLBACKS_OF_AN_INSTANT_MAX = 100_000
INSTANT_S = 0.000_5                                  # timers that are always due let time crawl
TASKS_KEPT = 64                                      # ended ones among a process's, before they are let go of
COLLECT_EVERY_S = 20.0                               # of virtual time: at any instant, but always at the same one
COLLECT_ALL_EVERY = 15                               # of these, also what has lived for longer: it grows with the history


class SimulationError(AssertionError):
    """The run has failed, and says why."""


class Callback(asyncio.TimerHandle):
    """A callback with its owner's context, now or at a time. Half the cost of the standard library's."""

    __slots__ = ("arguments", "call", "is_cancelled", "local_when", "scope")

    def __init__(self, call: Callable[..., object], arguments: tuple[object, ...], scope: Context, local_when: float) -> None:
        self.call, self.arguments, self.scope, self.local_when = call, arguments, scope, local_when
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True
        self.call, self.arguments = _nothing, ()

    def cancelled(self) -> bool:
        return self.is_cancelled

    def when(self) -> float:
        return self.local_when

    def __repr__(self) -> str:
        return f"<Callback {self.call!r}>"


def _nothing() -> None:
    """What a cancelled callback does."""


class SimLoop(asyncio.BaseEventLoop):
    """`run_until_complete`, `run_for` and `run_until` are called from outside, one at a time."""

    def __init__(self, seed: int = 0) -> None:
        # Nothing of the base class's own state is used: all that touches it is replaced below, and what needs a selector has none.
        self.random = Random(seed)
        self.failures: list[BaseException] = []
        self.callbacks = 0                           # run so far
        self.now = 0.0                               # the simulation's own time, in seconds since it began
        self._ready: deque[Callback] = deque()
        self._heap: list[tuple[float, int, Callback]] = []
        self._next = count().__next__
        self._pools: dict[object, Pool] = {}
        self._instant, self._left = 0.0, CALLBACKS_OF_AN_INSTANT_MAX
        self._running = self._stopping = self._closed = False
        self._collections = 0
        self._processes: list[Process] = []
        self._generators: WeakKeyDictionary[AsyncGenerator[Any, Any], Process] = WeakKeyDictionary()

    # asyncio's side

    def time(self) -> float:
        owner = OWNER.get()
        return self.now if owner is None else owner.machine.boot_s()

    def call_soon(self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None) -> Callback:
        handle = Callback(callback, args, copy_context() if context is None else context, 0.0)
        self._ready.append(handle)
        return handle

    def call_soon_threadsafe(self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None) -> Callback:
        return self.call_soon(callback, *args, context=context)

    def call_later(self, delay: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None) -> Callback:
        scope = copy_context() if context is None else context
        owner = OWNER.get()
        machine = None if owner is None else owner.machine
        handle = Callback(callback, args, scope, delay + (self.now if machine is None else machine.boot_s()))
        heapq.heappush(self._heap, (self.now + (delay if machine is None else delay / machine.rate), self._next(), handle))
        return handle

    def call_at(self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None) -> Callback:
        scope = copy_context() if context is None else context
        owner = OWNER.get()
        at = when if owner is None else owner.machine.when(when)
        handle = Callback(callback, args, scope, when)
        heapq.heappush(self._heap, (at, self._next(), handle))
        return handle

    def at(self, when: float, callback: Callable[..., object], *args: object, context: Context | None = None) -> Callback:
        """`call_at` by the simulation's own time, whoever calls."""
        handle = Callback(callback, args, copy_context() if context is None else context, when)
        heapq.heappush(self._heap, (when, self._next(), handle))
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Generator[Any, None, T] | Coroutine[Any, Any, T], *, name: str | None = None,  # type: ignore[override]
                    context: Context | None = None) -> asyncio.Task[T]:
        owner = OWNER.get() if context is None else context.get(OWNER)
        task: asyncio.Task[T] = asyncio.Task(cast("Coroutine[Any, Any, T]", coro), loop=self, context=context,
                                             name=name or (owner.name if owner is not None else "simulation"))
        if owner is not None:
            tasks = owner.tasks
            tasks.append(cast("Any", ref(task)))
            if len(tasks) > TASKS_KEPT:
                owner.tasks = [known for known in tasks if (found := known()) is not None and not found.done()]
        return task

    def run_in_executor(self, executor: Executor | None, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]
        answer: asyncio.Future[T] = self.create_future()
        self._pool_of(executor).start(func, args, answer)
        return answer

    def get_debug(self) -> bool:
        return False

    def set_debug(self, enabled: bool) -> None:
        """There is nothing more to say here."""

    def is_running(self) -> bool:
        return self._running

    def is_closed(self) -> bool:
        return self._closed

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        self.call_exception_handler(context)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if self._closed:
            return                                   # coroutines that are cleared away
        owner = OWNER.get()
        what = f"{context.get('message')} {context.get('task', '')}".rstrip()
        error = SimulationError(f"{owner.name if owner else 'simulation'} at {self.now:.6f} s: {what}")
        error.__cause__ = context.get("exception")
        self.failures.append(error)

    async def shutdown_asyncgens(self) -> None:
        """They go with their processes."""

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 — asyncio's own name
        """There are no threads."""

    # Running

    def run_forever(self) -> None:
        self._run(lambda: False, None)

    def run_until_complete(self, future: Generator[Any, None, T] | Coroutine[Any, Any, T] | asyncio.Future[T]) -> T:  # type: ignore[override]
        task = asyncio.ensure_future(cast("Coroutine[Any, Any, T]", future), loop=self)
        self._run(task.done, None)
        if not task.done():
            raise SimulationError(f"at {self.now:.6f} s: nothing is left to do, and what was waited for has not come")
        return task.result()

    def run_for(self, seconds: float) -> None:
        """Everything that happens in so much time."""
        self.run_until(self.now + seconds)

    def run_until(self, when: float) -> None:
        """Everything that happens until then, by the simulation's time."""
        self._run(lambda: False, when)

    def stop(self) -> None:
        self._stopping = True

    def close(self) -> None:
        """Lets go of everything; what ends now has no effect."""
        self._closed = True
        for process in self._processes:
            process.kill()
            process.clear()
        self._processes.clear()
        self._ready.clear()
        self._heap.clear()

    def process(self, machine: Machine, name: str) -> Process:
        """A new process, with a source of randomness of its own."""
        process = Process(machine, name, Random(self.random.getrandbits(64)))
        process.bind(self._ready.extend)
        self._processes.append(process)
        return process

    def _run(self, done: Callable[[], bool], until: float | None) -> None:
        assert not self._running, "the loop is running"
        self._running, self._stopping = True, False
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(firstiter=self._begin_generator, finalizer=self._end_generator)
        asyncio._set_running_loop(self)
        try:
            while not done() and not self._stopping:
                if not self._ready and not self._advance(until):
                    break
                self._run_ready()
                if self.failures:
                    raise self.failures[0]
        finally:
            asyncio._set_running_loop(None)
            sys.set_asyncgen_hooks(*hooks)
            self._running = False

    def _begin_generator(self, generator: AsyncGenerator[Any, Any]) -> None:
        owner = OWNER.get()
        if owner is not None:
            self._generators[generator] = owner

    def _end_generator(self, generator: AsyncGenerator[Any, Any]) -> None:
        """Nobody takes from it any more."""
        owner = self._generators.get(generator)
        if owner is None or owner.is_alive:
            scope = copy_context() if owner is None else owner.enter()
            self.call_soon(lambda: self.create_task(generator.aclose()), context=scope)
        else:
            owner.bury(generator)

    def _advance(self, until: float | None) -> bool:
        """To the next instant at which something is to be done. False: none, or not yet."""
        heap = self._heap
        while heap and heap[0][2].is_cancelled:
            heapq.heappop(heap)
        if not heap or (until is not None and heap[0][0] > until):
            if until is not None:
                self.now = max(self.now, until)
            return False
        self.now = now = max(self.now, heap[0][0])
        if now >= self._instant + INSTANT_S:
            self._instant, self._left = now, CALLBACKS_OF_AN_INSTANT_MAX
        while heap and heap[0][0] <= now:
            self._ready.append(heapq.heappop(heap)[2])
        if now >= (self._collections + 1) * COLLECT_EVERY_S:
            self._collections = int(now / COLLECT_EVERY_S)
            gc.collect(2 if self._collections % COLLECT_ALL_EVERY == 0 else 1)
        return True

    def _run_ready(self) -> None:
        """Everything of this instant, also what only comes of it."""
        ready, left = self._ready, self._left
        while ready:
            handle = ready.popleft()
            if handle.is_cancelled:
                continue
            scope = handle.scope
            owner = scope.get(OWNER)
            if owner is not None and owner.state is not RUNNING:
                if owner.state is not DEAD:
                    owner.parked.append(handle)
                continue
            left -= 1
            if not left:
                raise SimulationError(f"time stands still at {self.now:.6f} s: {handle!r}")
            try:
                scope.run(handle.call, *handle.arguments)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:
                raise SimulationError(f"{owner.name if owner else 'simulation'} at {self.now:.6f} s: {error!r} in {handle!r}") from error
            if self.failures or self._stopping:
                break
        self.callbacks += self._left - left
        self._left = left

    def _pool_of(self, executor: Executor | None) -> "Pool":
        if isinstance(executor, Threads):
            return executor.pool
        owner = OWNER.get()
        key: object = owner if executor is None else executor
        found = self._pools.get(key)
        if found is None:
            workers = 32 if executor is None else int(getattr(executor, "_max_workers", 1))
            found = self._pools[key] = Pool(self, workers, uses_disk=executor is not None)
        return found


class Pool:
    """So many threads, each call at one instant. `uses_disk`: a call waits while the machine's disk hangs."""

    def __init__(self, loop: SimLoop, workers: int, *, uses_disk: bool) -> None:
        self._loop, self._free, self._uses_disk = loop, workers, uses_disk
        self._waiting: deque[tuple[Callable[..., object], tuple[object, ...], asyncio.Future[Any] | None, Context]] = deque()

    def start(self, call: Callable[..., object], arguments: tuple[object, ...], answer: "asyncio.Future[Any] | None") -> None:
        self._waiting.append((call, arguments, answer, copy_context()))
        self._begin()

    def _begin(self) -> None:
        while self._free and self._waiting:
            self._free -= 1
            call, arguments, answer, scope = self._waiting.popleft()
            self._loop.at(self._loop.now + self._delay_s(), self._run, call, arguments, answer, context=scope)

    def _run(self, call: Callable[..., object], arguments: tuple[object, ...], answer: "asyncio.Future[Any] | None") -> None:
        owner = OWNER.get()
        if self._uses_disk and owner is not None and owner.machine.disk_hangs:
            owner.machine.wait_for_disk(partial(self._loop.call_soon, self._run, call, arguments, answer, context=copy_context()))
            return
        result: object = None
        failure: Exception | None = None
        try:
            result = call(*arguments)
        except Exception as error:  # noqa: BLE001 — whoever waits for the call gets it
            failure = error
        self._loop.at(self._loop.now + self._delay_s(), self._end, answer, result, failure)

    def _end(self, answer: "asyncio.Future[Any] | None", result: object, failure: Exception | None) -> None:
        self._free += 1
        if answer is None:
            if failure is not None:
                self._loop.call_exception_handler({"message": "a call in a thread failed", "exception": failure})
        elif not answer.done():
            answer.set_exception(failure) if failure is not None else answer.set_result(result)
        self._begin()

    def _delay_s(self) -> float:
        """Before the call and after it: short, now and then longer."""
        dice = self._loop.random
        owner = OWNER.get()
        if not self._uses_disk:
            return dice.uniform(0.000_02, 0.000_3)
        slow_s = owner.machine.disk_slow_s if owner is not None else 0.0
        return slow_s * dice.random() + (dice.uniform(0.002, 0.03) if dice.random() < 0.01 else dice.uniform(0.000_1, 0.001))


class Threads(Executor):
    """An executor of the simulation, for those who keep one; its calls use the disk."""

    def __init__(self, loop: SimLoop, workers: int = 1) -> None:
        self.pool = Pool(loop, workers, uses_disk=True)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """The answer is not to be waited for: that would wait for ever."""
        answer: Future[T] = Future()

        def call() -> None:
            try:
                answer.set_result(fn(*args, **kwargs))
            except Exception as error:  # noqa: BLE001 — it is the caller's to look at
                answer.set_exception(error)

        self.pool.start(call, (), None)
        return answer

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """What is under way ends by itself."""


@contextlib.contextmanager
def simulation(seed: int) -> Generator[SimLoop, None, None]:
    """A loop that is cleared away afterwards. Garbage is collected only when it says so: what a generator does at its
    end is part of a run."""
    collects = gc.isenabled()
    gc.disable()
    loop = SimLoop(seed)
    try:
        yield loop
    finally:
        loop.close()
        if collects:
            gc.enable()
