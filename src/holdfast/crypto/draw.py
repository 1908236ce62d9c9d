"""Where this room gets randomness from: the caller."""
from collections.abc import Callable
from typing import TypeAlias

from holdfast.errors import InvariantError

Draw: TypeAlias = Callable[[int], bytes]
"""Gives so many bytes, uniformly random and never given before: a request's own stream, or the system's source."""

AES_KEY_BYTES = 32
NONCE_BYTES = 12


def exactly(draw: Draw, size: int) -> bytes:
    """`size` bytes; a source that gives fewer would make weak keys, so it stops the process."""
    drawn = draw(size)
    if len(drawn) != size:
        raise InvariantError(f"asked for {size} random bytes, got {len(drawn)}")
    return drawn


def below(draw: Draw, bound: int) -> int:
    """A uniform number below `bound` (1 to 256): bytes past the largest multiple of it are drawn anew, so none is favoured."""
    assert 1 <= bound <= 256, bound
    limit = 256 - 256 % bound
    while True:
        byte = exactly(draw, 1)[0]
        if byte < limit:
            return byte % bound
