"""What `secrets` and `auth` do alike, with mounts of one kind each."""
from __future__ import annotations

import time
from dataclasses import dataclass

from holdfast.cli import mount_flags
from holdfast.cli.command import Session
from holdfast.cli.errors import API, Explained, Failure
from holdfast.cli.json_text import Json, Record
from holdfast.cli.layout import table
from holdfast.cli.output import output_data
from holdfast.cli.paths import sanitize, with_slash
from holdfast.cli.secret import Object, mapping, parse_secret, strings, text


@dataclass(frozen=True, slots=True, kw_only=True)
class MountKind:
    """One kind, in the words of Vault's command line."""

    noun: str
    listed_at: str                                   # where they are listed, enabled and disabled
    tuned_at: str
    enabled: str                                     # `{type}`, `{version}` and `{path}` stand in for what was enabled
    enabling: str                                    # what failed, with `{type}`
    listing: str
    columns: tuple[tuple[str, str], ...]             # of the short table, beside the path: title and field
    setting: tuple[str, str]                         # of the detailed table, its fourth: title and field


SECRETS = MountKind(
    noun="secrets engine", listed_at="sys/mounts", tuned_at="sys/mounts/", enabled="the {type} secrets engine{version} at: {path}",
    enabling="Error enabling", listing="Error listing secrets engines", setting=("Force No Cache", "force_no_cache"),
    columns=(("Type", "type"), ("Accessor", "accessor"), ("Description", "description")))
AUTH = MountKind(
    noun="auth method", listed_at="sys/auth", tuned_at="sys/mounts/auth/", enabled="{type} auth method{version} at: {path}",
    enabling="Error enabling {type} auth", listing="Error listing enabled authentications", setting=("Token Type", "token_type"),
    columns=(*SECRETS.columns, ("Version", "plugin_version")))

_POLL_S = 1.0
_FIELDS = (
    "uuid", "type", "description", "accessor", "config", "options", "local", "seal_wrap", "external_entropy_access", "plugin_version",
    "running_plugin_version", "running_sha256", "deprecation_status",
)
_SWITCHES = frozenset(("local", "seal_wrap", "external_entropy_access"))
_CONFIG = (
    "audit_non_hmac_request_keys", "audit_non_hmac_response_keys", "listing_visibility", "passthrough_request_headers",
    "allowed_response_headers", "token_type", "allowed_managed_keys", "user_lockout_config", "delegated_auth_accessors", "plugin_name",
    "identity_token_key",
)


def enable(session: Session, kind: MountKind) -> int:
    """Mounts what the command line asks for."""
    flags = session.flags
    type = session.arguments(1, 1)[0].strip()
    if type == "plugin":
        type = flags.string("plugin-name")
    path = with_slash(flags.string("path") or type)
    client = session.client()
    with Explained(kind.enabling.format(type=type)):
        client.call("POST", f"{kind.listed_at}/{path}", mount_flags.enable_body(flags, type))
    version = f" version {flags.string('plugin-version')}" if flags.string("plugin-version") else ""
    session.ui.output("Success! Enabled " + kind.enabled.format(type=type, version=version, path=path))
    return 0


def disable(session: Session, kind: MountKind) -> int:
    """Unmounts what stands at a path."""
    path = with_slash(sanitize(session.arguments(1, 1)[0]))
    client = session.client()
    with Explained(f"Error disabling {kind.noun} at {path}"):
        client.call("DELETE", f"{kind.listed_at}/{path}")
    session.ui.output(f"Success! Disabled the {kind.noun} (if it existed) at: {path}")
    return 0


def list_all(session: Session, kind: MountKind) -> int:
    """Prints what is mounted."""
    session.arguments(0, 0)
    client = session.client()
    with Explained(kind.listing):
        found = mounts_of(client.call("GET", kind.listed_at).body)
    if not session.ui.is_table:
        return output_data(session.ui, mounts_json(found))
    if session.flags.switch("detailed"):
        title, field = kind.setting
        session.ui.output(table(mount_flags.detailed_header(title), mount_flags.detailed_rows(found, fourth=field)))
        return 0
    simple = [(path, mapping(found[path]) or {}) for path in sorted(found)]
    rows = [[path, *(text(mount.get(field)) for _, field in kind.columns)] for path, mount in simple]
    session.ui.output(table(("Path", *(title for title, _ in kind.columns)), rows))
    return 0


def tune(session: Session, kind: MountKind, **more: Json) -> int:
    """Changes settings. `more`: fields of the request beside those of both kinds."""
    path = with_slash(sanitize(session.arguments(1, 1)[0]))
    client = session.client()
    with Explained(f"Error tuning {kind.noun} {path}"):
        client.call("POST", f"{kind.tuned_at}{path}tune", {**mount_flags.tune_body(session.flags), **more})
    session.ui.output(f"Success! Tuned the {kind.noun} at: {path}")
    return 0


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


def move(session: Session, kind: MountKind) -> int:
    """Moves a mount and waits until it has arrived."""
    args = session.arguments(2, 2)
    source, destination = with_slash(args[0]), with_slash(args[1])
    client = session.client()
    with Explained(f"Error moving {kind.noun} {source} to {destination}"):
        secret = client.fetch("POST", "sys/remount", {"from": source, "to": destination})
    migration = text(secret["migration_id"]) if secret else ""
    what = f"{kind.noun} {source} to {destination}, with migration ID {migration}"
    session.ui.output(f"Started moving {what}")
    while True:
        with Explained(f"Error checking migration status of {kind.noun} {source} to {destination}"):
            answer = client.fetch("GET", f"sys/remount/status/{migration}")
        state = text((mapping(answer["migration_info"]) or {}).get("status")) if answer else ""
        if state == "success":
            session.ui.output(f"Success! Finished moving {what}")
            return 0
        if state == "failure":
            raise Failure(f"Failure! Error encountered moving {what}", API)
        session.ui.output(f"Waiting for terminal status in migration of {what}")
        time.sleep(_POLL_S)
