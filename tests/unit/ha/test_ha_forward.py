"""What waits at the node of entry, and what is under way at the active node."""
import pytest

from holdfast.crypto import Secret
from holdfast.engine import Client, Method, Request, WriteId
from holdfast.ha import forward, inbox
from holdfast.ha.forward import NO_ACTIVE, NO_ANSWER, TOO_MANY, Outbox, Refusal, digest
from holdfast.ha.inbox import Inbox, Taken
from holdfast.ha.message import ForwardRequest
from holdfast.ids import Millis, NodeId, RequestId, Term
from holdfast.limits import FORWARD_HOLD_MAX_MS, FORWARDS_HELD_MAX
from holdfast.replica import Why

NOW, TERM, NEXT = Millis(1_000), Term(3), Term(4)
B = NodeId("b")


def request(path: str = "secret/data/a", body: bytes = b"{}") -> Request:
    return Request(id=RequestId("r"), method=Method.POST, path=path, body=body, client=Client(address="10.0.0.1"))


def write_id(sequence: int, *, node: str = "b", incarnation: int = 7) -> WriteId:
    return WriteId(node=NodeId(node), incarnation=incarnation, sequence=sequence)


@pytest.fixture
def outbox() -> Outbox:
    return Outbox(B, 7)


def submit(outbox: Outbox, ticket: int, now: int = NOW, why: Why = Why.WRITE, body: bytes = b"{}") -> Refusal | None:
    return outbox.submit(ticket, request(body=body), why, Secret(bytes([ticket % 256]) * 32), Millis(now))


def sent(outbox: Outbox, term: Term = TERM) -> list[int]:
    return [message.origin.id.sequence for message in outbox.send_held(term)]


def test_a_request_is_sent_once_to_the_active_node(outbox: Outbox) -> None:
    assert submit(outbox, 1) is None
    (message,) = outbox.send_held(TERM)
    assert (message.term, message.why, message.origin.id, message.origin.floor) == (TERM, Why.WRITE, write_id(1), 1)
    assert message.origin.digest == digest(request())
    assert message.origin.reply_key == Secret(b"\x01" * 32)
    assert outbox.send_held(TERM) == ()
    assert outbox.next_tick is None, "the active node has it: no limit counts here"


def test_what_is_sent_again_is_the_same_under_the_same_id_and_goes_to_the_lane(outbox: Outbox) -> None:
    submit(outbox, 1, why=Why.NO_LEASE)
    (first,) = outbox.send_held(TERM)
    outbox.hold_all(NOW)
    (second,) = outbox.send_held(NEXT)
    assert first.why is Why.NO_LEASE
    assert second.why is Why.WRITE, "its record is looked for before anything else"
    assert second.term == NEXT
    assert (second.request, second.origin) == (first.request, first.origin)


def test_all_is_sent_in_order_to_the_successor(outbox: Outbox) -> None:
    for ticket in range(1, 6):
        submit(outbox, ticket)
    assert sent(outbox) == [1, 2, 3, 4, 5]
    outbox.answered(write_id(2))
    outbox.hold_all(NOW)
    submit(outbox, 6)
    assert sent(outbox, NEXT) == [1, 3, 4, 5, 6]


def test_what_was_refused_is_held_for_the_next_term(outbox: Outbox) -> None:
    submit(outbox, 1)
    submit(outbox, 2)
    sent(outbox)
    outbox.hold(write_id(1), TERM, NOW)
    assert sent(outbox) == [], "this active node would refuse it again"
    assert sent(outbox, NEXT) == [1]


def test_an_answer_goes_to_who_waits_once(outbox: Outbox) -> None:
    submit(outbox, 9)
    sent(outbox)
    assert outbox.answered(write_id(1, node="c")) is None
    assert outbox.answered(write_id(1, incarnation=6)) is None
    assert outbox.answered(write_id(2)) is None
    assert outbox.answered(write_id(1)) == 9
    assert outbox.answered(write_id(1)) is None
    assert len(outbox) == 0


def test_the_floor_is_below_all_that_may_be_sent_again(outbox: Outbox) -> None:
    assert outbox.floor == 1
    for ticket in range(1, 5):
        submit(outbox, ticket)
    sent(outbox)
    for answered, floor in ((2, 1), (1, 3), (4, 3), (3, 5)):
        outbox.answered(write_id(answered))
        assert outbox.floor == floor
    submit(outbox, 5)
    assert outbox.floor == 5


