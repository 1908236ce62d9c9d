"""JSON objects that engines keep as their users wrote them.

Invariants: (1) a number keeps every digit and its notation; (2) what is kept is one object, well formed, so it can be spliced into an
answer as it stands; (3) of a name given twice the last value counts, and at the top only it is kept: what a policy's parameter
rules saw is what readers get.
Left to others: that a body is UTF-8 (`engine.decode`), how deep and how large it may be (`http`).
"""
from collections.abc import Mapping

import msgspec

from holdfast.errors import BadRequest

NULL = b"null"
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw] | tuple[()] | None).decode
_untyped = msgspec.json.Decoder(float_hook=lambda text: msgspec.Raw(text.encode())).decode
_encode = msgspec.json.Encoder().encode

Tree = dict[str, object]
"""An object decoded as far as it goes; a number with a fraction or an exponent is the Raw that it was written as."""


def fields(text: bytes | msgspec.Raw, name: str) -> Mapping[str, msgspec.Raw]:
    """The members of the object `text`; null has none, and an empty list is how clients written in PHP send an object without any. Raises
    BadRequest naming the field: it is no object."""
    try:
        return _fields(text) or {}
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadRequest(f'Field validation failed: error converting input for field "{name}": {error}') from error


def kept(members: Mapping[str, msgspec.Raw]) -> bytes:
    """The object as it is stored: without blanks, the values as written."""
    return msgspec.json.format(_encode(members), indent=-1)


def tree(text: bytes, name: str) -> Tree:
    """Raises BadRequest: no object, or an integer of more than 4,300 digits."""
    try:
        found = _untyped(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadRequest(f"{name}: {error}") from error
    if not isinstance(found, dict):
        raise BadRequest(f"{name}: a JSON object is expected")
    return found


def text_of(tree: Tree) -> bytes:
    """The inverse of `tree`, without blanks."""
    return _encode(tree)
