"""Listing and moving mounts: the same for secrets engines and auth methods."""
from __future__ import annotations

import time

from holdfast.cli.command import Session
from holdfast.cli.errors import API, Explained, Failure
from holdfast.cli.json_text import Json, Record
from holdfast.cli.paths import with_slash
from holdfast.cli.secret import Object, mapping, parse_secret, strings, text

_POLL_S = 1.0
_FIELDS = (
    "uuid", "type", "description", "accessor", "config", "options", "local", "seal_wrap", "external_entropy_access", "plugin_version",
    "running_plugin_version", "running_sha256", "deprecation_status",
)  # fmt: skip
_SWITCHES = frozenset(("local", "seal_wrap", "external_entropy_access"))
_CONFIG = (
    "audit_non_hmac_request_keys", "audit_non_hmac_response_keys", "listing_visibility", "passthrough_request_headers",
    "allowed_response_headers", "token_type", "allowed_managed_keys", "user_lockout_config", "delegated_auth_accessors", "plugin_name",
    "identity_token_key",
)  # fmt: skip


def mounts_of(body: bytes) -> Object:
    """The mount table of an answer. Raises ExchangeError; Failure when there is none in it."""
    secret = parse_secret(body)
    if secret is None or secret.data is None:
        raise Failure("data from server response is empty", API)
    return secret.data


def mounts_json(mounts: Object) -> dict[str, Json]:
    """The mount table with the fields and the order that Vault's command line prints."""
    return {path: _mount_json(mapping(mount) or {}) for path, mount in mounts.items()}


def _mount_json(mount: Object) -> Record:
    out = Record()
    for name in _FIELDS:
        if name == "config":
            out[name] = _config_json(mapping(mount.get(name)) or {})
        elif name == "options":
            out[name] = mount.get(name)
        elif name in _SWITCHES:
            out[name] = mount.get(name) is True
        else:
            out[name] = text(mount.get(name))
    return out


def _config_json(config: Object) -> Record:
    out = Record(
        default_lease_ttl=config.get("default_lease_ttl", 0),
        max_lease_ttl=config.get("max_lease_ttl", 0),
        force_no_cache=config.get("force_no_cache") is True,
    )
    out.update({name: config[name] for name in _CONFIG if text(config.get(name)) or strings(config.get(name)) or mapping(config.get(name))})
    return out


def move(session: Session, kind: str) -> int:
    """Moves a mount and waits until it has arrived."""
    args = session.arguments(2, 2)
    source, destination = with_slash(args[0]), with_slash(args[1])
    client = session.client()
    with Explained(f"Error moving {kind} {source} to {destination}"):
        secret = client.fetch("POST", "sys/remount", {"from": source, "to": destination})
    migration = text(secret["migration_id"]) if secret else ""
    what = f"{kind} {source} to {destination}, with migration ID {migration}"
    session.ui.output(f"Started moving {what}")
    while True:
        with Explained(f"Error checking migration status of {kind} {source} to {destination}"):
            answer = client.fetch("GET", f"sys/remount/status/{migration}")
        state = text((mapping(answer["migration_info"]) or {}).get("status")) if answer else ""
        if state == "success":
            session.ui.output(f"Success! Finished moving {what}")
            return 0
        if state == "failure":
            raise Failure(f"Failure! Error encountered moving {what}", API)
        session.ui.output(f"Waiting for terminal status in migration of {what}")
        time.sleep(_POLL_S)
