"""May this node read, and may this answer leave? Rules 1 and 2. Invariant 1."""
import pytest

from holdfast.ha.gate import GO, LEASE_UNTIL_BOOT_MS, WAIT, WATERMARK, Word, may_answer, may_read
from holdfast.ids import Index, Millis
from holdfast.replica import Reads
from holdfast.testing.memory import MemoryReplica


class Words:
    def __init__(self, **values: int) -> None:
        self.values = {Word[name]: value for name, value in values.items()}

    def load(self, word: int) -> int:
        return self.values.get(Word(word), 0)

    def store(self, word: int, value: int) -> None:
        self.values[Word(word)] = value


def replica(count: int = 5, window: int = 1 << 62) -> MemoryReplica:
    """State n came with a change of `a/n`."""
    made = MemoryReplica(window)
    for number in range(1, count + 1):
        made.write({f"a/{number}": b""})
    return made


@pytest.mark.parametrize(("now", "may"), [(99, True), (100, False), (101, False)])
def test_a_read_begins_before_the_lease_ends_and_not_at_its_end(now: int, may: bool) -> None:
    words = Words(LEASE_UNTIL_BOOT_MS=100)
    assert may_read(words, Millis(now)) is may
    words.store(LEASE_UNTIL_BOOT_MS, 0)
    assert not may_read(words, Millis(now))


@pytest.mark.parametrize(("watermark", "names", "verdict"), [
    (5, ["a/5"], GO),                                    # V covers all that was read
    (4, ["a/5"], WAIT),                                  # what was read is newer than V
    (4, ["a/4", "b"], GO),                               # what is newer than V was not read
    (2, ["a/4"], WAIT),
    (4, ["a/"], WAIT),                                   # a folder that a newer key came into
    (4, ["b/"], GO),
    (4, ["c"], GO),                                      # a miss, still one
    (0, [], GO),                                         # nothing was read
])
def test_rule_2_what_changed_after_v_holds_back_only_who_read_it(watermark: int, names: list[str], verdict: object) -> None:
    reader = replica().open()
    assert may_answer(Words(WATERMARK=watermark), reader, Index(5), Reads(names)) is verdict


def test_rule_2_what_cached_values_rest_on_counts_too() -> None:
    reader = replica().open()
    assert may_answer(Words(WATERMARK=4), reader, Index(5), Reads(["b"], [Reads(["a/5"])])) is WAIT
    assert may_answer(Words(WATERMARK=4), reader, Index(5), Reads(["b"], [Reads(["a/4"])])) is GO


def test_rule_2_past_the_window_nobody_can_tell() -> None:
    reader = replica(window=2).open()
    assert may_answer(Words(WATERMARK=1), reader, Index(5), Reads(["b"])) is WAIT


def test_the_word_of_v_is_where_workers_look() -> None:
    assert (int(LEASE_UNTIL_BOOT_MS), int(WATERMARK)) == (0, 1)
