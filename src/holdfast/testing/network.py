"""A network that loses, delays, repeats, reorders and cuts, in one direction or both; `Port` and `Link` over it, and datagrams.

A link is what TCP and TLS make of such a network: whole frames in order, late, stalled while its way is cut, and ended after a silence. A
datagram is lost, repeated and overtaken. Names of machines are the hosts of addresses.

Invariants: (1) frames of a link arrive whole, unchanged, each once and in the order of `send`, or the link ends; (2) what a process sent
before its death still arrives, unless the machine lost its power; (3) nothing crosses a cut.
"""
import asyncio
from collections.abc import Callable
from contextvars import Context, copy_context
from itertools import count
from random import Random
from zlib import crc32

from holdfast.cluster.frame import OWN_BOUNDS, Bounds
from holdfast.cluster.hello import Hello, HelloRefused, agree
from holdfast.cluster.identity import Credentials
from holdfast.cluster.port import Alpn, Link, LinkError, Receiver
from holdfast.errors import InvariantError
from holdfast.limits import CLUSTER_FRAME_MAX_BYTES, CLUSTER_PENDING_HIGH_BYTES
from holdfast.testing.loop import SimLoop
from holdfast.testing.process import OWNER, Process

SILENCE_S = 5.0                                      # CLUSTER_SILENCE_MS, by the simulation's time
RESEND_S = 1.0                                       # CLUSTER_RESEND_MAX_MS
Trace = Callable[[str], None]


class Conditions:
    """Of one way, from one machine to another. Times in seconds."""

    __slots__ = ("cut_at", "delay_s", "is_cut", "loss", "repeat", "slow", "slow_s")

    def __init__(self) -> None:
        self.is_cut, self.cut_at = False, 0.0
        self.calm()

    def calm(self) -> None:
        """As on a good day."""
        self.delay_s = (0.000_1, 0.000_6)            # of most
        self.slow, self.slow_s = 0.01, (0.001, 0.02)     # of some: how many, and how long
        self.loss = self.repeat = 0.0                # of datagrams; of a link's bytes a loss is a delay

    def draw_delay(self, dice: Random) -> float:
        low, high = self.slow_s if dice.random() < self.slow else self.delay_s
        return low + (high - low) * dice.random()


