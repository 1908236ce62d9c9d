"""Clients of every node of a simulated cluster, open-loop: what they ask does not wait for what they were answered.

Registers are secrets of KV version 2, which numbers its writes; each write writes a value of its own. A token is a register as well: it is
alive once created, and dead once revoked. Every answer goes into the history; what was refused before anything happened does not.
"""
from base64 import b64decode
from collections import Counter
from collections.abc import Callable, Mapping, Set
from math import inf
from random import Random

import msgspec

from holdfast.crypto import Secret
from holdfast.engine import Inconsistent, Method, Reply
from holdfast.ha.settings import Consistency
from holdfast.node.serving import Served
from holdfast.testing.cluster import Cluster, NodeHost
from holdfast.testing.generations import Held
from holdfast.testing.history import Act, Operation
from holdfast.testing.linearizable import INITIAL
from holdfast.testing.loop import SimulationError
from holdfast.testing.restores import View

SESSIONS = 4
ALIVE, DEAD = "alive", "dead"


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """A second and node, on average; `keys` at once, others every `fresh_s` seconds, so that none gets long."""

    reads: float = 20.0
    writes: float = 6.0
    lookups: float = 6.0
    tokens: float = 0.5                              # created, and as many revoked
    cas: float = 0.3                                 # share of the writes
    keys: int = 4
    fresh_s: float = 15.0


class _Values(msgspec.Struct):
    v: str


class _Metadata(msgspec.Struct):
    version: int


class _Secret(msgspec.Struct):
    data: _Values | None
    metadata: _Metadata


class _Read(msgspec.Struct):
    data: _Secret


class _Written(msgspec.Struct):
    data: _Metadata


class _Auth(msgspec.Struct):
    client_token: str


class _Created(msgspec.Struct):
    auth: _Auth


_read, _written = msgspec.json.Decoder(_Read).decode, msgspec.json.Decoder(_Written).decode
_created = msgspec.json.Decoder(_Created).decode


class Asked:
    """An operation under way, and then what it was."""

    __slots__ = ("act", "client", "done", "expected", "index", "invoked", "key", "node", "returned", "value", "version")

    def __init__(self, client: int, key: str, act: Act, invoked: float, node: str, value: str | None = None) -> None:
        self.client, self.key, self.act, self.invoked, self.node, self.value = client, key, act, invoked, node, value
        self.returned = inf
        self.expected: str | None = None
        self.done: bool | None = True
        self.version: int | None = None
        self.index = 0                               # of the batch of a write; of a read, the one that it named

    def operation(self) -> Operation:
        return Operation(client=self.client, key=self.key, act=self.act, invoked=self.invoked, returned=self.returned, value=self.value,
                         expected=self.expected, done=self.done, version=self.version, node=self.node, index=self.index)


def state_of(reply: Reply) -> str:
    """X-Vault-Index of an answer; empty: it has none."""
    return next((value for name, value in reply.headers if name == "X-Vault-Index"), "")


def index_in(state: str) -> int:
    """The index that X-Vault-Index names; 0: none."""
    return int(b64decode(state).split(b":")[2]) if state else 0


def index_of(reply: Reply) -> int:
    return index_in(state_of(reply))


