"""The terminal: where words go and hidden input comes from.

1. Results go to stdout, complaints and warnings to stderr; colours only where stdout is a terminal and the format is the table.
"""
from __future__ import annotations

import io
import os
import sys
from collections.abc import Mapping
from typing import BinaryIO, Protocol, TextIO

RED = "\033[0;31m"
YELLOW = "\033[0;33m"
RESET = "\033[0m"


class Terminal(Protocol):
    """What a command prints to and asks from."""

    def out(self, text: str) -> None: ...
    def err(self, text: str) -> None: ...
    def flush(self) -> None: ...
    def read_stdin(self) -> bytes: ...
    def ask_secret(self, question: str) -> str: ...
    def is_terminal(self) -> bool: ...
    def input_is_terminal(self) -> bool: ...


class NoTerminalError(Exception):
    """Hidden input was asked for where there is no terminal to ask at."""


class ProcessTerminal:
    """The terminal of this process."""

    def __init__(self, env: Mapping[str, str]) -> None:
        # A stream that the caller has closed is None.
        self._stdin: BinaryIO = sys.stdin.buffer if sys.stdin else io.BytesIO()
        self._stdout: TextIO = sys.stdout or io.StringIO()
        self._stderr: TextIO = sys.stderr or io.StringIO()
        self._plain = "NO_COLOR" in env or env.get("TERM") == "dumb"

    def out(self, text: str) -> None:
        self._stdout.write(text)

    def err(self, text: str) -> None:
        self._stdout.flush()
        self._stderr.write(text)
        self._stderr.flush()

    def flush(self) -> None:
        self._stdout.flush()

    def read_stdin(self) -> bytes:
        return self._stdin.read()

    def is_terminal(self) -> bool:
        """Whether stdout is a terminal that takes colours; a raw field ends in a line break only there."""
        return self._stdout.isatty() and not self._plain

    def input_is_terminal(self) -> bool:
        return self._stdin.isatty()

    def ask_secret(self, question: str) -> str:
        """A line typed without being shown. Raises NoTerminalError."""
        if not self._stdin.isatty():
            raise NoTerminalError("stdin is not a terminal")
        import termios

        number = self._stdin.fileno()
        before = termios.tcgetattr(number)
        # Nothing is shown from before the question on, so that an answer typed at once is not shown either.
        termios.tcsetattr(number, termios.TCSAFLUSH, [*before[:3], before[3] & ~termios.ECHO, *before[4:]])
        try:
            self.err(question)
            return os.fsdecode(self._stdin.readline()).rstrip("\r\n")
        finally:
            termios.tcsetattr(number, termios.TCSAFLUSH, before)
            self.err("\n")
