"""Requests through changes of the active node: each is done at most once, who has an answer has been served once, and nobody is forgotten.

Machines of three nodes over connections that break, each losing what was on its way; a lane that is a list, with the records that
`core/once` keeps; elections, step-downs and kills whenever the walk likes. Then all faults stop, and whoever still waits must be answered.
Invariant 15.
"""
from collections import Counter
from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.crypto import Secret
from holdfast.engine import Client, Method, Origin, Reply, Request, WriteId
from holdfast.ha import effect as do
from holdfast.ha import event as saw
from holdfast.ha.advertisement import Advertisement
from holdfast.ha.event import Channel
from holdfast.ha.machine import Machine
from holdfast.ha.message import Message, Peer
from holdfast.ha.settings import Settings
from holdfast.ids import Index, Millis, NodeId, RequestId, Term
from holdfast.replica import Why
from holdfast.storage import Fence

KEY = Secret(b"k" * 32)
NAMES = tuple(NodeId(name) for name in "abc")


class Wrong(Exception):
    """Something was done twice, or answered wrongly."""


@dataclass
class Ticket:
    node: NodeId
    incarnation: int
    id: str
    answer: str | None = None


@dataclass
class Node:
    name: NodeId
    machine: Machine
    incarnation: int = 1
    fence: Fence | None = None
    lane: Fence | None = None                            # runs, or is ending
    is_ending: bool = False
    accepted: list[Origin] = field(default_factory=list)     # on the lane, not durable
    durable: list[tuple[WriteId, str]] = field(default_factory=list)     # … durable, with no answer given
    floors: dict[tuple[NodeId, int], int] = field(default_factory=dict)
    wants_fence: bool = False


