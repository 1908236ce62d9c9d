"""One link of `ha` with another node, from either side: messages of it as frames, and back."""
from collections.abc import AsyncGenerator
from typing import Any, Protocol

from holdfast.cluster import Incoming, Link, LinkError, Streams
from holdfast.engine import Stream, WriteId
from holdfast.errors import IntegrityError
from holdfast.ha.event import Channel
from holdfast.ha.message import BOUNDS, ForwardStream, Kind, Message, Peer, decode, encode
from holdfast.node.serving import close_stream
from holdfast.telemetry.log import Logger


class Home(Protocol):
    """Who is told of what comes over it."""

    def received(self, link: "HaLink", message: Message) -> None: ...
    def stream_begins(self, link: "HaLink", header: ForwardStream, incoming: Incoming) -> None: ...
    def link_closed(self, link: "HaLink") -> None: ...


class HaLink:
    """Frames that cannot be read end it. What comes before `begin` waits for that."""

    def __init__(self, home: Home, channel: Channel) -> None:
        self._home, self.channel = home, channel
        self.streams = Streams(self, bounds=BOUNDS, opened=self._opened)
        self.peer: Peer
        self._early: list[Message] | None = []           # what came before its home knew of this link

    def bind(self, link: Link) -> None:
        self.streams.bind(link)
        self.peer = Peer(link.peer.node, link.peer.incarnation)

    def begin(self) -> None:
        """Its home knows of it."""
        early, self._early = self._early, None
        for message in early or ():
            self._home.received(self, message)

    def send(self, message: Message) -> None:
        self.streams.send(*encode(message))

    def close(self, why: str) -> None:
        self.streams.link.close(why)

    def received(self, kind: int, body: bytes) -> None:
        try:
            message = decode(kind, body)
        except IntegrityError as error:
            self.close(str(error))
        else:
            if self._early is not None:
                self._early.append(message)
            else:
                self._home.received(self, message)

    def _opened(self, incoming: Incoming) -> None:
        try:
            header = decode(Kind.FORWARD_STREAM, incoming.header)
        except IntegrityError as error:
            incoming.cancel(str(error))
            return
        assert isinstance(header, ForwardStream)
        self._home.stream_begins(self, header, incoming)

    def closed(self, why: str) -> None:
        self._home.link_closed(self)


class Taken(AsyncGenerator[bytes, None]):
    """A stream of another node for a client of this one. If that goes before the end, or before the begin, the other node hears of it: it
    would keep the rest for as long as the link stands."""

    def __init__(self, incoming: Incoming) -> None:
        self._incoming = incoming

    async def asend(self, value: None) -> bytes:
        return await anext(self._incoming)

    async def athrow(self, *error: Any) -> bytes:
        self._incoming.cancel("its client has gone")
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self._incoming.cancel("its client has gone")


async def send_stream(link: HaLink | None, id: WriteId, stream: Stream, logger: Logger) -> None:
    """The answer to a forwarded request, to the node that forwarded it. What breaks is broken for that node's client too."""
    if link is None:
        await close_stream(stream)
        return
    kind, body = encode(ForwardStream(id=id, status=stream.status, content_type=stream.content_type, headers=stream.headers))
    try:
        await link.streams.send_stream(kind, body, stream.chunks)
    except LinkError as error:
        logger.warn("ha.stream_broken", node=id.node, why=error.why)

