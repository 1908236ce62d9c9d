"""What a starting node prints: its configuration, and in dev mode how to talk to it.

1. Pure: the caller gathers, prints and flushes. All of it goes to stdout, as Vault's, where scripts look for the root token.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence

STARTED = "==> Holdfast server started! Log data will stream in below:\n"
SHUTDOWN = "==> Holdfast shutdown triggered"
RELOAD = "==> Holdfast reload triggered"
_KEY_WIDTH = 24


def configuration_table(rows: Mapping[str, str]) -> str:
    """The table of the start: one row per setting, sorted, titles in capitals as `Api Address`; ends in an empty line.

    Vault's rows, for those who read them: Api Address, Cgo, Cluster Address, Environment Variables, Go Version, Listener 1, Log Level,
    Mlock, Recovery Mode, Storage, Version, Version Sha.
    """
    titled = {" ".join(word[:1].upper() + word[1:] for word in key.split(" ")): value for key, value in rows.items()}
    lines = [f"{key:>{_KEY_WIDTH}}: {titled[key]}".rstrip() for key in sorted(titled)]
    return "==> Holdfast server configuration:\n\n" + "\n".join(lines) + "\n"


def dev_banner(*, address: str, root_token: str, unseal_key: str = "", ca_cert: str = "", notes: Sequence[str] = ()) -> str:
    """What to know of a dev node. `address` with its scheme; `unseal_key` in base64; `ca_cert`: path, with TLS only."""
    lines = [
        "WARNING! This is a dev node: all it knows is in memory and gone when it ends,",
        "it is unsealed already, and this user's command line has its root token.",
        "",
        "For another shell:",
        "",
        f"    $ export VAULT_ADDR='{address}'",
    ]
    if ca_cert:
        lines += [f"    $ export VAULT_CACERT='{ca_cert}'", ""]
    lines.append("")
    if unseal_key:
        lines.append(f"Unseal Key: {unseal_key}")
    lines += [f"Root Token: {root_token}", ""]
    for note in notes:
        lines += [note, ""]
    lines += ["Never keep anything in a dev node that must not be lost or read by others.", ""]
    return "\n".join(lines)
