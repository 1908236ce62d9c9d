"""The mount table: what is mounted where, for secrets engines and auth methods alike.

Invariants: (1) an entry's uuid never changes, and all its keys, leases and tokens carry the uuid, so a path is free as soon as its
entry has gone; (2) no path of the table is a prefix of another; (3) the entry's key is its uuid.
"""
from collections.abc import Mapping

import msgspec

from holdfast.engine import Mount, Table, TokenType, Txn
from holdfast.engine.context import mount_prefix
from holdfast.errors import BadRequest
from holdfast.limits import NAME_MAX
from holdfast.version import VERSION

CUBBYHOLE_PATH = "cubbyhole/"
RUNNING_VERSION = f"v{VERSION.partition('+')[0]}+builtin.vault"
"""Of every engine, as Vault names what is built in."""


class UserLockout(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How failed logins of one alias lock it. 0, of a mount: as the configuration says. Source: Vault, "User lockout"."""

    threshold: int = 0
    duration_s: int = 0
    counter_reset_s: int = 0
    disable: bool = False


class MountConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What tuning changes. Times in s; 0: the system's."""

    default_lease_ttl_s: int = 0
    max_lease_ttl_s: int = 0
    force_no_cache: bool = False
    audit_non_hmac_request_keys: tuple[str, ...] = ()
    audit_non_hmac_response_keys: tuple[str, ...] = ()
    listing_visibility: str = ""
    passthrough_request_headers: tuple[str, ...] = ()
    allowed_response_headers: tuple[str, ...] = ()
    allowed_managed_keys: tuple[str, ...] = ()
    delegated_auth_accessors: tuple[str, ...] = ()
    token_type: TokenType = TokenType.DEFAULT_SERVICE
    user_lockout: UserLockout | None = None


class MountEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    uuid: str
    path: str                                        # ends in "/"; of an auth method it starts with "auth/"
    type: str
    accessor: str
    description: str = ""
    is_auth: bool = False
    local: bool = False
    seal_wrap: bool = False
    options: Mapping[str, str] = {}
    config: MountConfig = MountConfig()
    draining: bool = False                           # unmounted: no longer routed to, kept until its leases and keys are gone

    @property
    def prefix(self) -> str:
        """Of all its keys."""
        return mount_prefix(self.uuid)


MOUNTS = Table("core/mount/", MountEntry)


class MountTable(msgspec.Struct, frozen=True, eq=False):
    """All entries, by path where requests can reach them and by uuid, draining ones included."""

    by_path: Mapping[str, MountEntry]
    by_uuid: Mapping[str, MountEntry]
    by_accessor: Mapping[str, MountEntry]

    def at(self, path: str) -> MountEntry | None:
        """The entry that answers `path`: that of the longest mount path it begins with."""
        end = path.rfind("/") + 1
        while end:
            entry = self.by_path.get(path[:end])
            if entry is not None:
                return entry
            end = path.rfind("/", 0, end - 1) + 1
        return None

    def conflict(self, path: str) -> str | None:
        """The path of an entry that `path` would hide, or that would hide it."""
        for other in self.by_path:
            if other.startswith(path) or path.startswith(other):
                return other
        return None


def load_mounts(txn: Txn) -> MountTable:
    """For `txn.derive`."""
    entries = sorted(MOUNTS.all(txn).values(), key=lambda entry: entry.path)
    return MountTable({e.path: e for e in entries if not e.draining}, {e.uuid: e for e in entries}, {e.accessor: e for e in entries})


class Defaults(msgspec.Struct, frozen=True, kw_only=True):
    """What the configuration says for mounts that say nothing of their own: `default_lease_ttl`, `max_lease_ttl`, and `user_lockout` by
    type of auth method."""

    default_s: int = 2_764_800
    max_s: int = 2_764_800
    lockouts: Mapping[str, UserLockout] = {}


def as_mount(entry: MountEntry, defaults: Defaults) -> Mount:
    """As engines see it, with its times resolved against the system's."""
    max_s = entry.config.max_lease_ttl_s or defaults.max_s
    return Mount(uuid=entry.uuid, path=entry.path, type=entry.type, accessor=entry.accessor, is_auth=entry.is_auth, options=entry.options,
                 default_ttl_s=min(entry.config.default_lease_ttl_s or defaults.default_s, max_s), max_ttl_s=max_s,
                 token_type=entry.config.token_type)


def mount_at(txn: Txn, path: str) -> tuple[Mount | None, MountEntry | None]:
    """What would answer `path`, to be named and not to be used: its times are those of no configuration."""
    entry = txn.derive(load_mounts).at(path)
    return (None, None) if entry is None else (as_mount(entry, Defaults()), entry)


def clean_path(path: str, *, is_auth: bool) -> str:
    """A mount path as it is stored. Raises BadRequest: empty, too long, or with an odd segment."""
    path = path.strip("/") + "/"
    if path == "/":
        raise BadRequest("path cannot be empty")
    if len(path) > NAME_MAX:
        raise BadRequest(f"a mount path is at most {NAME_MAX} characters long")
    if not path.isprintable():
        raise BadRequest("path cannot contain non-printable characters")
    if any(segment in ("", ".", "..") or segment != segment.strip() for segment in path[:-1].split("/")):
        raise BadRequest(f"path {path!r} has a segment that is empty, a dot or two, or begins or ends with a blank")
    return "auth/" + path if is_auth else path
