"""Large bodies in pieces, over a link without a network."""
import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from struct import pack

import pytest
from tests.unit.cluster.nodes import Inbox
from tests.unit.cluster.pair import End, pair, settle

from holdfast.cluster import Incoming, LinkError, Streams
from holdfast.cluster.frame import Own
from holdfast.errors import InvariantError
from holdfast.limits import CLUSTER_CHUNK_BYTES, CLUSTER_STREAM_AHEAD, CLUSTER_STREAMS_MAX, CLUSTER_WHOLE_BYTES

KIND, LARGE = 7, 8
BOUNDS = {KIND: 200_000, LARGE: 64 << 20}
CHUNK = CLUSTER_CHUNK_BYTES


class Side:
    """One end with its streams, and what came in."""

    def __init__(self, link: End) -> None:
        self.link, self.inbox, self.came = link, Inbox(), list[Incoming]()
        self.streams = Streams(self.inbox, bounds=BOUNDS, opened=self.came.append)
        self.streams.bind(link)
        link.receiver = self.streams

    def frames(self, kind: int) -> list[bytes]:
        return [body for each, body in self.link.sent if each == kind]


def sides() -> tuple[Side, Side]:
    a, b = pair()
    return Side(a), Side(b)


def run(main: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with asyncio.timeout(60):
            await main()
    asyncio.run(whole())


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def test_a_stream_arrives_in_order_and_its_sender_learns_that_all_was_taken() -> None:
    async def main() -> None:
        a, b = sides()
        body = [bytes([n]) * size for n, size in enumerate((1, CHUNK, 3 * CHUNK + 5, 0, 9))]
        sending = asyncio.create_task(a.streams.send_stream(KIND, b"header", pieces(*body)))
        await settle(lambda: bool(b.came))
        incoming = b.came[0]
        assert (incoming.kind, incoming.header) == (KIND, b"header")
        got = [chunk async for chunk in incoming]
        assert b"".join(got) == b"".join(body)
        assert max(map(len, got)) == CHUNK
        await sending
        assert b.inbox.frames == []
    run(main)


@pytest.mark.parametrize("parts", [(b"one",), (b"one", b"two")])
def test_who_confirms_later_is_not_taken_to_have_it_before(parts: tuple[bytes, ...]) -> None:
    async def main() -> None:
        a, b = sides()
        sending = asyncio.create_task(a.streams.send_stream(KIND, b"", pieces(*parts)))
        await settle(lambda: bool(b.came))
        b.came[0].confirm_later()
        assert [chunk async for chunk in b.came[0]] == list(parts)
        for _ in range(20):
            await asyncio.sleep(0)
        assert not sending.done()
        b.came[0].confirm()
        await sending
    run(main)


def test_who_confirms_without_the_rest_wants_no_more_of_it() -> None:
    async def main() -> None:
        a, b = sides()
        sending = asyncio.create_task(a.streams.send_stream(KIND, b"", pieces(*[b"x"] * 40)))
        await settle(lambda: bool(b.came))
        b.came[0].confirm_later()
        b.came[0].confirm()
        with pytest.raises(LinkError, match="the rest of it is not needed"):
            await sending
    run(main)


def test_an_empty_stream_has_an_end_too() -> None:
    async def main() -> None:
        a, b = sides()
        sending = asyncio.create_task(a.streams.send_stream(KIND, b"", pieces()))
        await settle(lambda: bool(b.came))
        assert [chunk async for chunk in b.came[0]] == []
        await sending
    run(main)


def test_no_more_than_sixteen_pieces_are_ahead_of_the_receiver() -> None:
    async def main() -> None:
        a, b = sides()
        sending = asyncio.create_task(a.streams.send_stream(KIND, b"", pieces(bytes(40 * CHUNK))))
        await settle(lambda: bool(b.came) and b.came[0].waiting == CLUSTER_STREAM_AHEAD)
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(a.frames(Own.STREAM_CHUNK)) == CLUSTER_STREAM_AHEAD == 16
        assert len(await anext(b.came[0])) == CHUNK
        await settle(lambda: len(a.frames(Own.STREAM_CHUNK)) == CLUSTER_STREAM_AHEAD + 1)
        assert sum([len(chunk) async for chunk in b.came[0]]) == 39 * CHUNK
        await sending
    run(main)


def test_a_small_frame_waits_behind_no_more_than_what_is_pending() -> None:
    async def main() -> None:
        a, b = sides()
        a.link.hold()
        sending = asyncio.create_task(a.streams.send_stream(KIND, b"", pieces(bytes(8 * CHUNK))))
        await asyncio.sleep(0)
        a.streams.send(KIND, b"small")
        for _ in range(20):
            await asyncio.sleep(0)
        assert a.frames(Own.STREAM_CHUNK) == []
        a.link.release()
        await settle(lambda: bool(b.inbox.frames))
        assert b.inbox.frames == [(KIND, b"small")]
        b.came[0].cancel("enough")
        with pytest.raises(LinkError):
            await sending
    run(main)


def test_a_long_body_is_put_together_and_short_ones_pass_it() -> None:
    async def main() -> None:
        a, b = sides()
        long = bytes(range(256)) * (CLUSTER_WHOLE_BYTES // 256 * 20)
        a.streams.send(LARGE, long)
        a.streams.send(KIND, b"short")
        a.streams.send(LARGE, bytes(CLUSTER_WHOLE_BYTES))
        await settle(lambda: len(b.inbox.frames) == 3)
        assert b.inbox.frames[:2] == [(KIND, b"short"), (LARGE, bytes(CLUSTER_WHOLE_BYTES))]
        assert b.inbox.frames[2] == (LARGE, long)
        assert b.came == []
        with pytest.raises(InvariantError, match="the limit is 200000"):
            a.streams.send(KIND, bytes(200_001))
    run(main)


def test_bodies_put_together_at_once_are_bounded_and_held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.cluster.stream.CLUSTER_WHOLE_MAX_BYTES", 40 * CHUNK)

    async def main() -> None:
        a, b = sides()
        for n in range(4):
            a.streams.send(LARGE, bytes([n]) * (30 * CHUNK))
        most = 0

        def watched() -> bool:
            nonlocal most
            most = max(most, b.streams._assembled_bytes)
            return len(b.inbox.frames) == 4

        await settle(watched)
        assert most == 30 * CHUNK
        assert [body[0] for _, body in b.inbox.frames] == [0, 1, 2, 3]
        assert b.streams._assembled_bytes == 0
    run(main)


def test_what_breaks_off_at_the_sender_raises_at_the_receiver() -> None:
    async def main() -> None:
        a, b = sides()

        taken = asyncio.Event()

        async def failing() -> AsyncIterator[bytes]:
            yield b"some"
            await taken.wait()
            raise OSError("the disk, with a secret in its name")

        sending = asyncio.create_task(a.streams.send_stream(KIND, b"", failing()))
        await settle(lambda: bool(b.came))
        assert await anext(b.came[0]) == b"some"
        taken.set()
        with pytest.raises(LinkError, match="its sender has broken it off"):
            await anext(b.came[0])
        with pytest.raises(OSError, match="the disk"):
            await sending
        assert not any(b"secret" in body for _, body in a.link.sent)
    run(main)


def test_a_cancelled_sender_and_a_receiver_that_wants_no_more() -> None:
    async def main() -> None:
        a, b = sides()
        first = asyncio.create_task(a.streams.send_stream(KIND, b"1", pieces(bytes(40 * CHUNK))))
        second = asyncio.create_task(a.streams.send_stream(KIND, b"2", pieces(bytes(40 * CHUNK))))
        await settle(lambda: len(b.came) == 2 and all(each.waiting == CLUSTER_STREAM_AHEAD for each in b.came))
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        b.came[1].cancel("no room")
        with pytest.raises(LinkError, match="the other side wants no more of it: no room"):
            await second
        await settle(lambda: b.came[0].waiting == 0)
        with pytest.raises(LinkError):
            await anext(b.came[0])
        with pytest.raises(LinkError, match="no room"):
            await anext(b.came[1])
        assert (a.link.why, b.link.why) == (None, None)
    run(main)


def test_what_was_being_sent_is_closed_however_it_ends() -> None:
    async def main() -> None:
        a, b = sides()
        closed: list[int] = []

        async def held(number: int) -> AsyncIterator[bytes]:
            try:
                while True:
                    yield bytes(CHUNK)
            finally:
                closed.append(number)

        tasks = [asyncio.create_task(a.streams.send_stream(KIND, b"", held(number))) for number in range(3)]
        await settle(lambda: len(b.came) == 3)
        b.came[0].cancel("enough")
        await settle(lambda: closed == [0])
        tasks[1].cancel()
        await settle(lambda: closed == [0, 1])
        a.link.close("gone")
        await settle(lambda: closed == [0, 1, 2])
        assert [type(each) for each in await asyncio.gather(*tasks, return_exceptions=True)] == [
            LinkError, asyncio.CancelledError, LinkError]
        with pytest.raises(LinkError):
            await a.streams.send_stream(KIND, b"", held(3))
    run(main)


def test_a_receiver_may_cancel_what_has_come_whole() -> None:
    async def main() -> None:
        a, b = sides()
        sending = asyncio.create_task(a.streams.send_stream(KIND, b"", pieces(b"all")))
        await settle(lambda: len(a.frames(Own.STREAM_END)) == 1)
        await asyncio.sleep(0)
        b.came[0].cancel("not wanted")
        with pytest.raises(LinkError, match="not wanted"):
            await sending
    run(main)


def test_the_links_end_ends_all_that_is_under_way() -> None:
    async def main() -> None:
        a, b = sides()
        sending = asyncio.create_task(a.streams.send_stream(KIND, b"", pieces(bytes(40 * CHUNK))))
        await settle(lambda: bool(b.came))
        a.link.close("gone")
        with pytest.raises(LinkError, match="gone"):
            await sending
        with pytest.raises(LinkError, match="gone"):
            _ = [chunk async for chunk in b.came[0]]
        assert (a.inbox.why, b.inbox.why) == ("gone", "gone")
        with pytest.raises(LinkError, match="gone"):
            await a.streams.send_stream(KIND, b"", pieces(b"late"))
        a.streams.send(LARGE, bytes(CLUSTER_WHOLE_BYTES + 1))
    run(main)


def test_streams_that_nobody_takes_are_refused_without_harm() -> None:
    async def main() -> None:
        a, b = sides()
        b.streams._opened = None
        with pytest.raises(LinkError, match="streams of kind 0x0007 are not taken here"):
            await a.streams.send_stream(KIND, b"", pieces(bytes(40 * CHUNK)))
        assert b.link.why is None
    run(main)


def test_the_number_of_streams_is_bounded_and_the_next_waits() -> None:
    async def main() -> None:
        a, b = sides()
        tasks = [asyncio.create_task(a.streams.send_stream(KIND, b"", pieces(b"x"))) for _ in range(CLUSTER_STREAMS_MAX + 1)]
        await settle(lambda: len(b.came) == CLUSTER_STREAMS_MAX)
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(b.came) == CLUSTER_STREAMS_MAX
        assert [chunk async for chunk in b.came[0]] == [b"x"]
        await settle(lambda: len(b.came) == CLUSTER_STREAMS_MAX + 1)
        for incoming in b.came[1:]:
            assert [chunk async for chunk in incoming] == [b"x"]
        await asyncio.gather(*tasks)
    run(main)


def test_a_receiver_that_takes_nothing_for_too_long_fails_the_sender(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.cluster.stream.CLUSTER_STREAM_STALL_S", 0.01)

    async def main() -> None:
        a, b = sides()
        with pytest.raises(LinkError, match=r"nothing of a stream was taken for 0\.01 s"):
            await a.streams.send_stream(KIND, b"", pieces(bytes(40 * CHUNK)))
        await settle(lambda: b.came[0].waiting == 0)
    run(main)


def opening(number: int, *, shape: int = 0, kind: int = KIND, size: int = 0) -> tuple[int, bytes]:
    return Own.STREAM_OPEN, pack(">IBHQ", number, shape, kind, size)


@pytest.mark.parametrize(("frames", "why"), [
    ([(Own.STREAM_OPEN, b"short")], "unpack"),
    ([(Own.STREAM_CREDIT, b"")], "unpack"),
    ([opening(1), opening(1)], "number 1 is open already"),
    ([opening(n) for n in range(2 * CLUSTER_STREAMS_MAX + 1)], "more than 128 are open"),
    ([opening(1), *[(Own.STREAM_CHUNK, pack(">I", 1) + b"x")] * (CLUSTER_STREAM_AHEAD + 1)], "more than 16 pieces ahead"),
    ([opening(1), (Own.STREAM_CHUNK, pack(">I", 1) + bytes(CHUNK + 1))], "a piece of 65537 bytes"),
    ([opening(1, shape=1, size=200_001)], "the limit is 200000"),
    ([opening(1, shape=1, size=3), (Own.STREAM_CHUNK, pack(">I", 1) + b"four")], "more pieces than were announced"),
    ([opening(1, shape=1, size=3), (Own.STREAM_END, pack(">IB", 1, 0))], "0 bytes of 3 that were announced"),
])
def test_what_breaks_a_rule_ends_the_link_with_a_reason(frames: list[tuple[int, bytes]], why: str) -> None:
    async def main() -> None:
        a, b = sides()
        for kind, body in frames:
            a.link.send(kind, body)
        await settle(lambda: b.link.why is not None)
        assert b.link.why is not None
        assert b.link.why.startswith("a broken stream: ")
        assert why in b.link.why
        assert b.inbox.frames == []
    run(main)


def test_frames_of_streams_that_are_over_are_passed_over() -> None:
    async def main() -> None:
        a, b = sides()
        for kind in (Own.STREAM_CHUNK, Own.STREAM_CREDIT, Own.STREAM_END, Own.STREAM_CANCEL):
            a.link.send(kind, pack(">IH", 77, 1))
        a.link.send(0xFFFE, b"of a newer version")
        a.link.send(*opening(5, kind=99))
        a.link.send(*opening(6, shape=9))
        a.streams.send(KIND, b"last")
        await settle(lambda: bool(b.inbox.frames))
        assert b.link.why is None
        assert len(b.frames(Own.STREAM_CANCEL)) == 2
    run(main)
