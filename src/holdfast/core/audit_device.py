"""The audit devices of the cluster: what they are called, what they write, and the key that each one hashes with.

Invariants: (1) a device never changes after it was enabled, so whoever has opened one by its uuid has the right one; (2) its salt is made
when it is enabled and lives behind the barrier; (3) no path of the table is a prefix of another. Left to others: opening and writing
(`node/devices`), the paths below `sys/audit` (`system`).
"""
import posixpath
from collections.abc import Mapping, Set
from typing import NoReturn

import msgspec

from holdfast import limits
from holdfast.config.units import FALSE, TRUE
from holdfast.core.audit_headers import HeaderSettings, load_audited
from holdfast.core.audit_hmac import Hash, HashText, hasher, text_hasher
from holdfast.crypto import Draw, Secret
from holdfast.engine import Table, Token, Txn
from holdfast.errors import BadRequest

STDOUT, DISCARD = "stdout", "discard"
KNOWN_OPTIONS = frozenset(("file_path", "path", "mode", "format", "prefix", "log_raw", "hmac_accessor", "elide_list_responses",
                           "skip_test"))
SALT_BYTES = 32
NO_HEADERS: Mapping[str, HeaderSettings] = {}


class FileOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of a `file` device, read once."""

    file_path: str                                   # absolute or not, or STDOUT or DISCARD
    mode: int | None = 0o600                         # None: an existing file's mode is left alone ("0000")
    prefix: str = ""
    log_raw: bool = False
    hmac_accessor: bool = True
    elide_list_responses: bool = False
    skip_test: bool = False


class AuditDevice(msgspec.Struct, frozen=True, kw_only=True, eq=False, omit_defaults=True):
    """One enabled device, as stored."""

    uuid: str
    path: str                                        # ends in "/"
    type: str
    accessor: str
    salt: Secret
    description: str = ""
    options: Mapping[str, str] = {}
    local: bool = False


DEVICES = Table("core/audit/", AuditDevice)


class Device(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A device ready for use: its options read, its hash keyed."""

    record: AuditDevice
    options: FileOptions
    hashed: Hash
    hashed_text: HashText
    head: bytes                                      # what each line begins with: the prefix, and JSON up to the time


def load_devices(txn: Txn) -> tuple[Device, ...]:
    """For `txn.derive`: all devices, by path."""
    return tuple(ready(record) for record in sorted(DEVICES.all(txn).values(), key=lambda record: record.path))


def ready(record: AuditDevice) -> Device:
    """The device that a record describes. BadRequest: an option will not do."""
    options = read_options(record.options)
    return Device(record=record, options=options, hashed=hasher(record.salt), hashed_text=text_hasher(record.salt), head=line_head(options))


def line_head(options: FileOptions) -> bytes:
    """What each line of a device begins with."""
    return options.prefix.encode() + b'{"time":"'


class Parts(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What one device shows of one token at one path, encoded: either line from behind its time up to the request's id (`asked`,
    `answered`), the fields of `request` from behind that id up to its path, and the first fields of `response`."""

    device: Device
    asked: bytes
    answered: bytes
    request: bytes
    response: bytes
    plain_asked: Set[str]                            # names whose values the mount exempts, of either block of data
    plain_answered: Set[str]
    hashed_text: HashText | None                     # of `response.data`; None: it has to be walked


class Standing(msgspec.Struct, eq=False):
    """The devices as one grant sees them, with room for what they show each time: filled in by `audit.entries`, and made anew where
    token and verdict are not the very ones that `parts` were made from. All else that they show is the grant's own, and stays."""

    devices: tuple[Device, ...]
    headers: Mapping[str, HeaderSettings] = NO_HEADERS
    parts: tuple[Parts, ...] = ()
    token: Token | None = None
    permitted: bool = False
    creates: bool = False


NO_DEVICES = Standing(())


def standing(txn: Txn) -> Standing:
    """A new one, to be kept with a grant: both depend on the tables of devices and of headers. Without devices the same one for all."""
    devices = txn.derive(load_devices)
    return Standing(devices, txn.derive(load_audited)) if devices else NO_DEVICES


def find(txn: Txn, path: str) -> Device | None:
    """The device at a path, with or without the final slash."""
    path = path.strip("/") + "/"
    return next((device for device in txn.derive(load_devices) if device.record.path == path), None)


