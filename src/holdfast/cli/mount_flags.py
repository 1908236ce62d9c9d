"""What `secrets` and `auth` have in common: flags of enabling and tuning, and the request's body made from them."""
from __future__ import annotations

from collections.abc import Sequence

from holdfast.cli.durations import format_duration, ttl_to_api
from holdfast.cli.flags import Flag, Flags, Kind
from holdfast.cli.json_text import Json, plain
from holdfast.cli.secret import Object, mapping, number, text

DESCRIPTION = Flag(name="description", kind=Kind.STRING, text="What it is for, in words.")
PATH = Flag(name="path", kind=Kind.STRING, text="Path to mount it at; its type if it is not given.")
DEFAULT_TTL = Flag(name="default-lease-ttl", kind=Kind.DURATION, text='TTL of leases and tokens that name none; "system": the server\'s.')
MAX_TTL = Flag(name="max-lease-ttl", kind=Kind.DURATION, text='The longest TTL; "system": the server\'s.')
OPTIONS = Flag(name="options", kind=Kind.PAIRS, text="A key=value option of the mount; may be given several times.")
VERSION = Flag(name="version", kind=Kind.INTEGER, text="Version of the engine, where it has several: 2 for versioned kv.")
LOCAL = Flag(name="local", kind=Kind.SWITCH, text="Do not replicate it between clusters.")
SEAL_WRAP = Flag(name="seal-wrap", kind=Kind.SWITCH, text="Wrap its most critical values by the seal as well, where the server can.")
EXTERNAL_ENTROPY = Flag(name="external-entropy-access", kind=Kind.SWITCH, text="Let it use the server's external source of randomness.")
FORCE_NO_CACHE = Flag(name="force-no-cache", kind=Kind.SWITCH, text="Do not cache what it reads.")
PLUGIN_NAME = Flag(name="plugin-name", kind=Kind.STRING, text="Name of a plugin in the server's catalog, for the type plugin.")
TOKEN_TYPE = Flag(name="token-type", kind=Kind.STRING, text="Type of its tokens: service, batch, default-service, default-batch.")
_SEVERAL = "; may be given several times."
_LISTS = (
    Flag(name="audit-non-hmac-request-keys", kind=Kind.STRINGS, text="Field that audit devices show as it is in requests" + _SEVERAL),
    Flag(name="audit-non-hmac-response-keys", kind=Kind.STRINGS, text="Field that audit devices show as it is in responses" + _SEVERAL),
    Flag(name="passthrough-request-headers", kind=Kind.STRINGS, text="Request header that it gets to see" + _SEVERAL),
    Flag(name="allowed-response-headers", kind=Kind.STRINGS, text="Response header that it may set" + _SEVERAL),
    Flag(name="allowed-managed-keys", kind=Kind.STRINGS, text="Managed key that it may use" + _SEVERAL),
    Flag(name="delegated-auth-accessors", kind=Kind.STRINGS, text="Accessor of an auth method that it may log in to" + _SEVERAL),
)
_TEXTS = (
    Flag(name="listing-visibility", kind=Kind.STRING, text='"unauth": listed to whoever is not logged in; "hidden": not.'),
    Flag(name="plugin-version", kind=Kind.STRING, text="Version of the plugin to run."),
    Flag(name="identity-token-key", kind=Kind.STRING, text="Key that signs identity tokens of the plugin."),
)
_SHARED = (DESCRIPTION, DEFAULT_TTL, MAX_TTL, OPTIONS, VERSION, *_LISTS, *_TEXTS)
_ENABLE = (*_SHARED, PATH, LOCAL, SEAL_WRAP, EXTERNAL_ENTROPY, PLUGIN_NAME)
ENABLE_SECRETS = (*_ENABLE, FORCE_NO_CACHE)
ENABLE_AUTH = (*_ENABLE, TOKEN_TYPE)
TUNE_SECRETS = _SHARED
TUNE_AUTH = (*_SHARED, TOKEN_TYPE)


def _given(flags: Flags) -> dict[str, Json]:
    """Of the shared settings those that stand on the command line, by their API names."""
    sent: dict[str, Json] = {f.name.replace("-", "_"): flags.strings(f.name) for f in _LISTS if flags.has(f.name) and flags.given(f.name)}
    sent |= {f.name.replace("-", "_"): flags.string(f.name) for f in _TEXTS if flags.has(f.name) and flags.given(f.name)}
    if flags.has("token-type") and flags.given("token-type"):
        sent["token_type"] = flags.string("token-type")
    return sent


def _options(flags: Flags) -> dict[str, Json] | None:
    chosen: dict[str, Json] = dict(flags.pairs("options"))
    if flags.integer("version") > 0:
        chosen["version"] = str(flags.integer("version"))
    return chosen or None


def enable_body(flags: Flags, type: str) -> dict[str, Json]:
    """The body of a mount request."""
    config: dict[str, Json] = {
        "options": None,
        "default_lease_ttl": format_duration(flags.integer("default-lease-ttl")),
        "max_lease_ttl": format_duration(flags.integer("max-lease-ttl")),
        "force_no_cache": flags.has("force-no-cache") and flags.switch("force-no-cache"),
        **_given(flags),
    }
    return {
        "type": type,
        "description": flags.string("description"),
        "config": config,
        "local": flags.switch("local"),
        "seal_wrap": flags.switch("seal-wrap"),
        "external_entropy_access": flags.switch("external-entropy-access"),
        "options": _options(flags),
    }


def tune_body(flags: Flags) -> dict[str, Json]:
    """The body of a tune request: what was not given stays as it is."""
    body: dict[str, Json] = {
        "options": _options(flags),
        "default_lease_ttl": ttl_to_api(flags.integer("default-lease-ttl")),
        "max_lease_ttl": ttl_to_api(flags.integer("max-lease-ttl")),
        "force_no_cache": False,
        **_given(flags),
    }
    if flags.given("description"):
        body["description"] = flags.string("description")
    return body


def _ttl(type: str, seconds: int) -> str:
    if type in ("system", "cubbyhole"):
        return ""
    return str(seconds) if seconds else "system"


def detailed_rows(mounts: Object, *, fourth: str) -> list[list[str]]:
    """All that is known of each mount. `fourth` is the setting between the TTLs and the replication."""
    rows = []
    for path in sorted(mounts):
        mount = mapping(mounts[path]) or {}
        config = mapping(mount.get("config")) or {}
        type = text(mount.get("type"))
        setting = config.get(fourth)
        rows.append([
            path,
            text(config.get("plugin_name")) if type == "plugin" else type,
            text(mount.get("accessor")),
            _ttl(type, number(config.get("default_lease_ttl"))),
            _ttl(type, number(config.get("max_lease_ttl"))),
            text(setting) if isinstance(setting, str) else plain(setting is True) if fourth == "force_no_cache" else "",
            "local" if mount.get("local") is True else "replicated",
            plain(mount.get("seal_wrap") is True),
            plain(mount.get("external_entropy_access") is True),
            plain(mapping(mount.get("options")) or {}),
            *(text(mount.get(name)) for name in _TAIL),
        ])
    return rows


_TAIL = ("description", "uuid", "plugin_version", "running_plugin_version", "running_sha256", "deprecation_status")


def detailed_header(fourth: str) -> Sequence[str]:
    return (
        "Path", "Plugin", "Accessor", "Default TTL", "Max TTL", fourth, "Replication", "Seal Wrap", "External Entropy Access", "Options",
        "Description", "UUID", "Version", "Running Version", "Running SHA256", "Deprecation Status",
    )
