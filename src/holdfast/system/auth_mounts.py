"""sys/auth: auth methods. Their paths are shown and taken without the "auth/" that they are kept with. Source: Vault API, "/sys/auth"."""
from msgspec.structs import replace

from holdfast.core.access import Access
from holdfast.engine import Context, Method, Nothing, Response, Route, Txn, on
from holdfast.errors import BadRequest
from holdfast.system import mount_fields as fields
from holdfast.system import mount_table, mounts
from holdfast.system.unmount import unmount

TOKEN = "auth/token/"


def routes(access: Access) -> tuple[Route, ...]:
    """The routes below sys/ for auth methods."""

    def enable(txn: Txn, args: fields.EnableInput, ctx: Context) -> Response:
        """Enable an auth method."""
        kind, options = mount_table.wanted_type(args), fields.options(args.options)
        if options.get("version"):
            raise BadRequest(f'auth method "{kind[:80]}" does not allow setting a version')
        if kind == "token":
            raise BadRequest("token credential backend cannot be instantiated")
        entry = mount_table.new_entry(access, args, kind=kind, options=options, is_auth=True)
        given = args.config.token_type if args.config else None
        entry = replace(entry, config=replace(entry.config, token_type=fields.token_type(given or "")))
        mount_table.enable(txn, ctx, access, entry)
        return Response()

    def tune(txn: Txn, args: fields.TuneInput, ctx: Context) -> Response:
        """Change the settings of an auth method."""
        mount_table.tune(txn, access, path_of(args.path), args)
        return Response()

    def read_tuning(txn: Txn, args: fields.MountPath, ctx: Context) -> Response:
        """Show the settings of an auth method, the times as they apply."""
        return Response(data=mounts.tuning(txn, access, path_of(args.path)))

    return (
        Route("auth", "The auth methods that are enabled.", {Method.GET: on(Nothing, list_methods, top_level=True)}),
        Route("auth/*path", "One auth method.", {
            Method.GET: on(fields.MountPath, read_method, sudo=True, top_level=True),
            Method.POST: on(fields.EnableInput, enable, sudo=True, top_level=True),
            Method.DELETE: on(fields.MountPath, disable, sudo=True, top_level=True),
        }),
        Route("auth/*path/tune", "Settings of one auth method.", {
            Method.GET: on(fields.MountPath, read_tuning, sudo=True, top_level=True),
            Method.POST: on(fields.TuneInput, tune, sudo=True, top_level=True),
        }),
    )


def path_of(path: str) -> str:
    """As the entry is kept."""
    return "auth/" + mount_table.asked_path(path)


def list_methods(txn: Txn, args: Nothing, ctx: Context) -> Response:
    """List the auth methods."""
    entries = mount_table.table(txn).by_path
    return Response(data={path.removeprefix("auth/"): fields.show(entry) for path, entry in entries.items() if entry.is_auth})


def read_method(txn: Txn, args: fields.MountPath, ctx: Context) -> Response:
    """Show one auth method."""
    entry = mount_table.table(txn).by_path.get(path_of(args.path))
    if entry is None:
        raise BadRequest(f"No auth engine at {mount_table.asked_path(args.path)[:512]}")
    return Response(data=fields.show(entry))


def disable(txn: Txn, args: fields.MountPath, ctx: Context) -> Response:
    """Disable an auth method: revoke the tokens of its logins and delete all that it keeps."""
    path = path_of(args.path)
    if path == TOKEN:
        raise BadRequest("token credential backend cannot be disabled")
    entry = mount_table.table(txn).by_path.get(path)
    if entry is not None:
        unmount(txn, ctx, entry)
    return Response()
