"""Who comes in as a member of raft, and what is said of who is none."""
import asyncio
import os
from collections.abc import Callable

import pytest
from tests.unit.cluster.logs import Heard
from tests.unit.cluster.pair import End

from holdfast.cluster import Alpn, Credentials, Link, Receiver, new_identity
from holdfast.ids import Millis, NodeId
from holdfast.node.raft_links import RaftLinks
from holdfast.storage.raft import Member, RaftStatus

IDENTITY = new_identity("raft-test", now_ms=Millis(1_700_000_000_000), draw=os.urandom)


class FakePort:
    """Keeps whom it would give the next connection to."""

    def __init__(self) -> None:
        self.accept: Callable[[Link], Receiver]

    def offer(self, alpn: Alpn, credentials: Credentials, accept: Callable[[Link], Receiver]) -> None:
        self.accept = accept


class FakeLog:
    """Of a node that knows one other member, n1."""

    def __init__(self, *, leads: bool) -> None:
        self.status = RaftStatus(
            term=3, leader=NodeId("n0"), leader_address="n0:1", is_leader=leads, is_removed=False, committed=9, applied=9, last=9, peers=(),
            members=tuple(Member(id=NodeId(name), raft_id=at, address=f"{name}:1", voter=True) for at, name in enumerate(("n0", "n1"), 1)))

    def receive(self, data: bytes) -> None:
        """Nothing is sent here."""


@pytest.mark.parametrize(("leads", "who", "is_told"), [(True, "n1", False), (True, "n9", True), (False, "n9", False)])
def test_the_leader_alone_says_who_is_no_member_and_takes_its_messages_all_the_same(leads: bool, who: str, is_told: bool) -> None:
    """They are answered by what tells a removed node that it is; and a follower may lack the change that made its new leader a member."""
    heard, port = Heard(), FakePort()

    async def run() -> None:
        links = RaftLinks(port, FakeLog(leads=leads), IDENTITY, heard.log)  # type: ignore[arg-type]   # what is asked of them here
        links.open()
        assert port.accept(End(who)) is not None

    asyncio.run(run())
    assert [(event.fields["node"], event.fields["remote"]) for event in heard.named("raft.not_a_member")] == [(who, who)] * is_told
