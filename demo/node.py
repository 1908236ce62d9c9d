"""One node in a temporary folder, and the command line pointed at it."""
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from ssl import create_default_context

from holdfast.node.dev import DEV_CA, DEV_CERT, DEV_KEY, write_dev_certificate

READY_WITHIN_S = 20.0
CONFIG = """
storage "file" {{
  path = "{folder}/data"
}}

listener "tcp" {{
  address       = "127.0.0.1:{port}"
  tls_cert_file = "{certificate}"
  tls_key_file  = "{key}"
}}

api_addr      = "https://127.0.0.1:{port}"
read_workers  = 1
disable_mlock = true
"""


class Node:
    """A server process with its configuration, data and log below `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, _free_port()
        write_dev_certificate(folder, ())
        self.ca, certificate, key = folder / DEV_CA, folder / DEV_CERT, folder / DEV_KEY
        self.config = folder / "holdfast.hcl"
        self.config.write_text(CONFIG.format(folder=folder, port=self.port, certificate=certificate, key=key))
        self.address = f"https://127.0.0.1:{self.port}"
        self.log = folder / "holdfast.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Starts the server; gives the seconds until it answered."""
        began = time.monotonic()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([_holdfast(), "server", f"-config={self.config}"], stdout=log, stderr=log)
        context = create_default_context(cafile=str(self.ca))
        while time.monotonic() - began < READY_WITHIN_S:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended with {self.process.returncode}:\n{self.log.read_text()[-2000:]}")
            try:
                with urllib.request.urlopen(f"{self.address}/v1/sys/seal-status", context=context, timeout=1) as answer:
                    answer.read()
                    return time.monotonic() - began
            except (urllib.error.URLError, TimeoutError, ConnectionError):
                time.sleep(0.02)
        raise RuntimeError(f"the server did not answer within {READY_WITHIN_S} s:\n{self.log.read_text()[-2000:]}")

    def kill(self) -> None:
        """kill -9, as the machine would."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def run(self, *arguments: str, token: str = "", stdin: str = "") -> subprocess.CompletedProcess[str]:
        """The command line, as an operator types it."""
        env = {**os.environ, "VAULT_ADDR": self.address, "VAULT_CACERT": str(self.ca), "HOME": str(self.folder), "VAULT_TOKEN": token}
        return subprocess.run([_holdfast(), *arguments], env=env, input=stdin, capture_output=True, text=True, timeout=30, check=False)

    def json(self, *arguments: str, token: str = "") -> dict[str, object]:
        """The command line with -format=json, which goes before the other arguments."""
        done = self.run(*arguments, token=token)
        if done.returncode != 0:
            raise RuntimeError(f"holdfast {' '.join(arguments)}: exit {done.returncode}\n{done.stderr}")
        found: dict[str, object] = json.loads(done.stdout)
        return found


def _holdfast() -> str:
    return str(Path(sys.executable).parent / "holdfast")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
