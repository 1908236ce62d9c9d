"""The folder of a replica: which of its files is the state, and whether what it holds can be trusted.

LMDB is not synced: what a process wrote survives its death (the kernel has it), not a loss of power. So a small file, the stamp, says which
file the state is in, which one on the disk that is, and in which boot of the machine it was written.

Invariants: (1) a file that another boot wrote, or a copy of a file, is never taken for the state; (2) whatever is cut short, the stamp
names a whole file, or there is none.
"""
import os
from pathlib import Path

FORMAT = 3                                               # of the folder: another one is built anew
STAMP, NEW_STAMP = "written-in", "written-in.new"
PREFIX, SUFFIX, LOCK_SUFFIX = "state-", ".mdb", ".mdb-lock"


class Folder:
    """`boot_id`: of the machine's boot; only who writes needs it."""

    def __init__(self, path: Path, boot_id: str = "") -> None:
        self.path, self._boot_id = path, boot_id

    def named(self) -> Path | None:
        """The file that the stamp names; None: there is no stamp."""
        try:
            return self.path / (self.path / STAMP).read_text().rpartition(" ")[2]
        except FileNotFoundError:
            return None

    def trusted(self) -> Path | None:
        """The same, if this boot wrote that very file. Without one, the folder holds nothing afterwards."""
        named = self.named()
        try:
            if named is not None and (self.path / STAMP).read_text() == self._stamp_of(named):
                return named
        except FileNotFoundError:
            pass                                         # the stamp has outlived its file
        # The stamp goes first and comes last: whenever this is cut short, nothing is trusted.
        (self.path / STAMP).unlink(missing_ok=True)
        self.keep(None)
        return None

    def after(self, state: Path | None) -> Path:
        """Where the next state goes: nothing is there. Readers never meet a name twice."""
        number = 0 if state is None else int(state.name.removeprefix(PREFIX).removesuffix(SUFFIX))
        self.keep(state)
        return self.path / f"{PREFIX}{number + 1}{SUFFIX}"

    def prepare(self, state: Path) -> None:
        """Takes the room that `stamp` needs."""
        (self.path / NEW_STAMP).write_text(self._stamp_of(state))

    def stamp(self) -> None:
        """The state is in the file that `prepare` was told of."""
        (self.path / NEW_STAMP).replace(self.path / STAMP)

    def keep(self, state: Path | None) -> None:
        """Removes all other files. Who has one open keeps it so long."""
        for name in os.listdir(self.path):
            if name.endswith((SUFFIX, LOCK_SUFFIX)) and (state is None or name.removesuffix("-lock") != state.name):
                (self.path / name).unlink(missing_ok=True)

    def _stamp_of(self, state: Path) -> str:
        file = state.stat()
        return f"{FORMAT} {self._boot_id} {file.st_dev} {file.st_ino} {state.name}"
