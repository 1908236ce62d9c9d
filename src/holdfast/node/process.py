"""What every process of a node does at its start, and a few things that only a process knows."""
import gc
import os
import secrets

from holdfast.ids import RequestId

GC_THRESHOLDS = (50_000, 20, 100)                    # collections cost milliseconds; requests leave next to no cycles


def settle_memory() -> None:
    """After everything is imported: what is here now stays, and is not looked through again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


class RequestIds:
    """Random UUIDs (RFC 9562, version 4) from a pool: a system call for each would cost more than the rest of a read's bookkeeping."""

    POOL_IDS = 256

    def __init__(self) -> None:
        self._pool, self._at = b"", 0

    def __call__(self) -> RequestId:
        at = self._at
        if at >= len(self._pool):
            self._pool, at = os.urandom(16 * self.POOL_IDS), 0
        self._at = at + 16
        h = self._pool[at:at + 16].hex()
        return f"{h[:8]}-{h[8:12]}-4{h[13:16]}-{'89ab'[int(h[16], 16) & 3]}{h[17:20]}-{h[20:]}"  # type: ignore[return-value]  # a NewType call costs


def draw(size: int) -> bytes:
    """Random bytes of the operating system."""
    return secrets.token_bytes(size)


def draw_seed() -> bytes:
    """32 random bytes: the seed of one request's random stream."""
    return secrets.token_bytes(32)
