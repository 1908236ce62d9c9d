"""What nodes tell each other of themselves: for sys/ha-status on the active node, sys/health on a standby. Nothing is decided by it.

A standby sends an echo over the forwarding connection as soon as that is up, then every ECHO_INTERVAL_MS. Times are those of sys/health in
Vault: how long an echo took, and how far the active node's wall clock is ahead of this one's. `cluster_offset_ms` is cluster time less
CLOCK_BOOTTIME.
"""
import msgspec

from holdfast.engine import Heartbeat, Standby
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


class Echoes:
    """A standby's."""

    def __init__(self) -> None:
        self._number = self._took_ms = self._skew_ms = 0
        self._sent: tuple[int, Millis, Millis] | None = None         # number, boot time, wall time of the echo under way
        self._is_connected = self._is_answered = False   # answered: over the connection that stands now
        self._due_at = self._heard_at = Millis(0)
        self._was_heard = False

    def connected(self, now: Millis) -> None:
        """The forwarding connection is up."""
        self._is_connected, self._due_at, self._sent = True, now, None

    def disconnected(self) -> None:
        self._is_connected = self._is_answered = False
        self._sent = None

    @property
    def is_waiting(self) -> bool:
        """The last one has no answer yet."""
        return self._sent is not None

    @property
    def next_tick(self) -> Millis | None:
        """None: there is nobody to tell."""
        return self._due_at if self._is_connected else None

    def echo(self, about: About, now: Millis, *, wall_ms: Millis) -> Echo | None:
        """The next one, if it is due: to be sent at once."""
        if not self._is_connected or now < self._due_at:
            return None
        self._number += 1
        self._sent, self._due_at = (self._number, now, wall_ms), Millis(now + ECHO_INTERVAL_MS)
        return Echo(number=self._number, wall_ms=wall_ms, hostname=about.hostname, api_address=about.api_address,
                    cluster_address=about.cluster_address, version=about.version, performance_standby=about.performance_standby,
                    applied=about.applied, raft_applied=about.raft_applied, took_ms=self._took_ms, skew_ms=self._skew_ms)

    def replied(self, reply: EchoReply, now: Millis) -> None:
        """An answer to an echo before the last tells nothing of how long that took."""
        if self._sent is None or reply.number != self._sent[0]:
            return
        _, sent_at, wall_ms = self._sent
        self._sent, self._heard_at, self._is_answered, self._was_heard = None, now, True, True
        self._took_ms = now - sent_at
        self._skew_ms = reply.wall_ms - (wall_ms + self._took_ms // 2)

    def facts(self, cluster_offset_ms: int) -> Heartbeat | None:
        """None: none was ever answered."""
        if not self._was_heard:
            return None
        return Heartbeat(heard_ms=Millis(self._heard_at + cluster_offset_ms), took_ms=self._took_ms, skew_ms=self._skew_ms,
                         connected=self._is_answered)


class _Heard(msgspec.Struct, frozen=True):
    echo: Echo
    at: Millis
    wall_ms: Millis


class Roll:
    """The active node's list of standbys; empty in each new term."""

    def __init__(self) -> None:
        self._heard: dict[NodeId, _Heard] = {}

    def heard(self, peer: Peer, echo: Echo, about: About, now: Millis, *, wall_ms: Millis, cluster_ms: Millis) -> EchoReply:
        """Takes an echo; what to send back. `about`: this node. `cluster_ms`: cluster time."""
        if peer.node not in self._heard and len(self._heard) >= ECHO_PEERS_MAX:
            del self._heard[min(self._heard, key=lambda node: self._heard[node].at)]
        self._heard[peer.node] = _Heard(echo, now, wall_ms)
        return EchoReply(number=echo.number, wall_ms=wall_ms, now_ms=cluster_ms, version=about.version, applied=about.applied,
                         raft_applied=about.raft_applied)

    def standbys(self, now: Millis, cluster_offset_ms: int) -> tuple[Standby, ...]:
        """Who was heard of in the last ECHO_SILENCE_MS, by name."""
        return tuple(_standby(node, self._heard[node], cluster_offset_ms) for node in sorted(self._heard)
                     if now - self._heard[node].at < ECHO_SILENCE_MS)


def _standby(node: NodeId, heard: _Heard, cluster_offset_ms: int) -> Standby:
    echo = heard.echo
    return Standby(
        node=node, hostname=echo.hostname, api_address=echo.api_address, cluster_address=echo.cluster_address, version=echo.version,
        performance_standby=echo.performance_standby, heard_ms=Millis(heard.at + cluster_offset_ms), heard_wall_ms=heard.wall_ms,
        took_ms=echo.took_ms, skew_ms=echo.skew_ms, applied=echo.applied, raft_applied=echo.raft_applied)
