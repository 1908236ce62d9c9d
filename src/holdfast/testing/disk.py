"""A disk that loses what a real one may lose, and nothing else.

What it models: the kernel's view of a file, which processes share and which survives their death, and what has reached the platter. A loss
of power keeps, page by page, any state that the page was in since it was last synced, or a tear between two; any subset of the names made,
moved or removed since the folder was last synced; and gives the machine another boot id. A failed sync leaves any subset of the pages
behind as if it had succeeded: the kernel takes them for clean, and no later sync writes them.
"""
import errno
import threading
from collections.abc import Callable
from pathlib import Path
from random import Random

from holdfast.errors import UnavailableError
from holdfast.storage.disk import BLOCK_BYTES, File, Lock


class Inode:
    """A file's content, whatever its names."""

    def __init__(self) -> None:
        self.cache = bytearray()
        self.durable = bytearray()
        self.dirty: dict[int, list[bytes]] = {}          # page → its states since it was last synced, the newest last
        self.sizes: list[int] = []                       # likewise

    def page(self, number: int) -> bytes:
        return bytes(self.cache[number * BLOCK_BYTES:(number + 1) * BLOCK_BYTES])

    def write(self, data: bytes, offset: int) -> None:
        if len(self.cache) < offset + len(data):
            self.cache.extend(bytes(offset + len(data) - len(self.cache)))
            self.sizes.append(len(self.cache))
        self.cache[offset:offset + len(data)] = data
        for number in range(offset // BLOCK_BYTES, -(-(offset + len(data)) // BLOCK_BYTES)):
            self.dirty.setdefault(number, []).append(self.page(number))

    def persist(self, number: int, content: bytes) -> None:
        start = number * BLOCK_BYTES
        if len(self.durable) < start + len(content):
            self.durable.extend(bytes(start + len(content) - len(self.durable)))
        self.durable[start:start + len(content)] = content

    def sync(self) -> None:
        for number, states in self.dirty.items():
            self.persist(number, states[-1])
        if len(self.durable) < len(self.cache):
            self.durable.extend(bytes(len(self.cache) - len(self.durable)))
        self.dirty.clear()
        self.sizes.clear()

    def fail_sync(self, dice: Random) -> None:
        for number, states in self.dirty.items():
            if dice.random() < 0.5:
                self.persist(number, states[-1])
        self.dirty.clear()                               # clean, as far as the kernel knows

    def lose_power(self, dice: Random) -> None:
        size = dice.choice([len(self.durable), *self.sizes])
        for number, states in self.dirty.items():
            old = bytes(self.durable[number * BLOCK_BYTES:(number + 1) * BLOCK_BYTES]).ljust(BLOCK_BYTES, b"\0")
            kept = dice.choice([old, *states])
            if dice.random() < 0.2:
                tear = 512 * dice.randrange(1, BLOCK_BYTES // 512)
                kept = dice.choice(states)[:tear] + kept[tear:]
            self.persist(number, kept)
        self.durable = self.durable[:size].ljust(size, b"\0")
        self.cache = bytearray(self.durable)
        self.dirty.clear()
        self.sizes.clear()


Change = Callable[[dict[str, Inode]], None]


class Folder:
    """Names, and those that are durable."""

    def __init__(self) -> None:
        self.now: dict[str, Inode] = {}
        self.durable: dict[str, Inode] = {}
        self.unsynced: list[Change] = []

    def do(self, change: Change) -> None:
        change(self.now)
        self.unsynced.append(change)

    def sync(self) -> None:
        self.durable = dict(self.now)
        self.unsynced.clear()

    def lose_power(self, dice: Random) -> None:
        for change in self.unsynced:
            if dice.random() < 0.5:
                change(self.durable)
        self.now = dict(self.durable)
        self.unsynced.clear()


class FakeDisk:
    """`Disk` over memory. `kill` and `lose_power` are what happens to the process and to the machine that use it."""

    def __init__(self, seed: int = 0) -> None:
        self._dice = Random(seed)
        self._mutex = threading.RLock()
        self._folders: dict[Path, Folder] = {}
        self._life = 0
        self.locks: set[Path] = set()
        self.boots = 1
        self.free = 1 << 40
        self.fail_writes: list[int] = []                 # errno of the next writes; 0: this one succeeds
        self.fail_syncs: list[int] = []                  # likewise
        self.steps_left: int | None = None               # writes, syncs and changes of names until all stops; None: it goes on
        self._stopped = False

    def boot_id(self) -> str:
        return f"boot-{self.boots}"

    def kill(self) -> None:
        """The process dies: the kernel keeps what was written; open files and locks are gone."""
        with self._mutex:
            self._life += 1
            self.locks.clear()
            self.steps_left, self._stopped = None, False

    def lose_power(self) -> None:
        """The machine stops, and starts again."""
        with self._mutex:
            self.kill()
            self.boots += 1
            self.fail_writes.clear()
            self.fail_syncs.clear()
            inodes: list[Inode] = []
            for folder in self._folders.values():
                inodes += [inode for inode in (*folder.now.values(), *folder.durable.values()) if inode not in inodes]
                folder.lose_power(self._dice)
            for inode in inodes:
                inode.lose_power(self._dice)

    def open(self, path: Path, *, create: bool = False) -> File:
        with self._mutex:
            folder = self._folder(path.parent)
            self.check_runs()
            if create:
                self.step()
                if path.name in folder.now:
                    raise FileExistsError(errno.EEXIST, "file exists", str(path))
                inode = Inode()
                folder.do(lambda names: names.__setitem__(path.name, inode))
            return FakeFile(self, self._inode(path), self._life)

    def exists(self, path: Path) -> bool:
        return path in self._folders or path.name in self._folder(path.parent).now

    def names(self, folder: Path) -> list[str]:
        return sorted([*self._folder(folder).now, *(path.name for path in self._folders if path.parent == folder and path != folder)])

    def make_folder(self, path: Path) -> None:
        for folder in (path, *path.parents):
            self._folders.setdefault(folder, Folder())

    def rename(self, old: Path, new: Path) -> None:
        with self._mutex:
            assert old.parent == new.parent, "moves between folders are not modelled"
            inode = self._inode(old)

            def move(names: dict[str, Inode]) -> None:
                if names.get(old.name) is inode:
                    del names[old.name]
                names[new.name] = inode

            self.step()
            self._folder(old.parent).do(move)

    def remove(self, path: Path) -> None:
        with self._mutex:
            inode = self._inode(path)

            def drop(names: dict[str, Inode]) -> None:
                if names.get(path.name) is inode:
                    del names[path.name]

            self.step()
            self._folder(path.parent).do(drop)

    def sync_folder(self, folder: Path) -> None:
        with self._mutex:
            self.step()
            self._folder(folder).sync()

    def lock(self, path: Path) -> Lock:
        with self._mutex:
            if path in self.locks:
                raise UnavailableError(f"the storage folder {path.parent} is in use by another process")
            self.locks.add(path)
            return FakeLock(self, path, self._life)

    def free_bytes(self, folder: Path) -> int:
        return self.free

    def step(self) -> None:
        """Called at each write, sync and change of names."""
        self.check_runs()
        if self.steps_left is not None:
            self.steps_left -= 1
            if self.steps_left < 0:
                self._stopped = True
                raise Stopped

    def check_runs(self) -> None:
        """What has stopped does nothing more, also not what it would do on its way out."""
        if self._stopped:
            raise Stopped

    def check_alive(self, life: int) -> None:
        if life != self._life:
            raise OSError(errno.EBADF, "the process that opened this is dead")

    def write(self, inode: Inode, data: bytes, offset: int) -> None:
        with self._mutex:
            self.check_runs()
            try:
                self.step()
            except Stopped:
                inode.write(data[:self._dice.randrange(len(data) + 1)], offset)
                raise
            failure = self.fail_writes.pop(0) if self.fail_writes else 0
            if failure:
                inode.write(data[:self._dice.randrange(len(data) + 1)], offset)
                raise OSError(failure, "the write failed")
            inode.write(data, offset)

    def sync(self, inode: Inode) -> None:
        with self._mutex:
            self.step()
            failure = self.fail_syncs.pop(0) if self.fail_syncs else 0
            if failure:
                inode.fail_sync(self._dice)
                raise OSError(failure, "the sync failed")
            inode.sync()

    def _folder(self, path: Path) -> Folder:
        if path not in self._folders:
            raise FileNotFoundError(errno.ENOENT, "no such folder", str(path))
        return self._folders[path]

    def _inode(self, path: Path) -> Inode:
        inode = self._folder(path.parent).now.get(path.name)
        if inode is None:
            raise FileNotFoundError(errno.ENOENT, "no such file", str(path))
        return inode


class Stopped(BaseException):
    """The process or the machine stops in the middle of what the program was doing; `kill` or `lose_power` says which."""


class FakeFile:
    """A descriptor of one process's life."""

    def __init__(self, disk: FakeDisk, inode: Inode, life: int) -> None:
        self._disk, self._inode, self._life = disk, inode, life
        self._is_open = True

    def write_at(self, data: bytes, offset: int) -> None:
        self._check()
        self._disk.write(self._inode, data, offset)

    def write_durably(self, data: bytes, offset: int) -> None:
        self.write_at(data, offset)
        self.sync()

    def read_at(self, size: int, offset: int) -> bytes:
        self._check()
        return bytes(self._inode.cache[offset:offset + size])

    def sync(self) -> None:
        self._check()
        self._disk.sync(self._inode)

    def size(self) -> int:
        self._check()
        return len(self._inode.cache)

    def close(self) -> None:
        self._is_open = False

    def _check(self) -> None:
        self._disk.check_alive(self._life)
        if not self._is_open:
            raise OSError(errno.EBADF, "the file is closed")


class FakeLock:
    def __init__(self, disk: FakeDisk, path: Path, life: int) -> None:
        self._disk, self._path, self._life = disk, path, life

    def close(self) -> None:
        try:
            self._disk.check_alive(self._life)
        except OSError:
            return                                       # it went with its process, and may be another's by now
        self._disk.locks.discard(self._path)
