"""The options of an integrated storage as records."""
from pathlib import Path

import pytest

from holdfast.config import ConfigError, RetryJoin, raft_settings, with_files
from holdfast.config.finding import Findings
from holdfast.config.raft import RaftSettings, check_raft_options
from holdfast.config.settings import StorageStanza


def stanza(**options: str) -> StorageStanza:
    return StorageStanza(type="raft", options={"path": "/p", **options})


def test_defaults() -> None:
    assert raft_settings(stanza()) == RaftSettings()
    assert raft_settings(stanza(performance_multiplier="0")).performance_multiplier == 1


def test_all_that_is_read() -> None:
    found = raft_settings(stanza(
        performance_multiplier="5", autopilot_update_interval="500ms", autopilot_reconcile_interval="1m", retry_join_as_non_voter="true",
        retry_join='[{"leader_api_addr":"https://a:8200","leader_ca_cert_file":"/ca"},{"auto_join":"provider=x","auto_join_port":8200}]'))
    assert found == RaftSettings(
        performance_multiplier=5, autopilot_update_interval_s=0.5, autopilot_reconcile_interval_s=60.0, retry_join_as_non_voter=True,
        retry_join=(RetryJoin(leader_api_addr="https://a:8200", leader_ca_cert_file="/ca"),))


def test_files_are_read_when_a_node_is_to_join(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("CA")
    (tmp_path / "key.pem").write_text("c4n4ry")
    block = with_files(RetryJoin(leader_api_addr="a", leader_ca_cert_file=str(tmp_path / "ca.pem"), leader_client_cert="inline",
                                 leader_client_cert_file="/not/read", leader_client_key_file=str(tmp_path / "key.pem")))
    assert (block.leader_ca_cert, block.leader_client_cert, block.leader_client_key) == ("CA", "inline", "c4n4ry")
    assert "c4n4ry" not in repr(block)
    for file in ("/does/not/exist", str(tmp_path)):
        with pytest.raises(ConfigError, match="cannot be read"):
            with_files(RetryJoin(leader_api_addr="a", leader_ca_cert_file=file))
    (tmp_path / "large").write_text("x" * ((1 << 20) + 1))
    with pytest.raises(ConfigError, match="longer than"):
        with_files(RetryJoin(leader_api_addr="a", leader_ca_cert_file=str(tmp_path / "large")))


@pytest.mark.parametrize(("options", "error"), [
    ({"autopilot_update_interval": "11s"}, "autopilot_reconcile_interval should be larger than autopilot_update_interval"),
    ({"autopilot_reconcile_interval": "1s"}, "autopilot_reconcile_interval should be larger than autopilot_update_interval"),
    ({"retry_join_as_non_voter": "true"}, "retry_join_as_non_voter wants at least one retry_join"),
])
def test_options_that_do_not_fit_together(options: dict[str, str], error: str) -> None:
    findings = Findings()
    check_raft_options(stanza(**options), findings)
    assert [str(found) for found in findings.errors] == [error]


def test_options_that_fit_together() -> None:
    findings = Findings()
    check_raft_options(stanza(autopilot_update_interval="5s", autopilot_reconcile_interval="5s", retry_join_as_non_voter="true",
                              retry_join='[{"auto_join":"x"}]'), findings)
    assert not findings.errors


def test_a_list_of_other_things() -> None:
    with pytest.raises(ConfigError, match="a list of blocks of texts is wanted"):
        raft_settings(stanza(retry_join='[{"leader_api_addr": 7}]'))