class Clients:
    """`statuses` counts the answers by what was asked and how it ended."""

    def __init__(self, cluster: Cluster, load: Load) -> None:
        self._cluster, self._load, self._loop = cluster, load, cluster.loop
        self._dice = Random(cluster.loop.random.getrandbits(64))
        self.registers: list[Asked] = []
        self.tokens: list[Asked] = []
        self.statuses: Counter[str] = Counter()
        self.is_over = False
        self.last_write = 0.0                        # when one was last acknowledged
        self.longest_gap_s = 0.0                     # between two acknowledged writes
        self._count = 0
        self._alive: list[tuple[str, Secret]] = []   # tokens that can be looked up
        self._versions: dict[tuple[int, str], int] = {}      # the newest that clients have seen, in each generation
        self._created: dict[str, Secret] = {}
        # Of each session the state that it was told of last; what a write is told, one of them hears. None where none needs to say so.
        self._sessions = [""] * SESSIONS if cluster.options.consistency is Consistency.SESSION else []
        self._revoking: set[str] = set()

    def start(self) -> None:
        """From now on, at every node."""
        load = self._load
        self.last_write = self._loop.now
        for host in self._cluster.hosts.values():
            for rate, act in ((load.reads, self._read), (load.writes, self._write), (load.lookups, self._look_up),
                              (load.tokens, self._create), (load.tokens, self._revoke)):
                if rate:
                    self._again(host, rate, act)

    def _again(self, host: NodeHost, rate: float, act: Callable[[NodeHost], None]) -> None:
        def now() -> None:
            if not self.is_over:
                act(host)
                self._again(host, rate, act)

        self._loop.at(self._loop.now + self._dice.expovariate(rate), now)

    def _send(self, host: NodeHost, method: Method, path: str, body: object, answered: Callable[[Reply], None], *,
              token: Secret | None = None, read: Asked | None = None) -> bool:
        """To one of the node's processes. False: nobody is there. `read`: it names a state, where sessions are what is promised."""
        open_ = [(process, serve) for process, serve in host.serving.values() if process.is_alive]
        if not open_:
            return False
        process, serve = self._dice.choice(open_)
        if read is not None and self._sessions:
            state = self._dice.choice(self._sessions)
            read.index = index_in(state)
            request = self._cluster.request(method, path, body, token=token, states=(state,) if state else (),
                                            inconsistent=self._dice.choice(tuple(Inconsistent)))
        else:
            request = self._cluster.request(method, path, body, token=token)

        def take(served: Served) -> None:
            assert isinstance(served, Reply)
            self._cluster.note(f"{host.name} {path} {served.status}")
            if self._sessions and (state := state_of(served)):
                self._sessions[self._dice.randrange(SESSIONS)] = state
            answered(served)

        self._cluster.ask(process, serve, request, take)
        return True

    def _asked(self, host: NodeHost, key: str, act: Act, value: str | None = None) -> Asked:
        self._count += 1
        return Asked(self._count, key, act, self._loop.now, host.name, value)

    def _key(self) -> str:
        load = self._load
        return f"k{self._dice.randrange(load.keys)}-{int(self._loop.now / load.fresh_s)}"

    def _read(self, host: NodeHost) -> None:
        asked = self._asked(host, self._key(), Act.READ)

        def answered(reply: Reply) -> None:
            self.statuses[f"read {reply.status}"] += 1
            if reply.status == 200:
                found = _read(reply.body).data
                asked.value, asked.version = found.data.v if found.data else None, found.metadata.version
                self._saw(asked.key, found.metadata.version)
            elif reply.status == 404:
                asked.version = 0
            else:
                return
            asked.returned = self._loop.now
            self.registers.append(asked)

        self._send(host, Method.GET, f"secret/data/{asked.key}", None, answered, read=asked)

    def _write(self, host: NodeHost) -> None:
        key = self._key()
        asked = self._asked(host, key, Act.WRITE, f"w{self._count}")
        body: dict[str, object] = {"data": {"v": asked.value}}
        if self._dice.random() < self._load.cas:
            body["options"] = {"cas": self._versions.get((len(self._cluster.restores.done), key), 0)}

        def answered(reply: Reply) -> None:
            self.statuses[f"write {reply.status}"] += 1
            if reply.status == 200:
                asked.version, asked.index = _written(reply.body).data.version, index_of(reply)
                self._saw(key, asked.version)
                asked.returned = self._loop.now
                self._acknowledged()
            elif reply.status == 400:
                asked.done, asked.returned = False, self._loop.now       # another version was there

        if self._send(host, Method.POST, f"secret/data/{key}", body, answered):
            self.registers.append(asked)

    def _saw(self, key: str, version: int) -> None:
        at = len(self._cluster.restores.done), key
        self._versions[at] = max(self._versions.get(at, 0), version)

    def _acknowledged(self) -> None:
        self.longest_gap_s = max(self.longest_gap_s, self._loop.now - self.last_write)
        self.last_write = self._loop.now

    def _create(self, host: NodeHost) -> None:
        self._count += 1
        name = f"t{self._count}"
        asked = Asked(self._count, name, Act.WRITE, self._loop.now, host.name, ALIVE)
        asked.version = 1

        def answered(reply: Reply) -> None:
            self.statuses[f"create {reply.status}"] += 1
            if reply.status == 200:
                asked.returned, asked.index = self._loop.now, index_of(reply)
                self.tokens.append(asked)
                self._created[name] = Secret(_created(reply.body).auth.client_token.encode())
                self._alive.append((name, self._created[name]))
                if len(self._alive) > 20:
                    self._alive.pop(0)

        self._send(host, Method.POST, "auth/token/create", {"policies": ["default"], "no_parent": True}, answered)

    def _look_up(self, host: NodeHost) -> None:
        if not self._alive:
            return
        name, token = self._dice.choice(self._alive)
        asked = self._asked(host, name, Act.READ)

        def answered(reply: Reply) -> None:
            self.statuses[f"look up {reply.status}"] += 1
            if reply.status in (200, 403):
                asked.value, asked.returned = ALIVE if reply.status == 200 else DEAD, self._loop.now
                asked.version = 1 if reply.status == 200 else 2
                self.tokens.append(asked)

        self._send(host, Method.GET, "auth/token/lookup-self", None, answered, token=token, read=asked)

    def _revoke(self, host: NodeHost) -> None:
        if len(self._alive) < 3:
            return
        index = self._dice.randrange(len(self._alive))
        name, token = self._alive[index]
        if name in self._revoking:
            return
        asked = self._asked(host, name, Act.WRITE, DEAD)
        asked.version = 2

        def answered(reply: Reply) -> None:
            self.statuses[f"revoke {reply.status}"] += 1
            if reply.status in (200, 204):
                asked.returned, asked.index = self._loop.now, index_of(reply)
                self._acknowledged()

        if self._send(host, Method.POST, "auth/token/revoke", {"token": token.value.decode()}, answered):
            self.tokens.append(asked)
            self._revoking.add(name)
            # It is looked up for a while yet, and revoked by nobody else.
            self._loop.at(self._loop.now + 2.0, lambda: self._alive.remove((name, token)) if (name, token) in self._alive else None)

    # After the run

    def reads(self) -> int:
        """How many answers to reads the history has."""
        return sum(each.act is Act.READ for each in (*self.registers, *self.tokens))

    @property
    def created(self) -> Mapping[str, Secret]:
        """Every token that a client was given, by its name here."""
        return self._created


def shown(view: View, token: Secret, key: str) -> Held:
    """What a register holds there."""
    reply = view.ask(f"secret/data/{key}", token)
    if reply.status == 404:
        return 0, INITIAL
    found = _read(reply.body).data
    return found.metadata.version, found.data.v if found.data else None


def shown_versions(view: View, token: Secret, key: str, known: Set[int]) -> dict[int, str | None]:
    """All of its versions there but those; what was written twice shows there. Raises SimulationError: there are fewer than were known."""
    current = shown(view, token, key)[0]
    if known and max(known) > current:
        raise SimulationError(f"{key}: version {max(known)} was seen or acknowledged, but there are only {current}")
    found: dict[int, str | None] = {}
    for version in range(1, current + 1):
        if version not in known:
            data = _read(view.ask(f"secret/data/{key}", token, {"version": str(version)}).body).data.data
            found[version] = data.v if data else None
    return found
