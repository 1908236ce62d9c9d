"""What becomes of JSON that does not fit its field as it is: Vault decodes it weakly.

Decides nothing about what fits: it is asked only for what did not. A number for a text is the text as it was written, true is "1" and
false "0"; a lone value stands for a list of one; pairs may come as `name=value`; nothing at all is false, or 0. Source: what Vault's
endpoints take.
"""
from collections.abc import Mapping
from functools import cache
from typing import TypeAlias

import msgspec
from msgspec import inspect

Members: TypeAlias = Mapping[str, msgspec.Raw]
_FALSE, _TRUE = frozenset({"", "f", "F"}), frozenset({"t", "T"})
_NUMBERS = {b"null": b"0", b"false": b"0", b"true": b"1", b'""': b"0"}
_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode


class Shape(msgspec.Struct, frozen=True):
    """What a field takes."""

    text: bool = False
    number: bool = False
    truth: bool = False
    texts: bool = False                              # a list of them
    pairs: bool = False                              # texts by name


def loosened(body: Members, kind: type[msgspec.Struct]) -> Members | None:
    """The members of a body as `kind` may be able to read them. None: they are that already."""
    shapes = _shapes(kind)
    found = {name: _loosened(raw, shapes[name]) if name in shapes else raw for name, raw in body.items()}
    return found if any(found[name] is not raw for name, raw in body.items()) else None


def integer(raw: msgspec.Raw) -> int:
    """A whole number where no field says that there is one; also digits in a text. Raises ValueError."""
    text = _NUMBERS.get(bytes(raw), bytes(raw)).decode()
    return int(text.removeprefix('"').removesuffix('"'), 0)


@cache
def _shapes(kind: type[msgspec.Struct]) -> Mapping[str, Shape]:
    known = inspect.type_info(kind)
    assert isinstance(known, inspect.StructType), "an input is a record"
    return {field.encode_name: _shape(field.type) for field in known.fields}


def _shape(known: inspect.Type) -> Shape:
    known = _bare(known)
    types = tuple(map(_bare, known.types)) if isinstance(known, inspect.UnionType) else (known,)
    return Shape(
        text=any(isinstance(one, inspect.StrType) for one in types),
        number=any(isinstance(one, inspect.IntType | inspect.FloatType) for one in types),
        truth=any(isinstance(one, inspect.BoolType) for one in types),
        texts=any(isinstance(one, inspect.ListType) and isinstance(_bare(one.item_type), inspect.StrType) for one in types),
        pairs=any(isinstance(one, inspect.DictType) and isinstance(_bare(one.value_type), inspect.StrType) for one in types))


def _bare(known: inspect.Type) -> inspect.Type:
    return known.type if isinstance(known, inspect.Metadata) else known


def _loosened(raw: msgspec.Raw, shape: Shape) -> msgspec.Raw:
    text = bytes(raw)
    if text.startswith(b"["):
        return _as_list(raw, shape)
    if text.startswith(b"{"):
        return _each(raw) if shape.pairs else raw
    if text.startswith(b'"'):
        return _of_text(raw, shape)
    if text == b"null" or (shape.text and shape.number):
        return raw                                   # not sent; or a duration, which is no boolean
    if shape.text:
        return as_text(raw)
    if shape.texts:
        return _join([as_text(raw)])
    if shape.number and text in _NUMBERS:
        return msgspec.Raw(_NUMBERS[text])
    return raw


def _of_text(raw: msgspec.Raw, shape: Shape) -> msgspec.Raw:
    if shape.text:
        return raw
    if shape.texts:
        return _join([raw])
    if shape.pairs:
        return _pairs(raw, [raw])
    text = msgspec.json.decode(raw, type=str)
    if shape.truth and (text in _FALSE or text in _TRUE):
        return msgspec.Raw(b"true" if text in _TRUE else b"false")
    return msgspec.Raw(b"0") if shape.number and not text else raw


def _as_list(raw: msgspec.Raw, shape: Shape) -> msgspec.Raw:
    if not shape.texts and not shape.pairs:
        return raw
    items = _list(raw)
    if not shape.texts:
        return _pairs(raw, items)
    texts = [as_text(item) for item in items]
    return raw if all(text is item for text, item in zip(texts, items, strict=True)) else _join(texts)


def _each(raw: msgspec.Raw) -> msgspec.Raw:
    values = _object(raw)
    texts = {name: as_text(value) for name, value in values.items()}
    return raw if all(texts[name] is value for name, value in values.items()) else msgspec.Raw(_encode(texts))


def _pairs(raw: msgspec.Raw, items: list[msgspec.Raw]) -> msgspec.Raw:
    found = {}
    for item in items:
        text = bytes(as_text(item))
        name, equals, value = msgspec.json.decode(text, type=str).partition("=") if text.startswith(b'"') else ("", "", "")
        if not name or not equals:
            return raw                                   # not understood: refused as it was sent
        found[name] = value
    return msgspec.Raw(_encode(found))


def as_text(raw: msgspec.Raw) -> msgspec.Raw:
    """Of a number, a boolean or nothing; anything else stays what it is."""
    text = bytes(raw)
    if text in (b"true", b"false"):
        return msgspec.Raw(b'"1"' if text == b"true" else b'"0"')
    if text == b"null":
        return msgspec.Raw(b'""')
    return raw if text[:1] in (b'"', b"[", b"{") else msgspec.Raw(b'"' + text + b'"')


def _join(items: list[msgspec.Raw]) -> msgspec.Raw:
    return msgspec.Raw(_encode(items))
