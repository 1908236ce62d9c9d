"""Blocks of a file to records: every key finds its field, or is reported.

Which keys there are, and of which types, is read off the records in `settings`; there is no second list.

Invariants:
1. A wrong value is an error with key and place, and reading goes on: an operator sees all of them at once.
2. An unknown key, one without effect and one that is given twice are warnings: none is dropped silently.
3. No message holds a value of an options block.
"""
from __future__ import annotations

import json
import types
from collections.abc import Callable, Mapping, Sequence
from enum import Enum, StrEnum
from functools import cache
from typing import Annotated, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from holdfast.config import units
from holdfast.config.finding import Findings
from holdfast.config.rules import CONVERTERS, RULES, Rule
from holdfast.config.settings import Unit, Use
from holdfast.config.tree import Array, Item, Literal, Object, Position, Value

R = TypeVar("R", bound=msgspec.Struct)


class Plan(msgspec.Struct, frozen=True):
    """How one field is read. `block`: the record that a nested block becomes."""

    attribute: str
    convert: Callable[[Value], object] | None
    rule: Rule | None
    use: Use | None
    block: type[msgspec.Struct] | None


@cache
def plans(record: type[msgspec.Struct]) -> Mapping[str, Plan]:
    """The fields of a record that a file may set, by key. What has a form of its own (`custom_response_headers`) is left out."""
    hints = get_type_hints(record, include_extras=True)
    found: dict[str, Plan] = {}
    for info in msgspec.structs.fields(record):
        plan = _plan(record, info.name, hints[info.name])
        if plan is not None:
            found[info.encode_name] = plan
    return found


def _plan(record: type[msgspec.Struct], attribute: str, hint: object) -> Plan | None:
    hint, marks = _unwrapped(hint)
    rule = next((RULES[base, attribute] for base in record.__mro__ if (base, attribute) in RULES), None)
    use = next((mark for mark in marks if isinstance(mark, Use)), None)
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return Plan(attribute, None, rule, use, hint)
    convert = CONVERTERS.get((record, attribute)) or _converter(hint, marks, has_rule=rule is not None)
    return Plan(attribute, convert, rule, use, None) if convert is not None else None


def _unwrapped(hint: object) -> tuple[object, tuple[object, ...]]:
    """`T` and the marks of `Annotated[T, mark] | None`, in either order."""
    if get_origin(hint) is Annotated:
        inner, *marks = get_args(hint)
        found, more = _unwrapped(inner)
        return found, (*marks, *more)
    if get_origin(hint) in (Union, types.UnionType):
        others = [each for each in get_args(hint) if each is not type(None)]
        return _unwrapped(others[0]) if len(others) == 1 else (hint, ())
    return hint, ()


def _converter(hint: object, marks: Sequence[object], *, has_rule: bool) -> Callable[[Value], object] | None:
    if Unit.SECONDS in marks:
        return units.seconds
    if Unit.WHOLE_SECONDS in marks:
        return lambda value: int(units.seconds(value))
    if Unit.BYTES in marks:
        return units.size_bytes
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return units.text if has_rule else _choice(hint)
    simple: dict[object, Callable[[Value], object]] = {
        bool: units.boolean, int: units.whole, str: units.text, float: units.seconds, tuple[str, ...]: units.texts}
    return simple.get(hint)


def _choice(choices: type[Enum]) -> Callable[[Value], object]:
    def convert(value: Value) -> object:
        written = units.text(value).strip()
        for choice in choices:
            if choice.value == written.lower():
                return choice
        raise ValueError(f"{written[:40]!r} is none of {', '.join(repr(str(choice.value)) for choice in choices if choice.value)}")
    return convert


class Block(msgspec.Struct, frozen=True):
    """The items of one stanza, its place, and its name for messages: `listener "tcp"`."""

    items: tuple[Item, ...]
    at: Position
    name: str = ""

    def without(self, *keys: str) -> Block:
        """The same without some keys, in any case."""
        return Block(tuple(item for item in self.items if item.name.lower() not in keys), self.at, self.name)

    def under(self, key: str) -> tuple[Item, ...]:
        return tuple(item for item in self.items if item.name.lower() == key)


