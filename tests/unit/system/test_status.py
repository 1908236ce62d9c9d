"""sys/health, sys/leader, sys/ha-status, sys/seal, sys/step-down on every kind of node."""
from itertools import combinations

import msgspec
import pytest
from msgspec.structs import replace
from tests.contract.one_node import FACTS, START_MS, OneNode

from holdfast.core.outcome import Answer, Do, Forward
from holdfast.engine import PLAIN_LISTENER, Heartbeat, Listener, Method, NodeFacts, Place, Standby
from holdfast.engine.effect import Seal, ShowLeader, StepDown
from holdfast.errors import UnavailableError
from holdfast.ids import Index, Millis, NodeId
from holdfast.limits import ECHO_INTERVAL_MS, ECHO_SILENCE_MS
from holdfast.system import status
from holdfast.version import VERSION

ACTIVE = replace(FACTS, ha_enabled=True, removed=False, hostname="one", active_api_address="https://one:8200",
                 active_cluster_address="https://one:8201", active_since_ms=Millis(START_MS))
HEARD = Heartbeat(heard_ms=Millis(START_MS - 1_000), took_ms=3, skew_ms=-7, connected=True)
SILENT = replace(HEARD, heard_ms=Millis(START_MS - 2 * ECHO_INTERVAL_MS - 1))
STANDBY = replace(ACTIVE, is_active=False, heartbeat=HEARD)
PERFORMANCE = replace(STANDBY, performance_standby=True)
SEALED = NodeFacts(initialized=True, ha_enabled=True, removed=False)
ALL_OK = {"standbyok": "true", "perfstandbyok": "true"}
STATES = [                                               # in order of precedence, with the parameter of each
    ("uninitcode", 501, NodeFacts(ha_enabled=True)),
    ("removedcode", 530, replace(SEALED, removed=True)),
    ("sealedcode", 503, SEALED),
    ("haunhealthycode", 474, replace(PERFORMANCE, heartbeat=SILENT)),
    ("performancestandbycode", 473, PERFORMANCE),
    ("standbycode", 429, STANDBY),
    ("activecode", 200, ACTIVE),
]


@pytest.fixture
def node() -> OneNode:
    return OneNode()


def health(node: OneNode, facts: NodeFacts, query: dict[str, str] | None = None, method: Method = Method.GET) -> tuple[int, bytes]:
    node.facts = facts
    outcome = node.attempt(node.request(method, "sys/health", token=None, query=query), Place.WORKER)
    assert isinstance(outcome, Answer)
    return outcome.reply.status, outcome.reply.body


@pytest.mark.parametrize(("parameter", "code", "facts"), STATES)
def test_each_state_has_its_status_and_its_parameter(node: OneNode, parameter: str, code: int, facts: NodeFacts) -> None:
    assert health(node, facts)[0] == code
    assert health(node, facts, {parameter: "299"})[0] == 299
    others = {name: "298" for name, *_ in STATES if name != parameter}
    assert health(node, facts, {**others, "drsecondarycode": "298"})[0] == code


@pytest.mark.parametrize(("parameter", "code", "facts"), STATES[:4])
def test_no_flag_rescues_what_is_not_well(node: OneNode, parameter: str, code: int, facts: NodeFacts) -> None:
    assert health(node, facts, ALL_OK)[0] == code


def test_each_flag_is_for_its_own_kind_and_gives_the_active_code(node: OneNode) -> None:
    assert [health(node, STANDBY, {flag: "true", "activecode": "222"})[0] for flag in ALL_OK] == [222, 429]
    assert [health(node, PERFORMANCE, {flag: "true", "activecode": "222"})[0] for flag in ALL_OK] == [473, 222]
    assert health(node, STANDBY, {"standbyok": ""})[0] == 429


def test_what_stands_first_decides() -> None:
    """Of any two states at once the first one counts."""
    changes: list[dict[str, object]] = [
        {"initialized": False}, {"removed": True}, {"sealed": True}, {"heartbeat": SILENT}, {"performance_standby": True}, {},
    ]
    codes = [501, 530, 503, 474, 473, 429]
    for first, second in combinations(range(len(codes)), 2):
        facts = replace(STANDBY, **changes[second], **changes[first])
        assert status.health_code(facts, status.Statuses(), Millis(START_MS)) == codes[first]


@pytest.mark.parametrize("query", [{"activecode": "x"}, {"standbyok": "perhaps"}, {"sealedcode": "5.5"}, {"standbycode": ""},
                                   {"removedcode": "100"}, {"uninitcode": "99"}, {"uninitcode": "1000"}, {"activecode": "9" * 5000}])
def test_a_bad_parameter(node: OneNode, query: dict[str, str]) -> None:
    """Also one of a state that the node is not in; without a word, as in Vault."""
    assert health(node, ACTIVE, query) == (400, b'{"errors":[]}\n')


