"""Three nodes' machines in one place: the log, the fence, the clocks and the network are played by this world, one action at a time.

There is one key, and a read gives the index of the state that it saw. So a history is linearizable exactly if no read shows less than what
any answer had shown before the read began: `Broken` is raised where one does.

The network keeps no order, and loses; what is on its way may arrive after its connection has ended, or at the next incarnation. Clocks run
up to 3 % fast or slow. Whatever is not done for a while is a pause. Rules 7 and 8 (hold, vote gate) are played as they are written.
"""
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from holdfast.crypto import Secret
from holdfast.ha import effect as do
from holdfast.ha import event as saw
from holdfast.ha.advertisement import Advertisement
from holdfast.ha.event import Channel
from holdfast.ha.machine import Machine
from holdfast.ha.message import Message, Peer
from holdfast.ha.rules import RULES, Rules
from holdfast.ha.settings import Consistency, Settings
from holdfast.ids import Index, Millis, NodeId, Term
from holdfast.storage import Fence

HOLD_MS, GATE_MS = 180, 200
STEPS_MS = (1, 2, 5, 10, 20, 40, 80)
KEY = Secret(b"k")


class Broken(Exception):
    """A read was not linearizable."""


@dataclass
class Words:
    """What one main process shares with its workers."""

    lease: int = 0
    watermark: int = 0


@dataclass
class Read:
    """One that was begun, and may stop anywhere."""

    node: "Node"
    words: Words
    floor: int                                           # what had been shown when it began
    snapshot: int | None = None
    may_open: bool = True                                # False: waits for a round


@dataclass
class Node:
    name: NodeId
    rate: float
    machine: Machine
    incarnation: int = 1
    words: Words = field(default_factory=Words)
    old_words: list[Words] = field(default_factory=list)     # of workers that outlived their main process
    applied: int = 0
    gate: int = 0
    wants_fence: bool = False
    fence: Fence | None = None                           # as its driver knows it
    lane: Fence | None = None
    draining: Fence | None = None
    stopping: Fence | None = None
    peers: set[tuple[NodeId, Channel]] = field(default_factory=set)
    deposed_at: int | None = None                        # committed when another one was elected, unknown to it
    confirming: int | None = None                        # a round that is under way


