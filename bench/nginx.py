"""nginx with one process, answering every path with the same bytes from memory over TLS."""
from __future__ import annotations

import os
import shutil
import signal
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.client import Answer
from tests.processes import wait_until

from bench.figures import Skipped
from bench.machine import cores, pinned

OF_ITS_OWN = ("content-type", "content-length", "connection", "date", "server")
CONFIG = """
daemon off;
master_process off;
worker_processes 1;
error_log {folder}/error.log;
pid {folder}/pid;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 60s;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    ssl_protocols TLSv1.2 TLSv1.3;
    default_type application/json;
    {headers}
    location / {{ return 200 '{body}'; }}
  }}
}}
"""


def require() -> None:
    """Raises Skipped."""
    if shutil.which("nginx") is None and not Path("/usr/sbin/nginx").exists():
        raise Skipped("nginx is not installed (Debian: apt install nginx-light)")


@contextmanager
def serving(folder: Path, answer: Answer, certificate: Path, key: Path) -> Iterator[tuple[str, int]]:
    """Serves a copy of `answer`; gives the address and the process. It ends with the block."""
    folder.mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    headers = "".join(f"add_header {name} '{value}';\n" for name, value in answer.headers if name not in OF_ITS_OWN)
    config = folder / "nginx.conf"
    config.write_text(CONFIG.format(folder=folder, port=port, certificate=certificate, key=key, headers=headers,
                                    body=answer.body.decode().replace("\\", "\\\\").replace("'", "\\'")))
    both = cores()
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin"))
    process = subprocess.Popen([*(pinned(both[0]) if both else ()), shutil.which("nginx", path=path) or "nginx", "-p", str(folder),
                                "-c", str(config)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: _answers(port), "nginx answers")
        yield f"https://127.0.0.1:{port}", process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def _answers(port: int) -> bool:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as sock, context.wrap_socket(sock):
            return True
    except OSError:
        return False
