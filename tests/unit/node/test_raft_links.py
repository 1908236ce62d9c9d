"""Which members a node dials."""
import asyncio
from types import SimpleNamespace
from typing import cast

from tests.unit.cluster.nodes import SHARED, Node, run

from holdfast.ids import NodeId
from holdfast.node.raft_links import RaftLinks
from holdfast.storage.raft import Member, RaftLog


def member(name: str, raft_id: int, address: str) -> Member:
    return Member(id=NodeId(name), raft_id=raft_id, address=address, voter=True)


def test_a_node_that_lost_its_disk_does_not_dial_what_it_was_before() -> None:
    """It did while it read the log up to its own removal, refused itself, and told its operator to check the addresses."""
    async def main() -> None:
        one, other = Node("n1"), Node("n2")
        address, others = await one.listen(), await other.listen()
        status = SimpleNamespace(members=(member("n1", 1, address), member("n2", 2, others)))
        links = RaftLinks(one.port, cast(RaftLog, SimpleNamespace(raft_id=3, status=status)), SHARED, one.heard.log, address)
        links.members_changed()
        await other.wait_for_link()
        links.close()
        await asyncio.sleep(0)
        assert one.heard.named("cluster.refused") == []
        assert one.heard.named("cluster.peer_unreachable") == []

    run(main)
