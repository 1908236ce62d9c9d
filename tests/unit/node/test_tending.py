"""The audit files that a process looks after by itself: also while its keys are behind what is stored, or gone."""
import asyncio
from collections.abc import Callable
from typing import TypeVar

from holdfast.core.audit_device import Device, FileOptions
from holdfast.engine import Txn
from holdfast.node.devices import AuditDevices, Sink
from holdfast.node.tending import tend_devices
from holdfast.replica import Abandoned

T = TypeVar("T")


class Behind:
    """A process whose attempts at reading end for want of a key, until `caught_up`."""

    has_keys, may_answer = True, True

    def __init__(self) -> None:
        self.caught_up, self.reads = False, 0

    def read(self, load: Callable[[Txn], T]) -> tuple[Device, ...]:
        self.reads += 1
        if not self.caught_up:
            raise Abandoned
        return ()


def no_sink(options: FileOptions) -> Sink:
    raise AssertionError("there is no device")


def tended(attempts: Behind) -> None:
    """One turn, and what is left of it is cancelled."""

    async def run() -> None:
        task = asyncio.create_task(tend_devices(attempts, AuditDevices(no_sink, lambda path, error: None)))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not task.done(), task.exception()
        task.cancel()

    asyncio.run(run())


def test_a_key_that_is_still_on_its_way_is_waited_for() -> None:
    attempts = Behind()
    tended(attempts)
    assert attempts.reads == 1
    attempts.caught_up = True
    tended(attempts)


def test_a_sealed_process_reads_nothing() -> None:
    attempts = Behind()
    attempts.has_keys = False
    tended(attempts)
    assert attempts.reads == 0
