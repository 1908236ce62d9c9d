"""Which start of its process a node lives in: a number that only grows, whatever its clock says.

Others refuse what comes of an earlier incarnation than the newest that they know. So it is kept in the node's folder, durably, before it is
told to anybody; the clock counts only where there is no folder of before, that of a node that joins again with nothing.
"""
from pathlib import Path

from holdfast.errors import IntegrityError
from holdfast.storage.disk import Disk

FILE, UNFINISHED = "incarnation", "incarnation.new"
BYTES_MAX = 32                                           # of the number, in decimal


def next_incarnation(disk: Disk, folder: Path, wall_ns: int) -> int:
    """Once at each start, by the process that has the folder. Raises OSError; IntegrityError: what was kept is no number."""
    number = max(_last(disk, folder) + 1, wall_ns)
    new = folder / UNFINISHED
    if disk.exists(new):
        disk.remove(new)
    file = disk.open(new, create=True)
    try:
        file.write_at(str(number).encode(), 0)
        file.sync()
    finally:
        file.close()
    disk.rename(new, folder / FILE)
    disk.sync_folder(folder)
    return number


def _last(disk: Disk, folder: Path) -> int:
    """0: there was none."""
    if not disk.exists(folder / FILE):
        return 0
    file = disk.open(folder / FILE)
    try:
        text = file.read_at(BYTES_MAX, 0)
    finally:
        file.close()
    if not text.isdigit():
        raise IntegrityError(f"{folder / FILE} is damaged: it holds no number")
    return int(text)
