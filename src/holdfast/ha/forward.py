"""The node of entry's side of forwarding: what its clients asked for and the active node has not answered yet.

Invariants:
1. Each request has one id for ever, (node, incarnation, sequence), and is sent with the same id, digest and reply key however often.
2. Nothing is dropped because a connection broke or the active node changed: it is held, and sent to whoever is active next.
3. What is held is bounded in number, in bytes and in time; past a bound its client hears why.
4. No id at or above the floor has been given up; below it none is ever sent again.
5. A client that has gone takes back nothing: what was sent may have been done. It is only not sent again.

What was sent once and is sent again goes to the lane straight away (Why.WRITE): there its record is found, if it was done.
"""
import hashlib

import msgspec

from holdfast.crypto import Secret
from holdfast.engine import Origin, Request, WriteId
from holdfast.ha.message import ForwardRequest
from holdfast.ids import Millis, NodeId, Term
from holdfast.limits import FORWARD_HOLD_MAX_MS, FORWARDS_HELD_MAX, FORWARDS_HELD_MAX_BYTES
from holdfast.replica import Why

TOO_MANY = "too many requests wait for the active node"
NO_ACTIVE = "no active Vault instance found"
NO_ANSWER = "the active node has gone, and none has answered in its place: what was asked for may have been done"

_encode = msgspec.msgpack.Encoder().encode


def digest(request: Request) -> bytes:
    """SHA-256 of all that a request says."""
    return hashlib.sha256(_encode(request)).digest()


class Pending(msgspec.Struct, eq=False):
    """A request that has no answer yet."""

    ticket: int
    request: Request
    why: Why
    digest: bytes
    reply_key: Secret
    was_sent: bool = False
    not_in: Term | None = None                       # the active node of this term did not do it, and will not


class Refusal(msgspec.Struct, frozen=True):
    """What the client of this ticket hears, with 503. `unsent`: the request, if it was held for too long and never sent."""

    ticket: int
    why: str
    unsent: Request | None = None


class Outbox:
    """`ticket` is the caller's own name for who waits."""

    def __init__(self, node: NodeId, incarnation: int) -> None:
        self._node, self._incarnation = node, incarnation
        self._sequence = 0
        self._floor = 1
        self._pending: dict[int, Pending] = {}           # by sequence
        self._held: dict[int, Millis] = {}               # sequences that no active node has, and since when; oldest first
        self._by_ticket: dict[int, int] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._pending)

    @property
    def floor(self) -> int:
        """Every answer below has arrived, or will not be asked for again."""
        while self._floor <= self._sequence and self._floor not in self._pending:
            self._floor += 1
        return self._floor

    @property
    def next_tick(self) -> Millis | None:
        """When something has been held for too long."""
        oldest = next(iter(self._held.values()), None)
        return None if oldest is None else Millis(oldest + FORWARD_HOLD_MAX_MS)

    def submit(self, ticket: int, request: Request, why: Why, reply_key: Secret, now: Millis) -> Refusal | None:
        """It is held from now on, until it is sent. `reply_key`: 32 fresh random bytes."""
        if len(self._pending) >= FORWARDS_HELD_MAX or self._bytes + len(request.body) > FORWARDS_HELD_MAX_BYTES:
            return Refusal(ticket, TOO_MANY)
        self._sequence += 1
        self._pending[self._sequence] = Pending(ticket, request, why, digest(request), reply_key)
        self._held[self._sequence] = now
        self._by_ticket[ticket] = self._sequence
        self._bytes += len(request.body)
        return None

    def send_held(self, term: Term) -> tuple[ForwardRequest, ...]:
        """Messages for the active node of this term, in order: it has them from now on."""
        if not self._held:
            return ()
        sent = sorted(sequence for sequence in self._held if self._pending[sequence].not_in != term)
        return tuple(self._send(sequence, term) for sequence in sent)

    def hold_all(self, now: Millis) -> None:
        """The active node has gone, or cannot be heard."""
        for sequence in self._pending:
            self._held.setdefault(sequence, now)

    def hold(self, id: WriteId, term: Term | None, now: Millis) -> None:
        """It was not done in this term, and will not be. None: in one that is over."""
        pending = self._pending.get(id.sequence) if self._is_own(id) else None
        if pending is not None:
            pending.not_in = term
            self._held.setdefault(id.sequence, now)

    def answered(self, id: WriteId) -> int | None:
        """The ticket of who waits; None: nobody does any more."""
        return self._end(id.sequence).ticket if self._is_own(id) and id.sequence in self._pending else None

    def cancel(self, ticket: int) -> None:
        """Who waited has gone."""
        sequence = self._by_ticket.get(ticket)
        if sequence is not None:
            self._end(sequence)

    def tick(self, now: Millis) -> tuple[Refusal, ...]:
        """Who has waited for too long."""
        late: list[int] = []
        for sequence, since in self._held.items():
            if now - since < FORWARD_HOLD_MAX_MS:
                break
            late.append(sequence)
        return tuple(self._give_up(sequence) for sequence in late)

    def refuse_all(self, why: str) -> tuple[Refusal, ...]:
        """This node takes no part any more."""
        return tuple(Refusal(self._end(sequence).ticket, why) for sequence in tuple(self._pending))

    def _send(self, sequence: int, term: Term) -> ForwardRequest:
        pending = self._pending[sequence]
        why = Why.WRITE if pending.was_sent else pending.why
        pending.was_sent = True
        del self._held[sequence]
        origin = Origin(id=WriteId(node=self._node, incarnation=self._incarnation, sequence=sequence), digest=pending.digest,
                        floor=self.floor, reply_key=pending.reply_key)
        return ForwardRequest(term=term, request=pending.request, why=why, origin=origin)

    def _give_up(self, sequence: int) -> Refusal:
        pending = self._end(sequence)
        return Refusal(pending.ticket, NO_ANSWER) if pending.was_sent else Refusal(pending.ticket, NO_ACTIVE, pending.request)

    def _end(self, sequence: int) -> Pending:
        pending = self._pending.pop(sequence)
        self._held.pop(sequence, None)
        self._by_ticket.pop(pending.ticket, None)
        self._bytes -= len(pending.request.body)
        return pending

    def _is_own(self, id: WriteId) -> bool:
        return id.node == self._node and id.incarnation == self._incarnation
