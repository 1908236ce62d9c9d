"""Every command that talks to a server, against a real one: what a user of `vault` types, what it prints, how it exits.

Commands run in this process, for speed, with everything real but the terminal; `test_as_a_process` has what only a process shows.
"""
from __future__ import annotations

import json
import os
import re
import shlex
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.client import Client
from tests.conftest import MakeNode
from tests.node import Node

from holdfast.cli import registry
from holdfast.cli.main import run
from holdfast.cli.terminal import NoTerminalError

NO_CLIENT = {"server", "version", "policy fmt", "print token"}     # talk to no server, or are one


@dataclass
class Screen:
    """A terminal, or a pipe where nobody answers."""

    stdin: bytes = b""
    answers: list[str] = field(default_factory=list)
    stdout: str = ""
    stderr: str = ""

    def out(self, text: str) -> None:
        self.stdout += text

    def err(self, text: str) -> None:
        self.stderr += text

    def flush(self) -> None:
        pass

    def read_stdin(self) -> bytes:
        return self.stdin

    def ask_secret(self, question: str) -> str:
        if not self.answers:
            raise NoTerminalError("stdin is not a terminal")
        return self.answers.pop(0)

    def is_terminal(self) -> bool:
        return False

    def input_is_terminal(self) -> bool:
        return bool(self.answers)


@dataclass
class Hand:
    """Types command lines. `typed`: the names of commands that have been."""

    node: Node
    token: str
    typed: set[str] = field(default_factory=set)
    more: dict[str, str] = field(default_factory=dict)

    def __call__(self, line: str, *, code: int = 0, stdin: str = "", answers: tuple[str, ...] = (), token: str | None = None) -> str:
        """What it prints: stdout, and with a refusal stderr."""
        words = shlex.split(line)
        env = {"HOME": str(self.node.folder), "VAULT_ADDR": self.node.address, "VAULT_CACERT": str(self.node.ca), **self.more}
        if given := self.token if token is None else token:
            env["VAULT_TOKEN"] = given
        screen = Screen(stdin.encode(), list(answers))
        found = run(words, env=env, terminal=screen)
        assert found == code, f"{line}: exit {found}\n{screen.stdout}\n{screen.stderr}"
        self.typed.add(_command(line))
        return screen.stdout.strip() if not code else (screen.stdout + screen.stderr).strip()

    def json(self, line: str, **more: Any) -> Any:
        name = _command(line)
        return json.loads(self(f"{name} -format=json {line[len(name):]}", **more))


def _command(line: str) -> str:
    """The name of the command that a line begins with."""
    return max((command.name for command in registry.everything() if f"{line} ".startswith(f"{command.name} ")), key=len)


@pytest.fixture(scope="module")
def hf(node: Node) -> Hand:
    return Hand(node, node.root_token)


def test_status_and_operator(hf: Hand) -> None:
    shown = hf("status")
    assert re.search(r"^Sealed\s+false$", shown, re.M)
    assert re.search(r"^Storage Type\s+file$", shown, re.M)
    assert re.search(r"^HA Enabled\s+false$", shown, re.M)
    assert hf.json("status")["initialized"]
    term = hf.json("operator key-status")["term"]
    assert "Success" in hf("operator rotate")
    assert hf.json("operator key-status")["term"] == term + 1
    assert "Success" in hf("operator step-down")
    assert hf("operator members")
    assert hf("operator init -status").startswith("Vault is initialized")


def test_init_unseal_seal(make_node: MakeNode) -> None:
    node = make_node(static=False)
    node.start()
    hf = Hand(node, "")
    assert "Sealed" in hf("status", code=2)
    hf("operator init -status", code=2)
    shown = hf("operator init -key-shares=3 -key-threshold=2")
    keys = re.findall(r"^Unseal Key \d: (\S+)$", shown, re.M)
    root = re.search(r"^Initial Root Token: (\S+)$", shown, re.M)
    assert len(keys) == 3
    assert root is not None
    assert "already initialized" in hf("operator init", code=2)
    assert re.search(r"^Unseal Progress\s+1/2$", hf(f"operator unseal {keys[0]}"), re.M)
    assert re.search(r"^Unseal Progress\s+0/2$", hf("operator unseal -reset"), re.M)
    hf(f"operator unseal {keys[0]}")
    assert re.search(r"^Sealed\s+false$", hf("operator unseal", answers=(keys[2],)), re.M)
    hf.token = root[1]
    node.wait_unsealed()
    assert "Success! Vault is sealed." in hf("operator seal")
    hf("status", code=2)
    assert "Vault is sealed" in hf("secrets list", code=2)


