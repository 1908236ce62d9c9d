"""How this node and the others stand, as far as it is told or shown: echoes between nodes, the members, autopilot.

Nothing that keeps answers right is decided here: who is active, who may read and what is durable is the machine's and the log's. What is
decided, slowly, is who gets a vote and who is removed; the rules of that are `system.autopilot`'s. Invariant: facts are published when they
have changed, not at every turn.
"""
import asyncio
from collections.abc import Callable

import msgspec

from holdfast.config.raft import RECONCILE_EVERY_S, UPDATE_EVERY_S
from holdfast.engine import AutopilotFacts, RaftFacts, RaftMember
from holdfast.errors import HoldfastError
from holdfast.ha.echo import About, Echoes, Roll
from holdfast.ha.gate import CLUSTER_TIME_OFFSET_MS
from holdfast.ha.message import Echo, EchoReply, Peer
from holdfast.ids import Index, Millis, NodeId
from holdfast.node.background import Background
from holdfast.node.main import Main
from holdfast.storage.raft import Member, RaftLog
from holdfast.system import autopilot
from holdfast.telemetry.log import Logger
from holdfast.version import VERSION


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """What this node is called."""

    node: NodeId
    api_address: str
    cluster_address: str                             # `host:port`
    hostname: str = ""
    look_every_s: float = UPDATE_EVERY_S             # of autopilot at its servers
    change_every_s: float = RECONCILE_EVERY_S


def url_of(cluster_address: str) -> str:
    """As operators write it."""
    return f"https://{cluster_address}" if cluster_address else ""


class Standing:
    """One unsealing of a node. `applied`: what its replica has."""

    def __init__(self, main: Main, log: RaftLog, named: Named, applied: Callable[[], Index], logger: Logger) -> None:
        self._main, self._log, self._named, self._applied, self._logger = main, log, named, applied, logger
        self._words, self._clock = main.words, main.clock
        self._echoes, self._roll = Echoes(), Roll()
        self._autopilot: AutopilotFacts | None = None
        self._began_ms = Millis(0)                       # as active
        self._background = Background()
        self._task: asyncio.Task[None] | None = None

    # A standby

    def connected(self) -> None:
        """To the active node."""
        self._echoes.connected(self._clock.boot_ms())

    def disconnected(self) -> None:
        """The next facts say it."""
        self._echoes.disconnected()
        self.publish()

    def echo(self) -> Echo | None:
        """To be sent, if it is time."""
        now, due = self._clock.boot_ms(), self._echoes.next_tick
        if due is None or now < due:
            return None
        if self._echoes.is_waiting:
            self._main.metrics.counter("ha.rpc.client.echo.errors", peer_id=self._named.node).add()
        return self._echoes.echo(self._about(), now, wall_ms=self._clock.wall_ms())

    @property
    def next_tick(self) -> Millis | None:
        return self._echoes.next_tick

    def replied(self, reply: EchoReply) -> None:
        now = self._clock.boot_ms()
        self._echoes.replied(reply, now)
        if reply.now_ms and self._main.facts.may_lag and not self._main.is_active:       # neither grants nor rounds tell it
            self._words.store(CLUSTER_TIME_OFFSET_MS, reply.now_ms - now)
        self.publish()
        beat = self._main.facts.heartbeat
        if beat is not None:
            self._main.metrics.summary("ha.rpc.client.echo", peer_id=self._named.node).observe(float(beat.took_ms))

    # The active node

    def heard(self, peer: Peer, echo: Echo) -> EchoReply:
        """What to answer."""
        reply = self._roll.heard(peer, echo, self._about(), self._clock.boot_ms(), wall_ms=self._clock.wall_ms(),
                                 cluster_ms=self._main.cluster_now())
        self.publish()
        return reply

    def goes_active(self) -> None:
        """Looks at the members from now on."""
        self._echoes.disconnected()
        self._roll, self._autopilot, self._began_ms = Roll(), None, self._main.cluster_now()
        self._task = self._background.begin(self._look_after())

    def goes_standby(self) -> None:
        """Is not asked any more."""
        if self._task is not None:
            self._task.cancel()
            self._main.metrics.summary("core.leadership_lost").observe(float(self._main.cluster_now() - self._began_ms))
        self._task, self._roll, self._autopilot = None, Roll(), None

    async def _look_after(self) -> None:
        change_in_s = 0.0
        while True:
            self._judge()
            if change_in_s <= 0:
                change_in_s = self._named.change_every_s
                try:
                    await self._change()
                except HoldfastError as error:
                    self._logger.warn("autopilot.not_changed", why=str(error))
            await asyncio.sleep(self._named.look_every_s)
            change_in_s -= self._named.look_every_s

    def _judge(self) -> None:
        status, boot_ms = self._log.status, self._clock.boot_ms()
        contacts = {peer.raft_id: autopilot.Contact(age_ms=boot_ms - peer.last_contact_boot_ms if peer.last_contact_boot_ms else None,
                                                    index=peer.matched) for peer in status.peers}
        self._autopilot = autopilot.judge(
            self._autopilot, _members(status.members), contacts, self._main.attempts.read(autopilot.config), leader=self._named.node,
            term=status.term, index=status.last, now_ms=self._main.cluster_now())
        self.publish()

    async def _change(self) -> None:
        """Raises BadRequest, UnavailableError."""
        await self._log.follow_moves()
        facts = self._autopilot
        if facts is None:
            return
        held = self._main.attempts.read(autopilot.config)
        without = self._main.attempts.read(autopilot.non_voters)
        for member in autopilot.promotions(facts, without, held, began_ms=self._began_ms, now_ms=self._main.cluster_now()):
            self._logger.info("autopilot.promotes", node=member.id)
            await self._log.promote(member.raft_id)
        for member in autopilot.removals(facts, held):
            self._logger.warn("autopilot.removes_dead_server", node=member.id)
            await self._log.remove(member.raft_id)

    # Both

    def publish(self) -> None:
        """What requests are told."""
        offset_ms, now = self._words.load(CLUSTER_TIME_OFFSET_MS), self._clock.boot_ms()
        status = self._log.status
        is_active = self._main.is_active
        self._main.publish(
            removed=status.is_removed, heartbeat=None if is_active else self._echoes.facts(offset_ms),
            standbys=self._roll.standbys(now, offset_ms) if is_active else (), autopilot=self._autopilot,
            raft=RaftFacts(leader=status.leader, members=_members(status.members), index=self._log.members.changed_at))

    def _about(self) -> About:
        facts = self._main.facts
        named = self._named
        return About(hostname=named.hostname, api_address=named.api_address, cluster_address=url_of(named.cluster_address), version=VERSION,
                     performance_standby=facts.performance_standby, applied=self._applied(),
                     raft_applied=self._log.status.applied)


def _members(members: tuple[Member, ...]) -> tuple[RaftMember, ...]:
    return tuple(RaftMember(id=member.id, raft_id=member.raft_id, address=member.address, voter=member.voter) for member in members)
