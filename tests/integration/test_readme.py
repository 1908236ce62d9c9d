"""The README's commands do what it says: its make targets exist, and its first minute works as it stands, but for the port."""
from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

from tests.node import free_port

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
DOCUMENTS = [*(ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CHANGELOG.md")), *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = re.findall(r"```console\n(.*?)```", README, re.DOTALL)


def test_every_make_target_that_a_document_names_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {name for document in DOCUMENTS for name in re.findall(r"(?:`|^)make ([a-z]+)\b", document.read_text(), re.MULTILINE)}
    assert {"demo", "test", "bench"} <= named
    assert named <= targets


def test_the_first_minute_by_hand(tmp_path: Path) -> None:
    block = next(block for block in BLOCKS if "server -dev" in block)
    port = free_port()
    server = f"server -dev -dev-no-store-token -dev-listen-address=127.0.0.1:{port}"
    script = block.replace("server -dev", server).replace("8200", str(port))
    wait = f"for _ in $(seq 2000); do curl -sf http://127.0.0.1:{port}/v1/sys/health >/dev/null && break; sleep 0.05; done\n"
    script = script.replace("export VAULT_ADDR", wait + "export VAULT_ADDR")
    env = {**{name: value for name, value in os.environ.items() if not name.startswith("VAULT_")}, "HOME": str(tmp_path)}
    shell = subprocess.Popen(["bash", "-e", "-c", script + "\nkill %1; wait %1"], cwd=ROOT, env=env, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True, start_new_session=True)
    try:
        output, _ = shell.communicate(timeout=300)
    finally:
        if shell.poll() is None:
            os.killpg(shell.pid, signal.SIGKILL)
    assert shell.returncode == 0, output
    assert "secret/data/app/db" in output
    assert '"password":"s3cret"' in output


def test_files_that_documents_link_to_exist() -> None:
    for document in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"
