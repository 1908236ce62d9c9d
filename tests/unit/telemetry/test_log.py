"""Events to lines, levels, listeners; from any thread."""
from __future__ import annotations

import asyncio
import json
import logging
import os
import threading
import time
from collections.abc import Iterator

import pytest
from tests.at_once import at_once

from holdfast.telemetry.line import json_line, standard_line
from holdfast.telemetry.log import Event, Format, Level, Logs, level_named
from holdfast.telemetry.monitor import monitor
from holdfast.telemetry.setup import LogOptions, capture_libraries, open_logs

AT_S = 1_767_366_245.1239


class Kept:
    """A sink that keeps lines, or loses them."""

    def __init__(self, *, works: bool = True) -> None:
        self.lines: list[bytes] = []
        self.works, self.closed = works, False

    def write(self, line: bytes) -> bool:
        if self.works:
            self.lines.append(line)
        return self.works

    def close(self) -> None:
        self.closed = True


class Ear:
    def __init__(self, level: Level) -> None:
        self.level, self.heard, self.ended = level, list[Event](), False

    def hear(self, event: Event) -> None:
        self.heard.append(event)

    def end(self) -> None:
        self.ended = True


@pytest.fixture(autouse=True)
def in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def logs(sink: Kept, level: Level = Level.INFO, format: Format = Format.STANDARD) -> Logs:
    return Logs(level=level, format=format, sinks=(sink,), clock=lambda: AT_S)


def test_the_standard_format() -> None:
    sink = Kept()
    logger = logs(sink).logger("core").bind(node_id="n1").named("expiration")
    logger.info("lease.revoked", lease_id="a/b c", count=3, ratio=0.5, forced=True, why=None, empty="", parts=("x", "y z"))
    logger.warn("lease.failed")
    assert sink.lines == [
        b'2026-01-02T15:04:05.123Z [INFO]  core.expiration: lease.revoked: node_id=n1 lease_id="a/b c" count=3 ratio=0.5 forced=true'
        b' why=<nil> empty="" parts=[x, "y z"]\n',
        b"2026-01-02T15:04:05.123Z [WARN]  core.expiration: lease.failed: node_id=n1\n",
    ]


def test_an_event_without_fields_has_no_colon_behind_it() -> None:
    assert standard_line(at_s=AT_S, level="ERROR", module="m", name="e", fields={}) == b"2026-01-02T15:04:05.123Z [ERROR] m: e\n"


def test_the_json_format() -> None:
    sink = Kept()
    logs(sink, format=Format.JSON).logger("core").error("lease.failed", count=3, why='a "b"\n', parts=["x"])
    assert json.loads(sink.lines[0]) == {
        "@level": "error", "@message": "lease.failed", "@module": "core", "@timestamp": "2026-01-02T15:04:05.123900Z",
        "count": 3, "why": 'a "b"\n', "parts": ["x"]}
    assert sink.lines[0].count(b"\n") == 1


def test_offsets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    assert standard_line(at_s=AT_S, level="INFO", module="m", name="e", fields={}).startswith(b"2026-01-02T20:34:05.123+0530 ")
    assert b'"2026-01-02T20:34:05.123900+05:30"' in json_line(at_s=AT_S, level="INFO", module="m", name="e", fields={})


@pytest.mark.parametrize("value", ["a\nb", "a\r\n[INFO]", "\x1b[31m", "\u2028", "\ud800", 'q"q', "k=v", "\x00"])
def test_a_value_cannot_begin_a_line_of_its_own(value: str) -> None:
    line = standard_line(at_s=AT_S, level="INFO", module="m", name=value, fields={"k": value})
    assert line.count(b"\n") == 1
    assert line.decode().rstrip("\n").isprintable()
    assert json.loads(json_line(at_s=AT_S, level="INFO", module="m", name=value, fields={"k": value}))["k"]


def test_only_plain_values_come_into_a_line() -> None:
    class Talkative:
        def __repr__(self) -> str:
            return "canary"

    for write in (standard_line, json_line):
        assert b"canary" not in write(at_s=AT_S, level="INFO", module="m", name="e", fields={"k": Talkative(), "b": b"canary"})


@pytest.mark.parametrize(("name", "level"), [
    ("trace", Level.TRACE), ("DEBUG", Level.DEBUG), (" notice ", Level.INFO), ("", Level.INFO),
    ("warning", Level.WARN), ("err", Level.ERROR)])
def test_levels_by_name(name: str, level: Level) -> None:
    assert level_named(name) is level


def test_an_unknown_level_is_refused_in_vaults_words() -> None:
    with pytest.raises(ValueError, match="unknown log level: loud"):
        level_named("loud")


def test_the_level_changes_while_it_runs_for_every_logger() -> None:
    sink = Kept()
    log = logs(sink, Level.WARN)
    core, audit = log.logger("core"), log.logger("audit")
    core.info("core.a")
    log.set_level(Level.DEBUG)
    core.debug("core.b")
    audit.info("audit.a")
    log.set_level(Level.INFO)
    core.debug("core.c")
    audit.info("audit.b")
    assert log.level is Level.INFO
    assert [line.split()[-1] for line in sink.lines] == [b"core.b", b"audit.a", b"audit.b"]


