"""HCL1's JSON form: the same tree as the text form gives.

Objects in lists stand for a block given several times, and an object of objects alone for a block with labels:
`{"listener": [{"tcp": {…}}]}` is `listener "tcp" {…}`. `null` is the empty string, and a comma may stand at the end, as in HCL1.

Invariant: what `parse_json` gives could have been written in HCL, but for empty lists of blocks, which stay lists.
"""
from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from holdfast.config.scan import MARKS, Kind, Text, Token, is_in_range
from holdfast.config.tree import Array, Item, Key, Literal, Object, Scalar, Value
from holdfast.limits import HCL_DEPTH_MAX, INTEGER_MAX

_SPACE: Final = re.compile(r"[ \t\r\n\ufeff]*")
_STRING: Final = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*"')
_NUMBER: Final = re.compile(r"(-?(?:0|[1-9]\d*))(\.\d+)?([eE][-+]?\d+)?", re.ASCII)
_WORDS: Final[Mapping[str, Scalar]] = {"true": True, "false": False, "null": ""}
_MARKS: Final = {**{mark: kind for mark, kind in MARKS.items() if mark != "="}, ":": Kind.COLON}


def parse_json(text: Text) -> Object:
    """The tree of a text that holds one JSON object. Raises HclError."""
    parser = _Parser(text)
    value = parser.value()
    parser.end()
    assert isinstance(value, Object), "the first character was '{'"
    return _flattened(value)


class _Parser:
    __slots__ = ("_at", "_depth", "_text", "_token")

    def __init__(self, text: Text) -> None:
        self._text, self._at, self._depth = text, 0, 0
        self._token = self._next()

    def _take(self) -> Token:
        taken, self._token = self._token, self._next()
        return taken

    def _next(self) -> Token:
        text = self._text.text
        match = _SPACE.match(text, self._at)
        start = match.end() if match else self._at
        if start == len(text):
            return Token(Kind.END, "", start)
        if mark := _MARKS.get(text[start]):
            self._at = start + 1
            return Token(mark, text[start], start)
        if string := _STRING.match(text, start):
            self._at = string.end()
            return Token(Kind.STRING, self._unquoted(string[0], start), start)
        for word, value in _WORDS.items():
            if text.startswith(word, start):
                self._at = start + len(word)
                return Token(Kind.LITERAL, value, start)
        if number := _NUMBER.match(text, start):
            self._at = number.end()
            return Token(Kind.LITERAL, self._number(number, start), start)
        return self._text.fail("this is not JSON", start)

    def _unquoted(self, quoted: str, start: int) -> str:
        try:
            return msgspec.json.decode(quoted, type=str)
        except (msgspec.DecodeError, UnicodeEncodeError) as error:
            self._text.fail(f"illegal string: {error}", start)

    def _number(self, match: re.Match[str], start: int) -> int | float:
        whole, fraction, exponent = match.groups()
        value: int | float = float(match[0]) if fraction or exponent else int(whole) if len(whole) < 40 else INTEGER_MAX + 1
        if not is_in_range(value):
            self._text.fail(f"number {match[0][:40]} is out of range", start)
        return value

    def end(self) -> None:
        if self._token.kind is not Kind.END:
            self._text.fail(f"expected the end of the text, found {self._token.kind.value}", self._token.offset)

    def value(self) -> Value:
        token = self._token
        match token.kind:
            case Kind.STRING | Kind.LITERAL:
                self._take()
                return Literal(token.value, self._text.position(token.offset))
            case Kind.OPEN_BRACE | Kind.OPEN_BRACKET:
                self._depth += 1
                if self._depth > HCL_DEPTH_MAX:
                    self._text.fail(f"nested deeper than {HCL_DEPTH_MAX} levels", token.offset)
                found = self._object() if token.kind is Kind.OPEN_BRACE else self._array()
                self._depth -= 1
                return found
            case _:
                self._text.fail(f"expected a value, found {token.kind.value}", token.offset)

    def _object(self) -> Object:
        opening, items = self._take(), list[Item]()
        while not self._is(Kind.CLOSE_BRACE):
            key = self._expect(Kind.STRING)
            self._expect(Kind.COLON)
            items.append(Item((Key(str(key.value), self._text.position(key.offset)),), self.value()))
            if not self._is(Kind.CLOSE_BRACE):
                self._expect(Kind.COMMA)
        self._take()
        return Object(tuple(items), self._text.position(opening.offset))

    def _array(self) -> Array:
        opening, values = self._take(), list[Value]()
        while not self._is(Kind.CLOSE_BRACKET):
            values.append(self.value())
            if not self._is(Kind.CLOSE_BRACKET):
                self._expect(Kind.COMMA)
        self._take()
        return Array(tuple(values), self._text.position(opening.offset))

    def _is(self, kind: Kind) -> bool:
        return self._token.kind is kind

    def _expect(self, kind: Kind) -> Token:
        if self._token.kind is not kind:
            self._text.fail(f"expected {kind.value}, found {self._token.kind.value}", self._token.offset)
        return self._take()


def _flattened(tree: Object) -> Object:
    """From the top down, as the inner form decides: what is still a list when its turn comes is no label's block."""
    items = (item for each in tree.items for item in _blocks(each))
    return Object(tuple(Item(item.keys, _within(item.value)) for item in items), tree.at)


def _within(value: Value) -> Value:
    match value:
        case Object():
            return _flattened(value)
        case Array(values=values):
            return Array(tuple(_within(each) for each in values), value.at)
        case Literal():
            return value


def _blocks(item: Item) -> Iterator[Item]:
    """A list of objects alone is a block given several times; an object of objects alone gives its keys as labels."""
    value = item.value
    if isinstance(value, Array) and value.values and all(isinstance(each, Object) for each in value.values):
        for each in value.values:
            yield from _blocks(Item(item.keys, each))
    elif isinstance(value, Object) and value.items and all(isinstance(each.value, Object) for each in value.items):
        for inner in value.items:
            yield from _blocks(Item((*item.keys, *inner.keys), inner.value))
    else:
        yield item
