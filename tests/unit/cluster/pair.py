"""Two ends of a link without a network: what one sends the other receives in a later turn of the event loop."""
import asyncio
from collections.abc import Callable

from holdfast.cluster import Alpn, Hello, LinkError, Receiver
from holdfast.ids import NodeId


class End:
    """A `Link`. `hold` keeps what is sent from leaving, and counts it as pending; `sent` is all that was sent over it."""

    def __init__(self, name: str) -> None:
        self.alpn, self.remote, self.certificate, self.was_reset = Alpn.RAFT, name, b"", False
        self.peer = Hello(node=NodeId(name), incarnation=1, cluster="")
        self.sent: list[tuple[int, bytes]] = []
        self.receiver: Receiver | None = None
        self.other: End | None = None
        self.why: str | None = None
        self._kept: list[tuple[int, bytes]] = []
        self._free = asyncio.Event()
        self._free.set()

    @property
    def pending_bytes(self) -> int:
        return sum(len(body) for _, body in self._kept)

    def send(self, kind: int, body: bytes) -> None:
        if self.why is None:
            self.sent.append((kind, body))
            self._kept.append((kind, body))
            if self._free.is_set():
                asyncio.get_running_loop().call_soon(self._leave)

    def hold(self) -> None:
        self._free.clear()

    def release(self) -> None:
        self._free.set()
        self._leave()

    async def drained(self) -> None:
        await self._free.wait()
        if self.why is not None:
            raise LinkError(self.why)

    def close(self, why: str = "") -> None:
        for end in (self, self.other):
            assert end is not None
            if end.why is None:
                end.why = why
                asyncio.get_running_loop().call_soon(end._end)

    def _leave(self) -> None:
        kept, self._kept = self._kept, []
        assert self.other is not None
        for kind, body in kept:
            if self.other.why is None and self.other.receiver is not None:
                self.other.receiver.received(kind, body)

    def _end(self) -> None:
        self._free.set()
        if self.receiver is not None:
            self.receiver.closed(self.why or "")


def pair() -> tuple[End, End]:
    a, b = End("b"), End("a")
    a.other, b.other = b, a
    return a, b


async def settle(condition: Callable[[], bool]) -> None:
    """Turns of the event loop until it holds; without a network, some hundred are more than enough."""
    for _ in range(2_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came to that")
