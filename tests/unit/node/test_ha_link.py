"""Streams between nodes: whoever gives one up says so to the node that sends it."""
import asyncio

import pytest

from holdfast.cluster import Incoming
from holdfast.engine import Stream
from holdfast.node.ha_link import Taken
from holdfast.node.serving import close_stream


def stream_of(incoming: Incoming) -> Stream:
    return Stream(status=200, content_type="application/gzip", chunks=Taken(incoming))


@pytest.mark.parametrize("read", [0, 1])
def test_a_client_that_goes_ends_the_stream_at_its_sender(read: int) -> None:
    cancelled: list[str] = []
    incoming = Incoming(1, b"", lambda: None, cancelled.append)

    async def check() -> None:
        stream = stream_of(incoming)
        incoming.push(b"a")
        for _ in range(read):
            assert await anext(stream.chunks) == b"a"
        await close_stream(stream)

    asyncio.run(check())
    assert cancelled == ["its client has gone"]


def test_one_that_is_read_to_its_end_was_not_given_up() -> None:
    cancelled: list[str] = []
    incoming = Incoming(1, b"", lambda: None, cancelled.append)

    async def check() -> None:
        stream = stream_of(incoming)
        incoming.push(b"a")
        incoming.finish()
        assert [piece async for piece in stream.chunks] == [b"a"]
        await close_stream(stream)

    asyncio.run(check())
    assert cancelled == []