class Cluster:
    def __init__(self, random: Random, *, keeps_records: bool = True) -> None:
        self.random, self.keeps_records = random, keeps_records
        self.now = 10_000
        self.term, self.leader, self.tickets = 0, NodeId(""), dict[int, Ticket]()
        self.advertisement: Advertisement | None = None
        self.records: dict[WriteId, str] = {}
        self.done: Counter[str] = Counter()
        self.links: dict[tuple[NodeId, NodeId], list[Message]] = {}      # of the forwarding channel, both ways
        self.requests: dict[str, WriteId] = {}
        self.soon: list[tuple[Node, int, saw.Event]] = []
        self.nodes = {name: Node(name, Machine(Settings(node=name, incarnation=1))) for name in NAMES}
        for node in self.nodes.values():
            self.step(node, saw.Unsealed(applied=Index(0)))

    # Machines

    def step(self, node: Node, event: saw.Event) -> None:
        node.machine.step(event, Millis(self.now))
        self.perform(node)

    def perform(self, node: Node) -> None:
        for effect in node.machine.take_effects():
            self.do(node, effect)

    def settle(self) -> None:
        while self.soon:
            node, incarnation, event = self.soon.pop(0)
            if node.incarnation == incarnation:
                self.step(node, event)

    def later(self, node: Node, event: saw.Event) -> None:
        self.soon.append((node, node.incarnation, event))

    def do(self, node: Node, effect: do.Effect) -> None:
        match effect:
            case do.Send(node=to, message=message):
                if (node.name, to) in self.links:
                    self.links[node.name, to].append(message)
            case do.Dial(node=to, channel=Channel.FORWARDING):
                if self.nodes[to].machine.active is None:
                    self.later(node, saw.Disconnected(node=to, channel=Channel.FORWARDING))
                else:
                    self.links[node.name, to], self.links[to, node.name] = [], []
                    for at, other in ((self.nodes[to], node), (node, self.nodes[to])):
                        self.later(at, saw.Connected(peer=Peer(other.name, other.incarnation), channel=Channel.FORWARDING))
            case do.HangUp(node=to, channel=Channel.FORWARDING):
                self.cut(node.name, to, by=node.name)
            case do.Campaign():
                node.wants_fence = True
            case do.StartLane(fence=fence):
                node.lane, node.is_ending = fence, False
                node.floors = {}
                self.advertisement = Advertisement(node=node.name, term=fence.term, api_address="", cluster_address="",
                                                   active_since_ms=Millis(0), name="", key=KEY, certificate=b"")
            case do.DrainLane() | do.StopLane():
                node.is_ending = True
            case do.GiveUp(fence=fence):
                if node.fence is not None and fence.term == node.fence.term:
                    node.fence = None
                    self.later(node, saw.FenceGone(term=fence.term))
            case do.Run():
                self.run(node, effect.origin, effect.request, effect.term)
            case do.Answer(ticket=int(ticket), reply=reply):         # without one: who waited was answered by the node before
                self.answer(ticket, reply.body.decode())
            case do.Refuse(ticket=ticket, why=why):
                self.answer(ticket, f"refused: {why}")
            case _:
                pass

    def answer(self, number: int, text: str) -> None:
        ticket = self.tickets[number]
        if ticket.answer is not None:
            raise Wrong(f"{ticket} is answered again: {text}")
        ticket.answer = text
        if text == f"done {ticket.id}" and self.done[ticket.id] != 1:
            raise Wrong(f"{ticket} was done {self.done[ticket.id]} times")
        if text != f"done {ticket.id}" and not text.startswith("refused: no"):
            raise Wrong(f"{ticket} got what is not its answer: {text}")

    # The lane

    def run(self, node: Node, origin: Origin, request: Request, term: Term) -> None:
        if node.lane is None or node.is_ending:
            self.later(node, saw.RanNot(id=origin.id, term=term))
            return
        owner = origin.id.node, origin.id.incarnation
        node.floors[owner] = max(node.floors.get(owner, 0), origin.floor)
        known = self.records.get(origin.id) if self.keeps_records else None
        if origin.id.sequence < node.floors[owner]:
            node.durable.append((origin.id, "below the floor"))
        elif known is not None:
            node.durable.append((origin.id, known))
        else:
            self.requests[request.id] = origin.id
            node.accepted.append(origin)

    def commit(self) -> None:
        node = self.random.choice([*self.nodes.values()])
        if node.lane is None or node.lane.term != self.term or node.name != self.leader:
            return                                       # another node leads: nothing of this one becomes durable
        ids = {id: name for name, id in self.requests.items()}
        for origin in node.accepted:
            name = ids[origin.id]
            self.done[name] += 1
            if self.done[name] > 1:
                raise Wrong(f"{name} was done twice")
            self.records[origin.id] = f"done {name}"
            for id in [id for id in self.records if (id.node, id.incarnation) == (origin.id.node, origin.id.incarnation)
                       and id.sequence < node.floors[id.node, id.incarnation]]:
                del self.records[id]
            node.durable.append((origin.id, f"done {name}"))
        node.accepted.clear()

    def reply(self) -> None:
        node = self.random.choice([*self.nodes.values()])
        if node.durable:
            id, text = node.durable.pop(0)
            self.step(node, saw.Ran(id=id, reply=Reply(status=200, body=text.encode())))

    def end_lane(self) -> None:
        node = self.random.choice([*self.nodes.values()])
        if node.lane is None or not node.is_ending:
            return
        if node.fence is not None and node.fence.term == self.term:
            if not node.accepted and not node.durable:
                self.step(node, saw.LaneDrained(term=node.lane.term))
            return
        if node.machine.active is not None:
            return
        accepted, node.accepted = node.accepted, []
        for origin in accepted:
            self.step(node, saw.RanNot(id=origin.id, term=node.lane.term))
        for id, text in node.durable:
            self.step(node, saw.Ran(id=id, reply=Reply(status=200, body=text.encode())))
        node.durable.clear()
        lane, node.lane, node.is_ending = node.lane, None, False
        self.step(node, saw.LaneStopped(term=lane.term))

    # The world

    def submit(self) -> None:
        node = self.random.choice([*self.nodes.values()])
        number = len(self.tickets) + 1
        name = f"r{number}"
        self.tickets[number] = Ticket(node.name, node.incarnation, name)
        why = self.random.choice((Why.WRITE, Why.NO_LEASE))
        request = Request(id=RequestId(name), method=Method.POST, path="p", body=name.encode(), client=Client(address="x"))
        self.step(node, saw.Submitted(ticket=number, request=request, why=why, reply_key=KEY))

    def deliver(self) -> None:
        busy = [link for link, waiting in self.links.items() if waiting]
        if busy:
            source, to = self.random.choice(busy)
            message = self.links[source, to].pop(0)
            peer = Peer(source, self.nodes[source].incarnation)
            self.step(self.nodes[to], saw.Received(peer=peer, channel=Channel.FORWARDING, message=message))

    def cut(self, one: NodeId, other: NodeId, *, by: NodeId | None = None) -> None:
        if self.links.pop((one, other), None) is None:
            return
        self.links.pop((other, one), None)
        for at, gone in ((one, other), (other, one)):
            if at != by:
                self.later(self.nodes[at], saw.Disconnected(node=gone, channel=Channel.FORWARDING))

    def break_a_link(self) -> None:
        if self.links and self.random.random() < 0.3:
            self.cut(*self.random.choice([*self.links]))

    def elect(self) -> None:
        node = self.random.choice([*self.nodes.values()])
        if node.wants_fence and (self.random.random() < 0.2 or not self.leader or self.nodes[self.leader].fence is None):
            self.term, self.leader, node.wants_fence = self.term + 1, node.name, False
            node.fence = Fence(term=Term(self.term), holder=node.name)
            self.step(node, saw.FenceHeld(fence=node.fence, index=Index(0), hold_until_boot_ms=Millis(self.now + 180)))

    def learn(self) -> None:
        node = self.random.choice([*self.nodes.values()])
        if node.fence is not None and node.fence.term < self.term:
            fence, node.fence = node.fence, None
            self.step(node, saw.FenceGone(term=fence.term))

    def see(self) -> None:
        node = self.random.choice([*self.nodes.values()])
        self.step(node, saw.ActiveSeen(advertisement=self.advertisement))

    def tick(self) -> None:
        self.now += self.random.choice((1, 10, 50))
        for node in self.nodes.values():
            node.machine.tick(Millis(self.now))
            self.perform(node)

    def step_down(self) -> None:
        if self.random.random() < 0.1:
            self.step(self.random.choice([*self.nodes.values()]), saw.StepDownAsked())

    def kill(self) -> None:
        if self.random.random() > 0.05:
            return
        node = self.random.choice([*self.nodes.values()])
        for other in NAMES:
            self.cut(node.name, other, by=node.name)
        fresh = Node(node.name, Machine(Settings(node=node.name, incarnation=node.incarnation + 1)), node.incarnation + 1)
        self.nodes[node.name] = fresh
        if self.leader == node.name:
            self.leader = NodeId("")
        self.step(fresh, saw.Unsealed(applied=Index(0)))

    def walk(self, steps: int) -> None:
        actions = (self.submit, self.deliver, self.deliver, self.deliver, self.commit, self.reply, self.end_lane, self.elect, self.learn,
                   self.see, self.tick, self.break_a_link, self.step_down, self.kill)
        for action in self.random.choices(actions, k=steps):
            action()
            self.settle()

    def heal(self) -> None:
        """No more faults: whoever waits gets an answer."""
        actions = (self.deliver, self.deliver, self.commit, self.reply, self.end_lane, self.learn, self.see, self.tick)
        for _ in range(4_000):
            if not self.waiting():
                return
            if not self.leader or self.nodes[self.leader].fence is None:
                self.elect()
            self.random.choice(actions)()
            self.settle()

    def waiting(self) -> list[Ticket]:
        return [ticket for ticket in self.tickets.values()
                if ticket.answer is None and self.nodes[ticket.node].incarnation == ticket.incarnation]


@settings(max_examples=60)
@given(st.integers(0, 1 << 32))
def test_each_request_is_done_at_most_once_and_nobody_is_forgotten(seed: int) -> None:
    cluster = Cluster(Random(seed))
    cluster.walk(600)
    cluster.heal()
    assert cluster.waiting() == []
    assert all(count == 1 for count in cluster.done.values())


def test_the_walks_have_something_in_them() -> None:
    answered = changes = again = 0
    for seed in range(30):
        cluster = Cluster(Random(seed))
        cluster.walk(600)
        cluster.heal()
        answered += sum(ticket.answer is not None and ticket.answer.startswith("done") for ticket in cluster.tickets.values())
        changes += cluster.term
        again += sum(ticket.answer is None for ticket in cluster.tickets.values())
    assert answered > 500
    assert changes > 60
    assert again > 0, "clients of killed nodes"


def test_without_records_something_is_done_twice() -> None:
    for seed in range(300):
        cluster = Cluster(Random(seed), keeps_records=False)
        try:
            cluster.walk(600)
            cluster.heal()
        except Wrong:
            return
    pytest.fail("no walk without records does anything twice")
