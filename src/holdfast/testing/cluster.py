"""Whole nodes in one process: what `node/server.py` and its workers put together, without sockets, processes and a real disk.

Of a node everything that decides is the real thing: main, lane, commit, clustering, `ha`, raft, workers' attempts. Its own here: the
replica in memory, which outlives a process but not the machine, the disk, the port, and the words.
"""
import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from random import Random

import msgspec

from holdfast.core import envelope
from holdfast.core.access import Access
from holdfast.core.audit_device import Device
from holdfast.core.mounts import Defaults
from holdfast.crypto import Keyring, NewCluster, Secret, StaticKey, StaticSeal, new_auto_cluster
from holdfast.engine import Client, Effect, Inconsistent, Memo, Method, NodeFacts, Place, Reply, Request, Rng
from holdfast.errors import BadRequest, HoldfastError
from holdfast.ha.gate import Word
from holdfast.ha.machine import Machine as HaMachine
from holdfast.ha.rules import RULES, Rules
from holdfast.ha.settings import Consistency
from holdfast.ha.settings import Settings as HaSettings
from holdfast.ids import Millis, NodeId, RequestId
from holdfast.limits import JOIN_CALL_S
from holdfast.node.api_client import ApiError, Target
from holdfast.node.attempts import Attempts
from holdfast.node.cluster import PORT_BOUNDS, Clustering, ClusterSettings
from holdfast.node.commit import Promise
from holdfast.node.effects import Effects
from holdfast.node.join import Admitting, Joiner
from holdfast.node.main import Main
from holdfast.node.measuring import RequestMetrics
from holdfast.node.message import Begin, Chunk, Done, FromWorker, Submit
from holdfast.node.registry import ENGINES
from holdfast.node.serving import Served
from holdfast.node.unsealing import Unsealing
from holdfast.node.worker import Worker
from holdfast.replica import Why
from holdfast.replica.recovery import catch_up
from holdfast.storage.incarnation import next_incarnation
from holdfast.storage.raft import TIMING, RaftLog, Sizes, Timing
from holdfast.system import build
from holdfast.telemetry.log import Format, Level, Logs
from holdfast.telemetry.metrics import Metrics
from holdfast.testing.disk import FakeDisk
from holdfast.testing.history import Trace
from holdfast.testing.loop import SimLoop, SimulationError, Threads
from holdfast.testing.network import SimPort
from holdfast.testing.process import Process
from holdfast.testing.restores import Restores, SimReplica, SimSnapshots
from holdfast.testing.world import MAIN, Host, World

FOLDER = Path("/raft")
SMALL = Sizes(segment=262_144, reserve=4_096, checkpoint_after=1_048_576, window=262_144)
SEAL = StaticSeal(StaticKey("sim", Secret(bytes(range(32)))))
WINDOW, VERSIONS = 256, 8                            # of the replica: past the window happens, too
TEND_EVERY_S = 1.0
CHANNEL_S = (0.000_01, 0.000_06)                     # between a worker and its main process
Serve = Callable[[Request], Reply | Awaitable[Served]]


class MemoryWords:
    """Words that the processes of one node share. Those of an earlier main process are other ones."""

    def __init__(self, cluster: "Cluster") -> None:
        self._values, self._cluster = [0] * len(Word), cluster

    def load(self, word: int) -> int:
        return self._values[word]

    def store(self, word: int, value: int) -> None:
        if self._values[word] != value:
            self._values[word] = value
            self._cluster.has_news = True


class NoDevices:
    """No audit device is enabled."""

    def write(self, lines: Sequence[tuple[Device, bytes]]) -> None:
        raise SimulationError("there are no audit devices")


class Node:
    """One life of a main process, and its workers."""

    def __init__(self, host: "NodeHost", process: Process, main: Main, clustering: Clustering, log: RaftLog, words: MemoryWords,
                 workers: "SimWorkers") -> None:
        self.host, self.process, self.main, self.clustering, self.log, self.words = host, process, main, clustering, log, words
        self.workers = workers


class NodeHost(Host):
    """`serving`: by process, where requests go in. `words` of every process that may still read, by its name."""

    def __init__(self, loop: SimLoop, name: str, dice: Random, restores: Restores) -> None:
        super().__init__(loop, name, dice)
        self.replica = SimReplica(restores, WINDOW, VERSIONS)
        self.node: Node | None = None
        self.serving: dict[str, tuple[Process, Serve]] = {}
        self.readers: list[tuple[Process, MemoryWords]] = []
        self.raft_id = 0

    @property
    def address(self) -> str:
        return f"{self.name}:8201"


