"""`operator raft …`: what is asked of the server, what is printed, and the exit codes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from holdfast.storage.raft import archive

if TYPE_CHECKING:
    from tests.unit.cli.conftest import CommandLine

CONFIGURATION = {
    "request_id": "r",
    "data": {
        "config": {
            "servers": [
                {"node_id": "n1", "address": "127.0.0.1:8201", "leader": True, "protocol_version": "3", "voter": True},
                {"node_id": "n2", "address": "127.0.0.1:8211", "leader": False, "protocol_version": "3", "voter": False},
            ],
            "index": 0,
        }
    },
}
SERVER = {
    "id": "n1", "name": "n1", "address": "127.0.0.1:8201", "node_status": "alive", "last_contact": "0s", "last_term": 7, "last_index": 100,
    "healthy": True, "stable_since": "2026-11-21T08:00:00Z", "status": "leader", "version": "1.17.0", "node_type": "voter",
}
STATE = {
    "data": {
        "healthy": False, "failure_tolerance": 1, "leader": "n1", "voters": ["n1"], "non_voters": ["n2"],
        "servers": {"n2": {**SERVER, "id": "n2", "name": "n2", "status": "non-voter", "healthy": False}, "n1": SERVER},
    }
}
CONFIG = {
    "data": {
        "cleanup_dead_servers": True, "last_contact_threshold": "10s", "dead_server_last_contact_threshold": "24h0m0s",
        "max_trailing_logs": 1000, "min_quorum": 3, "server_stabilization_time": "10s",
        "disable_upgrade_migration": False,
    }
}


def test_list_peers(cli: CommandLine) -> None:
    cli.server.on("GET sys/storage/raft/configuration", CONFIGURATION)
    result = cli("operator raft list-peers")
    assert (result.code, result.out) == (0, (
        "Node    Address           State       Voter\n"
        "----    -------           -----       -----\n"
        "n1      127.0.0.1:8201    leader      true\n"
        "n2      127.0.0.1:8211    follower    false\n"))
    assert msgspec.json.decode(cli("operator raft list-peers -format=json").out)["data"] == CONFIGURATION["data"]


def test_list_peers_where_there_are_none(cli: CommandLine) -> None:
    cli.server.on("GET sys/storage/raft/configuration", {"errors": ["raft storage is not in use"]}, status=400)
    result = cli("operator raft list-peers")
    assert result.code == 2
    assert result.err.startswith("Error reading the raft cluster configuration: Error making API request.")


def test_join(cli: CommandLine, tmp_path: Path) -> None:
    cli.server.on("POST sys/storage/raft/join", {"joined": True})
    (tmp_path / "ca.pem").write_text("PEM")
    result = cli(f"operator raft join -leader-ca-cert=@{tmp_path}/ca.pem -leader-client-cert=inline -non-voter https://n1:8200")
    assert (result.code, result.out) == (0, "Key       Value\n---       -----\nJoined    true\n")
    assert cli.server.sent() == ("POST", "sys/storage/raft/join", {
        "auto_join": "", "auto_join_scheme": "", "auto_join_port": 0, "leader_api_addr": "https://n1:8200", "leader_ca_cert": "PEM",
        "leader_client_cert": "inline", "leader_client_key": "", "retry": False, "non_voter": True})
    assert cli("operator raft join -format=json -retry https://n1:8200").out == '{\n  "joined": true\n}\n'


def test_join_by_discovery(cli: CommandLine) -> None:
    cli.server.on("POST sys/storage/raft/join", {"joined": False})
    assert cli("operator raft join -auto-join-port=1 'provider=aws tag=x'").out.endswith("Joined    false\n")
    body = cli.server.sent()[2]
    assert isinstance(body, dict)
    assert (body["auto_join"], body["auto_join_scheme"], body["auto_join_port"]) == ("provider=aws tag=x", "https", 1)


@pytest.mark.parametrize(("line", "code", "text"), [
    ("join -auto-join-scheme=ftp x", 1, 'invalid scheme "ftp"; must either be http or https'),
    ("join a b", 1, "Too many arguments (expected 0-1, got 2)"),
    ("join -leader-ca-cert=@/does/not/exist x", 1, "Failed to parse leader CA certificate"),
    ("remove-peer", 1, "Incorrect arguments (expected 1, got 0)"),
    ("remove-peer ' '", 1, "Server id is required"),
    ("autopilot state more", 1, "Incorrect arguments (expected 0, got 1)"),
    ("autopilot set-config -min-quorum=-1", 1, "-min-quorum"),
    ("snapshot save", 1, "Incorrect arguments (expected 1, got 0)"),
    ("snapshot save ''", 1, "Output file name is required"),
    ("snapshot restore ''", 1, "Snapshot file name is required"),
    ("snapshot restore /does/not/exist", 2, "Error opening the snapshot"),
    ("snapshot inspect /does/not/exist", 2, "Error opening the snapshot"),
])
def test_a_wrong_command_line(cli: CommandLine, line: str, code: int, text: str) -> None:
    result = cli(f"operator raft {line}")
    assert (result.code, result.out) == (code, "")
    assert text in result.err
    assert not cli.server.requests


@pytest.mark.parametrize(("name", "success", "problem"), [
    ("remove-peer", "Peer removed successfully!", "Error removing the peer from raft cluster"),
    ("promote", "Server promoted successfully!", "Error promoting server"),
    ("demote", "Server demoted successfully!", "Error demoting server"),
])
def test_changes_of_members(cli: CommandLine, name: str, success: str, problem: str) -> None:
    cli.server.on(f"PUT sys/storage/raft/{name}")
    result = cli(f"operator raft {name} n3")
    assert (result.code, result.out) == (0, success + "\n")
    assert cli.server.sent() == ("PUT", f"sys/storage/raft/{name}", {"server_id": "n3"})
    cli.server.answers.clear()
    cli.server.on(f"PUT sys/storage/raft/{name}", {"errors": ["no member has the id n3"]}, status=400)
    result = cli(f"operator raft {name} n3")
    assert result.code == 2
    assert result.err.startswith(f"{problem}: Error making API request.")


PRETTY = """\
Healthy:                         false
Failure Tolerance:               1
Leader:                          n1
Voters:
   n1
