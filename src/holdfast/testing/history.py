"""What clients did and saw: each operation with its invocation and its response, by the simulation's time.

An operation that had no answer, or one that does not say whether it happened, is open: it may have happened at any time after its
invocation, or not at all. One that was refused before anything happened is not in a history.
"""
from collections.abc import Iterable, Sequence
from enum import Enum
from hashlib import blake2b
from math import inf

import msgspec

LINES_AT_ONCE = 1_000                                # that go into a trace's hash together


class Act(Enum):
    """On one key, a register. `CAS` writes only where the register holds `expected`."""

    READ = "read"
    WRITE = "write"
    CAS = "cas"


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """`value`: read or to be written, None: nothing there. `returned`: infinity where nothing is known of how it ended.

    `done`: of a CAS, whether it wrote; None: not known. `version`: number of the write that was read or made, where the register shows it.
    """

    client: int
    key: str
    act: Act
    invoked: float
    returned: float = inf
    value: str | None = None
    expected: str | None = None
    done: bool | None = True
    version: int | None = None
    node: str = ""                                   # where it was asked
    index: int = 0                                   # X-Vault-Index: of a write's answer, or that a read named; 0: none

    @property
    def is_open(self) -> bool:
        return self.returned == inf


class Trace:
    """The hash of everything that happens. `tail`: the last lines, `keep` of them, for whoever looks for a fault."""

    def __init__(self, keep: int = 0) -> None:
        self._hash = blake2b(digest_size=16)
        self._keep, self._hashed = keep, 0
        self._lines: list[str] = []                  # the first `_hashed` are in the hash, and kept
        self._room = 2 * keep + LINES_AT_ONCE

    def note(self, text: str) -> None:
        lines = self._lines
        lines.append(text)
        if len(lines) > self._room:
            self._take_in()

    def _take_in(self) -> None:
        new = self._lines[self._hashed:]
        if new:
            self._hash.update("\n".join([*new, ""]).encode())
        self._lines = self.tail
        self._hashed = len(self._lines)

    @property
    def tail(self) -> list[str]:
        return self._lines[len(self._lines) - min(self._keep, len(self._lines)):]

    @property
    def digest(self) -> str:
        self._take_in()
        return self._hash.hexdigest()


def by_key(history: Iterable[Operation]) -> dict[str, list[Operation]]:
    """Keys are independent of each other: a history is linearizable if each key's is."""
    found: dict[str, list[Operation]] = {}
    for operation in history:
        found.setdefault(operation.key, []).append(operation)
    return found


def show(history: Sequence[Operation], around: float | None = None) -> str:
    """One line for each operation, by invocation; `around`: only those within a second of that time."""
    lines = []
    for each in sorted(history, key=lambda one: one.invoked):
        if around is not None and not (each.invoked - 1 <= around <= min(each.returned, each.invoked + 10) + 1):
            continue
        value = f"{each.expected}→{each.value}" if each.act is Act.CAS else str(each.value)
        done = "" if each.done else " (no)" if each.done is False else " (?)"
        lines.append(f"{each.invoked:12.6f} {each.returned:12.6f} client {each.client:3d} at {each.node:8s} {each.act.value:5s} {each.key} "
                     f"{value}{done}")
    return "\n".join(lines)
