"""What each process of a node looks after by itself, beside requests: its audit files."""
import asyncio
from collections.abc import Callable

from holdfast.core.audit_device import Device, load_devices
from holdfast.node.attempts import Attempts
from holdfast.node.devices import AuditDevices, Trouble
from holdfast.replica import Abandoned
from holdfast.telemetry.log import Logger

TEND_EVERY_S = 1.0                                   # so long a broken file may go unnoticed by a process that nobody asks anything


async def tend_devices(attempts: Attempts, devices: AuditDevices, told: Callable[[bool], None] | None = None) -> None:
    """Opens what the device table names, before the first request needs it; `told`, whenever it changes, whether none of them works.

    Runs until it is cancelled. A process without a working device answers nothing by itself (`attempts.may_answer`).
    """
    known: tuple[Device, ...] = ()
    while True:
        if attempts.has_keys:
            found = _devices(attempts)
            if found is not None and found is not known:
                devices.keep(found)
                known = found
            devices.mend()
        elif known:
            devices.close()
            known = ()
        if devices.broken is attempts.may_answer:
            attempts.may_answer = not devices.broken
            if told is not None:
                told(devices.broken)
        await asyncio.sleep(TEND_EVERY_S)


def _devices(attempts: Attempts) -> tuple[Device, ...] | None:
    """None: the newest state is under a key term whose key is still on its way to this process; the next turn will have it."""
    try:
        return attempts.read(lambda txn: txn.derive(load_devices))
    except Abandoned:
        return None


def audit_trouble(logger: Logger) -> Trouble:
    """Reports both ends of a device's trouble."""

    def trouble(path: str, error: OSError | None) -> None:
        if error is None:
            logger.info("audit.works_again", path=path)
        else:
            logger.error("audit.failed", path=path, why=error.strerror)

    return trouble