class Network:
    """All machines and what is between them. `trace` hears of each delivery."""

    def __init__(self, loop: SimLoop, trace: Trace = lambda text: None) -> None:
        self.loop, self.trace = loop, trace
        self.dice = Random(loop.random.getrandbits(64))
        self.sent = self.lost = 0
        self._ways: dict[tuple[str, str], Conditions] = {}
        self._ports: dict[str, SimPort] = {}
        self._links: dict[int, tuple[SimLink, SimLink]] = {}
        self._mailboxes: dict[str, tuple[Process, Callable[[bytes], None]]] = {}
        self._number = count(1).__next__

    def way(self, source: str, target: str) -> Conditions:
        """The conditions from one machine to another; the same object each time."""
        found = self._ways.get((source, target))
        if found is None:
            found = self._ways[source, target] = Conditions()
        return found

    def is_open(self, source: str, target: str) -> bool:
        return not self.way(source, target).is_cut

    def cut(self, source: str, target: str) -> None:
        """Nothing goes this way any more. The other way is another one."""
        way = self.way(source, target)
        way.is_cut, way.cut_at = True, self.loop.now
        for number, ends in list(self._links.items()):
            if {ends[0].host, ends[1].host} == {source, target}:
                silence_s = SILENCE_S + 3.0 * self.dice.random()
                self.loop.at(self.loop.now + silence_s, self._silent, number)

    def heal(self, source: str, target: str) -> None:
        """What waited on its way goes on."""
        way = self.way(source, target)
        if not way.is_cut:
            return
        way.is_cut = False
        for ends in list(self._links.values()):
            for end in ends:
                if end.host == source and end.other.host == target:
                    end.healed()

    def heal_all(self) -> None:
        for source, target in sorted(self._ways):
            self.heal(source, target)
            self._ways[source, target].calm()

    def reset(self, source: str, target: str) -> None:
        """Every link between the two breaks: somebody on the way forgot them."""
        for ends in list(self._links.values()):
            if {ends[0].host, ends[1].host} == {source, target}:
                for end in ends:
                    end.vanish(self._delay(end.other.host, end.host), "reset on the way")

    def stall_one(self, source: str, seconds: float) -> None:
        """One of this machine's links sends nothing for as long; what it has to send goes out afterwards."""
        ends = [end for pair in self._links.values() for end in pair if end.host == source and not end.has_ended]
        if ends:
            end = self.dice.choice(ends)
            end.stalled_until = max(end.stalled_until, self.loop.now + seconds)

    # Datagrams

    def mailbox(self, process: Process, address: str, receive: Callable[[bytes], None]) -> None:
        """What is sent to `address` goes to this process, until it dies."""
        self._mailboxes[address] = process, receive

    def post(self, source: str, address: str, data: bytes) -> None:
        """One datagram from the machine `source`."""
        way, dice = self.way(source, host_of(address)), self.dice
        self.sent += 1
        if way.is_cut or dice.random() < way.loss:
            self.lost += 1
            return
        for _ in range(2 if dice.random() < way.repeat else 1):
            self.loop.at(self.loop.now + way.draw_delay(dice), self._arrive, source, address, data)

    def _arrive(self, source: str, address: str, data: bytes) -> None:
        found = self._mailboxes.get(address)
        if found is None or not found[0].is_alive or not self.is_open(source, host_of(address)):
            self.lost += 1
            return
        process, receive = found
        self.trace(f"{source}>{address} {len(data)} {crc32(data):x}")
        self.loop.call_soon(receive, data, context=process.enter())

    # Links

    def listen(self, port: "SimPort", address: str) -> None:
        known = self._ports.get(address)
        if known is not None and known.process.is_alive and known.is_listening:
            raise OSError(98, "address already in use")
        self._ports[address] = port

    def listener(self, address: str) -> "SimPort | None":
        port = self._ports.get(address)
        return port if port is not None and port.is_listening and port.process.is_alive else None

    def connect(self, dialling: "SimLink", accepting: "SimLink") -> None:
        number = self._number()
        dialling.number = accepting.number = number
        self._links[number] = dialling, accepting

    def forget(self, number: int) -> None:
        ends = self._links.get(number)
        if ends is not None and ends[0].has_ended and ends[1].has_ended:
            del self._links[number]

    def lose_power(self, host: str) -> None:
        """Before its processes die: the machine says nothing to anybody."""
        for ends in list(self._links.values()):
            for end in ends:
                if end.host == host:
                    end.is_silent = True

    def power_on(self, host: str) -> None:
        """Its kernel knows nothing of the links of before, and says so to whoever sends over one again."""
        for ends in list(self._links.values()):
            for end in ends:
                if end.host == host and end.is_silent and self.is_open(end.other.host, host) and self.is_open(host, end.other.host):
                    end.other.vanish(self.dice.random() * RESEND_S, "reset by a machine that has started again")

    def delay(self, source: str, target: str) -> float:
        return self._delay(source, target)

    def _delay(self, source: str, target: str) -> float:
        return self.way(source, target).draw_delay(self.dice)

    def _silent(self, number: int) -> None:
        """A cut that still stands has become an end, for both sides by themselves."""
        ends = self._links.get(number)
        if ends is None:
            return
        ways = [self.way(end.host, end.other.host) for end in ends]
        if not any(way.is_cut and self.loop.now - way.cut_at >= SILENCE_S for way in ways):
            return
        for end in ends:
            end.vanish(self.dice.random() * 0.5, "nothing was heard for too long")


