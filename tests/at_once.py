"""The same call several times at the same instant."""
from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

A = TypeVar("A")
R = TypeVar("R")


def at_once(call: Callable[[A], R], values: Iterable[A]) -> list[R]:
    """With each of the values, each in a thread of its own: the results, in the order of the values. Raises what a call has raised."""
    given = list(values)
    with ThreadPoolExecutor(len(given)) as pool:
        return list(pool.map(call, given))
