"""What travels between members."""
import asyncio

import pytest
from tests.unit.storage.raft.cluster import Network, end, grow

from holdfast.storage.raft import RaftLog, is_append
from holdfast.storage.raft.driver import Kind
from holdfast.storage.raft.transport import FromMember, NotAMember, write


def test_entries_are_told_from_all_else_that_raft_sends(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: set[tuple[bool, bool]] = set()
    kinds: set[int] = set()
    kind_of_now = [0]
    plain_send, plain_deliver = RaftLog.send, Network.deliver

    def send(log: RaftLog, to: int, kind: int, data: bytes) -> None:
        kind_of_now[0] = kind
        plain_send(log, to, kind, data)
        kind_of_now[0] = 0

    def deliver(network: Network, sender: int, to: int, data: bytes) -> None:
        sent.add((kind_of_now[0] == Kind.APPEND, is_append(data)))
        kinds.add(kind_of_now[0])
        plain_deliver(network, sender, to, data)

    monkeypatch.setattr(RaftLog, "send", send)
    monkeypatch.setattr(Network, "deliver", deliver)

    async def run() -> None:
        nodes = await grow(Network(), 3)             # joins, elects, writes, tells the commit
        await end(nodes)

    asyncio.run(run())
    assert sent == {(True, True), (False, False)}
    assert {Kind.APPEND, Kind.HEARTBEAT} <= kinds


def test_entries_to_a_node_that_does_not_know_its_sender_are_entries_too() -> None:
    assert is_append(write(FromMember(raft_id=1, address="a:1", message=b"\x08\x03\x10\x02")))
    assert not is_append(write(FromMember(raft_id=1, address="a:1", message=b"\x08\x05\x10\x02")))
    assert not is_append(write(NotAMember(changed_at=5)))
    assert not is_append(b"")
    assert not is_append(b"\xff\xc1")
