"""Requests between nodes: what this node's clients want of the active one, and what others want of this one while it is active.

Invariants: (1) a request runs only on the active node of the term that it was sent for, and only if its id is its sender's; (2) each one
that was taken ends in one answer, one refusal, or is held for the next active node; (3) this node's own run under its ids as others' do, so
that a successor finds their records.
"""
from collections.abc import Callable
from typing import TypeAlias

from holdfast.engine import Reply, WriteId
from holdfast.ha.effect import Answer, AnswerStream, Effect, Refuse, Run, Send
from holdfast.ha.event import Channel, Ran, Submitted
from holdfast.ha.forward import Outbox, Refusal
from holdfast.ha.inbox import Inbox, Taken
from holdfast.ha.message import ForwardRefused, ForwardReply, ForwardRequest, ForwardStream, Peer
from holdfast.ha.settings import Settings
from holdfast.ids import Millis, Term

Emit: TypeAlias = Callable[[Effect], None]
FULL = "the active node has too many requests under way"


class Requests:
    """`outbox` is shared with the standby's part, which sends what it holds."""

    def __init__(self, settings: Settings, outbox: Outbox, emit: Emit) -> None:
        self._node, self._outbox, self._emit = settings.node, outbox, emit
        self._inbox = Inbox()

    # Of this node's clients

    def submit(self, event: Submitted, now: Millis) -> None:
        """Held from now on; or refused, past a bound."""
        refusal = self._outbox.submit(event.ticket, event.request, event.why, event.reply_key, now)
        if refusal is not None:
            self._refuse((refusal,))

    def run_held(self, term: Term) -> None:
        """What this node held for an active one, while it is active itself."""
        for message in self._outbox.send_held(term):
            taken = self._inbox.take(message)
            if taken is Taken.RUN:
                self._emit(Run(request=message.request, why=message.why, origin=message.origin, term=message.term))
            elif taken is Taken.FULL:
                self._refused_for_good(message.origin.id, FULL)

    def answered(self, message: ForwardReply | ForwardStream) -> None:
        """By the active node."""
        ticket = self._outbox.answered(message.id)
        if isinstance(message, ForwardStream):
            self._emit(AnswerStream(ticket=ticket, header=message))
        elif ticket is not None:
            self._emit(Answer(ticket=ticket, reply=message.reply))

    def refused(self, message: ForwardRefused, term: Term, now: Millis) -> None:
        """By who was, or should be, active in this term."""
        if message.hold:
            self._outbox.hold(message.id, term, now)
        else:
            self._refused_for_good(message.id, message.why)

    def tick(self, now: Millis) -> None:
        self._refuse(self._outbox.tick(now))

    def refuse_all(self, why: str) -> None:
        self._refuse(self._outbox.refuse_all(why))

    # Of other nodes

    def asked_to_run(self, peer: Peer, message: ForwardRequest, active_in: Term | None) -> None:
        """`active_in`: None where this node is not active."""
        id = message.origin.id
        if id.node != peer.node or id.incarnation != peer.incarnation:
            self._refuse_to_run(id, "the request's id is another node's", to=peer, hold=False)
        elif message.term != active_in:
            self._refuse_to_run(id, "this node is not active in that term", to=peer, hold=True)
        else:
            taken = self._inbox.take(message)
            if taken is Taken.RUN:
                self._emit(Run(request=message.request, why=message.why, origin=message.origin, term=message.term))
            elif taken is Taken.FULL:
                self._refuse_to_run(id, FULL, to=peer, hold=False)

    # What became of a Run

    def ran(self, event: Ran) -> None:
        self._inbox.done(event.id)
        if event.id.node == self._node:
            ticket = self._outbox.answered(event.id)
            if event.reply is not None:
                self._emit(Answer(ticket=ticket, reply=event.reply))
        elif isinstance(event.reply, Reply):
            self._emit(Send(node=event.id.node, channel=Channel.FORWARDING, message=ForwardReply(id=event.id, reply=event.reply)))

    def ran_not(self, id: WriteId, term: Term, now: Millis, *, active_in: Term | None) -> None:
        """`term`: in which it was to run. `active_in`: as in `asked_to_run`. In a later term its sender asks again, or has done so:
        it would take a refusal for one of that term."""
        self._inbox.done_not(id, term)
        if id.node == self._node:
            self._outbox.hold(id, term, now)
        elif active_in is None or active_in == term:
            self._refuse_to_run(id, "this node is not active any more", to=Peer(id.node, id.incarnation), hold=True)

    def forget(self, id: WriteId) -> None:
        """It ended after this node was sealed."""
        self._inbox.done(id)

    def _refused_for_good(self, id: WriteId, why: str) -> None:
        ticket = self._outbox.answered(id)
        if ticket is not None:
            self._emit(Refuse(ticket=ticket, why=why))

    def _refuse_to_run(self, id: WriteId, why: str, *, to: Peer, hold: bool) -> None:
        self._emit(Send(node=to.node, channel=Channel.FORWARDING, message=ForwardRefused(id=id, hold=hold, why=why)))

    def _refuse(self, refusals: tuple[Refusal, ...]) -> None:
        for refusal in refusals:
            self._emit(Refuse(ticket=refusal.ticket, why=refusal.why, unsent=refusal.unsent))
