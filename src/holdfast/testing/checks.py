"""What must be true of a cluster at every step, whatever anybody does to it.

1. V: a process whose lease word says that it may read has, in its replica, everything up to the highest V under which any process may have
   answered. Not where sessions are all that is promised: there the words say nothing of the kind.
2. The hold: no two nodes run the lane under a lease word that has not run out. Where reads are strict there are no such words.
3. The fence: in one term one life of one node runs the lane.
"""
from collections import Counter

from holdfast.ha.gate import Word
from holdfast.ha.settings import Consistency
from holdfast.testing.cluster import Cluster, Node
from holdfast.testing.loop import SimulationError

LEASE, V = int(Word.LEASE_UNTIL_BOOT_MS), int(Word.WATERMARK)


class Watch:
    """Looks when something arrives anywhere, if a word or the facts of a node have changed since: a lease that lasts is renewed, so
    nobody goes unseen for long. `changes`: of the active node; `seen` counts what there was."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.watermark = 0                           # the highest V under which somebody may have answered
        self.changes = 0
        self.looks = 0
        self.stood_by: Counter[str] = Counter()      # looks at which so many others held a lease
        self._active = ""
        self._newest_term = 0
        self._holders: dict[int, Node] = {}          # by term
        consistency = cluster.options.consistency
        self._is_strict, self._has_leases = consistency is Consistency.STRICT, consistency is Consistency.STRONG
        cluster.network.trace = self._traced

    def _traced(self, text: str) -> None:
        self._cluster.note(text)
        if self._cluster.has_news:
            self.look()

    def look(self) -> None:
        """Raises SimulationError."""
        self.looks += 1
        self._cluster.has_news = False
        watermark, active = self.watermark, ""
        reading = []
        for host in self._cluster.hosts.values():
            readers = host.readers
            if not readers:
                continue
            now = host.machine.boot_ms()
            words = None
            for process, shared in readers:
                if not process.is_alive:
                    host.readers = [entry for entry in readers if entry[0].is_alive]
                elif shared is not words:            # those of one main process have the same
                    words = shared
                    if self._has_leases and now < shared.load(LEASE):
                        reading.append((host, shared))
                        watermark = max(watermark, shared.load(V))
            node = host.node
            if node is not None and host.is_up and node.main.is_active:
                is_newest = self._check_fence(node)
                if is_newest if self._is_strict else now < node.words.load(LEASE):
                    if active and not self._is_strict:
                        raise SimulationError(f"two nodes run the lane under a hold: {active} and {host.name}")
                    active = host.name
        self.watermark = watermark
        for host, shared in reading:
            if host.replica.index < watermark:
                raise SimulationError(f"{host.name} may read until {shared.load(LEASE)} (it is {host.machine.boot_ms()}), but has only "
                                      f"{host.replica.index}, and V is {watermark}")
        if active and active != self._active:
            self._active = active
            self.changes += 1

    def _check_fence(self, node: Node) -> bool:
        """Is it the newest so far?"""
        fence = node.main.fence
        assert fence is not None, "an active node has one"
        before = self._holders.setdefault(fence.term, node)
        if before is not node:
            raise SimulationError(f"{before.host.name} and {node.host.name} run the lane in term {fence.term}")
        self._newest_term = max(self._newest_term, fence.term)
        return fence.term == self._newest_term
