"""Lengths of time as Go writes and reads them; inside, whole nanoseconds.

1. `parse_duration(format_duration(n)) == n` for every n.
"""
from __future__ import annotations

import re

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
_UNITS = {"ns": 1, "us": 1_000, "µs": 1_000, "μs": 1_000, "ms": 1_000_000, "s": SECOND, "m": MINUTE, "h": HOUR, "d": 24 * HOUR}
_TERM = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h|d)")
_MAX = (1 << 63) - 1


def parse_duration(text: str) -> int:
    """Nanoseconds of a duration such as `1h30m`, `1.5s`, `-2m`; a bare number counts seconds. Raises ValueError, in Go's words."""
    plain = text[1:] if text[:1] in ("+", "-") else text
    if plain and plain.replace(".", "", 1).isdecimal():
        plain += "s"
    total, at = 0, 0
    while match := _TERM.match(plain, at):
        whole, _, fraction = match[1].partition(".")
        unit = _UNITS[match[2]]
        total += int(whole or "0") * unit + (int(fraction) * unit // 10 ** len(fraction) if fraction else 0)
        at = match.end()
    if at == 0 or at != len(plain) or total > _MAX:
        raise ValueError(f'time: invalid duration "{text}"')
    return -total if text.startswith("-") else total


def format_duration(nanoseconds: int) -> str:
    """As Go prints it: `768h0m0s`, `1.5s`, `20ms`, `0s`."""
    if nanoseconds < 0:
        return "-" + format_duration(-nanoseconds)
    if nanoseconds == 0:
        return "0s"
    if nanoseconds < SECOND:
        for name, unit in (("ms", 1_000_000), ("µs", 1_000)):
            if nanoseconds >= unit:
                return _with_fraction(nanoseconds, unit) + name
        return f"{nanoseconds}ns"
    hours, rest = divmod(nanoseconds, HOUR)
    minutes, rest = divmod(rest, MINUTE)
    seconds = _with_fraction(rest, SECOND) + "s"
    if hours:
        return f"{hours}h{minutes}m{seconds}"
    return f"{minutes}m{seconds}" if minutes else seconds


def _with_fraction(count: int, unit: int) -> str:
    whole, rest = divmod(count, unit)
    digits = str(rest).zfill(len(str(unit)) - 1).rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)


def human_duration(nanoseconds: int) -> str:
    """Without the zeros at the end that carry nothing: `768h`, `1m30s`."""
    text = format_duration(nanoseconds)
    if text.endswith("m0s"):
        text = text[:-2]
    at = text.find("h0m")
    return text[: at + 1] + text[at + 3 :] if at > 0 else text


def human_seconds(seconds: int) -> str:
    return human_duration(seconds * SECOND)


def ttl_to_api(nanoseconds: int) -> str:
    """A tunable TTL for the API: nothing if it was not given (0), `system` if it was given as negative."""
    if nanoseconds == 0:
        return ""
    return "system" if nanoseconds < 0 else format_duration(nanoseconds)


def whole_seconds(nanoseconds: int) -> int:
    """Whole seconds for an increment; anything shorter than one second asks for none."""
    return max(0, nanoseconds // SECOND)
