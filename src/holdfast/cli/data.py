"""`key=value` arguments as a request's data.

1. A value `@file` is read from the file, `-` from stdin, `\\@x` is the text `@x`; an argument `@file` or `-` alone is a whole JSON object.
2. A key given several times becomes a list; stdin can be read once.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence

from holdfast.cli import json_text
from holdfast.cli.errors import ExchangeError
from holdfast.cli.json_text import Json, plain

Data = dict[str, Json]


def parse_data(args: Sequence[str], read_stdin: Callable[[], bytes]) -> Data:
    """Raises ValueError, with the argument's name but never its value."""
    source = _Source(read_stdin)
    data: Data = {}
    for arg in args:
        key, equals, value = arg.partition("=")
        try:
            if not arg:
                continue
            if not equals:
                data.update(source.object(arg))
            elif key in data:
                before = data[key]
                data[key] = [*(before if isinstance(before, list) else [before]), source.value(value)]
            else:
                data[key] = source.value(value)
        except (OSError, ValueError, ExchangeError) as error:
            raise ValueError(f'invalid key/value pair "{key}": {_reason(error)}') from error
    return data


def parse_texts(args: Sequence[str], read_stdin: Callable[[], bytes]) -> dict[str, str]:
    """As `parse_data`, every value one text."""
    texts = {}
    for key, value in parse_data(args, read_stdin).items():
        if isinstance(value, (list, dict)):
            raise ValueError(f'failed to convert values to strings: "{key}" has more than one value')
        texts[key] = "1" if value is True else "0" if value is False else plain(value)
    return texts


def parse_query(args: Sequence[str], read_stdin: Callable[[], bytes]) -> list[tuple[str, str]]:
    """As `parse_data`, as the query of a URL."""
    pairs: list[tuple[str, str]] = []
    for key, value in parse_data(args, read_stdin).items():
        pairs += [(key, plain(item)) for item in (value if isinstance(value, list) else [value])]
    return pairs


class _Source:
    def __init__(self, read_stdin: Callable[[], bytes]) -> None:
        self._read_stdin = read_stdin
        self._consumed = False

    def stdin(self) -> bytes:
        if self._consumed:
            raise ValueError("stdin already consumed")
        self._consumed = True
        return self._read_stdin()

    def value(self, text: str) -> str:
        if text.startswith("@"):
            try:
                with open(text[1:], "rb") as file:
                    return file.read().decode("utf-8", "replace")
            except OSError as error:
                raise ValueError(f"error reading file: {_reason(error)}") from error
        if text.startswith("\\@"):
            return text[1:]
        return self.stdin().decode("utf-8", "replace") if text == "-" else text

    def object(self, arg: str) -> Data:
        if arg == "-":
            body = self.stdin()
        elif arg.startswith("@"):
            with open(arg[1:], "rb") as file:
                body = file.read()
        else:
            raise ValueError("format must be key=value")
        value = json_text.parse(body)
        if not isinstance(value, dict):
            raise ValueError("a JSON object is needed")
        return value


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"open {error.filename}: {(error.strerror or str(error)).lower()}"
    return str(error)
