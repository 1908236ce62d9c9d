"""What long runs have found, made to happen at once."""
import msgspec
import pytest

from holdfast.crypto import Secret
from holdfast.engine import Method
from holdfast.ha.settings import Consistency
from holdfast.node.serving import Served
from holdfast.testing.clients import Load
from holdfast.testing.cluster import NodeHost, Options
from holdfast.testing.history import Trace
from holdfast.testing.loop import simulation
from holdfast.testing.run import Runner, Scenario

QUIET = Scenario(load=Load(reads=0.0, writes=0.0, lookups=0.0, tokens=0.0))


def follows(host: NodeHost, active: NodeHost) -> bool:
    seen = host.node.clustering._seen if host.node is not None else None
    return seen is not None and seen.node == active.name


def leads(host: NodeHost) -> bool:
    return host.node is not None and host.is_up and host.node.log.status.leader == host.name


def cut(runner: Runner, one: NodeHost, other: NodeHost) -> None:
    runner.cluster.network.cut(one.name, other.name)
    runner.cluster.network.cut(other.name, one.name)


def test_a_standby_that_cannot_reach_the_next_active_node_waits_quietly() -> None:
    """Its link with the one before is hung up: what it would have told over it is due no more. It was so at once, for ever."""
    with simulation(1) as loop:
        runner = Runner(loop, QUIET, Trace())
        runner.form()
        first, second, third = runner.cluster.hosts.values()
        active = runner.cluster.active
        assert active is not None
        assert active.host is first
        for other in (second, third):
            cut(runner, first, other)
        while not (follows(second, third) or follows(third, second)):
            loop.run_for(0.000_1)                    # no time to connect
            assert loop.now < 60.0
        standby, next_one = (second, third) if follows(second, third) else (third, second)
        cut(runner, standby, next_one)
        before = loop.callbacks
        loop.run_for(10.0)
        assert loop.callbacks - before < 40_000


def test_a_removed_node_votes_until_nobody_needs_it() -> None:
    """Of two voters the leader is removed; the other one loses its power as soon as it leads, before it knows durably that it is alone. It
    needed a vote that nobody gave any more."""
    with simulation(1) as loop:
        runner = Runner(loop, QUIET, Trace())
        runner.form()
        cluster = runner.cluster
        first, second, third = cluster.hosts.values()
        assert runner.ask(first, Method.POST, "sys/storage/raft/demote", {"server_id": third.name}).status == 204
        answers: list[Served] = []
        removal = cluster.request(Method.POST, "sys/storage/raft/remove-peer", {"server_id": first.name})
        cluster.ask(*first.serving["main"], removal, answers.append)
        for _ in range(4):
            while not leads(second):
                loop.run_for(0.000_1)
                assert loop.now < 60.0, "nobody leads"
            cluster.lose_power(second)
            loop.run_for(0.5)
            cluster.start(second)
        loop.run_for(30.0)
        assert cluster.active is not None
        assert cluster.active.host is second
        assert first.node is not None
        assert first.node.main.facts.sealed


@pytest.mark.parametrize("restarts", [0, 1])
def test_a_node_that_joins_again_with_its_clock_behind_writes_at_once(restarts: int) -> None:
    """Under its old name, with an empty folder: its incarnation must come after those of before, whose clock was ahead, or what it forwards
    would be refused as theirs until its clock has caught up. Of the last of those there may be no record."""
    with simulation(1) as loop:
        runner = Runner(loop, QUIET, Trace())
        runner.form()
        cluster = runner.cluster
        first, second, _ = cluster.hosts.values()
        assert runner.ask(second, Method.POST, "secret/data/a", {"data": {"v": "1"}}).status == 200
        for _ in range(restarts):
            second.machine.jump(-4_000.0)            # it counts on from what it was
            cluster.kill(second)
            cluster.start(second)
            loop.run_for(5.0)
            for _ in range(3):
                assert runner.ask(second, Method.POST, "secret/data/a", {"data": {"v": "0"}, "options": {"cas": 7}}).status == 400
        assert runner.ask(first, Method.POST, "sys/storage/raft/remove-peer", {"server_id": second.name}).status == 204
        cluster.kill(second)
        cluster.replace_disk(second)
        second.machine.jump(-4_000.0)
        cluster.start(second)
        loop.run_for(30.0)
        assert runner.ask(second, Method.POST, "secret/data/a", {"data": {"v": "2"}}).status == 200
        reply = runner.ask(first, Method.GET, "secret/data/a")
        assert b'"version":2' in reply.body


