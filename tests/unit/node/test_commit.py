"""What goes out as one append."""
import asyncio
from collections.abc import Sequence
from itertools import count

from tests.unit.core.lane_node import FACTS, NOW_MS, LaneNode

from holdfast._native import Words
from holdfast.core.cluster_time import ClusterTime
from holdfast.ha.gate import WATERMARK, Word
from holdfast.ids import Index, Millis, NodeId, Term
from holdfast.node.commit import GATHER_MAX, Committer
from holdfast.node.serving import Served
from holdfast.storage import Fence, WriteBatch
from holdfast.testing.cluster import NoDevices


class FakeLog:
    """Notes how many batches each append has; each takes a turn of the loop."""

    def __init__(self) -> None:
        self.groups: list[int] = []

    async def append(self, group: Sequence[WriteBatch], fence: Fence) -> None:
        self.groups.append(len(group))
        await asyncio.sleep(0)

    async def fate(self, index: Index) -> bool:
        raise AssertionError("no append is uncertain")


class FakeClock:
    def boot_ms(self) -> Millis:
        return NOW_MS

    def wall_ms(self) -> Millis:
        return NOW_MS


async def not_wanted(_: object) -> Served:
    raise AssertionError("nothing here has effects or is large")


class Writing:
    """A committer over a lane, and writes for it."""

    def __init__(self) -> None:
        self.log, self._node, self._numbers = FakeLog(), LaneNode(), count()
        words = Words.create(len(Word))
        words.store(WATERMARK, self._node.index)
        time = ClusterTime(NOW_MS, wall_ms=NOW_MS, boot_ms=NOW_MS)
        self.committer = Committer(
            self._node.lane, self.log, Fence(term=Term(1), holder=NodeId("a")), self._node.replica, words, FakeClock(), time, NoDevices(),
            lambda: FACTS, not_wanted, not_wanted, lambda opened: None, lambda: self._node.draw(32), self._applied,
            lambda work, answer, error: None, confirmed=True)

    def _applied(self, index: Index) -> None:
        self.committer.pass_to(index)

    def write(self) -> "asyncio.Future[Served]":
        number = next(self._numbers)
        return self.committer.submit(self._node.put(f"k{number}", {"n": number}, id=f"r{number}"))


def groups(*counts: int) -> list[int]:
    """The appends that come of so many writes in each of these turns of the loop."""

    async def run() -> list[int]:
        writing, answers = Writing(), []
        for each in counts:
            answers += [writing.write() for _ in range(each)]
            await asyncio.sleep(0)
        assert [reply.status for reply in await asyncio.gather(*answers)] == [200] * sum(counts)
        return writing.log.groups

    return asyncio.run(run())


def test_what_comes_turn_by_turn_is_one_append() -> None:
    assert groups(1) == [1]
    assert groups(3, 1, 2) == [6]


def test_a_turn_that_brings_nothing_ends_the_waiting() -> None:
    assert groups(3, 0, 0, 1, 2) == [3, 3]


def test_an_append_waits_for_so_many_and_no_longer() -> None:
    first, *rest = groups(*[1] * (2 * GATHER_MAX))
    assert first == GATHER_MAX
    assert first + sum(rest) == 2 * GATHER_MAX


def test_what_is_there_at_once_goes_out_at_once() -> None:
    assert groups(2 * GATHER_MAX) == [2 * GATHER_MAX]