def test_secrets_and_auth(hf: Hand) -> None:
    assert hf("secrets enable -path=shop -version=2 -description=goods kv").startswith("Success! Enabled the kv secrets engine at: shop/")
    assert re.search(r"^shop/\s+kv\s+kv_[0-9a-f]{8}\s+goods$", hf("secrets list"), re.M)
    assert hf.json("secrets list")["shop/"]["options"] == {"version": "2"}
    assert "Success" in hf("secrets tune -max-lease-ttl=72h -description=tuned shop/")
    assert hf.json("read sys/mounts/shop/tune")["data"]["max_lease_ttl"] == 259_200
    assert "Success" in hf("secrets move shop store")
    assert "Success" in hf("secrets disable store")
    assert "Success" in hf("secrets disable store"), "what is not there is disabled"
    hf("secrets enable nothing", code=2)
    assert hf("auth enable -path=people userpass").startswith("Success! Enabled userpass auth method at: people/")
    assert "people/" in hf.json("auth list")
    assert "Success" in hf("auth tune -default-lease-ttl=1h people")
    assert "Success" in hf("auth move auth/people auth/staff")
    assert "userpass" in hf("auth help userpass").lower()
    assert "Success" in hf("auth disable staff")


def test_kv_version_2(hf: Hand) -> None:
    hf("secrets enable -path=secret kv-v2")
    assert re.search(r"^version\s+1$", hf("kv put -mount=secret app/db user=ann password=one"), re.M)
    assert re.search(r"^version\s+2$", hf("kv put secret/app/db user=ann password=-", stdin="two"), re.M)
    assert "check-and-set" in hf("kv put -mount=secret -cas=0 app/db a=b", code=2)
    assert hf("kv get -mount=secret -field=password app/db") == "two"
    assert hf.json("kv get -mount=secret -version=1 app/db")["data"]["data"]["password"] == "one"
    assert hf("kv get -mount=secret none", code=2) == "No value found at secret/data/none"
    assert re.search(r"^version\s+3$", hf("kv patch -mount=secret app/db password=three"), re.M)
    assert hf("kv list -mount=secret app").splitlines()[-1] == "db"
    assert "Success" in hf("kv delete -mount=secret app/db")
    assert "Success" in hf("kv undelete -mount=secret -versions=3 app/db")
    assert "Success" in hf("kv destroy -mount=secret -versions=1 app/db")
    assert re.search(r"^version\s+4$", hf("kv rollback -mount=secret -version=2 app/db"), re.M)
    assert hf("kv get -mount=secret -field=password app/db") == "two"
    assert "Success" in hf("kv metadata put -mount=secret -max-versions=7 -custom-metadata=owner=me app/db")
    assert "Success" in hf("kv metadata patch -mount=secret -custom-metadata=team=us -remove-custom-metadata=owner app/db")
    known = hf.json("kv metadata get -mount=secret app/db")["data"]
    assert (known["max_versions"], known["custom_metadata"]) == (7, {"team": "us"})
    assert "Success" in hf("kv metadata delete -mount=secret app/db")
    hf("kv metadata get -mount=secret app/db", code=2)


def test_kv_version_1_and_its_upgrade(hf: Hand, client: Client) -> None:
    hf("secrets enable -path=old -version=1 kv")
    assert "Success! Data written to: old/a" in hf("kv put -mount=old a x=1")
    assert hf("kv get -mount=old -field=x a") == "1"
    assert hf("kv list old").splitlines()[-1] == "a"
    assert "Success" in hf("kv delete old/a")
    hf("kv put old/b x=2")
    assert "Success" in hf("kv enable-versioning old")
    assert client.get("old/data/b").ok().data["data"] == {"x": "2"}
    assert hf("kv get -mount=old -field=x b") == "2"


