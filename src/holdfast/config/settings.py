"""What a node is told by its configuration, as records: the schema that files are read against, and what the other rooms are given.

A field's name in the file is its encoded name: `default_lease_ttl` in the file is `default_lease_ttl_s` here, as lengths of time are
seconds and sizes are bytes. How a value may be written follows from the field's type; `Unit` says it for lengths of time and sizes, `Use`
marks what is read and checked but changes nothing. docs/configuration.md is held against these records by a test.

Invariants:
1. A record that exists is valid: `read` checks every value, and what does not fit is an error that names key, file and line.
2. Every default here is the one that Vault 1.17 documents, but for keys of our own.
3. No repr shows a value of a stanza's options: passwords and keys stand there.

Left to others: parsing (`hcl`), merging (`merge`), conversion (`decode`), the rules between keys (`check`, `addresses`).
"""
from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, StrEnum
from typing import Annotated, TypeAlias

import msgspec
from msgspec import field

from holdfast.limits import REQUEST_SIZE_MAX_BYTES


class Unit(Enum):
    """How a number is written in a file: `"1h30m"`, `90`; `"32mib"`, `33554432`."""

    SECONDS = "seconds"
    WHOLE_SECONDS = "whole seconds"
    BYTES = "bytes"


class Use(Enum):
    """What a key does, where that is not simply obeyed."""

    CHECKED = "checked"                # read and checked, and without effect here


Seconds: TypeAlias = Annotated[float, Unit.SECONDS]
WholeSeconds: TypeAlias = Annotated[int, Unit.WHOLE_SECONDS]
Bytes: TypeAlias = Annotated[int, Unit.BYTES]


class LogLevel(StrEnum):
    TRACE = "trace"
    DEBUG = "debug"
    INFO = "info"
    WARN = "warn"
    ERROR = "error"


class LogRequestsLevel(StrEnum):
    OFF = "off"
    TRACE = "trace"
    DEBUG = "debug"
    INFO = "info"
    WARN = "warn"
    ERROR = "error"


class LogFormat(StrEnum):
    STANDARD = "standard"
    JSON = "json"


class TlsVersion(StrEnum):
    """TLS 1.0 and 1.1 are refused by name when the file is read."""

    TLS12 = "tls12"
    TLS13 = "tls13"


class Consistency(StrEnum):
    """How new a read is. `strong`: linearizable on every node, by read leases."""

    STRONG = "strong"
    SESSION = "session"
    STRICT = "strict"


class ProxyProtocol(StrEnum):
    """Whose PROXY header is believed: everybody's; the authorized ones', others' ignored; the authorized ones', others refused."""

    OFF = ""
    USE_ALWAYS = "use_always"
    ALLOW_AUTHORIZED = "allow_authorized"
    DENY_UNAUTHORIZED = "deny_unauthorized"


DEFAULT_HEADERS: Mapping[str, Mapping[str, str]] = {"default": {"Strict-Transport-Security": "max-age=31536000; includeSubDomains"}}
"""Headers of every answer, by "default", class of statuses ("2xx") or status ("200"): where several fit, the most exact one wins."""


class ListenerTelemetry(msgspec.Struct, frozen=True, kw_only=True):
    unauthenticated_metrics_access: bool = False


class ListenerProfiling(msgspec.Struct, frozen=True, kw_only=True):
    unauthenticated_pprof_access: Annotated[bool, Use.CHECKED] = False


class ListenerInFlight(msgspec.Struct, frozen=True, kw_only=True):
    unauthenticated_in_flight_requests_access: Annotated[bool, Use.CHECKED] = False


class Listener(msgspec.Struct, frozen=True, kw_only=True):
    """What listeners of both types have."""

    http_idle_timeout_s: Seconds = field(default=300.0, name="http_idle_timeout")
    http_read_header_timeout_s: Seconds = field(default=10.0, name="http_read_header_timeout")
    http_read_timeout_s: Seconds = field(default=30.0, name="http_read_timeout")
    http_write_timeout_s: Seconds = field(default=0.0, name="http_write_timeout")       # 0: no bound
    max_request_size_bytes: Bytes = field(default=REQUEST_SIZE_MAX_BYTES, name="max_request_size")  # 0 or less: no bound
    max_request_duration_s: Seconds | None = field(default=None, name="max_request_duration")   # None: default_max_request_duration
    max_json_depth: int = 300
    max_json_string_value_length: int = 1_048_576
    max_json_object_entry_count: int = 10_000
    max_json_array_element_count: int = 10_000
    require_request_header: bool = False
    x_forwarded_for_authorized_addrs: tuple[str, ...] = ()     # networks as `10.0.0.0/8`; one at least: X-Forwarded-For is read
    x_forwarded_for_hop_skips: int = 0
    x_forwarded_for_reject_not_authorized: bool = True
    x_forwarded_for_reject_not_present: bool = True
    x_forwarded_for_client_cert_header: str = ""
    x_forwarded_for_client_cert_header_decoders: tuple[str, ...] = ()      # `BASE64`, `URL`, `DER`, in the order of decoding
    redact_addresses: bool = False
    redact_cluster_name: bool = False
    redact_version: bool = False
    disable_replication_status_endpoints: bool = False
    custom_response_headers: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: dict(DEFAULT_HEADERS))    # see there
    telemetry: ListenerTelemetry = ListenerTelemetry()
    profiling: ListenerProfiling = ListenerProfiling()
    inflight_requests_logging: ListenerInFlight = ListenerInFlight()


