"""One connection: order, waiting, bounds. No network, and virtual time."""
import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from msgspec.structs import replace
from tests.unit.http.wire import HOST, PLAIN, Wire, echo, get, place, post, run_virtual

from holdfast.config.settings import ProxyProtocol
from holdfast.engine import Reply, Request, Stream
from holdfast.errors import InvariantError
from holdfast.http.connection import Phase
from holdfast.http.place import Held
from holdfast.limits import DRAIN_GRACE_S, HTTP_TICK_S

OLD = b"GET /v1/a HTTP/1.0\r\n"


async def turn() -> None:
    """Everything that can go on without time passing has gone on."""
    for _ in range(10):
        await asyncio.sleep(0)


class Slow:
    """A handler whose answers come when the test says so: `finish(path)`."""

    def __init__(self) -> None:
        self.began: list[str] = []
        self._waiting: dict[str, asyncio.Future[Reply]] = {}

    def __call__(self, request: Request) -> Reply | Awaitable[Reply]:
        self.began.append(request.path)
        if request.path.startswith("fast"):
            return echo(request)
        return self._waiting.setdefault(request.path, asyncio.get_running_loop().create_future())

    def finish(self, path: str, status: int = 200) -> None:
        self._waiting[path].set_result(Reply(status=status, body=path.encode()))


def test_an_answer_at_once_is_one_write_and_no_task() -> None:
    async def check() -> None:
        here = place()
        wire = Wire(here)
        before = asyncio.all_tasks()
        writes: list[bytes] = []
        wire.transport.write = writes.append  # type: ignore[assignment,method-assign]
        wire.send(get("a") + get("b") + post("c", b"{}"))
        assert asyncio.all_tasks() == before
        assert len(writes) == 1
        assert [writes[0].index(each) for each in (b"GET a", b"GET b", b"POST c {}")] == sorted(
            writes[0].index(each) for each in (b"GET a", b"GET b", b"POST c {}"))
        here.close()

    run_virtual(check())


def test_what_a_turn_answers_leaves_when_it_ends() -> None:
    async def check() -> None:
        here = place()
        wires = [Wire(here), Wire(here)]
        for wire in wires:
            wire.connection.data_received(get("a"))
        assert [wire.received for wire in wires] == [b"", b""]
        await asyncio.sleep(0)
        assert [wire.statuses for wire in wires] == [[200], [200]]
        here.close()

    run_virtual(check())


def test_what_has_to_be_kept_first_is_kept_once_a_turn_and_can_change_every_answer() -> None:
    """Audit entries: the answer leaves after its entry is written, and not at all where it cannot be."""
    order: list[str] = []

    def settle(reply: Reply) -> Reply:
        order.append("settled")
        return Reply(status=500)

    def serve(request: Request) -> Reply:
        order.append(request.path)
        return Held(status=200, body=b"secret", settle=settle) if request.path == "held" else echo(request)

    async def check() -> None:
        here = place(serve)
        wires = [Wire(here), Wire(here)]
        wires[0].connection.data_received(get("held"))
        wires[1].connection.data_received(get("plain") + get("held"))
        wires[0].transport.close()
        await turn()
        assert order == ["held", "plain", "held", "settled", "settled"]      # also for a client that has gone
        assert (wires[0].received, wires[1].statuses) == (b"", [200, 500])
        assert b"secret" not in wires[1].received
        here.close()

    run_virtual(check())


def test_whoever_says_all_is_still_answered() -> None:
    async def check() -> None:
        here = place()
        wire = Wire(here)
        wire.connection.data_received(get("a"))
        assert not wire.connection.eof_received()
        assert wire.statuses == [200]
        here.close()

    run_virtual(check())


