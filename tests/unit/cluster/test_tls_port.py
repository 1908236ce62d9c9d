"""Two nodes over real sockets of the loopback."""
import asyncio
import fcntl
import socket
from contextlib import suppress
from struct import pack
from typing import Any

import pytest
from tests.unit.cluster.nodes import BOUNDS, KIND, MEMBERS, SHARED, Inbox, Node, identity, run, until

from holdfast._native import TlsSession
from holdfast.cluster import Alpn, Credentials, Hello, Link, LinkError
from holdfast.cluster.frame import HEAD, Own, encode_frame
from holdfast.cluster.hello import encode_hello
from holdfast.cluster.link import TlsLink
from holdfast.cluster.tls_port import tls_of
from holdfast.errors import InvariantError
from holdfast.ids import NodeId
from holdfast.limits import CLUSTER_PENDING_HIGH_BYTES, CLUSTER_REFUSALS_LOGGED, CLUSTER_UNFINISHED_MAX


def test_frames_arrive_whole_and_in_order_both_ways() -> None:
    async def main() -> None:
        a, b = Node("a"), Node("b")
        link, inbox = await b.dial(await a.listen())
        sent = [(KIND, bytes([n]) * size) for n, size in enumerate((0, 1, 5_000, 200_000, 17))]
        for kind, body in sent:
            link.send(kind, body)
        there, arrived = await a.wait_for_link()
        assert await arrived.wait_for(len(sent)) == sent
        assert there.peer == b.hello
        assert link.peer == a.hello
        assert there.certificate == link.certificate == SHARED.certificate
        assert (link.alpn, there.alpn) == (Alpn.RAFT, Alpn.RAFT)
        assert link.remote == a.address
        there.send(KIND, b"back")
        assert await inbox.wait_for(1) == [(KIND, b"back")]
        await b.port.close()
        assert await arrived.wait_closed() == "the other side has ended the link: this node leaves the cluster port"
        assert not there.was_reset
    run(main)


def test_what_the_other_side_sends_at_once_waits_until_dial_has_returned() -> None:
    async def main() -> None:
        a, b = Node("a"), Node("b")

        def accept(link: object) -> Inbox:
            assert isinstance(link, TlsLink)
            link.send(KIND, b"first")
            link.close("and last")
            return Inbox()

        a.port.offer(Alpn.RAFT, MEMBERS, accept)
        link, inbox = await b.dial(await a.port.listen("127.0.0.1:0"))
        assert inbox.frames == []
        assert await inbox.wait_closed() == "the other side has ended the link: and last"
        assert inbox.frames == [(KIND, b"first")]
        link.send(KIND, b"too late: dropped")
        with pytest.raises(LinkError):
            await link.drained()
    run(main)


def test_the_protocol_that_is_asked_for_picks_the_certificate() -> None:
    async def main() -> None:
        a, b = Node("a"), Node("b")
        forwarding, standby = identity("fw-1"), identity("ps-1")
        await a.listen()
        a.port.offer(Alpn.FORWARDING, Credentials(own=forwarding, accepts=(forwarding.certificate,)), a.accept)
        a.port.offer(Alpn.PERFORMANCE_STANDBY, Credentials(own=forwarding, accepts=(standby.certificate,)), a.accept)
        raft, _ = await b.dial(a.address)
        forward, _ = await b.dial(a.address, Credentials(own=forwarding, accepts=(forwarding.certificate,)), Alpn.FORWARDING)
        second, _ = await b.dial(a.address, Credentials(own=standby, accepts=(forwarding.certificate,)), Alpn.PERFORMANCE_STANDBY)
        assert raft.certificate == SHARED.certificate
        assert forward.certificate == second.certificate == forwarding.certificate
        there, _ = await a.wait_for_link(3)
        assert there.certificate == standby.certificate
        assert there.alpn is Alpn.PERFORMANCE_STANDBY
    run(main)


@pytest.mark.parametrize(("credentials", "here", "there"), [
    (Credentials(own=identity("raft-old"), accepts=(SHARED.certificate,)),
     "does not accept this node's certificate", "shows a certificate that is not accepted here"),
    (Credentials(own=SHARED, accepts=(identity("raft-old").certificate,)),
     "shows a certificate that is not accepted here", "does not accept this node's certificate"),
])
def test_who_is_not_a_member_is_refused_in_words_on_both_sides(credentials: Credentials, here: str, there: str) -> None:
    async def main() -> None:
        a, b = Node("a"), Node("b")
        await a.listen()
        with pytest.raises(LinkError) as raised:
            await b.dial(a.address, credentials)
        assert raised.value.why == f"{a.address}: {here}"
        await until(lambda: bool(a.heard.named("cluster.refused")))
        assert a.heard.whys("cluster.refused") == [there]
        assert a.links == []
    run(main)


