"""The command line against a real server, through a worker over TLS: every command that docs/commands.md has, as scripts of steps.

A step is a line as it is typed, the exit code, and what must stand in what it prints. Most run in this process, as `run` is all that the
program is; those marked `real` are processes of their own.
"""
from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import Any

import pytest
import yaml
from tests.conftest import MakeNode
from tests.node import REPOSITORY, Node, mount
from tests.unit.cli.conftest import FakeTerminal

from holdfast.cli import registry
from holdfast.cli.main import run

PAGE = REPOSITORY / "docs" / "commands.md"
OK, USAGE, API = 0, 1, 2
RULES = 'path "secret/*" {\n  capabilities = ["read"]\n}\n'
NODE = {"contract": True}                            # with the engine that gives leases


@dataclass(frozen=True)
class Step:
    """`out`, `err`: what stands in stdout, in stderr; `shows`: fields of the JSON or YAML printed, by their path (`data.keys.0`);
    `keep`: the name under which later steps find what was printed, as `$name`; `env`: on top of what there is."""

    line: str
    code: int = OK
    out: str = ""
    err: str = ""
    shows: Mapping[str, object] = field(default_factory=dict)
    keep: str = ""
    stdin: str = ""
    hidden: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    real: bool = False


@dataclass
class Shell:
    """Runs steps. `words` are what `$name` stands for."""

    node: Node
    words: dict[str, str]
    env: dict[str, str]

    def __call__(self, step: Step) -> str:
        line = self._filled(step.line)
        env = {**self.env, **{name: self._filled(value) for name, value in step.env.items()}}
        code, out, err = (self._process if step.real else self._here)(shlex.split(line), step, env)
        seen = f"$ {line}\n{out}{err}[{code}]"
        assert code == step.code, seen
        assert self._filled(step.out) in out, seen
        assert self._filled(step.err) in err, seen
        assert bool(step.err) or code != OK or not err, f"a complaint without a failure:\n{seen}"
        if step.shows:
            shown = json.loads(out) if "json" in line or env.get("VAULT_FORMAT") == "json" else yaml.safe_load(out)
            assert {path: _at(shown, path) for path in step.shows} == {
                path: self._filled(value) if isinstance(value, str) else value for path, value in step.shows.items()}, seen
        if step.keep:
            self.words[step.keep] = out.strip()
        return out

    def _filled(self, text: str) -> str:
        return Template(text).substitute(self.words)

    def _here(self, argv: list[str], step: Step, env: dict[str, str]) -> tuple[int, str, str]:
        terminal = FakeTerminal(stdin=self._filled(step.stdin).encode(), hidden=[self._filled(each) for each in step.hidden])
        code = run(argv, env=env, terminal=terminal)
        return code, terminal.stdout, terminal.stderr

    def _process(self, argv: list[str], step: Step, env: dict[str, str]) -> tuple[int, str, str]:
        done = self.node.cli(*argv, token="", stdin=self._filled(step.stdin), env=env)
        return done.returncode, done.stdout, done.stderr


def _at(value: Any, path: str) -> Any:
    for name in path.split("."):
        value = value[int(name)] if isinstance(value, list) else value[name]
    return value


def _shell(node: Node, home: Path, name: str) -> Shell:
    (home / "rules.hcl").write_text(RULES)
    (home / "value").write_text("of a file")
    (home / "body.json").write_text('{"from": "a file", "n": 1}')
    words = {"n": name, "home": str(home), "root": node.root_token, "address": node.address, "ca": str(node.ca), "unix": str(node.unix),
             "config": str(node.config), "cert": str(node.certificate), "key": str(node.key)}
    env = {"HOME": str(home), "VAULT_ADDR": node.address, "VAULT_CACERT": str(node.ca), "VAULT_CLIENT_TIMEOUT": "20s"}
    return Shell(node, words, {**env, "VAULT_TOKEN": node.root_token} if node.root_token else env)


@pytest.fixture
def shell(node: Node, tmp_path: Path, new_name: Callable[[str], str]) -> Shell:
    """In a home of its own, as root, with a KV version 1 at `$n-1` and a version 2 at `$n-2`."""
    name = new_name("cli")
    client = node.client()
    mount(client, f"{name}-1", options={"version": "1"})
    mount(client, f"{name}-2")
    client.close()
    return _shell(node, tmp_path, name)