@pytest.mark.parametrize(("written", "code"), [("1", 200), ("t", 200), ("TRUE", 200), ("0", 473), ("F", 473), ("", 473)])
def test_a_flag_as_go_reads_it(node: OneNode, written: str, code: int) -> None:
    assert health(node, PERFORMANCE, {"perfstandbyok": written})[0] == code


def test_a_code_as_go_reads_it(node: OneNode) -> None:
    assert [health(node, ACTIVE, {"activecode": written})[0] for written in ("+299", "0299", "999")] == [299, 299, 999]


def test_no_body_where_none_belongs(node: OneNode) -> None:
    assert health(node, PERFORMANCE, method=Method.HEAD) == (473, b"")
    assert health(node, PERFORMANCE, {"performancestandbycode": "204"}) == (204, b"")


def test_fields_of_an_active_node(node: OneNode) -> None:
    body = msgspec.json.decode(health(node, ACTIVE)[1])
    assert body == {
        "initialized": True, "sealed": False, "standby": False, "performance_standby": False, "replication_performance_mode": "disabled",
        "replication_dr_mode": "disabled", "server_time_utc": START_MS // 1000, "version": VERSION, "enterprise": False,
        "cluster_name": "n", "cluster_id": "c", "last_wal": 1, "echo_duration_ms": 0, "clock_skew_ms": 0,
        "replication_primary_canary_age_ms": 0, "removed_from_cluster": False}


def test_fields_of_a_performance_standby(node: OneNode) -> None:
    body = msgspec.json.decode(health(node, PERFORMANCE)[1])
    assert (body["standby"], body["performance_standby"], body["replication_performance_mode"]) == (True, True, "disabled")
    assert (body["echo_duration_ms"], body["clock_skew_ms"]) == (3, -7)
    assert (body["ha_connection_healthy"], body["last_request_forwarding_heartbeat_ms"]) == (True, 1_000)
    assert "last_wal" not in body


def test_fields_of_a_standby_that_has_heard_nothing(node: OneNode) -> None:
    body = msgspec.json.decode(health(node, replace(STANDBY, heartbeat=None))[1])
    assert body["replication_dr_mode"] == body["replication_performance_mode"] == "unknown"
    assert not {"ha_connection_healthy", "last_request_forwarding_heartbeat_ms"} & set(body)
    assert health(node, replace(STANDBY, heartbeat=None))[0] == 429


def test_a_standby_forgets_the_mode_with_the_connection_and_is_unwell_only_after_two_intervals(node: OneNode) -> None:
    at_the_edge = replace(HEARD, heard_ms=Millis(START_MS - 2 * ECHO_INTERVAL_MS), connected=False)
    code, text = health(node, replace(STANDBY, heartbeat=at_the_edge))
    body = msgspec.json.decode(text)
    assert (code, body["replication_dr_mode"], body["ha_connection_healthy"]) == (429, "unknown", True)
    assert msgspec.json.decode(health(node, replace(STANDBY, heartbeat=SILENT))[1])["ha_connection_healthy"] is False


def test_fields_of_a_sealed_node(node: OneNode) -> None:
    body = msgspec.json.decode(health(node, replace(SEALED, heartbeat=HEARD))[1])
    assert not {"cluster_name", "cluster_id", "last_wal", "ha_connection_healthy"} & set(body)
    assert body["standby"] is True


def test_a_storage_without_members_says_nothing_of_removal(node: OneNode) -> None:
    assert "removed_from_cluster" not in msgspec.json.decode(health(node, FACTS)[1])


def test_redaction(node: OneNode) -> None:
    listener = Listener(redact_version=True, redact_cluster_name=True)
    node.facts = ACTIVE

    def seen(token: str | None) -> dict[str, object]:
        request = replace(node.request(Method.GET, "sys/health", token=token), listener=listener)
        outcome = node.attempt(request, Place.WORKER)
        assert isinstance(outcome, Answer)
        decoded: dict[str, object] = msgspec.json.decode(outcome.reply.body)
        return decoded

    assert seen(None)["version"] == ""
    assert "cluster_name" not in seen(None)
    assert (seen("")["version"], seen("")["cluster_name"]) == (VERSION, "n")


def leader(facts: NodeFacts, listener: Listener = PLAIN_LISTENER, **raft: int) -> dict[str, object]:
    found = status.leader_status(facts, listener, index=Index(9), **raft)
    decoded: dict[str, object] = msgspec.json.decode(msgspec.json.encode(found))
    return decoded


def test_leader_of_an_active_node() -> None:
    assert leader(ACTIVE, raft_committed=20, raft_applied=19) == {
        "ha_enabled": True, "is_self": True, "active_time": "2023-11-14T22:13:20Z", "leader_address": "https://one:8200",
        "leader_cluster_address": "https://one:8201", "performance_standby": False, "performance_standby_last_remote_wal": 0,
        "last_wal": 9, "raft_committed_index": 20, "raft_applied_index": 19}


