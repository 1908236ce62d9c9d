"""When a node leads without having asked anybody."""
import pytest

from holdfast.ids import NodeId
from holdfast.node.raft_links import passed_a_gate
from holdfast.storage.raft import TIMING, Member


def members(**votes: bool) -> tuple[Member, ...]:
    return tuple(Member(id=NodeId(name), raft_id=number, address=f"{name}:1", voter=voter)
                 for number, (name, voter) in enumerate(votes.items(), 1))


@pytest.mark.parametrize(("known", "up_ms", "passed"), [
    (members(a=True, b=False), TIMING.vote_gate - 1, True),
    (members(a=True, b=False), TIMING.vote_gate, False),     # the gate has opened
    (members(a=True), 0, False),                             # nobody could read under its leases
    (members(a=True, b=True), 0, False),                     # it was voted for, by who has a gate of its own
    (members(a=False, b=True), 0, False),
])
def test_the_only_voter_of_several_members_waits_for_its_gate(known: tuple[Member, ...], up_ms: int, passed: bool) -> None:
    """A learner may still read under what an earlier run of the process granted."""
    assert passed_a_gate(known, NodeId("a"), up_ms=up_ms) is passed
