"""Links that are kept up, over real sockets of the loopback."""
import asyncio
import time
from collections.abc import AsyncIterator, Sequence

import pytest
from tests.unit.cluster.nodes import BOUNDS, KIND, LARGE, MEMBERS, SHARED, Inbox, Node, identity, run, until

from holdfast.cluster import Alpn, Credentials, Incoming, Link, LinkError, Mesh, Streams
from holdfast.cluster.link import TlsLink
from holdfast.limits import CLUSTER_QUEUE_MAX, CLUSTER_QUEUE_MAX_BYTES

ENTRIES = 9


class Replies(Inbox):
    """Of an address: its links may end many times."""

    def closed(self, why: str) -> None:
        """The mesh makes another one."""


class Meshed(Node):
    """A node with a mesh, and streams on what comes in."""

    def __init__(self, name: str, credentials: Credentials = MEMBERS) -> None:
        super().__init__(name)
        self.resets: list[str] = []
        self.replies = Replies()
        self.came: list[Incoming] = []
        self.credentials = credentials
        self.mesh = Mesh(self.port, Alpn.RAFT, lambda: self.credentials, bounds=BOUNDS, log=self.heard.log, receiver=lambda _: self.replies,
                         on_reset=self.resets.append, in_order=(ENTRIES,))

    def accept(self, link: Link) -> Streams:  # type: ignore[override]  # with streams in between
        streams = Streams(super().accept(link), bounds=BOUNDS, opened=self.came.append)
        streams.bind(link)
        return streams

    @property
    def last(self) -> TlsLink:
        link = self.links[-1]
        assert isinstance(link, TlsLink)
        return link


def test_messages_find_their_way_and_answers_come_back() -> None:
    async def main() -> None:
        a, b = Meshed("a"), Meshed("b")
        b.mesh.send(await a.listen(), KIND, b"before the link is up")
        _, arrived = await a.wait_for_link()
        await arrived.wait_for(1)
        for n in range(100):
            b.mesh.send(a.address, KIND, bytes([n]))
        assert await arrived.wait_for(101) == [(KIND, b"before the link is up"), *((KIND, bytes([n])) for n in range(100))]
        a.last.send(KIND, b"answer")
        assert await b.replies.wait_for(1) == [(KIND, b"answer")]
        b.mesh.send(a.address, LARGE, bytes(5_000_000))
        assert (await arrived.wait_for(102))[-1] == (LARGE, bytes(5_000_000))
        assert b.mesh.is_up(a.address)
        assert len(a.links) == 1
        b.mesh.close("sealed")
        assert await arrived.wait_closed() == "the other side has ended the link: sealed"
        assert not b.heard.named("cluster.peer_lost")
    run(main)


def test_a_reset_is_told_at_once_and_the_link_comes_back() -> None:
    async def main() -> None:
        a, b = Meshed("a"), Meshed("b")
        b.mesh.keep([await a.listen()])
        await a.wait_for_link()
        await until(lambda: b.mesh.is_up(a.address))
        a.last._transport.abort()
        began = time.monotonic()
        await until(lambda: b.resets == [a.address])
        assert time.monotonic() - began < 3.0        # no later than a machine that is busy lets it be heard
        await a.wait_for_link(2)
        await until(lambda: b.mesh.is_up(a.address))
        assert len(b.heard.named("cluster.peer_lost")) == 1
        b.mesh.close()
    run(main)


def test_an_end_in_good_order_is_no_reset() -> None:
    async def main() -> None:
        a, b = Meshed("a"), Meshed("b")
        b.mesh.keep([await a.listen()])
        await a.wait_for_link()
        a.last.close("sealed")
        await a.wait_for_link(2)
        assert b.resets == []
        assert b.heard.whys("cluster.peer_lost") == ["the other side has ended the link: sealed"]
        b.mesh.close()
    run(main)


def test_a_poke_tries_at_once_and_a_node_that_is_down_fills_no_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.cluster.mesh.CLUSTER_REDIAL_S", (20.0, 20.0))

    async def main() -> None:
        a, b = Meshed("a"), Meshed("b")
        address = await a.listen()
        await a.port.close()
        b.mesh.keep([address])
        for _ in range(5):
            await until(lambda: bool(b.heard.named("cluster.peer_unreachable")))
            b.mesh.poke(address)
            await asyncio.sleep(0)
        a.port.offer(Alpn.RAFT, MEMBERS, a.accept)
        await a.port.listen(address)
        b.mesh.poke(address)
        await until(lambda: b.mesh.is_up(address))   # not after 20 s
        assert len(b.heard.named("cluster.peer_unreachable")) == 1
        b.mesh.close()
    run(main)


