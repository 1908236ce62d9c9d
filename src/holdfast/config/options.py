"""Which options the types of storage, seal and service registration know, and what they may hold.

Options stay text; a backend reads them. Here is only found out, with key and line, what it would stumble over.

Invariant: no message holds the value of an option, but for lengths of time, numbers and truth values.
"""
from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from holdfast.config import units
from holdfast.config.decode import Block
from holdfast.config.finding import Findings
from holdfast.config.tree import Literal, Object, Position, Value

Check = Callable[[Value], object]


def _any(value: Value) -> object:
    """What has a form of its own."""
    return value


def _from_to(least: int, most: int) -> Check:
    def check(value: Value) -> object:
        found = units.whole(value)
        if not least <= found <= most:
            raise ValueError(f"the value is from {least} to {most}")
        return found
    return check


_TEXT, _BOOL, _WHOLE, _TIME = units.text, units.boolean, units.whole, units.seconds
_TLS = dict.fromkeys(("tls_ca_file", "tls_cert_file", "tls_key_file", "tls_min_version"), _TEXT) | {"tls_skip_verify": _BOOL}
RETRY_JOIN: Mapping[str, Check] = dict.fromkeys((
    "leader_api_addr", "auto_join", "auto_join_scheme", "leader_tls_servername", "leader_ca_cert_file", "leader_client_cert_file",
    "leader_client_key_file", "leader_ca_cert", "leader_client_cert", "leader_client_key"), _TEXT) | {"auto_join_port": _from_to(1, 65_535)}
_CONSUL: Mapping[str, Check] = {
    **dict.fromkeys(("address", "path", "scheme", "token", "consistency_mode", "service", "service_tags", "service_address"), _TEXT),
    "service_meta": _any, "check_timeout": _TIME, "max_parallel": _WHOLE, "session_ttl": _TIME, "lock_wait_time": _TIME,
    "disable_registration": _BOOL, **_TLS}

KNOWN_OPTIONS: Mapping[tuple[str, str], Mapping[str, Check]] = {
    ("storage", "inmem"): {},
    ("storage", "file"): {"path": _TEXT},
    ("storage", "raft"): {
        "path": _TEXT, "node_id": _TEXT, "performance_multiplier": _from_to(0, 10), "trailing_logs": _WHOLE, "snapshot_threshold": _WHOLE,
        "snapshot_interval": _TIME, "max_entry_size": _WHOLE, "autopilot_reconcile_interval": _TIME, "autopilot_update_interval": _TIME,
        "autopilot_upgrade_version": _TEXT, "autopilot_redundancy_zone": _TEXT, "retry_join": _any, "retry_join_as_non_voter": _BOOL,
        "apply_delay": _TIME, "snapshot_delay": _TIME},
    ("storage", "consul"): _CONSUL,
    ("storage", "etcd"): {
        **dict.fromkeys(("address", "path", "username", "password", "discovery_srv", "discovery_srv_name", "etcd_api"), _TEXT),
        "ha_enabled": _BOOL, "sync": _BOOL, "lock_timeout": _TIME, "request_timeout": _TIME, **_TLS},
    ("storage", "postgresql"): {
        **dict.fromkeys(("connection_url", "table", "ha_table"), _TEXT),
        "ha_enabled": _BOOL, "max_parallel": _WHOLE, "max_idle_connections": _WHOLE},
    ("seal", "shamir"): {},
    ("seal", "static"): dict.fromkeys(("current_key_id", "current_key", "previous_key_id", "previous_key"), _TEXT),
    ("service_registration", "consul"): _CONSUL,
    ("service_registration", "kubernetes"): dict.fromkeys(("namespace", "pod_name"), _TEXT),
}
IDLE_OF_RAFT = frozenset((
    "trailing_logs", "snapshot_threshold", "snapshot_interval", "max_entry_size", "autopilot_upgrade_version", "autopilot_redundancy_zone",
    "apply_delay", "snapshot_delay"))
"""Options of `storage "raft"` that are checked only."""


def check_options(stanza: str, kind: str, block: Block, findings: Findings) -> None:
    """Unknown options and those without effect are warnings, values that do not fit are errors."""
    known = KNOWN_OPTIONS[stanza, kind]
    idle = IDLE_OF_RAFT if (stanza, kind) == ("storage", "raft") else frozenset()
    for item in block.items:
        check = known.get(item.name.lower())
        if check is None:
            findings.warn(f"unknown key '{block.name}.{item.name}': it has no effect", item.at)
            continue
        if item.name.lower() in idle:
            findings.warn(f"'{block.name}.{item.name}' is accepted, and has no effect", item.at)
        try:
            check(item.inner())
            if item.name.lower() == "retry_join":
                _check_join(item.inner(), item.at, findings)
        except ValueError as error:
            findings.error(f"'{block.name}.{item.name}': {error}", item.at)


def _check_join(value: Value, at: Position, findings: Findings) -> None:
    for block in _joins(value):
        keys = {item.name.lower() for item in block.items}
        if ("leader_api_addr" in keys) == ("auto_join" in keys):
            findings.error("'retry_join': one of \"leader_api_addr\" and \"auto_join\" must be set, and not both", at)
        if "auto_join" in keys:
            findings.warn("'retry_join.auto_join' has no effect: nodes are not discovered, name them by leader_api_addr", at)
        for item in block.items:
            check = RETRY_JOIN.get(item.name.lower())
            if check is None:
                findings.warn(f"unknown key 'retry_join.{item.name}': it has no effect", item.at)
            else:
                check(item.inner())
            if item.name.lower() == "auto_join_scheme" and units.text(item.inner()) not in ("http", "https"):
                findings.error("'retry_join.auto_join_scheme': the value is \"http\" or \"https\"", item.at)


def _joins(value: Value) -> list[Object]:
    """Blocks, or the same as JSON in a string. Raises ValueError."""
    if isinstance(value, Literal):
        try:
            decoded = json.loads(units.text(value))
        except json.JSONDecodeError as error:
            raise ValueError("the text is not JSON") from error
        if not isinstance(decoded, list) or not all(isinstance(each, dict) for each in decoded):
            raise ValueError("the text is no list of objects")
        return []
    blocks = [value] if isinstance(value, Object) else list(value.values)
    found = [each for each in blocks if isinstance(each, Object)]
    if len(found) < len(blocks):
        raise ValueError("a list of blocks is wanted")
    return found
