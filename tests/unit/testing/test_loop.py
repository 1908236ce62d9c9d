"""The loop of simulations: virtual time, owners, threads without threads."""
import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import Executor

import pytest

from holdfast.testing.loop import SimLoop, SimulationError, Threads, simulation
from holdfast.testing.process import Machine, Process


@pytest.fixture
def loop() -> Iterator[SimLoop]:
    with simulation(7) as loop:
        yield loop


def run(loop: SimLoop, process: Process, coroutine: Coroutine[object, object, object]) -> None:
    loop.call_soon(lambda: loop.create_task(coroutine), context=process.enter())


async def note_every(seconds: float, notes: list[float]) -> None:
    while True:
        notes.append(asyncio.get_running_loop().time())
        await asyncio.sleep(seconds)


def test_an_hour_takes_no_time(loop: SimLoop) -> None:
    async def wait() -> float:
        await asyncio.sleep(3600)
        return loop.time()

    assert loop.run_until_complete(wait()) == 3600
    loop.run_for(60)
    assert loop.now == 3660


def test_timeouts_queues_and_events_of_asyncio_work(loop: SimLoop) -> None:
    async def use() -> list[object]:
        seen: list[object] = []
        queue: asyncio.Queue[int] = asyncio.Queue()
        async with asyncio.TaskGroup() as group:
            group.create_task(queue.put(1))
            seen.append(await queue.get())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2):
                await asyncio.Event().wait()
        seen.append(loop.time())
        seen.extend(await asyncio.gather(asyncio.sleep(1, "a"), asyncio.sleep(0.5, "b")))
        return [*seen, loop.time()]

    assert loop.run_until_complete(use()) == [1, 2.0, "a", "b", 3.0]


def test_a_wait_without_end_is_found(loop: SimLoop) -> None:
    with pytest.raises(SimulationError, match="nothing is left to do"):
        loop.run_until_complete(asyncio.Event().wait())


def test_time_that_does_not_go_on_is_found(loop: SimLoop) -> None:
    async def spin() -> None:
        loop.call_soon(again)
        await asyncio.Event().wait()

    def again() -> None:
        loop.call_soon(again)

    with pytest.raises(SimulationError, match="time stands still"):
        loop.run_until_complete(spin())


def test_an_exception_that_nobody_takes_fails_the_run(loop: SimLoop) -> None:
    async def fail() -> None:
        raise ValueError("nobody looks")

    process = loop.process(Machine(loop, "m"), "main")
    run(loop, process, fail())
    with pytest.raises(SimulationError, match="never retrieved"):
        loop.run_for(1)


def test_a_stopped_process_does_nothing_until_it_goes_on_and_then_all_of_it(loop: SimLoop) -> None:
    process = loop.process(Machine(loop, "m", booted_before_s=0), "main")
    notes: list[float] = []
    run(loop, process, note_every(1.0, notes))
    loop.run_for(2.5)
    process.stop()
    loop.run_for(10)
    assert notes == [0.0, 1.0, 2.0]
    process.go_on()
    loop.run_for(1.2)
    assert notes[3:] == [12.5, 13.5]


def test_a_process_goes_by_its_machines_clock(loop: SimLoop) -> None:
    machine = Machine(loop, "m", rate=1.5, booted_before_s=100)
    notes: list[float] = []
    run(loop, loop.process(machine, "main"), note_every(3.0, notes))
    loop.run_for(4.1)
    assert notes == [100.0, 103.0, 106.0]
    assert machine.boot_ms() == pytest.approx(106_150, abs=1)
    machine.drift(1.0)
    assert machine.boot_ms() == pytest.approx(106_150, abs=1)
    loop.run_for(1)
    assert machine.boot_ms() == pytest.approx(107_150, abs=1)
    before_ms = machine.wall_ms()
    machine.jump(5)
    assert machine.wall_ms() - before_ms == pytest.approx(5_000, abs=1)


def test_a_killed_process_runs_none_of_its_cleanup(loop: SimLoop) -> None:
    done: list[str] = []

    async def hold() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            done.append("finally")

    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            done.append("generator")

    async def take() -> None:
        async for _ in numbers():
            pass

    process = loop.process(Machine(loop, "m"), "main")
    process.at_death.append(lambda: done.append("kernel"))
    run(loop, process, hold())
    run(loop, process, take())
    loop.run_for(1)
    process.kill()
    loop.run_for(60)
    assert done == ["kernel"]


@pytest.mark.parametrize("executor", [lambda loop: None, Threads])
def test_a_call_in_a_thread_takes_time_and_gives_what_it_gives(loop: SimLoop, executor: Callable[[SimLoop], Executor | None]) -> None:
    async def call() -> object:
        return await loop.run_in_executor(executor(loop), int, "12")

    assert loop.run_until_complete(call()) == 12
    assert 0 < loop.now < 0.1

    async def fail() -> None:
        await asyncio.to_thread(int, "x")

    with pytest.raises(ValueError, match="invalid literal"):
        loop.run_until_complete(fail())


def test_calls_of_one_thread_come_one_after_the_other(loop: SimLoop) -> None:
    order: list[int] = []
    threads = Threads(loop, 1)

    async def call() -> None:
        await asyncio.gather(*(loop.run_in_executor(threads, order.append, number) for number in range(20)))

    loop.run_until_complete(call())
    assert order == list(range(20))


def test_while_the_disk_hangs_its_threads_wait_and_others_do_not(loop: SimLoop) -> None:
    machine = Machine(loop, "m")
    process = loop.process(machine, "main")
    done: list[str] = []
    threads = Threads(loop, 1)

    async def call() -> None:
        disk = loop.run_in_executor(threads, done.append, "disk")
        await asyncio.to_thread(done.append, "memory")
        await disk

    machine.hang_disk()
    run(loop, process, call())
    loop.run_for(100)
    assert done == ["memory"]
    machine.free_disk()
    loop.run_for(1)
    assert done == ["memory", "disk"]
