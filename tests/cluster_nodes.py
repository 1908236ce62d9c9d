"""Clusters of real nodes for tests, demo and benchmarks: each as an operator would start it, on ports of loopback or in network namespaces.

Every node is a `tests.node.Node` with storage "raft": its certificate comes from one authority, its configuration names the others in
`retry_join`. Whatever a test does to them, `Cluster.end` leaves no process; and if the test's own process is killed, the kernel ends them.
"""
from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from tests.authority import Authority
from tests.client import Answer, Client
from tests.links import Namespaces, Proxy
from tests.node import STATIC, TCP, UNIX, Node, free_port
from tests.processes import POLL_S, wait_until

JOINS_WITHIN_S = 60.0
CHANGES_WITHIN_S = 60.0
ACTIVE, STANDBY, PERFORMANCE_STANDBY, SEALED, UNINITIALISED, REMOVED = 200, 429, 473, 503, 501, 530
"""What sys/health answers, without parameters."""
SERVES = "sys/health?standbyok=true&perfstandbyok=true"
USUAL = ("disable_mlock", "enable_response_header_raft_node_id")
CALM = {"stanza": "  performance_multiplier = 8\n"}
"""Nodes that bear with an active node that is late by seconds, as on a machine that others use: for tests that are not about elections, and
could not tell one that the machine has caused from one that they have found."""
RETRY_JOIN = """
  retry_join {{
    leader_api_addr     = "{address}"
    leader_ca_cert_file = "{ca}"
  }}
"""
RAFT = """
storage "raft" {{
  path    = "{path}"
  node_id = "{name}"
{joins}
}}
"""


class Member(Node):
    """One node of a cluster. `name`: its node_id; `joins`: the API addresses that it asks to let it in."""

    def __init__(self, folder: Path, name: str, authority: Authority, *, host: str = "127.0.0.1", data: Path | None = None,
                 **options: Any) -> None:
        self.name, self.authority, self._host = name, authority, host
        self.joins: list[str] = []
        self.cluster_port = free_port()
        self.proxy: Proxy | None = None              # what the others reach it by, where there is one
        self.options = options.pop("stanza", "")     # further lines of the stanza of storage
        self.paused: list[int] = []
        self._data_at = data
        super().__init__(folder, storage="raft", **options)
        self.data.mkdir(exist_ok=True)

    @property
    def host(self) -> str:
        return self._host

    @property
    def ca(self) -> Path:
        return self.authority.ca

    @property
    def cluster_address(self) -> str:
        """As the others reach it."""
        return self.proxy.address if self.proxy is not None else f"{self.host}:{self.cluster_port}"

    @property
    def storage_stanza(self) -> str:
        joins = "".join(RETRY_JOIN.format(address=address, ca=self.ca) for address in self.joins)
        return RAFT.format(path=self.data, name=self.name, joins=joins + self.options)

    def make_certificate(self) -> None:
        self.authority.issue(self.certificate, self.key, "localhost", "127.0.0.1", self.host)

    def write_config(self) -> None:
        if self._data_at is not None:
            self.data = self._data_at
        tcp = TCP.format(host=self.host, port=self.port, certificate=self.certificate, key=self.key,
                         more=f'cluster_address = "{self.host}:{self.cluster_port}"\n  {self.listener}')
        self.config.write_text(
            self.storage_stanza + tcp + UNIX.format(path=self.unix, more="") + (STATIC if self.static else "")
            + f'api_addr = "{self.address}"\ncluster_addr = "https://{self.cluster_address}"\nread_workers = {self.workers}\n'
            + "".join(f"{name} = true\n" for name in USUAL if name not in self.more) + self.more + "\n")

    def health(self, *, main: bool = True) -> int:
        """The status of sys/health; 0: it does not answer."""
        return _asked(self.connect_unix if main else self.connect, "sys/health").status

    @property
    def is_active(self) -> bool:
        return self.process is not None and not self.paused and self.health() == ACTIVE

    def wait_unsealed(self) -> None:
        """Every process of it serves, whichever part the node has."""
        for connect in (self.connect, self.connect_unix):
            wait_until(lambda connect=connect: _asked(connect, SERVES).status == 200, f"{self.name} serves", JOINS_WITHIN_S)  # type: ignore[misc]

    def wait_health(self, *statuses: int, within_s: float = CHANGES_WITHIN_S) -> None:
        """All its processes say one of these."""
        for main in (True, False):
            wait_until(lambda main=main: self.health(main=main) in statuses, f"{self.name} is {statuses}", within_s)  # type: ignore[misc]

    def unseal(self) -> None:
        """By shares, as soon as it knows how many it needs: a node that joins learns that from the cluster."""
        self.wait_seal_known()
        for share in self.shares:
            if not self.client("").post("sys/unseal", {"key": share}).ok().json["sealed"]:
                break
        self.wait_unsealed()

    def wait_seal_known(self) -> None:
        """It knows how many shares it needs."""
        wait_until(lambda: self._seal_status().get("t"), f"{self.name} knows its seal", JOINS_WITHIN_S)

    def _seal_status(self) -> dict[str, Any]:
        answer = _asked(self.connect_unix, "sys/seal-status")
        found: dict[str, Any] = answer.json if answer.status == 200 else {}
        return found

    def pause(self, *, workers: bool = True) -> None:
        """SIGSTOP, the workers first: nothing of the node runs."""
        self.paused = [*(self.worker_pids() if workers else ()), self.pid]
        for pid in self.paused:
            os.kill(pid, signal.SIGSTOP)

    def resume(self) -> None:
        paused, self.paused = self.paused, []
        for pid in reversed(paused):
            os.kill(pid, signal.SIGCONT)

    def kill(self) -> None:
        self.paused = []
        super().kill()

    def end(self) -> None:
        self.resume()
        super().end()

    def wipe(self) -> None:
        """As a new machine of the same name would have it: nothing of its data is left."""
        assert self.process is None
        for each in self.data.iterdir():
            shutil.rmtree(each) if each.is_dir() and not each.is_symlink() else each.unlink()