class TcpListener(Listener, frozen=True, kw_only=True):
    """`listener "tcp"`. Unless `tls_disable`, certificate and key are there."""

    address: str = "127.0.0.1:8200"
    cluster_address: str = ""          # filled when read: the same host, the next port
    proxy_protocol_behavior: ProxyProtocol = ProxyProtocol.OFF
    proxy_protocol_authorized_addrs: tuple[str, ...] = ()
    tls_disable: bool = False
    tls_cert_file: str = ""
    tls_key_file: str = ""
    tls_min_version: TlsVersion = TlsVersion.TLS12
    tls_max_version: TlsVersion = TlsVersion.TLS13
    tls_cipher_suites: tuple[str, ...] = ()        # empty: our own choice; names as IANA's, TLS 1.2 and 1.3
    tls_client_ca_file: str = ""
    tls_require_and_verify_client_cert: bool = False
    tls_disable_client_certs: bool = False


class UnixListener(Listener, frozen=True, kw_only=True):
    """`listener "unix"`: plain HTTP on a socket in the file system."""

    address: str
    socket_mode: str = ""              # octal, as `0660`; empty: as the umask leaves it
    socket_user: str = ""
    socket_group: str = ""


class Stanza(msgspec.Struct, frozen=True, kw_only=True):
    """A type and its options: text as written, anything else as JSON."""

    type: str
    options: Mapping[str, str] = {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}(type={self.type!r}, options={sorted(self.options)})"


class StorageStanza(Stanza, frozen=True, kw_only=True):
    """`storage` or `ha_storage`."""


class ServiceRegistration(Stanza, frozen=True, kw_only=True):
    """`service_registration`: `consul` or `kubernetes`."""


class SealStanza(Stanza, frozen=True, kw_only=True):
    """`seal`. A disabled one is what the node migrates away from. `config.seal_keys` reads the keys of a `static` one."""

    disabled: bool = False


class UserLockout(msgspec.Struct, frozen=True, kw_only=True):
    """Lockout for one auth method's type, or `all`. A stanza for a type takes what it leaves out from `all`."""

    type: str = "all"
    lockout_threshold: int = 5
    lockout_duration_s: WholeSeconds = field(default=900, name="lockout_duration")
    lockout_counter_reset_s: WholeSeconds = field(default=900, name="lockout_counter_reset")
    disable_lockout: bool = False


class Telemetry(msgspec.Struct, frozen=True, kw_only=True):
    """`telemetry`. What names a collector to send to is checked only: metrics are fetched from `sys/metrics`."""

    prometheus_retention_time_s: Seconds = field(default=86_400.0, name="prometheus_retention_time")    # 0: no Prometheus format
    disable_hostname: bool = False
    enable_hostname_label: bool = False
    metrics_prefix: str = "vault"
    filter_default: bool = True
    prefix_filter: tuple[str, ...] = ()            # `+vault.token`, `-vault.expire`; the longest prefix decides
    maximum_gauge_cardinality: Annotated[int, Use.CHECKED] = 500
    usage_gauge_period_s: Annotated[float, Unit.SECONDS, Use.CHECKED] = field(default=600.0, name="usage_gauge_period")
    lease_metrics_epsilon_s: Annotated[float, Unit.SECONDS, Use.CHECKED] = field(default=3_600.0, name="lease_metrics_epsilon")
    num_lease_metrics_buckets: Annotated[int, Use.CHECKED] = 168
    add_lease_metrics_namespace_labels: Annotated[bool, Use.CHECKED] = False
    add_mount_point_rollback_metrics: Annotated[bool, Use.CHECKED] = False
    statsd_address: Annotated[str, Use.CHECKED] = ""
    statsite_address: Annotated[str, Use.CHECKED] = ""
    dogstatsd_addr: Annotated[str, Use.CHECKED] = ""
    dogstatsd_tags: Annotated[tuple[str, ...], Use.CHECKED] = ()
    circonus_api_token: Annotated[str, Use.CHECKED] = ""
    circonus_api_app: Annotated[str, Use.CHECKED] = ""
    circonus_api_url: Annotated[str, Use.CHECKED] = ""
    circonus_submission_interval: Annotated[str, Use.CHECKED] = ""
    circonus_submission_url: Annotated[str, Use.CHECKED] = ""
    circonus_check_id: Annotated[str, Use.CHECKED] = ""
    circonus_check_force_metric_activation: Annotated[str, Use.CHECKED] = ""
    circonus_check_instance_id: Annotated[str, Use.CHECKED] = ""
    circonus_check_search_tag: Annotated[str, Use.CHECKED] = ""
    circonus_check_tags: Annotated[str, Use.CHECKED] = ""
    circonus_check_display_name: Annotated[str, Use.CHECKED] = ""
    circonus_broker_id: Annotated[str, Use.CHECKED] = ""
    circonus_broker_select_tag: Annotated[str, Use.CHECKED] = ""
    stackdriver_project_id: Annotated[str, Use.CHECKED] = ""
    stackdriver_location: Annotated[str, Use.CHECKED] = ""
    stackdriver_namespace: Annotated[str, Use.CHECKED] = ""
    stackdriver_debug_logs: Annotated[bool, Use.CHECKED] = False

    def __repr__(self) -> str:
        return f"Telemetry(metrics_prefix={self.metrics_prefix!r}, prometheus_retention_time_s={self.prometheus_retention_time_s})"


