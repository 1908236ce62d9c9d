"""Two nodes over real sockets of the loopback."""
import asyncio
import fcntl
import socket

import pytest
from tests.unit.cluster.nodes import BOUNDS, KIND, MEMBERS, SHARED, Inbox, Node, identity, run

from holdfast.cluster import Alpn, Credentials, LinkError
from holdfast.cluster.link import TlsLink
from holdfast.errors import InvariantError


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
        await asyncio.sleep(0.02)
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
        await asyncio.sleep(0.02)
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
