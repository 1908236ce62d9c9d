"""Lines about clients: requests at a level, handshakes that came to nothing up to a number."""
import asyncio
from collections.abc import Awaitable

from holdfast.engine import Client, Method, Reply, Request
from holdfast.ids import RequestId
from holdfast.limits import HANDSHAKES_LOGGED_A_MINUTE
from holdfast.node.request_log import FailedHandshakes, RequestLog
from holdfast.node.serving import Served
from holdfast.telemetry.log import Event, Format, Level, Logs


class Heard:
    """A listener that keeps what it hears."""

    def __init__(self) -> None:
        self.level, self.events = Level.TRACE, list[Event]()

    def hear(self, event: Event) -> None:
        self.events.append(event)

    def end(self) -> None:
        raise AssertionError("nobody ends the log")


def logs_and_heard() -> tuple[Logs, Heard]:
    logs, heard = Logs(level=Level.OFF, format=Format.STANDARD, sinks=()), Heard()
    logs.add_listener(heard)
    return logs, heard


def test_each_answer_has_its_line_when_it_is_there() -> None:
    logs, heard = logs_and_heard()

    def serve(request: Request) -> Served | Awaitable[Served]:
        async def later() -> Served:
            return Reply(status=404)

        return later() if request.path == "slow" else Reply(status=204)

    log = RequestLog(serve, logs.logger("core"))
    assert log.handler("off") == serve, "it costs nothing when it is off"
    handler = log.handler("debug")
    for path in ("fast", "slow"):
        answer = handler(Request(id=RequestId("1"), method=Method.POST, path=path, client=Client(address="2001:db8::1", port=7)))
        assert len(heard.events) == 1, "not before the answer"
        if isinstance(answer, Awaitable):
            async def wait(found: Awaitable[Served] = answer) -> Served:
                return await found

            assert asyncio.run(wait()).status == 404
    fast, slow = heard.events
    assert (fast.level, fast.module, fast.name) == (Level.DEBUG, "core", "completed_request")
    assert (fast.fields["status_code"], fast.fields["request_path"], fast.fields["request_method"]) == (204, "/v1/fast", "POST")
    assert fast.fields["client_address"] == "[2001:db8::1]:7"
    assert (slow.fields["status_code"], slow.fields["request_path"]) == (404, "/v1/slow")


def test_failed_handshakes_do_not_fill_the_log() -> None:
    logs, heard = logs_and_heard()
    now = 0.0
    failed = FailedHandshakes(logs.logger("http"), lambda: now)
    for _ in range(3 * HANDSHAKES_LOGGED_A_MINUTE):
        failed(Client(address="192.0.2.1", port=9), "no common version")
    assert len(heard.events) == HANDSHAKES_LOGGED_A_MINUTE
    assert heard.events[0].fields == {"client_address": "192.0.2.1:9", "why": "no common version"}
    now = 60.0
    failed(Client(address="192.0.2.1", port=9), "no common version")
    assert [event.fields.get("more") for event in heard.events[-2:]] == [2 * HANDSHAKES_LOGGED_A_MINUTE, None]
