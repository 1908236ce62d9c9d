"""HCL1, as configuration files and policies are written in it, and its JSON form, to one tree.

A text whose first character is `{` is JSON. What the format allows and Vault's readers rely on is allowed: keys in quotes, commas between
items, lists that end in a comma, a key that stands twice. Whoever reads the tree decides what a second one means.

Invariants:
1. `parse` gives a tree or raises HclError, on any text; nothing else.
2. Size and depth are bounded before anything grows with them.
3. `parse(print_hcl(parse(text)))` is `parse(text)`, but for places.
"""
from __future__ import annotations

from holdfast.config import hcl_json
from holdfast.config.hcl_print import print_hcl
from holdfast.config.scan import Kind, Scanner, Text, Token
from holdfast.config.tree import Array, HclError, Item, Key, Literal, Object, Position, Scalar, Value
from holdfast.limits import HCL_DEPTH_MAX, HCL_SIZE_MAX_BYTES

__all__ = ["Array", "HclError", "Item", "Key", "Literal", "Object", "Position", "Scalar", "Value", "parse", "print_hcl"]


def parse(text: str | bytes, *, source: str = "") -> Object:
    """The tree of a text. `source` is what errors and places call it. At most HCL_SIZE_MAX_BYTES and HCL_DEPTH_MAX levels."""
    if len(text) > HCL_SIZE_MAX_BYTES:
        raise HclError(f"the text is longer than {HCL_SIZE_MAX_BYTES} bytes", Position(1, 1, source))
    if isinstance(text, bytes):
        text = _decoded(text, source)
    whole = Text(text, source)
    if (null := text.find("\0")) >= 0:
        whole.fail("unexpected null character (0x00)", null)
    if text.lstrip("\ufeff \t\r\n")[:1] == "{":
        return hcl_json.parse_json(whole)
    return _Parser(whole).whole()


def _decoded(text: bytes, source: str) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        line_start = text.rfind(b"\n", 0, error.start) + 1
        at = Position(text.count(b"\n", 0, error.start) + 1, len(text[line_start : error.start].decode()) + 1, source)
        raise HclError("illegal UTF-8 encoding", at) from error


class _Parser:
    """One token of look-ahead."""

    __slots__ = ("_depth", "_scanner", "_text", "_token")

    def __init__(self, text: Text) -> None:
        self._text, self._scanner, self._depth = text, Scanner(text), 0
        self._token = self._scanner.next()

    def whole(self) -> Object:
        return Object(self._items(Kind.END), Position(1, 1, self._text.source))

    def _take(self) -> Token:
        taken, self._token = self._token, self._scanner.next()
        return taken

    def _items(self, end: Kind) -> tuple[Item, ...]:
        items: list[Item] = []
        while self._token.kind is not end:
            items.append(self._item())
            if self._token.kind is Kind.COMMA:
                self._take()
        return tuple(items)

    def _item(self) -> Item:
        keys: list[Key] = []
        while self._token.kind in (Kind.IDENT, Kind.STRING):
            token = self._take()
            keys.append(Key(str(token.value), self._text.position(token.offset)))
        found = self._token
        if not keys:
            self._text.fail(f"expected a key, found {found.kind.value}", found.offset)
        if found.kind is Kind.ASSIGN and len(keys) == 1:
            self._take()
            return Item(tuple(keys), self._value())
        if found.kind is Kind.OPEN_BRACE:
            return Item(tuple(keys), self._object())
        names = " ".join(key.text for key in keys)[:80]
        wanted = "start of object ('{') or assignment ('=')" if len(keys) == 1 else "start of object ('{')"
        return self._text.fail(f"key '{names}' expected {wanted}, found {found.kind.value}", found.offset)

    def _value(self) -> Value:
        token = self._token
        match token.kind:
            case Kind.STRING | Kind.LITERAL:
                self._take()
                return Literal(token.value, self._text.position(token.offset))
            case Kind.OPEN_BRACE:
                return self._object()
            case Kind.OPEN_BRACKET:
                return self._array()
            case Kind.IDENT:
                self._text.fail(f"the bare word {str(token.value)[:40]!r} is no value: strings stand in quotes", token.offset)
            case _:
                self._text.fail(f"expected a value, found {token.kind.value}", token.offset)

    def _object(self) -> Object:
        opening = self._enter()
        items = self._items(Kind.CLOSE_BRACE)
        self._leave()
        return Object(items, self._text.position(opening.offset))

    def _array(self) -> Array:
        opening = self._enter()
        values: list[Value] = []
        while self._token.kind is not Kind.CLOSE_BRACKET:
            if self._token.kind is Kind.COMMA:
                self._take()
                continue
            values.append(self._value())
            if self._token.kind not in (Kind.COMMA, Kind.CLOSE_BRACKET):
                self._text.fail(f"error parsing list, expected comma or list end, found {self._token.kind.value}", self._token.offset)
        self._leave()
        return Array(tuple(values), self._text.position(opening.offset))

    def _enter(self) -> Token:
        self._depth += 1
        if self._depth > HCL_DEPTH_MAX:
            self._text.fail(f"nested deeper than {HCL_DEPTH_MAX} levels", self._token.offset)
        return self._take()

    def _leave(self) -> None:
        self._depth -= 1
        self._take()