def test_logical_commands(hf: Hand, tmp_path: Path) -> None:
    hf("secrets enable -path=raw -version=1 kv")
    file = tmp_path / "value.txt"
    file.write_text("from a file")
    assert hf(f"write raw/a x=1 y=@{file} z=\\\\@home").startswith("Success! Data written to: raw/a")
    assert hf.json("read raw/a")["data"] == {"x": "1", "y": "from a file", "z": "@home"}
    assert hf("read -field=y raw/a") == "from a file"
    assert hf("read -format=yaml raw/a").startswith("data:")
    hf("write raw/whole -", stdin='{"n": 1.5, "deep": {"a": [1, 2]}}')
    assert hf.json("read raw/whole")["data"] == {"n": 1.5, "deep": {"a": [1, 2]}}
    assert hf("list raw").splitlines()[-2:] == ["a", "whole"]
    assert hf("read raw/none", code=2) == "No value found at raw/none"
    assert "Success! Data deleted (if it existed) at: raw/a" in hf("delete raw/a")
    hf("secrets enable -path=versions -version=2 kv")
    hf("write versions/data/p -", stdin='{"data": {"a": "1", "b": "2"}}')
    hf("patch versions/data/p -", stdin='{"data": {"b": null}}')
    assert hf.json("read versions/data/p")["data"]["data"] == {"a": "1"}
    assert "request" in hf("path-help sys/mounts").lower() or hf("path-help sys/mounts")
    assert "must" in hf("write raw/b", code=1).lower()
    assert hf("read none/at/all", code=2) == "No value found at none/at/all"
    assert "no handler for route" in hf("write none/at/all a=b", code=2)


def test_policies(hf: Hand, tmp_path: Path) -> None:
    file = tmp_path / "app.hcl"
    file.write_text('path "raw/*" {\ncapabilities=["read"]}\n')
    assert "Success" in hf(f"policy fmt {file}")
    assert 'capabilities = ["read"]' in file.read_text()
    assert hf(f"policy write app {file}") == "Success! Uploaded policy: app"
    assert hf("policy write piped -", stdin=file.read_text()) == "Success! Uploaded policy: piped"
    assert hf("policy list").splitlines() == ["app", "default", "piped", "root"]
    assert 'path "raw/*"' in hf("policy read app")
    assert hf("policy delete piped") == "Success! Deleted policy: piped"
    assert "No policy named: none" in hf("policy read none", code=2)


def test_tokens(hf: Hand) -> None:
    hf("policy write reads -", stdin='path "raw/*" { capabilities = ["read"] }')
    token = hf("token create -policy=reads -ttl=1h -field=token")
    accessor = hf.json(f"token lookup {token}")["data"]["accessor"]
    assert hf.json("token lookup", token=token)["data"]["policies"] == ["default", "reads"]
    assert hf.json(f"token lookup -accessor {accessor}")["data"]["accessor"] == accessor
    assert hf(f"token capabilities {token} raw/a") == "read"
    assert hf("token capabilities sys/seal", token=token) == "deny"
    assert hf.json(f"token renew -increment=2h {token}")["auth"]["lease_duration"] == 7_200
    assert hf("print token", token=token) == token
    assert "Success! Revoked token (if it existed)" in hf(f"token revoke {token}")
    assert "permission denied" in hf("token lookup", token=token, code=2)
    other = hf.json("token create -policy=reads -orphan -use-limit=5")
    assert "Success" in hf(f"token revoke -accessor {other['auth']['accessor']}")
    mine = hf("token create -policy=reads -field=token")
    assert "Success" in hf("token revoke -self", token=mine)


def test_login(hf: Hand, node: Node) -> None:
    hf("auth enable userpass")
    hf("write auth/userpass/users/ann password=one token_policies=default")
    shown = hf("login -method=userpass username=ann", answers=("one",), token="")
    assert shown.startswith("Success!")
    stored = node.folder / ".vault-token"
    assert stat.S_IMODE(stored.stat().st_mode) == 0o600
    assert hf.json("token lookup", token="")["data"]["display_name"] == "userpass-ann", "the stored token is used"
    assert "invalid username or password" in hf("login -method=userpass username=ann password=wrong", token="", code=2)
    assert hf("login -no-store -field=token -method=userpass username=ann password=one", token="").startswith("hvs.")
    assert "Success" in hf(f"login {hf.token}", token="")
    assert hf("print token", token="") == hf.token
    stored.unlink()