def test_an_answer_that_cannot_be_written_ends_its_own_connection_alone() -> None:
    def serve(request: Request) -> Reply:
        return Reply(status=200, headers=(("Bad\r\n", "header"),)) if request.path == "bad" else echo(request)

    async def check() -> None:
        told: list[dict[str, object]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        here = place(serve)
        wires = [Wire(here), Wire(here)]
        for wire, path in zip(wires, ("bad", "good"), strict=True):
            wire.connection.data_received(get(path))
        await turn()
        assert wires[0].transport.aborted
        assert wires[1].statuses == [200]
        assert isinstance(told[0]["exception"], InvariantError)
        here.close()

    run_virtual(check())


def test_answers_keep_the_order_of_their_requests() -> None:
    async def check() -> None:
        slow = Slow()
        here = place(slow)
        wire = Wire(here)
        wire.send(get("fast/1") + get("slow/2") + get("fast/3") + get("slow/4") + get("fast/5"))
        await turn()
        assert slow.began == ["fast/1", "slow/2"]
        slow.finish("slow/2")
        await turn()
        assert slow.began == ["fast/1", "slow/2", "fast/3", "slow/4"]
        wire.send(get("fast/6"))
        slow.finish("slow/4")
        await turn()
        places = [wire.received.index(each) for each in (b"fast/1", b"slow/2", b"fast/3", b"slow/4", b"fast/5", b"fast/6")]
        assert places == sorted(places)
        assert wire.statuses == [200] * 6
        here.close()

    run_virtual(check())


def test_many_requests_in_one_read_leave_others_their_turn() -> None:
    async def check() -> None:
        here = place()
        first, second = Wire(here), Wire(here)
        first.send(get("a") * 200)
        assert len(first.statuses) == 64
        assert first.transport.reading_paused
        second.send(get("b"))
        assert second.statuses == [200]
        await turn()
        assert len(first.statuses) == 200
        assert not first.transport.reading_paused
        here.close()

    run_virtual(check())


def test_what_is_sent_ahead_is_bounded() -> None:
    async def check() -> None:
        slow = Slow()
        here = place(slow)
        wire = Wire(here)
        wire.send(get("slow"))
        wire.send(get("fast/" + "x" * 30_000) * 5)
        assert wire.transport.reading_paused
        slow.finish("slow")
        await turn()
        assert len(wire.statuses) == 6
        assert not wire.transport.reading_paused
        here.close()

    run_virtual(check())


def test_a_client_that_reads_nothing_gets_no_more_answers() -> None:
    async def check() -> None:
        began = 0

        def serve(request: Request) -> Reply:
            nonlocal began
            began += 1
            return Reply(status=200, body=b"x" * 100_000)

        here = place(serve)
        wire = Wire(here, takes=150_000)
        wire.send(get("a") * 10)
        assert (began, wire.transport.reading_paused) == (2, True)
        await turn()
        assert began == 2
        wire.transport.take()
        await turn()
        assert began == 10
        assert not wire.transport.reading_paused
        here.close()

    run_virtual(check())


def test_a_client_that_reads_nothing_for_long_is_cut_off() -> None:
    async def check() -> None:
        here = place(lambda request: Reply(status=200, body=b"x" * 1_000), replace(PLAIN, http_write_timeout_s=20.0))
        wire = Wire(here, takes=500)
        wire.send(get("a"))
        await asyncio.sleep(19)
        assert not wire.transport.aborted
        await asyncio.sleep(2)
        assert wire.transport.aborted
        here.close()

    run_virtual(check())


@pytest.mark.parametrize(("request_", "ends"), [
    (get("a"), False),
    (get("a", b"Connection: keep-alive"), False),
    (get("a", b"Connection: close"), True),
    (get("a", b"Connection: Keep-Alive, Close"), True),
    (OLD + b"\r\n", True),
    (OLD + b"Connection: keep-alive\r\n\r\n", False),
])
def test_the_connection_goes_on_as_the_client_wants_it(request_: bytes, ends: bool) -> None:
    async def check() -> None:
        here = place()
        wire = Wire(here)
        wire.send(request_ + get("b"))
        assert wire.ended is ends
        assert wire.statuses == ([200] if ends else [200, 200])
        assert (b"Connection: close\r\n" in wire.received) is ends
        assert (b"Connection: keep-alive\r\n" in wire.received) is (request_.startswith(OLD) and not ends)
        here.close()

    run_virtual(check())


def test_head_gets_no_body() -> None:
    async def check() -> None:
        here = place(lambda request: Reply(status=473, body=b"{}\n"))
        wire = Wire(here)
        wire.send(b"HEAD /v1/sys/health HTTP/1.1\r\n" + HOST + b"\r\n")
        assert wire.statuses == [473]
        assert wire.received.endswith(b"Content-Length: 3\r\n\r\n")
        assert not wire.ended
        here.close()

    run_virtual(check())


def test_who_expects_100_is_told_once_and_only_if_the_body_is_wanted() -> None:
    async def check() -> None:
        here = place(settings=replace(PLAIN, max_request_size_bytes=10))
        wire = Wire(here)
        asks = b"POST /v1/a HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n"
        wire.send(asks % 5)
        assert wire.received == b"HTTP/1.1 100 Continue\r\n\r\n"
        wire.send(b"he")
        wire.send(b"llo")
        assert wire.statuses == [100, 200]
        wire.send(asks % 11)
        assert wire.statuses == [100, 200, 413]
        assert wire.ended
        here.close()

    run_virtual(check())


@pytest.mark.parametrize(("target", "status"), [
    (b"/v1/../a", 400), (b"/v1/a%00", 400), (b"/v1/a?b=%zz", 400), (b"/v2/", 404), (b"/", 404), (b"/ui", 404), (b"/v1//a", 301),
])
def test_a_request_that_is_refused_leaves_the_connection_as_it_was(target: bytes, status: int) -> None:
    async def check() -> None:
        here = place()
        wire = Wire(here)
        wire.send(b"GET " + target + b" HTTP/1.1\r\n" + HOST + b"\r\n" + get("b"))
        assert wire.statuses == [status, 200]
        assert not wire.ended
        here.close()

    run_virtual(check())


def test_a_redirect_keeps_the_query() -> None:
    async def check() -> None:
        here = place()
        wire = Wire(here)
        wire.send(b"GET /v1//a?list=true HTTP/1.1\r\n" + HOST + b"\r\n")
        assert b"Location: /v1/a?list=true\r\n" in wire.received
        here.close()

    run_virtual(check())


@pytest.mark.parametrize("later", [False, True])
def test_a_defect_in_the_handler_is_500_and_reported(later: bool) -> None:
    async def fail() -> Reply:
        await asyncio.sleep(0)
        raise InvariantError("canary")

    def serve(request: Request) -> Reply | Awaitable[Reply]:
        if request.path == "b":
            return echo(request)
        if later:
            return fail()
        raise InvariantError("canary")

    async def check() -> None:
        told: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context["exception"]))
        here = place(serve)
        wire = Wire(here)
        wire.send(get("a") + get("b"))
        await turn()
        assert wire.statuses == [500, 200]
        assert b"canary" not in wire.received
        assert [type(each) for each in told] == [InvariantError]
        here.close()

    run_virtual(check())


