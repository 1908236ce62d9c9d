"""What stands in a parsed head, by position, and the target of a request as a path.

The head itself is parsed by `_native.parse_head`, which also refuses what two readers could read in two ways.
"""
import re
from typing import Final, TypeAlias
from urllib.parse import quote

from holdfast.errors import BadRequest

Head: TypeAlias = tuple[int, str, str, str | None, bytes | None, bytes | None, int, int, list[tuple[str, bytes]] | None]
"""What `parse_head` gives; the other headers have their names in lower case.

It is read by these positions. A method that nobody knows is "", a length that was not given -1."""
END: Final = 0
METHOD: Final = 1
PATH: Final = 2
QUERY: Final = 3
TOKEN: Final = 4
CONTENT_TYPE: Final = 5
LENGTH: Final = 6
FLAGS: Final = 7
OTHERS: Final = 8

# Bits of its flags.
KEEP_ALIVE: Final = 1
CHUNKED: Final = 2
CONTINUE: Final = 4                                  # `Expect: 100-continue`
PLAIN: Final = 8                                     # the path needs no decoding, and `/v1/` is off
MARKED: Final = 16                                   # `X-Vault-Request: true`
OLD: Final = 32                                      # HTTP/1.0

API = "/v1/"
UPLOADS: Final = frozenset(("sys/storage/raft/snapshot", "sys/storage/raft/snapshot-force"))
"""Whose bodies are files, whatever their type says: neither JSON nor a form is looked for in them. See `upload` for what bounds them."""
_ABSOLUTE = re.compile(r"https?://[^/?#@]+(?=/|\Z)", re.IGNORECASE)
_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


def last(head: Head) -> Head:
    """The same, of a connection that ends with its answer."""
    end, method, path, query, token, content_type, length, flags, others = head
    return end, method, path, query, token, content_type, length, flags & ~KEEP_ALIVE, others


class Elsewhere(Exception):
    """The path is written in a way that Vault answers with a redirect to the plain way: `//` or `/./` in it."""

    def __init__(self, location: str) -> None:
        super().__init__(location)
        self.location = location


def decode_target(target: str) -> str:
    """The whole path of a request target, decoded once. Raises BadRequest, Elsewhere."""
    if not target.startswith("/"):
        absolute = _ABSOLUTE.match(target)
        if absolute is None:
            raise BadRequest("the request target is no path")
        target = target[absolute.end():] or "/"
    path = _unescape(target, "path")
    if not path.isprintable():
        raise BadRequest("the path contains a character that cannot be printed")
    if "//" in path or "/." in path:
        _check_segments(path)
    return path


def _check_segments(path: str) -> None:
    segments = path.split("/")
    if ".." in segments:
        raise BadRequest("relative paths not supported: the path contains a segment '..'")
    if "." in segments or "" in segments[1:-1]:
        kept = [segment for segment in segments[1:] if segment not in ("", ".")]
        final = "/" if kept and segments[-1] in ("", ".") else ""
        raise Elsewhere(quote("/" + "/".join(kept) + final, safe="/:@!$&'()*+,;=~"))


def _unescape(text: str, what: str) -> str:
    if "%" not in text:
        return text
    if _ESCAPE.search(text):
        raise BadRequest(f"the {what} contains a '%' that two hexadecimal digits do not follow")
    pieces = re.split("((?:%[0-9A-Fa-f]{2})+)", text)
    try:
        return "".join(bytes.fromhex(piece.replace("%", "")).decode() if index % 2 else piece for index, piece in enumerate(pieces))
    except UnicodeDecodeError as error:
        raise BadRequest(f"the {what} is not UTF-8") from error


def decode_query(query: str, count_max: int) -> dict[str, str]:
    """The parameters; of a repeated one the first value, as Vault's own endpoints take it. Raises BadRequest."""
    if query.count("&") >= count_max:
        raise BadRequest(f"more than {count_max} query parameters")
    found: dict[str, str] = {}
    for pair in query.split("&"):
        if pair:
            name, _, value = pair.replace("+", " ").partition("=")
            found.setdefault(_unescape(name, "query"), _unescape(value, "query"))
    return found
