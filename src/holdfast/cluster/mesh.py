"""Keeps one outgoing link to each of some addresses: for those who send often, need no answer on the same link, and can lose a message.

Invariants:
1. At most one link to an address, or one try; between tries it waits ever longer, unless `poke` says that now is a good time.
2. What waits for a link that is not up, or that does not keep up, is bounded, the oldest goes first; and nobody hears what is long out of
   date.
3. `on_reset` is called when an established link has ended without a word, at once: a hint that the other side died.
"""
import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection
from typing import Final

from holdfast.cluster.frame import Bounds
from holdfast.cluster.identity import Credentials
from holdfast.cluster.port import Alpn, Link, LinkError, Port, Receiver
from holdfast.cluster.stream import Streams
from holdfast.limits import (
    CLUSTER_DIAL_S,
    CLUSTER_PENDING_HIGH_BYTES,
    CLUSTER_QUEUE_MAX,
    CLUSTER_QUEUE_MAX_BYTES,
    CLUSTER_QUEUE_S,
    CLUSTER_REDIAL_S,
)
from holdfast.telemetry.log import Logger

_STEADY_S: Final = 1.0                               # a link that lived shorter does not count as a success


class Mesh:
    """`credentials` is asked at each try, so that new ones count at once. `receiver`: who takes what comes back from an address."""

    def __init__(self, port: Port, alpn: Alpn, credentials: Callable[[], Credentials], *, bounds: Bounds, log: Logger,
                 receiver: Callable[[str], Receiver], on_reset: Callable[[str], None]) -> None:
        self.port, self.alpn, self.credentials, self.bounds, self.log = port, alpn, credentials, bounds, log
        self.receiver, self.on_reset = receiver, on_reset
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


class _Peer:
    """One address. It is the receiver of its link."""

    def __init__(self, mesh: Mesh, address: str) -> None:
        self._mesh, self._address = mesh, address
        self._inner = mesh.receiver(address)
        self._streams: Streams | None = None         # there while the link is up
        self._link: Link | None = None
        self._queue: deque[tuple[float, int, bytes]] = deque()   # since when, kind, body
        self._queued_bytes = 0
        self._wake = asyncio.Event()                 # poked, or the link has ended
        self._poked = self._is_stopped = False
        self._said: str | None = None                # the last reason in the log
        self._task = asyncio.get_running_loop().create_task(self._run())

    @property
    def is_up(self) -> bool:
        return self._streams is not None

    def send(self, kind: int, body: bytes) -> None:
        streams, link = self._streams, self._link
        if streams is not None and link is not None and not self._queue and link.pending_bytes < CLUSTER_PENDING_HIGH_BYTES:
            streams.send(kind, body)
            return
        self._queue.append((asyncio.get_running_loop().time(), kind, body))
        self._queued_bytes += len(body)
        while len(self._queue) > CLUSTER_QUEUE_MAX or (self._queued_bytes > CLUSTER_QUEUE_MAX_BYTES and len(self._queue) > 1):
            self._queued_bytes -= len(self._queue.popleft()[2])
        if streams is not None and len(self._queue) == 1:
            self._wake.set()                         # the task sends the rest once the link has drained

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
        loop = asyncio.get_running_loop()
        while (streams := self._streams) is not None and (link := self._link) is not None:
            self._wake.clear()
            try:
                while self._queue and self._streams is streams:
                    await link.drained()
                    since, kind, body = self._queue.popleft()
                    self._queued_bytes -= len(body)
                    if loop.time() - since < CLUSTER_QUEUE_S:
                        streams.send(kind, body)
            except LinkError:
                self._queue.clear()                  # `closed` comes and says why; what waited is late by then
                self._queued_bytes = 0
            if self._streams is streams:
                await self._wake.wait()

    async def _pause(self, delay_s: float) -> None:
        if self._poked:
            return
        self._wake.clear()
        try:
            async with asyncio.timeout(delay_s):
                await self._wake.wait()
        except TimeoutError:
            return

    def _say(self, event: str, why: str) -> None:
        """One line for each change: a node that is down for hours says so once."""
        if why != self._said:
            self._said = why
            self._mesh.log.warn(event, address=self._address, why=why)
