"""What a process says while it runs: one line for each event, in Vault's format or as JSON.

An event has a constant name (`lease.revoked`) and typed fields; tests look at events, people read lines. A process has one `Logs`: its
level, where its lines go, who listens. A `Logger` is a name in it. Workers write to the stderr that they inherited, and to the same file.

Invariants:
1. An event below the level costs one comparison.
2. A line is written whole, by one call; two processes may write to one file.
3. Logging never raises and never waits for a listener: what could not be written or taken is counted.
4. A field is a plain value: no object with a repr of its own comes into a line.

Left to others: which events there are; the audit (`core.audit`), which is not logging.
"""
from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from enum import Enum, IntEnum
from typing import Protocol, TypeAlias

import msgspec

from holdfast.telemetry.line import json_line, standard_line

FieldValue: TypeAlias = "str | int | float | bool | Sequence[str] | None"


class Level(IntEnum):
    TRACE = 1
    DEBUG = 2
    INFO = 3
    WARN = 4
    ERROR = 5
    OFF = 6


_LEVELS = {
    "trace": Level.TRACE, "debug": Level.DEBUG, "info": Level.INFO, "notice": Level.INFO, "": Level.INFO,
    "warn": Level.WARN, "warning": Level.WARN, "error": Level.ERROR, "err": Level.ERROR, "off": Level.OFF,
}


def level_named(name: str) -> Level:
    """The level that an operator calls so, in any case. Raises ValueError, as Vault puts it."""
    level = _LEVELS.get(name.strip().lower())
    if level is None:
        raise ValueError(f"unknown log level: {name}")
    return level


class Format(Enum):
    STANDARD = "standard"
    JSON = "json"


class Event(msgspec.Struct, frozen=True):
    """One event, before it becomes a line. `fields`: those of the logger first."""

    level: Level
    module: str
    name: str
    at_s: float
    fields: Mapping[str, FieldValue]


class Sink(Protocol):
    """Where lines go."""

    def write(self, line: bytes) -> bool:
        """A whole line with its line feed. False: it is lost. Never raises."""

    def close(self) -> None: ...


class Listener(Protocol):
    """Who else wants events, of its own level and in its own format."""

    level: Level

    def hear(self, event: Event) -> None:
        """Called on any thread, with the lock held: takes or drops, and returns at once."""

    def end(self) -> None:
        """Nothing more will come. Called as `hear` is."""


class Logs:
    """The log of one process. Safe from every thread."""

    def __init__(self, *, level: Level, format: Format, sinks: Sequence[Sink], clock: Callable[[], float] = time.time) -> None:
        self._level, self._format, self._sinks, self._clock = level, format, tuple(sinks), clock
        self._loggers: weakref.WeakSet[Logger] = weakref.WeakSet()
        self._listeners: tuple[Listener, ...] = ()
        self._lock = threading.RLock()
        self.lost = 0
        self.heard_level_changed: Callable[[Level], None] = lambda level: None

    @property
    def level(self) -> Level:
        return self._level

    def logger(self, name: str) -> Logger:
        """The logger of a part of the program: `core`, `core.expiration`."""
        with self._lock:
            logger = Logger(self, name, {})
            self.register(logger)
            return logger

    def register(self, logger: Logger) -> None:
        with self._lock:
            self._loggers.add(logger)
            logger.threshold = self._threshold()

    def set_level(self, level: Level) -> None:
        """From now on."""
        with self._lock:
            self._level = level
            self._refresh()

    def add_listener(self, listener: Listener) -> None:
        with self._lock:
            self._listeners = (*self._listeners, listener)
            self._refresh()
        self.heard_level_changed(self.heard_level)

    def remove_listener(self, listener: Listener) -> None:
        with self._lock:
            self._listeners = tuple(each for each in self._listeners if each is not listener)
            self._refresh()
        self.heard_level_changed(self.heard_level)

    @property
    def heard_level(self) -> Level:
        """The lowest that a listener wants; OFF: nobody listens. `heard_level_changed` is told by whoever adds or removes one."""
        return min((listener.level for listener in self._listeners), default=Level.OFF)

    def relay(self, event: Event) -> None:
        """An event of another process of this node, which has written its line itself: for the listeners here."""
        with self._lock:
            for listener in self._listeners:
                if event.level >= listener.level:
                    listener.hear(event)

    def end_listeners(self) -> None:
        """The process is about to end: who follows the log must not hold it up."""
        with self._lock:
            for listener in self._listeners:
                listener.end()

    def take(self, level: Level, module: str, name: str, fields: Mapping[str, FieldValue]) -> None:
        """Called by loggers, for what is not below their threshold."""
        with self._lock:
            event = Event(level, module, name, self._clock(), fields)
            if level >= self._level:
                line = line_of(event, self._format)
                for sink in self._sinks:
                    if not sink.write(line):
                        self.lost += 1
            for listener in self._listeners:
                if level >= listener.level:
                    listener.hear(event)

    def close(self) -> None:
        with self._lock:
            for sink in self._sinks:
                sink.close()
            self._sinks = ()

    def _refresh(self) -> None:
        for logger in self._loggers:
            logger.threshold = self._threshold()

    def _threshold(self) -> Level:
        return min((self._level, *(listener.level for listener in self._listeners)))


class Logger:
    """A name in the log. The methods take an event's name and its fields."""

    __slots__ = ("__weakref__", "_fields", "_logs", "name", "threshold")

    def __init__(self, logs: Logs, name: str, fields: Mapping[str, FieldValue]) -> None:
        self._logs, self.name, self._fields, self.threshold = logs, name, fields, Level.OFF

    def bind(self, **fields: FieldValue) -> Logger:
        """The same logger, with fields that every event of it has."""
        bound = Logger(self._logs, self.name, {**self._fields, **fields})
        self._logs.register(bound)
        return bound

    def named(self, name: str) -> Logger:
        """The logger of a part: `core` to `core.expiration`."""
        inner = Logger(self._logs, f"{self.name}.{name}", self._fields)
        self._logs.register(inner)
        return inner

    def log(self, level: Level, event: str, /, **fields: FieldValue) -> None:
        if level >= self.threshold:
            self._logs.take(level, self.name, event, {**self._fields, **fields})

    def trace(self, event: str, /, **fields: FieldValue) -> None:
        if self.threshold <= Level.TRACE:
            self._logs.take(Level.TRACE, self.name, event, {**self._fields, **fields})

    def debug(self, event: str, /, **fields: FieldValue) -> None:
        if self.threshold <= Level.DEBUG:
            self._logs.take(Level.DEBUG, self.name, event, {**self._fields, **fields})

    def info(self, event: str, /, **fields: FieldValue) -> None:
        if self.threshold <= Level.INFO:
            self._logs.take(Level.INFO, self.name, event, {**self._fields, **fields})

    def warn(self, event: str, /, **fields: FieldValue) -> None:
        if self.threshold <= Level.WARN:
            self._logs.take(Level.WARN, self.name, event, {**self._fields, **fields})

    def error(self, event: str, /, **fields: FieldValue) -> None:
        if self.threshold <= Level.ERROR:
            self._logs.take(Level.ERROR, self.name, event, {**self._fields, **fields})


def line_of(event: Event, format: Format) -> bytes:
    """The event as one line, with its line feed."""
    write = json_line if format is Format.JSON else standard_line
    return write(at_s=event.at_s, level=event.level.name, module=event.module, name=event.name, fields=event.fields)
