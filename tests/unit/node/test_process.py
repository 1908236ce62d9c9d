"""What a process of a node does with what nothing else caught."""
import re
import subprocess
import sys

from holdfast.node.process import EX_SOFTWARE, RandomPool

PROGRAM = """
import asyncio, sys
from holdfast.errors import IntegrityError, InvariantError
from holdfast.storage import Full, tell_unwritable
from holdfast.node.process import stop_on_defects
from holdfast.telemetry.setup import LogOptions, open_logs

async def main(error):
    loop = asyncio.get_running_loop()
    stop_on_defects(loop, open_logs(LogOptions()).logger("core"), "/")
    for _ in range(3):
        if isinstance(error, Full):
            tell_unwritable("the raft log cannot be written: trying again", error)
        else:
            loop.call_exception_handler({"message": "seen", "exception": error})

asyncio.run(main({
    "full": Full("no space left"), "damage": IntegrityError("a/b"), "defect": InvariantError("two of one"), "other": ValueError("s3cret"),
}[sys.argv[1]]))
"""


def ended(kind: str) -> tuple[int, str]:
    done = subprocess.run([sys.executable, "-c", PROGRAM, kind], capture_output=True, text=True, timeout=30, check=False)
    return done.returncode, done.stderr


def test_a_defect_of_ours_ends_the_process_and_says_which() -> None:
    code, log = ended("defect")
    assert code == EX_SOFTWARE
    assert "process.defect" in log
    assert "two of one" in log


def test_damage_is_reported_and_the_process_goes_on() -> None:
    code, log = ended("damage")
    assert code == 0
    assert "a/b" in log


def test_of_any_other_error_no_value_is_shown() -> None:
    code, log = ended("other")
    assert code == 0
    assert "ValueError" in log
    assert "s3cret" not in log


def test_a_full_disk_is_no_defect_and_is_told_of_by_its_name_and_space() -> None:
    code, log = ended("full")
    assert code == 0
    assert "process.defect" not in log
    assert log.count("storage.cannot_write") == 1, "each try would be a line"
    assert "no space left" in log
    assert re.search(r"disk=/ free_bytes=\d+", log)


def test_random_bytes_are_given_out_once() -> None:
    pool = RandomPool()
    drawn = [pool.draw(size) for size in (1, 16, 32, RandomPool.POOL_BYTES, RandomPool.POOL_BYTES + 1) * 40]
    assert [len(each) for each in drawn[:5]] == [1, 16, 32, 4096, 4097]
    long = [each for each in drawn if len(each) >= 16]
    assert len(set(long)) == len(long)


def test_request_ids_are_version_4_uuids() -> None:
    pool = RandomPool()
    ids = {pool.request_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(len(id) == 36 and id[14] == "4" and id[19] in "89ab" for id in ids)