def test_what_waits_for_a_link_is_bounded_and_the_oldest_goes_first() -> None:
    async def main() -> None:
        a, b = Meshed("a"), Meshed("b")
        address = await a.listen()
        for n in range(CLUSTER_QUEUE_MAX + 10):
            b.mesh.send(address, KIND, n.to_bytes(4))
        _, arrived = await a.wait_for_link()
        frames = await arrived.wait_for(CLUSTER_QUEUE_MAX)
        assert [int.from_bytes(body) for _, body in frames] == list(range(10, CLUSTER_QUEUE_MAX + 10))
        b.mesh.close()
        for n in range(60):
            b.mesh.send(address, KIND, bytes([n]) * 100_000)
        _, arrived = await a.wait_for_link(2)
        frames = await arrived.wait_for(CLUSTER_QUEUE_MAX_BYTES // 100_000)
        assert [body[0] for _, body in frames] == list(range(60 - CLUSTER_QUEUE_MAX_BYTES // 100_000, 60))
        b.mesh.close()
    run(main)


def test_entries_keep_their_order_however_long_they_are_and_all_else_passes_them() -> None:
    async def main() -> None:
        a, b = Meshed("a"), Meshed("b")
        b.mesh.keep([await a.listen()])
        await until(lambda: b.mesh.is_up(a.address))
        sizes = (100, 5_000_000, 100, 200_000, 0, 1_000_000, 100)
        for n, size in enumerate(sizes):
            b.mesh.send(a.address, ENTRIES, bytes([n]) * size)
            b.mesh.send(a.address, KIND, bytes([n]))
        _, arrived = await a.wait_for_link()
        frames = await arrived.wait_for(2 * len(sizes))
        assert [body for kind, body in frames if kind == ENTRIES] == [bytes([n]) * size for n, size in enumerate(sizes)]
        assert [kind for kind, _ in frames].index(ENTRIES, 1) > len(sizes)   # all of the others came before the second one
        b.mesh.close()
    run(main)


def test_of_entries_that_find_no_room_the_newest_are_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those behind a gap are worth nothing to a log."""
    monkeypatch.setattr("holdfast.cluster.mesh.CLUSTER_IN_ORDER_MAX_BYTES", 1_000_000)

    async def main() -> None:
        a, b = Meshed("a"), Meshed("b")
        address = await a.listen()
        for n in range(10):
            b.mesh.send(address, ENTRIES, bytes([n]) * 300_000)
        _, arrived = await a.wait_for_link()
        frames = await arrived.wait_for(3)
        await until(lambda: b.mesh._peers[address]._in_order.is_idle)
        b.mesh.send(address, ENTRIES, bytes([9]) * 2_000_000)        # longer than the bound, alone
        frames = await arrived.wait_for(4)
        assert [body[0] for _, body in frames] == [0, 1, 2, 9]
        b.mesh.close()
    run(main)


def test_entries_are_forgotten_with_their_link() -> None:
    async def main() -> None:
        a, b = Meshed("a"), Meshed("b")
        b.mesh.keep([await a.listen()])
        await until(lambda: b.mesh.is_up(a.address))
        for _ in range(5):
            b.mesh.send(a.address, ENTRIES, bytes(5_000_000))
        a.last._transport.abort()
        await a.wait_for_link(2)
        await until(lambda: b.mesh.is_up(a.address))
        b.mesh.send(a.address, ENTRIES, b"new")
        assert await a.inboxes[1].wait_for(1) == [(ENTRIES, b"new")]
        b.mesh.close()
    run(main)


def test_what_has_waited_too_long_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.cluster.mesh.CLUSTER_QUEUE_S", 0.0)

    async def main() -> None:
        a, b = Meshed("a"), Meshed("b")
        b.mesh.send(await a.listen(), KIND, b"out of date")
        await until(lambda: b.mesh.is_up(a.address))
        _, arrived = await a.wait_for_link()
        await until(lambda: b.mesh._peers[a.address]._others.is_idle)
        b.mesh.send(a.address, KIND, b"news")
        assert await arrived.wait_for(1) == [(KIND, b"news")]
        b.mesh.close()
    run(main)


def test_only_those_that_are_kept_stay() -> None:
    async def main() -> None:
        a, b, c = Meshed("a"), Meshed("b"), Meshed("c")
        c.mesh.keep([await a.listen(), await b.listen()])
        _, at_a = await a.wait_for_link()
        await b.wait_for_link()
        await until(lambda: c.mesh.is_up(a.address))
        c.mesh.keep([b.address])
        assert await at_a.wait_closed() == "the other side has ended the link: not a member any more"
        assert (c.mesh.is_up(a.address), c.resets) == (False, [])
        await until(lambda: c.mesh.is_up(b.address))
        c.mesh.close()
    run(main)


def test_new_credentials_count_at_the_next_try() -> None:
    async def main() -> None:
        new = identity("raft-next")
        a, b = Meshed("a"), Meshed("b", Credentials(own=new, accepts=(SHARED.certificate,)))
        b.mesh.keep([await a.listen()])
        await until(lambda: bool(b.heard.named("cluster.peer_unreachable")))
        assert b.heard.whys("cluster.peer_unreachable") == [f"{a.address}: does not accept this node's certificate"]
        b.credentials = MEMBERS
        b.mesh.poke(a.address)
        await until(lambda: b.mesh.is_up(a.address))
        b.mesh.close()
    run(main)


async def slowly(pieces: Sequence[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        await asyncio.sleep(0)
        yield piece


def test_a_stream_goes_beside_the_messages() -> None:
    async def main() -> None:
        a, b = Meshed("a"), Meshed("b")
        b.mesh.keep([await a.listen()])
        with pytest.raises(LinkError, match="no link now"):
            await b.mesh.send_stream(a.address, LARGE, b"", slowly([b"x"]))
        await until(lambda: b.mesh.is_up(a.address))
        pieces = [bytes([n]) * 1_000_000 for n in range(20)]
        sending = asyncio.create_task(b.mesh.send_stream(a.address, LARGE, b"header", slowly(pieces)))
        await until(lambda: bool(a.came))
        assert a.came[0].header == b"header"
        body: list[bytes] = []
        async for chunk in a.came[0]:
            body.append(chunk)
            if len(body) == 1:
                b.mesh.send(a.address, KIND, b"beside")
                await a.inboxes[0].wait_for(1)       # while the stream waits to be taken
        assert b"".join(body) == b"".join(pieces)
        await sending
        again = asyncio.create_task(b.mesh.send_stream(a.address, LARGE, b"", slowly(pieces)))
        await until(lambda: len(a.came) == 2)
        a.last._transport.abort()
        with pytest.raises(LinkError):
            await again
        b.mesh.close()
    run(main)
