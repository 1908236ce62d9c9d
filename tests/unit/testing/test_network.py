"""Links and datagrams of the simulated network."""
from collections.abc import Coroutine, Iterator

import pytest

from holdfast.cluster.hello import Hello
from holdfast.cluster.identity import Credentials, Identity
from holdfast.cluster.port import Alpn, Link, LinkError
from holdfast.crypto import Secret
from holdfast.ids import NodeId
from holdfast.testing.loop import SimLoop, simulation
from holdfast.testing.network import Network, SimPort
from holdfast.testing.process import Machine, Process

ME = Identity(name="raft", key=Secret(b"key"), certificate=b"certificate")
STRANGER = Identity(name="raft", key=Secret(b"key"), certificate=b"another")
MEMBERS = Credentials(own=ME, accepts=(ME.certificate,))


class Heard:
    """What a receiver was told."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.ended: list[str] = []

    def received(self, kind: int, body: bytes) -> None:
        self.bodies.append(body)

    def closed(self, why: str) -> None:
        self.ended.append(why)


class Two:
    """Two machines, a port on each, and a link from the first to the second."""

    def __init__(self, loop: SimLoop) -> None:
        self.loop, self.network = loop, Network(loop)
        self.processes = [loop.process(Machine(loop, name), f"{name}/main") for name in ("a", "b")]
        self.ports = [self.port(process) for process in self.processes]
        self.heard = Heard(), Heard()
        self.links: list[Link] = []
        self.run(self.ports[1], self.listen())
        self.run(self.ports[0], self.dial())
        loop.run_for(0.5)

    def port(self, process: Process) -> SimPort:
        hello = Hello(node=NodeId(process.machine.name), incarnation=1, cluster="c")
        return SimPort(self.network, process, lambda: hello, bounds={1: 1_000})

    def run(self, port: SimPort, coroutine: Coroutine[object, object, None]) -> None:
        self.loop.call_soon(lambda: self.loop.create_task(coroutine), context=port.process.enter())

    async def listen(self) -> None:
        await self.ports[1].listen("b:8201")
        self.ports[1].offer(Alpn.RAFT, MEMBERS, self.accept)

    def accept(self, link: Link) -> Heard:
        self.links.append(link)
        return self.heard[1]

    async def dial(self) -> None:
        self.links.append(await self.ports[0].dial("b:8201", Alpn.RAFT, MEMBERS, self.heard[0], within_s=1))


@pytest.fixture
def two() -> Iterator[Two]:
    with simulation(3) as loop:
        yield Two(loop)


def number(value: int) -> bytes:
    return value.to_bytes(2)


def test_frames_arrive_in_order_through_cuts_and_heals(two: Two) -> None:
    link = two.links[1]
    for value in range(300):
        link.send(1, number(value))
        if value % 40 == 20:
            two.network.cut("a", "b")
        if value % 40 == 35:
            two.network.heal("a", "b")
        two.loop.run_for(0.000_3)
    two.network.heal_all()
    two.loop.run_for(1)
    assert two.heard[1].bodies == [number(value) for value in range(300)]
    assert link.pending_bytes == 0


def test_a_one_way_cut_stalls_one_way_and_ends_the_link_after_a_silence(two: Two) -> None:
    two.network.cut("a", "b")
    two.links[1].send(1, b"lost")
    two.links[0].send(1, b"arrives")
    two.loop.run_for(1)
    assert (two.heard[0].bodies, two.heard[1].bodies) == ([b"arrives"], [])
    two.loop.run_for(10)
    assert [len(heard.ended) for heard in two.heard] == [1, 1]
    assert [link.was_reset for link in two.links] == [True, True]


def test_a_short_cut_ends_nothing(two: Two) -> None:
    two.network.cut("a", "b")
    two.loop.run_for(4)
    two.network.heal("a", "b")
    two.loop.run_for(1.5)
    two.network.cut("a", "b")
    two.loop.run_for(3)
    two.network.heal("a", "b")
    two.loop.run_for(10)
    assert [heard.ended for heard in two.heard] == [[], []]


def test_the_death_of_a_process_resets_its_links_after_what_it_sent(two: Two) -> None:
    two.links[1].send(1, b"last words")
    two.processes[0].kill()
    two.loop.run_for(0.1)
    assert two.heard[1].bodies == [b"last words"]
    assert two.heard[1].ended == ["the other side has gone"]
    assert two.links[0].was_reset
    assert two.heard[0].ended == [], "the dead hear nothing"


def test_a_machine_without_power_says_nothing(two: Two) -> None:
    two.network.lose_power("a")
    two.processes[0].kill()
    two.loop.run_for(4)
    assert two.heard[1].ended == []
    two.loop.run_for(4)
    assert len(two.heard[1].ended) == 1


def test_a_goodbye_is_no_reset_and_comes_last(two: Two) -> None:
    two.links[1].send(1, b"before")
    two.links[1].close("done")
    two.links[1].send(1, b"after")
    two.loop.run_for(1)
    assert two.heard[1].bodies == [b"before"]
    assert two.heard[1].ended == ["the other side has ended the link: done"]
    assert two.heard[0].ended == ["done"]
    assert [link.was_reset for link in two.links] == [False, False]


@pytest.mark.parametrize(("credentials", "address", "alpn", "why"), [
    (Credentials(own=STRANGER, accepts=(ME.certificate,)), "b:8201", Alpn.RAFT, "not accepted"),
    (Credentials(own=ME, accepts=(STRANGER.certificate,)), "b:8201", Alpn.RAFT, "not accepted"),
    (MEMBERS, "b:1", Alpn.RAFT, "refused"),
    (MEMBERS, "nobody:8201", Alpn.RAFT, "refused"),
    (MEMBERS, "b:8201", Alpn.FORWARDING, "not offered"),
])
def test_no_link_for_whom_the_other_side_does_not_take(two: Two, credentials: Credentials, address: str, alpn: Alpn, why: str) -> None:
    said: list[str] = []

    async def dial() -> None:
        try:
            await two.ports[0].dial(address, alpn, credentials, Heard(), within_s=1)
        except LinkError as error:
            said.append(str(error))

    two.run(two.ports[0], dial())
    two.loop.run_for(2)
    assert len(said) == 1
    assert why in said[0]


def test_a_stopped_node_takes_nobody_until_it_goes_on(two: Two) -> None:
    said: list[str] = []

    async def dial() -> None:
        try:
            await two.ports[0].dial("b:8201", Alpn.RAFT, MEMBERS, Heard(), within_s=1)
        except LinkError as error:
            said.append(str(error))

    two.processes[1].stop()
    two.run(two.ports[0], dial())
    two.loop.run_for(5)
    assert said == ["b:8201: no answer within 1 s"]
    two.processes[1].go_on()
    two.loop.run_for(1)
    assert two.heard[1].ended == ["the other side has ended the link: not waited for any longer"]


def test_datagrams_are_lost_repeated_and_overtaken(two: Two) -> None:
    got: list[int] = []
    two.network.mailbox(two.processes[1], "b:1", lambda data: got.append(int.from_bytes(data)))
    way = two.network.way("a", "b")
    way.loss, way.repeat, way.slow = 0.2, 0.2, 0.3
    for value in range(500):
        two.network.post("a", "b:1", number(value))
        two.loop.run_for(0.000_1)
    two.loop.run_for(1)
    assert len(set(got)) < 450
    assert len(got) > len(set(got)) + 40
    assert got != sorted(got)
    two.network.cut("a", "b")
    got.clear()
    two.network.post("a", "b:1", b"x")
    two.loop.run_for(1)
    assert got == []
