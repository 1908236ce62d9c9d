"""The log of a process as its configuration wants it, and what libraries say through `logging`.

Invariant: of a library's record its template's first words, the exception's type and the places of its traceback come into the log, and
nothing else: asyncio's messages show arguments of callbacks, and those are clients' bytes.
"""
from __future__ import annotations

import logging
import sys
import traceback
from pathlib import Path

import msgspec

from holdfast.telemetry.log import Format, Level, Logger, Logs, level_named
from holdfast.telemetry.sinks import DescriptorSink, FileOptions, FileSink

_PLACES_MAX = 8


class LogOptions(msgspec.Struct, frozen=True, kw_only=True):
    """`level` and `format` as the configuration writes them; `file`: None for stderr alone."""

    level: str = "info"
    format: str = "standard"
    file: FileOptions | None = None


def open_logs(options: LogOptions) -> Logs:
    """Stderr, and the file if there is one. Raises LogFileError, ValueError for an unknown level or format."""
    sinks = (DescriptorSink(sys.stderr.fileno()), *((FileSink(options.file),) if options.file else ()))
    return Logs(level=level_named(options.level), format=Format(options.format.strip().lower() or "standard"), sinks=sinks)


def capture_libraries(logger: Logger) -> None:
    """From now on what libraries log comes here, from WARNING on."""
    root = logging.getLogger()
    root.handlers[:] = [_Handler(logger)]
    root.setLevel(logging.WARNING)


class _Handler(logging.Handler):
    def __init__(self, logger: Logger) -> None:
        super().__init__()
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        words = str(record.msg).partition("\n")[0].partition("(")[0].partition("<")[0].strip()[:200]
        error = record.exc_info[1] if record.exc_info else None
        level = Level.ERROR if record.levelno >= logging.ERROR else Level.WARN
        self._logger.log(level, "library.message", library=record.name, words=words,
                         error=type(error).__name__ if error else None, at=places(error))


def places(error: BaseException | None) -> list[str]:
    """Where an exception came through, the innermost last: files, lines and functions, no values."""
    if error is None:
        return []
    frames = traceback.extract_tb(error.__traceback__)[-_PLACES_MAX:]
    return [f"{Path(frame.filename).name}:{frame.lineno}:{frame.name}" for frame in frames]