def test_a_protocol_that_is_not_offered_is_refused_in_words() -> None:
    async def main() -> None:
        a, b = Node("a"), Node("b")
        await a.listen()
        for withdrawn in (False, True):
            if withdrawn:
                a.port.withdraw(Alpn.RAFT)
            with pytest.raises(LinkError, match="does not offer this protocol now"):
                await b.dial(a.address, alpn=Alpn.FORWARDING)
        await until(lambda: len(a.heard.named("cluster.refused")) == 2)
        assert a.heard.whys("cluster.refused") == ["asks for a protocol that is not offered here now"] * 2
    run(main)


def test_sockets_are_not_inherited_and_a_dead_peer_is_noticed() -> None:
    async def main() -> None:
        a, b = Node("a"), Node("b")
        link, _ = await b.dial(await a.listen())
        there, _ = await a.wait_for_link()
        for end in (link, there):
            assert isinstance(end, TlsLink)
            sock = end._transport.get_extra_info("socket")
            assert fcntl.fcntl(sock.fileno(), fcntl.F_GETFD) & fcntl.FD_CLOEXEC
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 5_000
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert a.port._server is not None
        listener = a.port._server.sockets[0]
        assert fcntl.fcntl(listener.fileno(), fcntl.F_GETFD) & fcntl.FD_CLOEXEC
    run(main)


def test_a_body_over_its_kinds_bound_is_a_defect_of_the_sender() -> None:
    async def main() -> None:
        a, b = Node("a"), Node("b")
        link, _ = await b.dial(await a.listen())
        with pytest.raises(InvariantError, match="200001 bytes: the limit is 200000"):
            link.send(KIND, bytes(BOUNDS[KIND] + 1))
        with pytest.raises(InvariantError):
            link.send(99, b"")
    run(main)


@pytest.mark.parametrize(("other", "why"), [
    ({"cluster": "c2"}, "node b belongs to cluster c2, node a to cluster c1"),
    ({"name": "a"}, "node a was told to connect to itself: check the addresses in its configuration"),
    ({"name": "a", "incarnation": 2}, "two nodes have the id a: give one of them another node_id"),
    ({"frames_min": 2, "frames_max": 3}, "no version of frames in common: node b knows 2 to 3, node a knows 1 to 1"),
])
def test_a_node_that_does_not_belong_here_is_told_so_on_both_sides(other: dict[str, Any], why: str) -> None:
    async def main() -> None:
        a, b = Node("a"), Node(**{"name": "b", **other})
        with pytest.raises(LinkError) as raised:
            await b.dial(await a.listen())
        assert raised.value.why == f"{a.address}: the other side has ended the link: {why}"
        assert a.heard.whys("cluster.refused") == [why]
        assert a.links == []
    run(main)


def test_a_node_whose_clock_is_wrong_is_told_so_on_both_sides() -> None:
    async def main() -> None:
        a, b = Node("a", wall_ms=1_700_000_000_000), Node("b", wall_ms=1_700_000_060_000)
        await b.dial(await a.listen())
        assert [event.fields["peer_ahead_ms"] for event in a.heard.named("cluster.clocks_differ")] == [60_000]
        assert [event.fields["peer_ahead_ms"] for event in b.heard.named("cluster.clocks_differ")] == [-60_000]
    run(main)


def test_a_newer_node_and_an_older_one_use_what_both_know() -> None:
    async def main() -> None:
        a, b = Node("a", frames_max=3), Node("b", frames_min=1, frames_max=2)
        link, inbox = await b.dial(await a.listen())
        there, arrived = await a.wait_for_link()
        there.send(KIND, b"down")
        link.send(KIND, b"up")
        assert await arrived.wait_for(1) == [(KIND, b"up")]
        assert await inbox.wait_for(1) == [(KIND, b"down")]
        assert isinstance(link, TlsLink)
        assert link._version == 2
    run(main)