def test_leader_of_a_performance_standby_and_of_one_that_knows_no_leader() -> None:
    seen = leader(PERFORMANCE, raft_committed=20, raft_applied=19)
    assert (seen["is_self"], seen["performance_standby"], seen["performance_standby_last_remote_wal"]) == (False, True, 9)
    assert seen["active_time"] == "0001-01-01T00:00:00Z", "as in Vault: when this node became active, and nobody else"
    assert "last_wal" not in seen
    lost = leader(replace(STANDBY, active_api_address="", active_cluster_address="", active_since_ms=None))
    assert lost == {"ha_enabled": True, "is_self": False, "active_time": "0001-01-01T00:00:00Z", "leader_address": "",
                    "leader_cluster_address": "", "performance_standby": False, "performance_standby_last_remote_wal": 0}


def test_leader_without_ha_and_sealed_and_redacted() -> None:
    assert leader(FACTS)["ha_enabled"] is False
    with pytest.raises(UnavailableError, match=r"^Vault is sealed$"):
        leader(SEALED)
    hidden = leader(ACTIVE, Listener(redact_addresses=True))
    assert hidden["leader_address"] == hidden["leader_cluster_address"] == ""


def test_leader_is_asked_of_main_whatever_the_state(node: OneNode) -> None:
    for facts in (ACTIVE, STANDBY, SEALED):
        node.facts = facts
        request = node.request(Method.GET, "sys/leader", token=None)
        assert isinstance(node.attempt(request, Place.WORKER), Forward)
        outcome = node.attempt(request, Place.MAIN)
        assert isinstance(outcome, Do)
        assert outcome.effect == ShowLeader(listener=PLAIN_LISTENER)


def standby(name: str, ago_ms: int) -> Standby:
    return Standby(node=NodeId(name), hostname=name, api_address=f"https://{name}:8200", cluster_address=f"https://{name}:8201",
                   version="1.17.0", performance_standby=True, heard_ms=Millis(START_MS - ago_ms), heard_wall_ms=Millis(START_MS - ago_ms),
                   took_ms=2, skew_ms=5, applied=Index(8), raft_applied=18)


def test_ha_status_names_who_was_heard_of_lately(node: OneNode) -> None:
    node.facts = replace(ACTIVE, standbys=(standby("two", 1_500), standby("b", 0), standby("gone", ECHO_SILENCE_MS)))
    seen = node.call(Method.GET, "sys/ha-status")
    assert seen.json["nodes"] == seen.json["data"]["nodes"]
    assert [each["hostname"] for each in seen.json["nodes"]] == ["b", "one", "two"]
    assert seen.json["nodes"][1] == {
        "hostname": "one", "api_address": "https://one:8200", "cluster_address": "https://one:8201", "active_node": True, "last_echo": None,
        "echo_duration_ms": 0, "clock_skew_ms": 0, "version": VERSION, "replication_primary_canary_age_ms": 0}
    assert seen.json["nodes"][2]["last_echo"] == "2023-11-14T22:13:18.5Z"


def test_ha_status_is_the_active_nodes(node: OneNode) -> None:
    node.facts = PERFORMANCE
    outcome = node.attempt(node.request(Method.GET, "sys/ha-status"), Place.MAIN)
    assert isinstance(outcome, Forward)
    assert outcome.to is Place.ACTIVE


def test_seal_on_each_kind_of_node(node: OneNode) -> None:
    for facts in (FACTS, ACTIVE, PERFORMANCE):
        node.facts = facts
        assert node.call(Method.POST, "sys/seal").effects == (Seal(),)
    node.facts = STANDBY
    seen = node.call(Method.POST, "sys/seal")
    assert (seen.status, seen.json["errors"], seen.effects) == (
        500, ["vault cannot seal when in standby mode; please restart instead"], ())
    node.facts = SEALED
    seen = node.call(Method.POST, "sys/seal", token=None)
    assert (seen.status, seen.effects) == (204, ())


def test_step_down_goes_to_the_active_node(node: OneNode) -> None:
    node.facts = PERFORMANCE
    request = node.request(Method.POST, "sys/step-down")
    outcome = node.attempt(request, Place.MAIN)
    assert isinstance(outcome, Forward)
    assert outcome.to is Place.ACTIVE
    node.facts = ACTIVE
    seen = node.call(Method.POST, "sys/step-down")
    assert (seen.status, seen.effects) == (204, (StepDown(),))
    node.facts = FACTS
    assert node.call(Method.POST, "sys/step-down").effects == ()


def test_seal_status_says_whether_the_node_was_removed_and_whether_the_seal_changes() -> None:
    plain = msgspec.json.decode(msgspec.json.encode(status.seal_status(FACTS, PLAIN_LISTENER)))
    assert (plain["migration"], "removed_from_cluster" in plain) == (False, False)
    told = msgspec.json.decode(msgspec.json.encode(status.seal_status(replace(SEALED, removed=True, migrating=True), PLAIN_LISTENER)))
    assert (told["migration"], told["removed_from_cluster"]) == (True, True)
