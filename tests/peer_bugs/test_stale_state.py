"""Peer bugs 1 to 11: a standby that goes on with what it once knew. The standby is a worker; changes are made in its main process.

Each time the worker has been asked before, so that it has every reason to believe what it knows. Nothing waits: what has been answered in
main is true in the worker.
"""
from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.at_once import at_once
from tests.client import Client
from tests.conftest import MakeNode
from tests.node import Node, mount, new_token, policy

Name = Callable[[str], str]


def test_peer_bug_01_what_is_made_after_a_404_is_found(node: Node, client: Client, main: Client, new_name: Name) -> None:
    """Something is made on the active node after a standby answered 404: it does not go on answering 404."""
    path, user, role, reads = new_name("kv"), new_name("user"), new_name("role"), new_name("policy")
    main.post("sys/auth/up1", {"type": "userpass"})
    makings: list[tuple[str, Callable[[], object]]] = [
        (f"sys/policies/acl/{reads}", lambda: policy(main, reads, 'path "a" { capabilities = ["read"] }')),
        (f"auth/up1/users/{user}", lambda: main.post(f"auth/up1/users/{user}", {"password": "p"}).ok()),
        (f"auth/token/roles/{role}", lambda: main.post(f"auth/token/roles/{role}", {"orphan": True}).ok()),
        (f"sys/mounts/{path}/tune", lambda: mount(main, path)),
        (f"{path}/data/a", lambda: main.post(f"{path}/data/a", {"data": {}}).ok()),
        (f"{path}/metadata/a", lambda: None),
    ]
    for where, make in makings[:-1]:
        assert client.get(where).status in (400, 404), where
        assert client.get(where).status in (400, 404), where
        make()
        assert client.get(where).status == 200, where
    assert client.get(makings[-1][0]).status == 200


def test_peer_bug_02_a_renewed_tokens_time_goes_on(node: Node, client: Client, main: Client) -> None:
    """A token is renewed again and again: a standby's `lookup-self` does not show a frozen TTL."""
    token = new_token(main, "default", ttl="100s")
    for increment in (1_000, 3_000, 2_000, 50):
        assert client.get("auth/token/lookup-self", token=token).ok().data["ttl"] <= 3_000
        main.post("auth/token/renew", {"token": token, "increment": increment}).ok()
        found = client.get("auth/token/lookup-self", token=token).ok().data
        assert increment - 30 <= found["ttl"] <= increment, "and the machine may take its time"
        assert found["last_renewal_time"]


def test_peer_bug_11_cors_and_audited_headers_are_followed_at_once(node: Node, client: Client, main: Client, new_name: Name) -> None:
    """Settings of CORS or of audited headers change: a standby does not go by the old ones, nor audits every header."""
    ours = {"Origin": "https://ui.example.com"}
    file = node.folder / f"{new_name('headers')}.log"
    main.post("sys/audit/headers", {"type": "file", "options": {"file_path": str(file)}}).ok()

    def audited() -> dict[str, list[str]]:
        client.get("cubbyhole/a", headers={"X-Ticket": "4711", "X-Other": "seen by nobody"})
        found: dict[str, list[str]] = json.loads(file.read_text().splitlines()[-1])["request"].get("headers", {})
        return found

    for _ in range(3):
        assert client.get("sys/seal-status", headers=ours).header("access-control-allow-origin") == ""
        main.post("sys/config/cors", {"allowed_origins": ours["Origin"]}).ok()
        assert client.get("sys/seal-status", headers=ours).header("access-control-allow-origin") == ours["Origin"]
        assert client.get("sys/seal-status", headers={"Origin": "https://evil.example.org"}).status == 403
        asked = client.ask("OPTIONS", "kv/a", headers={**ours, "Access-Control-Request-Method": "PUT"}, token="")
        assert (asked.status, "X-Vault-Token" in asked.header("access-control-allow-headers")) == (200, True)
        main.delete("sys/config/cors").ok()
        assert audited() == {}
        main.post("sys/config/auditing/request-headers/X-Ticket").ok()
        assert audited() == {"x-ticket": ["4711"]}
        main.post("sys/config/auditing/request-headers/x-ticket", {"hmac": True}).ok()
        hashed = main.post("sys/audit-hash/headers", {"input": "4711"}).ok().data["hash"]
        assert audited() == {"x-ticket": [hashed]}
        main.delete("sys/config/auditing/request-headers/x-TICKET").ok()
    main.delete("sys/audit/headers").ok()
    assert "seen by nobody" not in file.read_text()