def test_what_becomes_due_while_a_snapshot_is_put_back_does_not_hold_it_up() -> None:
    """The lane rests then; what the due queue wants of it waited for the new lane, which waited for the due queue."""
    with simulation(1) as loop:
        runner = Runner(loop, QUIET, Trace())
        runner.form()
        first, second, _ = runner.cluster.hosts.values()
        for ttl_s in range(1, 12):
            assert runner.ask(second, Method.POST, "auth/token/create", {"ttl": f"{ttl_s}s"}).status == 200
        first.machine.disk_slow_s = 0.5                  # the state takes seconds to be there
        assert runner.operators.restore(first) is False
        loop.run_for(20.0)
        first.machine.disk_slow_s = 0.0
        assert runner.cluster.faults["restore"] == 1
        assert runner.ask(second, Method.POST, "secret/data/a", {"data": {"v": "1"}}).status == 200


def test_a_state_that_was_put_back_does_not_say_who_is_active() -> None:
    """It names who was so when it was saved, until the active node's own batch follows it: a standby told that one how it stands, or
    nobody, at once and for ever."""
    with simulation(1) as loop:
        runner = Runner(loop, QUIET, Trace())
        runner.form()
        cluster = runner.cluster
        assert cluster.active is not None
        before = cluster.active.host
        runner.operators.restore(before)
        loop.run_for(0.05)                               # it is saved
        runner.operators.step_down(before)
        standbys: set[str] = set()
        while not cluster.faults["restore"] or loop.now < 30.0:
            loop.run_for(0.000_5)
            active = cluster.active
            for host in cluster.hosts.values():
                if active is not None and active.host is not before and follows(host, active.host):
                    standbys.add(host.name)
                assert host.name not in standbys or not follows(host, before)
            assert loop.now < 60.0
        assert len(standbys) == len(cluster.hosts)


def test_a_lane_that_drains_while_it_comes_to_rest_ends_both() -> None:
    """A step-down while a state is about to be put back. Who began to wait first for the lane to be idle was never told of it, and every
    later restore waited behind that one."""
    with simulation(1) as loop:
        runner = Runner(loop, QUIET, Trace())
        runner.form()
        cluster = runner.cluster
        first = next(iter(cluster.hosts.values()))
        assert first.node is not None
        main, answers = first.node.main, list[Served]()
        first.machine.disk_slow_s = 0.2
        serving = first.serving["main"]
        cluster.ask(*serving, cluster.request(Method.POST, "secret/data/a", {"data": {"v": "1"}}), answers.append)
        loop.run_for(0.01)
        waiting = [loop.create_task(wait(), context=serving[0].enter()) for wait in (main.rest, main.drain)]
        loop.run_for(0.01)
        assert not any(task.done() for task in waiting)
        loop.run_for(10.0)
        assert answers
        assert all(task.done() for task in waiting)


def statuses(runner: Runner, token: Secret, *hosts: NodeHost) -> list[int]:
    """Of a look at this token, at each of the nodes."""
    answers: list[Served] = []
    for host in hosts:
        asked = runner.cluster.request(Method.GET, "auth/token/lookup-self", token=token)
        runner.cluster.ask(*host.serving["main"], asked, answers.append)
        runner.loop.run_for(5.0)
    return [answer.status for answer in answers]


def new_token(runner: Runner, host: NodeHost, **settings: str) -> Secret:
    made = runner.ask(host, Method.POST, "auth/token/create", settings)
    return Secret(msgspec.json.decode(made.body)["auth"]["client_token"].encode())


