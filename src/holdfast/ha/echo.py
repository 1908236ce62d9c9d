"""What nodes tell each other of themselves: for sys/ha-status on the active node, sys/health on a standby. Nothing is decided by it.

A standby sends an echo over the forwarding connection as soon as that is up, then every ECHO_INTERVAL_MS. Times are those of sys/health in
Vault: how long an echo took, and how far the active node's wall clock is ahead of this one's.
"""
import msgspec

from holdfast.ha.message import Echo, EchoReply, Peer
from holdfast.ids import Index, Millis, NodeId
from holdfast.limits import ECHO_INTERVAL_MS, ECHO_PEERS_MAX, ECHO_SILENCE_MS


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What a node says of itself, but for times."""

    hostname: str
    api_address: str
    cluster_address: str
    version: str
    performance_standby: bool
    applied: Index
    raft_applied: int


class Heartbeat:
    """A standby's echoes."""

    def __init__(self) -> None:
        self._number = 0
        self._sent: tuple[int, Millis, Millis] | None = None         # number, boot time, wall time of the echo under way
        self._due_at = Millis(0)
        self.heard_at: Millis | None = None              # boot time of the last reply
        self.took_ms = self.skew_ms = 0
        self.active: EchoReply | None = None             # what the active node said last

    def connected(self, now: Millis) -> None:
        """The forwarding connection is up."""
        self._due_at, self._sent = now, None

    def disconnected(self) -> None:
        self._sent = self.active = None

    @property
    def next_tick(self) -> Millis:
        return self._due_at

    def echo(self, about: About, now: Millis, *, wall_ms: Millis) -> Echo | None:
        """The next one, if it is due: to be sent at once."""
        if now < self._due_at:
            return None
        self._number += 1
        self._sent, self._due_at = (self._number, now, wall_ms), Millis(now + ECHO_INTERVAL_MS)
        return Echo(number=self._number, wall_ms=wall_ms, hostname=about.hostname, api_address=about.api_address,
                    cluster_address=about.cluster_address, version=about.version, performance_standby=about.performance_standby,
                    applied=about.applied, raft_applied=about.raft_applied, took_ms=self.took_ms, skew_ms=self.skew_ms)

    def replied(self, reply: EchoReply, now: Millis) -> None:
        """An answer to an older echo tells nothing of how long it took."""
        if self._sent is None or reply.number != self._sent[0]:
            return
        _, sent_at, wall_ms = self._sent
        self._sent, self.heard_at, self.active = None, now, reply
        self.took_ms = now - sent_at
        self.skew_ms = reply.wall_ms - (wall_ms + self.took_ms // 2)


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """One standby, as the active node knows it."""

    node: NodeId
    echo: Echo
    at_boot_ms: Millis
    at_wall_ms: Millis


class Roll:
    """The active node's list of standbys; empty in each new term."""

    def __init__(self) -> None:
        self._heard: dict[NodeId, Heard] = {}

    def heard(self, peer: Peer, echo: Echo, now: Millis, *, wall_ms: Millis, about: About) -> EchoReply:
        """Takes an echo; what to send back."""
        if peer.node not in self._heard and len(self._heard) >= ECHO_PEERS_MAX:
            del self._heard[min(self._heard.values(), key=lambda heard: heard.at_boot_ms).node]
        self._heard[peer.node] = Heard(node=peer.node, echo=echo, at_boot_ms=now, at_wall_ms=wall_ms)
        return EchoReply(number=echo.number, wall_ms=wall_ms, version=about.version, applied=about.applied, raft_applied=about.raft_applied)

    def standing(self, now: Millis) -> tuple[Heard, ...]:
        """Who has been heard of in the last ECHO_SILENCE_MS, by name."""
        return tuple(self._heard[node] for node in sorted(self._heard) if now - self._heard[node].at_boot_ms < ECHO_SILENCE_MS)