class Replication(msgspec.Struct, frozen=True, kw_only=True):
    """`replication`: what a client may ask about consistency, and the stream to performance standbys."""

    allow_forwarding_via_header: bool = False
    allow_forwarding_via_token: Annotated[str, Use.CHECKED] = ""           # "" or `new_token`
    best_effort_wal_wait_duration_s: Annotated[float, Unit.SECONDS, Use.CHECKED] = field(default=2.0, name="best_effort_wal_wait_duration")
    logshipper_buffer_length: Annotated[int, Use.CHECKED] = 16_384
    logshipper_buffer_size_bytes: Annotated[int, Unit.BYTES, Use.CHECKED] = field(default=0, name="logshipper_buffer_size")
    resolver_discover_servers: Annotated[bool, Use.CHECKED] = True
    replication_canary_write_interval_seconds: Annotated[int, Use.CHECKED] = 1


class RequestLimiter(msgspec.Struct, frozen=True, kw_only=True):
    disable: Annotated[bool, Use.CHECKED] = True


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All that the configuration says. Made by `load` or `dev_settings`, and by tests."""

    storage: StorageStanza
    ha_storage: Annotated[StorageStanza | None, Use.CHECKED] = None
    listeners: tuple[TcpListener | UnixListener, ...] = field(default=(), name="listener")
    seals: tuple[SealStanza, ...] = field(default=(), name="seal")                 # empty: Shamir
    telemetry: Telemetry = Telemetry()
    service_registration: Annotated[ServiceRegistration | None, Use.CHECKED] = None
    replication: Replication = Replication()
    user_lockouts: tuple[UserLockout, ...] = field(default=(UserLockout(),), name="user_lockout")    # `all` is always there
    request_limiter: RequestLimiter = RequestLimiter()

    read_workers: int | None = None                # our own: processes that answer reads; None: cores - 1, at least 1
    consistency: Consistency = Consistency.STRONG  # our own

    api_addr: str = ""
    cluster_addr: str = ""
    cluster_name: str = ""
    cluster_cipher_suites: Annotated[tuple[str, ...], Use.CHECKED] = ()
    disable_clustering: Annotated[bool, Use.CHECKED] = False
    disable_performance_standby: bool = False
    enable_response_header_hostname: bool = False
    enable_response_header_raft_node_id: bool = False

    default_lease_ttl_s: WholeSeconds = field(default=2_764_800, name="default_lease_ttl")
    max_lease_ttl_s: WholeSeconds = field(default=2_764_800, name="max_lease_ttl")
    default_max_request_duration_s: Seconds = field(default=90.0, name="default_max_request_duration")
    raw_storage_endpoint: Annotated[bool, Use.CHECKED] = False
    introspection_endpoint: Annotated[bool, Use.CHECKED] = False
    ui: Annotated[bool, Use.CHECKED] = False
    disable_mlock: bool = False
    imprecise_lease_role_tracking: Annotated[bool, Use.CHECKED] = False
    enable_unauthenticated_access: Annotated[tuple[str, ...], Use.CHECKED] = ()

    log_level: LogLevel = LogLevel.INFO
    log_format: LogFormat = LogFormat.STANDARD
    log_file: str = ""                             # empty: stderr alone
    log_rotate_bytes: Bytes = 0                    # 0: no bound
    log_rotate_duration_s: Seconds = field(default=86_400.0, name="log_rotate_duration")
    log_rotate_max_files: int = 0                  # 0: all are kept; -1: none is
    log_requests_level: LogRequestsLevel = LogRequestsLevel.OFF
    pid_file: str = ""

    cache_size: Annotated[int, Use.CHECKED] = 131_072
    disable_cache: Annotated[bool, Use.CHECKED] = False
    disable_printable_check: Annotated[bool, Use.CHECKED] = False
    disable_sealwrap: Annotated[bool, Use.CHECKED] = False
    disable_indexing: Annotated[bool, Use.CHECKED] = False
    disable_sentinel_trace: Annotated[bool, Use.CHECKED] = False
    detect_deadlocks: Annotated[tuple[str, ...], Use.CHECKED] = ()
    enable_multiseal: Annotated[bool, Use.CHECKED] = False
    experiments: Annotated[tuple[str, ...], Use.CHECKED] = ()
    license_path: Annotated[str, Use.CHECKED] = ""