Non Voters:
   n2
Servers:
   n1
      Name:              n1
      Address:           127.0.0.1:8201
      Status:            leader
      Node Status:       alive
      Healthy:           true
      Last Contact:      0s
      Last Term:         7
      Last Index:        100
      Version:           1.17.0
      Node Type:         voter
   n2
"""


def test_autopilot_state(cli: CommandLine) -> None:
    cli.server.on("GET sys/storage/raft/autopilot/state", STATE)
    result = cli("operator raft autopilot state")
    assert result.code == 0
    assert result.out.startswith(PRETTY)
    assert cli("operator raft autopilot state -format=pretty").out == result.out
    shown = msgspec.json.decode(cli("operator raft autopilot state -format=json").out)
    assert list(shown) == ["Healthy", "FailureTolerance", "Servers", "Leader", "Voters", "NonVoters", "RedundancyZones", "Upgrade",
                           "OptimisticFailureTolerance"]
    assert (shown["FailureTolerance"], shown["NonVoters"], shown["Upgrade"]) == (1, ["n2"], None)
    assert shown["Servers"]["n1"] == {
        "ID": "n1", "Name": "n1", "Address": "127.0.0.1:8201", "NodeStatus": "alive", "LastContact": "0s", "LastTerm": 7, "LastIndex": 100,
        "Healthy": True, "StableSince": "2026-11-21T08:00:00Z", "Status": "leader", "Version": "1.17.0", "UpgradeVersion": "",
        "RedundancyZone": "", "NodeType": "voter"}
    table = cli("operator raft autopilot state -format=table")
    assert (table.code, table.err) == (1, "Could not parse output: cannot use the table formatter for this type\n")


def test_autopilot_that_does_not_run(cli: CommandLine) -> None:
    for name in ("state", "configuration"):
        cli.server.on(f"GET sys/storage/raft/autopilot/{name}", {"errors": []}, status=404)
    assert [cli(f"operator raft autopilot {name}") for name in ("state", "get-config")] == [cli("operator raft autopilot state")] * 2
    assert cli("operator raft autopilot state").code == 0


def test_autopilot_configuration(cli: CommandLine) -> None:
    cli.server.on("GET sys/storage/raft/autopilot/configuration", CONFIG)
    assert cli("operator raft autopilot get-config").out == (
        "Key                                   Value\n"
        "---                                   -----\n"
        "Cleanup Dead Servers                  true\n"
        "Last Contact Threshold                10s\n"
        "Dead Server Last Contact Threshold    24h0m0s\n"
        "Server Stabilization Time             10s\n"
        "Min Quorum                            3\n"
        "Max Trailing Logs                     1000\n"
        "Disable Upgrade Migration             false\n"
    )
    assert msgspec.json.decode(cli("operator raft autopilot get-config -format=json").out) == CONFIG["data"]


def test_autopilot_is_told_only_what_was_given(cli: CommandLine) -> None:
    cli.server.on("PUT sys/storage/raft/autopilot/configuration")
    result = cli("operator raft autopilot set-config -cleanup-dead-servers=false -last-contact-threshold=90s -min-quorum=3")
    assert (result.code, result.out) == (0, "")
    assert cli.server.sent()[2] == {"cleanup_dead_servers": False, "last_contact_threshold": "1m30s", "min_quorum": 3}
    cli("operator raft autopilot set-config")
    assert cli.server.sent()[2] == {}


def snapshot(state: bytes = b"state" * 1_000) -> bytes:
    meta = archive.Meta(
        id="i", index=100, term=7, size=len(state), wal_index=90, generation=1, cluster="c",
        configuration=archive.Configuration(servers=(archive.Server(suffrage=0, id="n1", address="a:1"),)),
    )

    async def pieces() -> AsyncIterator[bytes]:
        yield state

    async def pack() -> bytes:
        return b"".join([piece async for piece in archive.pack(meta, pieces(), lambda sums: b"sealed")])

    return asyncio.run(pack())


def test_a_snapshot_is_saved_for_its_owner_alone(cli: CommandLine, tmp_path: Path) -> None:
    whole = snapshot()
    cli.server.on("GET sys/storage/raft/snapshot", whole)
    file = tmp_path / "a.snap"
    result = cli(f"operator raft snapshot save {file}")
    assert (result.code, result.out, result.err) == (0, "", "")
    assert file.read_bytes() == whole
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_snapshot_that_is_not_whole_is_not_taken_for_one(cli: CommandLine, tmp_path: Path) -> None:
    whole = snapshot()
    for broken in (whole[:-40], whole[:50]):
        cli.server.answers.clear()
        cli.server.on("GET sys/storage/raft/snapshot", broken)
        result = cli(f"operator raft snapshot save {tmp_path}/a.snap")
        assert result.code == 2
        assert "Error taking the snapshot: incomplete snapshot" in result.err


def test_no_file_is_left_where_there_was_no_snapshot(cli: CommandLine, tmp_path: Path) -> None:
    cli.server.on("GET sys/storage/raft/snapshot", {"errors": ["permission denied"]}, status=403)
    result = cli(f"operator raft snapshot save {tmp_path}/a.snap")
    assert result.code == 2
    assert "* permission denied" in result.err
    assert not (tmp_path / "a.snap").exists()


def test_a_snapshot_follows_the_redirect_to_the_active_node(cli: CommandLine, tmp_path: Path) -> None:
    whole = snapshot()
    cli.server.on("GET sys/storage/raft/snapshot", b"", status=307, headers={"location": "https://active:8200/v1/sys/storage/raft/snapshot"})
    cli.server.on("GET sys/storage/raft/snapshot", whole)
    assert cli(f"operator raft snapshot save {tmp_path}/a.snap").code == 0
    assert [request.url.partition("/v1/")[0] for request in cli.server.requests] == ["https://127.0.0.1:8200", "https://active:8200"]
    assert (tmp_path / "a.snap").read_bytes() == whole
    cli.server.on("POST sys/storage/raft/snapshot", b"", status=307, headers={"location": "https://active:8200/v1/sys/storage/raft/snapshot"})
    cli.server.on("POST sys/storage/raft/snapshot")
    assert cli(f"operator raft snapshot restore {tmp_path}/a.snap").code == 0
    assert cli.server.uploads == [whole, whole]


def test_a_snapshot_is_restored(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "a.snap").write_bytes(b"archive")
    for flag, name in (("", "snapshot"), ("-force", "snapshot-force")):
        cli.server.on(f"POST sys/storage/raft/{name}")
        result = cli(f"operator raft snapshot restore {flag} {tmp_path}/a.snap")
        assert (result.code, result.out) == (0, "")
    assert cli.server.uploads == [b"archive", b"archive"]
    cli.server.answers.clear()
    cli.server.on("POST sys/storage/raft/snapshot", {"errors": ["the snapshot is damaged"]}, status=400)
    result = cli(f"operator raft snapshot restore {tmp_path}/a.snap")
    assert result.code == 2
    assert result.err.startswith("Error installing the snapshot: Error making API request.")


def test_a_snapshot_is_inspected(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "a.snap").write_bytes(snapshot())
    result = cli(f"operator raft snapshot inspect {tmp_path}/a.snap")
    assert (result.code, result.out) == (0, (
        "Key           Value\n---           -----\nID            i\nSize          5000\nIndex         100\nTerm          7\n"
        "Version       1\nWAL Index     90\nCluster ID    c\nServers       n1\n"))
    assert msgspec.json.decode(cli(f"operator raft snapshot inspect -format=json {tmp_path}/a.snap").out)["Servers"] == ["n1"]
    (tmp_path / "a.snap").write_bytes(snapshot()[:100])
    result = cli(f"operator raft snapshot inspect {tmp_path}/a.snap")
    assert result.code == 2
    assert result.err.startswith("Error reading the snapshot: ")
