"""The socket between a worker and its main process: what is sent, when, and in which pieces it may arrive."""
import asyncio
from typing import cast

import pytest

from holdfast.errors import InvariantError
from holdfast.limits import FRAME_MAX_BYTES
from holdfast.node.message import Channel, FromWorker, Took, ToWorker


class Pipe:
    """Takes what is written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def is_closing(self) -> bool:
        return False

    def write(self, data: bytes) -> None:
        self.written.append(bytes(data))


def sender() -> tuple[Channel[ToWorker], Pipe]:
    """In a running loop."""
    channel: Channel[ToWorker] = Channel(ToWorker, lambda message: None, lambda: None)
    pipe = Pipe()
    channel.connection_made(cast(asyncio.Transport, pipe))
    return channel, pipe


def receiver() -> tuple[Channel[FromWorker], list[FromWorker]]:
    found: list[FromWorker] = []
    return Channel(FromWorker, found.append, lambda: None), found


def messages(count: int) -> list[FromWorker]:
    return [Took(number=number, pieces=1) for number in range(count)]


@pytest.mark.parametrize("flushed_after", [None, 3, 20])
def test_messages_of_one_turn_go_out_together_but_for_those_that_are_flushed(flushed_after: int | None) -> None:
    async def send() -> tuple[int, list[bytes]]:
        channel, pipe = sender()
        for number, message in enumerate(messages(20), 1):
            channel.send(message)
            if number == flushed_after:
                channel.flush()
        at_once = len(pipe.written)
        await asyncio.sleep(0)
        return at_once, pipe.written

    at_once, written = asyncio.run(send())
    assert at_once == (flushed_after is not None)
    assert len(written) == (2 if flushed_after == 3 else 1)
    channel, found = receiver()
    for data in written:
        channel.data_received(data)
    assert found == messages(20), "in order, each once"


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_a_frame_may_come_in_any_pieces(size: int) -> None:
    async def send() -> bytes:
        channel, pipe = sender()
        for message in messages(5):
            channel.send(message)
        await asyncio.sleep(0)
        return b"".join(pipe.written)

    data = asyncio.run(send())
    channel, found = receiver()
    for start in range(0, len(data), size):
        channel.data_received(data[start:start + size])
    assert found == messages(5)


def test_a_frame_that_is_too_long_is_refused_by_its_head() -> None:
    channel, found = receiver()
    with pytest.raises(InvariantError, match=f"the limit is {FRAME_MAX_BYTES}"):
        channel.data_received((FRAME_MAX_BYTES + 1).to_bytes(4))
    assert found == []
