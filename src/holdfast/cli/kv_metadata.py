"""`kv metadata …`: settings and history of keys of version 2."""
from __future__ import annotations

from holdfast.cli.client import Client
from holdfast.cli.command import Command, Session, options
from holdfast.cli.durations import format_duration
from holdfast.cli.errors import API, USAGE, Explained, Failure
from holdfast.cli.flags import Flag, Kind
from holdfast.cli.json_text import Json
from holdfast.cli.kv_path import MOUNT_FLAG, locate_v2
from holdfast.cli.kv_print import heading_over, print_path, print_section
from holdfast.cli.output import output_data, output_secret, print_field, print_warnings
from holdfast.cli.secret import Secret, mapping

_REFUSAL = "Metadata not supported on KV Version 1"


def _path(session: Session, client: Client) -> str:
    return locate_v2(session, client, session.arguments(1, 1)[0], refusal=_REFUSAL, code=USAGE).api_path("metadata")


def _settings(session: Session) -> dict[str, Json]:
    """What was given of the key's settings."""
    flags = session.flags
    data: dict[str, Json] = {}
    if flags.integer("max-versions") >= 0:
        data["max_versions"] = flags.integer("max-versions")
    if flags.integer("delete-version-after") >= 0:
        data["delete_version_after"] = format_duration(flags.integer("delete-version-after"))
    if flags.given("cas-required"):
        data["cas_required"] = flags.switch("cas-required")
    if flags.pairs("custom-metadata"):
        data["custom_metadata"] = flags.pairs("custom-metadata")
    return data


def _put(session: Session) -> int:
    session.arguments(1, 1)
    client = session.client()
    path = _path(session, client)
    with Explained(f"Error writing data to {path}"):
        return _written(session, path, client.write(path, _settings(session)))


def _patch(session: Session) -> int:
    session.arguments(1, 1)
    client = session.client()
    path = _path(session, client)
    custom: dict[str, Json] = {**session.flags.pairs("custom-metadata"), **dict.fromkeys(session.flags.strings("remove-custom-metadata"))}
    with Explained(f"Error writing data to {path}"):
        return _written(session, path, client.patch(path, {**_settings(session), "custom_metadata": custom}))


def _written(session: Session, path: str, secret: Secret | None) -> int:
    return session.ui.success(f"Success! Data written to: {path}") if secret is None else output_secret(session.ui, secret)


def _get(session: Session) -> int:
    session.arguments(1, 1)
    client = session.client()
    path = _path(session, client)
    with Explained(f"Error reading {path}"):
        secret = client.read(path)
    if secret is None:
        raise Failure(f"No value found at {path}", API)
    if session.flags.string("field"):
        return print_field(session.ui, secret, session.flags.string("field"))
    if secret.wrap_info is not None or not session.ui.is_table:
        return output_secret(session.ui, secret)
    return _print(session, secret, path)


def _print(session: Session, secret: Secret, path: str) -> int:
    ui = session.ui
    versions = mapping(secret["versions"])
    if versions is None:
        raise Failure(f"No value found at {path}", API, secret=secret)
    data = {key: value for key, value in (secret.data or {}).items() if key != "versions"}
    print_path(ui, path, "Metadata Path")
    print_warnings(ui, secret)
    print_section(ui, "Metadata", data)
    for name in sorted((name for name in versions if name.isdecimal()), key=int):
        version = mapping(versions[name]) or {}
        ui.output("\n" + heading_over(f"Version {name}", version))
        output_data(ui, version)
    return 0


def _delete(session: Session) -> int:
    session.arguments(1, 1)
    client = session.client()
    path = _path(session, client)
    with Explained(f"Error deleting {path}"):
        client.delete(path)
    session.ui.output(f"Success! Data deleted (if it existed) at: {path}")
    return 0


_SETTINGS = (
    Flag(name="cas-required", kind=Kind.SWITCH, text="Every write of this key must use check and set. Without it the engine's setting."),
    Flag(name="custom-metadata", kind=Kind.PAIRS, text="A key=value pair that describes the secret; may be given several times."),
    Flag(
        name="delete-version-after",
        kind=Kind.DURATION,
        default=-1,
        text="How long a version lives before it is deleted, as 30s or 3h25m19s. Without it the engine's setting.",
    ),
    Flag(name="max-versions", kind=Kind.INTEGER, default=-1, text="How many versions are kept. Without it the engine's setting."),
)

COMMANDS = (
    Command(
        name="kv metadata",
        synopsis="Interact with settings and history of secrets",
        usage="<subcommand> [options] [args]",
        text="Settings, history and custom metadata of secrets of version 2 engines.",
        examples=(("Keep five versions of a secret:", "holdfast kv metadata put -mount=secret -max-versions=5 app"),),
    ),
    Command(
        name="kv metadata get",
        synopsis="Retrieves key metadata from the KV store",
        usage="[options] KEY",
        text="Reads settings and all versions of KEY, without its data.",
        examples=(("Read:", "holdfast kv metadata get -mount=secret app"),),
        options=options(MOUNT_FLAG, field=True),
        run=_get,
    ),
    Command(
        name="kv metadata put",
        synopsis="Sets or updates key settings in the KV store",
        usage="[options] KEY",
        text="Sets the settings of KEY; creates the key, without a version, if it is not there.",
        examples=(("Describe a secret:", "holdfast kv metadata put -mount=secret -custom-metadata=owner=ann app"),),
        options=options(*_SETTINGS, MOUNT_FLAG),
        run=_put,
    ),
    Command(
        name="kv metadata patch",
        synopsis="Patches key settings in the KV store",
        usage="[options] KEY",
        text="Changes only the settings of KEY that are given.",
        examples=(("Remove a description:", "holdfast kv metadata patch -mount=secret -remove-custom-metadata=owner app"),),
        options=options(
            *_SETTINGS,
            Flag(name="remove-custom-metadata", kind=Kind.STRINGS, text="Custom metadata to remove, by key; may be given several times."),
            MOUNT_FLAG,
        ),
        run=_patch,
    ),
    Command(
        name="kv metadata delete",
        synopsis="Deletes all versions and metadata for a key in the KV store",
        usage="[options] KEY",
        text="Removes KEY with all its versions and settings, for good.",
        examples=(("Delete:", "holdfast kv metadata delete -mount=secret app"),),
        options=options(MOUNT_FLAG, format=False),
        run=_delete,
    ),
)
