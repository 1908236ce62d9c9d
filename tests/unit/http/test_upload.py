"""Bodies that are files: on the disk while they come in, bounded, and gone afterwards."""
import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop
from msgspec.structs import replace
from tests.unit.http.wire import PLAIN, new_ids

from holdfast.engine import Reply, Request
from holdfast.http import Admission, Listening, Uploads, listen
from holdfast.http.upload import prepare
from holdfast.limits import UPLOAD_PIECE_BYTES

PATH = b"/v1/sys/storage/raft/snapshot"
HEAD = b"POST %b HTTP/1.1\r\nHost: vault\r\n" % PATH
CONTENT = os.urandom(1 << 16) * 80                       # five pieces
ORDINARY = 1_000
BEFORE_ITS_END = HEAD + b"Content-Length: %d\r\n\r\n" % len(CONTENT)


class Node:
    """`seen`: what the handler found, by name of file and content; it answers when `answers` is done."""

    def __init__(self, folder: Path, admission: Admission) -> None:
        self.folder, self.admission, self.asked = prepare(folder), admission, 0
        self.seen: list[bytes | None] = []
        self.modes: list[int] = []
        self.answers = asyncio.Event()
        self.answers.set()
        self.listening: Listening

    async def begin(self) -> None:
        self.listening = await listen(replace(PLAIN, address="127.0.0.1:0", max_request_size_bytes=ORDINARY), self._serve, tls=None,
                                      reuse_port=False, new_request_id=new_ids(), uploads=Uploads(self.folder, self._admit))

    def _admit(self, request: Request) -> Admission:
        assert request.upload
        self.asked += 1
        return self.admission

    def _serve(self, request: Request) -> Awaitable[Reply]:
        return self._answer(request)

    async def _answer(self, request: Request) -> Reply:
        file = self.folder / request.id
        if request.upload and file.exists():
            self.modes.append(file.stat().st_mode & 0o777)
            await self.answers.wait()
            self.seen.append(file.read_bytes())
        else:
            self.seen.append(None)
        return Reply(status=204)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, _, port = self.listening.addresses[0].rpartition(":")
        return await asyncio.open_connection(host, int(port))

    async def ask(self, data: bytes, *rest: bytes) -> bytes:
        """The head of the answer, up to which nothing of `rest` is sent."""
        reader, writer = await self.connect()
        writer.write(data)
        found = b""
        for more in rest:
            found += await reader.readuntil(b"\r\n\r\n")
            writer.write(more)
        found += await reader.readuntil(b"\r\n\r\n")
        writer.close()
        return found

    @property
    def files(self) -> list[str]:
        return os.listdir(self.folder)


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., None]:
    def check(test: Callable[[Node], Awaitable[None]], admission: Admission = Admission.ALLOWED) -> None:
        async def with_node() -> None:
            node = Node(tmp_path, admission)
            await node.begin()
            try:
                async with asyncio.timeout(20):
                    await test(node)
            finally:
                node.listening.close()

        request.param(with_node())

    return check


async def until(holds: Callable[[], bool]) -> None:
    while not holds():                                   # noqa: ASYNC110 -- of a disk: nothing tells of it
        await asyncio.sleep(0.01)


