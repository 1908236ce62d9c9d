"""A process with a port that sends back what it gets: `python -m tests.unit.cluster.serving NAME ADDRESS`. Prints its address."""
import asyncio
import os
import signal
import subprocess
import sys

import uvloop
from tests.unit.cluster.nodes import BOUNDS, MEMBERS, Inbox

from holdfast.cluster import Alpn, Hello, Link, TlsPort
from holdfast.ids import NodeId
from holdfast.telemetry.log import Format, Level, Logs


class _Echo(Inbox):
    def __init__(self, link: Link) -> None:
        super().__init__()
        self._link = link

    def received(self, kind: int, body: bytes) -> None:
        self._link.send(kind, body)


async def main(name: str, address: str) -> None:
    logs = Logs(level=Level.OFF, format=Format.STANDARD, sinks=())
    hello = Hello(node=NodeId(name), incarnation=os.getpid(), cluster="c1")
    port = TlsPort(lambda: hello, bounds=BOUNDS, log=logs.logger("cluster"))
    port.offer(Alpn.RAFT, MEMBERS, _Echo)
    asked = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked.set)
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, _spawn)
    print(await port.listen(address), flush=True)
    await asked.wait()
    await port.close()


def _spawn() -> None:
    """A process that inherits whatever is not kept from it, and outlives this one; it ends with the pipe of its input."""
    child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], close_fds=False)
    print(child.pid, flush=True)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], sys.argv[2]))
