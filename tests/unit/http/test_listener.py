"""Sockets, real ones."""
import asyncio
import os
import socket
import stat
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import uvloop
from msgspec.structs import replace
from tests.unit.http.wire import PLAIN, echo, get, new_ids

from holdfast.config.settings import TcpListener, UnixListener
from holdfast.engine import Reply, Request
from holdfast.http import Listening, listen

FREE = replace(PLAIN, address="127.0.0.1:0")
Run: TypeAlias = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Either loop: the server runs on uvloop, and must not know it."""
    found: Run = request.param
    return found


async def begin(settings: TcpListener | UnixListener, **options: Any) -> Listening:
    return await listen(settings, options.pop("serve", echo), tls=None, reuse_port=options.pop("reuse_port", False),
                        new_request_id=new_ids(), **options)


async def ask(address: str, data: bytes, size: int = 65_536) -> bytes:
    reader, writer = await connect(address)
    writer.write(data)
    found = await reader.read(size)
    writer.close()
    await writer.wait_closed()
    return found


async def connect(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if address.startswith("/"):
        return await asyncio.open_unix_connection(address)
    host, _, port = address.rpartition(":")
    return await asyncio.open_connection(host.strip("[]"), int(port))


def test_tcp(run: Run) -> None:
    async def check() -> None:
        clients: list[Any] = []

        def serve(request: Request) -> Reply:
            clients.append(request.client)
            return echo(request)

        listening = await begin(FREE, serve=serve)
        (address,) = listening.addresses
        assert address.startswith("127.0.0.1:")
        assert not address.endswith(":0")
        assert b"GET a" in await ask(address, get("a"))
        assert clients[0].address == "127.0.0.1"
        assert clients[0].port > 0
        await listening.drain(5.0)

    run(check())


@pytest.mark.parametrize("host", ["[::1]", "", "localhost"])
def test_other_ways_to_write_an_address(run: Run, host: str) -> None:
    async def check() -> None:
        try:
            listening = await begin(replace(PLAIN, address=f"{host}:0"))
        except OSError:
            assert host == "[::1]", "only a machine without IPv6 may refuse"
            return
        port = listening.addresses[0].rpartition(":")[2]
        assert b"GET a" in await ask(f"{host or '127.0.0.1'}:{port}", get("a"))
        listening.close()

    run(check())


def test_an_address_in_use_is_named(run: Run) -> None:
    async def check() -> None:
        listening = await begin(FREE)
        with pytest.raises(OSError, match=f"listener {listening.addresses[0]}: "):
            await begin(replace(PLAIN, address=listening.addresses[0]))
        listening.close()

    run(check())


def test_two_processes_may_share_a_port(run: Run) -> None:
    async def check() -> None:
        first = await begin(FREE, reuse_port=True)
        second = await begin(replace(PLAIN, address=first.addresses[0]), reuse_port=True)
        assert second.addresses == first.addresses
        first.close()
        second.close()

    run(check())


def test_a_socket_that_is_already_bound(run: Run) -> None:
    async def check() -> None:
        sock = socket.create_server(("127.0.0.1", 0))
        listening = await begin(FREE, sock=sock)
        assert listening.addresses == (f"127.0.0.1:{sock.getsockname()[1]}",)
        assert b"GET a" in await ask(listening.addresses[0], get("a"))
        listening.close()

    run(check())


def test_a_unix_socket_has_its_mode_and_owner(run: Run, short_path: Path) -> None:
    async def check() -> None:
        path = str(short_path / "s")
        settings = UnixListener(address=path, socket_mode="0620", socket_user=str(os.getuid()), socket_group=str(os.getgid()))
        clients: list[str] = []

        def serve(request: Request) -> Reply:
            clients.append(request.client.address)
            return echo(request)

        listening = await begin(settings, serve=serve)
        assert listening.addresses == (path,)
        found = os.stat(path)
        assert stat.S_IMODE(found.st_mode) == 0o620
        assert (found.st_uid, found.st_gid) == (os.getuid(), os.getgid())
        assert b"GET a" in await ask(path, get("a"))
        assert clients == [""]
        await listening.drain(5.0)
        assert os.listdir(short_path) == []

    run(check())


def test_a_socket_left_behind_is_replaced_and_another_file_is_not(run: Run, short_path: Path) -> None:
    async def check() -> None:
        path = short_path / "s"
        left = socket.socket(socket.AF_UNIX)
        left.bind(str(path))
        left.close()
        listening = await begin(UnixListener(address=str(path)))
        assert b"GET a" in await ask(str(path), get("a"))
        listening.close()
        path.write_text("precious")
        with pytest.raises(OSError, match=f"listener {path}: "):
            await begin(UnixListener(address=str(path)))
        assert path.read_text() == "precious"

    run(check())


@pytest.mark.parametrize(("user", "group"), [("nobody-of-this-name", ""), ("", "nobody-of-this-name")])
def test_an_unknown_owner_is_refused(run: Run, short_path: Path, user: str, group: str) -> None:
    async def check() -> None:
        with pytest.raises(OSError, match="nobody-of-this-name"):
            await begin(UnixListener(address=str(short_path / "s"), socket_user=user, socket_group=group))

    run(check())


def test_after_stop_accepting_nobody_comes_in_and_who_is_in_stays(run: Run) -> None:
    async def check() -> None:
        listening = await begin(FREE)
        reader, writer = await connect(listening.addresses[0])
        writer.write(get("a"))
        assert b"GET a" in await reader.read(65_536)
        listening.stop_accepting()
        with pytest.raises(ConnectionRefusedError):
            await connect(listening.addresses[0])
        writer.write(get("b"))
        assert b"GET b" in await reader.read(65_536)
        drained = asyncio.ensure_future(listening.drain(5.0))
        assert await reader.read() == b""
        writer.close()
        await drained
        await writer.wait_closed()

    run(check())


def test_a_connection_that_is_kept_open_is_answered_once_more_and_told_that_it_ends(run: Run) -> None:
    """A request that is on its way when the node begins to end is not lost."""

    async def check() -> None:
        listening = await begin(FREE)
        reader, writer = await connect(listening.addresses[0])
        writer.write(get("a"))
        assert b"Connection: close" not in await reader.read(65_536)
        drained = asyncio.ensure_future(listening.drain(5.0))
        await asyncio.sleep(0)
        writer.write(get("b"))
        answer = await reader.read()
        assert b"GET b" in answer
        assert b"connection: close" in answer.lower()
        writer.close()
        await drained
        await writer.wait_closed()

    run(check())


def test_draining_waits_for_an_answer(run: Run) -> None:
    async def check() -> None:
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def serve(request: Request) -> Reply:
            begun.set()
            await go_on.wait()
            return Reply(status=200, body=b"late")

        listening = await begin(FREE, serve=serve)
        reader, writer = await connect(listening.addresses[0])
        writer.write(get("a"))
        await begun.wait()
        drained = asyncio.ensure_future(listening.drain(5.0))
        await asyncio.sleep(0)
        assert not drained.done()
        go_on.set()
        assert (await reader.read()).endswith(b"late")
        writer.close()
        await drained
        await writer.wait_closed()

    run(check())


def test_a_refused_client_can_read_why(run: Run) -> None:
    """The connection is not cut while the client still sends, or it would never see the answer."""
    async def check() -> None:
        listening = await begin(replace(FREE, max_request_size_bytes=10))
        reader, writer = await connect(listening.addresses[0])
        writer.write(b"POST /v1/a HTTP/1.1\r\nHost: v\r\nContent-Length: 1000000\r\n\r\n")
        writer.write(b"x" * 1_000_000)
        assert (await reader.read(65_536)).startswith(b"HTTP/1.1 413 ")
        writer.close()
        await writer.wait_closed()
        listening.close()

    run(check())


def test_connections_share_nothing(run: Run) -> None:
    async def check() -> None:
        listening = await begin(FREE)
        first, second = await connect(listening.addresses[0]), await connect(listening.addresses[0])
        whole = b"POST /v1/%b HTTP/1.1\r\nHost: v\r\nContent-Length: 6\r\n\r\n%b"
        one, two = whole % (b"one", b"1" * 6), whole % (b"two", b"2" * 6)
        for at in range(0, len(one), 5):
            first[1].write(one[at:at + 5])
            second[1].write(two[at:at + 5])
            await asyncio.sleep(0)
        assert (await first[0].read(65_536)).endswith(b"POST one 111111")
        assert (await second[0].read(65_536)).endswith(b"POST two 222222")
        for _, writer in (first, second):
            writer.close()
            await writer.wait_closed()
        await listening.drain(5.0)

    run(check())