class SimWorkers:
    """`node.main.Workers`: the workers of one main process, each a process of the simulation. What goes between them takes a moment."""

    def __init__(self, cluster: "Cluster", host: NodeHost, process: Process, words: MemoryWords) -> None:
        self._cluster, self._host, self._process, self._words = cluster, host, process, words
        self._all: list[SimWorker] = []
        self._facts = NodeFacts()
        self.keyring: Keyring | None = None
        self.submit: Callable[[Request, Place, Why, Memo, Promise], None]

    def start(self, count: int, access: Access) -> None:
        for number in range(1, count + 1):
            name = f"worker-{number}"
            process = self._cluster.loop.process(self._host.machine, f"{self._host.name}/{name}")
            self._host.processes[name] = process
            worker = SimWorker(self, self._cluster, self._host, process, self._words, access)
            self._all.append(worker)
            self._host.serving[name] = process, worker.serve
            self._host.readers.append((process, self._words))
        self.publish(self._facts)
        self.give_keys(self.keyring)

    def publish(self, facts: NodeFacts) -> None:
        self._facts = facts
        self._cluster.has_news = True
        for worker in self._all:
            self.tell(worker.process, worker.use_facts, facts)

    def give_keys(self, keyring: Keyring | None) -> None:
        self.keyring = keyring
        for worker in self._all:
            self.tell(worker.process, worker.use_keys, keyring)

    def tell(self, process: Process, take: Callable[..., None], *what: object) -> None:
        """To the other side of the socket; in order."""
        loop = self._cluster.loop
        at = max(process.heard_at + 1e-9, loop.now + process.random.uniform(*CHANNEL_S))
        process.heard_at = at
        loop.at(at, take, *what, context=process.enter())

    def received(self, worker: "SimWorker", message: FromWorker) -> None:
        """In main."""
        assert isinstance(message, Submit), message
        found: asyncio.Future[Served] = self._cluster.loop.create_future()
        found.add_done_callback(lambda done: self._answer(worker, message.number, done))
        self.submit(message.request, message.to, message.why, message.memo, found)

    def send(self, worker: "SimWorker", message: FromWorker) -> None:
        """From a worker."""
        if self._process.is_alive:
            self.tell(self._process, self.received, worker, message)

    def _answer(self, worker: "SimWorker", number: int, done: "asyncio.Future[Served]") -> None:
        try:
            served = done.result()
        except HoldfastError as error:
            served = envelope.failed(error)
        assert isinstance(served, Reply), "streams are not asked for"
        self.tell(worker.process, worker.received, Done(number=number, reply=served))


class SimWorker:
    """One worker process."""

    def __init__(self, pool: SimWorkers, cluster: "Cluster", host: NodeHost, process: Process, words: MemoryWords, access: Access) -> None:
        self.process = process
        self._attempts = Attempts(access, host.replica, words, host.machine, Place.WORKER, lambda: process.random.randbytes(32))
        self._worker = Worker(self._attempts, NoDevices(), RequestMetrics(Metrics(process.name)), lambda message: pool.send(self, message),
                              lambda: None)
        self.serve = self._worker.serve
        self._worker_received = self._worker.received

    def use_facts(self, facts: NodeFacts) -> None:
        self._attempts.facts = facts

    def use_keys(self, keyring: Keyring | None) -> None:
        self._attempts.use_keys(keyring)

    def received(self, message: Done | Begin | Chunk) -> None:
        self._worker_received(message)


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """`rules` and `timing` are for those who break them on purpose."""

    nodes: int = 3
    workers: int = 1
    rules: Rules = RULES
    timing: Timing = TIMING
    consistency: Consistency = Consistency.STRONG
    log_level: Level = Level.OFF


