"""A state that comes in whole takes the place of the one that is there: for every reader, at one instant, whatever is cut short, in bounded
memory."""
import asyncio
import os
import re
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import lmdb
import pytest

from holdfast.errors import UnavailableError
from holdfast.ids import Index, Millis
from holdfast.replica.lmdb import LmdbReplica
from holdfast.replica.lmdb_file import Environment
from holdfast.replica.lmdb_folder import Folder
from holdfast.storage import Changes, Snapshot, StateCopy, WriteBatch

KEYS = [f"k/{number}" for number in range(40)]


def apply(replica: LmdbReplica, changes: Changes) -> None:
    index = Index(replica.index + 1)
    replica.apply([WriteBatch(index=index, time_ms=Millis(index), changes=changes)])


def copies(path: Path) -> Iterator[StateCopy]:
    """States of higher and higher indexes: every key says which."""
    source = LmdbReplica(path, writable=True)
    while True:
        apply(source, dict.fromkeys(KEYS, b"%d" % (source.index + 1)))
        yield source.copy()


def snapshot(copy: StateCopy) -> Snapshot:
    async def chunks() -> AsyncIterator[bytes]:
        for chunk in copy.chunks:
            yield chunk
    return Snapshot(index=copy.index, generation=copy.generation, chunks=chunks())


def install(replica: LmdbReplica, copy: StateCopy) -> None:
    asyncio.run(replica.install(snapshot(copy)))


def index_read(replica: LmdbReplica) -> int:
    """Every key says of which state it is: one for all of them, and the one that the reader says."""
    reader = replica.open()
    try:
        assert {reader.get(key) for key in reader.keys("")} <= {b"%d" % reader.index}
        return reader.index
    finally:
        reader.close()


@pytest.fixture
def replica(tmp_path: Path) -> LmdbReplica:
    return LmdbReplica(tmp_path / "replica", writable=True)


def test_the_old_file_goes_and_its_readers_keep_it(replica: LmdbReplica, tmp_path: Path) -> None:
    states = copies(tmp_path / "source")
    install(replica, next(states))
    before = replica.open()
    for expected in range(2, 5):
        install(replica, next(states))
        assert index_read(replica) == expected
        assert [path.name for path in replica.file.parent.glob("*.mdb")] == [replica.file.name]
    assert (before.index, before.get("k/7"), len(list(before.keys("")))) == (1, b"1", len(KEYS))
    before.close()
    assert replica.held_back() == 0
    assert replica.size_bytes() <= 200_000


CHILD = """
import sys
from holdfast.replica.lmdb import LmdbReplica
from tests.unit.replica.test_lmdb_install import index_read
replica = LmdbReplica(sys.argv[1])
held = []
for line in sys.stdin:
    if line == "hold\\n":
        held.append(replica.open())
    print(index_read(replica), *(reader.get("k/3").decode() for reader in held), flush=True)
"""


def test_other_processes_follow(replica: LmdbReplica, tmp_path: Path) -> None:
    states = copies(tmp_path / "source")
    install(replica, next(states))
    worker = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path / "replica")], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              text=True, bufsize=1, cwd=Path(__file__).parents[3])
    assert worker.stdin is not None
    assert worker.stdout is not None
    for say, installs, heard in [("hold", 0, "1 1"), ("read", 1, "2 1"), ("hold", 4, "6 1 6"), ("read", 0, "6 1 6"), ("read", 1, "7 1 6")]:
        for _ in range(installs):                        # also several between two of its reads: those files it never sees
            install(replica, next(states))
        worker.stdin.write(f"{say}\n")
        assert worker.stdout.readline() == f"{heard}\n"
    apply(replica, dict.fromkeys(KEYS, b"8"))
    worker.stdin.write("read\n")
    assert worker.stdout.readline() == "8 1 6\n"
    worker.stdin.close()
    assert worker.wait(timeout=60) == 0
    worker.stdout.close()


RACER = """
import sys
from holdfast.replica.lmdb import LmdbReplica
from tests.unit.replica.test_lmdb_install import index_read
replica, last = LmdbReplica(sys.argv[1]), 0
print("reads", flush=True)
while last < int(sys.argv[2]):
    index = index_read(replica)
    assert index >= last, (index, last)
    last = index
"""


def test_readers_everywhere_see_one_state_or_the_next_while_states_come_in(replica: LmdbReplica, tmp_path: Path) -> None:
    last = 10
    states = copies(tmp_path / "source")
    install(replica, next(states))
    racers = [subprocess.Popen([sys.executable, "-c", RACER, str(tmp_path / "replica"), str(last)], stdout=subprocess.PIPE, text=True,
                               cwd=Path(__file__).parents[3]) for _ in range(2)]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "reads\n"
        racer.stdout.close()
    seen: list[int] = [0]

    def read() -> None:
        while seen[-1] < last:
            seen.append(index_read(replica))

    thread = threading.Thread(target=read)
    thread.start()
    for _ in range(2, last + 1):
        install(replica, next(states))
    thread.join(timeout=60)
    assert seen == sorted(seen)
    assert seen[-1] == last
    assert [racer.wait(timeout=60) for racer in racers] == [0, 0]


def install_and_die(folder: Path, where: tuple[type, str], when: str) -> None:
    """In a child of the test: the second state comes in, and the process ends where it is told to."""
    owner, name = where
    replica, states = LmdbReplica(folder / "replica", writable=True), copies(folder / "source")
    install(replica, next(states))
    real = getattr(owner, name)

    def dies(*args: object) -> None:
        if when == "after":
            real(*args)
        os._exit(9)

    setattr(owner, name, dies)
    install(replica, next(states))


