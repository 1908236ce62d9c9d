"""Is the history of a register right where snapshots were put back meanwhile, or where reads promise less than linearizability?

A snapshot that is put back begins another generation: each register then holds what the snapshot has of it, and counts its versions on from
there. What was written between the snapshot and then is gone, by intent: it may even be done anew, where a node still asks for it, for the
record that it was done has gone as well. So what an operation saw does not always say in which generation it saw it, but in which ones it
may have; `linearizable.check_order` looks whether they can all have been somewhere.

What must hold besides: (1) generations grow, with the index; (2) a snapshot has everything of its index, and nothing that came later;
(3) what is there in the end has every acknowledged write that no snapshot took back, each once.
"""
from collections.abc import Callable, Mapping, Sequence
from math import inf

import msgspec

from holdfast.testing.history import Act, Operation
from holdfast.testing.linearizable import INITIAL, Place, Placed, check_order
from holdfast.testing.restores import Restore, Restores

Held = tuple[int, str | None]
"""What a register holds: the number of its newest version, and the value; (0, None): it was never written."""


class Generation(msgspec.Struct, frozen=True):
    """`begins`: no operation that had returned by then can be in it; `known`: it had begun by then; `ends`: no operation that began later
    can be in it. `held`: what the register held at its beginning. `saved`: the index of the snapshot; `parent`: the generation of that."""

    begins: float
    known: float
    ends: float
    held: Held
    saved: int
    parent: int


def generations_of(restores: Restores, held: Callable[[Restore], Held]) -> list[Generation]:
    done = restores.done
    ends = [*(each.returned for each in done), inf]
    found = [Generation(-inf, -inf, ends[0], (0, INITIAL), 0, 0)]
    for number, each in enumerate(done, 1):
        found.append(Generation(each.invoked, each.returned, ends[number], held(each), each.saved.index,
                                restores.generation_of(each.saved.index)))
    return found


def check_restores(restores: Restores) -> str | None:
    """Raises nothing: what is wrong, in words."""
    for before, after in zip(restores.done, restores.done[1:], strict=False):
        if after.generation <= before.generation or after.index <= before.index:
            return (f"a state of generation {after.generation} and index {after.index} was put back after one of {before.generation} "
                    f"and {before.index}")
    return None


def as_read(each: Operation) -> tuple[Held, ...]:
    """What the register held when it was read so."""
    return ((each.version or 0, each.value),)


