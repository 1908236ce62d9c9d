"""`operator …`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

if TYPE_CHECKING:
    from tests.unit.cli.conftest import CommandLine

SEALED = {
    "type": "shamir",
    "initialized": True,
    "sealed": True,
    "t": 2,
    "n": 3,
    "progress": 1,
    "nonce": "n1",
    "version": "v",
    "recovery_seal": False,
}
KEYS = {"keys": ["aa", "bb"], "keys_base64": ["qg==", "uw=="], "root_token": "hvs.first"}


def test_init(cli: CommandLine) -> None:
    cli.server.on("GET sys/seal-status", {"recovery_seal": False})
    cli.server.on("PUT sys/init", KEYS)
    result = cli("operator init -key-shares=2 -key-threshold=2")
    assert result.code == 0
    assert result.out.startswith(
        "Unseal Key 1: qg==\nUnseal Key 2: uw==\n\nInitial Root Token: hvs.first\n\n"
        "Vault initialized with 2 key shares and a key threshold of 2. "
    )
    assert cli.server.sent() == (
        "PUT",
        "sys/init",
        {
            "secret_shares": 2,
            "secret_threshold": 2,
            "stored_shares": 0,
            "pgp_keys": None,
            "recovery_shares": 0,
            "recovery_threshold": 0,
            "recovery_pgp_keys": None,
            "root_token_pgp_key": "",
        },
    )


def test_init_as_json_and_with_the_defaults(cli: CommandLine) -> None:
    cli.server.on("GET sys/seal-status", {"recovery_seal": False})
    cli.server.on("PUT sys/init", KEYS)
    shown = cli("operator init -format=json").out
    assert list(msgspec.json.decode(shown).items()) == [
        ("unseal_keys_b64", ["qg==", "uw=="]),
        ("unseal_keys_hex", ["aa", "bb"]),
        ("unseal_shares", 5),
        ("unseal_threshold", 3),
        ("recovery_keys_b64", []),
        ("recovery_keys_hex", []),
        ("recovery_keys_shares", 0),
        ("recovery_keys_threshold", 0),
        ("root_token", "hvs.first"),
    ]


def test_init_with_auto_unseal(cli: CommandLine) -> None:
    cli.server.on("GET sys/seal-status", {"recovery_seal": True})
    cli.server.on(
        "PUT sys/init", {"keys": [], "keys_base64": [], "recovery_keys": ["cc"], "recovery_keys_base64": ["zA=="], "root_token": "t"}
    )
    out = cli("operator init -recovery-shares=1 -recovery-threshold=1").out
    assert out.startswith(
        "Recovery Key 1: zA==\n\nInitial Root Token: t\n\nSuccess! Vault is initialized\n\nRecovery key initialized with 1 key shares"
    )
    data = msgspec.json.decode(cli("operator init -format=json").out)
    assert (data["unseal_shares"], data["unseal_threshold"], data["recovery_keys_shares"], data["recovery_keys_threshold"]) == (1, 1, 5, 3)
    body = cli.server.sent()[2]
    assert isinstance(body, dict)
    assert (body["secret_shares"], body["recovery_shares"]) == (0, 5)


def test_init_again(cli: CommandLine) -> None:
    cli.server.on("GET sys/seal-status", {"recovery_seal": False})
    cli.server.on("PUT sys/init", {"errors": ["Vault is already initialized"]}, status=400)
    result = cli("operator init")
    assert (result.code, result.out) == (2, "")
    assert result.err.endswith("* Vault is already initialized\n")
    assert result.err.startswith("Error initializing: Error making API request.")


@pytest.mark.parametrize(("done", "code", "text"), [(True, 0, "Vault is initialized\n"), (False, 2, "Vault is not initialized\n")])
def test_init_status(cli: CommandLine, done: bool, code: int, text: str) -> None:
    cli.server.on("GET sys/init", {"initialized": done})
    result = cli("operator init -status")
    assert (result.code, result.out) == (code, text)
    assert msgspec.json.decode(cli("operator init -status -format=json").out) == {"initialized": done}


def test_init_status_of_nobody(cli: CommandLine) -> None:
    cli.server.is_down = True
    assert cli("operator init -status").code == 1


@pytest.mark.parametrize("flag", ["pgp-keys", "root-token-pgp-key", "recovery-pgp-keys"])
def test_pgp_is_refused(cli: CommandLine, flag: str) -> None:
    result = cli(f"operator init -{flag}=keybase:ann")
    assert (result.code, result.err) == (1, f"-{flag} is not supported: keys and tokens are not encrypted with PGP\n")
    assert not cli.server.requests


def test_unseal_by_argument_and_by_asking(cli: CommandLine) -> None:
    cli.server.on("PUT sys/unseal", SEALED)
    cli.server.on("GET sys/leader", {"ha_enabled": False})
    result = cli("operator unseal qg==")
    assert result.code == 0
    assert "Unseal Progress    1/2\nUnseal Nonce       n1\n" in result.out
    asked = cli("operator unseal -migrate", hidden=(" qg== ",))
    assert (asked.code, asked.err) == (0, "Unseal Key (will be hidden): \n")
    assert cli.server.sent(-2)[2] == {"key": "qg==", "reset": False, "migrate": True}


def test_unseal_without_a_terminal(cli: CommandLine) -> None:
    result = cli("operator unseal", stdin=b"qg==\n")
    assert result.code == 1
    assert "stdin is not a terminal" in result.err
    assert not cli.server.requests


def test_unseal_reset_and_refused(cli: CommandLine) -> None:
    cli.server.on("PUT sys/unseal", SEALED)
    cli.server.on("GET sys/leader", {"ha_enabled": False})
    assert cli("operator unseal -reset").code == 0
    assert cli.server.sent(-2)[2] == {"reset": True}
    cli.server.answers.clear()
    cli.server.on("PUT sys/unseal", {"errors": ["'key' must be a valid hex or base64 string"]}, status=400)
    refused = cli("operator unseal junk")
    assert refused.code == 2
    assert refused.err.startswith("Error unsealing: ")


def test_seal_and_step_down(cli: CommandLine) -> None:
    cli.server.on("PUT sys/seal")
    cli.server.on("PUT sys/step-down")
    assert cli("operator seal").out == "Success! Vault is sealed.\n"
    assert cli("operator step-down").out == "Success! Stepped down: https://127.0.0.1:8200\n"


def test_key_status_and_rotate(cli: CommandLine) -> None:
    cli.server.on("GET sys/key-status", {"data": {"term": 2, "install_time": "2026-11-21T08:05:06.123456789Z", "encryptions": 70}})
    cli.server.on("POST sys/rotate")
    table = "Key Term            2\nInstall Time        21 Nov 26 08:05 UTC\nEncryption Count    70\n"
    assert cli("operator key-status").out == table
    assert cli("operator rotate").out == f"Success! Rotated key\n\n{table}"
    assert msgspec.json.decode(cli("operator key-status -format=json").out) == {
        "term": 2,
        "install_time": "2026-11-21T08:05:06.123456789Z",
        "encryptions": 70,
    }


def test_members(cli: CommandLine) -> None:
    active = {
        "hostname": "a",
        "api_address": "https://a:8200",
        "cluster_address": "https://a:8201",
        "active_node": True,
        "last_echo": None,
        "echo_duration_ms": 0,
        "clock_skew_ms": 0,
        "version": "v",
        "replication_primary_canary_age_ms": 0,
    }
    standby = {**active, "hostname": "b", "active_node": False, "last_echo": "2026-11-21T08:00:00.25Z",
               "echo_duration_ms": 2, "clock_skew_ms": -3}
    cli.server.on("GET sys/ha-status", {"nodes": [active, standby]})
    assert cli("operator members").out == (
        "Host Name    API Address       Cluster Address    Active Node    Version    Upgrade Version    Redundancy Zone    Last Echo\n"
        "---------    -----------       ---------------    -----------    -------    ---------------    ---------------    ---------\n"
        "a            https://a:8200    https://a:8201     true           v          n/a                n/a                "
        "n/a\n"
        "b            https://a:8200    https://a:8201     false          v          n/a                n/a                "
        "2026-11-21T08:00:00Z\n"
    )
    assert msgspec.json.decode(cli("operator members -format=json").out) == {"Nodes": [active, standby]}