@pytest.mark.parametrize(("where", "when", "found"), [
    ((LmdbReplica, "_take_over"), "before", 1),          # all of the new file is there, and nobody has looked at it
    ((Folder, "prepare"), "before", 1),
    ((Environment, "name_successor"), "before", 1),
    ((Environment, "name_successor"), "after", 1),       # readers had gone over; they died with it
    ((Folder, "stamp"), "after", 2),
])
def test_a_process_that_is_killed_leaves_the_old_state_or_the_new_one(where: tuple[type, str], when: str, found: int,
                                                                      tmp_path: Path) -> None:
    LmdbReplica(tmp_path / "replica", writable=True).close()
    pid = os.fork()
    if pid == 0:
        try:
            install_and_die(tmp_path, where, when)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
    replica = LmdbReplica(tmp_path / "replica", writable=True)
    assert index_read(replica) == found
    assert [path.name for path in (tmp_path / "replica").glob("*.mdb")] == [replica.file.name], "what was half done has gone"
    states = copies(tmp_path / "another")
    install(replica, [next(states) for _ in range(3)][-1])
    assert index_read(replica) == 3
    replica.close()
    assert index_read(LmdbReplica(tmp_path / "replica", writable=True)) == 3


def full(*_: object) -> None:
    raise lmdb.DiskError("no space left on device")


@pytest.mark.parametrize("owner", [(Environment, "name_successor"), (Folder, "prepare")])
def test_without_room_for_the_move_nothing_has_changed(owner: tuple[type, str], replica: LmdbReplica, tmp_path: Path,
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    states = copies(tmp_path / "source")
    install(replica, next(states))
    with monkeypatch.context() as patch:
        patch.setattr(*owner, full)
        with pytest.raises(UnavailableError):
            install(replica, next(states))
    assert index_read(replica) == 1
    assert [path.name for path in replica.file.parent.glob("*.mdb")] == [replica.file.name]
    install(replica, next(states))
    assert index_read(replica) == 3


def test_a_state_that_ends_too_early_leaves_nothing(replica: LmdbReplica, tmp_path: Path) -> None:
    states = copies(tmp_path / "source")
    install(replica, next(states))

    async def chunks() -> AsyncIterator[bytes]:
        yield b"x" * 100_000
        raise UnavailableError("the member has gone")

    with pytest.raises(UnavailableError, match="the member has gone"):
        asyncio.run(replica.install(Snapshot(index=Index(9), generation=0, chunks=chunks())))
    assert index_read(replica) == 1
    assert [path.name for path in replica.file.parent.glob("*.mdb")] == [replica.file.name]


def test_who_stops_waiting_leaves_one_state(replica: LmdbReplica, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that puts it in its place goes on, and is waited for: what is left of the other state is removed after it."""
    states = copies(tmp_path / "source")
    install(replica, next(states))
    begun, may_go = threading.Event(), threading.Event()
    real = LmdbReplica._take_over

    def slowly(self: LmdbReplica, path: Path, one: Snapshot) -> None:
        begun.set()
        assert may_go.wait(60)
        real(self, path, one)

    monkeypatch.setattr(LmdbReplica, "_take_over", slowly)

    async def cancelled() -> None:
        task = asyncio.ensure_future(replica.install(snapshot(next(states))))
        assert await asyncio.to_thread(begun.wait, 60)
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
        may_go.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert index_read(replica) == 2
    assert [path.name for path in replica.file.parent.glob("*.mdb")] == [replica.file.name]


MEASURED = """
import asyncio, sys, threading
from collections.abc import AsyncIterator
from pathlib import Path
from holdfast.replica.lmdb import LmdbReplica
from holdfast.storage import Snapshot
from tests.unit.replica.test_lmdb_install import private_bytes
state, replica = Path(sys.argv[1]), LmdbReplica(sys.argv[2], writable=True)
async def chunks() -> AsyncIterator[bytes]:
    with state.open("rb") as file:
        while chunk := await asyncio.to_thread(file.read, 1 << 20):
            yield chunk
before, most, done = private_bytes(), 0, threading.Event()
def watch():
    global most
    while not done.wait(0.001):
        most = max(most, private_bytes())
watcher = threading.Thread(target=watch)
watcher.start()
asyncio.run(replica.install(Snapshot(index=int(sys.argv[3]), generation=0, chunks=chunks())))
done.set()
watcher.join()
for chunk in replica.copy().chunks:
    most = max(most, private_bytes())
print(replica.index, most - before)
"""


def private_bytes() -> int:
    found = re.search(r"^RssAnon:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1_024


def test_memory_does_not_grow_with_the_state_that_comes_in_or_goes_out(tmp_path: Path) -> None:
    source = LmdbReplica(tmp_path / "source", writable=True)
    for number in range(16):
        apply(source, {f"k/{number}/{at}": os.urandom(4_000) for at in range(1_000)})
    assert source.size_bytes() > 60 << 20
    with (tmp_path / "state").open("wb") as file:
        for chunk in source.copy().chunks:
            file.write(chunk)
    done = subprocess.run([sys.executable, "-c", MEASURED, str(tmp_path / "state"), str(tmp_path / "replica"), "16"], capture_output=True,
                          text=True, cwd=Path(__file__).parents[3], timeout=120, check=True)
    index, grown = map(int, done.stdout.split())
    assert index == 16
    assert grown < 16 << 20, f"{grown} bytes for a state of {source.size_bytes()}"