class SimLink:
    """One end of a link."""

    def __init__(self, network: Network, process: Process, *, alpn: Alpn, remote: str, certificate: bytes, peer: Hello,
                 bounds: Bounds) -> None:
        self._network, self.process, self.host = network, process, process.machine.name
        self.alpn, self.remote, self.certificate, self.peer = alpn, remote, certificate, peer
        self.was_reset = self.is_silent = False
        self.number = 0
        self.pending_bytes = 0
        self.has_ended = False
        self.other: SimLink
        self._way: Conditions
        self._bounds = bounds
        self._receiver: Receiver | None = None
        self._held: list[tuple[int, bytes]] | None = []  # until its receiver may hear
        self._batch: list[tuple[int, bytes]] = []    # sent at `_batch_at`
        self._batch_at = -1.0
        self._stalled: list[tuple[int, list[tuple[int, bytes]]]] = []    # with their numbers
        self._count = 0                              # batches so far
        self._last = 0.0                             # when the last batch arrives
        self.stalled_until = 0.0
        self._why: str | None = None                 # closed by this side, or told so
        self._goodbye: str | None = None
        self._drained: list[asyncio.Future[None]] = []
        process.at_death.append(self._died)

    def join(self, other: "SimLink") -> None:
        """`other` is this link's other end."""
        self.other, self._way = other, self._network.way(self.host, other.host)

    def bind(self, receiver: Receiver) -> None:
        self._receiver = receiver

    def start(self) -> None:
        """What has come is given out, be it the end, and what comes from now on."""
        held, self._held = self._held, None
        self._give_out(held or [])
        if self.has_ended and self._receiver is not None:
            self._receiver.closed(self._why or "")

    def send(self, kind: int, body: bytes) -> None:
        if self._why is not None or self.has_ended or not self.process.is_alive:
            return
        if len(body) > self._bounds.get(kind, -1):
            raise InvariantError(f"a frame of kind {kind:#06x} with {len(body)} bytes: the limit is {self._bounds.get(kind)}")
        self.pending_bytes += len(body)
        if self._batch_at == self._network.loop.now:
            self._batch.append((kind, body))         # it leaves at this instant, and arrives later
            return
        self._batch_at, self._batch = self._network.loop.now, [(kind, body)]
        self._count += 1
        if self._way.is_cut or self._stalled:
            self._stalled.append((self._count, self._batch))
        else:
            self._dispatch(self._count, self._batch)

    async def drained(self) -> None:
        while self.pending_bytes > CLUSTER_PENDING_HIGH_BYTES // 4 and self._why is None and not self.has_ended:
            waiter = self._network.loop.create_future()
            self._drained.append(waiter)
            await waiter
        if self._why is not None or self.has_ended:
            raise LinkError(f"{self.remote}: {self._why or 'the link has ended'}")

    def close(self, why: str = "") -> None:
        if self._why is not None or self.has_ended or not self.process.is_alive:
            return
        self._why = why or "closed by this node"
        self._goodbye = why
        if not self._stalled:
            self._say_goodbye()
        self._network.loop.call_soon(self._end, self._why, context=self.process.enter())

    def healed(self) -> None:
        """This way is open again: what was lost is sent anew."""
        stalled, self._stalled = self._stalled, []
        for number, batch in sorted(stalled, key=lambda entry: entry[0]):
            self._dispatch(number, batch)
        if self._why is not None:
            self._say_goodbye()

    def vanish(self, after_s: float, why: str) -> None:
        """This side learns that the link is no more, without a word."""
        self._network.loop.at(self._network.loop.now + after_s, self._reset, why, context=self.process.enter())

    # This side's own

    def _dispatch(self, number: int, batch: list[tuple[int, bytes]]) -> None:
        network = self._network
        network.sent += len(batch)
        way = self._way
        delay_s = way.draw_delay(network.dice)
        if way.loss and network.dice.random() < way.loss:
            delay_s += network.dice.uniform(0.2, 0.4)    # TCP sends it again
        self._last = max(self._last + 1e-9, network.loop.now + delay_s, self.stalled_until)
        network.loop.at(self._last, self._arrive, number, batch, context=self.other.process.enter())

    def _arrive(self, number: int, batch: list[tuple[int, bytes]]) -> None:
        """In the other process; while that is stopped, its machine's kernel keeps what has come, and the sender's window stays as it is."""
        network, other = self._network, self.other
        if self._way.is_cut or self._stalled:
            self._stalled.append((number, batch))
            return
        for _, body in batch:
            self.pending_bytes -= len(body)
        if self._drained:
            waiters, self._drained = self._drained, []
            for waiter in waiters:
                network.loop.call_soon(_wake, waiter, context=self.process.enter())
        if other.has_ended:
            return
        digest = 0
        for kind, body in batch:
            digest = crc32(body, digest ^ kind)
        network.trace(f"{self.host}>{other.host} {self.number} {len(batch)} {digest:x}")
        other._take(batch)

    def _take(self, batch: list[tuple[int, bytes]]) -> None:
        """In this side's process."""
        if self._held is not None:
            self._held += batch
        else:
            self._give_out(batch)

    def _give_out(self, batch: list[tuple[int, bytes]]) -> None:
        receiver, bounds = self._receiver, self._bounds
        for kind, body in batch:
            if self.has_ended or self._why is not None:
                return
            if receiver is not None and kind in bounds:
                receiver.received(kind, body)

    def _say_goodbye(self) -> None:
        network, text = self._network, self._goodbye
        if not network.is_open(self.host, self.other.host):
            return                                   # the silence will say it
        at = self._last = max(self._last + 1e-9, network.loop.now + network.delay(self.host, self.other.host))
        told = f"the other side has ended the link: {text}" if text else "the other side has ended the link"
        network.loop.at(at, self.other._hear, told, context=EVERYBODY)

    def _hear(self, why: str) -> None:
        self._network.loop.call_soon(self._end, why, context=self.process.enter())

    def _reset(self, why: str) -> None:
        if not self.has_ended and self._why is None:
            self.was_reset = True
        self._end(why)

    def _end(self, why: str) -> None:
        if self.has_ended or not self.process.is_alive:
            return
        self.has_ended = True
        self._why = self._why or why
        waiters, self._drained = self._drained, []
        for waiter in waiters:
            _wake(waiter)
        self._network.forget(self.number)
        if self._receiver is not None and self._held is None:
            self._receiver.closed(self._why)

    def _died(self) -> None:
        """The kernel ends the link for a process that is no more."""
        if self.has_ended:
            return
        self.has_ended = True
        network = self._network
        if self._why is None and not self.is_silent:
            back = network.delay(self.host, self.other.host)
            if network.is_open(self.host, self.other.host):
                at = max(self._last, network.loop.now + back)
                self.other.vanish(at - network.loop.now, "the other side has gone")
            else:
                self.other.vanish(SILENCE_S, "nothing was heard for too long")
        elif self.is_silent:
            self.other.vanish(SILENCE_S + network.dice.random(), "nothing was heard for too long")
        network.forget(self.number)