class Cluster(World):
    """Nodes of one cluster. `begin_all` makes it; then `root` is a root token."""

    hosts: dict[str, NodeHost]                       # type: ignore[assignment]

    def __init__(self, loop: SimLoop, options: Options, trace: Trace, *, log_of: Callable[..., RaftLog] = RaftLog) -> None:
        self.restores = Restores()
        super().__init__(loop, tuple(f"n{number}" for number in range(1, options.nodes + 1)), trace)
        self.options, self._log_of = options, log_of
        self.root: Secret | None = None
        self._requests = 0
        self.has_news = False                        # a word, or a node's facts, have changed
        self.access = Access(ENGINES, build, Defaults(), lambda kind, options: "")
        self.logs = Logs(level=options.log_level, format=Format.STANDARD, sinks=(_ToTrace(self),), clock=lambda: 0.0)

    def new_host(self, name: str) -> NodeHost:
        return NodeHost(self.loop, name, self.dice, self.restores)

    def launch(self, host: Host) -> None:
        assert isinstance(host, NodeHost)
        host.node = None
        host.serving.clear()
        self.begin(host, MAIN, lambda process: self._run(host, process))

    def lost_power(self, host: Host) -> None:
        assert isinstance(host, NodeHost)
        host.replica = SimReplica(self.restores, WINDOW, VERSIONS)
        host.readers.clear()

    def replace_disk(self, host: NodeHost) -> None:
        """The machine gets an empty one, and forgets what its processes had; they are dead. Half of the time it is another machine, whose
        wall clock is behind."""
        host.disk = FakeDisk(self.dice.getrandbits(32))
        host.disk.make_folder(FOLDER)
        host.raft_id = 0
        if self.dice.random() < 0.5:
            host.machine.jump(-self.dice.uniform(0.0, 3_000.0))
        self.lost_power(host)

    @property
    def active(self) -> Node | None:
        """A node that runs the lane, and is up."""
        for host in self.hosts.values():
            if host.node is not None and host.is_up and host.node.main.is_active:
                return host.node
        return None

    def request(self, method: Method, path: str, body: object = None, *, token: Secret | None = None,
                query: Mapping[str, str] = {}, states: tuple[str, ...] = (), inconsistent: Inconsistent = Inconsistent.FAIL,
                upload: bool = False) -> Request:
        self._requests += 1
        return Request(id=RequestId(f"r{self._requests}"), method=method, path=path, query=query, token=token or self.root,
                       body=b"" if body is None else msgspec.json.encode(body), content_type="application/json",
                       client=Client(address="127.0.0.1"), states=states, inconsistent=inconsistent, upload=upload)

    def ask(self, process: Process, serve: Serve, request: Request, answered: Callable[[Served], None]) -> None:
        """A request, now, in that process; `answered` is called there as well, if it comes to that."""
        self.loop.call_soon(_ask, serve, request, answered, context=process.enter())

    # A node

    async def _run(self, host: NodeHost, process: Process) -> None:
        """What `Server.start` does."""
        loop, machine, options, draw = self.loop, host.machine, self.options, process.random.randbytes
        logger = self.logs.logger(host.name)
        log = self._log_of(FOLDER, NodeId(host.name), disk=host.disk, boot_ms=machine.boot_ms, draw=draw, timing=options.timing,
                           sizes=SMALL, appender=Threads(loop, 1), maker=Threads(loop, 2))
        host.raft_id = log.raft_id
        replica = host.replica
        log.note_applied(replica.index)
        await catch_up(replica, log)
        log.note_applied(replica.index)
        words = MemoryWords(self)
        workers = SimWorkers(self, host, process, words)
        facts = NodeFacts(hostname=host.name, active_api_address=f"https://{host.name}:8200", active_cluster_address=host.address,
                          seal_type="static", recovery_seal=True, storage_type="raft", ha_enabled=True, allow_forwarding_via_header=True,
                          may_lag=options.consistency is Consistency.SESSION)

        def perform(effect: Effect) -> Awaitable[Served]:
            return effects.perform(effect)

        main = Main(self.access, log, replica, words, machine, NoDevices(), workers, Unsealing(SEAL, lambda: draw(16).hex()), facts,
                    draw, perform, RequestMetrics(Metrics(process.name)), logger)
        effects = Effects(main, SEAL, reload=_nothing, metrics=_no_metrics, monitor=_no_lines)
        own = ClusterSettings(node=NodeId(host.name), hostname=host.name, api_address=f"https://{host.name}:8200",
                              cluster_address=host.address, listen_address=host.address,
                              is_strict=options.consistency is Consistency.STRICT)

        def new_machine(incarnation: int) -> HaMachine:
            return HaMachine(HaSettings(node=own.node, incarnation=incarnation, consistency=options.consistency, rules=options.rules))

        clustering = Clustering(
            main, log, replica, own, draw=draw, new_incarnation=partial(next_incarnation, host.disk, FOLDER),
            new_port=lambda introduce: SimPort(self.network, process, introduce, bounds=PORT_BOUNDS), new_machine=new_machine,
            logger=logger)
        main.cluster = clustering
        joiner = effects.joiner = main.joiner = Joiner(main, clustering, log, node=own.node, cluster_address=own.cluster_address, auto=SEAL,
                                                       call=partial(self._call, process), logger=logger)
        effects.raft_status = lambda: log.status
        effects.admitting = Admitting(main.attempts, log, SEAL, draw, main.cluster_now, main.clock.boot_ms, main.submit_own,
                                       clustering.gives_way, logger)
        effects.snapshots = SimSnapshots(self.restores, replica, lambda: workers.keyring, lambda: main.facts, clustering.put_back,
                                         lambda: loop.now)
        workers.submit = main.submit
        node = host.node = Node(host, process, main, clustering, log, words, workers)
        main.begin()
        workers.start(options.workers, self.access)
        host.serving[MAIN] = process, main.serve
        host.readers.append((process, words))
        if main.facts.initialized:
            with contextlib.suppress(BadRequest):        # it was removed: it says so, and waits for an empty folder
                await main.unseal_itself()
        elif self.root is None and host.name == "n1":
            await self._initialise(node)
        else:
            others = tuple(Target(address=f"https://{name}:8200") for name in self.hosts if name != host.name)
            joiner.keep_trying(others, non_voter=False)
        while True:
            await asyncio.sleep(TEND_EVERY_S)
            if log.needs_checkpoint:
                await log.checkpoint(replica.copy())

    async def _initialise(self, node: Node) -> None:
        def new(rng: Rng, now_ms: Millis) -> NewCluster:
            return new_auto_cluster(SEAL, shares=1, threshold=1, draw=rng.bytes, now_ms=now_ms)

        _, self.root = await node.main.initialise(new)
        await node.main.unseal_itself()

    async def _call(self, caller: Process, target: Target, path: str, body: bytes) -> bytes:
        """What `api_client.post` does: a call to another node's API, over the same network."""
        here, there = caller.machine.name, target.address.removeprefix("https://").partition(":")[0]
        host, network, loop = self.hosts[there], self.network, self.loop
        await asyncio.sleep(network.delay(here, there))
        found = host.serving.get(MAIN)
        if found is None or not found[0].is_alive or not network.is_open(here, there):
            raise OSError(111, "connection refused")
        answer: asyncio.Future[Served] = loop.create_future()

        def answered(served: Served) -> None:
            if network.is_open(there, here):
                loop.at(loop.now + network.delay(there, here), _resolve, answer, served, context=caller.enter())

        request = Request(id=RequestId(f"join-{here}"), method=Method.POST, path=path, body=body, content_type="application/json",
                          client=Client(address="127.0.0.1"))
        self.ask(*found, request, answered)
        try:
            async with asyncio.timeout(JOIN_CALL_S):
                served = await answer
        except TimeoutError as error:
            raise OSError(110, "timed out") from error
        assert isinstance(served, Reply)
        if served.status != 200:
            raise ApiError(f"{target.address}: {served.status} {served.body.decode()}")
        return served.body


def _resolve(answer: "asyncio.Future[Served]", served: Served) -> None:
    if not answer.done():
        answer.set_result(served)


class _ToTrace:
    """A log's lines, in the trace."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def write(self, line: bytes) -> bool:
        self._cluster.note(line.decode().rstrip())
        return True

    def close(self) -> None:
        return


def _ask(serve: Serve, request: Request, answered: Callable[[Served], None]) -> None:
    served = serve(request)
    if isinstance(served, Reply):
        answered(served)
        return
    task = asyncio.ensure_future(served)
    if isinstance(task, asyncio.Task):
        task.set_name(f"{task.get_name()} {request.id} {request.method.value} {request.path}")
    task.add_done_callback(lambda done: None if done.cancelled() else answered(done.result()))


async def _nothing() -> None:
    return


async def _no_metrics(prometheus: bool) -> Reply:
    return Reply(status=200, body=b"{}")


async def _no_lines(level: str, as_json: bool) -> AsyncIterator[bytes]:
    yield b""
