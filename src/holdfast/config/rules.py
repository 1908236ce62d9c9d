"""What single keys demand of their values beyond their type, and which keys and values are refused by name.

A rule takes the value that its type gave and returns what the settings hold, or raises ValueError. It knows one key; what holds between
keys stands in `check`.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import ip_network
from urllib.parse import urlsplit

from holdfast.config import units
from holdfast.config.settings import (
    Listener,
    LogFormat,
    LogLevel,
    LogRequestsLevel,
    Replication,
    Settings,
    TcpListener,
    Telemetry,
    TlsVersion,
    UnixListener,
    UserLockout,
)
from holdfast.config.tree import Literal, Value
from holdfast.limits import READ_WORKERS_MAX, REQUEST_SIZE_MAX_BYTES

Rule = Callable[[object], object]

REFUSED: Mapping[str, str] = {
    **dict.fromkeys(("plugin_directory", "plugin_file_uid", "plugin_file_permissions", "plugin_tmpdir", "plugin", "plugin_auto_download",
                     "plugin_auto_register", "plugin_download_behavior"), "external plugins are not supported"),
    "entropy": "entropy augmentation is not supported",
    "kms_library": "seals by PKCS#11 libraries are not supported",
    "hsm": "seals by PKCS#11 libraries are not supported",
    "recovery_mode": "recovery mode is not supported",
    "administrative_namespace_path": "namespaces are not supported",
}
"""Top-level keys that would promise what there is not; each with the reason."""

REFUSED_OF_LISTENERS: Mapping[str, str] = {
    "chroot_namespace": "namespaces are not supported",
    "agent_api": "this is a key of agents",
    "proxy_api": "this is a key of proxies",
}
"""The same, of `listener`."""

WITHOUT_EFFECT = frozenset({"sentinel", "reporting", "adaptive_overload_protection"})
"""Top-level stanzas that are accepted as they are: what they configure does not exist here, and nobody is the worse for it."""

SUITES = {
    **dict.fromkeys(("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"), TlsVersion.TLS13),
    **{f"TLS_ECDHE_{key}_WITH_{cipher}": TlsVersion.TLS12 for key in ("ECDSA", "RSA")
       for cipher in ("AES_128_GCM_SHA256", "AES_256_GCM_SHA384", "CHACHA20_POLY1305_SHA256", "CHACHA20_POLY1305")},
}
"""Cipher suites that are on offer; those of Vault that are not here have no forward secrecy or no authenticated encryption."""

_OLD_TLS = {"tls10": "TLS 1.0", "tls11": "TLS 1.1"}
_DECODERS = frozenset({"BASE64", "URL", "DER"})
_LEVELS = {"": "info", "notice": "info", "warning": "warn", "err": "error"}


def seconds_or_none(value: Value) -> object:
    """`"none"` is 0: not at all."""
    return 0.0 if isinstance(value, Literal) and value.value == "none" else units.seconds(value)


def tls_version(value: object) -> object:
    name = str(value).lower() or "tls12"
    if name in _OLD_TLS:
        raise ValueError(f"{_OLD_TLS[name]} is not supported: tls12 is the oldest version, tls13 the newest")
    return _one_of(name, TlsVersion)


def suites(value: object) -> object:
    names = _strings(value)
    for name in names:
        if name not in SUITES:
            raise ValueError(f"cipher suite {name[:60]!r} is not supported; these are: {', '.join(SUITES)}")
    return tuple(name.removesuffix("_SHA256") + "_SHA256" if name.endswith("CHACHA20_POLY1305") else name for name in names)


def networks(value: object) -> object:
    """Addresses and networks, as `10.0.0.1/32`."""
    try:
        return tuple(str(ip_network(name, strict=False)) for name in _strings(value))
    except ValueError as error:
        raise ValueError(f"{error}: write addresses as 10.0.0.1 or 10.0.0.0/8") from error


def decoders(value: object) -> object:
    names = tuple(name.upper() for name in _strings(value))
    for name in names:
        if name not in _DECODERS:
            raise ValueError(f"{name[:40]!r} is none of BASE64, URL and DER")
    return names


def url(value: object) -> object:
    """An address with its scheme; address templates are refused, as nothing here evaluates them."""
    written = plain_address(value)
    if written:
        parts = urlsplit(str(written))
        if parts.scheme not in ("http", "https", "unix") or not (parts.netloc or parts.scheme == "unix"):
            raise ValueError(f"{written!r} is no address with a scheme, as https://10.0.0.1:8200")
        _ = parts.port                 # raises ValueError for what is no port
    return written


def plain_address(value: object) -> object:
    if "{{" in str(value):
        raise ValueError("address templates are not supported: write the address itself")
    return value


def host_and_port(value: object) -> object:
    plain_address(value)
    host, colon, port = str(value).rpartition(":")
    if not colon or not port.isascii() or not port.isdecimal() or int(port) > 65_535 or (":" in host and not host.startswith("[")):
        raise ValueError(f"{value!r} is no address with a port, as 127.0.0.1:8200 or [::1]:8200")
    return value


def socket_mode(value: object) -> object:
    written = str(value)
    if written and (len(written) > 5 or any(digit not in "01234567" for digit in written)):
        raise ValueError(f"{written[:20]!r} is no mode in octal, as 0660")
    return value


def log_level(value: object) -> object:
    name = str(value).strip().lower()
    return _one_of(_LEVELS.get(name, name), LogLevel)


def log_requests_level(value: object) -> object:
    name = str(value).strip().lower()
    return _one_of("off" if not name else _LEVELS.get(name, name), LogRequestsLevel)


def log_format(value: object) -> object:
    return _one_of(str(value).strip().lower() or "standard", LogFormat)


def not_negative(value: object) -> object:
    if isinstance(value, int | float) and value < 0:
        raise ValueError("the value cannot be negative")
    return value


def default_if_zero(default: object) -> Rule:
    """Vault takes 0 for "not set"."""
    def rule(value: object) -> object:
        return default if value == 0 else not_negative(value)
    return rule


def size_or_default(value: object) -> object:
    """Below 0: no bound; 0: the default."""
    return value or REQUEST_SIZE_MAX_BYTES


def workers(value: object) -> object:
    if isinstance(value, int) and not 0 <= value <= READ_WORKERS_MAX:
        raise ValueError(f"the value is from 0 to {READ_WORKERS_MAX}")
    return value


def from_one(value: object) -> object:
    if isinstance(value, int) and value < 1:
        raise ValueError("the value is at least 1")
    return value


def filter_rules(value: object) -> object:
    names = _strings(value)
    for name in names:
        if name[:1] not in ("+", "-") or not name[1:]:
            raise ValueError(f"{name[:60]!r} begins neither with + nor with -")
    return names


def new_token(value: object) -> object:
    if value not in ("", "new_token"):
        raise ValueError('the value is "new_token" or empty')
    return value


def _strings(value: object) -> tuple[str, ...]:
    return tuple(str(each) for each in value) if isinstance(value, tuple) else ()


def _one_of(name: str, choices: type[LogLevel] | type[LogRequestsLevel] | type[LogFormat] | type[TlsVersion]) -> object:
    try:
        return choices(name)
    except ValueError:
        raise ValueError(f"{name[:40]!r} is none of {', '.join(choices)}") from None


CONVERTERS: Mapping[tuple[type, str], Callable[[Value], object]] = {
    (Telemetry, "usage_gauge_period_s"): seconds_or_none,
    (Telemetry, "lease_metrics_epsilon_s"): seconds_or_none,
}
"""In place of what the field's type says."""

