"""What one node can say of raft."""
from collections.abc import Mapping

import msgspec

from holdfast.ids import Millis, NodeId
from holdfast.storage.raft.disk import RaftDisk
from holdfast.storage.raft.driver import Driver, Role
from holdfast.storage.raft.form import Member


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """A member as the leader sees it. `matched`: index of the last entry that it is known to have."""

    id: NodeId
    raft_id: int
    matched: int
    last_contact_boot_ms: Millis


class RaftStatus(msgspec.Struct, frozen=True, kw_only=True):
    """`leader`: None: unknown. `committed`, `applied`, `last`: indexes of raft's entries. `peers`: at the leader alone. `campaigns`: how
    often this node has stood for election since it started."""

    term: int
    leader: NodeId | None
    is_leader: bool
    is_removed: bool
    committed: int
    applied: int
    last: int
    members: tuple[Member, ...]
    peers: tuple[Peer, ...]
    campaigns: int = 0


def status_of(disk: RaftDisk, driver: Driver | None, contacts: Mapping[int, Millis], *, is_removed: bool,
              campaigns: int) -> RaftStatus:
    """`driver`: None: raft does not run. `contacts`: when each member, by raft id, was last heard of."""
    members, known = disk.members.sorted(), disk.members.now
    if driver is None:
        state = disk.state
        return RaftStatus(term=state.term, leader=None, is_leader=False, is_removed=is_removed, committed=state.commit,
                          applied=state.commit, last=disk.extents.last, members=members, peers=(), campaigns=campaigns)
    term, leader_id, role, committed, applied, _, last, _ = driver.node.status
    leader = known.get(leader_id)
    peers = driver.node.progress if role == Role.LEADER else ()
    return RaftStatus(
        term=term, leader=leader.id if leader else None, is_leader=role == Role.LEADER,
        is_removed=is_removed, committed=committed, applied=applied, last=last, members=members, campaigns=campaigns,
        peers=tuple(Peer(id=known[raft_id].id, raft_id=raft_id, matched=matched, last_contact_boot_ms=contacts.get(raft_id, Millis(0)))
                    for raft_id, matched, _ in peers if raft_id in known and raft_id != disk.raft_id))