SCRIPTS: dict[str, tuple[Step, ...]] = {
    "read, write, list, patch and delete": (
        Step("write $n-1/app user=ann tries=3", out="Success! Data written to: $n-1/app"),
        Step("read $n-1/app", out="user                ann"),
        Step("read -format=json $n-1/app", shows={"data.user": "ann", "data.tries": "3", "lease_duration": 2764800}),
        Step("read -format=yaml $n-1/app", shows={"data.user": "ann"}),
        Step("read $n-1/app", env={"VAULT_FORMAT": "json"}, shows={"data.user": "ann"}),
        Step("read -format=raw $n-1/app", out='"user":"ann"'),
        Step("read -field=user $n-1/app", keep="user"),
        Step("write $n-1/kept value=$user", keep="_"),
        Step("read -field=value -format=json $n-1/kept", out='"ann"'),
        Step("read -field=none $n-1/app", USAGE, err='Field "none" not present in secret'),
        Step("read $n-1/none", API, err="No value found at $n-1/none"),
        Step("read none/at/all", API, err="No value found at none/at/all"),
        Step("read", USAGE, err="Not enough arguments"),
        Step("read -nonsense $n-1/app", USAGE, err="flag provided but not defined: -nonsense"),
        Step("read -format=cuneiform $n-1/app", USAGE, err="Invalid output format: cuneiform"),
        Step("write $n-1/file value=@$home/value 'text=\\@text'", out="Success!"),
        Step("read -format=json $n-1/file", shows={"data.value": "of a file", "data.text": "@text"}),
        Step("write $n-1/stdin value=-", stdin="of stdin"),
        Step("read -field=value $n-1/stdin", out="of stdin"),
        Step("write $n-1/json @$home/body.json"),
        Step("read -format=json $n-1/json", shows={"data": {"from": "a file", "n": 1}}),
        Step("write $n-1/json -", stdin='{"from": "stdin"}'),
        Step("read -format=json $n-1/json", shows={"data": {"from": "stdin"}}),
        Step("write $n-1/many a=1 a=2"),
        Step("read -format=json $n-1/many", shows={"data": {"a": ["1", "2"]}}),
        Step("write $n-1/app", USAGE, err="Must supply data or use -force"),
        Step("write $n-1/app value=@$home/none", USAGE, err="no such file"),
        Step("list $n-1", out="Keys\n----\napp\nfile"),
        Step("list -format=json $n-1", shows={"0": "app", "1": "file"}),
        Step("list -format=yaml $n-1", shows={"0": "app"}),
        Step("list $n-1/none", API, err="No value found at $n-1/none"),
        Step("delete $n-1/app", out="Success! Data deleted (if it existed) at: $n-1/app"),
        Step("delete $n-1/app", out="Success!"),
        Step("write -format=json $n-2/data/app -", stdin='{"data": {"a": "1", "b": "2"}}', shows={"data.version": 1}),
        Step("patch -format=json $n-2/data/app -", stdin='{"data": {"a": null, "c": "3"}}', shows={"data.version": 2}),
        Step("read -format=json $n-2/data/app version=2", shows={"data.data": {"b": "2", "c": "3"}}),
        Step("path-help $n-1", out="DESCRIPTION"),
        Step("path-help none", API, err="no handler for route"),
    ),
    "wrapping": (
        Step("write $n-1/app user=ann"),
        Step("read -wrap-ttl=2m -field=wrapping_token $n-1/app", keep="wrapped"),
        Step("unwrap -format=json $wrapped", shows={"data.user": "ann"}),
        Step("unwrap $wrapped", API, err="wrapping token is not valid or does not exist"),
        Step("read -field=wrapping_token $n-1/app", env={"VAULT_WRAP_TTL": "60"}, keep="wrapped"),
        Step("unwrap -field=user", env={"VAULT_TOKEN": "$wrapped"}, out="ann"),
        Step("read -wrap-ttl=90s -format=json $n-1/app", shows={"wrap_info.ttl": 90, "wrap_info.creation_path": "$n-1/app"}),
    ),
    "kv version 1": (
        Step("kv put -mount=$n-1 app user=ann", out="Success! Data written to: $n-1/app"),
        Step("kv put $n-1/folder/b user=bob"),
        Step("kv get -mount=$n-1 app", out="user    ann"),
        Step("kv get -field=user $n-1/folder/b", out="bob"),
        Step("kv list $n-1", out="app\nfolder/"),
        Step("kv get -mount=$n-1 none", API, err="No value found at $n-1/none"),
        Step("kv patch -mount=$n-1 app user=eve", API, err="K/V engine mount must be version 2 for patch support"),
        Step("kv rollback -mount=$n-1 -version=1 app", API, err="K/V engine mount must be version 2"),
        Step("kv delete -mount=$n-1 folder/b", out="Success! Data deleted (if it existed) at: $n-1/folder/b"),
        Step("kv enable-versioning $n-1", out="Success! Tuned the secrets engine at: $n-1/"),
        Step("kv get -mount=$n-1 -format=json app", shows={"data.data.user": "ann", "data.metadata.version": 1}),
    ),
    "kv version 2": (
        Step("kv put -mount=$n-2 -cas=0 app user=ann password=-", stdin="s3cret", out="Secret Path"),
        Step("kv put -mount=$n-2 -cas=0 app user=bob", API, err="check-and-set parameter did not match the current version"),
        Step("kv put -format=json -mount=$n-2 app @$home/body.json", shows={"data.version": 2}),
        Step("kv get -mount=$n-2 -version=1 -field=password app", out="s3cret"),
        Step("kv get -mount=$n-2 app", out="from    a file"),
        Step("kv get -format=yaml $n-2/app", shows={"data.data.n": 1, "data.metadata.version": 2}),
        Step("kv patch -format=json -mount=$n-2 -cas=2 -remove-data=n app user=bob", shows={"data.version": 3}),
        Step("kv patch -format=json -mount=$n-2 -method=rw app more=1", shows={"data.version": 4}),
        Step("kv get -format=json -mount=$n-2 app", shows={"data.data": {"from": "a file", "user": "bob", "more": "1"}}),
        Step("kv patch -mount=$n-2 none user=bob", API, err="Code: 404"),
        Step("kv rollback -format=json -mount=$n-2 -version=1 app", shows={"data.version": 5}),
        Step("kv get -mount=$n-2 -field=user app", out="ann"),
        Step("kv delete -mount=$n-2 app", out="Success! Data deleted (if it existed) at: $n-2/data/app"),
        Step("kv get -mount=$n-2 app", out="deletion_time"),
        Step("kv undelete -mount=$n-2 -versions=5 app", out="Success! Data written to: $n-2/undelete/app"),
        Step("kv get -mount=$n-2 -field=user app", out="ann"),
        Step("kv delete -mount=$n-2 -versions=1,2 app", out="Success!"),
        Step("kv destroy -mount=$n-2 -versions=2 app", out="Success! Data written to: $n-2/destroy/app"),
        Step("kv metadata put -mount=$n-2 -max-versions=9 -custom-metadata=owner=ann -custom-metadata=x=y "
             "-delete-version-after=3h25m19s app",
             out="Success! Data written to: $n-2/metadata/app"),
        Step("kv metadata patch -mount=$n-2 -remove-custom-metadata=x -cas-required app", out="Success!"),
        Step("kv metadata get -format=json -mount=$n-2 app",
             shows={"data.max_versions": 9, "data.custom_metadata": {"owner": "ann"}, "data.cas_required": True,
                    "data.delete_version_after": "3h25m19s", "data.versions.2.destroyed": True, "data.current_version": 5}),
        Step("kv metadata get -mount=$n-2 app", out="Version 5"),
        Step("kv put -mount=$n-2 app user=eve", API, err="check-and-set parameter required for this call"),
        Step("kv list -format=json -mount=$n-2", shows={"0": "app"}),
        Step("kv metadata delete -mount=$n-2 app", out="Success! Data deleted (if it existed) at: $n-2/metadata/app"),
        Step("kv metadata get -mount=$n-2 app", API, err="No value found at $n-2/metadata/app"),
        Step("kv list -mount=$n-2", API, err="No value found at $n-2/metadata"),
        Step("kv get -mount=none app", API, err="preflight capability check returned 403"),
        Step("kv undelete -mount=$n-2 app", USAGE, err="versions"),
    ),
    "secrets engines": (
        Step("secrets enable -path=$n-s -description=words -max-lease-ttl=2h -version=2 kv",
             out="Success! Enabled the kv secrets engine at: $n-s/"),
        Step("secrets enable -path=$n-s kv", API, err="path is already in use at $n-s/"),
        Step("secrets enable -path=$n-x nonsense", API, err="nonsense"),
        Step("secrets list", out="$n-s/"),
        Step("secrets list -detailed", out="map[version:2]"),
        Step("secrets tune -description=other -default-lease-ttl=1h -listing-visibility=unauth $n-s",
             out="Success! Tuned the secrets engine at: $n-s/"),
        Step("secrets list -format=json", out='"$n-s/"'),
        Step("read -format=json sys/mounts/$n-s/tune", shows={"data.description": "other", "data.default_lease_ttl": 3600,
                                                              "data.listing_visibility": "unauth"}),
        Step("secrets move $n-s $n-t", out="Success! Finished moving secrets engine $n-s/ to $n-t/"),
        Step("secrets disable $n-t", out="Success! Disabled the secrets engine (if it existed) at: $n-t/"),
        Step("secrets disable $n-t", out="Success!"),
        Step("secrets enable", USAGE, err="Not enough arguments"),
    ),
    "auth methods and login": (
        Step("auth enable -path=$n-a -description=people userpass", out="Success! Enabled userpass auth method at: $n-a/"),
        Step("auth enable -path=$n-a userpass", API, err="path is already in use at $n-a/"),
        Step("auth tune -default-lease-ttl=1h -user-lockout-threshold=3 $n-a", out="Success! Tuned the auth method at: $n-a/"),
        Step("auth list", out="$n-a/"),
        Step("auth list -detailed", out="userpass"),
        Step("auth list -format=json", out='"$n-a/"'),
        Step("auth help userpass", out="password"),
        Step("auth help $n-a", out="password"),
        Step("auth move auth/$n-a auth/$n-b", out="Success! Finished moving auth method auth/$n-a/ to auth/$n-b/"),
        Step("write auth/$n-b/users/ann password=pw policies=default"),
        Step("login -method=userpass -path=$n-b username=ann password=pw", env={"VAULT_TOKEN": ""}, out="You are now authenticated."),
        Step("print token", env={"VAULT_TOKEN": ""}, keep="stored"),
        Step("token lookup -format=json", env={"VAULT_TOKEN": ""}, shows={"data.id": "$stored", "data.display_name": "$n-b-ann"}),
        Step("token lookup -field=id", env={"VAULT_TOKEN": ""}, out="$stored", real=True),
        Step("login -method=userpass -path=$n-b -token-only username=ann", env={"VAULT_TOKEN": ""}, hidden=("pw",), keep="other",
             err="Password"),
        Step("token lookup -format=json $other", shows={"data.id": "$other"}),
        Step("login -method=userpass -path=$n-b username=ann password=wrong", API, env={"VAULT_TOKEN": ""},
             err="invalid username or password"),
        Step("login -method=ldap username=ann", USAGE, err="Unknown auth method: ldap"),
        Step("login -no-print $root", env={"VAULT_TOKEN": ""}),
        Step("print token", env={"VAULT_TOKEN": ""}, out="$root"),
        Step("login -", env={"VAULT_TOKEN": ""}, stdin="$other", out="Success!"),
        Step("login hvs.nobody", API, env={"VAULT_TOKEN": ""}, err="permission denied"),
        Step("auth disable $n-b", out="Success! Disabled the auth method (if it existed) at: $n-b/"),
        Step("token lookup", API, env={"VAULT_TOKEN": "$other"}, err="permission denied"),
    ),
    "tokens": (
        Step("token create -policy=default -ttl=1h -metadata=for=test -display-name=robot -field=token", keep="token"),
        Step("token lookup -format=json $token", shows={"data.meta": {"for": "test"}, "data.display_name": "token-robot",
                                                        "data.policies": ["default"], "data.creation_ttl": 3600}),
        Step("token lookup -field=accessor $token", keep="accessor"),
        Step("token lookup -accessor -format=json $accessor", shows={"data.id": ""}),
        Step("token renew -format=json -increment=30m $token", shows={"auth.lease_duration": 1800}),
        Step("token renew -accessor -format=json -increment=20m $accessor", shows={"auth.lease_duration": 1200}),
        Step("token renew -format=yaml", env={"VAULT_TOKEN": "$token"}, shows={"auth.client_token": "$token"}),
        Step("token capabilities $token auth/token/lookup-self", out="read"),
        Step("token capabilities $token none", out="deny"),
        Step("token capabilities any", out="root"),
        Step("token revoke $token", out="Success! Revoked token (if it existed)"),
        Step("token lookup $token", API, err="bad token"),
        Step("token create -orphan -period=20m -id=$n-own -policy=default -format=json",
             shows={"auth.client_token": "$n-own", "auth.orphan": True, "auth.lease_duration": 1200}),
        Step("token revoke -self", env={"VAULT_TOKEN": "$n-own"}, out="Success!"),
        Step("token create -type=batch -policy=default -ttl=5m -field=token", keep="batch"),
        Step("token renew $batch", API, err="batch tokens cannot be renewed"),
        Step("token create -policy=default -use-limit=1 -field=token", keep="once"),
        Step("token lookup -format=json", env={"VAULT_TOKEN": "$once"}, shows={"data.num_uses": -1}),
        Step("token lookup", API, env={"VAULT_TOKEN": "$once"}, err="permission denied"),
        Step("token create -format=json -field=token -policy=default -ttl=1h", keep="quoted"),
        Step("token revoke -accessor none", out="Success! Revoked token (if it existed)"),
        Step("token revoke", USAGE, err="Not enough arguments"),
    ),
    "policies": (
        Step("policy write $n-p $home/rules.hcl", out="Success! Uploaded policy: $n-p"),
        Step("policy read $n-p", out="secret/*"),
        Step("policy write $n-q -", stdin=RULES, out="Success!"),
        Step("policy list", out="$n-p\n$n-q\n"),
        Step("policy list -format=json", out='"$n-p"'),
        Step("policy read -format=json $n-p", shows={"policy": RULES}),
        Step("policy write $n-p -", API, stdin="path {", err="400"),
        Step("policy write $n-p $home/none.hcl", API, err="no such file"),
        Step("policy fmt $home/rules.hcl", out="Success! Formatted policy: $home/rules.hcl"),
        Step("token create -policy=$n-p -field=token", keep="reader"),
        Step("token capabilities $reader secret/a", out="read"),
        Step("policy delete $n-p", out="Success! Deleted policy: $n-p"),
        Step("policy read $n-p", API, err="No policy named: $n-p"),
        Step("token capabilities $reader secret/a", out="deny"),
    ),
    "leases": (
        Step("secrets enable -path=$n-c contract", out="Success!"),
        Step("write $n-c/world folder=$home", out="Success!"),
        Step("write -field=lease_id $n-c/creds/u1 ttl=10m max_ttl=1h", keep="lease"),
        Step("lease lookup -format=json $lease", shows={"data.id": "$lease", "data.renewable": True}),
        Step("lease lookup $lease", out="expire_time"),
        Step("lease renew -format=json -increment=20m $lease", shows={"lease_id": "$lease", "lease_duration": 1200}),
        Step("lease revoke -sync $lease", out="Success! Revoked lease: $lease"),
        Step("lease lookup $lease", API, err="invalid lease"),
        Step("write -field=lease_id $n-c/creds/u2 ttl=10m", keep="lease"),
        Step("lease revoke -prefix -sync $n-c/creds", out="Success! Revoked any leases with prefix: $n-c/creds"),
        Step("lease renew $lease", API, err="lease not found"),
        Step("write -field=lease_id $n-c/creds/u3 ttl=10m", keep="lease"),
        Step("lease revoke -prefix -force $n-c/creds", err="Warning!",
             out="Success! Force revoked any leases with prefix: $n-c/creds"),
        Step("lease revoke -force $lease", USAGE, err="Specifying -force requires also specifying -prefix"),
        Step("lease lookup", USAGE, err="Missing ID!"),
    ),
    "audit devices": (
        Step("audit enable -path=$n-f -description=words file file_path=$home/audit.log",
             out="Success! Enabled the file audit device at: $n-f/"),
        Step("audit list", out="$n-f/"),
        Step("audit list -detailed", out="file_path=$home/audit.log"),
        Step("audit list -format=json", out='"$n-f/"'),
        Step("audit enable -path=$n-f file file_path=$home/audit.log", API, err="path already in use"),
        Step("audit disable $n-f", out="Success! Disabled audit device (if it was enabled) at: $n-f/"),
        Step("audit enable", USAGE, err="Error enabling audit device: audit type missing"),
    ),
    "status, keys and nodes": (
        Step("status", out="Sealed"),
        Step("status -format=json", shows={"initialized": True, "sealed": False}),
        Step("status -format=yaml", env={"VAULT_TOKEN": ""}, shows={"sealed": False}),
        Step("operator key-status", out="Key Term"),
        Step("operator rotate", out="Success! Rotated key"),
        Step("operator rotate -format=json", shows={"term": 3}),
        Step("operator key-status -format=json", shows={"term": 3}),
        Step("operator members", out="Active Node"),
        Step("operator step-down", out="Success! Stepped down: $address"),
        Step("status", out="Sealed"),
        Step("operator init -status", out="Vault is initialized"),
    ),
    "the environment and the flags of every request": (
        Step("write $n-1/app user=ann"),
        Step("read -address=unix://$unix -field=user $n-1/app", env={"VAULT_ADDR": "https://127.0.0.1:1"}, out="ann"),
        Step("read -field=user $n-1/app", env={"VAULT_ADDR": "unix://$unix"}, out="ann"),
        Step("status", USAGE, env={"VAULT_ADDR": "https://127.0.0.1:1"}, err="connection refused"),
        Step("read $n-1/app", API, env={"VAULT_ADDR": "https://127.0.0.1:1"}, err="connection refused"),
        Step("read $n-1/app", API, env={"VAULT_CACERT": ""}, err="failed to verify certificate"),
        Step("read -field=user $n-1/app", env={"VAULT_CACERT": "", "VAULT_SKIP_VERIFY": "true"}, out="ann"),
        Step("read -tls-skip-verify -field=user $n-1/app", env={"VAULT_CACERT": ""}, out="ann"),
        Step("read -ca-cert=$ca -field=user $n-1/app", env={"VAULT_CACERT": ""}, out="ann"),
        Step("read -field=user $n-1/app", env={"VAULT_CLIENT_CERT": "$cert", "VAULT_CLIENT_KEY": "$key"}, out="ann"),
        Step("read -tls-server-name=localhost -field=user $n-1/app", out="ann"),
        Step("read -tls-server-name=other $n-1/app", API, err="failed to verify certificate"),
        Step("read -header=X-Me=1 -field=user $n-1/app", out="ann"),
        Step("read -header=X-Vault-Token=1 $n-1/app", API, err="X-Vault-"),
        Step("read $n-1/app", API, env={"VAULT_TOKEN": "hvs.nobody"}, err="permission denied"),
        Step("read -output-curl-string $n-1/app", keep="curl",
             out='-H "X-Vault-Request: true" -H "X-Vault-Token: $$(holdfast print token)" $address/v1/$n-1/app'),
        Step("write -output-curl-string $n-1/app user=bob", out="-X PUT"),
        Step("read -field=user $n-1/app", out="ann"),
        Step("write -output-policy $n-1/app user=bob", out='path "$n-1/app" {\n  capabilities = ["create", "update"]\n}'),
        Step("agent", USAGE, err='the command "agent" does not exist in Holdfast'),
        Step("nonsense", 127),
    ),
    "processes of their own": (
        Step("version", out="Holdfast v", real=True),
        Step("kv put -mount=$n-2 app password=-", stdin="s3cret", out="Secret Path", real=True),
        Step("kv get -format=json -mount=$n-2 app", shows={"data.data.password": "s3cret"}, real=True),
        Step("kv get -mount=$n-2 none", API, err="No value found at $n-2/data/none", real=True),
        Step("kv get", USAGE, err="Not enough arguments", real=True),
        Step("status", out="Sealed", real=True),
        Step("server -config=$config -verify-only", real=True),
        Step("server -config=$home/none.hcl -verify-only", USAGE, err="none.hcl", real=True),
    ),
}

