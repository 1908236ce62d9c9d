"""Cluster time: what decides what has expired. It never goes back, travels with each batch, and follows the active node's clock.

Invariants: (1) never below the last batch's time, nor below a time given before; (2) while the clock has jumped ahead by more than
CLOCK_JUMP_MAX_MS within this process's life, cluster time goes on at the pace of CLOCK_BOOTTIME and the due queue rests, because one
wrong clock would revoke every lease at once.
"""
from holdfast.ids import Millis
from holdfast.limits import CLOCK_JUMP_MAX_MS


class ClusterTime:
    """`floor_ms`: time of the last durable batch. Times in ms: `wall` since 1970, `boot` of CLOCK_BOOTTIME."""

    def __init__(self, floor_ms: Millis, *, wall_ms: Millis, boot_ms: Millis) -> None:
        self.last_ms = max(floor_ms, wall_ms)            # given last
        self._offset_ms = self.last_ms - boot_ms
        self.has_jumped = False

    def now(self, *, wall_ms: Millis, boot_ms: Millis) -> Millis:
        """Cluster time. Sets `has_jumped` while the clock is too far ahead."""
        expected = boot_ms + self._offset_ms
        self.has_jumped = wall_ms - expected > CLOCK_JUMP_MAX_MS
        if not self.has_jumped and wall_ms > expected:
            self._offset_ms = wall_ms - boot_ms
            expected = wall_ms
        self.last_ms = Millis(max(self.last_ms, expected))
        return self.last_ms

    @property
    def offset_ms(self) -> int:
        """Cluster time less CLOCK_BOOTTIME: what workers add to their own clock."""
        return self._offset_ms
