"""A state that is put back, as a state that comes after all others: the same data under a new index.

A snapshot's index is an old one, and indexes never come twice: clients compare them. So before it is installed anywhere, the copy is given
an index above every one that the cluster has used, and an empty window of changed names.
"""
from pathlib import Path

import lmdb

from holdfast.errors import BadRequest
from holdfast.ids import Index, Millis
from holdfast.limits import REPLICA_MAP_BYTES
from holdfast.replica import window
from holdfast.replica.lmdb_copy import stream_copy
from holdfast.replica.lmdb_file import DATABASES, STATE, State, pack_state, read_state, unlock_map
from holdfast.storage import StateCopy

DATA_FILE = "data.mdb"                                   # LMDB's own name for it

def renumber(folder: Path, *, above: State) -> StateCopy:
    """`folder` holds a copy as DATA_FILE. Cluster time goes on from the later of the two. Raises BadRequest: it is no such copy."""
    try:
        environment = lmdb.open(str(folder), max_dbs=8, map_size=REPLICA_MAP_BYTES, lock=False, sync=False, metasync=False, lib_version=0)
    except lmdb.Error as error:
        raise BadRequest(f"the snapshot's state cannot be read: {error}") from error
    try:
        unlock_map(folder / DATA_FILE)
        meta, names = (environment.open_db(name, create=False) for name in DATABASES[2:4])
        with environment.begin(write=True) as txn:
            found = read_state(txn.get(STATE, db=meta))
            state = State(Index(max(found.index, above.index) + 1), Millis(max(found.time_ms, above.time_ms)), above.generation + 1)
            txn.put(STATE, pack_state(state), db=meta)
            window.forget(txn, names, meta)
        return StateCopy(index=state.index, generation=state.generation, chunks=stream_copy(environment, environment.begin()))
    except lmdb.Error as error:
        environment.close()
        raise BadRequest(f"the snapshot's state cannot be read: {error}") from error
