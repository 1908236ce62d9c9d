"""JSON merge patch (RFC 7396), numbers kept as written."""
from holdfast.engine import Context, Request
from holdfast.errors import UnsupportedMediaType
from holdfast.limits import JSON_INLINE_MAX_BYTES
from holdfast.secrets import json_object
from holdfast.secrets.json_object import Tree

MEDIA_TYPE = "application/merge-patch+json"


def check_media_type(request: Request) -> None:
    """A patch must say that it is one: else the same body could be meant as a whole."""
    given = request.content_type.partition(";")[0].strip().lower()
    if given != MEDIA_TYPE:
        raise UnsupportedMediaType(f"PATCH requires Content-Type of {MEDIA_TYPE}, provided {given[:128]}")


def patch(ctx: Context, target: bytes, changes: bytes) -> bytes:
    """`target` with `changes`, both JSON objects; large ones in the pool."""
    if len(target) + len(changes) > JSON_INLINE_MAX_BYTES:
        return ctx.heavy(merge, target, changes)
    return merge(target, changes)


def merge(target: bytes, changes: bytes) -> bytes:
    """Raises BadRequest where either is no JSON object."""
    merged = {} if target == json_object.NULL else json_object.tree(target, "data")
    pending: list[tuple[Tree, Tree]] = [(merged, json_object.tree(changes, "data"))]
    while pending:                                       # a list, not recursion: depth is the caller's
        into, change = pending.pop()
        for name, value in change.items():
            if value is None:
                into.pop(name, None)
            elif isinstance(value, dict):
                below = into.get(name)
                if not isinstance(below, dict):
                    below = into[name] = {}
                pending.append((below, value))
            else:
                into[name] = value
    return json_object.text_of(merged)
