"""Text to tokens: HCL1's lexical rules.

Strings, their escapes and the `${…}` within them, heredocs, numbers and comments are taken as HCL1 takes them. `${…}` is kept as it is
written: nothing is ever evaluated.

Invariants:
1. On any text the scanner ends, and raises nothing but HclError.
2. A token's value is final: nobody looks at the text again.
"""
from __future__ import annotations

import re
from bisect import bisect_right
from enum import Enum
from math import isfinite
from typing import NoReturn

import msgspec

from holdfast.config.tree import HclError, Position, Scalar
from holdfast.limits import INTEGER_MAX, INTEGER_MIN

_SPACE = re.compile(r"(?:[ \t\r\n]+|#[^\n]*|//[^\n]*|/\*(?s:.*?)\*/)*")      # matches everywhere, if only nothing
_IDENT = re.compile(r"[^\W\d][\w.\-]*")
_NUMBER = re.compile(r"-?(?:0[xX][0-9a-fA-F]*|\d+(?:\.\d*)?(?:[eE][+-]?\d*)?)|\.\d+(?:[eE][+-]?\d*)?", re.ASCII)
_PLAIN = re.compile(r'[^"\\$\n]+')
_ESCAPE = re.compile(r'[abfnrtv\\"]|[0-7]{3}|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}')
_WITHIN = re.compile(r"[^{}\\]+")
_ANCHOR = re.compile(r"<<(-?)(\w+)\r?\n")
_SHORT = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92, '"': 34}


def is_in_range(number: int | float) -> bool:
    """Go's integers and floating-point numbers."""
    return isfinite(number) if isinstance(number, float) else INTEGER_MIN <= number <= INTEGER_MAX


class Kind(Enum):
    """The value is the words that an error calls it by."""

    IDENT = "a name"
    STRING = "a string"
    LITERAL = "a value"                # number, boolean, heredoc
    ASSIGN = "'='"
    COMMA = "','"
    OPEN_BRACE = "'{'"
    CLOSE_BRACE = "'}'"
    OPEN_BRACKET = "'['"
    CLOSE_BRACKET = "']'"
    COLON = "':'"                      # JSON's alone
    END = "the end of the text"


MARKS = {"=": Kind.ASSIGN, ",": Kind.COMMA, "{": Kind.OPEN_BRACE, "}": Kind.CLOSE_BRACE, "[": Kind.OPEN_BRACKET, "]": Kind.CLOSE_BRACKET}


class Token(msgspec.Struct, frozen=True, gc=False):
    kind: Kind
    value: Scalar
    offset: int


class Text:
    """A text and its places."""

    __slots__ = ("_lines", "source", "text")

    def __init__(self, text: str, source: str) -> None:
        self.text, self.source = text, source
        self._lines = [0, *(match.end() for match in re.finditer("\n", text))]

    def position(self, offset: int) -> Position:
        line = bisect_right(self._lines, offset)
        return Position(line, offset - self._lines[line - 1] + 1, self.source)

    def fail(self, problem: str, offset: int) -> NoReturn:
        raise HclError(problem, self.position(offset))


