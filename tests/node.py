"""A real node for tests: started as an operator starts it, talked to over TLS and over its unix socket, ended without leaving anything."""
from __future__ import annotations

import base64
import json
import os
import random
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.client import Answer, Client
from tests.processes import POLL_S, all_of, has_ended, threads, wait_until, workers_of

import holdfast
from holdfast.replica.lmdb import LmdbReplica

SOURCES = Path(holdfast.__file__).parents[1]
REPOSITORY = Path(__file__).parents[1]
HOOKS = Path(__file__).parent / "hooks"
CONTRACT_ENGINES = "tests.contract.engine:CONTRACT,tests.contract.engine:CONTRACT_AUTH"
DIES_WITH_US = ("setpriv", "--pdeathsig", "KILL")
STARTS_WITHIN_S = 60.0
ENDS_WITHIN_S = 60.0
WORKERS_END_WITHIN_S = 20.0
CONNECTS_WITHIN_S = 15.0
PORTS = (10_000, 32_000)                              # below those of outgoing connections
BLOCK = 200                                           # of them, for one process of tests
STATIC_KEY = base64.b64encode(bytes(range(32))).decode()
STATIC = f"""
seal "static" {{
  current_key_id = "test"
  current_key    = "{STATIC_KEY}"
}}
"""
TCP = """
listener "tcp" {{
  address       = "{host}:{port}"
  tls_cert_file = "{certificate}"
  tls_key_file  = "{key}"
  {more}
}}
"""
UNIX = """
listener "unix" {{
  address = "{path}"
  {more}
}}
"""


