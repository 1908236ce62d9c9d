"""sys/storage/raft: what is asked of the log, and what is refused before anybody is asked."""
import base64

import pytest
from msgspec.structs import replace
from tests.contract.one_node import FACTS, OneNode

from holdfast.core.outcome import Answer, Forward
from holdfast.crypto import Secret
from holdfast.engine import Method, NodeFacts, Place, RaftFacts, RaftMember
from holdfast.engine.effect import AdmitJoiner, ChallengeJoiner, ChangeMembership, Join, RestoreSnapshot, SaveSnapshot
from holdfast.ids import NodeId
from holdfast.limits import JOIN_ANSWER_MAX_BYTES, SERVER_ID_MAX

MEMBERS = (RaftMember(id=NodeId("n1"), raft_id=11, address="a:8201", voter=True),
           RaftMember(id=NodeId("n2"), raft_id=22, address="b:8201", voter=False))
RAFT = replace(FACTS, ha_enabled=True, storage_type="raft", raft=RaftFacts(leader=NodeId("n1"), members=MEMBERS, index=7))
SEALED = NodeFacts(initialized=True, ha_enabled=True, storage_type="raft")
BELOW = "sys/storage/raft"


@pytest.fixture
def node() -> OneNode:
    made = OneNode()
    made.facts = RAFT
    return made


def test_configuration_is_this_nodes_own_view(node: OneNode) -> None:
    node.facts = replace(RAFT, is_active=False, performance_standby=True)
    outcome = node.attempt(node.request(Method.GET, f"{BELOW}/configuration"), Place.WORKER)
    assert isinstance(outcome, Answer)
    assert node.call(Method.GET, f"{BELOW}/configuration").json["data"] == {"config": {"index": 7, "servers": [
        {"node_id": "n1", "address": "a:8201", "leader": True, "voter": True, "protocol_version": "3"},
        {"node_id": "n2", "address": "b:8201", "leader": False, "voter": False, "protocol_version": "3"}]}}
    node.facts = replace(RAFT, raft=None)
    assert node.call(Method.GET, f"{BELOW}/configuration").status == 503


def test_join_on_a_sealed_node_without_a_token(node: OneNode) -> None:
    node.facts = SEALED
    body = {"leader_api_addr": "https://a:8200", "leader_client_key": "KEY", "retry": True, "non_voter": True, "auto_join": "",
            "auto_join_scheme": "", "auto_join_port": 0}
    assert node.call(Method.POST, f"{BELOW}/join", body, token=None).effects == (Join(
        leader_api_addr="https://a:8200", leader_client_key=Secret(b"KEY"), retry=True, non_voter=True),)


@pytest.mark.parametrize(("path", "body", "error"), [
    ("join", {}, "leader_api_addr is required"),
    ("join", {"auto_join": "provider=x"}, "auto_join is not supported"),
    ("join", {"auto_join": "provider=x", "auto_join_scheme": "ftp"}, 'invalid scheme "ftp"; must either be http or https'),
    ("bootstrap/challenge", {}, "no server_id provided"),
    ("bootstrap/challenge", {"server_id": "x" * (SERVER_ID_MAX + 1)}, "server_id has at most"),
    ("bootstrap/answer", {"server_id": "n", "raft_id": 1, "cluster_addr": "a:1"}, "no answer provided"),
    ("bootstrap/answer", {"server_id": "n", "raft_id": 1, "answer": "YQ=="}, "no cluster_addr provided"),
    ("bootstrap/answer", {"server_id": "n", "raft_id": 1, "answer": "%", "cluster_addr": "a:1"}, "could not base64 decode answer"),
    ("bootstrap/answer", {"server_id": "n", "answer": "YQ==", "cluster_addr": "a:1"}, "no raft_id provided"),
    ("bootstrap/answer", {"server_id": "n", "raft_id": 1, "answer": "A" * (JOIN_ANSWER_MAX_BYTES + 1), "cluster_addr": "a:1"}, "at most"),
    ("remove-peer", {}, "no server_id provided"),
    ("promote", {"server_id": "n9"}, "no member has the id n9"),
    ("snapshot", None, "no snapshot provided"),
])
def test_refused_before_anybody_is_asked(node: OneNode, path: str, body: object, error: str) -> None:
    seen = node.call(Method.POST, f"{BELOW}/{path}", body)
    assert (seen.status, seen.effects) == (400, ())
    assert error in seen.json["errors"][0]


def test_who_is_no_member_is_removed_already(node: OneNode) -> None:
    seen = node.call(Method.POST, f"{BELOW}/remove-peer", {"server_id": "n9"})
    assert (seen.status, seen.effects, seen.json["warnings"]) == (200, (), ["no member has the id n9"])


def test_there_is_nothing_to_begin(node: OneNode) -> None:
    began = [node.call(Method.POST, f"{BELOW}/bootstrap", {}, token=None)]
    node.facts = FACTS
    began.append(node.call(Method.POST, f"{BELOW}/bootstrap", {}, token=None))
    node.facts = SEALED
    began.append(node.call(Method.POST, f"{BELOW}/bootstrap", {}, token=None))
    assert [(each.status, each.json["errors"]) for each in began] == [
        (400, ["could not bootstrap clustered storage: error bootstrapping cluster: cluster already has state"]),
        (400, ["raft backend not in use"]), (400, ["node must be unsealed to bootstrap"])]


@pytest.mark.parametrize("path", ["join", "bootstrap/challenge", "bootstrap/answer", "remove-peer", "promote", "demote",
                                  "snapshot", "snapshot-force"])
def test_another_storage(node: OneNode, path: str) -> None:
    node.facts = FACTS
    assert node.call(Method.POST, f"{BELOW}/{path}", {}).json["errors"] == ["raft storage is not in use"]


def test_challenge_and_answer_need_no_token_and_are_the_active_nodes(node: OneNode) -> None:
    challenge = {"server_id": "n3"}
    answer = {**challenge, "raft_id": 5, "answer": base64.b64encode(b"opened").decode(), "cluster_addr": "c:8201", "non_voter": True}
    assert node.call(Method.POST, f"{BELOW}/bootstrap/challenge", challenge, token=None).effects == (ChallengeJoiner(server_id="n3"),)
    assert node.call(Method.POST, f"{BELOW}/bootstrap/answer", answer, token=None).effects == (AdmitJoiner(
        server_id="n3", raft_id=5, cluster_addr="c:8201", answer=b"opened", non_voter=True),)
    for path, body in (("challenge", challenge), ("answer", answer)):
        outcome = node.attempt(node.request(Method.POST, f"{BELOW}/bootstrap/{path}", body, token=None), Place.MAIN)
        assert isinstance(outcome, Forward)
        assert outcome.to is Place.ACTIVE


@pytest.mark.parametrize(("path", "change"), [("remove-peer", "remove"), ("promote", "promote"), ("demote", "demote")])
def test_changes_of_members(node: OneNode, path: str, change: str) -> None:
    seen = node.call(Method.POST, f"{BELOW}/{path}", {"server_id": "n2"})
    assert (seen.status, seen.effects) == (204, (ChangeMembership(node=NodeId("n2"), raft_id=22, change=change),))


def test_snapshots(node: OneNode) -> None:
    assert node.call(Method.GET, f"{BELOW}/snapshot").effects == (SaveSnapshot(),)
    for path, force in (("snapshot", False), ("snapshot-force", True)):
        seen = node.call(Method.POST, f"{BELOW}/{path}", upload=True)
        effect, = seen.effects
        assert isinstance(effect, RestoreSnapshot)
        assert effect.force is force