def test_a_request_goes_on_when_its_client_has_gone() -> None:
    async def check() -> None:
        slow = Slow()
        here = place(slow)
        wire = Wire(here)
        wire.send(get("slow"))
        wire.connection.connection_lost(None)
        drained = asyncio.ensure_future(here.drain(60.0))
        await turn()
        assert not drained.done()
        slow.finish("slow")
        await turn()
        assert drained.done()
        assert wire.received == b""
        here.close()

    run_virtual(check())


def test_a_client_that_has_said_all_still_gets_its_answer() -> None:
    async def check() -> None:
        slow = Slow()
        here = place(slow)
        wire = Wire(here)
        wire.send(get("slow") + get("fast"))
        assert wire.connection.eof_received() is True
        slow.finish("slow")
        await turn()
        assert wire.statuses == [200, 200]
        assert wire.transport.closing
        here.close()

    run_virtual(check())


@pytest.mark.parametrize("sent", [b"", b"GET /v1", b"POST /v1/a HTTP/1.1\r\nHost: v\r\nContent-Length: 5\r\n\r\nhe"])
def test_a_client_that_stops_half_way_is_forgotten(sent: bytes) -> None:
    async def check() -> None:
        here = place()
        wire = Wire(here)
        if sent:
            wire.send(sent)
        assert not wire.connection.eof_received()
        here.close()

    run_virtual(check())


