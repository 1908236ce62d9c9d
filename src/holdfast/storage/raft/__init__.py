"""Integrated storage: raft over the cluster port, a journal and a checkpoint on each node."""
from holdfast.storage.raft.form import Member
from holdfast.storage.raft.log import SIZES, RaftLog, Sizes
from holdfast.storage.raft.status import Peer, RaftStatus
from holdfast.storage.raft.timing import TIMING, Timing
from holdfast.storage.raft.transport import Transport, is_append

__all__ = ["SIZES", "TIMING", "Member", "Peer", "RaftLog", "RaftStatus", "Sizes", "Timing", "Transport", "is_append"]
