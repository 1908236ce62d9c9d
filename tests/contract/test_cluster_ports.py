"""What every cluster port keeps to, the real one and the simulated one: the numbers are those of `cluster/port.py`."""
import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import msgspec
import pytest
import uvloop
from tests.unit.cluster.logs import Heard
from tests.unit.cluster.nodes import MEMBERS, SHARED, Inbox, identity

from holdfast.cluster import Alpn, Credentials, Hello, Link, LinkError, Port, Receiver, TlsPort
from holdfast.errors import InvariantError
from holdfast.ids import NodeId
from holdfast.testing.loop import simulation
from holdfast.testing.network import Network, SimPort
from holdfast.testing.process import Machine

KIND, NEWER = 7, 8
BOUNDS = {KIND: 300_000}
OTHER = identity("raft-other")


class Side:
    """One node. `accept` keeps what comes in; a case may put another one in its place."""

    def __init__(self, name: str, listen: str) -> None:
        self.hello = Hello(node=NodeId(name), incarnation=1, cluster="c1")
        self.listen_at, self.address = listen, ""
        self.port: Port
        self.links: list[Link] = []
        self.inboxes: list[Inbox] = []

    def accept(self, link: Link) -> Receiver:
        self.links.append(link)
        self.inboxes.append(Inbox())
        return self.inboxes[-1]

    async def offer(self, credentials: Credentials = MEMBERS, accept: Callable[[Link], Receiver] | None = None) -> None:
        self.port.offer(Alpn.RAFT, credentials, accept or self.accept)
        if not self.address:
            self.address = await self.port.listen(self.listen_at)

    async def dial(self, other: "Side", credentials: Credentials = MEMBERS, alpn: Alpn = Alpn.RAFT) -> tuple[Link, Inbox]:
        inbox = Inbox()
        return await self.port.dial(other.address, alpn, credentials, inbox, within_s=30), inbox


Case: TypeAlias = Callable[[Side, Side], Awaitable[None]]
Run: TypeAlias = Callable[[Case], None]


def run_for_real(case: Case) -> None:
    async def whole() -> None:
        a, b = Side("a", "127.0.0.1:0"), Side("b", "127.0.0.1:0")
        a.port = TlsPort(lambda: a.hello, bounds=BOUNDS, log=Heard().log)
        b.port = TlsPort(lambda: b.hello, bounds={**BOUNDS, NEWER: 100}, log=Heard().log)
        try:
            async with asyncio.timeout(90):
                await case(a, b)
        finally:
            await a.port.close()
            await b.port.close()

    uvloop.run(whole())


def run_simulated(case: Case) -> None:
    with simulation(7) as loop:
        network = Network(loop)
        a, b = Side("a", "a:8201"), Side("b", "b:8201")
        a.port = SimPort(network, loop.process(Machine(loop, "a"), "a/main"), lambda: a.hello, bounds=BOUNDS)
        b.port = SimPort(network, loop.process(Machine(loop, "b"), "b/main"), lambda: b.hello, bounds={**BOUNDS, NEWER: 100})

        async def whole() -> None:
            await case(a, b)

        loop.run_until_complete(whole())


@pytest.fixture(params=[run_for_real, run_simulated], ids=["real", "simulated"])
def run(request: pytest.FixtureRequest) -> Run:
    found: Run = request.param
    return found


async def until(holds: Callable[[], bool]) -> None:
    for _ in range(30_000):
        if holds():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it never came to that")


def test_1_frames_arrive_whole_in_order_and_once(run: Run) -> None:
    async def case(a: Side, b: Side) -> None:
        await a.offer()
        link, inbox = await b.dial(a)
        sent = [(KIND, n.to_bytes(2) * (1 if n % 7 else 20_000)) for n in range(300)]
        for frame in sent[:150]:
            link.send(*frame)
        await link.drained()
        for frame in sent[150:]:
            link.send(*frame)
        await until(lambda: bool(a.links))
        for frame in sent:
            a.links[0].send(*frame)
        assert await a.inboxes[0].wait_for(300) == sent
        assert await inbox.wait_for(300) == sent
        await until(lambda: link.pending_bytes == 0)
    run(case)


def test_2_both_know_who_the_other_one_is(run: Run) -> None:
    async def case(a: Side, b: Side) -> None:
        await a.offer(Credentials(own=SHARED, accepts=(OTHER.certificate,)))
        link, _ = await b.dial(a, Credentials(own=OTHER, accepts=(identity("raft-x").certificate, SHARED.certificate)))
        await until(lambda: bool(a.links))
        there = a.links[0]
        assert (link.peer, there.peer) == (a.hello, b.hello)
        assert (link.certificate, there.certificate) == (SHARED.certificate, OTHER.certificate)
        assert (link.alpn, there.alpn) == (Alpn.RAFT, Alpn.RAFT)
        assert link.remote == a.address
        assert not link.was_reset
    run(case)


@pytest.mark.parametrize("credentials", [
    Credentials(own=OTHER, accepts=(SHARED.certificate,)),
    Credentials(own=SHARED, accepts=(OTHER.certificate,)),
    Credentials(own=SHARED, accepts=()),
])
def test_2_without_the_right_certificates_there_is_no_link(run: Run, credentials: Credentials) -> None:
    async def case(a: Side, b: Side) -> None:
        await a.offer()
        with pytest.raises(LinkError):
            await b.dial(a, credentials)
        assert a.links == []
        await b.dial(a)
    run(case)


