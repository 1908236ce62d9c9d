"""`server`: from flags to options, and the texts of a start."""

from __future__ import annotations

import sys
import types
from typing import TYPE_CHECKING

import pytest

from holdfast.node.banner import configuration_table, dev_banner
from holdfast.node.options import ServerOptions

if TYPE_CHECKING:
    from tests.unit.cli.conftest import CommandLine


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[ServerOptions]:
    """What a node would have been started with."""
    options: list[ServerOptions] = []

    def run_server(asked: ServerOptions) -> int:
        options.append(asked)
        return 7

    module = types.ModuleType("holdfast.node.run")
    module.run_server = run_server  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "holdfast.node.run", module)
    return options


def test_with_configuration(cli: CommandLine, started: list[ServerOptions]) -> None:
    flags = "-config=/a.hcl -config=/b -log-level=debug -log-format=json -log-file=/l "
    flags += "-log-rotate-bytes=9 -log-rotate-duration=1h -log-rotate-max-files=2"
    assert cli(f"server {flags} -exit-on-core-shutdown").code == 7
    assert started == [
        ServerOptions(
            config_paths=("/a.hcl", "/b"),
            log_level="debug",
            log_format="json",
            log_file="/l",
            log_rotate_bytes=9,
            log_rotate_duration_s=3600.0,
            log_rotate_max_files=2,
            exit_on_core_shutdown=True,
        )
    ]


def test_log_level_and_format_as_in_the_configuration(cli: CommandLine, started: list[ServerOptions]) -> None:
    cli.env["VAULT_LOG_FORMAT"] = "JSON"
    cli("server -config=/a -log-level=ERR")
    assert (started[0].log_level, started[0].log_format) == ("error", "json")


def test_dev(cli: CommandLine, started: list[ServerOptions]) -> None:
    cli.env["VAULT_DEV_LISTEN_ADDRESS"] = "127.0.0.1:1234"
    assert cli("server -dev -dev-root-token-id=root").code == 7
    options = started[0]
    assert (options.dev, options.dev_root_token_id, options.dev_listen_address, options.dev_tls) == (True, "root", "127.0.0.1:1234", False)
    assert options.store_dev_token is not None
    options.store_dev_token("hvs.dev")
    assert cli.token_file.read_text() == "hvs.dev"


def test_other_dev_flags_imply_dev(cli: CommandLine, started: list[ServerOptions]) -> None:
    cli("server -dev-tls -dev-tls-cert-dir=/c -dev-tls-san=a -dev-tls-san=b -dev-no-store-token")
    cli("server -dev-no-kv")
    assert started[0] == ServerOptions(dev=True, dev_tls=True, dev_tls_cert_dir="/c", dev_tls_san=("a", "b"))
    assert (started[1].dev, started[1].dev_no_kv) == (True, True)


def test_a_root_token_outside_of_dev_mode(cli: CommandLine, started: list[ServerOptions]) -> None:
    result = cli("server -config=/a.hcl -dev-root-token-id=root")
    assert result.err.startswith('You cannot specify a custom root token ID outside of "dev" mode.')
    assert (started[0].dev, started[0].dev_root_token_id, started[0].store_dev_token) == (False, "", None)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("server", "Must specify at least one config path using -config"),
        ("server -config=", "-config is empty: it takes the path of a file or of a folder"),
        ("server -dev -config=/a -config=''", "-config is empty: it takes the path of a file or of a folder"),
        ("server -dev -log-level=loud", "-log-level: 'loud' is none of trace, debug, info, warn, error"),
        ("server -config=/a -log-format=xml", "-log-format: 'xml' is none of standard, json"),
        ("server -recovery -config=/a", "-recovery is not supported"),
        ("server -dev-three-node", "-dev-three-node is not supported"),
        ("server -dev -log-rotate-duration=soon", '-log-rotate-duration: time: invalid duration "soon"'),
        ("server -dev now", "Too many arguments (expected 0, got 1)"),
    ],
)
def test_refusals(cli: CommandLine, started: list[ServerOptions], line: str, message: str) -> None:
    result = cli(line)
    assert (result.code, result.out, result.err) == (1, "", message + "\n")
    assert not started


def test_the_configuration_table() -> None:
    rows = {
        "storage": "file",
        "listener 1": 'tcp (addr: "127.0.0.1:8200")',
        "api address": "https://127.0.0.1:8200",
        "recovery mode": "false",
    }
    assert configuration_table(rows) == (
        "==> Holdfast server configuration:\n\n"
        "             Api Address: https://127.0.0.1:8200\n"
        '              Listener 1: tcp (addr: "127.0.0.1:8200")\n'
        "           Recovery Mode: false\n"
        "                 Storage: file\n"
    )


def test_the_dev_banner() -> None:
    text = dev_banner(address="https://127.0.0.1:8200", root_token="root", unseal_key="qg==", ca_cert="/tmp/vault-ca.pem")
    lines = text.splitlines()
    assert "    $ export VAULT_ADDR='https://127.0.0.1:8200'" in lines
    assert "    $ export VAULT_CACERT='/tmp/vault-ca.pem'" in lines
    assert lines[lines.index("Unseal Key: qg==") + 1] == "Root Token: root"
    assert lines[-1] == "Never keep anything in a dev node that must not be lost or read by others."
    assert "VAULT_CACERT" not in dev_banner(address="http://127.0.0.1:8200", root_token="root")
