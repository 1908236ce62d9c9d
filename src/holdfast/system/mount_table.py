"""Enabling and tuning: what secrets engines and auth methods do alike; their own rules stand beside. Disabling: `system.unmount`.

Invariants: (1) no path of the table begins with another; (2) uuid, accessor and type of a mount never change.
"""
from collections.abc import Mapping

from msgspec.structs import replace

from holdfast.core.access import Access
from holdfast.core.mounts import MOUNTS, MountConfig, MountEntry, MountTable, as_mount, clean_path, load_mounts
from holdfast.engine import Context, Txn
from holdfast.errors import BadRequest
from holdfast.limits import MOUNT_TEXT_MAX, MOUNTS_MAX
from holdfast.system import mount_fields as fields

PROTECTED = ("audit/", "auth/", "sys/", "cubbyhole/", "identity/")
"""Paths where no secrets engine can be mounted, and from which none can be taken."""
LOCKABLE = frozenset({"approle", "ldap", "userpass"})
"""Auth methods whose logins can be locked."""


def table(txn: Txn) -> MountTable:
    return txn.derive(load_mounts)


def asked_path(path: str) -> str:
    """As it is looked up: with a slash at the end, none at the beginning."""
    return path.strip("/") + "/"


def enable(txn: Txn, ctx: Context, access: Access, entry: MountEntry) -> None:
    """Adds the entry under a new uuid and accessor and lets its engine begin. Raises BadRequest: unknown type, path in use."""
    engine = access.registry.find(entry.type, entry.options, is_auth=entry.is_auth)
    if engine is None or engine.at_root:
        raise _unknown(access, entry)
    known = table(txn)
    if len(known.by_uuid) >= MOUNTS_MAX:
        raise BadRequest(f"there are {MOUNTS_MAX} mounts already, which is the limit")
    other = known.conflict(entry.path)
    if other is not None:
        raise BadRequest(f"path is already in use at {other.removeprefix('auth/') if entry.is_auth else other}")
    entry = replace(entry, uuid=ctx.rng.uuid(), accessor=_accessor(ctx, known, f"auth_{entry.type}" if entry.is_auth else entry.type))
    MOUNTS.put(txn, entry.uuid, entry)
    if engine.start is not None:
        mount = as_mount(entry, access.defaults)
        engine.start(txn.at(mount.prefix), replace(ctx, mount=mount))


def _unknown(access: Access, entry: MountEntry) -> BadRequest:
    if entry.type in access.registry.types(is_auth=entry.is_auth) and "version" in entry.options:
        return BadRequest(f"invalid version provided: {entry.options['version'][:40]}")
    return BadRequest(f"plugin not found in the catalog: {entry.type[:80]}")


def _accessor(ctx: Context, known: MountTable, kind: str) -> str:
    while True:
        accessor = f"{kind}_{ctx.rng.bytes(4).hex()}"
        if accessor not in known.by_accessor:
            return accessor


def new_entry(access: Access, args: fields.EnableInput, *, kind: str, options: Mapping[str, str], is_auth: bool) -> MountEntry:
    """The entry that was asked for, without uuid and accessor. Raises BadRequest."""
    given = args.config or fields.ConfigInput()
    if len(args.description) > MOUNT_TEXT_MAX:
        raise BadRequest(f"a description has at most {MOUNT_TEXT_MAX} characters")
    if given.plugin_version:
        raise BadRequest(f"plugin not found in the catalog: {kind[:80]} in version {given.plugin_version[:40]}")
    default_s = fields.ttl(given.default_lease_ttl, "default_lease_ttl", now_s=0)
    max_s = fields.ttl(given.max_lease_ttl, "max_lease_ttl", now_s=0)
    if max_s and default_s > max_s:
        raise BadRequest("given default lease TTL greater than given max lease TTL")
    if not max_s and default_s > access.defaults.max_s:
        raise BadRequest(f"given default lease TTL greater than system max lease TTL of {access.defaults.max_s}")
    config = replace(fields.configured(MountConfig(), given), default_lease_ttl_s=default_s, max_lease_ttl_s=max_s)
    return MountEntry(uuid="", accessor="", path=clean_path(args.path, is_auth=is_auth), type=kind, description=args.description,
                      is_auth=is_auth, local=args.local, seal_wrap=args.seal_wrap, options=options, config=config)


def wanted_type(args: fields.EnableInput) -> str:
    """The type, or the name of the plugin where the type says only that."""
    if not args.type:
        raise BadRequest("backend type must be specified as a string")
    if args.type != "plugin":
        return args.type
    name = (args.config.plugin_name if args.config else None) or args.plugin_name
    if not name:
        raise BadRequest("plugin_name must be provided for plugin backend")
    return name


def tune(txn: Txn, access: Access, path: str, args: fields.TuneInput) -> None:
    """Changes what can be changed of a mount. Raises BadRequest: no such mount, or values that do not go together."""
    entry = table(txn).at(path)
    if entry is None:
        raise BadRequest(f'tune of path "{path[:512]}" failed: no mount entry found')
    config = _tuned_times(fields.configured(entry.config, args), args)
    if args.token_type is not None:
        if not entry.is_auth:
            raise BadRequest("'token_type' can only be modified on auth mounts")
        if entry.type == "token":
            raise BadRequest("'token_type' cannot be set for 'token' or 'ns_token' auth mounts")
        config = replace(config, token_type=fields.token_type(args.token_type))
    if args.user_lockout_config is not None:
        if entry.type not in LOCKABLE:
            raise BadRequest(f'tuning of user lockout configuration for auth type "{entry.type}" not allowed')
        config = replace(config, user_lockout=fields.lockout(config.user_lockout, args.user_lockout_config))
    if args.plugin_version:
        raise BadRequest(f"plugin not found in the catalog: {entry.type} in version {args.plugin_version[:40]}")
    description = entry.description if args.description is None else args.description
    if len(description) > MOUNT_TEXT_MAX:
        raise BadRequest(f"a description has at most {MOUNT_TEXT_MAX} characters")
    new = replace(entry, config=config, description=description, options=_tuned_options(access, entry, fields.options(args.options)))
    if new != entry:
        MOUNTS.put(txn, new.uuid, new)


def _tuned_times(config: MountConfig, args: fields.TuneInput) -> MountConfig:
    default_s = fields.ttl(args.default_lease_ttl, "default_lease_ttl", now_s=config.default_lease_ttl_s)
    max_s = fields.ttl(args.max_lease_ttl, "max_lease_ttl", now_s=config.max_lease_ttl_s)
    if max_s and default_s and max_s < default_s:
        raise BadRequest(f"backend max lease TTL of {max_s} would be less than backend default lease TTL of {default_s}")
    return replace(config, default_lease_ttl_s=default_s, max_lease_ttl_s=max_s)


def _tuned_options(access: Access, entry: MountEntry, given: Mapping[str, str]) -> Mapping[str, str]:
    options = {name: value for name, value in {**entry.options, **given}.items() if value or name == "version"}
    if "version" in given:
        _check_version(access, entry, options)
    return options


def _check_version(access: Access, entry: MountEntry, options: Mapping[str, str]) -> None:
    now, wanted = entry.options.get("version", "1"), options["version"]
    if not wanted.isascii() or not wanted.isdigit() or len(wanted) > 4:
        raise BadRequest(f"unable to parse options: {wanted[:40]!r} is not a number")
    if access.registry.find(entry.type, options, is_auth=entry.is_auth) is None:
        raise BadRequest(f"invalid version provided: {wanted}")
    if int(wanted) < int(now):
        raise BadRequest(f"cannot downgrade mount from version {now}")