# Times


async def ends_after(wire: Wire, expected_s: float) -> None:
    await asyncio.sleep(expected_s - 0.6)
    assert not wire.ended
    await asyncio.sleep(1.2)
    assert wire.ended


@pytest.mark.parametrize(("sent", "after_s", "statuses"), [
    (b"", 10, []),
    (get("a"), 300, [200]),
    (b"GET /v1/a HTTP/1.1\r\n", 10, [408]),
    (get("a") + b"G", 10, [200, 408]),
    (b"POST /v1/a HTTP/1.1\r\nHost: v\r\nContent-Length: 5\r\n\r\nhe", 30, [408]),
    (b"POST /v1/a HTTP/1.1\r\nHost: v\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n", 30, [408]),
])
def test_every_wait_for_bytes_has_an_end(sent: bytes, after_s: float, statuses: list[int]) -> None:
    async def check() -> None:
        here = place()
        wire = Wire(here)
        if sent:
            wire.send(sent)
        await ends_after(wire, after_s)
        assert wire.statuses == statuses
        here.close()

    run_virtual(check())


def test_a_byte_now_and_then_gains_no_time() -> None:
    async def check() -> None:
        here = place()
        wire = Wire(here)
        data = get("a", b"X-A: " + b"y" * 1_000)
        for at in range(30):
            if not wire.ended:
                wire.send(data[at:at + 1])
                await asyncio.sleep(1)
            else:
                break
        assert wire.ended
        assert asyncio.get_running_loop().time() < 12
        body = Wire(here)
        body.send(b"POST /v1/a HTTP/1.1\r\nHost: v\r\nContent-Length: 1000\r\n\r\n")
        began = asyncio.get_running_loop().time()
        while not body.ended:
            body.send(b"x")
            await asyncio.sleep(1)
        assert 29 < asyncio.get_running_loop().time() - began < 32
        here.close()

    run_virtual(check())


def test_a_request_that_takes_too_long_is_503_and_its_client_is_freed() -> None:
    async def check() -> None:
        slow = Slow()
        here = place(slow, replace(PLAIN, max_request_duration_s=20.0))
        wire = Wire(here)
        wire.send(get("slow") + get("fast"))
        await ends_after(wire, 20)
        assert wire.statuses == [503]
        assert b"max_request_duration is 20 s" in wire.received
        slow.finish("slow")
        await turn()
        assert wire.statuses == [503]
        assert slow.began == ["slow"]
        here.close()

    run_virtual(check())


@pytest.mark.parametrize(("configured_s", "after_s"), [(None, 90), (5.0, 5)])
def test_the_duration_is_the_listener_s_or_the_node_s(configured_s: float | None, after_s: float) -> None:
    async def check() -> None:
        here = place(Slow(), replace(PLAIN, max_request_duration_s=configured_s))
        wire = Wire(here)
        wire.send(get("slow"))
        await ends_after(wire, after_s)
        here.close()

    run_virtual(check())


def test_who_does_not_close_after_the_last_answer_is_cut_off() -> None:
    async def check() -> None:
        here = place()
        wire = Wire(here)
        wire.send(b"nonsense\n\n")
        assert wire.ended
        assert not wire.transport.closing
        wire.send(get("ignored"))
        assert wire.statuses == [400]
        await asyncio.sleep(2)
        assert wire.transport.aborted
        here.close()

    run_virtual(check())


# Streams


def streaming(chunks: Callable[[], AsyncIterator[bytes]]) -> Callable[[Request], Stream | Reply]:
    def serve(request: Request) -> Stream | Reply:
        return Stream(status=200, content_type="text/plain", chunks=chunks()) if request.path == "stream" else echo(request)

    return serve


async def two() -> AsyncIterator[bytes]:
    yield b"one"
    await asyncio.sleep(200)                             # longer than any request may take
    yield b""
    yield b"two"