def _wake(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)


class SimPort:
    """`Port` of one process. `introduce` says who it is, at each new link."""

    def __init__(self, network: Network, process: Process, introduce: Callable[[], Hello], *, bounds: Bounds) -> None:
        self._network, self.process, self.introduce = network, process, introduce
        self.bounds = {kind: min(bound, CLUSTER_FRAME_MAX_BYTES) for kind, bound in bounds.items()} | dict(OWN_BOUNDS)
        self.is_listening = False
        self._offers: dict[Alpn, tuple[Credentials, Callable[[Link], Receiver]]] = {}
        self._links: list[SimLink] = []

    async def listen(self, address: str) -> str:
        self._network.listen(self, address)
        self.is_listening = True
        return address

    def offer(self, alpn: Alpn, credentials: Credentials, accept: Callable[[Link], Receiver]) -> None:
        self._offers[alpn] = credentials, accept

    def withdraw(self, alpn: Alpn) -> None:
        self._offers.pop(alpn, None)

    async def dial(self, address: str, alpn: Alpn, credentials: Credentials, receiver: Receiver, *, within_s: float) -> Link:
        network, loop, here = self._network, self._network.loop, self.process.machine.name
        answer: asyncio.Future[SimLink | str] = loop.create_future()
        there = host_of(address)
        hello = self.introduce()

        def ask() -> None:                           # at the other machine's kernel
            if not network.is_open(here, there):
                return
            port = network.listener(address)
            if port is None:
                reply("connection refused")
            else:
                loop.call_soon(greet, port, context=port.process.enter())

        def greet(port: SimPort) -> None:            # in the other process
            reply(port.meet(self, alpn, credentials, hello, address))

        def reply(outcome: "SimLink | str") -> None:
            if network.is_open(there, here):
                loop.at(loop.now + network.delay(there, here), hear, outcome, context=self.process.enter())

        def hear(outcome: "SimLink | str") -> None:
            if not answer.done():
                answer.set_result(outcome)
            elif isinstance(outcome, SimLink):
                outcome.bind(_NOBODY)
                outcome.close("not waited for any longer")

        # A connection, a handshake and a hello: three times there and two back before the answer.
        loop.at(loop.now + sum(network.delay(here, there) for _ in range(5)), ask, context=EVERYBODY)
        try:
            async with asyncio.timeout(within_s):
                found = await answer
        except TimeoutError as error:
            raise LinkError(f"{address}: no answer within {within_s:g} s") from error
        finally:
            if not answer.done():
                answer.cancel()
        if isinstance(found, str):
            raise LinkError(f"{address}: {found}")
        found.bind(receiver)
        self._links.append(found)
        loop.call_soon(found.start)
        return found

    def meet(self, dialling: "SimPort", alpn: Alpn, credentials: Credentials, hello: Hello, address: str) -> "SimLink | str":
        """The other side's end of a new link, or why there is none. In this port's process."""
        offer = self._offers.get(alpn)
        if offer is None or not self.is_listening:
            return f"{alpn} is not offered"
        own, accept = offer
        if credentials.own.certificate not in own.accepts:
            return "shows a certificate that is not accepted"
        if own.own.certificate not in credentials.accepts:
            return "its certificate is not accepted"
        mine = self.introduce()
        try:
            agree(mine, hello)
        except HelloRefused as refused:
            return str(refused)
        here = SimLink(self._network, self.process, alpn=alpn, remote=f"{dialling.process.machine.name}:0", peer=hello,
                       certificate=credentials.own.certificate, bounds=self.bounds)
        there = SimLink(self._network, dialling.process, alpn=alpn, remote=address, peer=mine, certificate=own.own.certificate,
                        bounds=dialling.bounds)
        here.join(there)
        there.join(here)
        self._network.connect(there, here)
        try:
            here.bind(accept(here))
        except LinkError as refused:
            here.has_ended = there.has_ended = True
            self._network.forget(here.number)
            return refused.why
        if not dialling.process.is_alive:
            here.vanish(self._network.delay(here.host, there.host), "the other side has gone")
        self._links = [link for link in self._links if not link.has_ended]
        self._links.append(here)
        here.start()
        return there

    async def close(self) -> None:
        self._offers.clear()
        self.is_listening = False
        for link in self._links:
            link.close("this node leaves the cluster port")
        await asyncio.sleep(0)                       # by then each has ended


class _Nobody:
    """Receives nothing."""

    def received(self, kind: int, body: bytes) -> None:
        return

    def closed(self, why: str) -> None:
        return


_NOBODY = _Nobody()


def _everybody() -> Context:
    context = copy_context()
    context.run(OWNER.set, None)
    return context


def host_of(address: str) -> str:
    """The machine that an address names."""
    return address.rpartition(":")[0]


EVERYBODY = _everybody()
"""For what happens between machines: whoever stops or dies meanwhile."""
