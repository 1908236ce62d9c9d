"""What nodes say to each other. `cluster` carries each message as one bounded frame, and knows none of them.

A message is a msgpack map of its fields' names; its kind, which the frame carries, says which one. So a node one version apart is
understood: a field that is not known is passed over, one that is missing has a default. Fields and kinds are added, never changed or used
again; frames of every version that was ever released are kept under tests/fixtures/frames.

| connection | from the standby | from the active node |
| --- | --- | --- |
| forwarding | ForwardRequest, Candidate, Echo | ForwardReply, ForwardStream, ForwardRefused, Selected, Refused, EchoReply |
| performance standby | LeaseAsk, LeaseRelease, Applied, ReadIndexAsk | LeaseGrant, LeaseRecall, Update, ReadIndex |
"""
from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Annotated, Final, TypeAlias

import msgspec

from holdfast.crypto import Secret
from holdfast.engine import Origin, Reply, Request, WriteId
from holdfast.errors import IntegrityError, InvariantError
from holdfast.ids import Index, Millis, NodeId, Term
from holdfast.limits import FORWARD_MAX_BYTES, HA_MESSAGE_MAX_BYTES, HA_STREAM_HEADER_MAX_BYTES
from holdfast.replica import Why

_WITHIN = msgspec.Meta(ge=0, le=1 << 62)               # what shared words and keys of the store can hold
Natural = Annotated[int, _WITHIN]
WireTerm = Annotated[Term, _WITHIN]
WireIndex = Annotated[Index, _WITHIN]
WireMillis = Annotated[Millis, _WITHIN]


class Peer(msgspec.Struct, frozen=True, order=True):
    """One run of another node's process: mutual TLS proves the membership, the hello tells the rest."""

    node: NodeId
    incarnation: int


class Kind(IntEnum):
    """Of a frame. Never used again for something else."""

    FORWARD_REQUEST = 1
    FORWARD_REPLY = 2
    FORWARD_STREAM = 3
    FORWARD_REFUSED = 4
    CANDIDATE = 5
    SELECTED = 6
    REFUSED = 7
    ECHO = 8
    ECHO_REPLY = 9
    LEASE_ASK = 16
    LEASE_GRANT = 17
    LEASE_RELEASE = 18
    LEASE_RECALL = 19
    APPLIED = 20
    UPDATE = 21
    READ_INDEX_ASK = 22
    READ_INDEX = 23


class ForwardRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Standby to active: run this once. Counted and rate-limited where it came in, audited where it is run. Another term's is refused."""

    term: WireTerm
    request: Request
    why: Why
    origin: Origin


class ForwardReply(msgspec.Struct, frozen=True, kw_only=True):
    """All that the reply depends on is durable and at every leaseholder."""

    id: WriteId
    reply: Reply


class ForwardStream(msgspec.Struct, frozen=True, kw_only=True):
    """The header of a stream that is the answer; the port carries its chunks."""

    id: WriteId
    status: int
    content_type: str
    headers: tuple[tuple[str, str], ...] = ()


