"""`audit …`: where requests and responses are recorded."""
from __future__ import annotations

from holdfast.cli.command import Command, Session, options
from holdfast.cli.data import parse_texts
from holdfast.cli.errors import API, USAGE, Explained, Failure
from holdfast.cli.flags import Flag, Kind
from holdfast.cli.json_text import Json, Record, plain
from holdfast.cli.layout import table
from holdfast.cli.mounts import mounts_of
from holdfast.cli.output import output_data
from holdfast.cli.paths import sanitize, with_slash
from holdfast.cli.secret import Object, mapping, text


def _enable(session: Session) -> int:
    flags = session.flags
    if not session.args:
        raise Failure("Error enabling audit device: audit type missing. Valid types include 'file', 'socket' and 'syslog'.", USAGE)
    type = session.args[0].strip()
    path = with_slash(flags.string("path") or type)
    try:
        settings = parse_texts(session.args[1:], session.read_stdin)
    except ValueError as error:
        raise Failure(f"Failed to parse K=V data: {error}", USAGE) from error
    body: dict[str, Json] = {"type": type, "description": flags.string("description"), "options": settings, "local": flags.switch("local")}
    client = session.client()
    with Explained("Error enabling audit device"):
        client.call("PUT", f"sys/audit/{path}", body)
    session.ui.output(f"Success! Enabled the {type} audit device at: {path}")
    return 0


def _disable(session: Session) -> int:
    path = with_slash(sanitize(session.arguments(1, 1)[0]))
    client = session.client()
    with Explained("Error disabling audit device"):
        client.call("DELETE", f"sys/audit/{path}")
    session.ui.output(f"Success! Disabled audit device (if it was enabled) at: {path}")
    return 0


def _list(session: Session) -> int:
    session.arguments(0, 0)
    client = session.client()
    with Explained("Error listing audits"):
        found = mounts_of(client.call("GET", "sys/audit").body)
    devices = [(path, mapping(found[path]) or {}) for path in sorted(found)]
    if not session.ui.is_table:
        return output_data(session.ui, {path: _to_json(device) for path, device in devices})
    if not devices:
        session.ui.output("No audit devices are enabled.")
        return API
    rows = [[path, text(device.get("type")), text(device.get("description"))] for path, device in devices]
    if not session.flags.switch("detailed"):
        session.ui.output(table(("Path", "Type", "Description"), rows))
        return 0
    for row, (_, device) in zip(rows, devices, strict=True):
        settings = mapping(device.get("options")) or {}
        replication = "local" if device.get("local") is True else "replicated"
        row += [replication, " ".join(f"{name}={plain(settings[name])}" for name in sorted(settings))]
    session.ui.output(table(("Path", "Type", "Description", "Replication", "Options"), rows))
    return 0


def _to_json(device: Object) -> Record:
    return Record(
        type=text(device.get("type")),
        description=text(device.get("description")),
        options=device.get("options"),
        local=device.get("local") is True,
        path=text(device.get("path")),
    )


COMMANDS = (
    Command(
        name="audit",
        synopsis="Interact with audit devices",
        usage="<subcommand> [options] [args]",
        text="Audit devices record every request and its response; while any is enabled, nothing is served that none of them can record.",
        examples=(("List them:", "holdfast audit list"),),
    ),
    Command(
        name="audit enable",
        synopsis="Enables an audit device",
        usage="[options] TYPE [CONFIG K=V...]",
        text="Enables an audit device of type TYPE; its settings follow as K=V.",
        examples=(("Record to a file:", "holdfast audit enable file file_path=/var/log/holdfast-audit.log"),),
        options=options(
            Flag(name="description", kind=Kind.STRING, text="What it is for, in words."),
            Flag(name="path", kind=Kind.STRING, text="Path to enable it at; its type if it is not given."),
            Flag(name="local", kind=Kind.SWITCH, text="Do not replicate it between clusters."),
            format=False,
        ),
        run=_enable,
    ),
    Command(
        name="audit disable",
        synopsis="Disables an audit device",
        usage="[options] PATH",
        text="Disables the audit device at PATH. What it has recorded stays where it is.",
        examples=(("Disable:", "holdfast audit disable file"),),
        options=options(format=False),
        run=_disable,
    ),
    Command(
        name="audit list",
        synopsis="Lists enabled audit devices",
        usage="[options]",
        text="Lists the enabled audit devices.",
        examples=(("List them with their settings:", "holdfast audit list -detailed"),),
        options=options(Flag(name="detailed", kind=Kind.SWITCH, text="Print their settings too.")),
        run=_list,
    ),
)
