"""The native node: what it takes from the network, and what it does not. A panic in it would end this process."""
from random import Random

import pytest

from holdfast._native import RaftError, RaftNode, raft_entries, raft_first_entry
from holdfast.storage.raft.driver import Kind

APPEND, RESPONSE, VOTE, SNAPSHOT, HEARTBEAT, TRANSFER, TIMEOUT_NOW, PRE_VOTE = 3, 4, 5, 7, 8, 13, 14, 17


def node(own: int, *, term: int = 1) -> RaftNode:
    return RaftNode(id=own, hard_state=(term, 0, 0), voters=[1, 2, 3], learners=[], base=(0, 0), entries=[], election_ticks=10,
                    heartbeat_ticks=2, message_bytes=1 << 20, uncommitted_bytes=1 << 29, inflight=64, chunk_bytes=1 << 22)


def message(kind: int, *, sender: int = 2, to: int = 1, term: int = 1, log_term: int = 0, index: int = 0, commit: int = 0,
            context: bytes = b"", entries: tuple[bytes, ...] = ()) -> bytes:
    """raft's `Message` in protobuf, numbers below 128 only."""
    numbers = ((1, kind), (2, to), (3, sender), (4, term), (5, log_term), (6, index), (8, commit))
    found = b"".join(bytes((field << 3, value)) for field, value in numbers if value)
    found += b"".join(bytes((7 << 3 | 2, len(entry))) + entry for entry in entries)
    return found + (bytes((12 << 3 | 2, len(context))) + context if context else b"")


def entry(index: int, term: int, data: bytes = b"x") -> bytes:
    return bytes((2 << 3, term, 3 << 3, index, 4 << 3 | 2, len(data))) + data


def settle(nodes: dict[int, RaftNode]) -> None:
    """Delivers until nobody has anything to say; a state arrives at once."""
    while said := [(sender, *one) for sender, each in nodes.items() for one in drain_kinds(each)]:
        for sender, to, kind, data in said:
            if to in nodes:
                nodes[to].step(data, False, kind == SNAPSHOT)
                if kind == SNAPSHOT:
                    nodes[sender].report_snapshot(to, True)


def drain(one: RaftNode) -> list[tuple[int, bytes]]:
    return [(to, data) for to, _, data in drain_kinds(one)]


def drain_kinds(one: RaftNode) -> list[tuple[int, int, bytes]]:
    found: list[tuple[int, int, bytes]] = []
    while (ready := one.ready()) is not None:
        found += [*ready.messages, *ready.messages_after]
        one.persisted(ready.number)
    return found


@pytest.mark.parametrize("kind", [0, 1, 2, 10, 11, 12, TRANSFER, 15, 16, SNAPSHOT])
def test_what_only_this_node_or_a_client_may_say_is_not_taken_from_the_network(kind: int) -> None:
    assert node(1).step(message(kind, entries=(entry(1, 1),)), False)[0] == Kind.DROPPED


@pytest.mark.parametrize("data", [
    b"", b"\xff" * 40, message(APPEND)[:-1], message(HEARTBEAT, term=0), message(HEARTBEAT, to=3), message(HEARTBEAT, sender=1),
    message(HEARTBEAT, commit=9), message(APPEND, index=9), message(APPEND, log_term=1), message(APPEND, entries=(entry(2, 1),)),
    message(APPEND, entries=(entry(1, 0),)), message(APPEND, entries=(entry(1, 2),)), message(RESPONSE, index=9),
])
def test_what_no_member_says_is_not_taken(data: bytes) -> None:
    one = node(1)
    assert one.step(data, False)[0] == Kind.DROPPED
    assert one.step(message(APPEND, entries=(entry(1, 1),)), False) == (APPEND, 2, True), "and changes nothing"


def test_an_entry_that_contradicts_a_committed_one_is_not_taken() -> None:
    one = node(1)
    assert one.step(message(APPEND, commit=1, entries=(entry(1, 1),)), False)[0] == APPEND
    drain(one)
    assert one.step(message(APPEND, term=2, entries=(entry(1, 2),)), False)[0] == Kind.DROPPED