def chunked(content: bytes, size: int) -> bytes:
    pieces = [content[at:at + size] for at in range(0, len(content), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def test_it_is_in_its_file_while_it_is_answered_and_gone_then(run: Callable[..., None]) -> None:
    async def test(node: Node) -> None:
        assert b" 204 " in await node.ask(BEFORE_ITS_END + CONTENT)
        assert b" 204 " in await node.ask(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(CONTENT, 1_500))
        continued = await node.ask(HEAD + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(CONTENT), CONTENT)
        assert continued.startswith(b"HTTP/1.1 100 ")
        assert b" 204 " in continued
        assert node.seen == [CONTENT] * 3
        assert node.modes == [0o600] * 3
        await until(lambda: not node.files)

    run(test)


def test_one_connection_goes_on_after_it(run: Callable[..., None]) -> None:
    async def test(node: Node) -> None:
        found = await node.ask((BEFORE_ITS_END + CONTENT) * 2, b"")
        assert found.count(b" 204 ") == 2
        assert node.seen == [CONTENT] * 2

    run(test)


def test_little_of_it_is_in_memory(run: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    most = 0

    async def test(node: Node) -> None:
        nonlocal most
        place: Any = node.listening._place
        reader, writer = await node.connect()
        writer.write(BEFORE_ITS_END)
        for at in range(0, len(CONTENT), 1 << 16):
            writer.write(CONTENT[at:at + (1 << 16)])
            await writer.drain()
            if not at:
                await until(lambda: place.unfinished_bytes > 0)
            most = max(most, place.unfinished_bytes)
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    run(test)
    assert 0 < most < 2 * UPLOAD_PIECE_BYTES


@pytest.mark.parametrize("begun", [False, True])
def test_a_client_that_leaves_before_the_end_leaves_nothing(run: Callable[..., None], begun: bool) -> None:
    async def test(node: Node) -> None:
        _, writer = await node.connect()
        writer.write(BEFORE_ITS_END + CONTENT[:-1 if begun else 10])
        await writer.drain()
        await until(lambda: bool(node.files) if begun else node.asked == 1)
        writer.transport.abort()
        place: Any = node.listening._place
        await until(lambda: not place._connections and not place._tasks)
        assert node.files == []
        assert node.seen == []

    run(test)


def test_a_client_that_leaves_while_it_is_answered_changes_nothing(run: Callable[..., None]) -> None:
    async def test(node: Node) -> None:
        node.answers.clear()
        _, writer = await node.connect()
        writer.write(BEFORE_ITS_END + CONTENT)
        await until(lambda: bool(node.modes))
        writer.transport.abort()
        place: Any = node.listening._place
        await until(lambda: not any(each._reads_on for each in place._connections))
        node.answers.set()
        await until(lambda: not node.files)
        assert node.seen == [CONTENT]

    run(test)


@pytest.mark.parametrize("head", [BEFORE_ITS_END, HEAD + b"Transfer-Encoding: chunked\r\n\r\n",
                                  HEAD + b"Expect: 100-continue\r\nContent-Length: 7\r\n\r\n"])
def test_what_is_answered_without_it_is_answered_before_it(run: Callable[..., None], head: bytes) -> None:
    async def test(node: Node) -> None:
        found = await node.ask(head)
        assert found.startswith(b"HTTP/1.1 204 ")
        assert b"connection: close" in found.lower()
        assert node.seen == [None]
        assert node.files == []

    run(test, Admission.ANSWERED)


def test_who_may_not_be_told_yet_sends_what_everybody_may(run: Callable[..., None]) -> None:
    async def test(node: Node) -> None:
        assert b" 204 " in await node.ask(HEAD + b"Content-Length: %d\r\n\r\n" % ORDINARY + bytes(ORDINARY))
        assert b" 413 " in await node.ask(HEAD + b"Content-Length: %d\r\n\r\n" % (ORDINARY + 1))
        assert b" 413 " in await node.ask(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(bytes(ORDINARY + 1), 100))
        await until(lambda: not node.files)
        assert node.seen == [bytes(ORDINARY)]

    run(test, Admission.OPEN)


def test_the_disk_is_the_bound(run: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.http.upload.UPLOAD_MAX_BYTES", len(CONTENT) - 1)

    async def test(node: Node) -> None:
        assert b" 413 " in await node.ask(BEFORE_ITS_END)
        assert b" 413 " in await node.ask(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(CONTENT, 1 << 16))
        await until(lambda: not node.files)

    run(test)


def test_a_disk_that_is_full_is_said(run: Callable[..., None]) -> None:
    async def test(node: Node) -> None:
        os.symlink("/dev/full", node.folder / "id-1")
        assert b" 413 " in await node.ask(BEFORE_ITS_END + CONTENT)
        await until(lambda: not node.files)

    run(test)


def test_what_a_process_left_that_was_killed_goes_at_the_next_start(tmp_path: Path) -> None:
    (prepare(tmp_path) / "left").write_bytes(b"x")
    folder = prepare(tmp_path)
    assert os.listdir(folder) == []
    assert folder.stat().st_mode & 0o777 == 0o700
