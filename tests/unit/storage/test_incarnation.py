"""An incarnation grows with each start, whatever happens to the clock, the process or the machine."""
from pathlib import Path
from random import Random

import pytest

from holdfast.errors import IntegrityError
from holdfast.storage.disk import OsDisk
from holdfast.storage.incarnation import FILE, next_incarnation
from holdfast.testing.disk import FakeDisk, Stopped

FOLDER = Path("/data")


def test_it_grows_with_a_clock_that_is_set_back() -> None:
    disk = FakeDisk()
    disk.make_folder(FOLDER)
    seen = [next_incarnation(disk, FOLDER, wall_ns) for wall_ns in (1_000, 5_000, 10, 10, 6_000)]
    assert seen == [1_000, 5_000, 5_001, 5_002, 6_000]


def test_what_was_told_is_kept_through_losses_of_power_at_any_step() -> None:
    dice, told = Random(3), 0
    disk = FakeDisk(seed=3)
    disk.make_folder(FOLDER)
    for _ in range(300):
        disk.steps_left = dice.randrange(0, 9)
        try:
            found = next_incarnation(disk, FOLDER, dice.randrange(50))
        except Stopped:
            pass
        else:
            assert found > told
            told = found
        disk.lose_power()
    assert told > 40


def test_on_a_real_disk(tmp_path: Path) -> None:
    assert next_incarnation(OsDisk(), tmp_path, 7) == 7
    assert next_incarnation(OsDisk(), tmp_path, 3) == 8
    (tmp_path / FILE).write_text("x")
    with pytest.raises(IntegrityError, match="damaged"):
        next_incarnation(OsDisk(), tmp_path, 9)