def test_peer_bug_03_a_changed_salt_is_used_at_once(node: Node, client: Client, main: Client, new_name: Name) -> None:
    """A salt changes: a standby does not hash with the old one."""
    file, hashes = node.folder / f"{new_name('audit')}.log", set()
    for _ in range(4):
        main.post("sys/audit/salty", {"type": "file", "options": {"file_path": str(file)}}).ok()
        here, there = (where.post("sys/audit-hash/salty", {"input": "x"}).ok().data["hash"] for where in (client, main))
        assert here == there
        client.get("cubbyhole/a")
        last = json.loads(file.read_text().splitlines()[-1])
        assert last["auth"]["client_token"] == main.post("sys/audit-hash/salty", {"input": node.root_token}).ok().data["hash"]
        hashes.add(here)
        main.delete("sys/audit/salty").ok()
        assert client.post("sys/audit-hash/salty", {"input": "x"}).status == 400
    assert len(hashes) == 4, "each device has a salt of its own"


def test_peer_bug_04_what_goes_takes_nothing_else_with_it(node: Node, client: Client, main: Client, new_name: Name) -> None:
    """Something is deleted: a standby does not drop other routes with it."""
    kept, gone = new_name("kv"), new_name("kv")
    for path in (kept, gone, f"deep/{gone}"):
        mount(main, path)
        main.post(f"{path}/data/a", {"data": {}}).ok()
        assert client.get(f"{path}/data/a").status == 200
    for path in (gone, f"deep/{gone}"):
        main.delete(f"sys/mounts/{path}").ok()
        assert client.get(f"{path}/data/a").status == 404
        for still in ("sys/mounts", "sys/policies/acl?list=true", "auth/token/lookup-self", f"{kept}/data/a", "sys/health"):
            assert client.get(still).status == 200, still


def test_peer_bug_05_one_changed_setting_restarts_nothing(node: Node, client: Client, main: Client, kv: str) -> None:
    """One setting changes: a standby does not reload as a whole."""
    before, lost = node.worker_pids(), node.log_text.count("worker.lost")
    client.get("sys/health").ok()
    sock = client._sock
    for turn in range(30):
        main.post(f"sys/mounts/{kv}/tune", {"description": f"turn {turn}"}).ok()
        assert client.get(f"sys/mounts/{kv}").ok().data["description"] == f"turn {turn}"
    assert client._sock is sock, "not even the connection"
    assert (node.worker_pids(), node.log_text.count("worker.lost")) == (before, lost)


def test_peer_bug_06_two_changes_of_one_mount_at_once(node: Node, client: Client, main: Client, new_name: Name) -> None:
    """Two changes of one mount at once: no stale router, nothing mounted twice."""
    for _ in range(5):
        path = new_name("kv")

        def make(version: str, path: str = path) -> int:
            return node.client().post(f"sys/mounts/{path}", {"type": "kv", "options": {"version": version}}).status

        assert sorted(at_once(make, "1212")) == [204, 400, 400, 400]
        assert client.get("sys/mounts").ok().data == main.get("sys/mounts").ok().data
        version = client.get(f"sys/mounts/{path}").ok().data["options"]["version"]
        at_once(lambda change: change(), (partial(main.delete, f"sys/mounts/{path}"),
                                          partial(node.client().post, f"sys/mounts/{path}/tune", {"description": "late"})))
        assert client.get(f"sys/mounts/{path}").status == 400, f"version {version} is gone, and the tuning brought nothing back"


