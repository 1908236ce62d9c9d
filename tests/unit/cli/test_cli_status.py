"""`status`: rows in Vault's order, and exit codes of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

if TYPE_CHECKING:
    from tests.unit.cli.conftest import CommandLine

SEAL = {
    "type": "shamir",
    "initialized": True,
    "sealed": False,
    "t": 3,
    "n": 5,
    "progress": 0,
    "nonce": "",
    "version": "1.17.0+holdfast.0.1.0",
    "build_date": "2026-11-21T00:00:00Z",
    "migration": False,
    "cluster_name": "main",
    "cluster_id": "c1",
    "recovery_seal": False,
    "storage_type": "raft",
}
LEADER = {
    "ha_enabled": True,
    "is_self": True,
    "active_time": "2026-11-21T08:00:00.5Z",
    "leader_address": "https://a:8200",
    "leader_cluster_address": "https://a:8201",
    "performance_standby": False,
    "performance_standby_last_remote_wal": 0,
    "last_wal": 7,
    "raft_committed_index": 12,
    "raft_applied_index": 11,
}
NO_HA = {"ha_enabled": False, "is_self": False, "active_time": "0001-01-01T00:00:00Z", "leader_address": "", "leader_cluster_address": ""}


def answer(cli: CommandLine, seal: dict[str, object], leader: dict[str, object]) -> None:
    cli.server.answers.clear()
    cli.server.on("GET sys/seal-status", seal)
    cli.server.on("GET sys/leader", leader)


def rows(out: str) -> list[tuple[str, str]]:
    """Keys and values of a table."""
    return [(line[: line.index("  ")], line[line.index("  ") :].strip()) for line in out.splitlines()[2:]]


def test_an_active_node(cli: CommandLine) -> None:
    answer(cli, SEAL, LEADER)
    result = cli("status")
    assert (result.code, result.err) == (0, "")
    assert result.out == (
        "Key                     Value\n"
        "---                     -----\n"
        "Seal Type               shamir\n"
        "Initialized             true\n"
        "Sealed                  false\n"
        "Total Shares            5\n"
        "Threshold               3\n"
        "Version                 1.17.0+holdfast.0.1.0\n"
        "Build Date              2026-11-21T00:00:00Z\n"
        "Storage Type            raft\n"
        "Cluster Name            main\n"
        "Cluster ID              c1\n"
        "HA Enabled              true\n"
        "HA Cluster              https://a:8201\n"
        "HA Mode                 active\n"
        "Active Since            2026-11-21T08:00:00.5Z\n"
        "Raft Committed Index    12\n"
        "Raft Applied Index      11\n"
        "Last WAL                7\n"
    )


def test_a_sealed_node_of_a_cluster(cli: CommandLine) -> None:
    answer(cli, {**SEAL, "sealed": True, "progress": 1, "nonce": "n1", "cluster_name": "", "migration": True}, {})
    cli.server.answers.pop("GET sys/leader")
    cli.server.on("GET sys/leader", {"errors": ["Vault is sealed"]}, status=503)
    result = cli("status")
    assert result.code == 2
    assert rows(result.out)[5:] == [
        ("Unseal Progress", "1/3"),
        ("Unseal Nonce", "n1"),
        ("Seal Migration in Progress", "true"),
        ("Version", "1.17.0+holdfast.0.1.0"),
        ("Build Date", "2026-11-21T00:00:00Z"),
        ("Storage Type", "raft"),
        ("HA Enabled", "true"),
    ]


def test_a_performance_standby_that_knows_no_leader(cli: CommandLine) -> None:
    leader = {**LEADER, "is_self": False, "leader_address": "", "performance_standby": True, "performance_standby_last_remote_wal": 5}
    answer(cli, {**SEAL, "removed_from_cluster": False}, leader)
    assert rows(cli("status").out)[10:17] == [
        ("Removed From Cluster", "false"),
        ("HA Enabled", "true"),
        ("HA Cluster", "https://a:8201"),
        ("HA Mode", "standby"),
        ("Active Node Address", "<none>"),
        ("Performance Standby Node", "true"),
        ("Performance Standby Last Remote WAL", "5"),
    ]


def test_a_recovery_seal(cli: CommandLine) -> None:
    answer(cli, {**SEAL, "type": "static", "recovery_seal": True, "recovery_seal_type": "shamir"}, NO_HA)
    assert rows(cli("status").out)[:6] == [
        ("Seal Type", "static"),
        ("Recovery Seal Type", "shamir"),
        ("Initialized", "true"),
        ("Sealed", "false"),
        ("Total Recovery Shares", "5"),
        ("Threshold", "3"),
    ]


def test_as_json(cli: CommandLine) -> None:
    answer(cli, SEAL, LEADER)
    out = cli("status -format=json").out
    assert list(msgspec.json.decode(out)) == [
        "type",
        "initialized",
        "sealed",
        "t",
        "n",
        "progress",
        "nonce",
        "version",
        "build_date",
        "migration",
        "cluster_name",
        "cluster_id",
        "recovery_seal",
        "storage_type",
        "ha_enabled",
        "is_self",
        "active_time",
        "leader_address",
        "leader_cluster_address",
        "last_wal",
        "raft_committed_index",
        "raft_applied_index",
    ]
    answer(cli, {**SEAL, "cluster_name": "", "cluster_id": ""}, NO_HA)
    assert list(msgspec.json.decode(cli("status -format=json").out))[10:] == ["recovery_seal", "storage_type", "ha_enabled", "active_time"]


def test_a_field(cli: CommandLine) -> None:
    answer(cli, SEAL, LEADER)
    assert (cli("status -field=version").out, cli("status -field=t").out) == ("1.17.0+holdfast.0.1.0", "3")
    assert cli("status -field=ha_enabled -format=json").out == "true"
    answer(cli, {**SEAL, "sealed": True}, {"ha_enabled": True})
    sealed = cli("status -field=sealed")
    assert (sealed.code, sealed.out) == (2, "true")
    missing = cli("status -field=colour")
    assert (missing.code, missing.out, missing.err) == (1, "", 'Field "colour" not present in seal status\n')


def test_no_token_and_no_namespace_are_needed(cli: CommandLine) -> None:
    answer(cli, SEAL, NO_HA)
    del cli.env["VAULT_TOKEN"]
    assert cli("status -namespace=team").code == 0
    assert cli.server.requests[0].headers == (("X-Vault-Request", "true"),)


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("status now", 1, "Too many arguments (expected 0, got 1)"),
        ("status -format=xml", 1, "Invalid output format: xml"),
        ("status -format=raw", 1, "This command does not support the -format=raw option."),
    ],
)
def test_refusals(cli: CommandLine, line: str, code: int, message: str) -> None:
    result = cli(line)
    assert (result.code, result.out, result.err) == (code, "", message + "\n")


def test_errors_end_with_1(cli: CommandLine) -> None:
    cli.server.is_down = True
    down = cli("status")
    assert (down.code, down.out) == (1, "")
    assert down.err.startswith("Error checking seal status: Get ")
    cli.server.is_down = False
    cli.server.on("GET sys/seal-status", SEAL)
    cli.server.on("GET sys/leader", {"errors": ["internal error"]}, status=500)
    leaderless = cli("status")
    assert leaderless.code == 1
    assert leaderless.err.startswith("Error checking leader status: Error making API request.")
    cli.env["VAULT_SKIP_VERIFY"] = "maybe"
    assert cli("status").code == 1
