"""A machine at a chosen point of its life, and what it wants done."""
from typing import TypeVar

from holdfast.crypto import Secret
from holdfast.engine import Client, Method, Origin, Request, WriteId
from holdfast.ha import effect as do
from holdfast.ha import event as saw
from holdfast.ha.advertisement import Advertisement
from holdfast.ha.effect import Effect
from holdfast.ha.event import Channel
from holdfast.ha.machine import Machine
from holdfast.ha.message import (
    Candidate,
    ForwardRequest,
    LeaseAsk,
    LeaseGrant,
    Message,
    Peer,
    Selected,
)
from holdfast.ha.settings import Consistency, Settings
from holdfast.ids import Index, Millis, NodeId, RequestId, Term
from holdfast.replica import Why
from holdfast.storage import Fence

A, B, C = NodeId("a"), NodeId("b"), NodeId("c")
E = TypeVar("E", bound=Effect)
M = TypeVar("M", bound=Message)
KEY = Secret(b"k" * 32)
FORWARDING, PERFORMANCE = Channel.FORWARDING, Channel.PERFORMANCE


def peer(node: NodeId, incarnation: int = 1) -> Peer:
    return Peer(node, incarnation)


def fence(term: int = 4, holder: NodeId = B) -> Fence:
    return Fence(term=Term(term), holder=holder)


def advertisement(term: int = 3, node: NodeId = A) -> Advertisement:
    return Advertisement(node=node, term=Term(term), api_address=f"https://{node}:8200", cluster_address=f"{node}:8201",
                         active_since_ms=Millis(0), name=f"fw-{term}", key=KEY, certificate=b"fw")


def request(path: str = "secret/data/a") -> Request:
    return Request(id=RequestId("r"), method=Method.POST, path=path, body=b"{}", client=Client(address="10.0.0.1"))


class Node:
    """Node b, incarnation 1. `now` is its clock."""

    def __init__(self, *, consistency: Consistency = Consistency.STRONG, disable_performance_standby: bool = False) -> None:
        self.settings = Settings(node=B, incarnation=1, consistency=consistency, disable_performance_standby=disable_performance_standby)
        self.machine = Machine(self.settings)
        self.now = 10_000

    @property
    def state(self) -> do.State:
        return self.machine.state

    def step(self, event: saw.Event) -> tuple[Effect, ...]:
        self.machine.step(event, Millis(self.now))
        return self.machine.take_effects()

    def wait(self, ms: int) -> tuple[Effect, ...]:
        """Lets time pass, with a tick whenever the machine asks for one."""
        done: list[Effect] = []
        end = self.now + ms
        while self.now < end:
            self.now = max(self.now, min(self.machine.next_tick_boot_ms(), end))
            self.machine.tick(Millis(self.now))
            done += self.machine.take_effects()
            if self.machine.next_tick_boot_ms() <= self.now:
                self.now += 1
        return tuple(done)

    def hear(self, message: Message, *, of: Peer | None = None, channel: Channel = FORWARDING) -> tuple[Effect, ...]:
        return self.step(saw.Received(peer=of or peer(A), channel=channel, message=message))

    # Ways to get to a state

    def unseal(self, applied: int = 10) -> "Node":
        self.step(saw.Unsealed(applied=Index(applied)))
        return self

    def connect(self, term: int = 3) -> "Node":
        """A standby with a forwarding connection to node a."""
        self.step(saw.ActiveSeen(advertisement=advertisement(term)))
        self.step(saw.Connected(peer=peer(A), channel=FORWARDING))
        return self

    def perform(self, term: int = 3) -> "Node":
        """A performance standby of node a, whose first ask is under way."""
        self.connect(term)
        self.hear(Selected(term=Term(term), incarnation=1, name="ps", key=KEY, certificate=b"b", active_certificate=b"a"))
        self.asks = sent(self.step(saw.Connected(peer=peer(A), channel=PERFORMANCE)), LeaseAsk)
        return self

    def read(self) -> "Node":
        """A performance standby that holds a lease."""
        self.perform()
        self.hear(LeaseGrant(term=Term(3), incarnation=1, serial=self.asks[0].serial, length_ms=150, watermark=Index(10),
                             now_ms=Millis(99)), channel=PERFORMANCE)
        return self

    def lead(self, term: int = 4, index: int = 10) -> "Node":
        until = Millis(self.now + 180)
        self.step(saw.FenceHeld(fence=fence(term), index=Index(index), hold_until_boot_ms=until))
        self.step(saw.Held(term=Term(term), until_boot_ms=until, cluster_ms=Millis(1_000_000)))
        return self

    def with_standby(self, node: NodeId = A, applied: int = 10, serial: int = 1) -> "Node":
        """The active node, with a performance standby that has a lease."""
        for channel in (FORWARDING, PERFORMANCE):
            self.step(saw.Connected(peer=peer(node), channel=channel))
        self.hear(ask(applied, serial), of=peer(node), channel=PERFORMANCE)
        return self


def ask(applied: int = 10, serial: int = 1, term: int = 4, incarnation: int = 1) -> LeaseAsk:
    return LeaseAsk(term=Term(term), incarnation=incarnation, serial=serial, applied=Index(applied))


def candidate(term: int = 4) -> Candidate:
    return Candidate(term=Term(term), incarnation=1)


def forwarded(sequence: int = 1, *, node: NodeId = A, incarnation: int = 1, term: int = 4) -> ForwardRequest:
    origin = Origin(id=WriteId(node=node, incarnation=incarnation, sequence=sequence), digest=b"d" * 32, floor=1, reply_key=KEY)
    return ForwardRequest(term=Term(term), request=request(), why=Why.WRITE, origin=origin)


def submitted(ticket: int, why: Why = Why.WRITE) -> saw.Submitted:
    return saw.Submitted(ticket=ticket, request=request(), why=why, reply_key=KEY)


def of(effects: tuple[Effect, ...], kind: type[E]) -> list[E]:
    return [effect for effect in effects if isinstance(effect, kind)]


def sent(effects: tuple[Effect, ...], kind: type[M]) -> list[M]:
    return [effect.message for effect in of(effects, do.Send) if isinstance(effect.message, kind)]


def position(effects: tuple[Effect, ...], kind: type[object]) -> int:
    """Where the effect, or the message that is sent, of this kind stands."""
    return next(at for at, effect in enumerate(effects)
                if isinstance(effect, kind) or (isinstance(effect, do.Send) and isinstance(effect.message, kind)))