@pytest.mark.parametrize("kind", [VOTE, PRE_VOTE])
def test_rule_8_while_the_gate_is_shut_only_a_transfer_gets_a_vote(kind: int) -> None:
    asked = message(kind, term=2, log_term=1, index=1)
    assert node(1).step(asked, True)[0] == Kind.DROPPED
    assert node(1).step(asked, False)[0] == kind
    assert node(1).step(message(VOTE, term=2, context=b"CampaignTransfer"), True)[0] == VOTE


def test_a_leader_is_heard_in_its_term_and_not_after() -> None:
    one = node(1, term=3)
    assert one.step(message(HEARTBEAT, term=3), False) == (HEARTBEAT, 2, True)
    assert one.step(message(HEARTBEAT, term=2), False) == (HEARTBEAT, 2, False)


def test_only_the_leader_of_the_named_term_takes_a_proposal() -> None:
    nodes = {number: node(number) for number in (1, 2, 3)}
    assert nodes[1].propose(b"x", 1) is None
    nodes[1].campaign()
    settle(nodes)
    assert nodes[1].status[:3] == (2, 1, 2)
    assert nodes[1].propose(b"x", 1) is None
    assert nodes[1].propose(b"x", 2) == 2
    assert nodes[1].propose_change(2, 9, b"c", 2) == 3
    assert nodes[1].propose_change(2, 8, b"c", 2) is None, "the one before it is not applied"
    settle(nodes)
    assert nodes[1].entries(0, 9, 1 << 20) == [(1, 2, 0, b""), (2, 2, 0, b"x"), (3, 2, 1, b"c")]
    nodes[1].transfer_leader(2)
    assert nodes[1].propose(b"x", 2) is None
    settle(nodes)
    assert nodes[2].status[:3] == (3, 2, 2)


def leader_and_followers() -> dict[int, RaftNode]:
    nodes = {number: node(number) for number in (1, 2, 3)}
    nodes[1].campaign()
    settle(nodes)
    nodes[1].broadcast()
    settle(nodes)
    return nodes


def test_what_is_committed_is_told_without_an_answer_to_who_has_it() -> None:
    nodes = leader_and_followers()
    assert nodes[1].propose(b"x", 2) == 2
    settle(nodes)
    assert [each.status[3] for each in nodes.values()] == [2, 1, 1]
    nodes[1].broadcast()
    for to, data in drain(nodes[1]):
        assert nodes[to].step(data, False) == (APPEND, 1, True)
        assert drain(nodes[to]) == []
        assert nodes[to].status[3] == 2


@pytest.mark.parametrize("lost", [APPEND, RESPONSE])
def test_what_is_committed_is_answered_by_whom_the_leader_waits_for(lost: int) -> None:
    nodes = leader_and_followers()
    assert nodes[1].propose(b"x", 2) == 2
    for to, data in drain(nodes[1]):
        if to == 2 or lost != APPEND:
            nodes[to].step(data, False)
    for _, data in drain(nodes[2]):
        nodes[1].step(data, False)
    drain(nodes[3])                                      # says it to nobody, where it has something to say
    nodes[1].broadcast()
    settle(nodes)
    assert nodes[1].progress == [(1, 2, False), (2, 2, False), (3, 2, False)]
    nodes[1].broadcast()
    settle(nodes)
    assert [each.status[3] for each in nodes.values()] == [2, 2, 2]


@pytest.mark.parametrize("of", [{"term": 1}, {"term": 2, "log_term": 2, "index": 1}, {"term": 2, "log_term": 1, "index": 3}])
def test_what_is_told_by_a_leader_of_the_past_or_does_not_fit_is_answered(of: dict[str, int]) -> None:
    one = node(1, term=2)
    one.step(message(APPEND, term=2, commit=2, entries=(entry(1, 2), entry(2, 2))), False)
    drain(one)
    one.step(message(APPEND, context=b"t", **of), False)  # type: ignore[arg-type]
    assert [to for to, _ in drain(one)] == [2]


