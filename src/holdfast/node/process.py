"""What every process of a node does at its start, and a few things that only a process knows."""
import gc
import os

from holdfast.ids import RequestId

GC_THRESHOLDS = (50_000, 20, 100)                    # collections cost milliseconds; requests leave next to no cycles


def settle_memory() -> None:
    """After everything is imported: what is here now stays, and is not looked through again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


class RandomPool:
    """Random bytes of the operating system, drawn many at once: a system call costs more than the rest of a read's bookkeeping."""

    POOL_BYTES = 4_096

    def __init__(self) -> None:
        self._pool, self._at = b"", 0

    def draw(self, size: int) -> bytes:
        """`size` bytes that are given to nobody else."""
        at = self._at
        if at + size > len(self._pool):
            self._pool, at = os.urandom(max(size, self.POOL_BYTES)), 0
        self._at = at + size
        return self._pool[at:at + size]

    def seed(self) -> bytes:
        """32 bytes: of one request's random stream."""
        return self.draw(32)

    def request_id(self) -> RequestId:
        """A random UUID (RFC 9562, version 4)."""
        h = self.draw(16).hex()
        return f"{h[:8]}-{h[8:12]}-4{h[13:16]}-{'89ab'[int(h[16], 16) & 3]}{h[17:20]}-{h[20:]}"  # type: ignore[return-value]  # a NewType call costs


RANDOM = RandomPool()
"""Of this process; not for several threads."""