FROM_NOTHING = (
    Step("operator init -status", API, out="Vault is not initialized"),
    Step("status -format=json", API, shows={"initialized": False, "sealed": True}),
    Step("operator init -key-shares=2 -key-threshold=3", API, err="threshold"),
    Step("operator init -key-shares=3 -key-threshold=2 -format=json", keep="made"),
    Step("operator init -status", out="Vault is initialized"),
    Step("operator init", API, err="Vault is already initialized"),
    Step("status", API, out="Unseal Progress    0/2"),
    Step("read secret/app", API, err="Vault is sealed"),
    Step("operator unseal -format=json $share0", shows={"sealed": True, "progress": 1}),
    Step("operator unseal -reset -format=json", shows={"sealed": True, "progress": 0}),
    Step("operator unseal $share1", out="Unseal Progress    1/2"),
    Step("operator unseal nonsense", API, err="key"),
    Step("operator unseal -format=json", hidden=("$share2",), shows={"sealed": False}, err="Unseal Key (will be hidden)"),
)
CLOSED_AND_OPENED = (
    Step("status", out="Sealed          false"),
    Step("operator key-status -format=json", shows={"term": 1}),
    Step("operator seal", out="Success! Vault is sealed."),
    Step("status", API, out="Sealed             true"),
    Step("operator unseal $share0", out="Unseal Progress"),
    Step("operator unseal -format=json $share1", shows={"sealed": False}),
)


