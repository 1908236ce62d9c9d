"""sys/storage/raft/autopilot, and what it has done to the members."""
from collections.abc import Mapping

import pytest
from msgspec.structs import replace
from tests.contract.one_node import FACTS, START_MS, OneNode

from holdfast.engine import AutopilotFacts, Method, NodeFacts, RaftFacts, RaftMember, Standby
from holdfast.engine.effect import ChangeMembership
from holdfast.ids import Index, Millis, NodeId
from holdfast.system.autopilot import Config, Contact, judge, promotions, removals
from holdfast.version import VERSION

ONE = NodeId("n1")
NOW = Millis(START_MS)
CLEANING = Config(cleanup_dead_servers=True, min_quorum=3, dead_server_last_contact_threshold=60)
DEAD_MS = 60_001


def members(*voters: str, learners: tuple[str, ...] = ()) -> tuple[RaftMember, ...]:
    return tuple(RaftMember(id=NodeId(name), raft_id=raft_id(name), address=f"{name}:8201", voter=name in voters)
                 for name in (*voters, *learners))


def raft_id(name: str) -> int:
    return int(name[1:])


def seen(ages: Mapping[str, int], index: int = 100) -> dict[int, Contact]:
    return {raft_id(name): Contact(age_ms=age, index=index) for name, age in ages.items()}


def judged(who: tuple[RaftMember, ...], contacts: Mapping[int, Contact], before: AutopilotFacts | None = None, held: Config = CLEANING,
           now_ms: Millis = NOW) -> AutopilotFacts:
    return judge(before, who, contacts, held, leader=ONE, term=7, index=100, now_ms=now_ms)


def names(facts: AutopilotFacts, *, healthy: bool) -> list[str]:
    return [each.member.id for each in facts.servers if each.is_healthy is healthy]


def test_healthy_is_who_was_heard_of_lately_and_has_nearly_all() -> None:
    who = members("n1", "n2", "n3", "n4", "n5")
    contacts = seen({"n2": 10_000, "n3": 10_001}) | {4: Contact(age_ms=0, index=-901)}
    facts = judged(who, contacts)
    assert names(facts, healthy=True) == ["n1", "n2"]
    assert facts.failure_tolerance == 0
    assert [each.term for each in facts.servers] == [7, 7, 7, 7, 0]
    assert judged(who, seen({"n2": 0, "n3": 0, "n4": 0, "n5": 0})).failure_tolerance == 2
    assert judged(members("n1"), {}).failure_tolerance == 0


def test_since_when_is_kept_until_it_changes() -> None:
    who = members("n1", "n2")
    first = judged(who, seen({"n2": 0}))
    later = judged(who, seen({"n2": 0}), first, now_ms=Millis(NOW + 5_000))
    assert [each.since_ms for each in later.servers] == [NOW, NOW]
    gone = judged(who, seen({"n2": 11_000}), later, now_ms=Millis(NOW + 9_000))
    assert [each.since_ms for each in gone.servers] == [NOW, NOW + 9_000]


def test_who_was_never_heard_of_grows_older_all_the_same() -> None:
    who = members("n1", "n2", "n3", "n4")
    first = judged(who, seen({"n2": 0, "n3": 0}))
    assert removals(first, CLEANING) == ()
    later = judged(who, seen({"n2": 0, "n3": 0}), first, now_ms=Millis(NOW + DEAD_MS))
    assert later.servers[3].contact_ms == DEAD_MS
    assert removals(later, CLEANING) == (who[3],)


def test_who_comes_back_with_an_empty_folder_is_no_older_than_it_is() -> None:
    who = members("n1", "n2", learners=("n3",))
    first = judged(who, seen({"n2": 0}))
    dead = judged(who, seen({"n2": 0}), first, now_ms=Millis(NOW + DEAD_MS))
    assert removals(dead, CLEANING) == (who[2],)
    again = (*who[:2], replace(who[2], raft_id=33))
    assert removals(judged(again, seen({"n2": 0}), dead, now_ms=Millis(NOW + DEAD_MS + 1)), CLEANING) == ()


