"""Every bug of the peers that applies here has a test that carries its number, in its name or in its first lines."""
from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1]
KNOWN = 50
ABSENT = {15, 50}
"""Namespaces; a database that makes users. What they are about does not exist here."""
NUMBERS = re.compile(r"peer[ _]bugs?[ _]((?:\d+(?:, | and | to |_and_|_to_)?)+)", re.IGNORECASE)


def numbers_in(text: str) -> Iterator[int]:
    for found in NUMBERS.findall(text):
        numbers = [int(number) for number in re.findall(r"\d+", found)]
        if "to" in found:
            numbers = list(range(numbers[0], numbers[-1] + 1))
        yield from numbers


def carried() -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for file in TESTS.rglob("test_*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                for number in numbers_in(f"{node.name}\n{ast.get_docstring(node) or ''}"):
                    found.setdefault(number, []).append(f"{file.name}::{node.name}")
    return found


def test_numbers_are_found_as_they_are_written() -> None:
    assert list(numbers_in("test_peer_bugs_13_and_19_unsealing")) == [13, 19]
    assert list(numbers_in("Peer bugs 21, 22 and 37: leases. Peer bug 40's kind; peer bug 0")) == [21, 22, 37, 40, 0]
    assert list(numbers_in("peer_bug_02_a_renewed_token, peer bugs 1 to 3")) == [2, 1, 2, 3]


def test_every_bug_that_applies_has_a_test_with_its_number() -> None:
    found = carried()
    assert set(found) - set(range(1, KNOWN + 1)) == set(), "a number that no bug has"
    assert set(range(1, KNOWN + 1)) - ABSENT - set(found) == set(), "a bug without a test"
