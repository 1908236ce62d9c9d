"""Cluster time, by which it is judged what has expired. Invariant 2: it never goes back, whatever becomes of the machine's clock."""
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.cluster_time import ClusterTime
from holdfast.ids import Millis
from holdfast.limits import CLOCK_JUMP_MAX_MS

WALL, BOOT = 1_700_000_000_000, 5_000
DAY = 86_400_000


def begun(floor_ms: int = 0) -> ClusterTime:
    return ClusterTime(Millis(floor_ms), wall_ms=Millis(WALL), boot_ms=Millis(BOOT))


def later(time: ClusterTime, passed_ms: int, *, ahead_ms: int = 0) -> int:
    """Cluster time so long after its beginning, by a clock that is set so far ahead of what has passed; seen from its beginning."""
    return time.now(wall_ms=Millis(WALL + passed_ms + ahead_ms), boot_ms=Millis(BOOT + passed_ms)) - WALL


def test_it_goes_on_from_the_last_batch_where_the_own_clock_is_behind() -> None:
    time = begun(WALL + DAY)
    assert [later(time, passed) for passed in (0, 7)] == [DAY, DAY + 7]


def test_a_clock_that_is_set_back_changes_nothing() -> None:
    time = begun()
    assert [later(time, 10), later(time, 20, ahead_ms=-DAY)] == [10, 20]


def test_a_clock_that_is_set_ahead_is_followed_up_to_a_bound() -> None:
    time = begun()
    assert later(time, 10, ahead_ms=CLOCK_JUMP_MAX_MS) == 10 + CLOCK_JUMP_MAX_MS
    assert not time.has_jumped
    assert time.offset_ms == WALL - BOOT + CLOCK_JUMP_MAX_MS


def test_past_the_bound_it_goes_on_at_its_own_pace_until_the_clock_is_back() -> None:
    time = begun()
    assert later(time, 10, ahead_ms=CLOCK_JUMP_MAX_MS + 1) == 10
    assert time.has_jumped
    assert later(time, 20, ahead_ms=DAY) == 20
    assert time.offset_ms == WALL - BOOT
    assert later(time, 30) == 30
    assert not time.has_jumped


@given(st.lists(st.tuples(st.integers(0, DAY), st.integers(-2 * DAY, 2 * DAY)), max_size=20), st.integers(-DAY, DAY))
def test_it_never_goes_back(steps: list[tuple[int, int]], floor_ms: int) -> None:
    time, passed_ms, before = begun(WALL + floor_ms), 0, max(0, floor_ms)
    for more_ms, ahead_ms in steps:
        passed_ms += more_ms
        now = later(time, passed_ms, ahead_ms=ahead_ms)
        assert now >= before + more_ms, "nor more slowly than time passes"
        before = now
