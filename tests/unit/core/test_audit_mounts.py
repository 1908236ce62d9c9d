"""Which mount an audit entry names, and what is answered of the mount that no table routes to: sys/."""
import json
from typing import Any

import pytest
from tests.contract.one_node import OneNode

from holdfast.core.audit_device import DEVICES, AuditDevice
from holdfast.core.mounts import MOUNTS, RUNNING_VERSION, MountEntry
from holdfast.core.outcome import Answer
from holdfast.crypto import Secret
from holdfast.engine import Method, Place, Rng, Txn

GET, LIST, HELP = Method.GET, Method.LIST, Method.HELP


@pytest.fixture
def node() -> OneNode:
    """With a device, and with the entry for sys/ that a cluster begins with."""
    made = OneNode()

    def begin(txn: Txn, rng: Rng) -> None:
        MOUNTS.put(txn, "s", MountEntry(uuid="s", path="sys/", type="system", accessor="system_1"))
        DEVICES.put(txn, "d", AuditDevice(uuid="d", path="file/", type="file", accessor="audit_file_1", salt=Secret(b"s" * 32),
                                          options={"file_path": "discard"}))

    made._write(begin)
    return made


def entry_of(node: OneNode, path: str, token: str | None = "") -> dict[str, Any]:
    outcome = node.attempt(node.request(GET, path, token=token), Place.WORKER)
    assert isinstance(outcome, Answer), outcome
    entry, = outcome.audit
    response: dict[str, Any] = json.loads(entry.response)
    return response


def test_below_sys_the_accessor_is_that_of_the_table(node: OneNode) -> None:
    seen = entry_of(node, "sys/mounts")
    assert (seen["request"]["mount_accessor"], seen["response"]["mount_accessor"]) == ("system_1", "system_1")
    assert seen["request"]["mount_running_version"] == seen["response"]["mount_running_plugin_version"] == RUNNING_VERSION


@pytest.mark.parametrize(("path", "point", "kind"), [
    ("secret/data/a", "secret/", "kv"), ("auth/userpass/users/ann", "auth/userpass/", "userpass"), ("sys/mounts", "sys/", "system")])
@pytest.mark.parametrize("token", ["not-a-token", None])
def test_what_is_refused_for_its_token_names_its_mount(node: OneNode, path: str, point: str, kind: str, token: str | None) -> None:
    seen = entry_of(node, path, token)
    assert (seen["request"]["mount_point"], seen["request"]["mount_type"]) == (point, kind)
    assert seen["response"]["mount_class"] == seen["request"]["mount_class"] == ("auth" if point.startswith("auth/") else "secret")


def test_nowhere_has_no_mount_to_name(node: OneNode) -> None:
    assert "mount_point" not in entry_of(node, "nowhere/a", "not-a-token")["request"]


@pytest.mark.parametrize("token", ["", None])
def test_help_of_sys_is_no_defect(node: OneNode, token: str | None) -> None:
    """It ended the process: the entry of sys/ in the table has no engine, and was found by what a help or a list may leave out."""
    seen = node.call(HELP, "sys", token=token)
    assert (seen.status, b"## PATHS" in seen.reply.body) == ((200, True) if token == "" else (403, False))
    assert node.call(LIST, "sys", token=token).status == (404 if token == "" else 403)