class World:
    """`names` of the actions are for whoever chooses: each takes what it needs from `random`."""

    def __init__(self, random: Random, rules: Rules = RULES) -> None:
        self.random, self.rules = random, rules
        self.strict: frozenset[str] = frozenset(name for name in "abc" if random.random() < 0.15)    # these trust no clock
        self.asked: dict[int, Read] = {}                 # by ticket
        self.tickets = 0
        self.strict_reads_checked = 0
        self.real = 1_000.0
        self.committed = self.shown = 0
        self.reads_checked = self.elections = 0
        self.term = Term(0)
        self.leader: Node | None = None
        self.transfer: Fence | None = None
        self.advertisement: Advertisement | None = None
        self.bag: list[tuple[Peer, NodeId, Channel, Message]] = []
        self.pending: list[Read] = []
        self.soon: list[tuple[Node, int, saw.Event]] = []
        self.trace: list[str] = []
        self.nodes: dict[NodeId, Node] = {}
        for name in (NodeId("a"), NodeId("b"), NodeId("c")):
            node = self.nodes[name] = Node(name, 1 + random.uniform(-0.03, 0.03), self._machine(name, 1))
            self._step(node, saw.Unsealed(applied=Index(0)))
        self.actions = {name.removeprefix("do_"): getattr(self, name) for name in sorted(dir(self)) if name.startswith("do_")}

    def _machine(self, name: NodeId, incarnation: int) -> Machine:
        consistency = Consistency.STRICT if name in self.strict else Consistency.STRONG
        return Machine(Settings(node=name, incarnation=incarnation, rules=self.rules, consistency=consistency))

    def now(self, node: Node) -> Millis:
        return Millis(int(self.real * node.rate))

    def any_node(self) -> Node:
        return self.random.choice([*self.nodes.values()])

    def note(self, text: str) -> None:
        self.trace.append(f"{self.real:8.0f} {text}")

    # Machines

    def _step(self, node: Node, event: saw.Event) -> None:
        node.machine.step(event, self.now(node))
        self._perform(node)

    def _perform(self, node: Node) -> None:
        for effect in node.machine.take_effects():
            self._do(node, effect)

    def _do(self, node: Node, effect: do.Effect) -> None:
        match effect:
            case do.SetLease(until_boot_ms=until):
                node.words.lease = until
                self.note(f"{node.name}: lease until {until}, now {self.now(node)}")
            case do.SetWatermark(index=index):
                node.words.watermark = index
                if node.machine.active is not None:      # the lane answers whatever waited for it
                    self.shown = max(self.shown, min(index, node.applied))
                self.note(f"{node.name}: V = {index}")
            case do.Send(node=to, channel=channel, message=message):
                self.bag.append((Peer(node.name, node.incarnation), to, channel, message))
            case do.Dial(node=to, channel=channel):
                self._connect(node, self.nodes[to], channel)
            case do.HangUp(node=to, channel=channel):
                self._disconnect(self.nodes[to], node, channel)
            case do.Enrol(peer=peer):
                self._step(node, saw.Enrolled(peer=peer, name="p", key=KEY, certificate=b"", active_certificate=b""))
            case do.Campaign():
                node.wants_fence = True
            case do.StartLane(fence=fence):
                node.lane = fence
                self.advertisement = Advertisement(node=node.name, term=fence.term, api_address="", cluster_address="",
                                                   active_since_ms=Millis(0), name="", key=KEY, certificate=b"")
            case do.DrainLane(fence=fence):
                node.draining = fence
            case do.StopLane(fence=fence):
                node.lane, node.stopping = None, fence
            case do.GiveUp(fence=fence):
                if self.leader is node and fence.term == self.term:
                    self.transfer = fence
                    self.note(f"{node.name} gives up")
            case do.Confirm(number=number):
                node.confirming = number
            case do.LetRead(ticket=ticket):
                self.asked.pop(ticket).may_open = True
            case do.Refuse(ticket=ticket) if ticket in self.asked:
                self.pending.remove(self.asked.pop(ticket))
            case do.Changed(state=state):
                self.note(f"{node.name} is {state.value}")
            case _:
                pass

    def _connect(self, dialer: Node, to: Node, channel: Channel) -> None:
        if to.machine.active is None:
            self._later(dialer, saw.Disconnected(node=to.name, channel=channel))
            return
        to.peers.add((dialer.name, channel))
        self._later(to, saw.Connected(peer=Peer(dialer.name, dialer.incarnation), channel=channel))
        self._later(dialer, saw.Connected(peer=Peer(to.name, to.incarnation), channel=channel))

    def _disconnect(self, at: Node, who: Node, channel: Channel) -> None:
        if (who.name, channel) in at.peers:
            at.peers.discard((who.name, channel))
            self._later(at, saw.Disconnected(node=who.name, channel=channel))

    def _later(self, node: Node, event: saw.Event) -> None:
        """After the effects that are being carried out."""
        self.soon.append((node, node.incarnation, event))

    def settle(self) -> None:
        while self.soon:
            node, incarnation, event = self.soon.pop(0)
            if node.incarnation == incarnation:
                self._step(node, event)

    # Actions

    def act(self, name: str) -> None:
        self.actions[name]()
        self.settle()

    def do_advance(self) -> None:
        self.real += self.random.choice(STEPS_MS)

    def do_tick(self) -> None:
        node = self.any_node()
        node.machine.tick(self.now(node))
        self._perform(node)

    def do_deliver(self) -> None:
        if self.bag:
            sender, to, channel, message = self.bag.pop(self.random.randrange(len(self.bag)))
            self._step(self.nodes[to], saw.Received(peer=sender, channel=channel, message=message))

    def do_flow(self) -> None:
        """A good moment: everybody sees who is active, is on time, and hears what was sent."""
        for node in self.nodes.values():
            self._step(node, saw.ActiveSeen(advertisement=self.advertisement))
            self.settle()
            node.machine.tick(self.now(node))
            self._perform(node)
        for _ in range(len(self.bag)):
            self.do_deliver()
            self.settle()

    def do_lose(self) -> None:
        if self.bag:
            self.bag.pop(self.random.randrange(len(self.bag)))

    def do_commit(self) -> None:
        """The lane of the node that leads runs a write, which a majority takes."""
        leader = self.leader
        if leader is not None and leader.lane is not None and leader.lane.term == self.term and leader.draining is None:
            self.committed += 1
            self.note(f"{leader.name} commits {self.committed}")

    def do_apply(self) -> None:
        node = self.any_node()
        limit = self.committed if node.deposed_at is None else node.deposed_at
        if node.applied < limit:
            node.applied = self.random.choice((node.applied + 1, limit))
            self.note(f"{node.name} applies {node.applied}")
            self._step(node, saw.AppliedHere(index=Index(node.applied)))

    def do_round(self) -> None:
        """A round for the hold, answered by one follower (rules 7 and 8)."""
        leader = self.leader
        if leader is None or leader.fence is None or leader.fence.term != self.term:
            return
        voter = self.any_node()
        if voter is not leader:
            voter.gate = self.now(voter) + GATE_MS
            leader.gate = self.now(leader) + GATE_MS
            until = Millis(self.now(leader) + HOLD_MS)
            self._step(leader, saw.Held(term=self.term, until_boot_ms=until, cluster_ms=Millis(0)))

    def do_confirm(self) -> None:
        """A majority knows of no later term."""
        leader = self.leader
        if leader is not None and leader.confirming is not None and leader.machine.active is not None:
            number, leader.confirming = leader.confirming, None
            self._step(leader, saw.Confirmed(number=number))

    def do_elect(self) -> None:
        node, voter = self.any_node(), self.any_node()
        if node is voter or not node.wants_fence or node is self.leader:
            return
        opened = self.now(node) >= node.gate and self.now(voter) >= voter.gate
        if opened or self.transfer is not None:
            self._elected(node)

    def _elected(self, node: Node) -> None:
        old = self.leader
        if old is not None:
            old.deposed_at = self.committed
        self.term, self.leader, self.transfer = Term(self.term + 1), node, None
        self.elections += 1
        node.fence = fence = Fence(term=self.term, holder=node.name)
        node.wants_fence, node.deposed_at, node.draining = False, None, None
        self.note(f"{node.name} is elected in term {self.term}; {self.committed} are committed")
        self._step(node, saw.FenceHeld(fence=fence, index=Index(self.committed), hold_until_boot_ms=Millis(0)))

    def do_learn_of_the_loss(self) -> None:
        node = self.any_node()
        if node.fence is not None and node.fence.term < self.term:
            fence, node.fence, node.deposed_at = node.fence, None, None
            self._step(node, saw.FenceGone(term=fence.term))

    def do_end_the_lane(self) -> None:
        node = self.any_node()
        if node.draining is not None and node.lane is not None and node.words.watermark >= self.committed:
            fence, node.draining = node.draining, None
            self._step(node, saw.LaneDrained(term=fence.term))
        elif node.stopping is not None and node.fence is None:
            fence, node.stopping, node.draining = node.stopping, None, None
            self._step(node, saw.LaneStopped(term=fence.term))

    def do_see(self) -> None:
        self._step(self.any_node(), saw.ActiveSeen(advertisement=self.advertisement))

    def do_cut(self) -> None:
        """A connection breaks; both ends notice."""
        at = self.any_node()
        if at.peers:
            name, channel = self.random.choice(sorted(at.peers, key=str))
            at.peers.discard((name, channel))
            self._later(at, saw.Disconnected(node=name, channel=channel))
            self._later(self.nodes[name], saw.Disconnected(node=at.name, channel=channel))

    def do_step_down(self) -> None:
        if self.random.random() < 0.3:
            self._step(self.any_node(), saw.StepDownAsked())

    def do_break_audit(self) -> None:
        if self.random.random() < 0.3:
            self._step(self.any_node(), saw.AuditBroken(broken=self.random.random() < 0.5))

    def do_restart(self) -> None:
        """The main process dies, its workers live on for a while."""
        node = self.any_node()
        if self.random.random() < 0.8:
            return
        if self.leader is node:
            self.leader = self.transfer = None
        self.note(f"{node.name} restarts")
        for name, channel in sorted(node.peers, key=str):
            self._later(self.nodes[name], saw.Disconnected(node=node.name, channel=channel))
        for other in self.nodes.values():
            for channel in Channel:
                self._disconnect(other, node, channel)
        node.old_words = [*node.old_words, node.words][-2:]
        node.incarnation += 1
        node.words, node.peers = Words(), set()
        node.fence = node.lane = node.draining = node.stopping = node.deposed_at = node.confirming = None
        for ticket in [ticket for ticket, read in self.asked.items() if read.node is node]:
            self.pending.remove(self.asked.pop(ticket))
        node.gate = self.now(node) + GATE_MS
        node.wants_fence = False
        node.machine = self._machine(node.name, node.incarnation)
        self._step(node, saw.Unsealed(applied=Index(node.applied)))

    def do_read(self) -> None:
        """The lease is asked; the state may be opened, and the answer leave, later."""
        node = self.any_node()
        words = self.random.choice((node.words, *node.old_words))
        if node.name in self.strict and len(self.pending) < 5:
            ticket = self.tickets = self.tickets + 1
            read = self.asked[ticket] = Read(node, node.words, self.shown, may_open=False)
            self.pending.append(read)
            self._step(node, saw.ReadAsked(ticket=ticket))
        elif self.now(node) < words.lease and len(self.pending) < 5:
            read = Read(node, words, self.shown)
            self.pending.append(read)
            if self.random.random() < 0.7:
                self._open(read)
                self._answer(read)

    def do_go_on_reading(self) -> None:
        if self.pending:
            read = self.random.choice(self.pending)
            if not read.may_open:
                return
            if read.snapshot is None:
                self._open(read)
            else:
                self._answer(read)

    def _open(self, read: Read) -> None:
        read.snapshot = read.node.applied

    def _answer(self, read: Read) -> None:
        assert read.snapshot is not None
        if read.snapshot > read.words.watermark:
            return                                       # waits for V
        self.pending.remove(read)
        self.reads_checked += 1
        self.strict_reads_checked += read.node.name in self.strict
        self.note(f"{read.node.name} reads {read.snapshot}")
        if read.snapshot < read.floor:
            raise Broken(f"{read.node.name} shows {read.snapshot}; before it began, {read.floor} had been shown")
        self.shown = max(self.shown, read.snapshot)


WEIGHTS: dict[str, float] = {
    "advance": 6, "flow": 3, "tick": 4, "deliver": 10, "lose": 0.5, "commit": 4, "apply": 8, "round": 4, "confirm": 3, "elect": 3,
    "learn_of_the_loss": 1, "end_the_lane": 4, "see": 1, "cut": 0.3, "step_down": 0.4, "break_audit": 0.3,
    "restart": 0.4, "read": 12, "go_on_reading": 3}


def walk(seed: int, steps: int, rules: Rules = RULES, weights: dict[str, float] | None = None) -> World:
    """A random history; raises Broken where a read is not linearizable."""
    world = World(Random(seed), rules)
    chosen = {**WEIGHTS, **(weights or {})}
    names: Sequence[str] = tuple(chosen)
    for name in world.random.choices(names, tuple(chosen.values()), k=steps):
        try:
            world.act(name)
        except Broken as broken:
            raise Broken("\n".join([*world.trace[-60:], str(broken)])) from None
    return world
