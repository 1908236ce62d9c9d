"""What the tests of the keys share: published vectors, and a source of bytes that is the same at each run."""
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from holdfast.crypto import Draw

VECTORS = Path(__file__).parent / "vectors"


@pytest.fixture
def draw() -> Draw:
    """SHAKE-256 of a counter."""
    drawn = 0

    def next_bytes(size: int) -> bytes:
        nonlocal drawn
        drawn += 1
        return hashlib.shake_256(b"draw %d" % drawn).digest(size)

    return next_bytes


@pytest.fixture
def vectors() -> Callable[[str], list[dict[str, Any]]]:
    """The cases of one file of published vectors."""

    def load(name: str) -> list[dict[str, Any]]:
        tests = json.loads((VECTORS / f"{name}.json").read_text())["tests"]
        assert tests
        return list(tests)

    return load