class Raw:
    """A member that speaks TLS well and frames badly."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, session: TlsSession) -> None:
        self.reader, self.writer, self.session = reader, writer, session

    @classmethod
    async def connect(cls, address: str, *, greets: bool = True) -> "Raw":
        reader, writer = await asyncio.open_connection(*address.rsplit(":", 1))
        raw = cls(reader, writer, TlsSession.connect(tls_of(Alpn.RAFT, MEMBERS)))
        raw.write(b"")
        while raw.session.is_handshaking:
            _, out, _ = raw.session.receive(await reader.read(65_536))
            if out:
                writer.write(out)
        if greets:
            raw.write(encode_frame(Own.HELLO, encode_hello(Hello(node=NodeId("raw"), incarnation=1, cluster="c1"))))
        return raw

    def write(self, data: bytes) -> None:
        self.writer.write(self.session.send(data) or b"")

    async def read_to_end(self) -> bytes:
        plain = b""
        while data := await self.reader.read(65_536):
            plain += self.session.receive(data)[0] or b""
        return plain


@pytest.mark.parametrize(("data", "why"), [
    (HEAD.pack(1, KIND, 200_001), "a frame of kind 0x0007 with 200001 bytes: the limit is 200000"),
    (HEAD.pack(1, 99, 0xFFFF_FFFF), "a frame of kind 0x0063 with 4294967295 bytes: the limit is 1048576"),
    (HEAD.pack(9, KIND, 1) + b"x", "a frame of version 9: this link has version 1"),
])
def test_a_frame_that_breaks_a_rule_ends_that_link_with_a_reason_and_nothing_else(data: bytes, why: str) -> None:
    async def main() -> None:
        a, b = Node("a"), Node("b")
        other, _ = await b.dial(await a.listen())
        raw = await Raw.connect(a.address)
        raw.write(encode_frame(KIND, b"good") + data + encode_frame(KIND, b"not looked at"))
        _, arrived = await a.wait_for_link(2)
        assert await arrived.wait_closed() == why
        assert arrived.frames == [(KIND, b"good")]
        assert a.heard.whys("cluster.link_broken") == [why]
        assert encode_frame(Own.GOODBYE, why.encode()) in await raw.read_to_end()
        raw.writer.close()
        other.send(KIND, b"as before")
        assert await a.inboxes[0].wait_for(1) == [(KIND, b"as before")]
    run(main)


def test_a_truncated_frame_is_a_reset_with_a_reason() -> None:
    async def main() -> None:
        a = Node("a")
        raw = await Raw.connect(await a.listen())
        raw.write(encode_frame(KIND, b"never whole")[:-1])
        await raw.writer.drain()
        there, arrived = await a.wait_for_link()
        await raw.reader.read(65_536)                # the other side's hello: unread, it would make a reset of the end
        raw.writer.close()
        assert await arrived.wait_closed() == "the other side has gone, in the middle of a frame"
        assert there.was_reset
        assert arrived.frames == []
        assert len(a.heard.named("cluster.link_broken")) == 1
    run(main)


def test_kinds_of_a_newer_node_are_passed_over_with_one_line() -> None:
    async def main() -> None:
        a = Node("a")
        raw = await Raw.connect(await a.listen())
        raw.write((encode_frame(99, bytes(300_000)) + encode_frame(KIND, b"known")) * 3)
        _, arrived = await a.wait_for_link()
        assert await arrived.wait_for(3) == [(KIND, b"known")] * 3
        assert [event.fields["kind"] for event in a.heard.named("cluster.kind_unknown")] == ["0x0063"]
        raw.writer.close()
    run(main)


@pytest.mark.parametrize(("data", "why"), [
    (encode_frame(KIND, b"no hello"), "the first frame is of kind 0x0007: it must be a hello"),
    (encode_frame(Own.HELLO, b"\xc1"), "malformed hello: MessagePack data is malformed: invalid opcode '\\xc1' (byte 0)"),
    (HEAD.pack(1, Own.HELLO, 4_097), "a frame of kind 0xff00 with 4097 bytes: the limit is 4096"),
])
def test_who_does_not_greet_is_refused(data: bytes, why: str) -> None:
    async def main() -> None:
        a = Node("a")
        raw = await Raw.connect(await a.listen(), greets=False)
        raw.write(data)
        assert await raw.read_to_end() == encode_frame(Own.GOODBYE, why.encode())
        assert a.heard.whys("cluster.refused") == [why]
        assert a.links == []
        raw.writer.close()
    run(main)


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\xff\xff" + bytes(70_000), b"\x00", bytes(100_000)])
def test_strangers_are_cut_off_and_cost_no_line_too_many(data: bytes) -> None:
    async def main() -> None:
        a, b = Node("a"), Node("b")
        await a.listen()
        for _ in range(CLUSTER_REFUSALS_LOGGED + 10):
            reader, writer = await asyncio.open_connection(*a.address.rsplit(":", 1))
            writer.write(data)
            writer.write_eof()
            with suppress(ConnectionError):
                while await reader.read(65_536):
                    pass
            writer.close()
        await until(lambda: not a.port._unfinished)
        assert len(a.heard.named("cluster.refused")) == CLUSTER_REFUSALS_LOGGED
        await b.dial(a.address)
    run(main)


def test_those_who_only_wait_go_first_and_keep_no_member_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.cluster.tls_port.CLUSTER_HANDSHAKE_S", 0.3)

    async def main() -> None:
        a, b = Node("a"), Node("b")
        host, port = (await a.listen()).rsplit(":", 1)
        silent = [await asyncio.open_connection(host, port) for _ in range(CLUSTER_UNFINISHED_MAX + 5)]
        await until(lambda: len(a.port._unfinished) == CLUSTER_UNFINISHED_MAX)
        await b.dial(a.address)
        for reader, _ in silent:
            with suppress(ConnectionError):
                assert await reader.read() == b""
        assert not a.port._unfinished
        assert a.heard.whys("cluster.refused")[0] == "too many connections at once that have not shown who they are"
        for _, writer in silent:
            writer.close()
        assert len(a.links) == 1
    run(main)


def test_whoever_offers_may_refuse_a_node_by_name() -> None:
    async def main() -> None:
        a, b = Node("a"), Node("b")

        def accept(link: Link) -> Inbox:
            raise LinkError(f"node {link.peer.node} was removed from this cluster")

        a.port.offer(Alpn.RAFT, MEMBERS, accept)
        address = await a.port.listen("127.0.0.1:0")
        with pytest.raises(LinkError, match="the other side has ended the link: node b was removed from this cluster"):
            await b.dial(address)
        assert a.heard.whys("cluster.refused") == ["node b was removed from this cluster"]
        assert not a.port._links
    run(main)


class Counting:
    """A transport that counts its writes."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport, self.writes = transport, 0

    def write(self, data: bytes) -> None:
        self.writes += 1
        self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def test_what_is_sent_in_one_turn_goes_out_in_one_write() -> None:
    async def main() -> None:
        a, b = Node("a"), Node("b")
        link, _ = await b.dial(await a.listen())
        _, arrived = await a.wait_for_link()
        assert isinstance(link, TlsLink)
        link._transport = counting = Counting(link._transport)  # type: ignore[assignment]
        for n in range(50):
            link.send(KIND, bytes([n]))
        assert counting.writes == 0
        await arrived.wait_for(50)
        assert counting.writes == 1
    run(main)