@pytest.mark.parametrize("change", [{"cluster": "c2"}, {"node": "a"}, {"node": "a", "incarnation": 2}, {"frames_min": 2, "frames_max": 2}])
def test_2_a_node_that_does_not_belong_here_gets_no_link(run: Run, change: dict[str, object]) -> None:
    async def case(a: Side, b: Side) -> None:
        b.hello = msgspec.structs.replace(b.hello, **change)
        await a.offer()
        with pytest.raises(LinkError):
            await b.dial(a)
        assert a.links == []
    run(case)


def test_2_what_is_not_offered_or_refused_by_its_owner_is_no_link(run: Run) -> None:
    async def case(a: Side, b: Side) -> None:
        def refuse(link: Link) -> Receiver:
            raise LinkError(f"node {link.peer.node} was removed")

        await a.offer()
        with pytest.raises(LinkError):
            await b.dial(a, alpn=Alpn.FORWARDING)
        a.port.withdraw(Alpn.RAFT)
        with pytest.raises(LinkError):
            await b.dial(a)
        await a.offer(accept=refuse)
        with pytest.raises(LinkError, match="node b was removed"):
            await b.dial(a)
        await a.offer()
        await b.dial(a)
        await until(lambda: len(a.links) == 1)
    run(case)


def test_2_an_offer_made_again_counts_for_new_links_and_a_withdrawn_one_ends_none(run: Run) -> None:
    async def case(a: Side, b: Side) -> None:
        await a.offer()
        link, inbox = await b.dial(a)
        await a.offer(Credentials(own=OTHER, accepts=(SHARED.certificate,)))
        with pytest.raises(LinkError):
            await b.dial(a)
        await b.dial(a, Credentials(own=SHARED, accepts=(OTHER.certificate,)))
        a.port.withdraw(Alpn.RAFT)
        link.send(KIND, b"still here")
        assert await a.inboxes[0].wait_for(1) == [(KIND, b"still here")]
        assert inbox.why is None
    run(case)


def test_3_who_dialled_has_the_link_before_its_receiver_hears(run: Run) -> None:
    async def case(a: Side, b: Side) -> None:
        def accept(link: Link) -> Receiver:
            link.send(KIND, b"first")
            link.close("and last")
            return Inbox()

        await a.offer(accept=accept)
        _, inbox = await b.dial(a)
        assert (inbox.frames, inbox.why) == ([], None)
        await until(lambda: inbox.why is not None)
        assert inbox.frames == [(KIND, b"first")]
        assert inbox.why == "the other side has ended the link: and last"
    run(case)


def test_3_when_dial_raises_the_receiver_never_hears(run: Run) -> None:
    async def case(a: Side, b: Side) -> None:
        await a.offer()
        raised = 0
        for within_s in (0.000_1, 0.000_5, 0.001):
            inbox = Inbox()
            try:
                link = await b.port.dial(a.address, Alpn.RAFT, MEMBERS, inbox, within_s=within_s)
            except LinkError:
                raised += 1
                await asyncio.sleep(0.02)
                assert (inbox.frames, inbox.why) == ([], None)
            else:
                link.close()
        assert raised
        await until(lambda: all(each.why is not None for each in a.inboxes))
    run(case)


def test_4_the_end_is_told_once_to_both_and_not_from_within(run: Run) -> None:
    async def case(a: Side, b: Side) -> None:
        await a.offer()
        link, inbox = await b.dial(a)
        await until(lambda: bool(a.links))
        link.send(KIND, b"before the end")
        link.close("enough")
        assert inbox.why is None
        link.close("again")
        link.send(KIND, b"after the end")
        a.links[0].send(KIND, b"crosses it")
        await until(lambda: inbox.why is not None and a.inboxes[0].why is not None)
        await asyncio.sleep(0.02)                    # an Inbox refuses to be told twice
        assert inbox.why == "enough"
        assert a.inboxes[0].why == "the other side has ended the link: enough"
        assert a.inboxes[0].frames == [(KIND, b"before the end")]
        assert inbox.frames == []
        assert not link.was_reset
        assert not a.links[0].was_reset
        with pytest.raises(LinkError):
            await link.drained()
        with pytest.raises(LinkError):
            await a.links[0].drained()
    run(case)


def test_4_a_port_that_closes_ends_its_links_in_good_order(run: Run) -> None:
    async def case(a: Side, b: Side) -> None:
        await a.offer()
        link, inbox = await b.dial(a)
        await until(lambda: bool(a.links))
        await a.port.close()
        await until(lambda: inbox.why is not None and a.inboxes[0].why is not None)
        assert not link.was_reset
        with pytest.raises(LinkError):
            await b.dial(a)
    run(case)


def test_5_kinds_of_a_newer_version_are_passed_over(run: Run) -> None:
    async def case(a: Side, b: Side) -> None:
        await a.offer()
        link, inbox = await b.dial(a)                # b knows one kind more
        link.send(NEWER, b"what is this?")
        link.send(KIND, b"known")
        await until(lambda: bool(a.inboxes and a.inboxes[0].frames))
        assert a.inboxes[0].frames == [(KIND, b"known")]
        assert inbox.why is None
    run(case)


def test_a_body_over_its_bound_is_a_defect_of_the_sender(run: Run) -> None:
    async def case(a: Side, b: Side) -> None:
        await a.offer()
        link, inbox = await b.dial(a)
        for kind, size in ((KIND, 300_001), (NEWER, 101), (99, 0)):
            with pytest.raises(InvariantError):
                link.send(kind, bytes(size))
        link.send(KIND, bytes(300_000))
        await until(lambda: bool(a.inboxes and a.inboxes[0].frames))
        assert inbox.why is None
    run(case)
