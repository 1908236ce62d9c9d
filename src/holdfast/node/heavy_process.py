"""A process that computes for `heavy`, one call at a time: `python -m holdfast.node.heavy_process FD PARENT VERSION LOCKED`.

It keeps nothing, and ends with the thread that started it or with the socket. Invariants: (1) its memory is kept out of files as that of
its parent is; (2) it belongs to the idle class from its first call on: until then it imports what it needs, which somebody waits for.
"""
import contextlib
import os
import pickle
import signal
import socket
import sys
from io import BufferedRWPair

from holdfast.node import harden
from holdfast.version import VERSION


def serve(lines: BufferedRWPair) -> None:
    """Calls in, (value, error) out, until there are no more. A call that cannot be read ends the process: it is computed elsewhere."""
    while True:
        try:
            call = pickle.load(lines)                    # from our own parent, over a socket that nobody else has
        except EOFError:
            return
        _give_way()
        value, failure = None, None
        try:
            value = call()
        except Exception as error:  # noqa: BLE001 -- whatever it raises is for who asked
            failure = error
        lines.write(pickle.dumps((value, failure)))
        lines.flush()


def _give_way() -> None:
    """Niceness would not do: Linux lets a process of any niceness finish its slice."""
    with contextlib.suppress(OSError):                   # a sandbox that forbids it: then all have equal rights
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def main() -> None:
    fd, parent, version, locked = sys.argv[1:]
    if version != VERSION:                               # the program was changed while its parent runs
        sys.exit(f"this process is of version {VERSION}, its parent of {version}: the node must be started anew")
    harden.forbid_core_dumps()
    harden.die_with(int(parent))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)            # for the whole process group: its parent says what they mean
    if locked == "locked":
        harden.lock_memory(())
    with socket.socket(fileno=int(fd)) as sock, sock.makefile("rwb") as lines:
        serve(lines)


if __name__ == "__main__":
    main()