def test_connections_begin_at_a_bounded_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.cluster.tls_port.CLUSTER_HANDSHAKES_PER_S", 3)

    async def main() -> None:
        a, b = Node("a"), Node("b")
        await a.listen()
        for _ in range(3):
            await b.dial(a.address)
        with pytest.raises(LinkError):
            await b.dial(a.address)
        assert a.heard.whys("cluster.refused") == ["more than 3 connections in a second"]
        assert len(a.links) == 3
    run(main)


def test_strangers_that_break_off_are_no_event_worth_a_trace() -> None:
    def knock(host: str, port: str) -> None:
        for n in range(60):
            with socket.create_connection((host, int(port))) as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, pack("ii", 1, 0))
                sock.send(b"\x16\x03" * (n % 2))

    async def main() -> None:
        a = Node("a")
        await asyncio.to_thread(knock, *(await a.listen()).rsplit(":", 1))
        await until(lambda: not a.port._unfinished)
        assert {event.name for event in a.heard.events} == {"cluster.listening", "cluster.refused"}
    run(main)


def test_what_the_owner_closes_says_no_more() -> None:
    """Also what came before whoever dialled had the link."""
    async def main() -> None:
        a, b = Node("a"), Node("b")

        def accept(link: Link) -> Inbox:
            link.send(KIND, b"first")
            link.send(KIND, b"second")
            return Inbox()

        class Content(Inbox):
            def received(self, kind: int, body: bytes) -> None:
                super().received(kind, body)
                link.close("enough")

        a.port.offer(Alpn.RAFT, MEMBERS, accept)
        inbox = Content()
        link = await b.port.dial(await a.port.listen("127.0.0.1:0"), Alpn.RAFT, MEMBERS, inbox, within_s=5)
        assert await inbox.wait_closed() == "enough"
        assert inbox.frames == [(KIND, b"first")]
        assert not link.was_reset
    run(main)