def test_a_stream_comes_in_chunks_and_the_connection_goes_on() -> None:
    async def check() -> None:
        here = place(streaming(two))
        wire = Wire(here)
        wire.send(get("stream") + get("after"))
        await asyncio.sleep(100)
        assert wire.received.endswith(b"\r\n\r\n3\r\none\r\n")
        await asyncio.sleep(101)
        assert b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n" in wire.received
        assert wire.received.endswith(b"GET after ")
        here.close()

    run_virtual(check())


def test_an_old_client_gets_a_stream_up_to_the_end_of_the_connection() -> None:
    async def check() -> None:
        here = place(streaming(two))
        wire = Wire(here)
        wire.send(b"GET /v1/stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        await asyncio.sleep(201)
        assert wire.received.endswith(b"\r\n\r\nonetwo")
        assert b"chunked" not in wire.received
        assert b"Connection: close\r\n" in wire.received
        assert wire.ended
        here.close()

    run_virtual(check())


def test_a_stream_goes_as_fast_as_its_client_and_ends_with_it() -> None:
    async def check() -> None:
        made, closed = 0, False

        async def many() -> AsyncIterator[bytes]:
            nonlocal made, closed
            try:
                while True:
                    made += 1
                    yield b"x" * 1_000
            finally:
                closed = True

        here = place(streaming(many))
        wire = Wire(here, takes=5_000)
        wire.send(get("stream"))
        await turn()
        assert made == 5
        wire.connection.connection_lost(None)
        await turn()
        assert closed
        here.close()

    run_virtual(check())


def test_a_stream_whose_client_takes_nothing_is_cut_off() -> None:
    async def check() -> None:
        async def many() -> AsyncIterator[bytes]:
            while True:
                yield b"x" * 1_000

        here = place(streaming(many))
        wire = Wire(here, takes=5_000)
        wire.send(get("stream"))
        await asyncio.sleep(299)
        assert not wire.transport.aborted
        await asyncio.sleep(2)
        assert wire.transport.aborted
        here.close()

    run_virtual(check())


def test_a_stream_that_fails_is_not_taken_for_whole() -> None:
    async def check() -> None:
        async def broken() -> AsyncIterator[bytes]:
            yield b"one"
            raise OSError("canary")

        told: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context["exception"]))
        here = place(streaming(broken))
        wire = Wire(here)
        wire.send(get("stream"))
        await turn()
        assert wire.transport.aborted
        assert not wire.received.endswith(b"0\r\n\r\n")
        assert [type(each) for each in told] == [OSError]
        here.close()

    run_virtual(check())


# The place


def test_draining_answers_what_has_begun_and_ends_the_rest() -> None:
    async def check() -> None:
        slow = Slow()
        here = place(slow)
        fresh, idle, kept, reading, answering = (Wire(here) for _ in range(5))
        for wire in (idle, kept):
            wire.send(get("fast"))
        reading.send(get("fast")[:-2])
        answering.send(get("slow"))
        drained = asyncio.ensure_future(here.drain(60.0))
        await turn()
        kept.send(get("fast"))
        assert kept.statuses == [200, 200]
        assert kept.received.count(b"Connection: close\r\n") == 1, "it was kept open until now"
        assert kept.ended
        assert not fresh.ended
        assert not idle.ended
        assert not reading.ended
        assert not answering.ended
        reading.send(b"\r\n")
        slow.finish("slow")
        await turn()
        for wire in (reading, answering):
            assert wire.statuses == [200]
            assert b"Connection: close\r\n" in wire.received
            assert wire.ended
        assert not drained.done()
        await asyncio.sleep(DRAIN_GRACE_S + HTTP_TICK_S)
        assert fresh.ended
        assert idle.ended
        await asyncio.sleep(2)
        assert drained.done()
        late = Wire(here)
        assert late.transport.aborted
        here.close()

    run_virtual(check())


def test_draining_has_an_end() -> None:
    async def check() -> None:
        here = place(Slow())
        wire = Wire(here)
        wire.send(get("slow"))
        await asyncio.wait_for(here.drain(5.0), 6.0)
        assert wire.transport.aborted
        here.close()

    run_virtual(check())