def test_a_node_that_waits_for_a_state_lets_a_leader_commit_that_needs_it_for_that() -> None:
    """The third one is gone; the leader can make no state before its term has begun, and the node took no entries before it had one."""
    nodes = leader_and_followers()
    del nodes[3]
    nodes[1].propose(b"x", 2)
    for to, data in drain(nodes[1]):
        if to == 2:
            nodes[2].step(data, False)
    drain(nodes[2])                                      # its answer is lost
    assert nodes[2].request_snapshot()
    nodes[1].step_down()
    nodes[2].forget_leader()
    nodes[1].campaign()
    settle(nodes)
    assert nodes[1].status[:4] == (3, 1, 2, 1), "it leads; what it appended is not committed"
    assert not nodes[2].request_snapshot(), "asked for no more"
    beat(nodes)
    assert nodes[1].status[3] == 3
    assert nodes[2].request_snapshot()
    beat(nodes)
    assert nodes[1].wants_snapshot
    nodes[1].compact(0, 3)
    nodes[1].offer_snapshot(3, 3, [1, 2, 3], [])
    beat(nodes)
    assert nodes[2].status[3:7:3] == (3, 3), "the state has come"


def test_a_state_of_before_what_was_asked_for_is_not_taken() -> None:
    """It would take entries away of which this node has said that it has them."""
    one = node(1)
    one.step(message(APPEND, commit=1, entries=(entry(1, 1), entry(2, 1))), False)
    drain(one)
    assert one.request_snapshot()
    for index, kind in ((1, Kind.DROPPED), (2, SNAPSHOT)):
        of = bytes((1 << 3 | 2, 5, 1 << 3 | 2, 3, 1, 2, 3, 2 << 3, index, 3 << 3, 1))
        state = bytes((9 << 3 | 2, len(of) + 2, 2 << 3 | 2, len(of))) + of
        assert one.step(message(SNAPSHOT) + state, False, True)[0] == kind


def beat(nodes: dict[int, RaftNode]) -> None:
    """A heartbeat of the leader, and what comes of it."""
    for _ in range(2):
        nodes[1].tick()
    settle(nodes)


def test_who_is_no_voter_does_not_campaign() -> None:
    for voters, learners in (([2, 3], [1]), ([2, 3], []), ([], [])):
        one = RaftNode(id=1, hard_state=(1, 0, 0), voters=voters, learners=learners, base=(0, 0), entries=[], election_ticks=10,
                       heartbeat_ticks=2, message_bytes=1 << 20, uncommitted_bytes=1 << 29, inflight=64, chunk_bytes=1 << 22)
        one.campaign()
        assert drain(one) == []
        assert one.status[:3] == (1, 0, 0)


def test_entries_survive_their_bytes_and_what_is_no_entry_is_refused() -> None:
    payload = raft_first_entry(7, b"context")
    assert raft_entries(payload * 2) == [(1, 1, 1, b"context")] * 2
    for cut in range(1, len(payload)):
        with pytest.raises(RaftError):
            raft_entries(payload[:cut])


def test_whatever_a_member_sends_the_process_goes_on() -> None:
    """Messages of a real cluster, some with flipped bits or cut short, in any order."""
    for seed in range(40):
        dice = Random(seed)
        nodes = {number: node(number) for number in (1, 2, 3)}
        nodes[1].campaign()
        wire: list[tuple[int, bytes]] = []
        for _ in range(200):
            for each in nodes.values():
                wire += drain(each)
            if dice.random() < 0.3:
                nodes[1].propose(b"x" * dice.randrange(30), nodes[1].status[0])
            if dice.random() < 0.3:
                dice.choice(list(nodes.values())).tick()
            if wire:
                to, data = wire.pop(dice.randrange(len(wire)))
                if to in nodes:
                    nodes[to].step(damaged(data, dice) if dice.random() < 0.25 else data, False, dice.random() < 0.02)


def damaged(data: bytes, dice: Random) -> bytes:
    changed = bytearray(data)
    for _ in range(dice.randrange(1, 4)):
        changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
    return bytes(changed[:dice.randrange(len(changed))] if dice.random() < 0.2 else changed)
