"""Peer bug 28: nodes of different versions in one cluster, as while it is upgraded, and one that is too far apart.

A node of another version is this program with other versions of frames in its greeting and a further field in whatever it says.
"""
from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.client import ANSWER_WITHIN_S
from tests.cluster_nodes import CALM, PERFORMANCE_STANDBY, Cluster, Member
from tests.node import mount, new_token, policy
from tests.processes import wait_until

CLUSTER = CALM
NEWER, TOO_NEW = "1-2", "2-3"
READS = 'path "kv-28/*" { capabilities = ["create", "read", "update", "delete", "list"] }'


@pytest.fixture(scope="module")
def token(shared_cluster: Cluster) -> str:
    client = shared_cluster.active.main()
    mount(client, "kv-28")
    policy(client, "kv-28", READS)
    return new_token(client, "kv-28", period="24h")


def become(cluster: Cluster, member: Member, frames: str) -> None:
    """It is stopped, upgraded, and started again."""
    member.stop()
    member.env["HOLDFAST_TEST_FRAMES"] = frames
    member.start()
    member.wait_seal_known()


def write_and_read_everywhere(cluster: Cluster, token: str, round_: str) -> None:
    for member in cluster.members:
        secret = {"data": {"by": f"{member.name}, {round_}"}}
        assert member.client(token).post(f"kv-28/data/{member.name}", secret).status == 200, f"{round_}: a write through {member.name}"
        for other in cluster.members:
            found = other.client(token).get(f"kv-28/data/{member.name}")
            assert (found.status, found.data["data"]) == (200, secret["data"]), f"{round_}: a read at {other.name}"


def test_peer_bug_28_nodes_of_two_versions_serve_and_forward_to_each_other(cluster: Cluster, token: str) -> None:
    """A newer standby forwards to an older active node, older standbys to a newer active one, and each node's health tells what is so."""
    newer, *older = reversed(cluster.members)
    become(cluster, newer, NEWER)
    newer.wait_unsealed()
    cluster.lead(older[0])
    write_and_read_everywhere(cluster, token, "older active")
    assert newer.health() == PERFORMANCE_STANDBY
    cluster.lead(newer)
    write_and_read_everywhere(cluster, token, "newer active")
    assert {member.health() for member in older} == {PERFORMANCE_STANDBY}


def test_peer_bug_28_a_node_too_far_apart_does_not_say_that_all_is_well(cluster: Cluster, token: str) -> None:
    """It serves nothing that it cannot know, its health says so, both sides log why, and the others go on; as it was before, it is back."""
    far = cluster.standbys[0]
    others = [member for member in cluster.members if member is not far]
    for member in others:
        member.env.pop("HOLDFAST_TEST_FRAMES", None)
        member.stop()
        cluster.restart(member)
        cluster.wait_whole()
    become(cluster, far, TOO_NEW)
    wait_until(lambda: "no version of frames in common" in far.log_text, "it says why")
    wait_until(lambda: any("no version of frames in common" in member.log_text for member in others), "and so do the others")
    for client in (far.client(""), far.main("")):
        assert client.get("sys/health").status not in (200, PERFORMANCE_STANDBY)
        assert client.get("sys/health?perfstandbyok=true").status != 200
    path, (reader, writer) = f"kv-28/data/{far.name}", (far.client(token), far.client(token))
    with ThreadPoolExecutor() as both:                   # each is held for as long as an active node might come
        answers = both.submit(reader.get, path), both.submit(writer.post, path, {"data": {}})
    for answer in answers:
        assert answer.result().status == 503, f"within {ANSWER_WITHIN_S} s, and not by a guess: {answer.result()}"
    active = cluster.wait_whole(others)
    assert active.client(token).post("kv-28/data/meanwhile", {"data": {"n": 1}}).status == 200
    far.env.pop("HOLDFAST_TEST_FRAMES")
    far.stop()
    cluster.restart(far)
    cluster.wait_whole()
    assert far.client(token).get("kv-28/data/meanwhile").ok().data["data"] == {"n": 1}
