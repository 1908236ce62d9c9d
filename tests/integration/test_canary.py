"""A canary: secret values, passwords, tokens and shares stand in no log, error, audit line, core or byte of the disk. Invariant 6.

The node does with them whatever it can do: well, with mistakes, wrapped, through a kill -9 and an abort, with everything logged. Then each
file that it has ever written is searched for them, as they are and as any encoding of ours would show them.
"""
from __future__ import annotations

import base64
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.client import Answer, Client
from tests.conftest import MakeNode
from tests.node import Node, mount, new_token, policy
from tests.processes import wait_until

SECRET = "canary-3f9c1b77e0-sings"
PASSWORD = "canary-5d2a90cc41-password"
OUR_OWN = {"holdfast.hcl", "vault-key.pem"}              # what an operator wrote: the seal's key and the certificate's stand in them


def _looks(secret: str) -> Iterator[bytes]:
    """Every look that it may have in a file: also in the middle of a longer text in base64, where it begins at any of three places."""
    raw = secret.encode()
    yield raw
    yield raw[::-1]
    yield raw.hex().encode()
    yield raw.hex().upper().encode()
    yield secret.encode("utf-16-le")
    yield "".join(f"%{byte:02X}" for byte in raw).encode()
    for shift in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            text = encode(bytes(shift) + raw).rstrip(b"=")
            yield text[4 if shift else 0:-2]


def _found(folder: Path, secrets: dict[str, str]) -> list[str]:
    looks = {look: name for name, secret in secrets.items() for look in _looks(secret)}
    wrong = []
    for path in folder.rglob("*"):
        if not path.is_file() or path.name in OUR_OWN:
            continue
        data = path.read_bytes()
        wrong += [f"{name} in {path.relative_to(folder)}, as {look[:24]!r}…" for look, name in looks.items() if look in data]
    return wrong


def test_the_search_finds_what_it_looks_for(tmp_path: Path) -> None:
    for number, text in enumerate((f"x{SECRET}y", SECRET.encode().hex(), base64.b64encode(f"ab{SECRET}cd".encode()).decode(),
                                   base64.b64encode(f"a{SECRET}".encode()).decode(), base64.b64encode(f"{SECRET}abc".encode()).decode())):
        (tmp_path / f"{number}").write_text(text)
    assert {line.split()[2].rstrip(",") for line in _found(tmp_path, {"secret": SECRET})} == {"0", "1", "2", "3", "4"}
    assert _found(tmp_path, {"password": PASSWORD}) == []


def _use(client: Client) -> tuple[dict[str, str], list[Answer]]:
    """Everything that takes or gives a secret, done well; the tokens that came of it."""
    made = {}
    client.post("kv/data/app", {"data": {"value": SECRET, "deep": {"list": [SECRET]}}}).ok()
    client.patch("kv/data/app", {"data": {"more": SECRET}}).ok()
    client.get("kv/data/app").ok()
    client.post("old/app", {"value": SECRET}).ok()
    client.get("old/app").ok()
    client.post("cubbyhole/mine", {"value": SECRET}).ok()
    client.post("auth/up/users/ann", {"password": PASSWORD, "token_policies": "app"}).ok()
    made["token of a login"] = client.post("auth/up/login/ann", {"password": PASSWORD}, token="").ok().auth["client_token"]
    made["child"] = new_token(client, "app", ttl="1h")
    made["orphan"] = client.post("auth/token/create-orphan", {"policies": ["app"]}).ok().auth["client_token"]
    made["batch token"] = new_token(client, "app", type="batch", ttl="1h")
    made["gone"] = new_token(client, "app", num_uses=1)
    client.get("auth/token/lookup-self", token=made["gone"]).ok()
    client.post("auth/token/lookup", {"token": made["child"]}).ok()
    client.post("auth/token/renew", {"token": made["child"], "increment": "1h"}).ok()
    client.post("auth/token/revoke", {"token": made["orphan"]}).ok()
    wrap = {"X-Vault-Wrap-TTL": "600"}
    made["wrapping token"] = client.get("kv/data/app", headers=wrap).ok().json["wrap_info"]["token"]
    taken = client.post("sys/wrapping/wrap", {"value": SECRET}, headers=wrap).ok().json["wrap_info"]["token"]
    made["wrapping token that was taken"] = taken
    client.post("sys/wrapping/unwrap", token=taken).ok()
    client.get("con/creds/u1?ttl=1h").ok()
    client.post("sys/audit-hash/file", {"input": SECRET}).ok()
    client.post("sys/tools/hash", {"input": base64.b64encode(SECRET.encode()).decode()}).ok()
    return made, _use_wrongly(client, made["child"])


