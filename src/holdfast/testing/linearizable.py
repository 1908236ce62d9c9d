"""Is a history of a register linearizable?

Three checkers. `check_unique` is for histories in which every write writes a value of its own: then what a read saw names its write, and
intervals decide in n log n (Gibbons and Korach, "Testing shared memories", 1997): a write with its reads is a block, which must hold the
register at one stretch. `check_versions` is for registers that count their writes and show the number: the order is given, and only has to
agree with real time. `check_any` searches all orders that respect real time (Wing and Gong, 1993, with Lowe's memory of states seen): for
any register with compare-and-set, but only for histories of little concurrency.

All look at one key. None: it is linearizable; else an explanation.
"""
import heapq
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import inf
from typing import TypeAlias

import msgspec

from holdfast.testing.history import Act, Operation

INITIAL = None                                       # what an unwritten register holds
STEPS_MAX = 5_000_000
Place: TypeAlias = tuple[int, int, int]
"""In the order of a register's states: a generation, a version, 0 for what writes it and 1 for what reads it."""
Placed: TypeAlias = tuple[Operation, tuple[Place, ...]]
"""An operation, and where it may be; ascending."""


class Undecided(Exception):
    """The search was given up: the history has too many orders."""


class _Block(msgspec.Struct):
    """A write and the reads that saw it."""

    value: str | None
    written: float                                   # invocation of the write
    first_return: float                              # of all its operations: from then on the value had been there
    last_call: float                                 # likewise: until then it was still there


def check_unique(history: Sequence[Operation]) -> str | None:
    """Reads and plain writes of values that no other write has. An open write counts once somebody has read it; open reads do not."""
    blocks: dict[str | None, _Block] = {INITIAL: _Block(INITIAL, -inf, -inf, -inf)}
    for each in history:
        if each.act is Act.WRITE:
            if each.value in blocks:
                return f"{each.key}: {each.value!r} was written twice"
            blocks[each.value] = _Block(each.value, each.invoked, each.returned, each.invoked if not each.is_open else -inf)
        elif each.act is Act.CAS:
            raise ValueError("a history with compare-and-set is for check_any")
    for each in history:
        if each.act is not Act.READ or each.is_open:
            continue
        block = blocks.get(each.value)
        if block is None:
            return f"{each.key}: a read saw {each.value!r}, which nobody wrote"
        if each.returned < block.written:
            return f"{each.key}: {each.value!r} was read by {each.returned:.6f} and written only from {block.written:.6f} on"
        block.first_return = min(block.first_return, each.returned)
        block.last_call = max(block.last_call, each.invoked, block.written)
    return _conflict(history[0].key if history else "", [block for block in blocks.values() if block.last_call > -inf])


def _conflict(key: str, blocks: list[_Block]) -> str | None:
    """A block whose first return comes before its last call must hold the register from the one to the other; no two of them may overlap,
    and no other block may have all of its time within one."""
    held = sorted((block for block in blocks if block.first_return < block.last_call), key=lambda block: block.first_return)
    for before, after in pairwise(held):
        if after.first_return < before.last_call:
            return (f"{key}: {before.value!r} was there from {before.first_return:.6f} to {before.last_call:.6f} at least, and so was "
                    f"{after.value!r} from {after.first_return:.6f} to {after.last_call:.6f}")
    starts = [block.first_return for block in held]
    for block in blocks:
        if block.first_return < block.last_call:
            continue
        at = bisect_left(starts, block.last_call) - 1    # the last one that begins before this block's time does
        if at >= 0 and block.first_return < held[at].last_call:
            return (f"{key}: {block.value!r} was there at some time from {block.last_call:.6f} to {block.first_return:.6f}, when "
                    f"{held[at].value!r} was, from {held[at].first_return:.6f} to {held[at].last_call:.6f}")
    return None


def check_versions(history: Sequence[Operation], more: Mapping[int, str | None] = {}) -> str | None:
    """Reads and writes of a register whose writes are numbered from 1 on, each with a value of its own; 0: never written. Every operation
    that has returned has its number. An open write has one once its value was seen. `more`: versions known from elsewhere."""
    values: dict[int, str | None] = {0: INITIAL, **more}
    for each in history:
        if each.version is not None and each.done is not False and values.setdefault(each.version, each.value) != each.value:
            return f"{each.key}: version {each.version} is {values[each.version]!r} and {each.value!r}"
    numbers: dict[str | None, int] = {}
    for number, value in values.items():
        if value in numbers:
            return f"{history[0].key}: {value!r} is version {numbers[value]} and {number}: written twice"
        numbers[value] = number
    placed: list[Placed] = []
    for each in history:
        version = numbers.get(each.value) if each.is_open and each.act is not Act.READ else each.version
        if version is not None and each.done is not False:
            placed.append((each, ((0, version, int(each.act is Act.READ)),)))
    return check_order(placed) or _unwritten(values, placed)