class Node:
    """A node alone; tests.cluster_nodes has those of a cluster.

    `workers`: read_workers; `static`: unseals itself; `more`: further lines of the configuration, `listener` of its TCP stanza;
    `limits`: other bounds than those of holdfast.limits; `contract`: it also has the engines of tests.contract; `command`: what runs it;
    `outlives`: it may go on when this process is killed, otherwise the kernel ends it."""

    def __init__(self, folder: Path, *, workers: int = 1, storage: str = "file", static: bool = True, more: str = "", listener: str = "",
                 limits: Mapping[str, int] | None = None, contract: bool = False, env: Mapping[str, str] | None = None,
                 command: tuple[str, ...] = (), outlives: bool = False) -> None:
        self.folder, self.workers, self.static = folder, workers, static
        self.command = (*(() if outlives else DIES_WITH_US), *command)
        self.more, self.listener, self.storage = more, listener, storage
        self.env = {**({"HOLDFAST_TEST_LIMITS": json.dumps(limits)} if limits else {}),
                    **({"HOLDFAST_TEST_ENGINES": CONTRACT_ENGINES} if contract else {}), **(env or {})}
        folder.mkdir(parents=True, exist_ok=True)
        self.data, self.log, self.config = folder / "data", folder / "holdfast.log", folder / "holdfast.hcl"
        self.unix = folder / "main.sock"                 # a path of at most 107 bytes: tests keep their folders short
        self.process: subprocess.Popen[bytes] | None = None
        self.root_token = ""
        self.shares: list[str] = []                      # of the unseal key, or with `static` of the recovery key
        self.arguments: tuple[str, ...] = ()             # of the command line, besides -config
        self._preface = b""                              # what a proxy says before anything else
        self._clients: list[Client] = []
        self.port = free_port()
        self.make_certificate()
        self.write_config()

    @property
    def host(self) -> str:
        """The address at which it listens."""
        return "127.0.0.1"

    @property
    def address(self) -> str:
        return f"https://{self.host}:{self.port}"

    @property
    def ca(self) -> Path:
        return self.folder / "vault-ca.pem"

    @property
    def certificate(self) -> Path:
        return self.folder / "vault-cert.pem"

    @property
    def key(self) -> Path:
        return self.folder / "vault-key.pem"

    @property
    def pid(self) -> int:
        assert self.process is not None, "the node has not been started"
        return self.process.pid

    @property
    def log_text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def make_certificate(self) -> None:
        from holdfast.node.dev import write_dev_certificate  # here, so that tests without a node need no program that is whole

        write_dev_certificate(self.folder, ())

    @property
    def storage_stanza(self) -> str:
        return f'storage "file" {{\n  path = "{self.data}"\n}}\n' if self.storage == "file" else f'storage "{self.storage}" {{}}\n'

    def write_config(self) -> None:
        tcp = TCP.format(host=self.host, port=self.port, certificate=self.certificate, key=self.key, more=self.listener)
        self.config.write_text(
            self.storage_stanza + tcp + UNIX.format(path=self.unix, more="") + (STATIC if self.static else "")
            + f'api_addr = "{self.address}"\nread_workers = {self.workers}\n{self.more}\n'
            + ("" if "disable_mlock" in self.more else "disable_mlock = true\n"))

    def launch(self) -> None:
        """Starts the process, and waits for nothing."""
        words = [*self.command, sys.executable, "-m", "holdfast.cli", "server", f"-config={self.config}", *self.arguments]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment, cwd=self.folder)

    @property
    def environment(self) -> dict[str, str]:
        """Without settings of the tester's own; and with compiled modules kept, or each start would compile them."""
        inherited = {name: value for name, value in os.environ.items()
                     if not name.startswith(("VAULT_", "HOLDFAST_", "BAO_")) and name != "PYTHONDONTWRITEBYTECODE"}
        path = os.pathsep.join((str(HOOKS), str(SOURCES), str(REPOSITORY)))
        return {**inherited, "PYTHONPATH": path, "HOME": str(self.folder), **self.env}

    def start(self) -> float:
        """Until it answers over TCP; gives the seconds that took."""
        began = time.monotonic()
        self.launch()
        self.wait_answering()
        return time.monotonic() - began

    def start_behind(self, preface: bytes) -> None:
        """Starts it; each TCP connection begins with `preface`, as a proxy's does."""
        self._preface = preface
        self.start()

    def wait_answering(self, within_s: float = STARTS_WITHIN_S) -> None:
        """Until both listeners answer."""
        deadline = time.monotonic() + within_s
        for connect in (self.connect, self.connect_unix):
            while True:
                client = Client(connect)
                try:
                    client.get("sys/seal-status")
                    break
                except OSError:
                    assert self.process is None or self.process.poll() is None, f"exit {self.process and self.process.poll()}:\n{self.tail}"
                    assert time.monotonic() < deadline, f"no answer within {within_s} s:\n{self.tail}"
                    time.sleep(POLL_S)
                finally:
                    client.close()

    @property
    def tail(self) -> str:
        return self.log_text[-4000:]

    def begin(self) -> Node:
        """Starts, initialises and unseals."""
        self.start()
        self.initialise()
        if not self.static:
            self.unseal()
        return self

    def initialise(self, shares: int = 1, threshold: int = 1) -> Any:
        kind = "recovery" if self.static else "secret"
        made = self.client("").post("sys/init", {f"{kind}_shares": shares, f"{kind}_threshold": threshold}).ok().json
        self.root_token = made["root_token"]
        self.shares = made["recovery_keys_base64" if self.static else "keys_base64"]
        if self.static:
            self.wait_unsealed()
        return made

    def unseal(self) -> None:
        """By shares, until it is open and every worker knows."""
        for share in self.shares:
            if not self.client("").post("sys/unseal", {"key": share}).ok().json["sealed"]:
                break
        self.wait_unsealed()

    def wait_unsealed(self) -> None:
        for client in (self.client(""), self.main("")):
            wait_until(lambda client=client: client.get("sys/health").status == 200, "unsealed")  # type: ignore[misc]

    def connect(self) -> ssl.SSLSocket:
        """A TLS connection; which worker has it, the kernel chooses."""
        sock = socket.create_connection((self.host, self.port), timeout=CONNECTS_WITHIN_S)
        if self._preface:
            sock.sendall(self._preface)
        wrapped = self.tls.wrap_socket(sock, server_hostname="localhost", do_handshake_on_connect=False)
        try:
            wrapped.do_handshake()
        except BaseException:
            wrapped.close()
            raise
        return wrapped

    @cached_property
    def tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.ca))

    def connect_unix(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.settimeout(CONNECTS_WITHIN_S)
            sock.connect(str(self.unix))
        except BaseException:
            sock.close()
            raise
        return sock

    def client(self, token: str | None = None) -> Client:
        """Over TLS, so through a worker where there is one. None: the root token."""
        return self._known(Client(self.connect, self.root_token if token is None else token))

    def main(self, token: str | None = None) -> Client:
        """Over the unix socket: answered by the main process alone."""
        return self._known(Client(self.connect_unix, self.root_token if token is None else token))

    def _known(self, client: Client) -> Client:
        self._clients.append(client)
        return client

    def keys_below(self, prefix: str) -> int:
        """How many keys the replica has there, read as a worker reads it."""
        replica = LmdbReplica(self.data / "replica", writable=False)
        try:
            reader = replica.open()
            try:
                return sum(1 for _ in reader.keys(prefix))
            finally:
                reader.close()
        finally:
            replica.close()

    def stop(self) -> int:
        """SIGTERM; gives the exit code, and nothing is left."""
        if self.process is None:
            return 0
        self.close_clients()
        if self.process.poll() is None:
            self.process.terminate()
        return self.wait_ended()

    def kill(self) -> None:
        """kill -9 of main, as the machine would; its workers go with it."""
        if self.process is not None:
            started = all_of(self.pid)
            self.process.kill()
            self.wait_ended(started)

    def wait_ended(self, started: Sequence[int] = ()) -> int:
        """`started`: what it has started, where it was killed and nobody can tell any more."""
        assert self.process is not None
        process, self.process = self.process, None
        started = started or all_of(process.pid)
        try:
            code = process.wait(ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            seen = threads(process.pid)
            process.kill()
            process.wait()
            raise AssertionError(f"did not end within {ENDS_WITHIN_S} s:\n{seen}\n{self.tail}") from None
        finally:
            self.close_clients()
            self._assert_no_process(process.pid, started)
        return code

    def _assert_no_process(self, main: int, started: Sequence[int]) -> None:
        for pid in started:
            with suppress(OSError):                      # of the idle class it would wait for a core to end on, on a busy machine for long
                os.sched_setscheduler(pid, os.SCHED_OTHER, os.sched_param(0))
        try:
            wait_until(lambda: not workers_of(main) and all(has_ended(pid) for pid in started), "what it has started has ended",
                       WORKERS_END_WITHIN_S)
        except AssertionError:
            for pid in (*workers_of(main), *(pid for pid in started if not has_ended(pid))):
                os.kill(pid, signal.SIGKILL)
            raise

    def end(self) -> None:
        """However the test ended: nothing of the node stays."""
        try:
            if self.process is not None:
                if self.process.poll() is None:
                    self.process.send_signal(signal.SIGCONT)     # a test may have stopped it
                self.stop()
        finally:
            self.close_clients()

    def close_clients(self) -> None:
        for client in self._clients:
            client.close()
        self._clients.clear()

    def worker_pids(self) -> list[int]:
        return workers_of(self.pid)

    def cli(self, *words: str, token: str | None = None, stdin: str = "", env: Mapping[str, str] | None = None,
            ) -> subprocess.CompletedProcess[str]:
        """The command line, pointed at this node."""
        given = {**self.environment, "VAULT_ADDR": self.address, "VAULT_CACERT": str(self.ca), **(env or {})}
        if (value := self.root_token if token is None else token):
            given["VAULT_TOKEN"] = value
        return subprocess.run([sys.executable, "-m", "holdfast.cli", *words], env=given, input=stdin, capture_output=True, text=True,
                              timeout=120, check=False)


class Ports:
    """Those that this process gives to its nodes, each once: from blocks that no other process of tests takes from at the same time.

    Between its choice and its first use, and while its node is down, nobody listens on a port: another test must not take it then.
    """

    def __init__(self) -> None:
        self._left: list[int] = []
        self._claims: list[socket.socket] = []           # names of the kernel's, which end with this process however it ends

    def take(self) -> int:
        while True:
            if not self._left:
                self._left = list(self._claim())
            port = self._left.pop()
            with socket.socket() as sock:
                try:
                    sock.bind(("127.0.0.1", port))
                except OSError:
                    continue
            return port

    def _claim(self) -> range:
        blocks = [range(first, first + BLOCK) for first in range(*PORTS, BLOCK)]
        for block in random.sample(blocks, len(blocks)):
            claim = socket.socket(socket.AF_UNIX)
            try:
                claim.bind(f"\0holdfast-tests-{block.start}")
            except OSError:
                claim.close()
                continue
            self._claims.append(claim)
            return block
        raise AssertionError("every block of ports is taken")


_ports = Ports()


def free_port() -> int:
    """One that nobody listens on, and that the kernel gives to nobody by itself: a node can be started on it again and again."""
    return _ports.take()


def mount(client: Client, path: str, type_: str = "kv", **body: object) -> Answer:
    """A secrets engine at `path`; kv is version 2 unless `options` say otherwise."""
    return client.post(f"sys/mounts/{path}", {"type": type_, **({"options": {"version": "2"}} if type_ == "kv" else {}), **body}).ok()


def policy(client: Client, name: str, text: str) -> Answer:
    return client.post(f"sys/policies/acl/{name}", {"policy": text}).ok()


def new_token(client: Client, *policies: str, **fields: object) -> str:
    """A child of the client's token."""
    made: str = client.post("auth/token/create", {"policies": list(policies), **fields}).ok().auth["client_token"]
    return made
