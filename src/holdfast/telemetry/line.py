"""An event as a line: Vault's standard format and its JSON format.

`2026-01-02T15:04:05.123Z [INFO]  core: lease.revoked: lease_id=x/y count=3`, and the same with `@level`, `@message`, `@module` and
`@timestamp`. Times are local, with their offset; in UTC it is `Z`.

Invariants:
1. A line has one line feed, at its end: what a value holds of them is escaped.
2. The JSON form is one object of valid UTF-8, whatever the fields hold.
"""
from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import msgspec

_PADDED = {"TRACE": "[TRACE]", "DEBUG": "[DEBUG]", "INFO": "[INFO] ", "WARN": "[WARN] ", "ERROR": "[ERROR]"}
_SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def standard_line(*, at_s: float, level: str, module: str, name: str, fields: Mapping[str, object]) -> bytes:
    parts = [f"{_stamp(at_s, digits=3, colon='')} {_PADDED[level]} {module}: {_one_line(name)}"]
    if fields:
        parts.append(f"{parts.pop()}:")
        parts.extend(f"{key}={_value(value)}" for key, value in fields.items())
    return f"{' '.join(parts)}\n".encode(errors="backslashreplace")


def json_line(*, at_s: float, level: str, module: str, name: str, fields: Mapping[str, object]) -> bytes:
    record = {"@level": level.lower(), "@message": _plain(name), "@module": module, "@timestamp": _stamp(at_s, digits=6, colon=":")}
    record.update((key, _plain(value)) for key, value in fields.items() if key not in record)
    return msgspec.json.encode(record) + b"\n"


def _stamp(at_s: float, *, digits: int, colon: str) -> str:
    whole, fraction = divmod(int(at_s * 10**digits), 10**digits)
    local = time.localtime(whole)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', local)}.{fraction:0{digits}}{_offset(local.tm_gmtoff, colon)}"


def _offset(seconds: int, colon: str) -> str:
    if seconds == 0:
        return "Z"
    hours, minutes = divmod(abs(seconds) // 60, 60)
    return f"{'-' if seconds < 0 else '+'}{hours:02}{colon}{minutes:02}"


def _plain(value: object) -> object:
    """A value that every JSON reader takes; anything else than a plain one by its type alone."""
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        return [_plain(each) for each in value]
    return f"<{type(value).__name__}>"


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _quoted(value) if not value or any(char in ' "=' or not char.isprintable() for char in value) else value
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        return f"[{', '.join(_value(each) for each in value)}]"
    return "<nil>" if value is None else str(_plain(value))


def _quoted(text: str) -> str:
    return f'"{"".join(_SHORT.get(char, char) if char.isprintable() or char in _SHORT else _escaped(char) for char in text)}"'


def _escaped(char: str) -> str:
    return f"\\x{ord(char):02x}" if ord(char) < 256 else char.encode("unicode_escape").decode()


def _one_line(text: str) -> str:
    return text if text.isprintable() else _quoted(text)[1:-1]
