"""Where `ctx.heavy` computes: processes that everything else of the node goes before.

A bcrypt takes tens of milliseconds of a core. At equal rights a request that wakes an event loop would wait for the end of its time
slice; so it is computed in the idle class, by processes of their own (`heavy_process`). Threads will not do: one of the idle class that
waits for a core while it holds the interpreter, or is to be given it, holds up its whole process: on a busy machine for seconds.

Invariants: (1) a process here gives its core up the moment that anybody wants it, and shares no lock with anybody; (2) whoever has waited
for PATIENCE_S, or whose process has gone, is computed in a thread at usual rights, so that no login starves at a node that is never idle;
(3) at most AT_ONCE are computed in threads, fewer than there are cores, and at most HELPERS_MAX of those in processes. What is computed
depends on its arguments alone, so it may be begun twice.
"""
import asyncio
import os
import pickle
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from typing import TypeAlias

from holdfast.node import harden
from holdfast.version import VERSION

AT_ONCE = max(1, len(os.sched_getaffinity(0)) - 1)
HELPERS_MAX = min(AT_ONCE, 4)                        # of each process of the node; a few tens of MiB each, once they are needed
PATIENCE_S = 0.5                                     # eight times a bcrypt of the usual cost


Computed: TypeAlias = tuple[object, Exception | None]
"""What a call gives, or what it raises."""


async def compute(call: Callable[[], object]) -> object:
    """`call()`, elsewhere: aside if it can be pickled. Raises what it raises."""
    loop = asyncio.get_running_loop()
    aside = loop.run_in_executor(_aside(), _ask, call)
    await asyncio.wait({aside}, timeout=PATIENCE_S)
    computed = aside.result() if aside.done() else None
    if computed is not None:
        value, error = computed
        if error is not None:
            raise error
        return value
    aside.cancel()                                       # one that has begun ends sometime, and nobody looks at it
    return await loop.run_in_executor(_usual(), call)


@cache
def _aside() -> ThreadPoolExecutor:
    """Each of its threads waits for a process of its own."""
    return ThreadPoolExecutor(HELPERS_MAX, "heavy-aside")


@cache
def _usual() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(AT_ONCE, "heavy")


class Helper:
    """One process, begun by the thread that asks it. Raises OSError where it cannot be begun."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            words = [sys.executable, "-m", "holdfast.node.heavy_process", str(theirs.fileno()), str(os.getpid()), VERSION,
                     "locked" if harden.memory_is_locked() else "unlocked"]
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, pass_fds=(theirs.fileno(),))
        with ours:
            self._lines = ours.makefile("rwb")           # keeps the socket open until it is closed itself

    def ask(self, call: bytes) -> Computed:
        """Raises OSError, EOFError: it has gone; or anything else: what it says cannot be read. Then it must be closed."""
        self._lines.write(call)
        self._lines.flush()
        value, error = pickle.load(self._lines)          # from our own process, over a socket that nobody else has
        return value, error

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        with suppress(OSError):                          # what it was still to be told
            self._lines.close()


def _ask(call: Callable[[], object]) -> Computed | None:
    """In a thread of `_aside`. None: it has to be computed at usual rights."""
    try:
        words = pickle.dumps(call)
    except (pickle.PicklingError, AttributeError, TypeError):
        return None
    helper: Helper | None = getattr(_mine, "helper", None)
    try:
        if helper is None:
            helper = _mine.helper = Helper()
        return helper.ask(words)
    except Exception:  # noqa: BLE001 -- it cannot be begun or has gone, or what it says cannot be read: that is not lost
        _mine.helper = None
        if helper is not None:
            helper.close()
        return None


_mine = threading.local()
