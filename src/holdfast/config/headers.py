"""`custom_response_headers` of a listener: for each status, or class of statuses, the headers that its answers get.

Invariant: `Strict-Transport-Security` is always there, as Vault's; a configuration may only give it another value.
"""
from __future__ import annotations

import re
from collections.abc import Mapping

from holdfast.config.decode import block_of
from holdfast.config.settings import DEFAULT_HEADERS
from holdfast.config.tree import Array, Literal, Value

_STATUS = re.compile(r"default|[1-5]xx|[1-5]\d\d", re.ASCII)
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TEXT = re.compile(r"[\t\x20-\x7e]*")


def response_headers(values: tuple[Value, ...]) -> Mapping[str, Mapping[str, str]]:
    """By status as it is written (`default`, `2xx`, `200`); values of a list are joined by `; `. Raises ValueError."""
    found: dict[str, dict[str, str]] = {}
    for value in values:
        for item in block_of(value, "custom_response_headers").items:
            if not _STATUS.fullmatch(item.name):
                raise ValueError(f"{item.name[:20]!r} is none of \"default\", a status as \"200\", and a class of them as \"2xx\"")
            headers = found.setdefault(item.name, {})
            for header in block_of(item.inner(), item.name).items:
                headers[_name(header.name)] = _joined(header.name, header.inner())
    default = {**DEFAULT_HEADERS["default"], **found.get("default", {})}
    return {**found, "default": default}


def _name(written: str) -> str:
    if not _NAME.fullmatch(written):
        raise ValueError(f"{written[:60]!r} is no header's name")
    name = "-".join(part.capitalize() for part in written.split("-"))
    if name.startswith("X-Vault-"):
        raise ValueError(f"{name[:60]}: headers whose names begin with X-Vault- are the server's own")
    return name


def _joined(name: str, value: Value) -> str:
    values = value.values if isinstance(value, Array) else ()
    texts = [each.value.strip() for each in values if isinstance(each, Literal) and isinstance(each.value, str)]
    if not values or len(texts) < len(values):
        raise ValueError(f"{name[:60]}: a header's values are a list of strings")
    joined = "; ".join(text for text in texts if text)
    if not _TEXT.fullmatch(joined):
        raise ValueError(f"{name[:60]}: a header's value is printable ASCII")
    return joined