def test_every_level_has_its_method_and_its_threshold() -> None:
    for level in (Level.TRACE, Level.DEBUG, Level.INFO, Level.WARN, Level.ERROR):
        sink = Kept()
        logger = logs(sink, level).logger("m")
        for method in (logger.trace, logger.debug, logger.info, logger.warn, logger.error):
            method("e")
        assert len(sink.lines) == Level.OFF - level
        assert logger.threshold is level


def test_what_is_off_is_off() -> None:
    sink = Kept()
    logs(sink, Level.OFF).logger("m").error("e")
    assert sink.lines == []


def test_a_listener_has_a_level_of_its_own() -> None:
    sink, ear = Kept(), Ear(Level.DEBUG)
    log = logs(sink)
    logger = log.logger("m")
    log.add_listener(ear)
    logger.debug("m.a", n=1)
    logger.trace("m.b")
    log.remove_listener(ear)
    logger.debug("m.c")
    assert [(event.name, event.fields) for event in ear.heard] == [("m.a", {"n": 1})]
    assert sink.lines == []


def test_listeners_hear_of_the_end() -> None:
    log, ear, gone = logs(Kept()), Ear(Level.DEBUG), Ear(Level.DEBUG)
    log.add_listener(ear)
    log.add_listener(gone)
    log.remove_listener(gone)
    log.end_listeners()
    assert (ear.ended, gone.ended) == (True, False)


def test_lost_lines_are_counted_and_the_other_sink_still_gets_them() -> None:
    broken, sink = Kept(works=False), Kept()
    log = Logs(level=Level.INFO, format=Format.STANDARD, sinks=(broken, sink), clock=lambda: AT_S)
    log.logger("m").info("e")
    assert (log.lost, len(sink.lines)) == (1, 1)
    log.close()
    log.logger("m").info("e")
    assert (sink.closed, len(sink.lines)) == (True, 1)


def test_lines_of_many_threads_are_whole() -> None:
    sink = Kept()
    logger = logs(sink).logger("m")

    def write(number: int) -> None:
        for count in range(200):
            logger.info("e", number=number, count=count)

    at_once(write, range(4))
    assert len({line.split(b"e: ", 1)[1] for line in sink.lines}) == 800


def test_the_log_of_a_process_goes_to_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    log = open_logs(LogOptions(level="debug", format="JSON"))
    log.logger("m").debug("m.a")
    assert json.loads(capfd.readouterr().err)["@message"] == "m.a"
    with pytest.raises(ValueError, match="'yaml' is not a valid Format"):
        open_logs(LogOptions(format="yaml"))


def test_libraries_say_where_and_what_kind_but_no_values() -> None:
    sink, root = Kept(), logging.getLogger()
    before, level = root.handlers[:], root.level
    try:
        capture_libraries(logs(sink).logger("library"))
        try:
            raise ValueError("canary")
        except ValueError:
            logging.getLogger("asyncio").exception("Exception in callback received(b'canary')\nhandle: <canary>")
        logging.getLogger("quiet").info("canary")
        logging.getLogger("other").warning("something %s", "canary")
    finally:
        root.handlers[:] = before
        root.setLevel(level)
    assert b"canary" not in b"".join(sink.lines)
    first, second = sink.lines
    assert b'[ERROR] library: library.message: library=asyncio words="Exception in callback received" error=ValueError at=[test_' in first
    assert b"[WARN]  library: library.message: library=other" in second


async def read(stream: object, count: int) -> list[bytes]:
    return [await anext(stream) for _ in range(count)]  # type: ignore[call-overload]


def test_a_monitor_streams_lines_of_its_level() -> None:
    async def scene() -> None:
        log = logs(Kept())
        logger = log.logger("m")
        stream = monitor(log, Level.DEBUG, Format.JSON)
        first = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        logger.debug("m.a")
        assert json.loads(await first)["@message"] == "m.a"
        thread = threading.Thread(target=lambda: logger.info("m.b"))
        thread.start()
        assert json.loads(await asyncio.wait_for(anext(stream), 5))["@message"] == "m.b"
        thread.join()
        await stream.aclose()  # type: ignore[attr-defined]
        assert logger.threshold > Level.DEBUG

    asyncio.run(scene())


def test_a_slow_reader_of_the_monitor_loses_lines_and_is_told() -> None:
    async def scene() -> None:
        logger = (log := logs(Kept())).logger("m")
        stream = monitor(log, Level.INFO, Format.STANDARD, lines_max=2)
        first = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        for number in range(5):
            logger.info("m.a", number=number)
        lines = [await first, *await read(stream, 2)]
        assert [line.split(b": ", 1)[1] for line in lines] == [b"m.a: number=0\n", b"m.a: number=1\n", b"monitor.dropped: lines=3\n"]
        logger.info("m.b")
        assert b"m.b" in await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]

    asyncio.run(scene())


def test_a_pipe_without_a_reader_loses_lines_quietly() -> None:
    from holdfast.telemetry.sinks import DescriptorSink

    reader, writer = os.pipe()
    os.close(reader)
    assert not DescriptorSink(writer).write(b"x\n")
    os.close(writer)
