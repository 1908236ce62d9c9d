"""`make demo`: each step with its result in plain words, and a table at the end. KEEP=1 leaves the node running."""
import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import hvac
import hvac.exceptions

from demo.node import Node

T = TypeVar("T")
POLICY = """
path "secret/data/app/*" { capabilities = ["create", "read", "update", "list"] }
path "old/*"             { capabilities = ["read"] }
"""


class Demo:
    """Runs steps and remembers them. A step that does not show what it should ends the demo."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.rows: list[tuple[str, str, float]] = []

    def step(self, what: str, do: Callable[[], T], show: Callable[[T], str]) -> T:
        began = time.monotonic()
        found = do()
        text, took_ms = show(found), (time.monotonic() - began) * 1000
        self.rows.append((what, text, took_ms))
        print(f"{len(self.rows):2}. {what}: {text}", flush=True)
        return found

    def command(self, *arguments: str, token: str = "", stdin: str = "") -> str:
        """A command of the command line that must end well; what it printed."""
        done = self.node.run(*arguments, token=token, stdin=stdin)
        check(done.returncode == 0, f"holdfast {' '.join(arguments)}: exit {done.returncode}: {done.stderr.strip()}")
        return done.stdout.strip()

    def table(self) -> None:
        width = max(len(what) for what, _, _ in self.rows)
        print(f"\n{'What':{width}}  {'ms':>6}  Result\n{'-' * width}  {'-' * 6}  {'-' * 50}")
        for what, text, took_ms in self.rows:
            print(f"{what:{width}}  {took_ms:6.0f}  {text}")


def check(holds: bool, why: str) -> None:
    if not holds:
        raise RuntimeError(why)


def show(demo: Demo) -> str:
    """The whole of it; gives the root token."""
    node, step, command = demo.node, demo.step, demo.command
    step("start", node.start, lambda s: f"a durable node with one read worker answers over TLS at {node.address} after {s * 1000:.0f} ms")
    made = step("operator init", lambda: node.json("operator", "init", "-key-shares=3", "-key-threshold=2", "-format=json"),
                lambda m: "3 unseal keys of which 2 unseal, and a root token")
    keys, root = [str(key) for key in made["unseal_keys_b64"]], str(made["root_token"])  # type: ignore[attr-defined]
    step("operator unseal", lambda: [command("operator", "unseal", key) for key in keys[:2]][-1],
         lambda out: "unsealed" if "Sealed             false" in out or "false" in out else out)
    step("secrets enable", lambda: (command("secrets", "enable", "-path=secret", "kv-v2", token=root),
                                    command("secrets", "enable", "-path=old", "-version=1", "kv", token=root)),
         lambda _: "KV version 2 at secret/, KV version 1 at old/")
    step("policy write", lambda: command("policy", "write", "app", "-", token=root, stdin=POLICY), str)
    step("auth enable", lambda: (command("auth", "enable", "userpass", token=root),
                                 command("write", "auth/userpass/users/alice", "password=correct horse", "token_policies=app", token=root)),
         lambda _: "userpass, with the user alice")
    token = step("login", lambda: command("login", "-method=userpass", "-token-only", "username=alice", "password=correct horse"),
                 lambda t: f"alice has a token ({t[:10]}…, {len(t)} characters)")
    step("kv put", lambda: command("kv", "put", "-mount=secret", "app/db", "user=app", "password=s3cret", token=token),
         lambda _: "a first version of secret/app/db, written by alice")
    step("kv get", lambda: command("kv", "get", "-mount=secret", "-field=password", "app/db", token=token), lambda out: f"password = {out}")
    command("write", "old/app", "colour=blue", token=root)
    step("read KV v1", lambda: command("read", "-field=colour", "old/app", token=token), lambda out: f"colour = {out}")

    client = hvac.Client(url=node.address, token=token, verify=str(node.ca))
    step("hvac writes KV v2", lambda: client.secrets.kv.v2.create_or_update_secret("app/db", {"user": "app", "password": "n3w"}, cas=1),
         lambda r: f"version {r['data']['version']}, by check-and-set")
    step("hvac reads KV v2", lambda: client.secrets.kv.v2.read_secret_version("app/db", raise_on_deleted_version=True),
         lambda r: f"password = {r['data']['data']['password']}, version {r['data']['metadata']['version']}")
    step("hvac reads KV v1", lambda: client.secrets.kv.v1.read_secret("app", mount_point="old"),
         lambda r: f"colour = {r['data']['colour']}")
    step("outside the policy", lambda: refused(lambda: client.secrets.kv.v1.create_or_update_secret("app", {"a": "b"}, mount_point="old")),
         lambda why: f"refused: {why}")
    wrapped = step("wrap", lambda: command("read", "-wrap-ttl=60s", "-field=wrapping_token", "secret/data/app/db", token=token),
                   lambda t: f"the secret is behind a token of one use ({t[:10]}…)")
    step("unwrap", lambda: command("unwrap", wrapped), lambda out: "the secret comes out" if "n3w" in out else out)
    again = node.run("unwrap", wrapped)
    why = again.stderr.strip().splitlines()[-1].strip("* ")
    step("unwrap again", lambda: again.returncode, lambda code: f"refused, exit {code}: {why}")
    check(again.returncode == 2, "a wrapping token was taken twice")

    step("token revoke", lambda: command("token", "revoke", token, token=root), str)
    def read_again() -> str:
        return refused(lambda: client.secrets.kv.v2.read_secret_version("app/db", raise_on_deleted_version=True))

    step("the revoked token", read_again, lambda why: f"refused: {why}")
    command("kv", "put", "-mount=secret", "app/last", "written=just before the kill", token=root)
    step("kill -9", node.kill, lambda _: "the node is gone, right after an acknowledged write")
    step("start again", node.start, lambda s: f"answers after {s * 1000:.0f} ms, sealed")
    step("unseal again", lambda: [command("operator", "unseal", key) for key in keys[1:]][-1], lambda _: "unsealed with two other keys")
    step("read it back", lambda: command("kv", "get", "-mount=secret", "-field=written", "app/last", token=root), lambda out: f"“{out}”")
    step("still revoked", read_again, lambda why: f"refused: {why}")
    return root


def refused(call: Callable[[], object]) -> str:
    """The server's words; that it refuses is what is shown."""
    try:
        call()
    except hvac.exceptions.Forbidden as error:
        return " ".join(str(error).split(", on ")[0].split())
    raise RuntimeError("was not refused")


def main() -> int:
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the node running")
    keep = parser.parse_args().keep
    folder = Path(tempfile.mkdtemp(prefix="holdfast-demo-"))
    demo = Demo(Node(folder))
    ended_well = False
    try:
        root = show(demo)
        demo.table()
        ended_well = True
        if keep:
            assert demo.node.process is not None
            print(f"\nThe node is left running, process {demo.node.process.pid}, log {demo.node.log}. To talk to it:\n"
                  f"  export VAULT_ADDR={demo.node.address} VAULT_CACERT={demo.node.ca} VAULT_TOKEN={root}\n"
                  f"  {Path(sys.executable).parent / 'holdfast'} kv get -mount=secret app/last\n"
                  f"To end it: kill {demo.node.process.pid} && rm -r {folder}")
    except RuntimeError as error:
        print(f"the demo failed: {error}", file=sys.stderr)
    finally:
        if not (keep and ended_well):
            demo.node.stop()
            shutil.rmtree(folder, ignore_errors=True)
    return 0 if ended_well else 1


if __name__ == "__main__":
    sys.exit(main())
