"""Where words stand: aligned columns, underlined tables, broken prose, times."""
from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import accumulate

LINE_WIDTH = 78
EMPTY = "n/a"
_GLUE = "    "
_TOO_LONG = 100_000                      # of a line that one word alone makes too long


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Aligned columns. Widths count bytes and padding counts characters, as in Vault's tables."""
    filled = [[cell.strip() or EMPTY for cell in row] for row in rows]
    widths: list[int] = []
    for row in filled:
        for at, cell in enumerate(row):
            size = len(cell.encode(errors="replace"))
            if at == len(widths):
                widths.append(size)
            elif widths[at] < size:
                widths[at] = size
    return "\n".join(_GLUE.join([*(cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False)), row[-1]]) for row in filled)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns below an underlined header."""
    return columns([header, ["-" * len(name.encode()) for name in header], *rows])


def wrap(text: str, *, indent: int = 0) -> str:
    """Prose at 78 columns, each line indented, broken so that the squares of what the lines leave free are least, the last line's aside."""
    width = LINE_WIDTH - indent
    words = text.split()
    ends = [0, *accumulate(len(word.encode(errors="replace")) + 1 for word in words)]
    count = len(words)
    costs, breaks = [0] * (count + 1), [count] * (count + 1)
    for first in range(count - 1, -1, -1):
        if ends[count] - ends[first] - 1 <= width:
            continue
        best = None
        for after in range(first + 1, count):
            free = width - (ends[after] - ends[first] - 1)
            if free < 0 and best is not None:
                break
            cost = free * free + costs[after] + (_TOO_LONG if free < 0 else 0)
            if best is None or cost < best:
                best, breaks[first] = cost, after
        costs[first] = best or 0
    lines, at = [], 0
    while at < count:
        lines.append(" " * indent + " ".join(words[at : breaks[at]]))
        at = breaks[at]
    return "\n".join(lines)


def go_time(text: str) -> str:
    """An RFC 3339 time as Go's Time.String prints it: `2026-11-21 08:00:00.25 +0000 UTC`; what is no such time stays as it is."""
    date, t, rest = text.partition("T")
    clock = rest.rstrip("Zz") if rest[-1:] in "Zz" else rest[:-6]
    zone = rest[len(clock) :]
    try:
        datetime.fromisoformat(f"{date}T{clock.partition('.')[0]}")
    except ValueError:
        return text
    if not t or zone in ("Z", "z", "+00:00", "-00:00"):
        return f"{date} {clock} +0000 UTC"
    short = zone.replace(":", "")
    return f"{date} {clock} {short} {short}"