def hash_input(txn: Txn, path: str, text: str) -> str:
    """`sys/audit-hash`: what `text` looks like in this device's entries. BadRequest as Vault words it."""
    if not text:
        raise BadRequest('the "input" parameter is empty')
    device = find(txn, path)
    if device is None:
        raise BadRequest(f'unknown audit backend "{path.strip("/")}/"')
    return device.hashed(text)


def new_device(txn: Txn, *, path: str, type_: str, description: str, options: Mapping[str, str], local: bool, uuid: str,
               draw: Draw) -> AuditDevice:
    """A device to open, test, and then put into DEVICES under its uuid. BadRequest: its path or an option will not do."""
    path = path.strip("/") + "/"
    if path == "/":
        raise BadRequest("backend path must be specified")
    if len(path.encode()) > limits.AUDIT_PATH_MAX_BYTES or not path.isprintable():
        raise BadRequest(f"an audit path is printable and at most {limits.AUDIT_PATH_MAX_BYTES} bytes long")
    if type_ in ("syslog", "socket", "http"):
        raise BadRequest(f'audit device type "{type_}" is not supported; use "file"')
    if type_ != "file":
        raise BadRequest(f'unknown backend type: "{type_}"')
    devices = txn.derive(load_devices)
    if any(device.record.path.startswith(path) or path.startswith(device.record.path) for device in devices):
        raise BadRequest("path already in use")
    if len(devices) >= limits.AUDIT_DEVICES_MAX:
        raise BadRequest(f"at most {limits.AUDIT_DEVICES_MAX} audit devices can be enabled")
    read_options(options)
    return AuditDevice(uuid=uuid, path=path, type=type_, accessor=f"audit_file_{draw(4).hex()}", salt=Secret(draw(SALT_BYTES)),
                       description=description, options=dict(options), local=local)


def read_options(options: Mapping[str, str]) -> FileOptions:
    """Typed options. BadRequest names the one that does not fit."""
    for name in sorted(options):
        if name in ("filter", "fallback", "exclude"):
            _refuse(name, "needs Vault Enterprise")
        if name not in KNOWN_OPTIONS:
            _refuse(name, "is not known to a file device")
    file_path = options.get("file_path", options.get("path", "")).strip()
    if not file_path:
        raise BadRequest('"file_path" is required')
    if file_path.lower() in (STDOUT, DISCARD):
        file_path = file_path.lower()
    if "\0" in file_path or len(file_path.encode()) > limits.AUDIT_FILE_PATH_MAX_BYTES:
        _refuse("file_path", f"has a NUL, or more than {limits.AUDIT_FILE_PATH_MAX_BYTES} bytes")
    if posixpath.basename(file_path) in ("", ".", ".."):
        _refuse("file_path", "names no file")
    format_ = options.get("format", "").strip().lower() or "json"  # clients that know an option send it empty where it was not set
    if format_ == "jsonx":
        _refuse("format", "jsonx is not supported; use json")
    if format_ != "json":
        _refuse("format", f"{format_!r} is unknown; use json")
    return FileOptions(
        file_path=file_path, mode=_mode(options.get("mode", "").strip() or "0600"), prefix=options.get("prefix", ""),
        log_raw=_flag(options, "log_raw", False), hmac_accessor=_flag(options, "hmac_accessor", True),
        elide_list_responses=_flag(options, "elide_list_responses", False), skip_test=_flag(options, "skip_test", False))


def _mode(text: str) -> int | None:
    """Octal, as chmod takes it. Nothing that runs is ever made: the bits for executing are dropped."""
    try:
        mode = int(text, 8)
    except ValueError:
        _refuse("mode", f"{text!r} is not an octal number")
    if not 0 <= mode <= 0o777:
        _refuse("mode", f"{text!r} is not a file's permissions")
    return mode & 0o666 or None


def _flag(options: Mapping[str, str], name: str, default: bool) -> bool:
    text = options.get(name)
    if text is None:
        return default
    if text not in TRUE and text not in FALSE:
        _refuse(name, f"{text!r} is not true or false")
    return text in TRUE


def _refuse(name: str, why: str) -> NoReturn:
    raise BadRequest(f'audit option "{name}": {why}')
