"""The outside that the contract engine calls: a folder in which it makes and drops users.

A file `users/<name>` is a user. Every call adds one line, `<verb> <name>`, to the file `calls`, before it does anything. How a call goes is
named in the call: `ok`; `fail`, always; `fail-2`, the first two times for this verb and name; `hang`, until a file `release` exists in the
folder, and then ok; `late`, like `hang`, but the change is made although the caller may long have given up.
A folder, and not objects, so that several processes, and what is left after a kill -9, see the same world.
"""
import time
from pathlib import Path

HANG_MAX_S = 60.0                                        # no test waits longer, whatever goes wrong
POLL_S = 0.005


class WorldError(Exception):
    """What a database's driver would raise."""


def create(folder: str, name: str, how: str) -> str:
    """Makes a user; gives its password."""
    _go(Path(folder), "create", name, how)
    users = Path(folder, "users")
    users.mkdir(exist_ok=True)
    (users / name).write_text(f"password of {name}")
    return f"password of {name}"


def drop(folder: str, name: str, how: str) -> None:
    """Drops a user; one that is not there is dropped already."""
    _go(Path(folder), "drop", name, how)
    Path(folder, "users", name).unlink(missing_ok=True)


def extend(folder: str, name: str, how: str) -> None:
    """What a renewal asks for."""
    _go(Path(folder), "extend", name, how)
    if not Path(folder, "users", name).exists():
        raise WorldError(f"no user {name}")


def calls(folder: Path, verb: str = "") -> tuple[str, ...]:
    """The lines so far; of one verb its names alone."""
    log = folder / "calls"
    lines = tuple(log.read_text().splitlines()) if log.exists() else ()
    return tuple(line.partition(" ")[2] for line in lines if line.startswith(verb + " ")) if verb else lines


def users(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(file.name for file in (folder / "users").glob("*")))


def release(folder: Path) -> None:
    """Lets go what hangs, now and from now on."""
    (folder / "release").touch()


def _go(folder: Path, verb: str, name: str, how: str) -> None:
    with (folder / "calls").open("a") as log:
        log.write(f"{verb} {name}\n")
    if how in ("hang", "late"):
        end = time.monotonic() + HANG_MAX_S
        while not (folder / "release").exists():
            if time.monotonic() > end:
                raise WorldError(f"{verb} {name}: nobody let go")
            time.sleep(POLL_S)
    elif how.startswith("fail"):
        times = int(how[5:] or 1_000_000)
        if calls(folder, verb).count(name) <= times:
            raise WorldError(f"{verb} {name}: refused")
