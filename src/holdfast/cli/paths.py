"""Paths as people write them and as the API takes them."""
from __future__ import annotations

import posixpath


def sanitize(path: str) -> str:
    """Without spaces and slashes around it."""
    return path.strip().strip("/")


def with_slash(path: str) -> str:
    """With a slash at its end, as mounts are named; nothing stays nothing."""
    path = path.strip()
    return path if not path or path.endswith("/") else path + "/"


def join(*parts: str) -> str:
    """Joined with single slashes, `.` and `..` resolved, none at the end."""
    joined = "/".join(part for part in parts if part)
    if not joined:
        return ""
    clean = posixpath.normpath(joined)
    return "/" + clean.lstrip("/") if clean.startswith("//") else clean