def test_connections_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.http.place.HTTP_CONNECTIONS_MAX", 2)

    async def check() -> None:
        here = place()
        first, second, third = (Wire(here) for _ in range(3))
        assert [wire.transport.aborted for wire in (first, second, third)] == [False, False, True]
        first.connection.connection_lost(None)
        assert not Wire(here).transport.aborted
        here.close()

    run_virtual(check())


@pytest.mark.parametrize("head", [b"Content-Length: 400\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n190\r\n"])
def test_unfinished_bodies_are_bounded_in_sum(monkeypatch: pytest.MonkeyPatch, head: bytes) -> None:
    monkeypatch.setattr("holdfast.http.connection.HTTP_UNFINISHED_MAX_BYTES", 1_000)

    async def check() -> None:
        here = place()
        wires = [Wire(here) for _ in range(4)]
        for wire in wires[:3]:
            wire.send(b"POST /v1/a HTTP/1.1\r\nHost: v\r\n" + head)
            wire.send(b"x" * 330)
        wires[3].send(b"POST /v1/a HTTP/1.1\r\nHost: v\r\n" + head)
        wires[3].send(b"x" * 11)
        assert [wire.statuses for wire in wires] == [[], [], [], [503]]
        wires[0].send(b"x" * 70 + (b"\r\n0\r\n\r\n" if b"chunked" in head else b""))
        wires[1].connection.connection_lost(None)
        assert wires[0].statuses == [200]
        wires[3].connection.connection_lost(None)
        assert here.unfinished_bytes == 330
        wires[2].connection.connection_lost(None)
        assert here.unfinished_bytes == 0
        here.close()

    run_virtual(check())


@pytest.mark.parametrize(("behavior", "authorized", "address"), [
    (ProxyProtocol.USE_ALWAYS, (), "10.1.1.1"),
    (ProxyProtocol.ALLOW_AUTHORIZED, ("203.0.113.0/24",), "10.1.1.1"),
    (ProxyProtocol.ALLOW_AUTHORIZED, ("192.0.2.1",), "203.0.113.7"),
    (ProxyProtocol.DENY_UNAUTHORIZED, ("203.0.113.7",), "10.1.1.1"),
])
@pytest.mark.parametrize("size", [1, 1_000])
def test_a_proxy_says_whom_it_speaks_for(behavior: ProxyProtocol, authorized: tuple[str, ...], address: str, size: int) -> None:
    async def check() -> None:
        found: list[str] = []

        def serve(request: Request) -> Reply:
            found.append(request.client.address)
            return echo(request)

        here = place(serve, replace(PLAIN, proxy_protocol_behavior=behavior, proxy_protocol_authorized_addrs=authorized))
        wire = Wire(here)
        data = b"PROXY TCP4 10.1.1.1 20.2.2.2 1000 2000\r\n" + get("a")
        for at in range(0, len(data), size):
            wire.send(data[at:at + size])
        assert found == [address]
        assert wire.statuses == [200]
        here.close()

    run_virtual(check())


def test_a_proxy_that_may_not_speak_is_not_listened_to() -> None:
    async def check() -> None:
        denies = replace(PLAIN, proxy_protocol_behavior=ProxyProtocol.DENY_UNAUTHORIZED, proxy_protocol_authorized_addrs=("192.0.2.1",))
        here = place(settings=denies)
        assert Wire(here).transport.aborted
        here.close()
        plain = place()
        wire = Wire(plain)
        wire.send(b"PROXY TCP4 10.1.1.1 20.2.2.2 1000 2000\r\n" + get("a"))
        assert wire.statuses == [400]
        plain.close()

    run_virtual(check())


def test_nobody_is_left_behind() -> None:
    async def check() -> None:
        here = place()
        wire = Wire(here)
        wire.send(get("a"))
        wire.connection.connection_lost(None)
        assert wire.connection.phase is Phase.CLOSED
        await asyncio.wait_for(here.drain(1.0), 1.0)
        here.close()

    run_virtual(check())