class ForwardRefused(msgspec.Struct, frozen=True, kw_only=True):
    """It did not run here, and will not. `hold`: for the next active node; else the client hears `why`."""

    id: WriteId
    hold: bool
    why: str


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A standby asks to become a performance standby."""

    term: WireTerm
    incarnation: Natural


class Selected(msgspec.Struct, frozen=True, kw_only=True):
    """Yes: with this new key and certificate (PKCS #8 and X.509, DER) open the second connection, to who shows `active_certificate`."""

    term: WireTerm
    incarnation: Natural
    name: str
    key: Secret
    certificate: bytes
    active_certificate: bytes


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """No. `final`: not in this term; else ask again later."""

    term: WireTerm
    final: bool
    why: str


class Echo(msgspec.Struct, frozen=True, kw_only=True):
    """What a standby tells of itself, every five seconds. `took_ms` and `skew_ms` are of the echo before this one."""

    number: Natural
    wall_ms: WireMillis
    hostname: str = ""
    api_address: str = ""
    cluster_address: str = ""
    version: str = ""
    performance_standby: bool = False
    applied: WireIndex = Index(0)
    raft_applied: Natural = 0
    took_ms: Natural = 0
    skew_ms: int = 0                                 # the active node's clock is so far ahead


class EchoReply(msgspec.Struct, frozen=True, kw_only=True):
    """`wall_ms`: of the active node when it answered; `now_ms`: cluster time then, 0: not told."""

    number: Natural
    wall_ms: WireMillis
    now_ms: WireMillis = Millis(0)
    version: str = ""
    applied: WireIndex = Index(0)
    raft_applied: Natural = 0


class LeaseAsk(msgspec.Struct, frozen=True, kw_only=True):
    """`applied` as of sending. The asker counts from when it asked."""

    term: WireTerm
    incarnation: Natural
    serial: Natural
    applied: WireIndex


class LeaseGrant(msgspec.Struct, frozen=True, kw_only=True):
    """For the ask of this serial. `now_ms` is cluster time."""

    term: WireTerm
    incarnation: Natural
    serial: Natural
    length_ms: Natural
    watermark: WireIndex
    now_ms: WireMillis


class LeaseRelease(msgspec.Struct, frozen=True, kw_only=True):
    """Sent after the workers' lease word is zero. Voids every ask up to this serial, whether answered or under way."""

    term: WireTerm
    incarnation: Natural
    serial: Natural


class LeaseRecall(msgspec.Struct, frozen=True, kw_only=True):
    """The active node is about to give its fence on: release what you hold, and ask no more in this term."""

    term: WireTerm


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """The standby's replica has everything up to `index`: any process of its node reads it."""

    term: WireTerm
    incarnation: Natural
    index: WireIndex


class Update(msgspec.Struct, frozen=True, kw_only=True):
    """V has risen. The batches themselves come with the log."""

    term: WireTerm
    watermark: WireIndex


class ReadIndexAsk(msgspec.Struct, frozen=True, kw_only=True):
    """`consistency = "strict"`: what must a read that begins now see? `number` grows."""

    term: WireTerm
    incarnation: Natural
    number: Natural


class ReadIndex(msgspec.Struct, frozen=True, kw_only=True):
    """Confirmed by a majority after the ask came: everything up to `index`. Answers every ask up to `number`. `now_ms` is cluster time; 0:
    not told."""

    term: WireTerm
    incarnation: Natural
    number: Natural
    index: WireIndex
    now_ms: WireMillis = Millis(0)


Message: TypeAlias = (ForwardRequest | ForwardReply | ForwardStream | ForwardRefused | Candidate | Selected | Refused | Echo | EchoReply
                      | LeaseAsk | LeaseGrant | LeaseRelease | LeaseRecall | Applied | Update | ReadIndexAsk | ReadIndex)

_OF: Final[Mapping[type[Message], Kind]] = {
    ForwardRequest: Kind.FORWARD_REQUEST,
    ForwardReply: Kind.FORWARD_REPLY,
    ForwardStream: Kind.FORWARD_STREAM,
    ForwardRefused: Kind.FORWARD_REFUSED,
    Candidate: Kind.CANDIDATE,
    Selected: Kind.SELECTED,
    Refused: Kind.REFUSED,
    Echo: Kind.ECHO,
    EchoReply: Kind.ECHO_REPLY,
    LeaseAsk: Kind.LEASE_ASK,
    LeaseGrant: Kind.LEASE_GRANT,
    LeaseRelease: Kind.LEASE_RELEASE,
    LeaseRecall: Kind.LEASE_RECALL,
    Applied: Kind.APPLIED,
    Update: Kind.UPDATE,
    ReadIndexAsk: Kind.READ_INDEX_ASK,
    ReadIndex: Kind.READ_INDEX,
}
FORWARDING_BOUNDS: Final[Mapping[int, int]] = {
    Kind.FORWARD_REQUEST: FORWARD_MAX_BYTES,
    Kind.FORWARD_REPLY: FORWARD_MAX_BYTES,
    Kind.FORWARD_STREAM: HA_STREAM_HEADER_MAX_BYTES,
    Kind.FORWARD_REFUSED: HA_MESSAGE_MAX_BYTES,
    Kind.CANDIDATE: HA_MESSAGE_MAX_BYTES,
    Kind.SELECTED: HA_MESSAGE_MAX_BYTES,
    Kind.REFUSED: HA_MESSAGE_MAX_BYTES,
    Kind.ECHO: HA_MESSAGE_MAX_BYTES,
    Kind.ECHO_REPLY: HA_MESSAGE_MAX_BYTES,
}
PERFORMANCE_BOUNDS: Final[Mapping[int, int]] = {
    Kind.LEASE_ASK: HA_MESSAGE_MAX_BYTES,
    Kind.LEASE_GRANT: HA_MESSAGE_MAX_BYTES,
    Kind.LEASE_RELEASE: HA_MESSAGE_MAX_BYTES,
    Kind.LEASE_RECALL: HA_MESSAGE_MAX_BYTES,
    Kind.APPLIED: HA_MESSAGE_MAX_BYTES,
    Kind.UPDATE: HA_MESSAGE_MAX_BYTES,
    Kind.READ_INDEX_ASK: HA_MESSAGE_MAX_BYTES,
    Kind.READ_INDEX: HA_MESSAGE_MAX_BYTES,
}
BOUNDS: Final[Mapping[int, int]] = {**FORWARDING_BOUNDS, **PERFORMANCE_BOUNDS}
"""Kind to the largest body in bytes; the two before it are of one kind of connection each."""

_encode = msgspec.msgpack.Encoder().encode
_decoders: Final[Mapping[int, Callable[[bytes], Message]]] = {
    kind: msgspec.msgpack.Decoder(of).decode for of, kind in _OF.items()}


def encode(message: Message) -> tuple[int, bytes]:
    """Its kind and body. InvariantError: larger than anything that was let in can make it."""
    kind = _OF[type(message)]
    body = _encode(message)
    if len(body) > BOUNDS[kind]:
        raise InvariantError(f"a {kind.name} of {len(body)} bytes: the limit is {BOUNDS[kind]}")
    return int(kind), body


def decode(kind: int, body: bytes) -> Message:
    """IntegrityError: not what any version encodes, so the connection is to be ended with these words."""
    decoder = _decoders.get(kind)
    if decoder is None:
        raise IntegrityError(f"a message of kind {kind} is not known")
    if len(body) > BOUNDS[kind]:
        raise IntegrityError(f"a {Kind(kind).name} of {len(body)} bytes: the limit is {BOUNDS[kind]}")
    try:
        return decoder(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise IntegrityError(f"a {Kind(kind).name} cannot be read: {error}") from error
