"""Files and environment to settings: what is read, what is warned of, what is refused."""
from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from holdfast.config import ConfigError, Loaded, dev_settings, load
from holdfast.config.settings import (
    Consistency,
    LogFormat,
    LogLevel,
    LogRequestsLevel,
    ProxyProtocol,
    SealStanza,
    Settings,
    StorageStanza,
    TcpListener,
    TlsVersion,
    UnixListener,
    UserLockout,
)

MINIMAL = 'storage "inmem" {}\nlistener "tcp" { tls_disable = true }\n'


class Folder:
    """Configuration files of a test."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, name: str, text: str) -> Path:
        path = self.path / name
        path.write_text(text)
        return path

    def load(self, *texts: str, env: Mapping[str, str] | None = None, ending: str = "hcl") -> Loaded:
        return load([self.write(f"{number}.{ending}", text) for number, text in enumerate(texts)], env or {})

    def settings(self, *texts: str, env: Mapping[str, str] | None = None) -> Settings:
        return self.load(MINIMAL, *texts, env=env).settings

    def warnings(self, *texts: str, env: Mapping[str, str] | None = None) -> list[str]:
        return [self.short(str(each)) for each in self.load(*texts, env=env).warnings]

    def errors(self, *texts: str, env: Mapping[str, str] | None = None) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            self.load(*texts, env=env)
        return self.short(str(caught.value)).splitlines()

    def short(self, text: str) -> str:
        return text.replace(f"{self.path}/", "")


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def tcp(settings: Settings) -> TcpListener:
    listener = settings.listeners[0]
    assert isinstance(listener, TcpListener)
    return listener


def ttls(settings: Settings) -> tuple[int, int, float]:
    return settings.default_lease_ttl_s, settings.max_lease_ttl_s, settings.default_max_request_duration_s


def test_the_least_that_is_needed(folder: Folder) -> None:
    loaded = folder.load(MINIMAL)
    assert loaded.settings == Settings(
        storage=StorageStanza(type="inmem"), listeners=(TcpListener(tls_disable=True, cluster_address="127.0.0.1:8201"),))
    assert loaded.warnings == ()
    assert loaded.files == (str(folder.path / "0.hcl"),)


FULL = """
# a node as it is written in practice
storage "raft" {
  path    = "/opt/vault/data"
  node_id = "node1"
  performance_multiplier = 1
  snapshot_interval = "2m"
  retry_join {
    leader_api_addr = "https://10.0.0.2:8200"
    leader_ca_cert_file = "/opt/vault/tls/ca.pem"
  }
  retry_join {
    auto_join = "provider=aws tag_key=vault"
    auto_join_scheme = "http"
    auto_join_port = 8200
  }
}

listener "tcp" {
  address         = "[::]:8200"
  cluster_address = "10.0.0.1:8301"
  tls_cert_file   = "/opt/vault/tls/tls.crt"
  tls_key_file    = "/opt/vault/tls/tls.key"
  tls_min_version = "tls13"
  tls_client_ca_file = "/opt/vault/tls/ca.pem"
  tls_require_and_verify_client_cert = "true"
  tls_cipher_suites = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305"
  http_idle_timeout = "1m"
  max_request_size = "1mib"
  max_request_duration = 30
  x_forwarded_for_authorized_addrs = ["10.0.0.0/8", "192.168.1.7"]
  x_forwarded_for_hop_skips = "1"
  x_forwarded_for_client_cert_header_decoders = "url,DER"
  proxy_protocol_behavior = "deny_unauthorized"
  proxy_protocol_authorized_addrs = "10.1.2.3, fd00::/8"
  telemetry { unauthenticated_metrics_access = 1 }
  custom_response_headers {
    "default" = { "content-security-policy" = ["default-src 'self'", "connect-src https:"] }
    "4xx" = { "X-Kind" = ["client"], "strict-transport-security" = ["max-age=1"] }
  }
}
listener "unix" {
  address = "/run/vault.sock"
  socket_mode = "0660"
  socket_user = "1000"
}