class Register:
    """One register's history in all generations. `versions`: all that it has in the end, by number; None: nobody looked. `seen`: what it
    may have held for a read to see what it saw."""

    def __init__(self, key: str, history: Sequence[Operation], generations: Sequence[Generation], restores: Restores,
                 versions: Mapping[int, str | None] | None, seen: Callable[[Operation], tuple[Held, ...]] = as_read) -> None:
        self._key, self._history, self._generations, self._restores = key, history, generations, restores
        self._of, self._versions, self._seen = restores.generation_of, versions, seen
        self._writes = {each.value: each for each in history if each.act is Act.WRITE and not self._is_refused(each)}
        self._facts: list[dict[int, str | None]] = [dict([each.held]) for each in generations]

    def check(self, *, reads_are_ordered: bool = True) -> str | None:
        """None: it is right. Reads that are not ordered have what they named, and nothing of the future."""
        return self._learn() or self._check_snapshots() or self._check_end() or self._check_order(reads_are_ordered=reads_are_ordered)

    def _is_refused(self, each: Operation) -> bool:
        """It was refused, and never done: had it been, and a snapshot put back before it was answered, it would have been tried again."""
        return each.done is False and not any(
            each.invoked <= generation.known and generation.begins <= each.returned for generation in self._generations[1:])

    def _learn(self) -> str | None:
        """What is known for certain of each generation."""
        last = len(self._generations) - 1
        certain = [(self._of(each.index), each.version, each.value) for each in self._writes.values() if each.version and each.index]
        certain += [(last, version, value) for version, value in (self._versions or {}).items()]
        for generation, version, value in certain:
            if self._facts[generation].setdefault(version, value) != value:
                return f"{self._key}: version {version} of generation {generation} is {self._facts[generation][version]!r} and {value!r}"
        return None

    def _check_snapshots(self) -> str | None:
        if self._versions is None:
            return None
        for each in self._generations[1:]:
            for write in self._writes.values():
                if write.version and write.index and self._of(write.index) == each.parent \
                        and (write.index <= each.saved) != (write.version <= each.held[0]):
                    return (f"{self._key}: a snapshot of index {each.saved} holds version {each.held[0]}, and version {write.version} has "
                            f"index {write.index}")
        return None

    def _check_end(self) -> str | None:
        if self._versions is None:
            return None
        values = list(self._versions.values())
        for value in values:
            if value not in self._writes:
                return f"{self._key}: {value!r} is there, and nobody wrote it"
        if len(set(values)) < len(values):
            return f"{self._key}: written twice: {values}"
        for write in self._writes.values():
            if write.version and write.index and self._restores.holds(inf, write.index) \
                    and self._versions.get(write.version) != write.value:
                return (f"{self._key}: {write.value!r} was acknowledged as version {write.version} with index {write.index}, and in the "
                        f"end that is {self._versions.get(write.version)!r}")
        return None

    def _check_order(self, *, reads_are_ordered: bool) -> str | None:
        placed: list[Placed] = []
        for number, generation in enumerate(self._generations[1:], 1):
            put_back = Operation(client=0, key=self._key, act=Act.WRITE, invoked=generation.begins, returned=generation.known,
                                 value=f"snapshot of index {generation.saved}", node="")
            placed.append((put_back, ((number, -1, 1),)))
        for each in self._history:
            if self._is_refused(each) or (each.act is Act.READ and each.is_open):
                continue
            places = self._places_of_read(each, late=not reads_are_ordered) if each.act is Act.READ else self._places_of_write(each)
            if places is None:
                continue
            if each.act is Act.READ and not reads_are_ordered:
                if (wrong := self._check_session(each, places)) is not None:
                    return wrong
                continue
            placed.append((each, places))
        return check_order(placed)

    def _places_of_read(self, each: Operation, *, late: bool) -> tuple[Place, ...]:
        """`late`: it may be of a generation that is over."""
        return tuple((number, held[0], 1) for number, generation in enumerate(self._generations)
                     if generation.begins <= each.returned and (late or each.invoked <= generation.ends)
                     for held in self._seen(each)
                     if generation.held == held or self._may_have_written(held[1], held[0], number, by=each.returned))

    def _may_have_written(self, value: str | None, version: int, number: int, by: float = inf) -> bool:
        """The write of this value, in this generation. One that was acknowledged in a later one may have been done in it, too."""
        write, generation = self._writes.get(value), self._generations[number]
        if write is None or version <= generation.held[0] or self._facts[number].get(version, value) != value \
                or write.invoked > min(generation.ends, by):
            return False
        if not write.index:
            return True
        own = self._of(write.index)
        return number < own or (number == own and write.version == version)

    def _places_of_write(self, each: Operation) -> tuple[Place, ...] | None:
        """None: nobody knows that it happened."""
        if each.version and each.index:
            return ((self._of(each.index), each.version, 0),)
        seen = {other.version for other in self._history if other.act is Act.READ and other.value == each.value and other.version}
        seen |= {version for version, value in (self._versions or {}).items() if value == each.value}
        places = tuple((number, version, 0) for number in range(len(self._generations)) for version in sorted(seen)
                       if self._may_have_written(each.value, version, number))
        return places or None

    def _check_session(self, each: Operation, places: tuple[Place, ...]) -> str | None:
        """It named an index: what it saw is of that state, or of a later one."""
        least: Place = (0, 0, 0)
        if each.index:
            own = self._of(each.index)
            newest = max((write.version for write in self._writes.values()
                          if write.version and 0 < write.index <= each.index and self._of(write.index) == own), default=0)
            least = (own, max(newest, self._generations[own].held[0]), 0)
        if not any(place >= least for place in places):
            return (f"{self._key}: client {each.client} at {each.node} named index {each.index} and read version {each.version} "
                    f"({each.value!r}) from {each.invoked:.6f} to {each.returned:.6f}: version {least[1]} of generation {least[0]} "
                    "was there by that index")
        return None