class Cluster:
    """`size` nodes, n0 first; `proxied`: the others reach each node's cluster port through a proxy of its own.

    `networks`: each node in a namespace. `data`: where each node has its data, by number, if not below `folder`. `static`: nodes unseal
    themselves, otherwise by shares, of which `threshold` are given. `outlives`: the nodes may go on without this process. The rest are
    options of a node.
    """

    def __init__(self, folder: Path, size: int = 3, *, static: bool = True, networks: Namespaces | None = None, proxied: bool = False,
                 data: Mapping[int, Path] | None = None, shares: int = 1, threshold: int = 1, **options: Any) -> None:
        self.folder, self.static, self.networks, self._options = folder, static, networks, options
        self.shares, self.threshold, self._proxied, self._data = shares, threshold, proxied, data or {}
        self.authority = Authority(folder)
        self.members: list[Member] = []
        self._made = 0                               # members ever: a name is not given twice
        self.root_token = ""
        for _ in range(size):
            self.new_member()

    def new_member(self, **options: Any) -> Member:
        """One more, configured to join those that there are; not started."""
        number, self._made = self._made, self._made + 1
        if self.networks is not None:
            options = {"host": self.networks.hosts[number], "command": self.networks.command(number), **options}
        member = Member(self.folder / f"n{number}", f"n{number}", self.authority, static=self.static, data=self._data.get(number),
                        **{**self._options, **options})
        if self._proxied:
            member.proxy = Proxy(free_port(), (member.host, member.cluster_port))
        member.joins = [each.address for each in self.members]
        if self.members:
            member.root_token, member.shares = self.root_token, self.members[0].shares
        member.write_config()
        self.members.append(member)
        return member

    def __getitem__(self, number: int) -> Member:
        return self.members[number]

    def begin(self) -> Cluster:
        """Starts all, initialises the first one, unseals each, and waits until one is active and each other is a performance standby."""
        first, *others = self.members
        for member in self.members:
            member.launch()
        for member in self.members:
            member.wait_answering()
        first.initialise(self.shares, self.threshold)
        self.root_token = first.root_token
        if not self.static:
            first.unseal()
        first.wait_health(ACTIVE)
        for member in others:
            member.root_token, member.shares = first.root_token, first.shares
        for member in others:
            if not self.static:
                member.unseal()
        active = self.wait_whole(within_s=JOINS_WITHIN_S)
        self._wait_votes(active)
        return self

    def _wait_votes(self, active: Member) -> None:
        """A node that has just joined only learns for a moment: without its vote, the death of another one may leave no majority."""
        client = active.client(self.root_token)
        deadline = time.monotonic() + JOINS_WITHIN_S
        while True:
            servers = client.get("sys/storage/raft/configuration").ok().data["config"]["servers"]
            if len(servers) == len(self.members) and all(server["voter"] for server in servers):
                return
            assert time.monotonic() < deadline, f"no vote for all within {JOINS_WITHIN_S} s: {servers}"
            time.sleep(POLL_S)

    @property
    def running(self) -> list[Member]:
        """Those with a process that nobody has paused."""
        return [member for member in self.members if member.process is not None and not member.paused]

    @property
    def active(self) -> Member:
        """Who says that it is, waited for."""
        return self.wait_active()

    @property
    def standbys(self) -> list[Member]:
        active = self.active
        return [member for member in self.running if member is not active]

    def wait_active(self, *, other_than: Member | None = None, within_s: float = CHANGES_WITHIN_S) -> Member:
        """Until exactly one of the running nodes says so, and it is not that one."""
        deadline = time.monotonic() + within_s
        while True:
            found = [member for member in self.running if member.is_active]
            if len(found) == 1 and found[0] is not other_than:
                return found[0]
            assert time.monotonic() < deadline, f"{len(found)} active after {within_s} s: {self.states()}\n{self.tails}"
            time.sleep(POLL_S)

    def wait_whole(self, members: Sequence[Member] | None = None, within_s: float = CHANGES_WITHIN_S) -> Member:
        """Until of these nodes, or all that run, one is active and the others performance standbys, in all processes; gives the active."""
        members = members or self.running
        deadline = time.monotonic() + within_s
        while True:
            found = [(member, {member.health(main=main) for main in (True, False)}) for member in members]
            active = [member for member, states in found if states == {ACTIVE}]
            if len(active) == 1 and all(states == {PERFORMANCE_STANDBY} for member, states in found if member is not active[0]):
                return active[0]
            assert time.monotonic() < deadline, f"not whole within {within_s} s: {self.states()}\n{self.tails}"
            time.sleep(POLL_S)

    def lead(self, member: Member) -> None:
        """This one of three is active: whoever is gives up while nobody else is there."""
        active = self.wait_whole()
        if active is member:
            return
        third = next(each for each in self.members if each not in (active, member))
        third.stop()
        active.main().post("sys/step-down").ok()
        assert self.wait_active(other_than=active) is member, self.states()
        self.restart(third)
        assert self.wait_whole() is member, self.states()

    def states(self) -> dict[str, int]:
        """What sys/health of each main process says."""
        return {member.name: member.health() if member in self.running else 0 for member in self.members}

    @property
    def tails(self) -> str:
        return "\n".join(f"--- {member.name}\n{member.tail}" for member in self.members)

    def restart(self, member: Member) -> None:
        """It is up and serves again; by its shares, where the seal wants them."""
        member.start()
        if not self.static:
            member.unseal()
        member.wait_unsealed()

    def kill_all(self) -> None:
        """All at the same instant, as when the power fails."""
        for member in self.running:
            assert member.process is not None
            member.process.kill()
        for member in self.members:
            if member.process is not None:
                member.wait_ended()

    def end(self) -> None:
        """Nothing of it is left, however the test has ended."""
        errors: list[BaseException] = []
        for member in self.members:
            member.resume()
            if member.process is not None and member.process.poll() is None:
                member.process.terminate()           # all at once: none waits for another one's hand-over
        for member in self.members:
            try:
                member.end()
            except (AssertionError, OSError) as error:
                errors.append(error)
            if member.proxy is not None:
                member.proxy.close()
        if errors:
            raise errors[0]

    def raft_members(self, at: Member | None = None) -> dict[str, tuple[bool, bool]]:
        """By name: is it the leader, may it vote."""
        answer = (at or self.active).main().get("sys/storage/raft/configuration").ok()
        return {each["node_id"]: (each["leader"], each["voter"]) for each in answer.data["config"]["servers"]}


@contextmanager
def cluster(size: int = 3, **options: Any) -> Iterator[Cluster]:
    """In a folder of its own, not begun; both go at the end."""
    folder = Path(mkdtemp(prefix="hf-"))
    found = Cluster(folder, size, **options)
    try:
        yield found
    finally:
        try:
            found.end()
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _asked(connect: Callable[[], Any], path: str) -> Answer:
    """Status 0: nobody answers."""
    client = Client(connect)
    try:
        return client.get(path)
    except OSError:
        return Answer(0, (), b"")
    finally:
        client.close()