@pytest.mark.parametrize(("voters", "dead", "quorum", "removed"), [
    (5, ["n4", "n5"], 3, ["n4", "n5"]),
    (5, ["n4", "n5"], 4, ["n4"]),
    (5, ["n3", "n4", "n5"], 1, ["n3", "n4"]),            # never a majority
    (3, ["n3"], 3, []),                                  # min_quorum are to stay
    (4, ["n4"], 3, ["n4"]),
    (2, ["n2"], 1, []),
    (1, ["n1"], 0, []),                                  # the leader
])
def test_the_dead_are_removed_as_far_as_it_is_safe(voters: int, dead: list[str], quorum: int, removed: list[str]) -> None:
    all_names = [f"n{number}" for number in range(1, voters + 1)]
    facts = judged(members(*all_names), seen({name: DEAD_MS if name in dead else 0 for name in all_names}))
    assert [each.id for each in removals(facts, replace(CLEANING, min_quorum=quorum))] == removed
    assert removals(facts, replace(CLEANING, cleanup_dead_servers=False)) == ()


def test_dead_learners_go_whatever_the_quorum() -> None:
    facts = judged(members("n1", "n2", "n3", learners=("n4",)), seen({"n2": 0, "n3": DEAD_MS, "n4": DEAD_MS}))
    assert [each.id for each in removals(facts, CLEANING)] == ["n4"]


def test_a_vote_for_who_is_well_for_long_enough() -> None:
    who = members("n1", learners=("n2", "n3", "n4"))
    first = judged(who, seen({"n2": 0, "n3": 0}))
    without = frozenset((NodeId("n3"),))
    assert promotions(first, without, CLEANING, began_ms=NOW, now_ms=NOW) == (who[1],)         # it has not looked for long itself
    began = Millis(NOW - 60_000)
    assert promotions(first, without, CLEANING, began_ms=began, now_ms=NOW) == ()
    later = Millis(NOW + 10_000)
    second = judged(who, seen({"n2": 0, "n3": 0}), first, now_ms=later)
    assert promotions(second, without, CLEANING, began_ms=began, now_ms=later) == (who[1],)


RAFT = replace(FACTS, ha_enabled=True, storage_type="raft")
STATE, CONFIGURATION = "sys/storage/raft/autopilot/state", "sys/storage/raft/autopilot/configuration"


@pytest.fixture
def node() -> OneNode:
    made = OneNode()
    made.facts = RAFT
    return made


def with_state(facts: NodeFacts) -> NodeFacts:
    who = members("n1", "n2", learners=("n3",))
    state = judged(who, seen({"n2": 1_500, "n3": 90_000_000}))
    standby = Standby(node=NodeId("n2"), hostname="two", api_address="", cluster_address="", version="1.16.0", performance_standby=True,
                      heard_ms=NOW, heard_wall_ms=NOW, took_ms=1, skew_ms=0, applied=Index(1), raft_applied=1)
    return replace(facts, autopilot=state, standbys=(standby,), raft=RaftFacts(leader=ONE, members=who))


def test_state_on_the_wire(node: OneNode) -> None:
    node.facts = with_state(RAFT)
    data = node.call(Method.GET, STATE).json["data"]
    assert {name: value for name, value in data.items() if name != "servers"} == {
        "healthy": False, "failure_tolerance": 0, "leader": "n1", "voters": ["n1", "n2"], "non_voters": ["n3"]}
    assert data["servers"]["n1"] == {
        "id": "n1", "name": "n1", "address": "n1:8201", "node_status": "alive", "last_contact": "0s", "last_term": 7, "last_index": 100,
        "healthy": True, "stable_since": "2023-11-14T22:13:20Z", "status": "leader", "version": VERSION, "node_type": "voter"}
    second, third = data["servers"]["n2"], data["servers"]["n3"]
    assert (second["last_contact"], second["version"], second["status"]) == ("1.5s", "1.16.0", "voter")
    assert (third["last_contact"], third["node_status"], third["status"], third["node_type"]) == ("25h0m0s", "failed", "non-voter", "voter")


