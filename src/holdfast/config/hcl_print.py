"""A tree back to text, one way of writing for each thing: as `policy fmt` shows it, and for `parse` to read again.

Invariants:
1. Printing twice, with parsing between, gives the same text.
2. No string is ever read as `${…}` that was none.
"""
from __future__ import annotations

import re

from holdfast.config.tree import Array, Item, Key, Literal, Object, Scalar, Value

_BARE = re.compile(r"(?!(?:true|false)$)[A-Za-z_][A-Za-z0-9_.\-]*")
_QUOTED = re.compile(r'["\\]|\$(?=\{)|[\x00-\x1f\x7f]')
_SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_INDENT = "  "


def print_hcl(tree: Object) -> str:
    """HCL text of a tree, two spaces a level, with a line feed at the end unless it is empty."""
    return "".join(f"{line}\n" for line in _items(tree, ""))


def _items(tree: Object, margin: str) -> list[str]:
    lines: list[str] = []
    for item in tree.items:
        lines.extend(_item(item, margin))
    return lines


def _item(item: Item, margin: str) -> list[str]:
    first, *labels = item.keys
    head = " ".join((_key(first), *(quote(label.text) for label in labels)))
    if not isinstance(item.value, Object):
        return [f"{margin}{head} = {_inline(item.value)}"]
    inner = _items(item.value, margin + _INDENT)
    return [f"{margin}{head} {{", *inner, f"{margin}}}"] if inner else [f"{margin}{head} {{}}"]


def _key(key: Key) -> str:
    return key.text if _BARE.fullmatch(key.text) else quote(key.text)


def _inline(value: Value) -> str:
    match value:
        case Literal(value=scalar):
            return _scalar(scalar)
        case Array(values=values):
            return f"[{', '.join(_inline(each) for each in values)}]"
        case Object(items=items):
            return f"{{ {', '.join(_inline_item(item) for item in items)} }}" if items else "{}"


def _inline_item(item: Item) -> str:
    if isinstance(item.value, Object):
        return f"{' '.join(quote(key.text) for key in item.keys)} {_inline(item.value)}"
    return f"{_key(item.keys[0])} = {_inline(item.value)}"


def _scalar(scalar: Scalar) -> str:
    if isinstance(scalar, str):
        return quote(scalar)
    if isinstance(scalar, bool):
        return "true" if scalar else "false"
    if isinstance(scalar, float):
        text = repr(scalar)
        return text if "." in text or "e" in text else f"{text}.0"
    return str(scalar)


def quote(text: str) -> str:
    """A string in quotes."""
    return f'"{_QUOTED.sub(lambda match: _SHORT.get(match[0], f"{chr(92)}x{ord(match[0]):02x}"), text)}"'
