"""What the driver tells the machine, in the order in which it saw it. `machine` says when each must be told."""
from enum import StrEnum
from typing import TypeAlias

import msgspec

from holdfast.crypto import Secret
from holdfast.engine import Reply, Request, Stream, WriteId
from holdfast.ha.advertisement import Advertisement
from holdfast.ha.message import Message, Peer
from holdfast.ids import Index, Millis, NodeId, Term
from holdfast.replica import Why
from holdfast.storage import Fence


class Channel(StrEnum):
    """The two connections between a standby and the active node."""

    FORWARDING = "forwarding"                        # opened by who can read the advertisement
    PERFORMANCE = "performance"                      # opened by whom the active node has selected


class _Event(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Base of all."""


class Unsealed(_Event, frozen=True, kw_only=True):
    """This node has the keys. `applied`: what its replica has."""

    applied: Index


class SealAsked(_Event, frozen=True):
    """The keys are to be forgotten, or the process is to end: `Left` says when nothing here needs them any more."""


class StepDownAsked(_Event, frozen=True):
    """By an operator, or because a disk has hung."""


class FenceHeld(_Event, frozen=True, kw_only=True):
    """The log's lock was got. `index`: the last batch before this term; the replica may still lack it."""

    fence: Fence
    index: Index
    hold_until_boot_ms: Millis


class Held(_Event, frozen=True, kw_only=True):
    """The hold was renewed. `cluster_ms`: cluster time now."""

    term: Term
    until_boot_ms: Millis
    cluster_ms: Millis


class FenceGone(_Event, frozen=True, kw_only=True):
    """The fence of this term was lost, or was given up: whichever comes first."""

    term: Term


class LaneDrained(_Event, frozen=True, kw_only=True):
    """After DrainLane: all that had begun is durable, and answered or handed back."""

    term: Term


class LaneStopped(_Event, frozen=True, kw_only=True):
    """After StopLane: the fate of everything is known; what did not happen was handed back, before this."""

    term: Term


class AppliedHere(_Event, frozen=True, kw_only=True):
    """This node's replica has everything up to `index`, and the log has it durably."""

    index: Index


class ActiveSeen(_Event, frozen=True, kw_only=True):
    """The newest advertisement in the replica; also when it is this node's own. None, there is none, changes nothing.

    What a state that was put back says of an earlier term than is known is not told. What a batch says is, whatever its term: the state
    before it may have been another cluster's."""

    advertisement: Advertisement | None


class Connected(_Event, frozen=True, kw_only=True):
    """A link is up: one that was dialled, or one that came in. It takes the place of an earlier one with this node."""

    peer: Peer
    channel: Channel


class Disconnected(_Event, frozen=True, kw_only=True):
    """The newest link with this node has ended; or one that was to be dialled did not come up."""

    node: NodeId
    channel: Channel


class Received(_Event, frozen=True, kw_only=True):
    """Over the newest link of this channel with `peer`; what comes over an older one is thrown away."""

    peer: Peer
    channel: Channel
    message: Message


class Enrolled(_Event, frozen=True, kw_only=True):
    """After Enrol: `peer` will be taken on the performance channel with this identity (PKCS #8 and X.509, DER)."""

    peer: Peer
    name: str
    key: Secret
    certificate: bytes
    active_certificate: bytes


class Submitted(_Event, frozen=True, kw_only=True):
    """A client of this node wants something that only the active node can do. `reply_key`: 32 fresh random bytes. `ticket`: the driver's
    own name for who waits, never used twice."""

    ticket: int
    request: Request
    why: Why
    reply_key: Secret


class Cancelled(_Event, frozen=True, kw_only=True):
    """Who waited under this ticket has gone."""

    ticket: int


class Ran(_Event, frozen=True, kw_only=True):
    """After Run: the answer, which may leave. None: a stream, which the driver sends to the node that asked."""

    id: WriteId
    reply: Reply | Stream | None


class RanNot(_Event, frozen=True, kw_only=True):
    """After Run, in that term: it did not happen here, and will not (FenceLost). It may come when this node is active in a later one: a
    call to the outside ends when it ends."""

    id: WriteId
    term: Term


class AuditBroken(_Event, frozen=True, kw_only=True):
    """Whether there are audit devices, and none of them works."""

    broken: bool


class ReadAsked(_Event, frozen=True, kw_only=True):
    """`consistency = "strict"`: a read wants to begin."""

    ticket: int


class Confirmed(_Event, frozen=True, kw_only=True):
    """After Confirm: a majority has confirmed, in a round that began after that effect, that this node still leads."""

    number: int


Event: TypeAlias = (Unsealed | SealAsked | StepDownAsked | FenceHeld | Held | FenceGone | LaneDrained | LaneStopped | AppliedHere
                    | ActiveSeen | Connected | Disconnected | Received | Enrolled | Submitted | Cancelled | Ran | RanNot | AuditBroken
                    | ReadAsked | Confirmed)
