"""sys/storage/raft: of a node whose storage is another one. Source: Vault API, sys/storage/raft."""
from holdfast.engine import Context, Input, Method, Response, Route, Txn, on
from holdfast.errors import BadRequest

NOT_IN_USE = "raft storage is not in use"


class Anything(Input, frozen=True):
    """Whatever was asked, the answer is the same."""


def refuse(txn: Txn, args: Anything, ctx: Context) -> Response:
    """Say that this node's storage is not integrated storage."""
    raise BadRequest(NOT_IN_USE)


_read, _write = on(Anything, refuse), on(Anything, refuse, sudo=True)
ROUTES = (
    Route("storage/raft/join", "Joining a cluster.", {Method.POST: on(Anything, refuse, public=True, sealed=True, local=True)}),
    Route("storage/raft/bootstrap", "Beginning a cluster.", {Method.POST: on(Anything, refuse, public=True, sealed=True, local=True)}),
    Route("storage/raft/configuration", "The nodes of the cluster.", {Method.GET: _read}),
    Route("storage/raft/remove-peer", "Removing a node from the cluster.", {Method.POST: _write}),
    Route("storage/raft/snapshot", "The state of the cluster as a file.", {Method.GET: _read, Method.POST: _write}),
    Route("storage/raft/snapshot-force", "The state of the cluster from any file.", {Method.POST: _write}),
    Route("storage/raft/autopilot/state", "How the nodes are doing.", {Method.GET: _read}),
    Route("storage/raft/autopilot/configuration", "How nodes are looked after.", {Method.GET: _read, Method.POST: _write}),
)
