"""What nodes know of each other by echoes."""
import pytest

from holdfast.engine import Heartbeat
from holdfast.ha.echo import About, Echoes, Roll
from holdfast.ha.message import Echo, EchoReply, Peer
from holdfast.ids import Index, Millis, NodeId
from holdfast.limits import ECHO_INTERVAL_MS, ECHO_PEERS_MAX, ECHO_SILENCE_MS

ABOUT = About(hostname="h", api_address="https://b:8200", cluster_address="b:8201", version="1.0.0", performance_standby=True,
              applied=Index(90), raft_applied=101)
NOW, WALL = Millis(10_000), Millis(1_700_000_000_000)


@pytest.fixture
def echoes() -> Echoes:
    made = Echoes()
    made.connected(NOW)
    return made


def after(ms: int) -> Millis:
    return Millis(NOW + ms)


def test_an_echo_goes_out_at_once_and_then_every_five_seconds(echoes: Echoes) -> None:
    assert echoes.echo(ABOUT, NOW, wall_ms=WALL)
    assert echoes.echo(ABOUT, after(ECHO_INTERVAL_MS - 1), wall_ms=WALL) is None
    assert echoes.next_tick == after(ECHO_INTERVAL_MS)
    second = echoes.echo(ABOUT, after(ECHO_INTERVAL_MS), wall_ms=WALL)
    assert second is not None
    assert (second.number, second.hostname, second.applied) == (2, "h", 90)


def test_a_reply_tells_how_long_it_took_and_whose_clock_is_ahead(echoes: Echoes) -> None:
    assert echoes.facts(500) is None
    echoes.echo(ABOUT, NOW, wall_ms=WALL)
    echoes.replied(EchoReply(number=1, wall_ms=Millis(WALL + 25)), after(10))
    assert echoes.facts(500) == Heartbeat(heard_ms=Millis(NOW + 510), took_ms=10, skew_ms=20, connected=True)
    told = echoes.echo(ABOUT, after(ECHO_INTERVAL_MS), wall_ms=WALL)
    assert told is not None
    assert (told.took_ms, told.skew_ms) == (10, 20)


def test_an_old_reply_tells_nothing(echoes: Echoes) -> None:
    echoes.echo(ABOUT, NOW, wall_ms=WALL)
    echoes.echo(ABOUT, after(ECHO_INTERVAL_MS), wall_ms=WALL)
    echoes.replied(EchoReply(number=1, wall_ms=WALL), after(ECHO_INTERVAL_MS + 1))
    assert echoes.facts(0) is None
    echoes.replied(EchoReply(number=2, wall_ms=WALL), after(ECHO_INTERVAL_MS + 1))
    assert echoes.facts(0) is not None


def test_without_a_connection_nothing_goes_out_and_the_last_is_remembered(echoes: Echoes) -> None:
    echoes.echo(ABOUT, NOW, wall_ms=WALL)
    echoes.replied(EchoReply(number=1, wall_ms=WALL), after(10))
    echoes.disconnected()
    assert echoes.next_tick is None
    assert echoes.echo(ABOUT, after(60_000), wall_ms=WALL) is None
    facts = echoes.facts(0)
    assert facts is not None
    assert not facts.connected
    echoes.connected(after(70_000))
    assert echoes.echo(ABOUT, after(70_000), wall_ms=WALL)


def test_the_active_node_lists_who_was_heard_of_lately() -> None:
    roll = Roll()
    reply = roll.heard(Peer(NodeId("c"), 1), Echo(number=4, wall_ms=WALL, hostname="hc", took_ms=3), ABOUT, NOW, wall_ms=Millis(WALL + 7),
                       cluster_ms=WALL)
    assert reply == EchoReply(number=4, wall_ms=Millis(WALL + 7), now_ms=WALL, version="1.0.0", applied=Index(90), raft_applied=101)
    roll.heard(Peer(NodeId("b"), 1), Echo(number=1, wall_ms=WALL), ABOUT, after(5), wall_ms=WALL, cluster_ms=WALL)
    standbys = roll.standbys(after(5), 1_000)
    assert [standby.node for standby in standbys] == ["b", "c"]
    assert (standbys[1].hostname, standbys[1].heard_ms, standbys[1].heard_wall_ms, standbys[1].took_ms) == ("hc", 11_000, WALL + 7, 3)
    assert [standby.node for standby in roll.standbys(after(ECHO_SILENCE_MS), 0)] == ["b"]
    assert roll.standbys(after(ECHO_SILENCE_MS + 5), 0) == ()


def test_the_list_is_bounded() -> None:
    roll = Roll()
    for number in range(ECHO_PEERS_MAX + 3):
        roll.heard(Peer(NodeId(f"n{number:03}"), 1), Echo(number=1, wall_ms=WALL), ABOUT, after(number), wall_ms=WALL,
                   cluster_ms=WALL)
    standbys = roll.standbys(after(100), 0)
    assert len(standbys) == ECHO_PEERS_MAX
    assert standbys[0].node == "n003", "the oldest went"
