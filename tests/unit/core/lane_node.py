"""Lanes of one active node after another, over what is durable: for tests of what happens on the lane and survives it."""
import json
from collections.abc import Iterator

from holdfast.core import bootstrap
from holdfast.core.access import Access
from holdfast.core.lane import Carried, Lane, Ready, Work
from holdfast.core.mounts import MOUNTS, Defaults, MountEntry
from holdfast.core.outcome import Heavy
from holdfast.crypto import AesGcmBarrier, Secret, new_shamir_cluster
from holdfast.engine import Client, Engine, Method, NodeFacts, Origin, Place, Reply, Request, Rng, Txn, WriteId
from holdfast.ha.forward import digest
from holdfast.ids import Index, Millis, NodeId, RequestId
from holdfast.replica import Derived, Reads, Run
from holdfast.secrets import CUBBYHOLE, KV_V2
from holdfast.storage import WriteBatch
from holdfast.system import build
from holdfast.testing.memory import MemoryReplica

NOW_MS = Millis(1_700_000_000_000)
FACTS = NodeFacts(initialized=True, sealed=False, is_active=True)


def key_of(node: str, sequence: int, incarnation: int = 1) -> Secret:
    """The reply key that a forwarder made for this request."""
    return Secret(f"{node}{incarnation}.{sequence}".encode().ljust(32, b"k"))


class LaneNode:
    """`lane` is the active node's; `take_over` gives it to a successor, with what is durable and nothing else."""

    def __init__(self, *engines: Engine) -> None:
        self.replica = MemoryReplica()
        self.facts = FACTS
        self._bytes = self._count()
        made = new_shamir_cluster(shares=1, threshold=1, draw=self.draw, now_ms=NOW_MS)
        self.opened = made.opened
        self.access = Access((CUBBYHOLE, KV_V2, *engines), build, Defaults(), lambda kind, options: "")
        barrier = AesGcmBarrier(made.opened.keyring)
        txn = Txn(Run(self.replica.open(), barrier, Place.ACTIVE, Derived(100), Reads()))
        self.root = bootstrap.write_first_state(txn, Rng(lambda: self.draw(32)), NOW_MS)
        for engine, path in ((KV_V2, "secret/"), *((engine, f"{engine.type}/") for engine in engines)):
            MOUNTS.put(txn, f"uuid-{path}", MountEntry(uuid=f"uuid-{path}", path=path, type=engine.type, accessor=f"a_{path}",
                                                       options={"version": "2"} if engine is KV_V2 else {}))
        changes = {**made.stored, **txn.changes()}
        self.replica.write({key: None if value is None else barrier.encrypt(key, value, nonce=self.draw(12))
                            for key, value in changes.items()})
        self.take_over()

    def draw(self, size: int) -> bytes:
        return b"".join(next(self._bytes) for _ in range(size))

    @staticmethod
    def _count() -> Iterator[bytes]:
        number = 0
        while True:
            number = (number * 1_103_515_245 + 12_345) % (1 << 31)
            yield bytes((number >> 16 & 0xFF,))

    def take_over(self) -> None:
        self.lane = Lane(self.access, self.opened, None, derived=Derived(1_000), nonce=lambda: self.draw(12), time_ms=NOW_MS)

    def put(self, path: str, value: object, *, id: str = "r", cas: int | None = None) -> Request:
        body = {"data": value, **({"options": {"cas": cas}} if cas is not None else {})}
        return self.request(Method.POST, f"secret/data/{path}", body, id=id)

    def request(self, method: Method, path: str, body: object = None, *, id: str = "r") -> Request:
        return Request(id=RequestId(id), method=method, path=path, body=b"" if body is None else json.dumps(body).encode(),
                       content_type="application/json", token=self.root, client=Client(address="127.0.0.1"))

    def origin(self, request: Request, sequence: int, *, node: str = "b", incarnation: int = 1, floor: int = 1) -> Origin:
        return Origin(id=WriteId(node=NodeId(node), incarnation=incarnation, sequence=sequence), digest=digest(request), floor=floor,
                      reply_key=key_of(node, sequence, incarnation))

    def run(self, request: Request, origin: Origin | None = None) -> None:
        """On the lane, up to where it waits for the append."""
        work = Work(task=request, rng=Rng(lambda: self.draw(32)), origin=origin)
        reader = self.replica.open()
        outcome = self.lane.run(work, reader, self.facts, now_ms=NOW_MS)
        assert not isinstance(outcome, Heavy)
        self.lane.accept(work, outcome)

    def append(self) -> tuple[WriteBatch, ...]:
        """What piled up becomes durable; nobody has been answered yet."""
        group = self.lane.take_group()
        self.replica.apply(group)
        if group:
            self.lane.applied(group[-1].index)
        return group

    def release(self) -> tuple[Ready, ...]:
        return self.lane.release(self.replica.index)

    def outcome(self, request: Request, origin: Origin | None = None) -> Carried:
        """As it comes out of the lane, durable."""
        self.run(request, origin)
        self.append()
        return self.release()[-1].outcome

    def finish(self, request: Request, origin: Origin | None = None) -> Reply:
        """To its answer."""
        return self.outcome(request, origin).reply  # type: ignore[union-attr]

    def versions(self, path: str) -> int:
        """How often a secret has been written."""
        reply = self.finish(self.request(Method.GET, f"secret/metadata/{path}"))
        return 0 if reply.status == 404 else int(json.loads(reply.body)["data"]["current_version"])

    def records(self) -> list[str]:
        return [*self.replica.open().keys("core/once/", "")]

    @property
    def index(self) -> Index:
        return self.replica.index