def check_order(placed: Sequence[Placed]) -> str | None:
    """Can each operation have one of its places, so that none which began after another one had returned comes before it? Each takes the
    first place that those before leave it: no other choice leaves more to those after. A write is never where another one is."""
    returns: list[tuple[float, int, Place, Operation]] = []      # a heap of those begun before, with the places they took
    last: tuple[Place, Operation] | None = None      # of those that have returned
    for number, (each, places) in enumerate(sorted(placed, key=lambda entry: entry[0].invoked)):
        while returns and returns[0][0] < each.invoked:
            _, _, place, before = heapq.heappop(returns)
            if last is None or place > last[0]:
                last = place, before
        found = next((place for place in places if last is None or place > last[0] or (place == last[0] and place[2])), None)
        if found is None:
            seen = f"{each.key}: client {each.client} at {each.node} {each.act.value} {each.value!r} from {each.invoked:.6f} " \
                   f"to {each.returned:.6f}: {_names(places)}"
            return seen if last is None else (f"{seen}, but client {last[1].client} at {last[1].node} {last[1].act.value} "
                                              f"{last[1].value!r}: {_names((last[0],))}, by {last[1].returned:.6f}")
        heapq.heappush(returns, (each.returned, number, found, each))
    return None


def _names(places: Sequence[Place]) -> str:
    return " or ".join(f"version {version}" + (f" of generation {generation}" if generation else "") for generation, version, _ in places) \
        or "nothing that was ever there"


def _unwritten(values: dict[int, str | None], placed: Sequence[Placed]) -> str | None:
    """Every version that was seen was written by somebody, and no version is written by two."""
    writes: dict[int, Operation] = {}
    for each, ((_, version, is_read),) in placed:
        if not is_read:
            if version in writes and each is not writes[version]:
                return f"{each.key}: version {version} was written by clients {writes[version].client} and {each.client}"
            writes[version] = each
    for number, value in values.items():
        if number and number not in writes:
            return f"{placed[0][0].key}: version {number} ({value!r}) was seen, and nobody wrote it"
    return None


def check_any(history: Sequence[Operation]) -> str | None:
    """Any mixture of reads, writes and compare-and-set. Raises Undecided."""
    operations = sorted((each for each in history if not (each.is_open and each.act is Act.READ)), key=lambda each: each.invoked)
    by_return = sorted((index for index, each in enumerate(operations) if not each.is_open), key=lambda index: operations[index].returned)
    seen: set[tuple[int, str | None]] = set()
    # Depth first over (which have taken place, the register). The next one is any that was invoked before the first return still to come.
    stack: list[tuple[int, str | None]] = [(0, INITIAL)]
    steps, furthest = 0, 0
    while stack:
        done, value = stack.pop()
        if (done, value) in seen:
            continue
        seen.add((done, value))
        steps += 1
        if steps > STEPS_MAX:
            raise Undecided(f"{operations[0].key}: {len(operations)} operations")
        first = next((index for index in by_return if not done >> index & 1), None)
        if first is None:
            return None
        furthest = max(furthest, first)
        limit = operations[first].returned
        for index, each in enumerate(operations):
            if each.invoked > limit:
                break
            if done >> index & 1:
                continue
            for after in _outcomes(each, value):
                stack.append((done | 1 << index, after))
    stuck = operations[furthest]
    return f"{stuck.key}: no order explains what client {stuck.client} saw by {stuck.returned:.6f}: {stuck.act.value} {stuck.value!r}"


def _outcomes(each: Operation, value: str | None) -> tuple[str | None, ...]:
    """What the register may hold after it; nothing: it cannot have taken place now as it did."""
    match each.act:
        case Act.READ:
            return (value,) if each.value == value else ()
        case Act.WRITE:
            return (each.value,)
        case Act.CAS:
            if each.done is False:
                return (value,) if each.expected != value else ()
            return (each.value,) if each.expected == value else ()
