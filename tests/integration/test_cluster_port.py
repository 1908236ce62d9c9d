"""Links between real processes: what a node sees when another one dies, stops, leaves or comes back."""
import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.cluster.nodes import BOUNDS, KIND, MEMBERS, Inbox, Node, run, until

from holdfast.cluster import Alpn, LinkError, Mesh

ROOT = Path(__file__).parents[2]
NOTICED_WITHIN_S = 2.0                                   # not at all, while a child of the dead process holds its sockets


class Peer:
    """Another process with a port."""

    def __init__(self) -> None:
        self.address = ""
        self.start("127.0.0.1:0")

    def start(self, address: str) -> None:
        self.process = subprocess.Popen([sys.executable, "-m", "tests.unit.cluster.serving", "peer", address], cwd=ROOT, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT / "src")})
        self.address = self.line()

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def peer() -> Iterator[Peer]:
    made = Peer()
    yield made
    made.end()


class Watching(Inbox):
    """Of an address: its links may end many times."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: list[str] = []

    def closed(self, why: str) -> None:
        self.ends.append(why)


class Watch:
    """A node whose mesh keeps a link to the peer."""

    def __init__(self) -> None:
        self.node, self.inbox, self.resets = Node("watch"), Watching(), list[float]()
        self.mesh = Mesh(self.node.port, Alpn.RAFT, lambda: MEMBERS, bounds=BOUNDS, log=self.node.heard.log, receiver=lambda _: self.inbox,
                         on_reset=lambda _: self.resets.append(time.monotonic()))

    async def linked(self, peer: Peer) -> None:
        self.mesh.keep([peer.address])
        await until(lambda: self.mesh.is_up(peer.address))


def test_a_killed_process_is_noticed_at_once_even_if_its_children_live(peer: Peer) -> None:
    async def main() -> None:
        watch = Watch()
        await watch.linked(peer)
        os.kill(peer.process.pid, signal.SIGUSR1)
        child = int(await asyncio.to_thread(peer.line))
        killed = time.monotonic()
        peer.process.kill()
        await until(lambda: bool(watch.resets))
        assert watch.resets[0] - killed < NOTICED_WITHIN_S
        os.kill(child, 0)                            # it is alive, and holds nothing open
        assert watch.node.heard.named("cluster.peer_lost")
        watch.mesh.close()
    run(main)


def test_a_process_that_leaves_is_no_reset_and_one_that_comes_back_is_found(peer: Peer) -> None:
    async def main() -> None:
        watch = Watch()
        await watch.linked(peer)
        peer.process.terminate()
        await until(lambda: bool(watch.inbox.ends))
        assert watch.inbox.ends == ["the other side has ended the link: this node leaves the cluster port"]
        assert watch.resets == []
        await asyncio.to_thread(peer.process.communicate)
        await asyncio.to_thread(peer.start, peer.address)
        watch.mesh.poke(peer.address)
        await until(lambda: watch.mesh.is_up(peer.address))
        watch.mesh.send(peer.address, KIND, b"again")
        assert await watch.inbox.wait_for(1) == [(KIND, b"again")]
        watch.mesh.close()
    run(main)


def test_a_stopped_process_keeps_its_link_and_costs_bounded_memory(peer: Peer) -> None:
    async def main() -> None:
        watch = Watch()
        await watch.linked(peer)
        os.kill(peer.process.pid, signal.SIGSTOP)
        for n in range(500):                         # 50 MB: what does not fit is lost, the oldest first
            watch.mesh.send(peer.address, KIND, n.to_bytes(4) * 25_000)
            if n % 8 == 0:
                await asyncio.sleep(0)
        assert watch.mesh.is_up(peer.address)
        os.kill(peer.process.pid, signal.SIGCONT)
        await until(lambda: bool(watch.inbox.frames) and watch.inbox.frames[-1][1][:4] == (499).to_bytes(4))
        numbers = [int.from_bytes(body[:4]) for _, body in watch.inbox.frames]
        assert numbers == sorted(numbers)
        assert len(numbers) < 500
        assert watch.resets == []
        watch.mesh.close()
    run(main)


def test_two_nodes_with_one_id_are_told_so(peer: Peer) -> None:
    async def main() -> None:
        with pytest.raises(LinkError, match="two nodes have the id peer: give one of them another node_id"):
            await Node("peer").dial(peer.address)
    run(main)