def test_a_client_that_has_gone_is_not_sent_for_again(outbox: Outbox) -> None:
    submit(outbox, 1)
    submit(outbox, 2)
    sent(outbox)
    outbox.cancel(1)
    outbox.cancel(77)
    outbox.hold_all(NOW)
    assert sent(outbox, NEXT) == [2]
    assert outbox.floor == 2
    assert outbox.answered(write_id(1)) is None


def test_nobody_waits_longer_than_the_limit_without_an_active_node(outbox: Outbox) -> None:
    submit(outbox, 1)
    submit(outbox, 2, NOW + 5)
    assert outbox.next_tick == NOW + FORWARD_HOLD_MAX_MS
    assert outbox.tick(Millis(NOW + FORWARD_HOLD_MAX_MS - 1)) == ()
    (first,) = outbox.tick(Millis(NOW + FORWARD_HOLD_MAX_MS))
    (second,) = outbox.tick(Millis(NOW + FORWARD_HOLD_MAX_MS + 5))
    assert [(each.ticket, each.why) for each in (first, second)] == [(1, NO_ACTIVE), (2, NO_ACTIVE)]
    assert first.unsent is not None, "it was never sent: its client may ask the active node itself"
    assert (len(outbox), outbox.floor, outbox.next_tick) == (0, 3, None)


def test_who_may_have_been_served_is_told_so_and_sent_nowhere(outbox: Outbox) -> None:
    submit(outbox, 1)
    sent(outbox)
    outbox.hold_all(Millis(NOW + 500))
    assert outbox.tick(Millis(NOW + FORWARD_HOLD_MAX_MS)) == ()
    assert outbox.tick(Millis(NOW + 500 + FORWARD_HOLD_MAX_MS)) == (Refusal(1, NO_ANSWER),)


def test_held_is_bounded_in_number_and_bytes(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    assert FORWARDS_HELD_MAX > 1_000
    monkeypatch.setattr(forward, "FORWARDS_HELD_MAX", 3)
    for ticket in range(1, 4):
        assert submit(outbox, ticket) is None
    assert submit(outbox, 4) == Refusal(4, TOO_MANY)
    outbox.cancel(2)
    assert submit(outbox, 5) is None
    monkeypatch.setattr(forward, "FORWARDS_HELD_MAX", 100)
    monkeypatch.setattr(forward, "FORWARDS_HELD_MAX_BYTES", 16)
    assert submit(outbox, 6, body=b"0123456789") is None
    assert submit(outbox, 7, body=b"x") == Refusal(7, TOO_MANY)
    sent(outbox)
    outbox.answered(write_id(5))
    assert submit(outbox, 8, body=b"x") is None


def test_all_hear_why_when_the_node_is_sealed(outbox: Outbox) -> None:
    submit(outbox, 1)
    sent(outbox)
    submit(outbox, 2)
    assert outbox.refuse_all("Vault is sealed") == (Refusal(1, "Vault is sealed"), Refusal(2, "Vault is sealed"))
    assert len(outbox) == 0


def test_every_part_of_a_request_is_in_its_digest() -> None:
    plain = request()
    others = [request(path="secret/data/b"), request(body=b"[]")]
    assert len({digest(one) for one in (plain, *others)}) == 3
    assert digest(plain) == digest(request())


# The active node's side

def incoming(outbox: Outbox) -> ForwardRequest:
    (message,) = outbox.send_held(TERM)
    return message


def test_what_is_under_way_is_joined(outbox: Outbox) -> None:
    taken = Inbox()
    submit(outbox, 1)
    message = incoming(outbox)
    assert taken.take(message) is Taken.RUN
    assert taken.take(message) is Taken.JOINED
    assert len(taken) == 1
    taken.done(message.origin.id)
    taken.done(message.origin.id)
    assert len(taken) == 0
    assert taken.take(message) is Taken.RUN, "the lane finds its record"


def test_what_is_under_way_is_bounded(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = Inbox()
    for ticket in range(1, 5):
        submit(outbox, ticket, body=b"12345")
    messages = outbox.send_held(TERM)
    monkeypatch.setattr(inbox, "INBOX_MAX", 2)
    assert [taken.take(message) for message in messages[:3]] == [Taken.RUN, Taken.RUN, Taken.FULL]
    monkeypatch.setattr(inbox, "INBOX_MAX", 100)
    monkeypatch.setattr(inbox, "INBOX_MAX_BYTES", 12)
    assert taken.take(messages[2]) is Taken.FULL
    taken.done(messages[0].origin.id)
    assert taken.take(messages[2]) is Taken.RUN