seal "static" {
  current_key_id = "k1"
  current_key = "env://KEY"
}
telemetry {
  prometheus_retention_time = "30s"
  disable_hostname = true
  usage_gauge_period = "none"
  prefix_filter = ["+vault.token", "-vault.expire"]
}
replication { best_effort_wal_wait_duration = "500ms", allow_forwarding_via_header = true }
user_lockout "all" { lockout_threshold = 10, lockout_duration = "10m" }
user_lockout "userpass" { lockout_threshold = "3" }
user_lockout "ldap" { disable_lockout = true }
service_registration "consul" { address = "127.0.0.1:8500", service_meta = { a = "b" } }

api_addr = "https://vault.example.com"
cluster_name = "prod"
default_lease_ttl = "7d"
max_lease_ttl = "768h"
default_max_request_duration = "1h30m"
log_level = "WARN"
log_format = "JSON"
log_requests_level = "debug"
log_rotate_bytes = 1048576
log_rotate_duration = "12h"
ui = "true"
disable_mlock = 1
raw_storage_endpoint = true
read_workers = 3
consistency = "session"
"""


def test_a_whole_configuration(folder: Folder) -> None:
    settings = folder.load(FULL).settings
    assert settings.storage == StorageStanza(type="raft", options={
        "path": "/opt/vault/data", "node_id": "node1", "performance_multiplier": "1", "snapshot_interval": "2m",
        "retry_join": '[{"leader_api_addr":"https://10.0.0.2:8200","leader_ca_cert_file":"/opt/vault/tls/ca.pem"},'
                      '{"auto_join":"provider=aws tag_key=vault","auto_join_scheme":"http","auto_join_port":8200}]'})
    assert settings.listeners == (
        TcpListener(
            address="[::]:8200", cluster_address="10.0.0.1:8301",
            tls_cert_file="/opt/vault/tls/tls.crt", tls_key_file="/opt/vault/tls/tls.key",
            tls_min_version=TlsVersion.TLS13, tls_client_ca_file="/opt/vault/tls/ca.pem", tls_require_and_verify_client_cert=True,
            tls_cipher_suites=("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"),
            http_idle_timeout_s=60.0, max_request_size_bytes=1_048_576, max_request_duration_s=30.0,
            x_forwarded_for_authorized_addrs=("10.0.0.0/8", "192.168.1.7/32"), x_forwarded_for_hop_skips=1,
            x_forwarded_for_client_cert_header_decoders=("URL", "DER"), proxy_protocol_behavior=ProxyProtocol.DENY_UNAUTHORIZED,
            proxy_protocol_authorized_addrs=("10.1.2.3/32", "fd00::/8"),
            telemetry=TcpListener().telemetry.__class__(unauthenticated_metrics_access=True),
            custom_response_headers={
                "default": {"Content-Security-Policy": "default-src 'self'; connect-src https:",
                            "Strict-Transport-Security": "max-age=31536000; includeSubDomains"},
                "4xx": {"X-Kind": "client", "Strict-Transport-Security": "max-age=1"}}),
        UnixListener(address="/run/vault.sock", socket_mode="0660", socket_user="1000"))
    assert settings.seals == (SealStanza(type="static", options={"current_key_id": "k1", "current_key": "env://KEY"}),)
    telemetry = settings.telemetry
    assert (telemetry.prometheus_retention_time_s, telemetry.disable_hostname, telemetry.usage_gauge_period_s, telemetry.prefix_filter) == (
        30.0, True, 0.0, ("+vault.token", "-vault.expire"))
    assert (settings.replication.best_effort_wal_wait_duration_s, settings.replication.allow_forwarding_via_header) == (0.5, True)
    assert settings.user_lockouts == (
        UserLockout(type="all", lockout_threshold=10, lockout_duration_s=600),
        UserLockout(type="ldap", lockout_threshold=10, lockout_duration_s=600, disable_lockout=True),
        UserLockout(type="userpass", lockout_threshold=3, lockout_duration_s=600))
    assert settings.service_registration is not None
    assert settings.service_registration.options == {"address": "127.0.0.1:8500", "service_meta": '[{"a":"b"}]'}
    assert (settings.api_addr, settings.cluster_addr, settings.cluster_name) == (
        "https://vault.example.com", "https://vault.example.com:444", "prod")
    assert ttls(settings) == (604_800, 2_764_800, 5_400.0)
    assert (settings.log_level, settings.log_format, settings.log_requests_level) == (LogLevel.WARN, LogFormat.JSON, LogRequestsLevel.DEBUG)
    assert (settings.log_rotate_bytes, settings.log_rotate_duration_s) == (1_048_576, 43_200.0)
    assert (settings.ui, settings.disable_mlock, settings.raw_storage_endpoint) == (True, True, True)
    assert (settings.read_workers, settings.consistency) == (3, Consistency.SESSION)


def test_the_same_in_json(folder: Folder) -> None:
    loaded = folder.load("""{
      "storage": {"file": {"path": "/data"}},
      "listener": [{"tcp": {"address": "127.0.0.1:1", "tls_disable": 1, "telemetry": {"unauthenticated_metrics_access": true}}},
                   {"tcp": {"address": "127.0.0.1:3", "tls_disable": "true",
                            "custom_response_headers": {"default": {"X-A": ["b"]}}}}],
      "telemetry": {"disable_hostname": true},
      "default_lease_ttl": "1h", "disable_mlock": true}""", ending="json")
    settings = loaded.settings
    assert (settings.storage.type, settings.storage.options) == ("file", {"path": "/data"})
    assert [each.address for each in settings.listeners] == ["127.0.0.1:1", "127.0.0.1:3"]
    assert settings.listeners[0].telemetry.unauthenticated_metrics_access
    assert settings.listeners[1].custom_response_headers["default"]["X-A"] == "b"
    assert (settings.telemetry.disable_hostname, settings.default_lease_ttl_s, settings.disable_mlock) == (True, 3_600, True)
    assert loaded.warnings == ()


# peer-bugs.md 36
def test_peer_bug_36_no_setting_of_any_file_is_dropped_silently(folder: Folder) -> None:
    first = """log_level = "debug"
        disable_mlock = true
        default_lease_ttl = "2h"
        telemetry { metrics_prefix = "a" }
        storage "inmem" {}
        cluster_name = "x" """
    second = """listener "tcp" { tls_disable = true }
        disable_mlock = false
        default_lease_ttl = "1h"
        storage "file" { path = "/d" }
        cluster_name = "x" """
    third = """listener "tcp" { address = "127.0.0.1:1", tls_disable = true }
        max_lease_ttl = "3h"
        telemetry { disable_hostname = true }"""
    loaded = folder.load(first, second, third)
    settings = loaded.settings
    assert (settings.log_level, settings.disable_mlock, *ttls(settings)) == (LogLevel.DEBUG, False, 3_600, 10_800, 90.0)
    assert (settings.storage.type, len(settings.listeners), settings.cluster_name) == ("file", 2, "x")
    assert (settings.telemetry.metrics_prefix, settings.telemetry.disable_hostname) == ("vault", True)
    assert sorted(folder.short(str(each)) for each in loaded.warnings) == [
        "1.hcl:2:9: 'disable_mlock' replaces the one of 0.hcl:2:9",
        "1.hcl:3:9: 'default_lease_ttl' replaces the one of 0.hcl:3:9",
        "1.hcl:4:9: 'storage' replaces the one of 0.hcl:5:9",
        "2.hcl:3:9: 'telemetry' replaces the one of 0.hcl:4:9"]


def test_folders_are_read_in_order_of_name_and_no_file_twice(folder: Folder) -> None:
    folder.write("20.json", '{"log_level": "error"}')
    folder.write("10.hcl", MINIMAL + 'log_level = "debug"')
    for name in ("30.hcl~", ".#40.hcl", "#50.hcl#", "notes.txt"):
        folder.write(name, "not { read")
    (folder.path / "60.hcl").mkdir()
    loaded = load([folder.path, folder.path / "10.hcl", folder.path / "." / "20.json"], {})
    assert loaded.settings.log_level is LogLevel.ERROR
    assert [Path(file).name for file in loaded.files] == ["10.hcl", "20.json"]
    assert len(loaded.settings.listeners) == 1


def test_unknown_keys_are_warnings_with_name_file_and_line(folder: Folder) -> None:
    text = MINIMAL + """
        misspelt = 1
        listener "tcp" { address = "127.0.0.1:1", tls_disable = true, adress = "x", telemetry { deep = 1 } }
        telemetry { nothing = "x" }
        storage_extra "x" { y = 1 }
        seal "static" { purpose = "x" }
        service_registration "kubernetes" { pod = "x" }
        user_lockout "all" { threshold = 1 }
    """
    assert [warning for warning in folder.warnings(text) if "unknown" in warning] == [
        "0.hcl:4:9: unknown key 'misspelt': it has no effect",
        "0.hcl:6:21: unknown key 'telemetry.nothing': it has no effect",
        "0.hcl:7:9: unknown key 'storage_extra': it has no effect",
        "0.hcl:5:71: unknown key 'listener \"tcp\".adress': it has no effect",
        "0.hcl:5:97: unknown key 'telemetry.deep': it has no effect",
        "0.hcl:8:25: unknown key 'seal \"static\".purpose': it has no effect",
        "0.hcl:9:45: unknown key 'service_registration \"kubernetes\".pod': it has no effect",
        "0.hcl:10:30: unknown key 'user_lockout \"all\".threshold': it has no effect"]


def test_what_has_no_effect_and_what_stands_twice_is_said(folder: Folder) -> None:
    text = MINIMAL + 'cache_size = 10\nsentinel { x = 1 }\nui = true\nUI = false\nservice_registration "consul" {}'
    assert folder.warnings(text) == [
        "0.hcl:4:1: 'sentinel' is accepted, and has no effect",
        "0.hcl:3:1: 'cache_size' is accepted, and has no effect",
        "0.hcl:6:1: 'ui' is given more than once: this one holds, not that of 0.hcl:5:1",
        "0.hcl:6:1: 'UI' is accepted, and has no effect",
        "0.hcl:7:1: 'service_registration' is accepted, and has no effect"]
    raft = 'storage "raft" { path = "/d"\n node_id = "a"\n trailing_logs = 10 }\nlistener "tcp" { tls_disable = true }\n'
    assert folder.warnings(raft + 'api_addr = "http://a:1"\ncluster_addr = "https://a:2"') == [
        "0.hcl:3:2: 'storage \"raft\".trailing_logs' is accepted, and has no effect"]
    assert folder.warnings(MINIMAL.replace("{}", '{ a = 1\n a = 2 }'))[-1] == (
        "0.hcl:2:2: 'storage \"inmem\".a' is given more than once: this one holds, not that of 0.hcl:1:19")


@pytest.mark.parametrize(("text", "words"), [
    ('default_lease_ttl = "soon"', "0.hcl:3:1: 'default_lease_ttl': 'soon' is no length of time"),
    ('default_lease_ttl = "-1h"', "'default_lease_ttl': the value cannot be negative"),
    ('default_lease_ttl = "1h"\nmax_lease_ttl = "1m"', "default_lease_ttl is longer than max_lease_ttl"),
    ("ui = \"perhaps\"", "'ui': 'perhaps' is neither true nor false"),
    ("ui = [1]", "'ui': a list stands where one value is wanted"),
    ("ui { a = 1 }", "'ui': a block stands where one value is wanted"),
    ("api_addr = true", "'api_addr': true is no string"),
    ("telemetry = 1", "'telemetry': telemetry is a block"),
    ("telemetry {}\ntelemetry {}", "0.hcl:4:1: only one 'telemetry' block is permitted"),
    ('log_level = "loud"', "'log_level': 'loud' is none of trace, debug, info, warn, error"),
    ('log_format = "yaml"', "'log_format': 'yaml' is none of standard, json"),
    ('consistency = "weak"', "'consistency': 'weak' is none of 'strong', 'session', 'strict'"),
    ("read_workers = 257", "'read_workers': the value is from 0 to 256"),
    ('cache_size = 1.5', "'cache_size': 1.5 is no whole number"),
    ('log_rotate_bytes = "3 apples"', "'log_rotate_bytes': '3 apples' is no size"),
    ('api_addr = "{{ GetPrivateIP }}"', "'api_addr': address templates are not supported"),
    ('api_addr = "10.0.0.1:8200"', "'api_addr': '10.0.0.1:8200' is no address with a scheme"),
    ('api_addr = "https://h:99999"', "'api_addr': Port out of range"),
    ('api_addr = "https://h:1"\ncluster_addr = "https://h:1"', "address 'https://h:1' used for both API and cluster addresses"),
    ('telemetry { prefix_filter = ["vault.x"] }', "'telemetry.prefix_filter': 'vault.x' begins neither with + nor with -"),
    ('replication { allow_forwarding_via_token = "all" }', "'replication.allow_forwarding_via_token': the value is"),
    ('user_lockout "oidc" {}', 'user_lockout "oidc" is not supported; these are: all, userpass, ldap, approle'),
    ('user_lockout "all" { lockout_threshold = 0 }', "lockout_threshold': the value is at least 1"),
    ("user_lockout {}", 'user_lockout has no type: write user_lockout "…"'),
    ('plugin_directory = "/p"', "0.hcl:3:1: 'plugin_directory': external plugins are not supported"),
    ('entropy "seal" { mode = "augmentation" }', "'entropy': entropy augmentation is not supported"),
    ('seal "awskms" { region = "x" }', 'seal "awskms" is not supported; these are: shamir, static'),
    ('seal "static" {}\nseal "shamir" {}', "seals: two seals provided but neither is disabled"),
    ('seal "static" { disabled = true }\nseal "shamir" { disabled = "true" }', "seals: two seals provided but both are disabled"),
    ('seal "static" {}\nseal "static" {}\nseal "shamir" {}', "at most two seals"),
    ('service_registration "eureka" {}', 'service_registration "eureka" is not supported; these are: consul, kubernetes'),
    ('service_registration "consul" { check_timeout = "x" }', "check_timeout': 'x' is no length of time"),
    ('listener "quic" {}', 'unsupported listener type "quic": there are "tcp" and "unix"'),
    ('listener "unix" {}', 'listener "unix" has no address'),
    ('listener "unix" { address = "/s", socket_mode = "rw" }', "socket_mode': 'rw' is no mode in octal"),
    ('listener "tcp" { tls_disable = true }', "a listener has the address '127.0.0.1:8200' already: "),
])
def test_errors_name_key_file_and_line(folder: Folder, text: str, words: str) -> None:
    errors = folder.errors(MINIMAL + text)
    assert any(words in error for error in errors), errors


@pytest.mark.parametrize(("inner", "words"), [
    ("", "'tls_cert_file' must be set, or tls_disable = true"),
    ('tls_cert_file = "c"', "'tls_key_file' must be set"),
    ('tls_disable = true, tls_min_version = "tls10"', "TLS 1.0 is not supported: tls12 is the oldest version, tls13 the newest"),
    ('tls_disable = true, tls_max_version = "tls11"', "TLS 1.1 is not supported"),
    ('tls_disable = true, tls_min_version = "ssl3"', "'ssl3' is none of tls12, tls13"),
    ('tls_disable = true, tls_min_version = "tls13", tls_max_version = "tls12"', "tls_min_version is above tls_max_version"),
    ('tls_disable = true, tls_cipher_suites = "TLS_RSA_WITH_AES_128_CBC_SHA"', "suite 'TLS_RSA_WITH_AES_128_CBC_SHA' is not supported"),
    ("tls_disable = true, tls_disable_client_certs = true, tls_require_and_verify_client_cert = true", "exclude each other"),
    ('tls_disable = true, proxy_protocol_behavior = "allow_authorized"', "wants proxy_protocol_authorized_addrs"),
    ('tls_disable = true, proxy_protocol_behavior = "believe"', "'believe' is none of 'use_always'"),
    ('tls_disable = true, x_forwarded_for_authorized_addrs = "10.0.0.256"', "'10.0.0.256' does not appear to be an IPv4 or IPv6 network"),
    ("tls_disable = true, x_forwarded_for_hop_skips = -1", "the value cannot be negative"),
    ('tls_disable = true, x_forwarded_for_client_cert_header_decoders = "ROT13"', "'ROT13' is none of BASE64, URL and DER"),
    ('tls_disable = true, chroot_namespace = "a"', "chroot_namespace': namespaces are not supported"),
    ('tls_disable = true, address = "127.0.0.1"', "'127.0.0.1' is no address with a port"),
    ('tls_disable = true, address = "::1:8200"', "'::1:8200' is no address with a port"),
    ('tls_disable = true, address = "h:65536"', "is no address with a port"),
    ('tls_disable = true, address = "{{ GetPrivateIP }}:8200"', "address templates are not supported"),
    ('tls_disable = true, http_read_timeout = "-1s"', "the value cannot be negative"),
    ('tls_disable = true, max_request_size = "big"', "'big' is no size"),
    ('tls_disable = true, custom_response_headers { "700" { "X-A" = ["b"] } }', "'700' is none of"),
    ('tls_disable = true, custom_response_headers { default { "X-Vault-A" = ["b"] } }', "X-Vault-A: headers whose names begin with"),
    ('tls_disable = true, custom_response_headers { default { "X-A" = "b" } }', "a header's values are a list of strings"),
    ('tls_disable = true, custom_response_headers { default { "X A" = ["b"] } }', "'X A' is no header's name"),
    ('tls_disable = true, custom_response_headers { default { "X-A" = ["b\\r\\nX-B: c"] } }', "a header's value is printable ASCII"),
])
def test_listeners_that_contradict_themselves(folder: Folder, inner: str, words: str) -> None:
    errors = folder.errors('storage "inmem" {}\nlistener "tcp" { ' + inner + " }")
    assert any(words in error for error in errors), errors


@pytest.mark.parametrize(("storage", "words"), [
    ("", "a storage backend must be specified"),
    ('storage "inmem" {}\nstorage "file" { path = "x" }', "0.hcl:2:1: only one 'storage' block is permitted"),
    ('storage "s3" {}', 'storage "s3" is not supported; these are: file, inmem, raft, consul, etcd, postgresql'),
    ('storage "file" {}', "storage \"file\": 'path' must be set"),
    ('storage "raft" { path = "x" }', "cluster address must be set when using raft storage"),
    ('storage "raft" { path = "x" }\ncluster_addr = "https://0.0.0.0:8201"', "names no host that other nodes could reach"),
    ('storage "raft" { path = "x" }\ncluster_addr = "https://h:1"\ndisable_clustering = true', "disable_clustering cannot be set to true"),
    ('storage "raft" { path = "x", performance_multiplier = 11 }', "performance_multiplier': the value is from 0 to 10"),
    ('storage "raft" { path = "x", retry_join { leader_api_addr = "a", auto_join = "b" } }', 'one of "leader_api_addr" and "auto_join"'),
    ('storage "raft" { path = "x", retry_join { auto_join = "b", auto_join_scheme = "ftp" } }', "the value is \"http\" or \"https\""),
    ('storage "raft" { path = "x", retry_join = "[1]" }', "the text is no list of objects"),
    ('storage "raft" { path = "x" }\nha_storage "consul" {}\ncluster_addr = "https://h:1"', "ha_storage cannot be declared when storage"),
    ('storage "file" { path = "x" }\nha_storage "inmem" {}', 'ha_storage "inmem" does not support HA'),
])
def test_storage_that_does_not_fit(folder: Folder, storage: str, words: str) -> None:
    errors = folder.errors(storage + '\nlistener "tcp" { tls_disable = true }')
    assert any(words in error for error in errors), errors


def test_all_errors_are_told_at_once(folder: Folder) -> None:
    assert len(folder.errors('ui = "x"\nread_workers = -1\nlistener "x" {}\nstorage "y" {}')) == 4
    broken = folder.errors("a = ", "b", MINIMAL)
    assert broken == ["0.hcl:1:5: expected a value, found the end of the text",
                      "1.hcl:1:2: key 'b' expected start of object ('{') or assignment ('='), found the end of the text"]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.hcl: No such file"):
        load([tmp_path / "none.hcl"], {})
    with pytest.raises(ConfigError, match="a storage backend must be specified"):
        load([tmp_path], {})
    with pytest.raises(ConfigError, match="a storage backend must be specified"):
        load([], {})


def test_no_listener_is_refused(folder: Folder) -> None:
    assert folder.errors('storage "inmem" {}') == ["no listener: at least one is wanted"]


def test_zero_stands_for_the_default_as_in_vault(folder: Folder) -> None:
    settings = folder.load("""
        default_lease_ttl = 0
        max_lease_ttl = ""
        default_max_request_duration = "0s"
        storage "inmem" {}
        listener "tcp" { tls_disable = true, max_request_size = 0, http_idle_timeout = 0, max_request_duration = 0 }""").settings
    assert ttls(settings) == (2_764_800, 2_764_800, 90.0)
    listener = tcp(settings)
    assert (listener.max_request_size_bytes, listener.http_idle_timeout_s, listener.max_request_duration_s) == (33_554_432, 300.0, None)
    unbounded = folder.load('storage "inmem" {}\nlistener "tcp" { tls_disable = true, max_request_size = -1 }').settings
    assert tcp(unbounded).max_request_size_bytes == -1


@pytest.mark.parametrize(("env", "attribute", "value"), [
    ({"VAULT_API_ADDR": "http://e:1"}, "api_addr", "http://e:1"),
    ({"VAULT_API_ADDR": "http://e:1", "VAULT_REDIRECT_ADDR": "http://f:1"}, "api_addr", "http://e:1"),
    ({"VAULT_API_ADDR": "", "VAULT_ADVERTISE_ADDR": "http://g:1"}, "api_addr", "http://g:1"),
    ({"VAULT_CLUSTER_ADDR": "http://e:9"}, "cluster_addr", "https://e:9"),
    ({"VAULT_LOG_LEVEL": "err"}, "log_level", LogLevel.ERROR),
    ({"VAULT_LOG_FORMAT": "json"}, "log_format", LogFormat.JSON),
    ({"VAULT_UI": "0"}, "ui", False),
    ({"VAULT_DISABLE_MLOCK": "1"}, "disable_mlock", True),
    ({}, "ui", True),
])
def test_the_environment_wins(folder: Folder, env: dict[str, str], attribute: str, value: object) -> None:
    text = 'api_addr = "http://file:1"\ncluster_addr = "https://file:2"\nlog_level = "debug"\nlog_format = "standard"\nui = true'
    assert getattr(folder.settings(text, env=env), attribute) == value


def test_variables_that_do_not_fit_are_named(folder: Folder) -> None:
    errors = folder.errors(MINIMAL, env={"VAULT_UI": "maybe", "VAULT_API_ADDR": "h", "VAULT_SEAL_TYPE": "gcpckms"})
    assert [error.split(":")[0] for error in errors] == ["VAULT_API_ADDR", "VAULT_UI", "VAULT_SEAL_TYPE"]
    assert folder.warnings(MINIMAL, env={"VAULT_LICENSE": "x"}) == ["VAULT_LICENSE has no effect"]
    assert folder.warnings(MINIMAL, env={"VAULT_UI": "true"}) == ["VAULT_UI has no effect"]


def test_variables_of_raft_and_of_the_seal(folder: Folder) -> None:
    text = """
        storage "raft" { path = "/file", node_id = "file", retry_join { leader_api_addr = "a" } }
        cluster_addr = "https://h:1"
        listener "tcp" { tls_disable = true }
        seal "shamir" {}"""
    env = {"VAULT_RAFT_PATH": "/env", "VAULT_RAFT_NODE_ID": "env", "VAULT_RAFT_RETRY_JOIN_AS_NON_VOTER": "no", "VAULT_SEAL_TYPE": "static"}
    settings = folder.load(text, env=env).settings
    assert settings.storage.options == {
        "path": "/env", "node_id": "env", "retry_join_as_non_voter": "true", "retry_join": '[{"leader_api_addr":"a"}]'}
    assert [seal.type for seal in settings.seals] == ["static"]
    assert [seal.type for seal in folder.load(MINIMAL, env=env).settings.seals] == ["static"]
    assert folder.load(MINIMAL, env=env).settings.storage.options == {}


def test_the_environment_says_whether_anybody_is_locked_out(folder: Folder) -> None:
    text = MINIMAL + '\nuser_lockout "all" { lockout_threshold = 9 }\nuser_lockout "ldap" { disable_lockout = true }'
    for written, disabled in (("true", [True, True]), ("0", [False, False]), ("", [False, True])):
        found = folder.load(text, env={"VAULT_DISABLE_USER_LOCKOUT": written}).settings.user_lockouts
        assert [(each.lockout_threshold, each.disable_lockout) for each in found] == [(9, each) for each in disabled]
    assert folder.errors(text, env={"VAULT_DISABLE_USER_LOCKOUT": "maybe"}) == [
        "VAULT_DISABLE_USER_LOCKOUT: 'maybe' is neither true nor false"]


def test_a_storage_stanza_may_speak_for_the_node(folder: Folder) -> None:
    text = 'storage "consul" { redirect_addr = "http://s:1", cluster_addr = "http://s:9" }\n'
    settings = folder.load(text + 'listener "tcp" { tls_disable = true }').settings
    assert (settings.api_addr, settings.cluster_addr, settings.storage.options) == ("http://s:1", "https://s:9", {})
    loaded = folder.load(text + 'listener "tcp" { tls_disable = true }\napi_addr = "http://top:1"')
    assert loaded.settings.api_addr == "http://top:1"
    assert [folder.short(str(each)) for each in loaded.warnings] == ["0.hcl:1:20: 'api_addr' in a storage stanza: another one holds"]


def test_legacy_names_of_storage(folder: Folder) -> None:
    settings = folder.load('backend "file" { path = "/d" }\nha_backend "etcd" { ha_enabled = "true", advertise_addr = "https://h:1" }\n'
                           'listener "tcp" { tls_disable = true }').settings
    assert settings.ha_storage is not None
    assert (settings.storage.type, settings.ha_storage.type, settings.api_addr) == ("file", "etcd", "https://h:1")


@pytest.mark.parametrize(("api_addr", "cluster_addr"), [
    ("https://10.0.0.1:8200", "https://10.0.0.1:8201"), ("http://vault", "https://vault:444"), ("https://[fd00::1]:1", "https://[fd00::1]:2")])
def test_cluster_addr_follows_from_api_addr(folder: Folder, api_addr: str, cluster_addr: str) -> None:
    assert folder.settings(f'api_addr = "{api_addr}"').cluster_addr == cluster_addr
    assert folder.settings(f'api_addr = "{api_addr}"\ndisable_clustering = true').cluster_addr == ""


def test_the_permissions_check_of_vault(folder: Folder) -> None:
    path = folder.write("x.hcl", MINIMAL)
    env = {"VAULT_ENABLE_FILE_PERMISSIONS_CHECK": "true"}
    assert load([path], env).settings.storage.type == "inmem"
    os.chmod(path, 0o666)
    with pytest.raises(ConfigError, match="others than the owner may write the file"):
        load([path], env)
    assert load([path], {}).settings.storage.type == "inmem"


def test_no_repr_and_no_warning_shows_an_option(folder: Folder) -> None:
    loaded = folder.load('storage "postgresql" { connection_url = "postgres://u:c4n4ry@h/d", other = "c4n4ry" }\napi_addr = "http://h:1"\n'
                         'seal "static" { current_key = "c4n4ry", current_key_id = "k" }\ntelemetry { circonus_api_token = "c4n4ry" }\n'
                         'listener "tcp" { tls_disable = true }')
    assert "c4n4ry" not in repr(loaded)
    assert "c4n4ry" not in "".join(str(each) for each in loaded.warnings)
    assert "c4n4ry" not in "".join(folder.errors('storage "raft" { retry_join = "c4n4ry" }'))


def test_a_dev_node() -> None:
    loaded = dev_settings()
    settings = loaded.settings
    assert (settings.storage.type, settings.disable_mlock, settings.read_workers) == ("inmem", True, 0)
    assert (tcp(settings).address, tcp(settings).tls_disable) == ("127.0.0.1:8200", True)
    assert (settings.api_addr, settings.cluster_addr) == ("http://127.0.0.1:8200", "https://127.0.0.1:8201")
    assert loaded.warnings == ()


def test_a_dev_node_with_tls_an_open_port_and_a_file_over_it(folder: Folder) -> None:
    path = folder.write("x.hcl", 'log_level = "trace"\nstorage "file" { path = "/d" }')
    loaded = dev_settings(
        listen_address="127.0.0.1:0", tls_cert_file='/c "1".pem', tls_key_file="/k", paths=[path], env={"VAULT_LOG_FORMAT": "json"})
    settings = loaded.settings
    assert (tcp(settings).tls_cert_file, tcp(settings).tls_key_file, tcp(settings).cluster_address) == ('/c "1".pem', "/k", "127.0.0.1:0")
    assert (settings.api_addr, settings.cluster_addr, settings.log_level) == ("https://127.0.0.1:0", "", LogLevel.TRACE)
    assert settings.log_format is LogFormat.JSON
    assert [folder.short(str(each)) for each in loaded.warnings] == ["x.hcl:2:1: 'storage' replaces the one of -dev:2:9"]
