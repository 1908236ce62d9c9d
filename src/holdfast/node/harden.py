"""Keeps what is in memory out of files, and processes from outliving their node. Linux only; each process calls it for itself.

Invariants: (1) no core file is written, whatever the limits and signals, from `forbid_core_dumps` on; (2) locked memory never reaches
swap; the replica's map is left out, for it holds ciphertext alone and may be larger than memory; (3) a worker ends when its main process
does, also one that ended before the worker asked.

A process without cores cannot be traced by others of its user either, and owns no entries below /proc/self/fd unless it is root.
"""
import ctypes
import errno
import os
import resource
import signal
from collections.abc import Iterable
from pathlib import Path

from holdfast.errors import HoldfastError
from holdfast.replica.lmdb_file import unlock_map

PR_SET_PDEATHSIG, PR_SET_DUMPABLE = 1, 4                 # <sys/prctl.h>
MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT = 1, 2, 4           # <sys/mman.h>
ADVICE = "run it with the capability IPC_LOCK or a higher limit (LimitMEMLOCK=infinity), or set disable_mlock = true in its configuration"

_libc = ctypes.CDLL(None, use_errno=True)


class MemoryLockError(HoldfastError):
    """Memory cannot be locked; says what to do."""


def forbid_core_dumps() -> None:
    """No core, neither into a file nor into a pipe, even if someone raises the limit again."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _prctl(PR_SET_DUMPABLE, 0)


def lock_memory(unlocked_files: Iterable[Path]) -> None:
    """Keeps all memory, present and future, out of swap; but for the maps of these files, which must be open by now; the replica
    leaves out those that it opens later.

    Pages are locked as they are first touched, so nothing is read in for it. Raises MemoryLockError without the right to lock.
    """
    if _libc.mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) != 0:
        code = ctypes.get_errno()
        limit, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
        bound = "" if limit == resource.RLIM_INFINITY or code == errno.EPERM else f" (the limit is {limit} bytes)"
        raise MemoryLockError(f"cannot lock memory: {os.strerror(code)}{bound}; {ADVICE}")
    for path in unlocked_files:
        unlock_map(path)


def memory_is_locked() -> bool:
    """Whether this process has called `lock_memory`, as the kernel says."""
    with open("/proc/self/status", encoding="utf-8") as status:
        return any(line.startswith("VmLck:") and line.split()[1] != "0" for line in status)


def die_with(parent: int) -> None:
    """The kernel kills this process when `parent`, the process that started it, ends. If it has ended already, this one ends now.

    The kernel watches the *thread* that started us: a main process starts its workers from its main thread.
    """
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"prctl {option}: {os.strerror(code)}")
