"""Where `ctx.heavy` computes: threads that everything else of the node goes before.

A bcrypt takes tens of milliseconds of a core, without the interpreter. At equal rights a request that wakes an event loop would wait for
the end of its time slice. Invariants: (1) a thread here gives its core up the moment that anybody wants it; (2) whoever has waited for
PATIENCE_S is computed at usual rights, so that no login starves at a node that is never idle; (3) at most AT_ONCE are computed so or so at
once, one fewer than there are cores. What is computed depends on its arguments alone, so it may be begun twice.
"""
import asyncio
import contextlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

AT_ONCE = max(1, len(os.sched_getaffinity(0)) - 1)
PATIENCE_S = 0.5                                     # eight times a bcrypt of the usual cost


async def compute(call: Callable[[], object]) -> object:
    """`call()`, in a thread. Raises what it raises."""
    loop = asyncio.get_running_loop()
    aside = loop.run_in_executor(_aside(), call)
    await asyncio.wait({aside}, timeout=PATIENCE_S)
    if aside.done():
        return aside.result()
    aside.cancel()                                       # one that has begun ends sometime, and nobody looks at it
    return await loop.run_in_executor(_usual(), call)


@cache
def _aside() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(AT_ONCE, "heavy-aside", initializer=_give_way)


@cache
def _usual() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(AT_ONCE, "heavy")


def _give_way() -> None:
    """Of the calling thread alone. Niceness would not do: Linux lets a thread of any niceness finish its slice."""
    with contextlib.suppress(OSError):                   # a sandbox that forbids it: then all have equal rights
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
