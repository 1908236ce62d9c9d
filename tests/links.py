"""What lies between nodes: a TCP proxy that can be slow, deaf or cut; and networks of namespaces, whose links the kernel takes down."""
from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import pytest

T = TypeVar("T")
CHUNK = 1 << 16
_networks = itertools.count(1)


class Proxy:
    """Listens on a port of its own in front of another one, in a thread of its own. All settings can be changed while connections live.
    With several targets, each connection goes to the next one, as with a load balancer.

    `delay_s`: added to each chunk, in both directions. `bytes_s`: rate, 0: as fast as it goes.
    """

    def __init__(self, port: int, *targets: tuple[str, int], host: str = "127.0.0.1") -> None:
        self.port, self.host, self._targets = port, host, itertools.cycle(targets)
        self.delay_s, self.bytes_s = 0.0, 0.0
        self.passed_bytes = 0
        self._loop = asyncio.new_event_loop()
        self._passes = asyncio.Event()
        self._passes.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), name=f"proxy-{port}", daemon=True)
        self._thread.start()
        started.wait(10)

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    def cut(self) -> None:
        """Nothing is passed on, and nothing is closed, as when a cable is cut."""
        self._loop.call_soon_threadsafe(self._passes.clear)

    def mend(self) -> None:
        """What came meanwhile is passed on, as TCP would."""
        self._loop.call_soon_threadsafe(self._passes.set)

    def reset(self) -> None:
        """Every connection that there is has ended with a reset when this returns."""
        done = threading.Event()

        def reset() -> None:
            self._reset()
            self._loop.call_soon(done.set)               # the transports close in the loop's next turn

        self._loop.call_soon_threadsafe(reset)
        assert done.wait(10), "the proxy does not answer"

    def close(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)

    def _run(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, self.host, self.port))
        started.set()
        self._loop.run_forever()
        server.close()
        self._reset()
        for task in self._tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*self._tasks, return_exceptions=True))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            there, back = await asyncio.open_connection(*next(self._targets))
            self._writers.add(back)
            try:
                await asyncio.gather(self._pass(reader, back), self._pass(there, writer))
            finally:
                self._drop(back)
        except OSError:
            pass                                     # whoever is behind is not there: so is this end
        finally:
            self._drop(writer)
            self._tasks.discard(task)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK):
            if wait := self.delay_s + (len(data) / self.bytes_s if self.bytes_s else 0):
                await asyncio.sleep(wait)
            await self._passes.wait()
            self.passed_bytes += len(data)
            writer.write(data)
            await writer.drain()
        with contextlib.suppress(OSError):
            writer.write_eof() if writer.can_write_eof() else writer.close()

    def _drop(self, writer: asyncio.StreamWriter) -> None:
        self._writers.discard(writer)
        writer.close()

    def _reset(self) -> None:
        for writer in list(self._writers):
            self._writers.discard(writer)
            # Without lingering the kernel sends a reset; else it would send an end, and a reset only for what comes after it.
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()


class Namespaces:
    """A bridge, and network namespaces on it, each with one address that this process reaches: `ip link` takes one down as a switch would.

    Only root may make them. Everything of it goes with `close`.
    """

    def __init__(self, size: int) -> None:
        number = (os.getpid() + next(_networks) * 7919) & 0xFFFF
        self._tag = f"hf{number:04x}"
        subnet = f"10.{200 + (number >> 8) % 50}.{number & 0xFF}"
        self.names = [f"{self._tag}n{each}" for each in range(size)]
        self.hosts = [f"{subnet}.{each + 10}" for each in range(size)]
        self._made: list[tuple[str, ...]] = []       # how to take away what was made, in reverse
        try:
            self._make(("link", "add", self._tag, "type", "bridge"), ("link", "del", self._tag))
            _ip("addr", "add", f"{subnet}.1/24", "dev", self._tag)
            _ip("link", "set", self._tag, "up")
            for each, (name, host) in enumerate(zip(self.names, self.hosts, strict=True)):
                self._make(("netns", "add", name), ("netns", "del", name))
                here = self._link(each)
                self._make(("link", "add", here, "type", "veth", "peer", "name", "eth0", "netns", name), ("link", "del", here))
                _ip("link", "set", here, "master", self._tag)
                _ip("-n", name, "addr", "add", f"{host}/24", "dev", "eth0")
                for device in ("lo", "eth0"):
                    _ip("-n", name, "link", "set", device, "up")
                _ip("link", "set", here, "up")
        except BaseException:
            self.close()
            raise

    def command(self, number: int) -> tuple[str, ...]:
        """The words before a command that is to run in a namespace; the process stays the same one."""
        return ("ip", "netns", "exec", self.names[number])

    def cut(self, number: int) -> None:
        """Nothing reaches it and nothing leaves it any more; nobody is told."""
        _ip("link", "set", self._link(number), "down")

    def mend(self, number: int) -> None:
        _ip("link", "set", self._link(number), "up")

    def cut_one_way(self, number: int, to: int) -> None:
        """What `number` sends to `to` is lost; the other way is open."""
        _ip("-n", self.names[number], "route", "add", "blackhole", f"{self.hosts[to]}/32")

    def mend_one_way(self, number: int, to: int) -> None:
        _ip("-n", self.names[number], "route", "del", "blackhole", f"{self.hosts[to]}/32")

    def close(self) -> None:
        while self._made:
            subprocess.run(["ip", *self._made.pop()], capture_output=True, check=False)

    def _link(self, number: int) -> str:
        return f"{self._tag}v{number}"

    def _make(self, make: tuple[str, ...], undo: tuple[str, ...]) -> None:
        _ip(*make)
        self._made.append(undo)


@contextmanager
def namespaces(size: int) -> Iterator[Namespaces]:
    """Skips the test where nobody may make them; where CI runs, that is a failure."""
    found = _or_skip(lambda: Namespaces(size))
    try:
        yield found
    finally:
        found.close()


def _or_skip(make: Callable[[], T]) -> T:
    try:
        return make()
    except (OSError, subprocess.CalledProcessError) as error:
        why = error.stderr.decode().strip() if isinstance(error, subprocess.CalledProcessError) else str(error)
        if os.environ.get("CI"):
            pytest.fail(f"network namespaces cannot be made, and CI must have them: {why}")
        pytest.skip(f"network namespaces cannot be made here, so no link is cut: {why}")


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], capture_output=True, check=True)
