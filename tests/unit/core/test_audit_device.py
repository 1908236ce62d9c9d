"""The device table: what can be enabled, and what is kept of it."""
import hashlib
import hmac
from collections.abc import Mapping

import msgspec
import pytest

from holdfast import limits
from holdfast.core.audit_device import AuditDevice, FileOptions, find, hash_input, load_devices, new_device, read_options, ready, standing
from holdfast.crypto import Secret
from holdfast.engine import Txn
from holdfast.errors import BadRequest
from holdfast.replica import Derived, Place, Reads, Run
from holdfast.testing.memory import MemoryReplica, PlainBarrier

OPTIONS = {"file_path": "/var/log/vault/audit.log"}


def device(path: str, uuid: str = "u1", salt: bytes = bytes(32)) -> AuditDevice:
    return AuditDevice(uuid=uuid, path=path, type="file", accessor="audit_file_1", salt=Secret(salt), options=OPTIONS)


def txn_of(*devices: AuditDevice) -> Txn:
    replica = MemoryReplica()
    replica.seed({f"core/audit/{one.uuid}": msgspec.json.encode(one) for one in devices})
    reader, derived = replica.open(), Derived(100)
    derived.catch_up(reader)
    return Txn(Run(reader, PlainBarrier(), Place.WORKER, derived, Reads()))


def draw(size: int) -> bytes:
    return b"\x0a" * size


def enable(txn: Txn, path: str = "file", type_: str = "file", options: Mapping[str, str] = OPTIONS) -> AuditDevice:
    return new_device(txn, path=path, type_=type_, description="d", options=options, local=False, uuid="u9", draw=draw)


def test_a_new_device_has_a_salt_and_an_accessor_of_its_own() -> None:
    made = enable(txn_of(), "/file/")
    assert (made.uuid, made.path, made.accessor, made.options) == ("u9", "file/", "audit_file_0a0a0a0a", OPTIONS)
    assert made.salt == Secret(b"\x0a" * 32)


def test_a_stored_device_is_read_back_whole_and_shows_no_salt() -> None:
    made = enable(txn_of())
    again = msgspec.json.decode(msgspec.json.encode(made), type=AuditDevice)
    assert (again.uuid, again.path, again.options, again.salt) == (made.uuid, made.path, made.options, made.salt)
    assert repr(made.salt.value) not in repr(made)


@pytest.mark.parametrize("path", ["a", "a/b", "a/b/c/d"])
def test_paths_that_hide_each_other_are_refused(path: str) -> None:
    with pytest.raises(BadRequest, match="path already in use"):
        enable(txn_of(device("a/b/")), path)


def test_a_path_beside_another_is_free() -> None:
    assert enable(txn_of(device("a/b/")), "a/bc").path == "a/bc/"


@pytest.mark.parametrize(("path", "why"), [("", "must be specified"), ("/", "must be specified"), ("x" * 256, "256"), ("\n", "printable")])
def test_paths_that_will_not_do(path: str, why: str) -> None:
    with pytest.raises(BadRequest, match=why):
        enable(txn_of(), path)


@pytest.mark.parametrize(("type_", "why"), [("syslog", 'use "file"'), ("socket", 'use "file"'), ("kafka", 'unknown backend type: "kafka"')])
def test_other_types_are_refused_by_name(type_: str, why: str) -> None:
    with pytest.raises(BadRequest, match=why):
        enable(txn_of(), type_=type_)


def test_the_number_of_devices_is_bounded() -> None:
    full = [device(f"d{number}/", f"u{number}") for number in range(limits.AUDIT_DEVICES_MAX)]
    enable(txn_of(*full[1:]))
    with pytest.raises(BadRequest, match=str(limits.AUDIT_DEVICES_MAX)):
        enable(txn_of(*full))


def test_options_default_to_vaults() -> None:
    assert read_options({"file_path": "a.log"}) == FileOptions(
        file_path="a.log", mode=0o600, prefix="", log_raw=False, hmac_accessor=True, elide_list_responses=False, skip_test=False)


@pytest.mark.parametrize(
    ("options", "field", "value"),
    [
        ({"path": "/old"}, "file_path", "/old"),
        ({"file_path": "STDOUT"}, "file_path", "stdout"),
        ({"file_path": "Discard"}, "file_path", "discard"),
        ({"file_path": "a", "mode": "0640"}, "mode", 0o640),
        ({"file_path": "a", "mode": "0755"}, "mode", 0o644),
        ({"file_path": "a", "mode": "0000"}, "mode", None),
        ({"file_path": "a", "mode": "", "format": ""}, "mode", 0o600),
        ({"file_path": "a", "format": " JSON"}, "file_path", "a"),
        ({"file_path": "a", "log_raw": "T"}, "log_raw", True),
        ({"file_path": "a", "hmac_accessor": "0"}, "hmac_accessor", False),
        ({"file_path": "a", "elide_list_responses": "true"}, "elide_list_responses", True),
        ({"file_path": "a", "skip_test": "true"}, "skip_test", True),
        ({"file_path": "a", "prefix": "@cee: "}, "prefix", "@cee: "),
    ],
)
def test_options_are_read(options: dict[str, str], field: str, value: object) -> None:
    assert getattr(read_options(options), field) == value


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({}, '"file_path" is required'),
        ({"file_path": "  "}, '"file_path" is required'),
        ({"file_path": "/"}, "names no file"),
        ({"file_path": "/var/log/.."}, "names no file"),
        ({"file_path": "a\0b"}, "NUL"),
        ({"file_path": "x" * 4_096}, "4095"),
        ({"file_path": "a", "format": "jsonx"}, "jsonx is not supported"),
        ({"file_path": "a", "format": "xml"}, "'xml' is unknown"),
        ({"file_path": "a", "mode": "rw"}, "octal"),
        ({"file_path": "a", "mode": "4755"}, "permissions"),
        ({"file_path": "a", "mode": "-1"}, "permissions"),
        ({"file_path": "a", "log_raw": "yes"}, "log_raw"),
        ({"file_path": "a", "filter": "x"}, "Enterprise"),
        ({"file_path": "a", "file_pth": "x"}, "file_pth"),
    ],
)
def test_options_that_will_not_do_are_named(options: dict[str, str], why: str) -> None:
    with pytest.raises(BadRequest, match=why):
        read_options(options)


def test_devices_come_by_path_and_are_found_with_or_without_the_slash() -> None:
    txn = txn_of(device("b/", "u2"), device("a/", "u1"))
    assert [one.record.path for one in txn.derive(load_devices)] == ["a/", "b/"]
    assert [found.record.uuid if (found := find(txn, path)) else None for path in ("a", "b/", "c")] == ["u1", "u2", None]
    assert len(standing(txn).devices) == 2


def test_audit_hash_gives_what_entries_show() -> None:
    txn = txn_of(device("file/", salt=b"\x07" * 32))
    expected = hmac.new(b"\x07" * 32, b"my-secret", hashlib.sha256).hexdigest()
    assert hash_input(txn, "file", "my-secret") == f"hmac-sha256:{expected}"
    assert ready(device("file/", salt=b"\x07" * 32)).hashed("my-secret") == f"hmac-sha256:{expected}"


@pytest.mark.parametrize(
    ("path", "text", "why"), [("file", "", 'the "input" parameter is empty'), ("x", "a", 'unknown audit backend "x/"')])
def test_audit_hash_refuses_as_vault_does(path: str, text: str, why: str) -> None:
    with pytest.raises(BadRequest, match=why):
        hash_input(txn_of(device("file/")), path, text)
