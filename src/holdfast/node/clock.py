"""The clocks of a process."""
from time import CLOCK_BOOTTIME, clock_gettime_ns, time_ns
from typing import Protocol

from holdfast.ids import Millis


class Clock(Protocol):
    def boot_ms(self) -> Millis:
        """CLOCK_BOOTTIME, in ms: goes on while the machine sleeps, never goes back, the same in every process of the machine."""

    def wall_ms(self) -> Millis:
        """Since 1970, in ms; may be set."""


class SystemClock:
    """The machine's own."""

    def boot_ms(self) -> Millis:
        return clock_gettime_ns(CLOCK_BOOTTIME) // 1_000_000  # type: ignore[return-value]  # a NewType call costs

    def wall_ms(self) -> Millis:
        return Millis(time_ns() // 1_000_000)