RULES: Mapping[tuple[type, str], Rule] = {
    (Listener, "http_idle_timeout_s"): default_if_zero(300.0),
    (Listener, "http_read_header_timeout_s"): default_if_zero(10.0),
    (Listener, "http_read_timeout_s"): default_if_zero(30.0),
    (Listener, "http_write_timeout_s"): not_negative,
    (Listener, "max_request_size_bytes"): size_or_default,
    (Listener, "max_request_duration_s"): default_if_zero(None),
    (Listener, "max_json_depth"): default_if_zero(300),
    (Listener, "max_json_string_value_length"): default_if_zero(1_048_576),
    (Listener, "max_json_object_entry_count"): default_if_zero(10_000),
    (Listener, "max_json_array_element_count"): default_if_zero(10_000),
    (Listener, "x_forwarded_for_authorized_addrs"): networks,
    (Listener, "x_forwarded_for_hop_skips"): not_negative,
    (Listener, "x_forwarded_for_client_cert_header_decoders"): decoders,
    (TcpListener, "address"): host_and_port,
    (TcpListener, "cluster_address"): host_and_port,
    (TcpListener, "proxy_protocol_authorized_addrs"): networks,
    (TcpListener, "tls_min_version"): tls_version,
    (TcpListener, "tls_max_version"): tls_version,
    (TcpListener, "tls_cipher_suites"): suites,
    (UnixListener, "socket_mode"): socket_mode,
    (UserLockout, "lockout_threshold"): from_one,
    (UserLockout, "lockout_duration_s"): not_negative,
    (UserLockout, "lockout_counter_reset_s"): not_negative,
    (Telemetry, "prometheus_retention_time_s"): not_negative,
    (Telemetry, "usage_gauge_period_s"): not_negative,
    (Telemetry, "maximum_gauge_cardinality"): default_if_zero(500),
    (Telemetry, "num_lease_metrics_buckets"): default_if_zero(168),
    (Telemetry, "prefix_filter"): filter_rules,
    (Replication, "allow_forwarding_via_token"): new_token,
    (Replication, "best_effort_wal_wait_duration_s"): not_negative,
    (Settings, "read_workers"): workers,
    (Settings, "api_addr"): url,
    (Settings, "cluster_addr"): url,
    (Settings, "cluster_cipher_suites"): suites,
    (Settings, "default_lease_ttl_s"): default_if_zero(2_764_800),
    (Settings, "max_lease_ttl_s"): default_if_zero(2_764_800),
    (Settings, "default_max_request_duration_s"): default_if_zero(90.0),
    (Settings, "log_level"): log_level,
    (Settings, "log_format"): log_format,
    (Settings, "log_requests_level"): log_requests_level,
    (Settings, "log_rotate_bytes"): not_negative,
    (Settings, "log_rotate_duration_s"): default_if_zero(86_400.0),
    (Settings, "cache_size"): not_negative,
}