@pytest.mark.parametrize("name", SCRIPTS)
def test_script(shell: Shell, name: str) -> None:
    for step in SCRIPTS[name]:
        shell(step)


def test_a_server_from_nothing_to_sealed_and_open_again(make_node: MakeNode, tmp_path: Path) -> None:
    node = make_node(static=False, workers=1)
    node.start()
    shell = _shell(node, tmp_path, "fresh")
    for step in FROM_NOTHING:
        shell(step)
        if step.keep == "made":
            made = json.loads(shell.words["made"])
            shell.words |= {f"share{at}": share for at, share in enumerate(made["unseal_keys_b64"])}
            shell.env["VAULT_TOKEN"] = made["root_token"]
    node.wait_unsealed()
    for step in CLOSED_AND_OPENED:
        shell(step)
    node.wait_unsealed()
    shell(Step("token lookup -field=path", out="auth/token/root"))


def test_the_token_is_kept_for_this_user_alone(shell: Shell) -> None:
    del shell.env["VAULT_TOKEN"]
    shell(Step("token lookup", API, err="permission denied"))
    shell(Step("login -", stdin="$root", out="Success!"))
    file = Path(shell.words["home"], ".vault-token")
    assert file.read_text() == shell.words["root"]
    assert file.stat().st_mode & 0o777 == 0o600
    shell(Step("token lookup -field=id", out="$root"))
    shell(Step("token lookup", API, env={"VAULT_TOKEN": "hvs.other"}, err="permission denied"))