class Scanner:
    __slots__ = ("_at", "_source")

    def __init__(self, source: Text) -> None:
        self._source, self._at = source, 1 if source.text.startswith("\ufeff") else 0

    def next(self) -> Token:
        """The next token; at the end, END as often as it is asked for."""
        text = self._source.text
        space = _SPACE.match(text, self._at)
        start = space.end() if space else self._at
        if start == len(text):
            return Token(Kind.END, "", start)
        first = text[start]
        if first == '"':
            return Token(Kind.STRING, self._string(start), start)
        if mark := MARKS.get(first):
            self._at = start + 1
            return Token(mark, first, start)
        if first == "<":
            return Token(Kind.LITERAL, self._heredoc(start), start)
        if match := _IDENT.match(text, start):
            self._at = match.end()
            word = match[0]
            return Token(Kind.LITERAL, word == "true", start) if word in ("true", "false") else Token(Kind.IDENT, word, start)
        if match := _NUMBER.match(text, start):
            self._at = match.end()
            return Token(Kind.LITERAL, self._number(match[0], start), start)
        return self._source.fail("comment not terminated" if text.startswith("/*", start) else f"illegal character {first!r}", start)

    def _number(self, text: str, start: int) -> int | float:
        digits = text.lstrip("-")
        try:
            if digits[:2] in ("0x", "0X"):
                value: int | float = int(text, 16)
            elif "." in text or "e" in text or "E" in text:
                value = float(text)
            else:
                value = int(text, 8 if len(digits) > 1 and digits[0] == "0" else 10)
        except ValueError:
            self._source.fail(f"illegal number {text[:40]!r}", start)
        if not is_in_range(value):
            self._source.fail(f"number {text[:40]} is out of range", start)
        return value

    def _string(self, start: int) -> str:
        """Bytes until the end, as `\\xc3\\xa9` are the two halves of one character."""
        text, at, out = self._source.text, start + 1, bytearray()
        while True:
            if match := _PLAIN.match(text, at):
                out += match[0].encode("utf-8", "surrogatepass")
                at = match.end()
            mark = text[at : at + 1]
            if mark == '"':
                break
            if mark == "\\":
                at = self._escape(at, out)
            elif mark == "$":
                end = self._interpolation(at) if text.startswith("{", at + 1) else at + 1
                out += text[at:end].encode("utf-8", "surrogatepass")
                at = end
            else:
                self._source.fail("literal not terminated", start)
        self._at = at + 1
        try:
            return out.decode()
        except UnicodeDecodeError:
            self._source.fail("the string is not UTF-8", start)

    def _escape(self, at: int, out: bytearray) -> int:
        match = _ESCAPE.match(self._source.text, at + 1)
        if match is None:
            self._source.fail("illegal char escape", at)
        code = match[0]
        if code in _SHORT:
            out.append(_SHORT[code])
        elif code[0] == "x" or code[0].isdigit():
            byte = int(code[1:], 16) if code[0] == "x" else int(code, 8)
            if byte > 255:
                self._source.fail("illegal char escape", at)
            out.append(byte)
        else:
            point = int(code[1:], 16)
            if point > 0x10FFFF or 0xD800 <= point <= 0xDFFF:
                self._source.fail("illegal char escape", at)
            out += chr(point).encode()
        return match.end()

    def _interpolation(self, start: int) -> int:
        """Where `${…}`, which may hold quotes, lines and braces in pairs, ends."""
        text, at, depth = self._source.text, start + 2, 1
        while depth:
            if match := _WITHIN.match(text, at):
                at = match.end()
            mark = text[at : at + 1]
            if mark == "\\":
                match = _ESCAPE.match(text, at + 1)
                if match is None:
                    self._source.fail("illegal char escape", at)
                at = match.end()
            elif mark:
                depth += 1 if mark == "{" else -1
                at += 1
            else:
                self._source.fail("literal not terminated", start)
        return at

    def _heredoc(self, start: int) -> str:
        text = self._source.text
        anchor = _ANCHOR.match(text, start)
        if anchor is None:
            self._source.fail("a heredoc begins with << or <<-, a name, and the end of the line", start)
        name, begin = anchor[2], anchor.end()
        line = begin
        while (end := text.find("\n", line)) >= 0:
            if text[line:end].rstrip("\r").lstrip(" \t\v\f\r") == name:
                self._at = end + 1
                return _content(text[begin:line], text[line:end].partition(name)[0], indented=bool(anchor[1]))
            line = end + 1
        return self._source.fail(f"heredoc not terminated: a line with {name[:40]!r} alone is missing", start)


def _content(body: str, margin: str, *, indented: bool) -> str:
    """`margin` stands before the closing anchor. `<<-` takes it off all lines, if all lines have it."""
    if not indented:
        return body + margin
    lines = body.split("\n")[:-1]
    if not all(line.startswith(margin) for line in lines):
        return body
    return "".join(line[len(margin):] + "\n" for line in lines)
