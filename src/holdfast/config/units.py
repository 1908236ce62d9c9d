"""Values as Vault lets them be written: booleans, whole numbers, lengths of time, sizes, each as a value of its own type or as text.

Functions raise ValueError with what is wrong, without the name of the key: who reads the file knows it.

Invariant: no value is guessed. What is neither is refused.
"""
from __future__ import annotations

import re

from holdfast.config.tree import Array, Literal, Object, Scalar, Value
from holdfast.limits import DURATION_MAX_S, DURATION_TEXT_MAX, INTEGER_MAX, INTEGER_MIN

TRUE, FALSE = frozenset(("1", "t", "T", "TRUE", "true", "True")), frozenset(("0", "f", "F", "FALSE", "false", "False"))
"""What Go reads as a truth."""
_WHOLE = re.compile(r"[+-]?\d+", re.ASCII)
_TERM = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_DAYS = re.compile(r"(\d+)(d?)", re.ASCII)
_UNITS_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_SIZE = re.compile(r"[\t ]*(\d+)[\t ]?([kmgt]i?b)?[\t ]*", re.ASCII | re.IGNORECASE)
_SIZES = {"": 1, **{f"{letter}b": 1000**power for power, letter in enumerate("kmgt", 1)},
          **{f"{letter}ib": 1024**power for power, letter in enumerate("kmgt", 1)}}
_DAY_S = 86_400


def scalar(value: Value) -> Scalar:
    match value:
        case Literal(value=found):
            return found
        case Array():
            raise ValueError("a list stands where one value is wanted")
        case Object():
            raise ValueError("a block stands where one value is wanted")


def boolean(value: Value) -> bool:
    """`true`, `"true"`, `1` and their kin; an empty string is false."""
    found = scalar(value)
    if isinstance(found, bool):
        return found
    if isinstance(found, int | float):
        return found != 0
    if not found or found in TRUE or found in FALSE:
        return found in TRUE
    raise ValueError(f"{found[:40]!r} is neither true nor false")


def whole(value: Value) -> int:
    """`7` or `"7"`; an empty string is 0."""
    found = scalar(value)
    if isinstance(found, str) and (not found or _WHOLE.fullmatch(found)):
        found = int(found or "0") if len(found) < 40 else INTEGER_MAX + 1
    if isinstance(found, bool | str | float):
        raise ValueError(f"{_shown(found)} is no whole number")
    if not INTEGER_MIN <= found <= INTEGER_MAX:
        raise ValueError("the number is out of range")
    return found


def text(value: Value) -> str:
    """A string, or a number as it is written."""
    found = scalar(value)
    if isinstance(found, bool):
        raise ValueError(f"{_shown(found)} is no string: put it in quotes")
    return found if isinstance(found, str) else str(found)


def texts(value: Value) -> tuple[str, ...]:
    """A list of strings, or one string with commas."""
    if isinstance(value, Array):
        return tuple(text(each) for each in value.values)
    return tuple(part.strip() for part in text(value).split(",") if part.strip())


def seconds(value: Value) -> float:
    """`"1h30m"`, `"2d"`, `"90"`, `90`; an empty string is 0."""
    found = scalar(value)
    if isinstance(found, bool):
        raise ValueError(f"{_shown(found)} is no length of time")
    total = duration_s(found) if isinstance(found, str) else found
    if not abs(total) <= DURATION_MAX_S:
        raise ValueError(f"{_shown(found)} is longer than {DURATION_MAX_S} seconds")
    return float(total)


def duration_s(written: str) -> float:
    """Seconds of a length of time written in Go's way, in days, or as a bare number of seconds. Raises ValueError."""
    if not written:
        return 0.0
    if len(written) > DURATION_TEXT_MAX:
        raise ValueError(f"a length of time is written in at most {DURATION_TEXT_MAX} characters")
    plain, sign = (written[1:], -1.0) if written[0] == "-" else (written.removeprefix("+"), 1.0)
    if match := _DAYS.fullmatch(plain):
        return sign * float(match[1]) * (_DAY_S if match[2] else 1)
    total, at = 0.0, 0
    while match := _TERM.match(plain, at):
        total += float(match[1]) * _UNITS_S[match[2]]
        at = match.end()
    if at == 0 or at != len(plain):
        raise ValueError(f"{written[:40]!r} is no length of time: write it as 90, \"90s\", \"1h30m\" or \"7d\"")
    return sign * total


def size_bytes(value: Value) -> int:
    """`"32mib"`, `"10 MB"`, `"1048576"`, `1048576`; below 0 as a plain number alone. An empty string is 0."""
    found = scalar(value)
    if isinstance(found, str) and (match := _SIZE.fullmatch(found)) and len(match[1]) < 20:
        found = int(match[1]) * _SIZES[(match[2] or "").lower()]
    elif isinstance(found, str) and found and not _WHOLE.fullmatch(found):
        raise ValueError(f"{found[:40]!r} is no size: write it as 1048576, \"1mib\" or \"1mb\"")
    return whole(Literal(found, value.at))


def _shown(found: Scalar) -> str:
    return str(found).lower() if isinstance(found, bool) else repr(found)[:42]
