"""`kv …`: secrets of KV engines, version 1 and 2 with the same commands."""
from __future__ import annotations

from holdfast.cli.client import Client
from holdfast.cli.command import Command, Session, options
from holdfast.cli.data import Data, parse_data
from holdfast.cli.errors import API, USAGE, ApiError, Explained, Failure
from holdfast.cli.flags import Flag, Kind
from holdfast.cli.json_text import Json
from holdfast.cli.kv_path import MOUNT_FLAG, Location, locate, locate_v2
from holdfast.cli.kv_print import print_path, print_section
from holdfast.cli.logical import show_list
from holdfast.cli.output import output_secret, print_field, print_warnings
from holdfast.cli.secret import Object, Secret, mapping


def _data(session: Session, *, may_be_empty: bool = False) -> tuple[str, Data]:
    args = session.arguments(1, None, expected=">1")
    if len(args) == 1 and not may_be_empty:
        raise Failure("Must supply data", USAGE)
    try:
        return args[0], parse_data(args[1:], session.read_stdin)
    except ValueError as error:
        raise Failure(f"Failed to parse K=V data: {error}", USAGE) from error


def _get(session: Session) -> int:
    argument = session.arguments(1, 1)[0]
    client = session.client()
    location = locate(session, client, argument)
    path = location.api_path("data")
    version = session.flags.integer("version")
    with Explained(f"Error reading {path}"):
        secret = client.read(path, [("version", str(version))] if location.is_v2 and version > 0 else ())
    if secret is None:
        raise Failure(f"No value found at {path}", API)
    field = session.flags.string("field")
    if field:
        in_data = location.is_v2 and secret.wrap_info is None
        return _get_field(session, secret, path, field) if in_data else print_field(session.ui, secret, field)
    if secret.wrap_info is not None or not session.ui.is_table:
        return output_secret(session.ui, secret)
    return _print_secret(session, secret, path, location)


def _get_field(session: Session, secret: Secret, path: str, field: str) -> int:
    data = mapping(secret["data"])
    if data is None:
        raise Failure(f"No data found at {path}", API)
    # `data` is the whole secret, unless the secret has a field of that name.
    return print_field(session.ui, secret if field == "data" and "data" not in data else data, field)


def _print_secret(session: Session, secret: Secret, path: str, location: Location) -> int:
    ui = session.ui
    print_warnings(ui, secret)
    if location.is_v2:
        print_path(ui, path, "Secret Path")
    metadata = mapping(secret["metadata"])
    if metadata is not None:
        print_section(ui, "Metadata", metadata)
        ui.output("")
    data = mapping(secret["data"]) if location.is_v2 else secret.data
    if data is not None:
        print_section(ui, "Data", data)
    return 0


def _put(session: Session) -> int:
    argument, data = _data(session)
    client = session.client()
    location = locate(session, client, argument)
    path = location.api_path("data")
    body: Json = data
    if location.is_v2:
        cas = session.flags.integer("cas")
        body = {"data": data, "options": {"cas": cas} if cas > -1 else {}}
    with Explained(f"Error writing data to {path}"):
        secret = client.write(path, body)
    return _print_written(session, path, secret)


def _print_written(session: Session, path: str, secret: Secret | None) -> int:
    """The metadata of a version just written."""
    if secret is None:
        return session.ui.success(f"Success! Data written to: {path}")
    if session.flags.has("field") and session.flags.string("field"):
        return print_field(session.ui, secret, session.flags.string("field"))
    if not session.ui.is_table or secret.wrap_info is not None:
        return output_secret(session.ui, secret)
    print_warnings(session.ui, secret)
    print_path(session.ui, path, "Secret Path")
    print_section(session.ui, "Metadata", secret.data or {})
    return 0


def _patch(session: Session) -> int:
    removed = session.flags.strings("remove-data")
    argument, data = _data(session, may_be_empty=bool(removed))
    method = session.flags.string("method")
    if method not in ("", "patch", "rw"):
        raise Failure(f"Unsupported method provided to -method flag: {method}", API)
    client = session.client()
    location = locate_v2(session, client, argument, refusal="K/V engine mount must be version 2 for patch support", code=API)
    path = location.api_path("data")
    data |= dict.fromkeys(removed)
    if method == "rw":
        secret = _read_then_write(client, path, data)
    else:
        secret = _merge(session, client, path, data, falls_back=not method)
    return _print_written(session, path, secret)


def _merge(session: Session, client: Client, path: str, data: Data, *, falls_back: bool) -> Secret | None:
    cas = session.flags.integer("cas")
    try:
        with Explained(f"Error writing data to {path}"):
            return client.patch(path, {"data": data, "options": {"cas": cas} if cas > 0 else {}})
    except Failure as failure:
        cause = failure.__cause__
        if not falls_back or not isinstance(cause, ApiError) or cause.status not in (403, 405):
            raise
        if cause.status == 403:
            session.ui.warn(f'The token in use has no "patch" capability on {path}: the secret is read, changed and written instead.')
    return _read_then_write(client, path, data)


