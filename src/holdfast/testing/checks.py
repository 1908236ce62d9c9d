"""What must be true of a cluster at every step, whatever anybody does to it.

1. V: a process whose lease word says that it may read has, in its replica, everything up to the highest V under which any process may have
   answered.
2. The fence: no two nodes run the lane under a lease word that has not run out.
"""
from collections import Counter

from holdfast.ha.gate import Word
from holdfast.testing.cluster import Cluster
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
                    if now < shared.load(LEASE):
                        reading.append((host, shared))
                        watermark = max(watermark, shared.load(V))
            node = host.node
            if node is not None and host.is_up and node.main.is_active and now < node.words.load(LEASE):
                if active:
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
