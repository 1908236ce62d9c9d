"""Steps with their results in plain words, and the table of them all."""
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Steps:
    """Runs steps and remembers them. A step that does not show what it should ends the demo."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str, float]] = []

    def step(self, what: str, do: Callable[[], T], show: Callable[[T], str] = str) -> T:
        began = time.monotonic()
        found = do()
        text, took_ms = show(found), (time.monotonic() - began) * 1000
        self.rows.append((what, text, took_ms))
        print(f"{len(self.rows):2}. {what}: {text}", flush=True)
        return found

    def table(self) -> str:
        width = max(len(what) for what, _, _ in self.rows)
        return "\n".join((f"{'What':{width}}  {'ms':>6}  Result", f"{'-' * width}  {'-' * 6}  {'-' * 50}",
                          *(f"{what:{width}}  {took_ms:6.0f}  {text}" for what, text, took_ms in self.rows)))


def check(holds: object, why: str) -> None:
    if not holds:
        raise RuntimeError(why)
