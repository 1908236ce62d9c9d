"""A copy of an LMDB environment as a stream of bytes, without holding the interpreter: LMDB writes into a pipe from a thread."""
import contextlib
import fcntl
import os
import threading
from collections.abc import Generator

import lmdb

from holdfast.errors import UnavailableError
from holdfast.limits import SNAPSHOT_CHUNK_BYTES
from holdfast.replica.long_keys import Transaction


def stream_copy(environment: lmdb.Environment, txn: Transaction) -> Generator[bytes, None, None]:
    """Chunks of a compact copy of the state that `txn` reads; ends `txn`. Raises UnavailableError: LMDB could not copy."""
    source, sink = os.pipe()
    with contextlib.suppress(OSError):                   # past the user's share of pipe memory it stays smaller, and slower
        fcntl.fcntl(sink, fcntl.F_SETPIPE_SZ, SNAPSHOT_CHUNK_BYTES)
    failures: list[lmdb.Error] = []

    def write() -> None:
        try:
            environment.copyfd(sink, compact=True, txn=txn)
        except lmdb.Error as error:
            failures.append(error)
        finally:
            os.close(sink)

    thread = threading.Thread(target=write, name="replica-copy")
    thread.start()
    try:
        while chunk := os.read(source, SNAPSHOT_CHUNK_BYTES):
            yield chunk
    finally:
        os.close(source)                                 # whoever takes no more chunks ends the copy: the pipe is broken
        thread.join()
        txn.abort()
    if failures:
        raise UnavailableError(f"the replica cannot be copied: {failures[0]}")
