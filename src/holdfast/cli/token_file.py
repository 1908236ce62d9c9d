"""The stored token: `~/.vault-token`, shared with every other client of this user.

1. The file is replaced whole, never written in place, and nobody else can read it (mode 0600).
"""
from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping

NAME = ".vault-token"


def path(env: Mapping[str, str]) -> str:
    """Where the token of this user is kept; HOME decides."""
    home = env.get("HOME") or os.path.expanduser("~")
    return os.path.join(home, NAME)


def load(env: Mapping[str, str]) -> str:
    """The stored token, empty if there is none. Raises OSError."""
    try:
        with open(path(env), encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except FileNotFoundError:
        return ""


def store(env: Mapping[str, str], token: str) -> None:
    """Keeps a token for later commands. Raises OSError; the old one is then still there."""
    target = path(env)
    temporary = f"{target}.{os.getpid()}.tmp"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(token)
        os.replace(temporary, target)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
