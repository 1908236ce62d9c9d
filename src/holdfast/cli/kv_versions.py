"""`kv delete`, `undelete`, `destroy`, `rollback`, `enable-versioning`: what is done to versions."""
from __future__ import annotations

from functools import partial

from holdfast.cli.command import Command, Session, options
from holdfast.cli.errors import API, USAGE, Explained, Failure
from holdfast.cli.flags import Flag, Kind
from holdfast.cli.kv import read_existing
from holdfast.cli.kv_path import MOUNT_FLAG, locate, locate_v2
from holdfast.cli.logical import show
from holdfast.cli.output import output_secret
from holdfast.cli.paths import sanitize, with_slash

_VERSIONS = Flag(name="versions", kind=Kind.STRINGS, text="Version numbers, separated by commas; may be given several times.")


def _rollback(session: Session) -> int:
    if len(session.args) != 1:
        raise Failure(f"Invalid number of arguments (expected 1, got {len(session.args)})", USAGE)
    if not session.flags.given("version"):
        raise Failure("Version flag must be specified", USAGE)
    version = session.flags.integer("version")
    if version <= 0:
        raise Failure(f"Invalid value {version} for the version flag", USAGE)
    client = session.client()
    refusal = "K/V engine mount must be version 2 for rollback support"
    path = locate_v2(session, client, session.args[0], refusal=refusal, code=API).api_path("data")
    reader = client.using(show=False)
    current, _ = read_existing(reader, path, purpose="rollback")
    metadata, data = read_existing(reader, path, purpose="rollback", version=version)
    if metadata.get("deletion_time"):
        raise Failure("Cannot roll back to a version that has been deleted", API)
    if metadata.get("destroyed") is True:
        raise Failure("Cannot roll back to a version that has been destroyed", API)
    if data is None:
        raise Failure(f"No data found at {path}; rollback only works on existing data", API)
    with Explained(f"Error writing data to {path}"):
        secret = client.write(path, {"data": data, "options": {"cas": current.get("version")}})
    return session.ui.success(f"Success! Data written to: {path}") if secret is None else output_secret(session.ui, secret)


def _version_numbers(session: Session) -> list[str]:
    given = [part.strip() for item in session.flags.strings("versions") for part in item.split(",")]
    return [number for number in given if number]


def _delete(session: Session) -> int:
    argument = session.arguments(1, 1)[0]
    client = session.client()
    location = locate(session, client, argument)
    path = location.api_path("data")
    versions = _version_numbers(session)
    with Explained(f"Error deleting {path}"):
        if location.is_v2 and versions:
            secret = client.write(location.api_path("delete"), {"versions": versions})
        else:
            secret = client.delete(path)
    if secret is None:
        return session.ui.success(f"Success! Data deleted (if it existed) at: {path}")
    return show(session, secret)


def _on_versions(session: Session, kind: str) -> int:
    """`undelete` and `destroy`: an operation on some versions of a key."""
    argument = session.arguments(1, 1)[0]
    versions = _version_numbers(session)
    if not versions:
        raise Failure(f'No versions provided, use the "-versions" flag to specify the version to {kind}.', USAGE)
    client = session.client()
    refusal = f"{kind.capitalize()} not supported on KV Version 1"
    path = locate_v2(session, client, argument, refusal=refusal, code=USAGE).api_path(kind)
    with Explained(f"Error writing data to {path}"):
        secret = client.write(path, {"versions": versions})
    return session.ui.success(f"Success! Data written to: {path}") if secret is None else output_secret(session.ui, secret)


def _enable_versioning(session: Session) -> int:
    path = with_slash(sanitize(session.arguments(1, 1)[0]))
    client = session.client()
    with Explained(f"Error tuning secrets engine {path}"):
        client.call("POST", f"sys/mounts/{path}tune", {"options": {"version": "2"}, "default_lease_ttl": "", "max_lease_ttl": ""})
    session.ui.output(f"Success! Tuned the secrets engine at: {path}")
    return 0


COMMANDS = (
    Command(
        name="kv delete",
        synopsis="Deletes versions in the KV store",
        usage="[options] KEY",
        text="Deletes the secret KEY; of a version 2 engine its current version, or the versions given, which can be undeleted.",
        examples=(("Delete two older versions:", "holdfast kv delete -mount=secret -versions=1,2 app"),),
        options=options(_VERSIONS, MOUNT_FLAG, field=True),
        run=_delete,
    ),
    Command(
        name="kv undelete",
        synopsis="Undeletes versions in the KV store",
        usage="[options] KEY",
        text="Brings deleted versions of the secret KEY back. Needs a version 2 engine.",
        examples=(("Undelete version 2:", "holdfast kv undelete -mount=secret -versions=2 app"),),
        options=options(_VERSIONS, MOUNT_FLAG),
        run=partial(_on_versions, kind="undelete"),
    ),
    Command(
        name="kv destroy",
        synopsis="Permanently removes one or more versions in the KV store",
        usage="[options] KEY",
        text="Removes the data of some versions of the secret KEY for good. Needs a version 2 engine.",
        examples=(("Destroy version 1:", "holdfast kv destroy -mount=secret -versions=1 app"),),
        options=options(_VERSIONS, MOUNT_FLAG),
        run=partial(_on_versions, kind="destroy"),
    ),
    Command(
        name="kv rollback",
        synopsis="Rolls back to a previous version of data",
        usage="[options] KEY",
        text="Writes the data of an older version of the secret KEY as a new version. Needs a version 2 engine.",
        examples=(("Return to version 2:", "holdfast kv rollback -mount=secret -version=2 app"),),
        options=options(Flag(name="version", kind=Kind.INTEGER, text="Version whose data is to be the current one."), MOUNT_FLAG),
        run=_rollback,
    ),
    Command(
        name="kv enable-versioning",
        synopsis="Turns on versioning for a KV store",
        usage="[options] MOUNT",
        text="Makes a version 2 engine of the version 1 engine mounted at MOUNT; its secrets stay.",
        examples=(("Turn versioning on:", "holdfast kv enable-versioning secret"),),
        options=options(),
        run=_enable_versioning,
    ),
)
