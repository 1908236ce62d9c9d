"""What the machine wants done. The driver begins each before the next one; `machine` says what must have ended before the next begins."""
from enum import Enum
from typing import TypeAlias

import msgspec

from holdfast.crypto import Secret
from holdfast.engine import Origin, Reply, Request, Stream
from holdfast.ha.event import Channel
from holdfast.ha.message import ForwardStream, Message, Peer
from holdfast.ids import Index, Millis, NodeId, Term
from holdfast.replica import Why
from holdfast.storage import Fence


class State(Enum):
    """The life of a node."""

    SEALED = "sealed"
    STANDBY = "standby"                              # forwards everything
    PERFORMANCE_STANDBY = "performance_standby"      # has the second connection: holds a read lease, or asks for one
    TAKING_OVER = "taking_over"                      # has the fence; answers nothing until all of earlier terms is applied
    ACTIVE = "active"
    DRAINING = "draining"                            # grants nothing, ends or outwaits all leases, then gives the fence up


class _Effect(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Base of all."""


class SetLease(_Effect, frozen=True, kw_only=True):
    """The word that this node's processes ask before they read. 0: none, and they stop at once."""

    until_boot_ms: Millis


class SetWatermark(_Effect, frozen=True, kw_only=True):
    """V, for the gate; on the active node also for what waits on the lane. It falls only when a node is unsealed."""

    index: Index


class SetClusterTime(_Effect, frozen=True, kw_only=True):
    """A standby's cluster time is CLOCK_BOOTTIME and this."""

    offset_ms: int


class Send(_Effect, frozen=True, kw_only=True):
    """Over the newest link of this channel with this node; without one it is dropped."""

    node: NodeId
    channel: Channel
    message: Message


class Dial(_Effect, frozen=True, kw_only=True):
    """Open a link to the active node, with this identity (PKCS #8, X.509; DER), to who shows `accepts`; then Connected or Disconnected."""

    node: NodeId
    address: str
    channel: Channel
    name: str
    key: Secret
    certificate: bytes
    accepts: bytes


class HangUp(_Effect, frozen=True, kw_only=True):
    """Close what was dialled on this channel, or is being dialled; no Disconnected follows."""

    node: NodeId
    channel: Channel


class Campaign(_Effect, frozen=True):
    """Wait for the log's lock, if not already; then FenceHeld."""


class StartLane(_Effect, frozen=True, kw_only=True):
    """Go active: the lane runs, others may come in on both channels, and the first batch carries the advertisement."""

    fence: Fence


class DrainLane(_Effect, frozen=True, kw_only=True):
    """The lane takes no more: what comes is handed back (Submitted, RanNot). When it is idle: LaneDrained."""

    fence: Fence


class StopLane(_Effect, frozen=True, kw_only=True):
    """This node runs nothing any more, and nobody comes in. When all fates are known: LaneStopped."""

    fence: Fence


class GiveUp(_Effect, frozen=True, kw_only=True):
    """Give the fence on; when it has gone: FenceGone."""

    fence: Fence
    to: NodeId | None


class Run(_Effect, frozen=True, kw_only=True):
    """Run this here, once in this term: then Ran or RanNot. Its id is in `origin`."""

    request: Request
    why: Why
    origin: Origin
    term: Term


class Answer(_Effect, frozen=True, kw_only=True):
    """Who waits under this ticket gets this. None: nobody does any more; a stream is closed unread."""

    ticket: int | None
    reply: Reply | Stream


class AnswerStream(_Effect, frozen=True, kw_only=True):
    """Who waits under this ticket gets the stream that came with this header. None: nobody waits any more."""

    ticket: int | None
    header: ForwardStream


class Refuse(_Effect, frozen=True, kw_only=True):
    """Who waits under this ticket hears 503 and why. `unsent`: nothing of the request was done, and it was never sent: its client may be
    told of the active node instead."""

    ticket: int
    why: str
    unsent: Request | None = None


class Enrol(_Effect, frozen=True, kw_only=True):
    """Make an identity for this standby, and take it on the performance channel; then Enrolled."""

    peer: Peer


class Changed(_Effect, frozen=True, kw_only=True):
    """The state is another one: publish it."""

    state: State


class Confirm(_Effect, frozen=True, kw_only=True):
    """Begin a round that confirms that this node still leads; when it is over: Confirmed. If it fails: nothing."""

    number: int


class LetRead(_Effect, frozen=True, kw_only=True):
    """The read under this ticket may begin now, whatever the lease word says; its answer still passes the gate."""

    ticket: int


class Left(_Effect, frozen=True):
    """Sealed: nothing here needs the keys any more."""


Effect: TypeAlias = (SetLease | SetWatermark | SetClusterTime | Send | Dial | HangUp | Campaign | StartLane | DrainLane | StopLane | GiveUp
                     | Run | Answer | AnswerStream | Refuse | Enrol | Changed | Confirm | LetRead | Left)
