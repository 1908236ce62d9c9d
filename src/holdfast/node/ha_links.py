"""The links of `ha` with all other nodes: who is dialled, who may come in, and which link counts.

Invariants: (1) with a node, one link of a channel counts at a time, the newest; of others nothing is heard any more; (2) a dial that was
hung up comes to nothing, also where it ends in the same instant; (3) on the performance channel only those come in that were enrolled under
the identity of this time as active node.
"""
import asyncio
from collections.abc import Callable
from functools import partial
from typing import Protocol

from holdfast.cluster import Alpn, Credentials, Identity, Incoming, Link, LinkError, Port, Streams
from holdfast.ha.effect import Dial
from holdfast.ha.event import Channel
from holdfast.ha.message import ForwardStream, Message, Peer
from holdfast.ids import NodeId
from holdfast.limits import CLUSTER_DIAL_S
from holdfast.node.ha_link import HaLink
from holdfast.telemetry.log import Logger

ALPN = {Channel.FORWARDING: Alpn.FORWARDING, Channel.PERFORMANCE: Alpn.PERFORMANCE_STANDBY}


class Home(Protocol):
    """Who is told of them."""

    def connected(self, link: HaLink) -> None:
        """It counts from now on; what it has brought by then comes at `begin`."""

    def disconnected(self, node: NodeId, channel: Channel) -> None:
        """The link that counted has ended, or a dial came to nothing. Not where it was hung up."""

    def forgotten(self, channel: Channel) -> None:
        """A link that counted does so no more, whoever ended it."""

    def received(self, link: HaLink, message: Message) -> None: ...
    def stream_begins(self, link: HaLink, header: ForwardStream, incoming: Incoming) -> None: ...


class HaLinks:
    """Of one node. `port`: the one that is open now."""

    def __init__(self, home: Home, port: Callable[[], Port], logger: Logger) -> None:
        self._home, self._port, self._logger = home, port, logger
        self._links: dict[tuple[NodeId, Channel], HaLink] = {}
        self._dials: dict[tuple[NodeId, Channel], asyncio.Task[None]] = {}
        self._enrolled: dict[Peer, bytes] = {}           # certificates that are taken on the performance channel
        self._performance_identity: Identity

    def find(self, node: NodeId, channel: Channel) -> HaLink | None:
        """The one that counts."""
        return self._links.get((node, channel))

    def open(self, forwarding: Identity, performance: Identity) -> None:
        """This node is active: others come in under these, on the second channel nobody yet."""
        self._enrolled.clear()
        self._performance_identity = performance
        self._port().offer(Alpn.FORWARDING, Credentials(own=forwarding, accepts=(forwarding.certificate,)),
                           partial(self._accept, Channel.FORWARDING))
        self._offer_performance()

    def enrol(self, peer: Peer, certificate: bytes) -> bytes:
        """It comes in on the second channel with this certificate, and no earlier life of that node does. Gives this node's own."""
        for known in [known for known in self._enrolled if known.node == peer.node]:
            del self._enrolled[known]
        self._enrolled[peer] = certificate
        self._offer_performance()
        return self._performance_identity.certificate

    def withdraw(self) -> None:
        """Nobody comes in any more. Links that stand, stand."""
        self._port().withdraw(Alpn.FORWARDING)
        self._port().withdraw(Alpn.PERFORMANCE_STANDBY)

    def close(self, why: str) -> None:
        """All of them."""
        for link in tuple(self._links.values()):
            link.close(why)

    def dial(self, effect: Dial) -> None:
        key = effect.node, effect.channel
        credentials = Credentials(own=Identity(name=effect.name, key=effect.key, certificate=effect.certificate), accepts=(effect.accepts,))
        self._dials[key] = asyncio.get_running_loop().create_task(self._dialled(key, effect.address, credentials))

    def hang_up(self, node: NodeId, channel: Channel) -> None:
        dialling = self._dials.pop((node, channel), None)
        if dialling is not None:
            dialling.cancel()
        link = self._links.get((node, channel))
        if link is not None:
            self._forget(link)
            link.close("not needed any more")

    def stop_dialling(self) -> None:
        for task in self._dials.values():
            task.cancel()

    async def _dialled(self, key: tuple[NodeId, Channel], address: str, credentials: Credentials) -> None:
        node, channel = key
        made = HaLink(self, channel)
        try:
            link = await self._port().dial(address, ALPN[channel], credentials, made.streams, within_s=CLUSTER_DIAL_S)
        except LinkError as error:
            self._logger.debug("ha.not_connected", node=node, channel=channel.value, why=error.why)
            if self._has_dialled(key):
                self._home.disconnected(node, channel)
            return
        if not self._has_dialled(key):
            link.close("not needed any more")
            return
        made.bind(link)
        if made.peer.node != node:
            made.close(f"this is node {made.peer.node}, not {node}")
            self._home.disconnected(node, channel)
            return
        self._connected(made)

    def _has_dialled(self, key: tuple[NodeId, Channel]) -> bool:
        """The current task; False: it was hung up in the same instant."""
        is_wanted = self._dials.get(key) is asyncio.current_task()
        if is_wanted:
            del self._dials[key]
        return is_wanted

    def _offer_performance(self) -> None:
        self._port().offer(Alpn.PERFORMANCE_STANDBY,
                           Credentials(own=self._performance_identity, accepts=tuple(self._enrolled.values())),
                           partial(self._accept, Channel.PERFORMANCE))

    def _accept(self, channel: Channel, link: Link) -> Streams:
        made = HaLink(self, channel)
        made.bind(link)
        asyncio.get_running_loop().call_soon(self._connected, made)
        return made.streams

    def _connected(self, link: HaLink) -> None:
        key = link.peer.node, link.channel
        before = self._links.get(key)
        self._links[key] = link
        if before is not None:
            before.close("another link has taken its place")
        self._home.connected(link)

    def _counts(self, link: HaLink) -> bool:
        return self._links.get((link.peer.node, link.channel)) is link

    def _forget(self, link: HaLink) -> None:
        del self._links[link.peer.node, link.channel]
        self._home.forgotten(link.channel)

    # Of one link

    def link_closed(self, link: HaLink) -> None:
        if self._counts(link):
            self._forget(link)
            self._home.disconnected(link.peer.node, link.channel)

    def received(self, link: HaLink, message: Message) -> None:
        if self._counts(link):
            self._home.received(link, message)

    def stream_begins(self, link: HaLink, header: ForwardStream, incoming: Incoming) -> None:
        if self._counts(link):
            self._home.stream_begins(link, header, incoming)
        else:
            incoming.cancel("nobody waits for it")
