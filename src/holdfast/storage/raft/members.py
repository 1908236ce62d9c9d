"""Who the members are, at each place of the log.

Invariant: the members at an index are those of the base, changed by every change up to that index, in order; nothing else makes a member,
but an operator who says who they are (`peers`): then it is so from the base on.
"""
from collections.abc import Iterable

from holdfast.storage.raft.form import Change, Member


class Members:
    """The members at the newest index that is known to be committed, and where they came from."""

    def __init__(self, base: int, members: Iterable[Member], raft_id: int) -> None:
        self._raft_id = raft_id
        self._history: list[tuple[int, dict[int, Member]]] = [(base, {member.raft_id: member for member in members})]
        self.is_removed = False
        self._were_named = False

    @property
    def now(self) -> dict[int, Member]:
        """By raft id. Not to be changed."""
        return self._history[-1][1]

    @property
    def changed_at(self) -> int:
        """Index of the newest change."""
        return self._history[-1][0]

    def sorted(self) -> tuple[Member, ...]:
        return tuple(sorted(self.now.values(), key=lambda member: member.raft_id))

    def apply(self, index: int, change: Change) -> None:
        """Each change once, in order."""
        members = dict(self.now)
        if change.remove:
            members.pop(change.member.raft_id, None)
        else:
            members[change.member.raft_id] = change.member
        if change.member.raft_id == self._raft_id:
            self.is_removed = change.remove
        self._history.append((index, members))

    def at(self, index: int) -> tuple[Member, ...]:
        """Sorted by raft id. `index`: of the base or after it."""
        found = next(members for since, members in reversed(self._history) if since <= index)
        return tuple(sorted(found.values(), key=lambda member: member.raft_id))

    def trim(self, base: int) -> None:
        """Forgets what was before `base`."""
        while len(self._history) > 1 and self._history[1][0] <= base:
            self._history.pop(0)

    def reset(self, base: int, members: Iterable[Member]) -> None:
        """A snapshot has taken the place of the log."""
        self._history = [(base, {member.raft_id: member for member in members})]

    def named(self, index: int) -> None:
        """Those of the base are what an operator said, when the log ended before `index`: a newer change than any that others know of."""
        self._history.append((index, self.now))
        self._were_named = True

    @property
    def is_alone(self) -> bool:
        """Is this node the only voter?"""
        return voters(self.sorted()) == [self._raft_id]

    @property
    def were_ever_others(self) -> bool:
        """As far as the log goes back. They may have been promised something yet."""
        return self._were_named or any(len(members) > 1 for _, members in self._history)


def voters(members: Iterable[Member]) -> list[int]:
    return sorted(member.raft_id for member in members if member.voter)


def learners(members: Iterable[Member]) -> list[int]:
    return sorted(member.raft_id for member in members if not member.voter)