def test_dialling_ends_in_time_and_says_why() -> None:
    async def main() -> None:
        b = Node("b")
        server = socket.create_server(("127.0.0.1", 0))      # the kernel answers, nobody else does
        address = f"127.0.0.1:{server.getsockname()[1]}"
        inbox = Inbox()
        with pytest.raises(LinkError, match=rf"{address}: no answer within 0\.05 s"):
            await b.port.dial(address, Alpn.RAFT, MEMBERS, inbox, within_s=0.05)
        server.close()
        with pytest.raises(LinkError, match=r"127\.0\.0\.1:1: "):
            await b.port.dial("127.0.0.1:1", Alpn.RAFT, MEMBERS, inbox, within_s=1)
        with pytest.raises(LinkError, match="not host:port: 'nowhere'"):
            await b.port.dial("nowhere", Alpn.RAFT, MEMBERS, inbox, within_s=1)
        assert (inbox.frames, inbox.why) == ([], None)
    run(main)


def test_a_port_that_closes_ends_what_it_dials() -> None:
    async def main() -> None:
        b = Node("b")
        with socket.create_server(("127.0.0.1", 0)) as server:
            dialling = asyncio.create_task(b.dial(f"127.0.0.1:{server.getsockname()[1]}"))
            await until(lambda: any(link._transport is not None for link in b.port._dialled))
            await b.port.close()
            with pytest.raises(LinkError, match="this node leaves the cluster port"):
                await dialling
        assert not b.port._dialled
    run(main)


def test_a_dial_that_is_cancelled_leaves_no_link() -> None:
    async def main() -> None:
        a, b = Node("a"), Node("b")
        await a.listen()
        for turns in range(0, 40, 2):
            task = asyncio.create_task(b.dial(a.address))
            for _ in range(turns):
                await asyncio.sleep(0.0002)
            task.cancel()
            with suppress(asyncio.CancelledError):
                link, _ = await task
                link.close()
        await until(lambda: not b.port._links and not a.port._links and not a.port._unfinished)
    run(main)


def test_who_takes_nothing_is_waited_for_and_in_the_end_cut_off() -> None:
    async def main() -> None:
        a = Node("a")
        raw = await Raw.connect(await a.listen())
        there, arrived = await a.wait_for_link()
        drains = 0
        while drains < 200:
            for _ in range(8):
                there.send(KIND, bytes(100_000))
            try:
                async with asyncio.timeout(0.1):
                    await there.drained()
                drains += 1
            except TimeoutError:
                break
        assert there.pending_bytes > CLUSTER_PENDING_HIGH_BYTES
        while arrived.why is None:
            there.send(KIND, bytes(200_000))
            await asyncio.sleep(0)
        assert arrived.why == "takes nothing: 33554432 bytes are waiting for it"
        with pytest.raises(LinkError):
            await there.drained()
        raw.writer.transport.abort()
    run(main)


def test_a_port_listens_again_after_it_was_closed() -> None:
    async def main() -> None:
        a, b = Node("a"), Node("b")
        address = await a.listen()
        await a.port.close()
        with pytest.raises(LinkError):
            await b.dial(address)
        a.port.offer(Alpn.RAFT, MEMBERS, a.accept)
        assert await a.port.listen(address) == address
        await b.dial(address)
    run(main)


def test_new_credentials_count_for_new_links_and_old_ones_stand() -> None:
    async def main() -> None:
        a, b = Node("a"), Node("b")
        old, inbox = await b.dial(await a.listen())
        new = identity("raft-new")
        a.port.offer(Alpn.RAFT, Credentials(own=new, accepts=(SHARED.certificate, new.certificate)), a.accept)
        with pytest.raises(LinkError, match="shows a certificate that is not accepted here"):
            await b.dial(a.address)
        await b.dial(a.address, Credentials(own=SHARED, accepts=(new.certificate,)))
        old.send(KIND, b"still here")
        assert await a.inboxes[0].wait_for(1) == [(KIND, b"still here")]
        assert inbox.why is None
    run(main)
