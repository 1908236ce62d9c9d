"""What long runs have found, made to happen at once."""
from holdfast.testing.clients import Load
from holdfast.testing.cluster import NodeHost
from holdfast.testing.history import Trace
from holdfast.testing.loop import simulation
from holdfast.testing.run import Runner, Scenario

QUIET = Scenario(load=Load(reads=0.0, writes=0.0, lookups=0.0, tokens=0.0))


def follows(host: NodeHost, active: NodeHost) -> bool:
    seen = host.node.clustering._seen if host.node is not None else None
    return seen is not None and seen.node == active.name


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
