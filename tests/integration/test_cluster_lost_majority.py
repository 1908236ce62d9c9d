"""A majority is lost for good: what is left goes on by `raft/peers.json`, with everything that was acknowledged, and grows again."""
from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.cluster_nodes import ACTIVE, CALM, SEALED, Cluster, Member, cluster
from tests.node import mount
from tests.processes import wait_until


def peers_of(member: Member) -> Path:
    return member.data / "raft" / "peers.json"


def name_members(members: Sequence[Member]) -> None:
    text = json.dumps([{"id": member.name, "address": member.cluster_address, "non_voter": False} for member in members])
    for member in members:
        peers_of(member).parent.mkdir()
        peers_of(member).write_text(text)


def lose(found: Cluster, members: Sequence[Member]) -> None:
    """Their machines are gone."""
    for member in members:
        member.kill()
        member.wipe()
        found.members.remove(member)


def check_kept(member: Member, count: int) -> None:
    client = member.client()
    for number in range(count):
        assert client.get(f"kept/{number}").ok().data["value"] == f"v{number}"


@pytest.mark.parametrize("static", [True, False])
def test_one_of_three_goes_on_and_two_new_nodes_join(static: bool) -> None:
    with cluster(static=static, **CALM) as found:
        found.begin()
        client = found.active.client()
        mount(client, "kept", options={"version": "1"})
        for number in range(30):
            client.post(f"kept/{number}", {"value": f"v{number}"}).ok()
        left = found.standbys[0]
        lose(found, [member for member in found.members if member is not left])
        left.wait_health(SEALED, 429)                    # by itself it serves nothing any more
        left.kill()
        name_members([left])
        found.restart(left)
        assert not peers_of(left).exists()
        assert "raft.recovered" in left.log_text
        left.wait_health(ACTIVE)
        assert found.raft_members() == {left.name: (True, True)}
        check_kept(left, 30)
        left.client().post("kept/30", {"value": "v30"}).ok()
        for _ in range(2):
            fresh = found.new_member()
            fresh.joins = [left.address]
            fresh.write_config()
            found.restart(fresh)
        found.wait_whole()
        wait_until(lambda: all(voter for _, voter in found.raft_members().values()) and len(found.raft_members()) == 3, "all vote", 60)
        for member in found.members:
            check_kept(member, 31)
        left.kill()                                      # the new ones are a majority
        found.wait_active(other_than=left).client().post("kept/31", {"value": "v31"}).ok()
        found.restart(left)
        found.wait_whole()
        for member in found.members:
            check_kept(member, 32)
            assert "process.defect" not in member.log_text, member.tail


def test_two_of_five_go_on_together() -> None:
    with cluster(5, **CALM) as found:
        found.begin()
        client = found.active.client()
        mount(client, "kept", options={"version": "1"})
        for number in range(30):
            client.post(f"kept/{number}", {"value": f"v{number}"}).ok()
        left = found.standbys[:2]
        lose(found, [member for member in found.members if member not in left])
        for member in left:
            member.kill()
        name_members(left)
        for member in left:
            member.start()
        found.wait_whole()
        assert {name: voter for name, (_, voter) in found.raft_members().items()} == {member.name: True for member in left}
        for member in left:
            assert not peers_of(member).exists()
            check_kept(member, 30)
            member.client().post(f"kept/{member.name}", {"value": "after"}).ok()
        fresh = found.new_member()
        fresh.joins = [member.address for member in left]
        fresh.write_config()
        found.restart(fresh)
        found.wait_whole()
        check_kept(fresh, 30)


def test_a_file_that_cannot_be_followed_is_named_and_the_node_does_not_start() -> None:
    with cluster(1, **CALM) as found:
        found.begin()
        only = found[0]
        only.stop()
        peers_of(only).parent.mkdir()
        peers_of(only).write_text('[{"id": "another", "address": "127.0.0.1:8201"}]')
        only.launch()
        assert only.process is not None
        assert only.process.wait(30) != 0
        assert f"{peers_of(only)}: it does not name this node, n0" in only.log_text
        only.kill()
        peers_of(only).unlink()
        found.restart(only)
        assert found.raft_members() == {"n0": (True, True)}
