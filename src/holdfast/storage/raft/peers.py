"""`raft/peers.json`: where a majority is lost for good, an operator says in it who the members are from now on.

Read when the folder is opened, and removed once what it says is durable. As in Vault it is a list of {"id", "address", "non_voter"}, the
same on every node that is left. Invariants: (1) a file that leaves any doubt changes nothing, and the node does not start; (2) a member
keeps the raft id by which the log knows it: nobody else's disk can be taken for its. Leaves to others: what the log does with them.
"""
from collections import Counter
from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from pathlib import Path

import msgspec

from holdfast.errors import HoldfastError
from holdfast.ids import NodeId
from holdfast.limits import RAFT_MEMBERS_MAX, RAFT_PEERS_MAX_BYTES, SERVER_ID_MAX
from holdfast.storage.disk import Disk
from holdfast.storage.raft.form import Member

FOLDER, NAME = "raft", "peers.json"


class Peer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`address`: of its cluster port, `host:port`."""

    id: NodeId
    address: str
    non_voter: bool = False


Peers = tuple[Peer, ...]
_decode = msgspec.json.Decoder(Peers).decode


class PeersError(HoldfastError):
    """The file cannot be followed; says why, and where it is. Nothing has changed."""

    def __init__(self, folder: Path, why: str) -> None:
        super().__init__(f"{folder / FOLDER / NAME}: {why}")


def read(disk: Disk, folder: Path) -> Peers | None:
    """What the file below the storage folder says; None: there is none. Raises PeersError, OSError."""
    path = folder / FOLDER / NAME
    if not disk.exists(path.parent) or not disk.exists(path):
        return None
    file = disk.open(path)
    try:
        size = file.size()
        if size > RAFT_PEERS_MAX_BYTES:
            raise PeersError(folder, f"it has {size} bytes: the limit is {RAFT_PEERS_MAX_BYTES}")
        text = file.read_at(size, 0)
    finally:
        file.close()
    try:
        found = _decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise PeersError(folder, f'not a list of {{"id", "address", "non_voter"}}: {error}') from error
    _check(folder, found)
    return found


def members(named: Peers, folder: Path, *, own: tuple[NodeId, int], known: Mapping[NodeId, int], has_log: bool) -> tuple[Member, ...]:
    """`own`: name and raft id of this node; `known`: raft ids of all that its log has ever named. Raises PeersError."""
    node, raft_id = own
    if not has_log:
        raise PeersError(folder, "this node has no log from which a cluster could go on: start it without the file, and let it join")
    if all(peer.id != node for peer in named):
        raise PeersError(folder, f"it does not name this node, {node}: if it is to be left out, give it an empty folder and let it join")
    raft_ids = {**known, node: raft_id}
    strangers = [peer.id for peer in named if peer.id not in raft_ids]
    if strangers:
        raise PeersError(folder, f"this node's log knows no {_list(strangers)}: name only nodes whose data is left, and let the others "
                                 "join once the cluster is back")
    found = tuple(Member(id=peer.id, raft_id=raft_ids[peer.id], address=peer.address, voter=not peer.non_voter) for peer in named)
    if twins := _twice(str(member.raft_id) for member in found):
        raise PeersError(folder, f"{_list(member.id for member in found if str(member.raft_id) in twins)} are one node")
    return found


def remove(disk: Disk, folder: Path) -> None:
    """Durably. Raises OSError."""
    disk.remove(folder / FOLDER / NAME)
    disk.sync_folder(folder / FOLDER)


def _check(folder: Path, named: Peers) -> None:
    """Raises PeersError."""
    if len(named) > RAFT_MEMBERS_MAX:
        raise PeersError(folder, f"it names {len(named)} members: the limit is {RAFT_MEMBERS_MAX}")
    for peer in named:
        if not 0 < len(peer.id) <= SERVER_ID_MAX:
            raise PeersError(folder, f"an id has {len(peer.id)} characters: 1 to {SERVER_ID_MAX} are allowed")
        if not _is_reachable(peer.address):
            raise PeersError(folder, f"{peer.address!r} of {peer.id} is no host:port at which others could reach it, as 10.0.0.1:8201")
    for twins in (_twice(peer.id for peer in named), _twice(peer.address for peer in named)):
        if twins:
            raise PeersError(folder, f"{_list(twins)} stands there twice")
    if all(peer.non_voter for peer in named):
        raise PeersError(folder, "it names no voter")


def _is_reachable(address: str) -> bool:
    host, _, port = address.rpartition(":")
    if not (port.isascii() and port.isdecimal() and 0 < int(port) <= 65_535):
        return False
    is_bracketed = host.startswith("[") and host.endswith("]")
    try:
        return not ip_address(host[1:-1] if is_bracketed else host).is_unspecified and is_bracketed is (":" in host)
    except ValueError:                                       # a name
        return bool(host) and all(each.isalnum() or each in ".-_" for each in host)


def _twice(texts: Iterable[str]) -> list[str]:
    return [text for text, count in Counter(texts).items() if count > 1]


def _list(names: Iterable[str]) -> str:
    return ", ".join(names)
