"""What a node sees of the cluster port: links to other nodes that carry frames, over any network.

The real one is `tls_port.TlsPort`; the simulator has its own. Both keep to what stands here:

1. Frames of a link arrive whole, unchanged, each once and in the order of `send`, or the link ends.
2. A link exists once both sides have shown a certificate that the other one takes, and have told who they are (`hello`).
3. The receiver of a link that was dialled hears nothing, not even its end, before `dial` has returned and the caller has let the event
   loop go on. If `dial` raises, it never hears anything.
4. `closed` is called exactly once for each link, never from within `send` or `close`; nothing is received after it.
5. A kind that the port was not told of is passed over, not fatal: it is of a newer version.

Left to others: what frames mean, and who is a member.
"""
from collections.abc import Callable
from enum import StrEnum
from typing import Protocol

from holdfast.cluster.hello import Hello
from holdfast.cluster.identity import Credentials
from holdfast.errors import UnavailableError


class Alpn(StrEnum):
    """What a connection is for. Source: the names that Vault's own nodes use."""

    FORWARDING = "req_fw_sb-act_v1"
    PERFORMANCE_STANDBY = "perf_standby_v1"
    RAFT = "raft_storage_v1"


class LinkError(UnavailableError):
    """No link, or not any more; `why` names the other side and the reason."""


class Receiver(Protocol):
    """Who takes what comes over one link. Both are called on the event loop, and return at once."""

    def received(self, kind: int, body: bytes) -> None: ...

    def closed(self, why: str) -> None:
        """The link has ended; `Link.was_reset` says whether the other side went without a word."""


class Link(Protocol):
    """One connection to another node, until it ends."""

    @property
    def alpn(self) -> Alpn: ...
    @property
    def remote(self) -> str:
        """`host:port` of the other side: as it was dialled, or where it came from."""

    @property
    def certificate(self) -> bytes:
        """The other side's, as DER: one of those that were to be accepted, and it holds the key."""

    @property
    def peer(self) -> Hello:
        """Who the other side says it is."""

    @property
    def was_reset(self) -> bool:
        """True once the link has ended without a word from either side: the other one may be dead. A hint, never proof."""

    @property
    def pending_bytes(self) -> int:
        """Sent, and not yet taken by the network."""

    def send(self, kind: int, body: bytes) -> None:
        """Queues a frame; those of one turn of the event loop travel together. After the end: dropped. Never raises for the network's sake.

        A body over the kind's bound is a defect of the caller: InvariantError.
        """

    async def drained(self) -> None:
        """Returns once little is pending. Raises LinkError when the link ends."""

    def close(self, why: str = "") -> None:
        """What was sent still goes out, and `why`, which the other side logs. Its own receiver hears `closed` too."""


class Port(Protocol):
    """A node's end of all links."""

    async def listen(self, address: str) -> str:
        """Takes connections from now on, at the address that it returns (a port 0 becomes a real one). Raises OSError."""

    def offer(self, alpn: Alpn, credentials: Credentials, accept: Callable[[Link], Receiver]) -> None:
        """From now on others may come in so. Offered again, it counts for connections from then on; those that stand, stand.

        `accept` may send at once. If it raises LinkError, the other side is refused, and both sides log why.
        """

    def withdraw(self, alpn: Alpn) -> None:
        """No more come in so. Links that stand are their owner's to close."""

    async def dial(self, address: str, alpn: Alpn, credentials: Credentials, receiver: Receiver, *, within_s: float) -> Link:
        """A new link to `host:port`. Raises LinkError after `within_s` at the latest."""

    async def close(self) -> None:
        """Ends the listener and every link, in good order."""
