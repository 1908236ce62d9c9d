"""Changes of the members, by the leader: one at a time, learners first, and the vote gate between two changes of the voters.

Invariants: (1) a new voter has all but the newest entries when it becomes one; (2) two changes of the voters lie at least the vote gate
apart, so that no majority of the new voters can elect before what the old ones promised has passed; (3) the last voter stays; (4) when a
vote has been taken away, a majority of those who still have one know it durably: they do not need it to elect somebody.
"""
import asyncio
import contextlib
from collections.abc import Callable
from enum import IntEnum
from typing import Protocol

from holdfast.errors import BadRequest, UnavailableError
from holdfast.ids import Millis
from holdfast.limits import RAFT_MEMBERS_MAX
from holdfast.storage.raft import form
from holdfast.storage.raft.driver import Driver, Role
from holdfast.storage.raft.form import Change, Member
from holdfast.storage.raft.members import Members, voters
from holdfast.storage.raft.timing import Timing

CAUGHT_UP_ENTRIES = 64                                   # that a learner may lack: what a leader writes in some tenths of a second


class Step(IntEnum):
    """raft's ConfChangeType."""

    VOTER = 0
    REMOVE = 1
    LEARNER = 2


class Home(Protocol):
    """The log that is changed."""

    @property
    def driver(self) -> Driver | None: ...
    @property
    def members(self) -> Members: ...
    @property
    def voters_changed_boot_ms(self) -> Millis: ...
    async def change(self, within_s: float | None = None) -> None:
        """Waits for anything to have changed."""


class Changing:
    """The changes that one node makes while it leads. Each raises UnavailableError: this node does not lead, or leads no more: then
    whether the change was made shows in the members."""

    def __init__(self, home: Home, timing: Timing, boot_ms: Callable[[], Millis]) -> None:
        self._home, self._timing, self._boot_ms = home, timing, boot_ms
        self._one = asyncio.Lock()

    async def add(self, member: Member, *, voter: bool) -> None:
        """A member that is there already gets the address and the part given. BadRequest: too many members, or another has its name."""
        async with self._one:
            now = self._home.members.now
            if any(other.id == member.id and other.raft_id != member.raft_id for other in now.values()):
                raise BadRequest(f"a node with the id {member.id} is a member already: remove it first")
            if member.raft_id not in now and len(now) >= RAFT_MEMBERS_MAX:
                raise BadRequest(f"there are {len(now)} members already: the limit is {RAFT_MEMBERS_MAX}")
            known = now.get(member.raft_id)
            if known is None or (known.address != member.address and not known.voter):
                await self._make(Step.LEARNER, _as(member, voter=False))
        if voter and not (known is not None and known.voter and known.address == member.address):
            await self._promote(_as(member, voter=True))

    async def promote(self, raft_id: int) -> None:
        member = self._member(raft_id)
        if not member.voter:
            await self._promote(_as(member, voter=True))

    async def demote(self, raft_id: int) -> None:
        async with self._one:
            member = self._member(raft_id)
            if member.voter:
                self._keep_one_voter()
                await self._make(Step.LEARNER, _as(member, voter=False))

    async def remove(self, raft_id: int) -> None:
        async with self._one:
            self._leader()
            member = self._home.members.now.get(raft_id)
            if member is None:                           # by somebody who asked at the same time, or by this request's first run
                return
            if member.voter:
                self._keep_one_voter()
            await self._make(Step.REMOVE, member)

    async def _promote(self, member: Member) -> None:
        await self._caught_up(member)
        async with self._one:
            if member.raft_id not in self._home.members.now:
                raise UnavailableError(f"{member.id} was removed while it caught up")
            await self._make(Step.VOTER, member)

    async def _caught_up(self, member: Member) -> None:
        """Waits as long as it comes nearer, or a state is on its way to it; other changes may be made meanwhile."""
        driver, before, since = self._leader(), -1, self._boot_ms()
        while True:
            last = driver.node.status[6]
            matched, has_state_coming = next(
                ((matched, coming) for raft_id, matched, coming in driver.node.progress if raft_id == member.raft_id), (0, False))
            if matched and matched + CAUGHT_UP_ENTRIES >= last:
                return
            if matched > before or has_state_coming:
                before, since = matched, self._boot_ms()
            if self._boot_ms() > since + self._timing.settle:
                raise UnavailableError(f"{member.id} does not catch up: it stays a learner")
            await asyncio.sleep(self._timing.tick / 1000)
            if self._home.driver is not driver or driver.role is not Role.LEADER:
                raise UnavailableError("this node leads no more")
            if member.raft_id not in self._home.members.now:
                raise UnavailableError(f"{member.id} was removed while it caught up")

    async def _make(self, step: Step, member: Member) -> None:
        known = self._home.members.now.get(member.raft_id)
        if step is Step.VOTER or (known is not None and known.voter):
            # One that an earlier leader began may still be applied while this one waits; then raft takes none from here.
            wait = self._home.voters_changed_boot_ms + self._timing.vote_gate + self._timing.margin - self._boot_ms()
            await asyncio.sleep(max(0, wait) / 1000)
        driver = self._leader()
        term = driver.term
        context = form.write_change(Change(member=member, remove=step is Step.REMOVE))
        index = driver.node.propose_change(step, member.raft_id, context, term)
        while index is None:                             # an earlier leader's change is not applied yet
            await asyncio.sleep(self._timing.tick / 1000)
            if self._leader() is not driver or driver.term != term:
                raise UnavailableError("this node leads no more")
            index = driver.node.propose_change(step, member.raft_id, context, term)
        driver.pump()
        await self._committed(driver, term, index)
        if known is not None and known.voter and (written := driver.propose(b"", term)) is not None:
            # That a vote was taken away is known in memory so far: who starts again would wait for it, from a node that may be gone.
            with contextlib.suppress(UnavailableError):  # then another leads, and knows
                await self._committed(driver, term, written)

    async def _committed(self, driver: Driver, term: int, index: int) -> None:
        while driver.committed < index:
            await self._home.change()
            if driver.committed < index and (self._home.driver is not driver or not driver.leads(term)):
                raise UnavailableError("this node leads no more: whether the members changed is not known yet")

    def _leader(self) -> Driver:
        driver = self._home.driver
        if driver is None or driver.role is not Role.LEADER:
            raise UnavailableError("this node does not lead")
        return driver

    def _member(self, raft_id: int) -> Member:
        found = self._home.members.now.get(raft_id)
        if found is None:
            raise BadRequest("this node is no member any more")
        return found

    def _keep_one_voter(self) -> None:
        if len(voters(self._home.members.sorted())) < 2:
            raise BadRequest("the last voter cannot be taken away")


def _as(member: Member, *, voter: bool) -> Member:
    return Member(id=member.id, raft_id=member.raft_id, address=member.address, voter=voter)
