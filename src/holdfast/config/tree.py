"""What HCL and its JSON form parse to: objects of items, lists, and literals, each with the place where it stands.

Invariants:
1. An item has at least one key; the further ones are a block's labels, and then its value is an object.
2. `item a { b { … } }` and `item a b { … }` are two writings of one thing: `Object.under` sees no difference.
3. Keys are compared without regard to case, as HCL1 does.
"""
from __future__ import annotations

from typing import TypeAlias

import msgspec

from holdfast.errors import HoldfastError

Scalar: TypeAlias = "str | bool | int | float"


class Position(msgspec.Struct, frozen=True):
    """Line and column count from 1, the column in characters. `source`: the file, or empty."""

    line: int
    column: int
    source: str = ""

    def __str__(self) -> str:
        place = f"{self.line}:{self.column}"
        return f"{self.source}:{place}" if self.source else place


class HclError(HoldfastError):
    """The text is not HCL; nothing of it is used. `at` is where it stops making sense."""

    def __init__(self, problem: str, at: Position) -> None:
        super().__init__(problem, at)
        self.problem, self.at = problem, at

    @property
    def line(self) -> int:
        return self.at.line

    def __str__(self) -> str:
        return f"{self.at}: {self.problem}" if self.at.source else f"At {self.at}: {self.problem}"


class Key(msgspec.Struct, frozen=True):
    text: str
    at: Position


class Literal(msgspec.Struct, frozen=True):
    value: Scalar
    at: Position


class Array(msgspec.Struct, frozen=True):
    values: tuple[Value, ...]
    at: Position


class Item(msgspec.Struct, frozen=True):
    keys: tuple[Key, ...]
    value: Value

    @property
    def at(self) -> Position:
        return self.keys[0].at

    @property
    def name(self) -> str:
        """The first key as it is written."""
        return self.keys[0].text

    def inner(self) -> Value:
        """What stands under the first key: the value, or an object of what the further keys name."""
        if len(self.keys) == 1:
            return self.value
        return Object((Item(self.keys[1:], self.value),), self.keys[1].at)


class Object(msgspec.Struct, frozen=True):
    items: tuple[Item, ...]
    at: Position

    def named(self, name: str) -> tuple[Item, ...]:
        """The items whose first key is `name`, in the order of the text."""
        wanted = name.casefold()
        return tuple(item for item in self.items if item.keys[0].text.casefold() == wanted)

    def under(self, name: str) -> tuple[Value, ...]:
        """What stands under `name`, once for each time that it is given."""
        return tuple(item.inner() for item in self.named(name))


Value: TypeAlias = "Literal | Array | Object"