@pytest.mark.skipif(not shutil.which("curl") and os.environ.get("CI") != "true", reason="curl is not installed; in CI (CI=true) that fails")
def test_the_curl_string_is_a_command_for_curl(shell: Shell) -> None:
    shell(Step("write $n-1/app user=ann"))
    line = shell(Step("read -output-curl-string $n-1/app"))
    done = subprocess.run(["sh", "-c", line.replace("holdfast print token", 'echo "$VAULT_TOKEN"').replace("curl ", "curl -qsS ", 1)],
                          env={"PATH": os.environ["PATH"], **shell.env}, capture_output=True, timeout=120, check=True)
    assert json.loads(done.stdout).get("data") == {"user": "ann"}, done.stdout


GROUPS = [command.name for command in registry.everything() if command.run is None]


@pytest.mark.parametrize("name", GROUPS)
def test_a_group_says_what_is_below_it(shell: Shell, name: str) -> None:
    shell(Step(name, USAGE, err=f"holdfast {name}"))
    shell(Step(f"{name} -help", out=f"holdfast {name}"))


def _command_of(line: str) -> str:
    words: list[str] = []
    for word in shlex.split(line):
        if not registry.knows(" ".join([*words, word])):
            break
        words.append(word)
    return " ".join(words)


def test_no_command_of_the_page_is_left_out() -> None:
    page = set(re.findall(r"^## holdfast (.+)$", PAGE.read_text(), re.MULTILINE))
    steps = [step for script in (*SCRIPTS.values(), FROM_NOTHING, CLOSED_AND_OPENED) for step in script]
    used = {_command_of(step.line) for step in steps if step.code == OK}
    of_clusters = {command for command in page if command.startswith("operator raft ")}      # integration/test_cluster_api, unit/cli
    assert page - set(GROUPS) - used - of_clusters == set()
    assert used - page == set(), "the page knows them all"