def test_peer_bug_07_a_worker_answers_right_after_a_write_of_settings(node: Node, client: Client, main: Client, kv: str) -> None:
    """A mount's settings are written: a standby does not answer 500 until it has loaded them."""
    main.post(f"{kv}/data/a", {"data": {}}).ok()
    for count in (3, 7, 1, 9):
        client.get(f"{kv}/config").ok()
        main.post(f"{kv}/config", {"max_versions": count}).ok()
        assert client.get(f"{kv}/config").ok().data["max_versions"] == count
        assert client.get(f"{kv}/data/a").status == 200


def test_peer_bug_08_a_rotated_keyring_is_everywhere(node: Node, client: Client, main: Client, kv: str) -> None:
    """The keyring rotates: a standby does not lack the new key."""
    for turn in range(10):
        main.post("sys/rotate").ok()
        main.post(f"{kv}/data/a", {"data": {"turn": turn}}).ok()
        assert client.get(f"{kv}/data/a").ok().data["data"] == {"turn": turn}
        assert client.get("sys/key-status").ok().data["term"] == main.get("sys/key-status").ok().data["term"]
        os.kill(node.pid, signal.SIGSTOP)                # nobody to ask: the worker has the new key itself
        try:
            assert client.get(f"{kv}/data/a").ok().data["data"] == {"turn": turn}
        finally:
            os.kill(node.pid, signal.SIGCONT)


def test_peer_bug_09_a_name_that_went_can_come_again(node: Node, client: Client, main: Client, new_name: Name) -> None:
    """An alias or its mount is deleted: nothing of it stays in a standby, and making it again does not fail."""
    path, user = new_name("up"), new_name("ann")
    entities = set()
    for turn in range(3):
        main.post(f"sys/auth/{path}", {"type": "userpass"}).ok()
        main.post(f"auth/{path}/users/{user}", {"password": f"p{turn}"}).ok()
        for where in (client, main):
            made = where.post(f"auth/{path}/login/{user}", {"password": f"p{turn}"}, token="").ok().auth
            assert where.get("auth/token/lookup-self", token=made["client_token"]).status == 200
        entities.add(made["entity_id"])
        main.delete(f"auth/{path}/users/{user}").ok()
        assert client.post(f"auth/{path}/login/{user}", {"password": f"p{turn}"}, token="").status == 400
        main.delete(f"sys/auth/{path}").ok()
        assert client.post(f"auth/{path}/login/{user}", {"password": f"p{turn}"}, token="").status in (403, 404)
        assert client.get("auth/token/lookup-self", token=made["client_token"]).status == 403, "its method has gone, and it with it"
    assert len(entities) == 3, "another mount, another alias"


def test_peer_bug_10_what_is_written_under_a_new_key_is_read_with_it(make_node: MakeNode) -> None:
    """Keys rotate by themselves: readers do not go on with the old one."""
    node = make_node(workers=1, limits={"KEY_ENCRYPTIONS_MAX": 40, "KEY_USE_RESERVE": 4}).begin()
    client, main = node.client(), node.main()
    mount(main, "kv", options={"version": "1"})
    for turn in range(120):
        main.post("kv/a", {"turn": turn}).ok()
        assert client.get("kv/a").ok().data == {"turn": turn}
    assert client.get("sys/key-status").ok().data["term"] > 2


def test_peer_bug_11_settings_of_auditing_hold_in_every_process(node: Node, client: Client, main: Client, kv: str) -> None:
    """Audited headers and CORS do not exist here yet; which keys are not hashed does."""
    file = node.folder / f"{kv}.log"
    main.post(f"sys/audit/{kv}", {"type": "file", "options": {"file_path": str(file)}}).ok()
    try:
        for turn, keys in enumerate(([], ["colour"], [])):
            main.post(f"sys/mounts/{kv}/tune", {"audit_non_hmac_request_keys": keys or ""}).ok()
            client.post(f"{kv}/data/a{turn}", {"colour": "blue", "data": {}}).ok()
            assert ('"colour":"blue"' in _lines_about(file, f"{kv}/data/a{turn}")) is bool(keys)
    finally:
        main.delete(f"sys/audit/{kv}").ok()


def _lines_about(file: Path, path: str) -> str:
    return "\n".join(line for line in file.read_text().splitlines() if json.loads(line)["request"].get("path") == path)
