"""sys/mounts: secrets engines. Source: Vault API, "/sys/mounts"."""
from holdfast.core.access import Access
from holdfast.core.mounts import as_mount
from holdfast.engine import Context, Method, Nothing, Response, Route, Txn, on
from holdfast.errors import BadRequest
from holdfast.system import mount_fields as fields
from holdfast.system import mount_table
from holdfast.system.unmount import unmount

UNTUNABLE = ("cubbyhole/", "sys/", "audit/", "identity/")
SINGLETONS = frozenset({"cubbyhole", "identity", "system", "token"})


def routes(access: Access) -> tuple[Route, ...]:
    """The routes below sys/ for secrets engines."""

    def enable(txn: Txn, args: fields.EnableInput, ctx: Context) -> Response:
        """Enable a secrets engine."""
        path, kind, options = mount_table.asked_path(args.path), mount_table.wanted_type(args), fields.options(args.options)
        if kind in ("kv-v1", "kv-v2"):
            kind, options = "kv", {**options, "version": kind[-1]}
        if kind != "kv" and options.get("version"):
            raise BadRequest(f'secrets engine "{kind[:80]}" does not allow setting a version')
        if path.startswith(mount_table.PROTECTED):
            raise BadRequest(f'cannot mount "{path}"')
        if kind in SINGLETONS:
            raise BadRequest(f'mount type of "{kind}" is not mountable')
        mount_table.enable(txn, ctx, access, mount_table.new_entry(access, args, kind=kind, options=options, is_auth=False))
        return Response()

    def tune(txn: Txn, args: fields.TuneInput, ctx: Context) -> Response:
        """Change the settings of a secrets engine."""
        path = mount_table.asked_path(args.path)
        if path.startswith(UNTUNABLE):
            raise BadRequest(f'cannot tune "{path}"')
        mount_table.tune(txn, access, path, args)
        return Response()

    def read_tuning(txn: Txn, args: fields.MountPath, ctx: Context) -> Response:
        """Show the settings of a secrets engine, the times as they apply."""
        return Response(data=tuning(txn, access, mount_table.asked_path(args.path)))

    return (
        Route("mounts", "The secrets engines that are enabled.", {Method.GET: on(Nothing, list_mounts, top_level=True)}),
        Route("mounts/*path", "One secrets engine.", {
            Method.GET: on(fields.MountPath, read_mount, top_level=True),
            Method.POST: on(fields.EnableInput, enable, top_level=True),
            Method.DELETE: on(fields.MountPath, disable, top_level=True),
        }),
        Route("mounts/*path/tune", "Settings of one secrets engine.", {
            Method.GET: on(fields.MountPath, read_tuning, top_level=True),
            Method.POST: on(fields.TuneInput, tune, top_level=True),
        }),
    )


def list_mounts(txn: Txn, args: Nothing, ctx: Context) -> Response:
    """List the secrets engines."""
    entries = mount_table.table(txn).by_path
    return Response(data={path: fields.show(entry) for path, entry in entries.items() if not entry.is_auth})


def read_mount(txn: Txn, args: fields.MountPath, ctx: Context) -> Response:
    """Show one secrets engine."""
    path = mount_table.asked_path(args.path)
    entry = mount_table.table(txn).at(path)
    if entry is None:
        raise BadRequest(f"No secret engine mount at {path[:512]}")
    return Response(data=fields.show(entry))


def disable(txn: Txn, args: fields.MountPath, ctx: Context) -> Response:
    """Disable a secrets engine: revoke its leases and delete all that it keeps."""
    path = mount_table.asked_path(args.path)
    entry = mount_table.table(txn).by_path.get(path)
    if entry is None:
        return Response()                            # Vault says nothing of what does not exist
    if path.startswith(mount_table.PROTECTED):
        raise BadRequest(f'cannot unmount "{path}"')
    unmount(txn, ctx, entry)
    return Response()


def tuning(txn: Txn, access: Access, path: str) -> fields.TuneOut:
    """The settings of the mount at `path`. Raises BadRequest: there is none."""
    entry = mount_table.table(txn).at(path)
    if entry is None:
        raise BadRequest(f'cannot fetch sysview for path "{path[:512]}"')
    mount = as_mount(entry, access.defaults)
    return fields.show_tuned(entry, default_ttl_s=mount.default_ttl_s, max_ttl_s=mount.max_ttl_s)
