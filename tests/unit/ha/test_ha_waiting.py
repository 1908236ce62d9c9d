"""What waits at a node whose part in its cluster changes: reads that want a round, and what this node ran for itself."""
from collections.abc import AsyncIterator

import pytest
from tests.unit.ha.machines import FORWARDING, PERFORMANCE, A, Node, advertisement, fence, forwarded, of, peer, sent, submitted

from holdfast.engine import Stream
from holdfast.ha import effect as do
from holdfast.ha import event as saw
from holdfast.ha.effect import State
from holdfast.ha.message import ForwardRefused, ForwardRequest, ReadIndex, ReadIndexAsk
from holdfast.ha.settings import Consistency
from holdfast.ids import Index, Millis, Term
from holdfast.limits import FORWARD_HOLD_MAX_MS


@pytest.fixture
def node() -> Node:
    return Node()


def strict_standby() -> Node:
    """Of three reads one waits for an index, its round being confirmed, one for a round, and one for the round after that."""
    node = Node(consistency=Consistency.STRICT).unseal().perform()
    (first,) = sent(node.step(saw.ReadAsked(ticket=1)), ReadIndexAsk)
    node.hear(ReadIndex(term=Term(3), incarnation=1, number=first.number, index=Index(12)), channel=PERFORMANCE)
    node.step(saw.ReadAsked(ticket=2))
    node.step(saw.ReadAsked(ticket=3))
    return node


def test_reads_that_wait_at_a_standby_are_answered_once_it_is_active_itself() -> None:
    """Those that nothing has confirmed get a round of the new term; none is left to wait for its limit."""
    node = strict_standby()
    node.step(saw.FenceHeld(fence=fence(), index=Index(12), hold_until_boot_ms=Millis(node.now + 180)))
    node.step(saw.ReadAsked(ticket=4))
    assert [effect.ticket for effect in of(node.step(saw.AppliedHere(index=Index(11))), do.LetRead)] == []
    effects = node.step(saw.AppliedHere(index=Index(12)))
    assert node.state is State.ACTIVE
    assert [effect.ticket for effect in of(effects, do.LetRead)] == [1], "its round was confirmed in the term before"
    let: list[int] = []
    while asked := of(effects, do.Confirm):
        effects = node.step(saw.Confirmed(number=asked[0].number))
        let += [effect.ticket for effect in of(effects, do.LetRead)]
    assert sorted(let) == [2, 3, 4]
    assert of(node.wait(FORWARD_HOLD_MAX_MS + 1), do.Refuse) == []


def test_reads_that_wait_while_it_takes_over_wait_no_longer_than_others() -> None:
    node = strict_standby()
    node.step(saw.FenceHeld(fence=fence(), index=Index(12), hold_until_boot_ms=Millis(node.now + 180)))
    assert sorted(effect.ticket for effect in of(node.wait(FORWARD_HOLD_MAX_MS), do.Refuse)) == [1, 2, 3]


def test_a_read_that_waits_at_a_node_that_is_sealed_hears_so() -> None:
    effects = strict_standby().step(saw.SealAsked())
    assert {effect.ticket: effect.why for effect in of(effects, do.Refuse)} == dict.fromkeys((1, 2, 3), "Vault is sealed")


def test_reads_of_an_active_node_that_is_none_any_more_keep_their_time() -> None:
    """They are asked for at the next active node, and have waited since they came here."""
    node = Node(consistency=Consistency.STRICT).unseal().lead()
    node.step(saw.ReadAsked(ticket=1))
    node.step(saw.ReadAsked(ticket=2))
    node.now += FORWARD_HOLD_MAX_MS - 100
    node.step(saw.FenceGone(term=Term(4)))
    node.step(saw.LaneStopped(term=Term(4)))
    assert [effect.ticket for effect in of(node.wait(100), do.Refuse)] == [1, 2]


