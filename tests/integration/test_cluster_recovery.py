"""A cluster that was lost comes back in new nodes, from its snapshot."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cluster_nodes import CALM, SEALED, Cluster, cluster
from tests.node import mount

TERMS = 6                                                # that the lost cluster had before its snapshot: more than a new one begins with


@pytest.fixture(params=["shares", "static seal"])
def lost(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Cluster, Path]]:
    """A cluster with a value, and its snapshot; none of its nodes runs any more."""
    with cluster(1, static=request.param == "static seal") as old:
        old.begin()
        for _ in range(TERMS):
            old[0].stop()
            old.restart(old[0])
        old.wait_active()
        root = old[0].client()
        mount(root, "kept", options={"version": "1"})
        root.post("kept/a", {"value": "of before"}).ok()
        file = tmp_path / "lost.snap"
        saved = old[0].cli("operator", "raft", "snapshot", "save", str(file))
        assert saved.returncode == 0, saved.stderr
        old[0].stop()
        yield old, file


def test_a_lost_cluster_goes_on_in_new_nodes(lost: tuple[Cluster, Path]) -> None:
    """Its keys are not theirs: each seals itself once it has the state, and is opened by the shares, or the seal, of the lost one. Its
    snapshot names an active node of a later term than theirs; they follow their own all the same."""
    old, file = lost
    with cluster(static=old.static, **CALM) as new:
        new.begin()
        if not old.static:                               # else the seal opens it, as one of its own
            assert new.active.cli("operator", "raft", "snapshot", "restore", str(file)).returncode == 2
        restored = new.active.cli("operator", "raft", "snapshot", "restore", "-force", str(file))
        assert restored.returncode == 0, restored.stderr
        for member in new.members:
            member.root_token, member.shares = old.root_token, old[0].shares
        if not old.static:
            for member in new.members:
                member.wait_health(SEALED)
                assert member.client("").get("sys/seal-status").ok().json["initialized"]
            for member in new.members:
                member.unseal()
        new.root_token = old.root_token
        new.wait_whole()
        for number, member in enumerate(new.members):
            for client in (member.client(), member.main()):
                assert client.get("kept/a").ok().data["value"] == "of before"
                client.post(f"kept/{member.name}", {"value": str(number)}).ok()
        for member in new.members:
            assert member.client().get("sys/leader").ok().json["leader_address"] == new.active.address
            assert "process.defect" not in member.log_text, member.tail