def test_state_before_anybody_looked(node: OneNode) -> None:
    seen_now = node.call(Method.GET, STATE)
    assert (seen_now.status, seen_now.json) == (404, {"errors": []})


def test_configuration(node: OneNode) -> None:
    defaults = {"cleanup_dead_servers": False, "last_contact_threshold": "10s", "dead_server_last_contact_threshold": "24h0m0s",
                "max_trailing_logs": 1000, "min_quorum": 0, "server_stabilization_time": "10s", "disable_upgrade_migration": False}
    assert node.call(Method.GET, CONFIGURATION).json["data"] == defaults
    body = {"cleanup_dead_servers": True, "min_quorum": "3", "dead_server_last_contact_threshold": "1h", "last_contact_threshold": 5}
    assert node.call(Method.POST, CONFIGURATION, body).status == 204
    changed = {**defaults, "cleanup_dead_servers": True, "min_quorum": 3, "dead_server_last_contact_threshold": "1h0m0s",
               "last_contact_threshold": "5s"}
    assert node.call(Method.GET, CONFIGURATION).json["data"] == changed
    assert node.call(Method.POST, CONFIGURATION, {"cleanup_dead_servers": False, "max_trailing_logs": 5}).status == 204
    assert node.call(Method.GET, CONFIGURATION).json["data"] == {**changed, "cleanup_dead_servers": False, "max_trailing_logs": 5}


@pytest.mark.parametrize(("body", "error"), [
    ({"cleanup_dead_servers": True}, "min_quorum must be set when cleanup_dead_servers is set and it should at least be 3; "
                                     "cleanup_dead_servers: true, min_quorum: 0"),
    ({"cleanup_dead_servers": True, "min_quorum": 3, "dead_server_last_contact_threshold": "59s"},
     "dead_server_last_contact_threshold should not be set to less than 1m; received: 59"),
    ({"max_trailing_logs": 1 << 40}, "max_trailing_logs is at most 1000000000"),
    ({"min_quorum": 65}, "min_quorum is at most 64"),
    ({"disable_upgrade_migration": False}, "disable_upgrade_migration is only available in Vault Enterprise"),
])
def test_configuration_refused(node: OneNode, body: dict[str, object], error: str) -> None:
    answer = node.call(Method.POST, CONFIGURATION, body)
    assert (answer.status, answer.json["errors"], dict(answer.changes)) == (400, [error], {})


def test_without_raft(node: OneNode) -> None:
    node.facts = FACTS
    for method, path in ((Method.GET, STATE), (Method.GET, CONFIGURATION), (Method.POST, CONFIGURATION)):
        assert node.call(method, path).json["errors"] == ["raft storage is not in use"]


def test_who_is_demoted_is_not_given_its_vote_again(node: OneNode) -> None:
    node.facts = with_state(RAFT)

    def marked() -> tuple[str, ...]:
        return node.keys("autopilot/non-voters/")

    demoted = node.call(Method.POST, "sys/storage/raft/demote", {"server_id": "n2"})
    assert demoted.effects == (ChangeMembership(node=NodeId("n2"), raft_id=2, change="demote"),)
    assert marked() == ("autopilot/non-voters/n2",)
    assert node.call(Method.POST, "sys/storage/raft/promote", {"server_id": "n2"}).status == 204
    assert marked() == ()
    unknown = node.call(Method.POST, "sys/storage/raft/demote", {"server_id": "n9"})
    assert (unknown.status, unknown.json["errors"], marked()) == (400, ["no member has the id n9"], ())