def test_wrapping(hf: Hand) -> None:
    hf("secrets enable -path=gifts -version=1 kv")
    hf("write gifts/a x=1")
    token = hf("read -wrap-ttl=60s -field=wrapping_token gifts/a")
    assert hf(f"unwrap -field=x {token}") == "1"
    assert "wrapping token is not valid or does not exist" in hf(f"unwrap {token}", code=2)
    token = hf("read -wrap-ttl=60s -field=wrapping_token gifts/a")
    assert hf.json("unwrap", token=token)["data"] == {"x": "1"}


def test_audit(hf: Hand, node: Node) -> None:
    assert "Success! Enabled the file audit device at: file/" in hf(f"audit enable file file_path={node.folder}/cli.log")
    assert "file/" in hf.json("audit list -detailed")
    assert re.search(r"^file/\s+file\s+", hf("audit list"), re.M)
    assert "Success! Disabled audit device (if it was enabled) at: file/" in hf("audit disable file")
    assert hf("audit list", code=2).startswith("No audit devices are enabled.")


def test_leases(make_node: MakeNode, hf: Hand) -> None:
    node = make_node(contract=True).begin()
    leasing = Hand(node, node.root_token, typed=hf.typed)
    leasing("secrets enable -path=con contract")
    leasing(f"write con/world folder={node.folder}")
    lease = leasing("read -field=lease_id con/creds/u1")
    assert leasing.json(f"lease lookup {lease}")["data"]["id"] == lease
    assert leasing.json(f"lease renew -increment=10m {lease}")["lease_duration"] == 600
    assert leasing(f"lease revoke {lease}") == "All revocation operations queued successfully!"
    leasing(f"lease lookup {lease}", code=2)
    leasing("read con/creds/u2")
    assert "Success! Revoked any leases with prefix: con/creds" in leasing("lease revoke -prefix -sync con/creds")


def test_settings_from_flags_and_environment(hf: Hand, node: Node) -> None:
    hf.more = {"VAULT_CACERT": ""}
    try:
        assert "certificate" in hf("status", code=1)
        hf.more = {"VAULT_CACERT": "", "VAULT_SKIP_VERIFY": "true"}
        hf("status")
        hf.more = {"VAULT_CACERT": "", "VAULT_ADDR": f"unix://{node.unix}"}
        hf("status")
        hf.more = {"VAULT_FORMAT": "json"}
        assert json.loads(hf("secrets list"))["sys/"]
        hf.more = {"VAULT_ADDR": "https://127.0.0.1:1"}
        assert "connection refused" in hf("status", code=1).lower()
        hf.more = {}
        assert hf("status -tls-skip-verify")
    finally:
        hf.more = {}


def test_what_does_not_exist_says_so(hf: Hand) -> None:
    for name in sorted(registry.MISSING):
        screen = Screen()
        assert run(name.split(), env={"HOME": str(hf.node.folder)}, terminal=screen) == 1
        assert screen.stderr


def test_as_a_process(node: Node, tmp_path: Path) -> None:
    """Pipes, exit codes and closed streams, as a shell sees them."""
    assert node.cli("status").returncode == 0
    assert node.cli("read", "none/at/all").returncode == 2
    assert node.cli("read").returncode == 1
    assert node.cli("nonsense").returncode == 127
    done = node.cli("token", "lookup", "-format=json")
    assert (done.stderr, json.loads(done.stdout)["data"]["policies"]) == ("", ["root"])
    refused = node.cli("token", "lookup", token="hvs.none")
    assert refused.stdout == ""
    assert "permission denied" in refused.stderr
    assert node.cli("version").stdout.startswith("Holdfast v1.17.0+holdfast.")
    assert node.cli("policy", "write", "piped", "-", stdin='path "a" { capabilities = ["read"] }').returncode == 0
    assert os.listdir(tmp_path) == []


def test_every_command_was_typed(hf: Hand, request: pytest.FixtureRequest) -> None:
    if len(request.session.items) < 15:
        pytest.skip("only where the whole module runs")
    hf.typed |= {"operator init", "operator unseal", "operator seal"}          # typed by the hands of other nodes
    assert {command.name for command in registry.everything() if command.run is not None} - hf.typed - NO_CLIENT == set()