def block_of(value: Value, name: str) -> Block:
    """Raises ValueError if it is no block."""
    if isinstance(value, Array) and len(value.values) == 1:
        value = value.values[0]
    if not isinstance(value, Object):
        raise ValueError(f"{name} is a block: {name} {{ … }}")
    return Block(value.items, value.at, name)


def fields(record: type[msgspec.Struct], block: Block, findings: Findings) -> dict[str, object]:
    """The values of the fields that the block sets, by attribute. What is wrong goes to `findings`."""
    found: dict[str, object] = {}
    known = plans(record)
    for key, items in _grouped(block.items).items():
        plan, item = known.get(key), items[-1]
        if plan is None:
            findings.warn(f"unknown key {_path(block, item)}: it has no effect", item.at)
            continue
        if len(items) > 1:
            _twice(plan, block, items, findings)
        if plan.use is Use.CHECKED:
            findings.warn(f"{_path(block, item)} is accepted, and has no effect", item.at)
        try:
            found[plan.attribute] = _value(plan, item, findings)
        except ValueError as error:
            findings.error(f"{_path(block, item)}: {error}", item.at)
    return found


def _grouped(items: Sequence[Item]) -> Mapping[str, list[Item]]:
    """By key, in the order in which each is first given."""
    by_key: dict[str, list[Item]] = {}
    for item in items:
        by_key.setdefault(item.name.lower(), []).append(item)
    return by_key


def without_refused(block: Block, refused: Mapping[str, str], findings: Findings) -> Block:
    """The same without the keys that are refused by name; they are errors."""
    for item in block.items:
        if item.name.lower() in refused:
            findings.error(f"{_path(block, item)}: {refused[item.name.lower()]}", item.at)
    return block.without(*refused)


def _twice(plan: Plan, block: Block, items: Sequence[Item], findings: Findings) -> None:
    if plan.block is not None:
        findings.error(f"only one {_path(block, items[0])} block is permitted", items[1].at)
    else:
        findings.warn(f"{_path(block, items[0])} is given more than once: this one holds, not that of {items[-2].at}", items[-1].at)


def _path(block: Block, item: Item) -> str:
    return repr(f"{block.name}.{item.name}" if block.name else item.name)


def _value(plan: Plan, item: Item, findings: Findings) -> object:
    inner = item.inner()
    if plan.block is not None:
        return record_of(plan.block, block_of(inner, item.name), findings)
    assert plan.convert is not None, "a field is a block or has a converter"
    value = plan.convert(inner)
    return plan.rule(value) if plan.rule is not None else value


def record_of(record: type[R], block: Block, findings: Findings) -> R:
    """The record of a block whose fields all have defaults."""
    return record(**fields(record, block, findings))


def options_of(block: Block, findings: Findings) -> dict[str, str]:
    """An options block: text as it is written, anything else as JSON, nested blocks as a list of objects."""
    for items in _grouped(block.items).values():
        if len(items) > 1 and not isinstance(items[-1].inner(), Object):
            findings.warn(f"{_path(block, items[0])} is given more than once: this one holds, not that of {items[-2].at}", items[-1].at)
    return {
        key: value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)
        for key, value in _plain(block.items).items()
    }


def _plain(items: Sequence[Item]) -> dict[str, object]:
    """Several blocks of one name are one list."""
    found: dict[str, object] = {}
    for item in items:
        inner = item.inner()
        value, before = _plain_value(inner), found.get(item.name)
        if isinstance(inner, Object) and isinstance(before, list) and isinstance(value, list):
            value = [*before, *value]
        found[item.name] = value
    return found


def _plain_value(value: Value) -> object:
    match value:
        case Literal(value=scalar):
            return scalar
        case Array(values=values):
            return [_plain(each.items) if isinstance(each, Object) else _plain_value(each) for each in values]
        case Object(items=items):
            return [_plain(items)]
