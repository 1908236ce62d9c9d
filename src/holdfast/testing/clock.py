"""Time that moves only when told to."""
from holdfast.ids import Millis


class VirtualClock:
    """The wall clock and CLOCK_BOOTTIME of one node, each in ms."""

    def __init__(self, *, wall_ms: int = 1_700_000_000_000, boot_ms: int = 1_000_000) -> None:
        self._wall_ms, self._boot_ms = wall_ms, boot_ms

    def wall_ms(self) -> Millis:
        return Millis(self._wall_ms)

    def boot_ms(self) -> Millis:
        return Millis(self._boot_ms)

    def advance(self, ms: int) -> None:
        """Time goes by."""
        self._wall_ms += ms
        self._boot_ms += ms

    def jump(self, ms: int) -> None:
        """Somebody sets the wall clock; no time goes by."""
        self._wall_ms += ms