def _read_then_write(client: Client, path: str, data: Data) -> Secret | None:
    """Changes some fields by reading and writing; a write of somebody else in between makes it fail."""
    metadata, before = read_existing(client.using(show=False), path, purpose="patch")
    if before is None:
        raise Failure(f"No data found at {path}; patch only works on existing data", API)
    merged = {**before, **data}
    kept: Data = {key: value for key, value in merged.items() if value is not None or key not in data}
    with Explained(f"Error writing data to {path}"):
        return client.write(path, {"data": kept, "options": {"cas": metadata.get("version")}})


def read_existing(client: Client, path: str, *, purpose: str, version: int = 0) -> tuple[Object, Object | None]:
    """Metadata and data of a version, 0: the current one; no data: it has been deleted. Raises Failure if there is no such version."""
    with Explained(f"Error doing pre-read at {path}"):
        secret = client.read(path, [("version", str(version))] if version else ())
    if secret is None or secret.data is None:
        raise Failure(f"No value found at {path}", API)
    metadata = mapping(secret["metadata"])
    if metadata is None:
        raise Failure(f"No metadata found at {path}; {purpose} only works on existing data", API)
    return metadata, mapping(secret["data"])


def _list(session: Session) -> int:
    has_mount = bool(session.flags.string("mount"))
    args = session.arguments(0 if has_mount else 1, 1, expected="1")
    client = session.client()
    path = locate(session, client, args[0] if args else "").api_path("metadata")
    with Explained(f"Error listing {path}"):
        secret = client.list(path)
    if secret is not None and secret.data is None and session.ui.is_table and secret.wrap_info is None:
        raise Failure(f"No value found at {path}", API)
    return show_list(session.ui, secret, path)


COMMANDS = (
    Command(
        name="kv",
        synopsis="Interact with the Key-Value storage",
        usage="<subcommand> [options] [args]",
        text="Secrets of KV engines of version 1 and 2. Which of them it is, is asked of the server.",
        examples=(
            ("Store a secret, and read one field of it:", "holdfast kv put -mount=secret app user=ann password=-"),
            ("", "holdfast kv get -mount=secret -field=user app"),
        ),
    ),
    Command(
        name="kv get",
        synopsis="Retrieves data from the KV store",
        usage="[options] KEY",
        text="Reads the secret KEY; of a version 2 engine also its metadata.",
        examples=(("Read an older version:", "holdfast kv get -mount=secret -version=1 app"),),
        options=options(
            Flag(name="version", kind=Kind.INTEGER, text="Version to read; the current one if it is not given."), MOUNT_FLAG, field=True
        ),
        run=_get,
    ),
    Command(
        name="kv put",
        synopsis="Sets or updates data in the KV store",
        usage="[options] KEY [DATA K=V...]",
        text="Writes the secret KEY whole: what was in it before is replaced. Data is given as for holdfast write.",
        examples=(("Write only if nothing is there yet:", "holdfast kv put -mount=secret -cas=0 app user=ann"),),
        options=options(
            Flag(
                name="cas",
                kind=Kind.INTEGER,
                default=-1,
                text="Check and set: write only if the current version has this number; 0: only if there is none.",
            ),
            MOUNT_FLAG,
            field=True,
        ),
        run=_put,
    ),
    Command(
        name="kv patch",
        synopsis="Sets or updates data in the KV store without overwriting",
        usage="[options] KEY [DATA K=V...]",
        text="Changes some fields of the secret KEY and leaves the others. Needs a version 2 engine.",
        examples=(("Change one field and remove another:", "holdfast kv patch -mount=secret -remove-data=old app user=bob"),),
        options=options(
            Flag(name="cas", kind=Kind.INTEGER, text="Check and set: patch only if the current version has this number."),
            Flag(
                name="method",
                kind=Kind.STRING,
                text='"patch": one PATCH request; "rw": read, change here, write. Without it PATCH, and the other if that is not allowed.',
            ),
            Flag(name="remove-data", kind=Kind.STRINGS, text="Field to remove; may be given several times."),
            MOUNT_FLAG,
            field=True,
        ),
        run=_patch,
    ),
    Command(
        name="kv list",
        synopsis="List data or secrets",
        usage="[options] PATH",
        text="Lists the keys below PATH; with -mount alone, the keys of the mount.",
        examples=(("List a folder:", "holdfast kv list -mount=secret my-app"),),
        options=options(MOUNT_FLAG, detailed=True),
        run=_list,
    ),
)
