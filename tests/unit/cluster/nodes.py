"""Nodes with a real port on the loopback, and receivers that keep what they get."""
import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import uvloop
from tests.unit.cluster.logs import Heard

from holdfast.cluster import Alpn, Credentials, Hello, Identity, Link, TlsPort, new_identity
from holdfast.ids import Millis, NodeId

NOW_MS = Millis(1_700_000_000_000)
KIND, LARGE = 7, 8
BOUNDS = {KIND: 200_000, LARGE: 64 << 20, 9: 64 << 20}
WITHIN_S = 30.0


def drawing(seed: str) -> Callable[[int], bytes]:
    """Bytes that a seed decides."""
    count = 0

    def draw(size: int) -> bytes:
        nonlocal count
        count += 1
        return hashlib.shake_256(f"{seed}/{count}".encode()).digest(size)

    return draw


def identity(name: str) -> Identity:
    return new_identity(name, now_ms=NOW_MS, draw=drawing(name))


SHARED = identity("raft-shared")
MEMBERS = Credentials(own=SHARED, accepts=(SHARED.certificate,))


class Inbox:
    """A receiver that keeps everything."""

    def __init__(self) -> None:
        self.frames: list[tuple[int, bytes]] = []
        self.why: str | None = None
        self.ended = asyncio.Event()
        self._changed = asyncio.Event()

    def received(self, kind: int, body: bytes) -> None:
        assert self.why is None
        self.frames.append((kind, body))
        self._changed.set()

    def closed(self, why: str) -> None:
        assert self.why is None
        self.why = why
        self.ended.set()
        self._changed.set()

    async def wait_for(self, count: int) -> list[tuple[int, bytes]]:
        async with asyncio.timeout(WITHIN_S):
            while len(self.frames) < count:
                assert self.why is None, self.why
                self._changed.clear()
                await self._changed.wait()
        return self.frames

    async def wait_closed(self) -> str:
        async with asyncio.timeout(WITHIN_S):
            await self.ended.wait()
        assert self.why is not None
        return self.why


_made: list["Node"] = []


class Node:
    """A port, and all that came in at it. `run` closes it."""

    def __init__(self, name: str, *, incarnation: int = 1, cluster: str = "c1", **hello: Any) -> None:
        self.heard = Heard()
        self.hello = Hello(node=NodeId(name), incarnation=incarnation, cluster=cluster, **hello)
        self.port = TlsPort(lambda: self.hello, bounds=BOUNDS, log=self.heard.log)
        self.links: list[Link] = []
        self.inboxes: list[Inbox] = []
        self._came = asyncio.Event()
        self.address = ""
        _made.append(self)

    async def listen(self, alpn: Alpn = Alpn.RAFT, credentials: Credentials = MEMBERS) -> str:
        self.port.offer(alpn, credentials, self.accept)
        self.address = await self.port.listen("127.0.0.1:0")
        return self.address

    def accept(self, link: Link) -> Inbox:
        self.links.append(link)
        self.inboxes.append(Inbox())
        self._came.set()
        return self.inboxes[-1]

    async def wait_for_link(self, count: int = 1) -> tuple[Link, Inbox]:
        async with asyncio.timeout(WITHIN_S):
            while len(self.links) < count:
                self._came.clear()
                await self._came.wait()
        return self.links[count - 1], self.inboxes[count - 1]

    async def dial(self, address: str, credentials: Credentials = MEMBERS, alpn: Alpn = Alpn.RAFT) -> tuple[Link, Inbox]:
        inbox = Inbox()
        link = await self.port.dial(address, alpn, credentials, inbox, within_s=WITHIN_S)
        return link, inbox


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """On uvloop, as a node does; a callback that raises fails the test."""
    async def whole() -> None:
        raised: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: raised.append(context))
        try:
            async with asyncio.timeout(90):
                await main()
        finally:
            while _made:
                await _made.pop().port.close()
        assert not raised, raised

    uvloop.run(whole())


async def until(condition: Callable[[], bool], *, turn: Callable[[], Awaitable[None]] = lambda: asyncio.sleep(0.001)) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not condition():
            await turn()