def _use_wrongly(client: Client, token: str) -> list[Answer]:
    """The same with mistakes in it; the answers, all refusals."""
    half = json.dumps({"data": {"value": SECRET}}).encode()[:-1]
    answers = [
        client.ask("POST", "kv/data/app", raw=half),
        client.ask("POST", "kv/data/app", raw=half + b"}\x00"),
        client.post("kv/data/app", {"data": SECRET}),
        client.post("kv/data/app", {"data": {}, "options": {"cas": SECRET}}),
        client.post("kv/data/app", {"data": {"value": SECRET}, "options": {"cas": 77}}),
        client.post("kv/metadata/app", {"custom_metadata": {"value": SECRET * 100}}),
        client.post("none/app", {"value": SECRET}),
        client.post("old/app/", {"value": SECRET}),
        client.post("old/app", {"value": SECRET}, token=token),
        client.post("old/app", {"value": SECRET}, token=""),
        client.post("old/app", {"value": SECRET}, token=SECRET),
        client.post("old/app", {"value": SECRET}, token=f"hvs.{SECRET}"),
        client.ask("BREW", "old/app", {"value": SECRET}),
        client.ask("PATCH", "kv/data/app", {"data": {"value": SECRET}}),
        client.post("auth/up/login/ann", {"password": PASSWORD + "x"}, token=""),
        client.post("auth/up/login/ann", {"password": [PASSWORD]}, token=""),
        client.post("auth/up/users/bob", {"password": PASSWORD, "token_ttl": "soon"}),
        client.post("auth/up/users/bob", {"password": PASSWORD * 10}),
        client.post("auth/token/create", {"policies": {"a": SECRET}}),
        client.post("auth/token/lookup", {"token": SECRET}),
        client.post("sys/wrapping/unwrap", {"token": SECRET}),
        client.post("sys/unseal", {"key": SECRET}),
        client.post("sys/policies/acl/app", {"policy": f'path "{SECRET}" {{'}),
        client.get("old/app", headers={"X-Vault-Index": SECRET}),
        client.get("old/app", headers={"X-Vault-Wrap-TTL": SECRET}),
        client.get("con/misbehave/raise-key-error"),
        client.post("con/creds/u2", {"create": "fail"}),
    ]
    return [answer for answer in answers if answer.status != 204]


@pytest.mark.parametrize("static", [True, False], ids=["static seal", "shares"])
def test_no_secret_is_found_anywhere(make_node: MakeNode, static: bool) -> None:
    command = ("sh", "-c", 'ulimit -c unlimited 2>/dev/null; exec "$@"', "sh")
    small = {"SEGMENT_BYTES": 1 << 16, "CHECKPOINT_AFTER_BYTES": 1 << 17}
    node = make_node(workers=1, static=static, contract=True, limits=small, more='log_level = "trace"', command=command).begin()
    secrets = {"value": SECRET, "password": PASSWORD, "root token": node.root_token}
    secrets |= {f"share {number}": base64.b64decode(share).hex() for number, share in enumerate(node.shares)}
    main = node.main()
    mount(main, "kv")
    mount(main, "old", options={"version": "1"})
    mount(main, "con", "contract")
    main.post("con/world", {"folder": str(node.folder)}).ok()
    main.post("sys/auth/up", {"type": "userpass"}).ok()
    policy(main, "app", 'path "kv/data/*" { capabilities = ["read"] }')
    main.post("sys/audit/file", {"type": "file", "options": {"file_path": str(node.folder / "audit.log")}}).ok()
    for name, client in (("worker", node.client()), ("main", main)):
        made, refusals = _use(client)
        secrets |= {f"{token} ({name})": text for token, text in made.items()}
        for answer in refusals:
            assert answer.status >= 400
            assert not [look for secret in secrets.values() for look in _looks(secret) if look in answer.body], answer
        for turn in range(150):                      # enough for segments and a checkpoint
            client.post(f"old/many/{turn}", {"value": SECRET, "filler": "x" * 2_000}).ok()
    wait_until(lambda: (node.data / "checkpoint").exists(), "a checkpoint was made")
    assert _found(node.folder, secrets) == []
    os.kill(node.worker_pids()[0], signal.SIGABRT)
    wait_until(lambda: node.log_text.count("worker.started") == 2, "another worker")
    os.kill(node.pid, signal.SIGABRT)
    assert node.wait_ended() == -signal.SIGABRT
    _start_again(node)
    node.client().get("kv/data/app").ok()
    node.stop()
    assert _found(node.folder, secrets) == []
    assert (node.folder / "audit.log").stat().st_size > 10_000


def _start_again(node: Node) -> None:
    node.start()
    if not node.static:
        node.unseal()
    node.wait_unsealed()


def test_only_log_raw_shows_a_value_and_still_no_share(make_node: MakeNode) -> None:
    """What an operator asked for by name; the canary's counterpart: it shows that the audit file is looked at at all."""
    node = make_node(workers=1).begin()
    client = node.client()
    mount(client, "old", options={"version": "1"})
    client.post("sys/audit/raw", {"type": "file", "options": {"file_path": str(node.folder / "raw.log"), "log_raw": "true"}}).ok()
    client.post("old/app", {"value": SECRET}).ok()
    found = _found(node.folder, {"value": SECRET})
    assert found
    assert all(" in raw.log," in line for line in found), found
