"""Keeps one outgoing link to each of some addresses: for those who send often, need no answer on the same link, and can lose a message.

Messages go in two lanes. What is *in order* (the entries of a log) waits in one that keeps its order however long its bodies are; when it
is full, what comes is lost. All else passes it, and when its own lane is full, the oldest is lost.

Invariants:
1. At most one link to an address, or one try; between tries it waits ever longer, unless `poke` says that now is a good time.
2. What waits for a link that is not up, or that does not keep up, is bounded; and nobody hears what is long out of date.
3. `on_reset` is called when an established link has ended without a word, at once: a hint that the other side died.
"""
import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import suppress
from typing import Final

from holdfast.cluster.frame import Bounds
from holdfast.cluster.identity import Credentials
from holdfast.cluster.port import Alpn, Link, LinkError, Port, Receiver
from holdfast.cluster.stream import Streams
from holdfast.limits import (
    CLUSTER_DIAL_S,
    CLUSTER_IN_ORDER_MAX_BYTES,
    CLUSTER_PENDING_HIGH_BYTES,
    CLUSTER_QUEUE_MAX,
    CLUSTER_QUEUE_MAX_BYTES,
    CLUSTER_QUEUE_S,
    CLUSTER_REDIAL_S,
    CLUSTER_WHOLE_BYTES,
)
from holdfast.telemetry.log import Logger

_STEADY_S: Final = 1.0                               # a link that lived shorter does not count as a success


class Mesh:
    """`credentials` is asked at each try, so that new ones count at once. `receiver`: who takes what comes back from an address.

    `in_order`: the kinds whose messages keep their order.
    """

    def __init__(self, port: Port, alpn: Alpn, credentials: Callable[[], Credentials], *, bounds: Bounds, log: Logger,
                 receiver: Callable[[str], Receiver], on_reset: Callable[[str], None], in_order: Collection[int] = ()) -> None:
        self.port, self.alpn, self.credentials, self.bounds, self.log = port, alpn, credentials, bounds, log
        self.receiver, self.on_reset, self.in_order = receiver, on_reset, frozenset(in_order)
        self._peers: dict[str, _Peer] = {}

    def keep(self, addresses: Collection[str]) -> None:
        """Links to exactly these from now on, whether anything is sent or not."""
        for address in [address for address in self._peers if address not in addresses]:
            self._peers.pop(address).stop("not a member any more")
        for address in addresses:
            self._peer(address)

    def send(self, address: str, kind: int, body: bytes) -> None:
        """Now, or when the link is up; or never. An address that is not kept yet is, until the next `keep`."""
        self._peer(address).send(kind, body)

    async def send_stream(self, address: str, kind: int, header: bytes, chunks: AsyncIterator[bytes]) -> None:
        """Over the link that is up now. Raises LinkError."""
        await self._peer(address).send_stream(kind, header, chunks)

    def poke(self, address: str) -> None:
        """It may be back: tries at once."""
        if address in self._peers:
            self._peers[address].poke()

    def is_up(self, address: str) -> bool:
        return address in self._peers and self._peers[address].is_up

    def close(self, why: str = "") -> None:
        """Ends all links and tries; a later `send` or `keep` begins anew."""
        peers, self._peers = self._peers, {}
        for peer in peers.values():
            peer.stop(why)

    def _peer(self, address: str) -> "_Peer":
        peer = self._peers.get(address)
        if peer is None:
            peer = self._peers[address] = _Peer(self, address)
        return peer


class _Lane:
    """What waits for one link. It is bounded; the longest message fits if it is alone."""

    def __init__(self, max_bytes: int, *, in_order: bool) -> None:
        self._max_bytes, self._in_order = max_bytes, in_order
        self._waiting: deque[tuple[float, int, bytes]] = deque()     # since when, kind, body
        self._bytes = 0
        self._added = asyncio.Event()
        self._is_sending = False

    @property
    def is_idle(self) -> bool:
        return not self._waiting and not self._is_sending

    def put(self, kind: int, body: bytes) -> None:
        self._waiting.append((asyncio.get_running_loop().time(), kind, body))
        self._bytes += len(body)
        self._added.set()
        while len(self._waiting) > CLUSTER_QUEUE_MAX or (self._bytes > self._max_bytes and len(self._waiting) > 1):
            _, _, lost = self._waiting.pop() if self._in_order else self._waiting.popleft()
            self._bytes -= len(lost)

    def clear(self) -> None:
        self._waiting.clear()
        self._bytes = 0

    async def drain(self, link: Link, streams: Streams) -> None:
        """Sends until the link ends."""
        up_since = asyncio.get_running_loop().time()
        with suppress(LinkError):
            while True:
                while not self._waiting:
                    self._added.clear()
                    await self._added.wait()
                await link.drained()
                since, kind, body = self._waiting.popleft()
                self._bytes -= len(body)
                if since + CLUSTER_QUEUE_S < up_since:
                    continue
                if not self._in_order:
                    streams.send(kind, body)
                    continue
                self._is_sending = True
                try:
                    await streams.send_whole(kind, body)
                finally:
                    self._is_sending = False


