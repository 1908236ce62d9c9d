"""`secrets …`: which secrets engines are mounted where."""
from __future__ import annotations

from holdfast.cli import mount_flags, mounts
from holdfast.cli.command import Command, Session, options
from holdfast.cli.errors import Explained
from holdfast.cli.flags import Flag, Kind
from holdfast.cli.layout import table
from holdfast.cli.output import output_data
from holdfast.cli.paths import sanitize, with_slash
from holdfast.cli.secret import mapping, text


def _enable(session: Session) -> int:
    flags = session.flags
    type = session.arguments(1, 1)[0].strip()
    if type == "plugin":
        type = flags.string("plugin-name")
    path = with_slash(flags.string("path") or type)
    client = session.client()
    with Explained("Error enabling"):
        client.call("POST", f"sys/mounts/{path}", mount_flags.enable_body(flags, type))
    version = f" version {flags.string('plugin-version')}" if flags.string("plugin-version") else ""
    session.ui.output(f"Success! Enabled the {type} secrets engine{version} at: {path}")
    return 0


def _disable(session: Session) -> int:
    path = with_slash(sanitize(session.arguments(1, 1)[0]))
    client = session.client()
    with Explained(f"Error disabling secrets engine at {path}"):
        client.call("DELETE", f"sys/mounts/{path}")
    session.ui.output(f"Success! Disabled the secrets engine (if it existed) at: {path}")
    return 0


def _list(session: Session) -> int:
    session.arguments(0, 0)
    client = session.client()
    with Explained("Error listing secrets engines"):
        found = mounts.mounts_of(client.call("GET", "sys/mounts").body)
    if not session.ui.is_table:
        return output_data(session.ui, mounts.mounts_json(found))
    if session.flags.switch("detailed"):
        rows = mount_flags.detailed_rows(found, fourth="force_no_cache")
        session.ui.output(table(mount_flags.detailed_header("Force No Cache"), rows))
        return 0
    simple = [(path, mapping(found[path]) or {}) for path in sorted(found)]
    rows = [[path, *(text(mount.get(name)) for name in ("type", "accessor", "description"))] for path, mount in simple]
    session.ui.output(table(("Path", "Type", "Accessor", "Description"), rows))
    return 0


def _tune(session: Session) -> int:
    path = with_slash(sanitize(session.arguments(1, 1)[0]))
    client = session.client()
    with Explained(f"Error tuning secrets engine {path}"):
        client.call("POST", f"sys/mounts/{path}tune", mount_flags.tune_body(session.flags))
    session.ui.output(f"Success! Tuned the secrets engine at: {path}")
    return 0


def _move(session: Session) -> int:
    return mounts.move(session, "secrets engine")


_LIST_DETAILED = Flag(name="detailed", kind=Kind.SWITCH, text="Print TTLs, options and all else that is known of each mount.")

COMMANDS = (
    Command(
        name="secrets",
        synopsis="Interact with secrets engines",
        usage="<subcommand> [options] [args]",
        text="Secrets engines keep, make or encrypt; each is mounted at a path of its own.",
        examples=(("List what is mounted:", "holdfast secrets list"),),
    ),
    Command(
        name="secrets enable",
        synopsis="Enable a secrets engine",
        usage="[options] TYPE",
        text="Mounts a secrets engine of type TYPE.",
        examples=(("Mount versioned secrets at secret/:", "holdfast secrets enable -path=secret -version=2 kv"),),
        options=options(*mount_flags.ENABLE_SECRETS, format=False),
        run=_enable,
    ),
    Command(
        name="secrets disable",
        synopsis="Disable a secret engine",
        usage="[options] PATH",
        text="Unmounts what is mounted at PATH. Its leases are revoked and all it holds is deleted.",
        examples=(("Unmount:", "holdfast secrets disable secret"),),
        options=options(format=False),
        run=_disable,
    ),
    Command(
        name="secrets list",
        synopsis="List enabled secrets engines",
        usage="[options]",
        text="Lists the mounted secrets engines.",
        examples=(("List them with their settings:", "holdfast secrets list -detailed"),),
        options=options(_LIST_DETAILED),
        run=_list,
    ),
    Command(
        name="secrets tune",
        synopsis="Tune a secrets engine configuration",
        usage="[options] PATH",
        text="Changes settings of the secrets engine mounted at PATH; what is not given stays as it is.",
        examples=(("Set the longest TTL:", "holdfast secrets tune -max-lease-ttl=72h database"),),
        options=options(*mount_flags.TUNE_SECRETS, format=False),
        run=_tune,
    ),
    Command(
        name="secrets move",
        synopsis="Move a secrets engine to a new path",
        usage="[options] SOURCE DESTINATION",
        text="Mounts a secrets engine elsewhere, with all it holds; its leases are revoked.",
        examples=(("Move:", "holdfast secrets move secret kv"),),
        options=options(format=False),
        run=_move,
    ),
)
