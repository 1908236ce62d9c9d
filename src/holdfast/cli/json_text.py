"""JSON, YAML and Go's plain notation of JSON values, letter for letter as Vault's command line prints them.

1. A number keeps the digits it came with (`1.10`, 23 digits) in JSON and in plain notation.
2. Keys are printed sorted, those of a Record in the order it was made with.
"""
from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from holdfast.cli.exchange import ExchangeError


@dataclass(frozen=True, slots=True)
class Number:
    """A JSON number as it was written."""

    text: str

    def __str__(self) -> str:
        return self.text


Json: TypeAlias = "bool | int | str | Number | Sequence[Json] | Mapping[str, Json] | None"


class Record(dict[str, Json]):
    """An object whose keys keep their order when printed as JSON."""


def parse(text: bytes | str) -> Json:
    """One JSON value. Raises ExchangeError."""
    try:
        value: Json = json.loads(text, parse_int=Number, parse_float=Number, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise ExchangeError(f"not JSON: {error}") from error
    return value


def _refuse(name: str) -> Json:
    raise ValueError(f"{name} is not a JSON value")


_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_ESCAPED = re.compile('["\\\\\x00-\x1f<>&\u2028\u2029\ud800-\udfff]')


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    if "\ud800" <= character <= "\udfff":
        return "\ufffd"
    return _ESCAPES.get(character) or f"\\u{ord(character):04x}"


def _string(text: str) -> str:
    return '"' + _ESCAPED.sub(_escape, text) + '"'


def encode(value: Json, indent: str = "", *, newline: str = "\n") -> str:
    """As Go's json.Marshal, or with an `indent` as json.MarshalIndent."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | Number():
            return str(value)
        case str():
            return _string(value)
        case Mapping():
            keys = value if isinstance(value, Record) else sorted(value)
            colon = ": " if indent else ":"
            inner = newline + indent
            return _enclose("{}", [_string(key) + colon + encode(value[key], indent, newline=inner) for key in keys], indent, newline)
        case _:
            return _enclose("[]", [encode(item, indent, newline=newline + indent) for item in value], indent, newline)


def _enclose(brackets: str, parts: list[str], indent: str, newline: str) -> str:
    if not parts:
        return brackets
    if not indent:
        return brackets[0] + ",".join(parts) + brackets[1]
    return brackets[0] + newline + indent + ("," + newline + indent).join(parts) + newline + brackets[1]


def plain(value: Json) -> str:
    """As Go's `%v`: `map[a:1 b:[x y]]`, `<nil>`."""
    match value:
        case None:
            return "<nil>"
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case int() | Number():
            return str(value)
        case Mapping():
            return "map[" + " ".join(f"{key}:{plain(value[key])}" for key in sorted(value)) + "]"
        case _:
            return "[" + " ".join(plain(item) for item in value) + "]"


def quoted_list(values: Sequence[str] | None) -> str:
    """As Go's `%q` of a list of strings: `["a" "b"]`."""
    return "[" + " ".join(_go_quote(value) for value in values or ()) + "]"


def _go_quote(text: str) -> str:
    def character(c: str) -> str:
        if c in _ESCAPES:
            return _ESCAPES[c]
        if c.isprintable():
            return c
        return f"\\x{ord(c):02x}" if ord(c) < 0x80 else f"\\u{ord(c):04x}"

    return '"' + "".join(character(c) for c in text) + '"'
