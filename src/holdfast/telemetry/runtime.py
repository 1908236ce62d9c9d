"""What Vault tells of its Go runtime, as far as our processes have the like: memory, collections."""
from __future__ import annotations

import gc
import os
from pathlib import Path

from holdfast.telemetry.metrics import Metrics

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_STATM = Path("/proc/self/statm")


def add_runtime(metrics: Metrics) -> None:
    """Gauges that are read with each snapshot; summed over the processes of a node."""
    metrics.gauge("runtime.alloc_bytes").read_from(lambda: _pages(1) - _pages(2))
    metrics.gauge("runtime.sys_bytes").read_from(lambda: _pages(1))
    metrics.gauge("runtime.total_gc_runs").read_from(lambda: float(sum(generation["collections"] for generation in gc.get_stats())))


def _pages(column: int) -> float:
    """Bytes: column 1 resident, 2 of them shared with files. 0 where the system does not tell."""
    try:
        return int(_STATM.read_bytes().split()[column]) * float(_PAGE_BYTES)
    except OSError:
        return 0.0
