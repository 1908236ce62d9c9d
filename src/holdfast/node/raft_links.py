"""Raft's messages and snapshots over the cluster port, between the members that the log names.

Invariants: (1) nothing is sent to or taken from anybody who does not hold the raft identity of this cluster; (2) a message may be lost,
never changed; (3) that the link to a peer was reset is told to raft as a hint, at once.
"""
from collections.abc import AsyncIterator, Callable

from holdfast.cluster import Alpn, Bounds, Credentials, Identity, Incoming, Link, LinkError, Mesh, Port, Streams
from holdfast.engine import Table
from holdfast.errors import HoldfastError
from holdfast.limits import FRAME_MAX_BYTES
from holdfast.node.background import Background
from holdfast.storage.raft import RaftLog, is_append
from holdfast.telemetry.log import Logger

RAFT_IDENTITY = Table("core/raft/tls", Identity)
"""Made at init, handed to whoever joins: all members show it and take it."""
RAFT_MESSAGE, RAFT_SNAPSHOT, RAFT_APPEND = 0x0100, 0x0101, 0x0102
RAFT_BOUNDS: Bounds = {RAFT_MESSAGE: FRAME_MAX_BYTES, RAFT_SNAPSHOT: 0, RAFT_APPEND: FRAME_MAX_BYTES}


class _Silent:
    """Of a link that only sends: what comes back has no meaning."""

    def received(self, kind: int, body: bytes) -> None:
        return

    def closed(self, why: str) -> None:
        return


class _FromMember:
    """Of a link that a member dialled."""

    def __init__(self, receive: Callable[[bytes], None]) -> None:
        self._receive = receive

    def received(self, kind: int, body: bytes) -> None:
        if kind in (RAFT_MESSAGE, RAFT_APPEND):
            self._receive(body)

    def closed(self, why: str) -> None:
        return


class RaftLinks:
    """`storage.raft.Transport` over a port. One life: from an unsealing to a sealing. `address`: where the others find this node."""

    def __init__(self, port: Port, log: RaftLog, identity: Identity, logger: Logger, address: str) -> None:
        self._port, self._log, self._logger, self._address = port, log, logger, address
        self._credentials = Credentials(own=identity, accepts=(identity.certificate,))
        self._mesh = Mesh(port, Alpn.RAFT, lambda: self._credentials, bounds=RAFT_BOUNDS, log=logger, receiver=lambda _: _Silent(),
                          on_reset=self._reset, in_order=(RAFT_APPEND,))
        self._links: list[Link] = []
        self._background = Background()

    def open(self) -> None:
        """From now on members can come in."""
        self._port.offer(Alpn.RAFT, self._credentials, self._accept)

    def close(self) -> None:
        self._port.withdraw(Alpn.RAFT)
        self._mesh.close("this node leaves the cluster")
        for link in self._links:
            link.close("this node leaves the cluster")
        self._background.cancel()

    def members_changed(self) -> None:
        """Keeps links to exactly those that the log names, so that the death of any of them is seen at once. One at this node's address is
        what it was before it lost its disk."""
        own = self._log.raft_id
        self._mesh.keep([member.address for member in self._log.status.members
                         if member.raft_id != own and member.address != self._address])

    def send(self, to: int, address: str, data: bytes) -> None:
        """One message to the member `to`; lost if there is no link to it and none comes soon."""
        if address:
            self._mesh.send(address, RAFT_APPEND if is_append(data) else RAFT_MESSAGE, data)

    def send_snapshot(self, to: int, address: str, header: bytes, chunks: AsyncIterator[bytes], done: Callable[[bool], None]) -> None:
        self._background.begin(self._send_snapshot(address, header, chunks, done))

    async def _send_snapshot(self, address: str, header: bytes, chunks: AsyncIterator[bytes], done: Callable[[bool], None]) -> None:
        arrived = False
        try:
            await self._mesh.send_stream(address, RAFT_SNAPSHOT, header, chunks)
            arrived = True
        except (LinkError, HoldfastError, OSError) as error:
            self._logger.warn("raft.snapshot_not_sent", address=address, why=str(error))
        finally:
            done(arrived)

    def _accept(self, link: Link) -> Streams:
        streams = Streams(_FromMember(self._log.receive), bounds=RAFT_BOUNDS, opened=self._snapshot)
        streams.bind(link)
        self._links = [*(known for known in self._links if known.peer.node != link.peer.node), link]
        status = self._log.status
        known = next((member for member in status.members if member.id == link.peer.node), None)
        if known is not None:                        # it is there, so it can be dialled: not only at the end of a wait
            self._mesh.poke(known.address)
        elif status.is_leader:                       # others may lack the change that made it one, and have to hear it if it leads
            self._logger.warn("raft.not_a_member", node=link.peer.node, remote=link.remote,
                              why="it was removed from this cluster, or has not joined: raft tells it so as soon as it asks for votes")
        return streams

    def _snapshot(self, incoming: Incoming) -> None:
        incoming.confirm_later()                     # its sender counts on whoever has it durably
        self._background.begin(self._receive_snapshot(incoming))

    async def _receive_snapshot(self, incoming: Incoming) -> None:
        try:
            await self._log.receive_snapshot(incoming.header, incoming)
            incoming.confirm()
        except (LinkError, HoldfastError, OSError) as error:
            incoming.cancel(str(error))
            self._logger.warn("raft.snapshot_not_received", why=str(error))

    def _reset(self, address: str) -> None:
        for member in self._log.status.members:
            if member.address == address:
                self._log.suspect(member.raft_id)
