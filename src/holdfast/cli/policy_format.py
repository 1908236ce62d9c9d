"""`policy fmt`: even spaces for a policy file, with no change to what it says.

1. Only spaces at the ends of lines, indentation, empty lines and the spaces around `=` change: the sequence of tokens stays, comments too.
2. Formatting twice is formatting once.
3. What has an open string, comment or bracket is refused, with its line.
"""
from __future__ import annotations

import re
from dataclasses import dataclass, field

from holdfast.errors import HoldfastError

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r]+)|(?P<newline>\n)|(?P<comment>(?:\#|//)[^\n]*)|(?P<block>/\*.*?\*/)"""
    r"""|(?P<string>"(?:\\.|[^"\\\n])*")|(?P<heredoc><<-?(?P<mark>[A-Za-z_]\w*)\n.*?\n[ \t]*(?P=mark)(?=\n|\Z))"""
    r"""|(?P<open>[\[{])|(?P<close>[\]}])|(?P<equals>=)|(?P<comma>,)|(?P<word>[^\s"\[\]{}=,\#/]+|/)""",
    re.DOTALL,
)
_INDENT = "  "
_PAIRS = {"]": "[", "}": "{"}


class PolicySyntaxError(HoldfastError):
    """Not a policy; the message names the line."""


@dataclass(slots=True)
class _Line:
    depth: int
    words: list[tuple[str, str]] = field(default_factory=list)    # kind and text


def format_policy(source: str) -> str:
    """Raises PolicySyntaxError."""
    lines = _lines(source)
    while lines and not lines[-1].words:
        lines.pop()
    out: list[str] = []
    for start, line in enumerate(lines):
        if not line.words and (not out or not out[-1]):
            continue
        out.append(_print(line, _width(lines, start)))
    return "\n".join(out) + "\n" if out else ""


def _lines(source: str) -> list[_Line]:
    lines = [_Line(0)]
    opened: list[tuple[str, int]] = []
    at, number = 0, 1
    while at < len(source):
        match = _TOKEN.match(source, at)
        if match is None:
            what = "a string is not closed" if source[at] == '"' else f"cannot read {source[at]!r}"
            raise PolicySyntaxError(f"failed to parse policy: line {number}: {what}")
        kind, text = match.lastgroup or "", match[0]
        kind = "heredoc" if kind == "mark" else kind
        at = match.end()
        if kind == "close" and (not opened or opened.pop()[0] != _PAIRS[text]):
            raise PolicySyntaxError(f"failed to parse policy: line {number}: {text!r} closes nothing")
        if kind == "newline":
            lines.append(_Line(len(opened)))
        elif kind != "space":
            if kind == "close" and not lines[-1].words:
                lines[-1].depth = len(opened)
            lines[-1].words.append((kind, text))
        if kind == "open":
            opened.append((text, number))
        number += text.count("\n")
    if opened:
        raise PolicySyntaxError(f"failed to parse policy: line {opened[-1][1]}: {opened[-1][0]!r} is not closed")
    return lines


def _key_width(line: _Line) -> int:
    """The width of what stands before `=` in a one-line assignment; 0: this is none."""
    kinds = [kind for kind, _ in line.words]
    if len(kinds) < 3 or kinds[1] != "equals" or kinds.count("open") != kinds.count("close"):
        return 0
    return len(line.words[0][1])


def _width(lines: list[_Line], at: int) -> int:
    """The widest key among the assignments right above and below, so that their equal signs align."""
    if not _key_width(lines[at]):
        return 0
    first = last = at
    while first > 0 and _key_width(lines[first - 1]):
        first -= 1
    while last + 1 < len(lines) and _key_width(lines[last + 1]):
        last += 1
    return max(_key_width(line) for line in lines[first : last + 1])


def _print(line: _Line, key_width: int) -> str:
    if not line.words:
        return ""
    out = _INDENT * line.depth
    before = ""
    for position, (kind, text) in enumerate(line.words):
        padded = text.ljust(key_width) if position == 0 and key_width else text
        tight = not before or kind == "comma" or before == "[" or text == "]" or (before == "{" and text == "}")
        out += padded if tight else f" {padded}"
        before = text
    return out.rstrip()
