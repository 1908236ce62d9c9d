"""What operators do to a cluster meanwhile: step-downs, seals, broken audit devices, changes of the members, and snapshots put back.

A member that was removed comes back as another one would: with an empty disk and memory, by the real join. Only one is away at a time, and
nobody's disk is emptied before the removal is committed: what it acknowledged still counts until then.
"""
from collections.abc import Callable, Mapping

from holdfast.cluster import LinkError
from holdfast.engine import Method, Reply, Stream
from holdfast.node.serving import Served
from holdfast.testing.cluster import Cluster, Node, NodeHost
from holdfast.testing.network import EVERYBODY
from holdfast.testing.restores import Saved, found_again
from holdfast.testing.world import MAIN, Host

OPERATIONS: Mapping[str, float] = {"step down": 4, "seal": 2, "audit": 2, "remove": 4, "demote": 2, "restore": 3}
LOOK_EVERY_S = 0.5
RESTORE_EVERY_S = 10.0                               # at most: of a snapshot that is at most half as old
CALM_LOOKS_S = (0.5, 1.0, 2.0, 4.0)                  # after faults have ended: whoever is sealed, removed or without a vote comes back


class Operators:
    """Of one cluster. `faults`: what can be done, to a host; False: not now."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster, self._loop = cluster, cluster.loop
        self._away = ""                              # who is being removed, or is on its way back
        self._restore_again = 0.0                        # when the next snapshot may be saved, to be put back
        self.faults: Mapping[str, Callable[[Host], bool | None]] = {
            "step down": self.step_down, "seal": self.seal, "audit": self.audit, "remove": self.remove, "demote": self.demote,
            "restore": self.restore}

    def calm(self) -> None:
        """Everybody is to be there again, soon."""
        for after_s in CALM_LOOKS_S:
            for host in self._cluster.hosts.values():
                self._later(after_s, self._come_back, host)

    def step_down(self, host: Host) -> None:
        self._send(host, "sys/step-down")

    def seal(self, host: Host) -> None:
        """Unsealed some time later."""
        self._send(host, "sys/seal")
        self._later(self._cluster.dice.uniform(0.2, 4.0), self.unseal, host)

    def unseal(self, host: Host) -> None:
        """If it is there, sealed, and still a member."""
        node = _node(host)
        if node is not None and node.main.facts.initialized and not node.log.is_removed:
            self._loop.call_soon(lambda: self._loop.create_task(node.main.unseal_itself()), context=node.process.enter())

    def audit(self, host: Host) -> None:
        """For a moment none of its audit devices works."""
        node = _node(host)
        if node is None:
            return
        scope = node.process.enter()
        self._loop.call_soon(node.clustering.audit_is_broken, True, context=scope)
        self._loop.at(self._loop.now + self._cluster.dice.uniform(0.000_1, 0.02), node.clustering.audit_is_broken, False, context=scope)

    def remove(self, host: Host) -> bool:
        """It is no member any more, and some time later joins anew; counted once it was removed."""
        if self._away or self._active is None:
            return False
        self._away = host.name
        self._send(self._any(), "sys/storage/raft/remove-peer", {"server_id": host.name})
        self._later(self._cluster.dice.uniform(0.3, 4.0), self._return, host)
        return False

    def demote(self, host: Host) -> None:
        """Without a vote for a while."""
        self._send(self._any(), "sys/storage/raft/demote", {"server_id": host.name})
        self._later(self._cluster.dice.uniform(0.3, 6.0), self._promote, host)

    def restore(self, host: Host) -> bool:
        """A snapshot is saved, over whichever node, and put back some time later; counted once that was answered."""
        found = self._any().serving.get(MAIN)
        if self._loop.now < self._restore_again or found is None or not found[0].is_alive:
            return False
        self._restore_again = self._loop.now + RESTORE_EVERY_S
        process = found[0]

        def answered(served: Served) -> None:
            if isinstance(served, Stream):
                self._loop.create_task(self._save(served), context=process.enter())

        self._cluster.ask(*found, self._cluster.request(Method.GET, "sys/storage/raft/snapshot"), answered)
        return False

    async def _save(self, stream: Stream) -> None:
        try:
            data = b"".join([chunk async for chunk in stream.chunks])
        except LinkError:
            return                                   # the node that makes it has gone
        saved = found_again(self._cluster.restores, data)
        if saved is not None:
            self._loop.at(self._loop.now + self._cluster.dice.uniform(0.05, RESTORE_EVERY_S / 2), self._put_back, saved, context=EVERYBODY)

    def _put_back(self, saved: Saved) -> None:
        cluster, active = self._cluster, self._active
        if active is None:
            return
        path = "sys/storage/raft/snapshot" if cluster.dice.random() < 0.5 else "sys/storage/raft/snapshot-force"
        request = cluster.request(Method.POST, path, upload=True)
        cluster.restores.uploads[request.id] = saved

        def answered(served: Served) -> None:
            cluster.note(f"{active.host.name} {path} {served.status}")
            if served.status == 204:
                cluster.restores.answered(request.id, self._loop.now)
                cluster.faults["restore"] += 1

        cluster.ask(*active.host.serving[MAIN], request, answered)

    def _promote(self, host: Host) -> None:
        self._send(self._any(), "sys/storage/raft/promote", {"server_id": host.name})

    def _return(self, host: NodeHost) -> None:
        """Was it removed? Then it begins anew. An active node that is so no more may still show it as a member: it is asked again."""
        active = self._active
        if active is None:
            self._later(LOOK_EVERY_S, self._return, host)
        elif host.name in self._members(active):
            self._away = "" if self._away == host.name else self._away
        else:
            self._begin_anew(host)

    def _begin_anew(self, host: NodeHost) -> None:
        cluster = self._cluster
        cluster.faults["remove"] += 1
        cluster.note(f"anew: {host.name}")
        cluster.kill(host)
        cluster.replace_disk(host)
        cluster.start(host)
        self._later(LOOK_EVERY_S, self._await_return, host)

    def _await_return(self, host: NodeHost) -> None:
        active = self._active
        if active is not None and self._members(active).get(host.name):
            self._away = ""
        else:
            self._later(LOOK_EVERY_S, self._await_return, host)

    def _come_back(self, host: NodeHost) -> None:
        self.unseal(host)
        active = self._active
        if active is None:                               # of a removal that came this late, say: it was the removed one
            self._later(LOOK_EVERY_S, self._come_back, host)
            return
        vote = self._members(active).get(host.name)
        if vote is None and host.node is not None and host.node.main.facts.initialized:
            self._begin_anew(host)
        elif vote is False:
            self._promote(host)

    @property
    def _active(self) -> Node | None:
        return self._cluster.active

    def _members(self, active: Node) -> dict[str, bool]:
        """With or without a vote."""
        return {member.id: member.voter for member in active.log.status.members}

    def _any(self) -> NodeHost:
        hosts = self._cluster.hosts
        return hosts[self._cluster.dice.choice(tuple(hosts))]

    def _later(self, seconds: float, what: Callable[[NodeHost], object], host: Host) -> None:
        assert isinstance(host, NodeHost)
        self._loop.at(self._loop.now + seconds, what, host)

    def _send(self, host: Host, path: str, body: object = None) -> None:
        assert isinstance(host, NodeHost)
        found = host.serving.get(MAIN)

        def answered(served: Served) -> None:
            assert isinstance(served, Reply)
            self._cluster.note(f"{host.name} {path} {served.status}")

        if found is not None and found[0].is_alive:
            self._cluster.ask(*found, self._cluster.request(Method.POST, path, body), answered)


def _node(host: Host) -> Node | None:
    node = host.node if isinstance(host, NodeHost) else None
    return node if node is not None and node.process.is_alive else None