class _Peer:
    """One address. It is the receiver of its link."""

    def __init__(self, mesh: Mesh, address: str) -> None:
        self._mesh, self._address = mesh, address
        self._inner = mesh.receiver(address)
        self._streams: Streams | None = None         # there while the link is up
        self._link: Link | None = None
        self._in_order = _Lane(CLUSTER_IN_ORDER_MAX_BYTES, in_order=True)
        self._others = _Lane(CLUSTER_QUEUE_MAX_BYTES, in_order=False)
        self._wake = asyncio.Event()                 # poked, or the link has ended
        self._poked = self._is_stopped = False
        self._said: str | None = None                # the last reason in the log
        self._task = asyncio.get_running_loop().create_task(self._run())

    @property
    def is_up(self) -> bool:
        return self._streams is not None

    def send(self, kind: int, body: bytes) -> None:
        lane = self._in_order if kind in self._mesh.in_order else self._others
        streams, link = self._streams, self._link
        if (streams is not None and link is not None and len(body) <= CLUSTER_WHOLE_BYTES and lane.is_idle
                and link.pending_bytes < CLUSTER_PENDING_HIGH_BYTES):
            streams.send(kind, body)
        else:
            lane.put(kind, body)

    async def send_stream(self, kind: int, header: bytes, chunks: AsyncIterator[bytes]) -> None:
        if self._streams is None:
            raise LinkError(f"{self._address}: no link now")
        await self._streams.send_stream(kind, header, chunks)

    def poke(self) -> None:
        self._poked = True
        self._wake.set()

    def stop(self, why: str) -> None:
        self._is_stopped = True
        self._task.cancel()
        if self._link is not None:
            self._link.close(why)

    # The link's side

    def received(self, kind: int, body: bytes) -> None:
        self._inner.received(kind, body)

    def closed(self, why: str) -> None:
        was_reset = self._link is not None and self._link.was_reset
        self._streams = self._link = None
        self._in_order.clear()                       # with a gap before it, the rest is worth nothing
        self._wake.set()
        if not self._is_stopped:
            self._say("cluster.peer_lost", why)
        self._inner.closed(why)
        if was_reset:
            self._mesh.on_reset(self._address)

    # The task

    async def _run(self) -> None:
        loop, (delay_s, longest_s) = asyncio.get_running_loop(), CLUSTER_REDIAL_S
        while True:
            self._poked = False
            began = loop.time()
            if await self._connect():
                await self._serve()
            if loop.time() - began > _STEADY_S:
                delay_s = CLUSTER_REDIAL_S[0]
            await self._pause(delay_s)
            delay_s = CLUSTER_REDIAL_S[0] if self._poked else min(2 * delay_s, longest_s)

    async def _connect(self) -> bool:
        mesh = self._mesh
        streams = Streams(self, bounds=mesh.bounds)
        try:
            link = await mesh.port.dial(self._address, mesh.alpn, mesh.credentials(), streams, within_s=CLUSTER_DIAL_S)
        except LinkError as error:
            self._say("cluster.peer_unreachable", error.why)
            return False
        streams.bind(link)
        self._link, self._streams = link, streams
        self._said = None
        mesh.log.info("cluster.peer_connected", address=self._address, peer=link.peer.node)
        return True

    async def _serve(self) -> None:
        """Until the link has ended: sends what was not sent at once."""
        link, streams = self._link, self._streams
        if link is None or streams is None:
            return
        draining = [asyncio.get_running_loop().create_task(lane.drain(link, streams)) for lane in (self._in_order, self._others)]
        try:
            while self._link is link:
                self._wake.clear()
                await self._wake.wait()
        finally:
            for task in draining:
                task.cancel()

    async def _pause(self, delay_s: float) -> None:
        if self._poked:
            return
        self._wake.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(delay_s):
                await self._wake.wait()

    def _say(self, event: str, why: str) -> None:
        """One line for each change: a node that is down for hours says so once."""
        if why != self._said:
            self._said = why
            self._mesh.log.warn(event, address=self._address, why=why)