def test_a_strict_standby_judges_what_has_expired_by_cluster_time() -> None:
    """Its own clock was ahead when it started, so every token that did not live for an hour had expired there, and only there."""
    with simulation(1) as loop:
        runner = Runner(loop, Scenario(load=QUIET.load, options=Options(consistency=Consistency.STRICT)), Trace())
        runner.form()
        cluster = runner.cluster
        first, second, _ = cluster.hosts.values()
        cluster.kill(second)
        second.machine.jump(4_000.0)
        cluster.start(second)
        loop.run_for(30.0)
        assert statuses(runner, new_token(runner, first, ttl="600s"), first, second) == [200, 200]


def test_a_standby_that_may_lag_judges_what_has_expired_by_cluster_time() -> None:
    """Its own clock was behind when it started, so batch tokens, which nobody revokes, lived for longer there."""
    with simulation(1) as loop:
        runner = Runner(loop, Scenario(load=QUIET.load, options=Options(consistency=Consistency.SESSION)), Trace())
        runner.form()
        cluster = runner.cluster
        first, second, _ = cluster.hosts.values()
        cluster.kill(second)
        second.machine.jump(-4_000.0)
        loop.run_for(60.0)                               # the last batch is so old
        cluster.start(second)
        loop.run_for(20.0)
        token = new_token(runner, first, type="batch", ttl="5s", policies="default")
        assert statuses(runner, token, second) == [200]
        loop.run_for(5.0)
        assert statuses(runner, token, first, second) == [403, 403]


def members_of(host: NodeHost) -> dict[str, int]:
    assert host.node is not None
    return {member.id: member.raft_id for member in host.node.log.status.members}


def test_a_removal_that_is_done_again_leaves_who_has_joined_anew() -> None:
    """Its answer was held up, and the node came back under its name before it was asked for again."""
    with simulation(1) as loop:
        runner = Runner(loop, Scenario(load=QUIET.load, options=Options(nodes=5)), Trace())
        runner.form()
        cluster = runner.cluster
        first, second, third, *_ = cluster.hosts.values()
        answers: list[Served] = []
        before = members_of(first)[second.name]
        cluster.ask(*third.serving["main"], cluster.request(Method.POST, "sys/storage/raft/remove-peer", {"server_id": second.name}),
                    answers.append)
        while second.name in members_of(first):
            loop.run_for(0.000_1)
        cut(runner, first, third)
        cluster.kill(second)
        cluster.replace_disk(second)
        cluster.start(second)
        while members_of(first).get(second.name, before) == before:
            loop.run_for(0.001)
        again = members_of(first)[second.name]
        assert not answers
        cluster.kill(first)
        loop.run_for(8.0)
        assert [answer.status for answer in answers] == [204]
        assert cluster.active is not None
        assert members_of(cluster.active.host)[second.name] == again


def test_an_active_node_that_is_removed_hands_over_first() -> None:
    """Or all would wait until one of them has noticed that nobody leads, and stood for election."""
    with simulation(1) as loop:
        runner = Runner(loop, QUIET, Trace())
        runner.form()
        first, _, third = runner.cluster.hosts.values()
        assert runner.ask(third, Method.POST, "sys/storage/raft/remove-peer", {"server_id": first.name}).status == 204
        assert first.name not in members_of(third)
        began = loop.now
        assert runner.ask(third, Method.POST, "secret/data/a", {"data": {"v": "1"}}).status == 200
        assert loop.now - began < 0.4, "more than its lease and its hold"


def test_a_removed_node_that_has_lost_the_active_one_holds_nobody_up() -> None:
    """It forwards as long as its link lasts; who is active after that, it does not learn, and sends its clients to whom it knows."""
    with simulation(1) as loop:
        runner = Runner(loop, QUIET, Trace())
        runner.form()
        cluster = runner.cluster
        first, _, third = cluster.hosts.values()
        assert runner.ask(third, Method.POST, "sys/storage/raft/remove-peer", {"server_id": first.name}).status == 204
        assert runner.ask(first, Method.POST, "secret/data/a", {"data": {"v": "1"}}).status == 200
        assert cluster.active is not None
        runner.operators.step_down(cluster.active.host)
        loop.run_for(1.0)
        assert first.node is not None
        assert not first.node.main.facts.sealed
        began = loop.now
        assert runner.ask(first, Method.POST, "secret/data/a", {"data": {"v": "2"}}).status == 307
        assert loop.now - began < 0.1