def test_reads_of_an_active_node_that_steps_down_go_to_the_next() -> None:
    node = Node(consistency=Consistency.STRICT).unseal().lead()
    node.step(saw.ReadAsked(ticket=1))
    node.step(saw.StepDownAsked())
    node.step(saw.ReadAsked(ticket=2))
    node.step(saw.LaneDrained(term=Term(4)))
    node.step(saw.FenceGone(term=Term(4)))
    node.step(saw.LaneStopped(term=Term(4)))
    node.perform(5)
    effects = node.hear(ReadIndex(term=Term(5), incarnation=1, number=1, index=Index(10)), channel=PERFORMANCE)
    assert [effect.ticket for effect in of(effects, do.LetRead)] == [1, 2]


def test_what_this_node_ran_for_itself_is_held_though_its_term_is_over(node: Node) -> None:
    """The lane had stopped before it said so: it is for the next active node, not for nobody."""
    (run,) = of(node.unseal().lead().step(submitted(1)), do.Run)
    node.step(saw.FenceGone(term=Term(4)))
    node.step(saw.LaneStopped(term=Term(4)))
    node.step(saw.RanNot(id=run.origin.id, term=run.term))
    node.step(saw.ActiveSeen(advertisement=advertisement(5)))
    again = sent(node.step(saw.Connected(peer=peer(A), channel=FORWARDING)), ForwardRequest)
    assert run.origin.id in [message.origin.id for message in again]


def led_again() -> tuple[Node, do.Run, do.Run]:
    """Active in term 4, which has ended with two requests at calls to the outside, and in term 5: its own, and another node's."""
    node = Node().unseal().lead()
    (own,) = of(node.step(submitted(1)), do.Run)
    (others,) = of(node.hear(forwarded()), do.Run)
    node.step(saw.FenceGone(term=Term(4)))
    node.step(saw.LaneStopped(term=Term(4)))
    return node.lead(5), own, others


def test_what_came_to_nothing_in_an_earlier_term_runs_in_this_one() -> None:
    """It was held for the term after this one, and its client heard 503 ten seconds later."""
    node, own, _ = led_again()
    (again,) = of(node.step(saw.RanNot(id=own.origin.id, term=own.term)), do.Run)
    assert (again.origin.id, again.term) == (own.origin.id, 5)


def test_what_is_sent_again_in_a_later_term_does_not_wait_for_the_earlier_one() -> None:
    """The call to the outside may take its time; what comes of it then is no refusal in this term."""
    node, _, others = led_again()
    (again,) = of(node.hear(forwarded(term=5)), do.Run)
    assert (again.origin.id, again.term) == (others.origin.id, 5)
    assert of(node.hear(forwarded(term=5)), do.Run) == [], "it is under way"
    assert sent(node.step(saw.RanNot(id=others.origin.id, term=others.term)), ForwardRefused) == []
    assert of(node.hear(forwarded(term=5)), do.Run) == [], "it is under way still"


def test_a_stream_that_this_node_ran_for_itself_reaches_who_waits(node: Node) -> None:
    """A snapshot that was asked for while there was no active node, and this one became it."""

    async def chunks() -> AsyncIterator[bytes]:
        yield b""

    node.unseal().step(submitted(1))
    (run,) = of(node.step(saw.FenceHeld(fence=fence(), index=Index(10), hold_until_boot_ms=Millis(node.now + 180))), do.Run)
    stream = Stream(status=200, content_type="application/gzip", chunks=chunks())
    (answer,) = of(node.step(saw.Ran(id=run.origin.id, reply=stream)), do.Answer)
    assert (answer.ticket, answer.reply) == (1, stream)
    (nobody,) = of(node.step(saw.Ran(id=run.origin.id, reply=stream)), do.Answer)
    assert nobody.ticket is None, "whoever it was has gone: the driver closes it"


def test_only_what_was_never_sent_may_be_asked_for_elsewhere(node: Node) -> None:
    """A request whose fate is unknown must not reach the active node by another way."""
    node.unseal().connect().step(submitted(1))
    node.step(saw.Disconnected(node=A, channel=FORWARDING))
    node.step(submitted(2))
    refused = {effect.ticket: effect.unsent for effect in of(node.wait(FORWARD_HOLD_MAX_MS + 1), do.Refuse)}
    assert refused[1] is None
    assert refused[2] is not None
