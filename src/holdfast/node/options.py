"""What the command line asks of a node that it starts."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

DEV_LISTEN_ADDRESS = "127.0.0.1:8200"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """Of `holdfast server`. Empty: not given; then the configuration decides.

    Outside of dev mode there is at least one configuration path. A dev node keeps all in memory, starts unsealed with one key share, has
    KV version 2 at `secret/` (unless `dev_kv_v1` or `dev_no_kv`), and prints `banner.dev_banner`; configuration paths are merged over it.
    """

    config_paths: tuple[str, ...] = ()
    dev: bool = False
    dev_root_token_id: str = ""                         # empty: a random one
    dev_listen_address: str = DEV_LISTEN_ADDRESS
    dev_tls: bool = False                               # a throw-away authority and certificate, made at start
    dev_tls_cert_dir: str = ""                          # empty: a folder of its own, removed at the end
    dev_tls_san: tuple[str, ...] = ()
    dev_no_kv: bool = False
    dev_kv_v1: bool = False
    store_dev_token: Callable[[str], None] | None = None    # called once with the root token; raises OSError, which only deserves a warning
    log_level: str = ""
    log_format: str = ""
    log_file: str = ""
    log_rotate_bytes: int = 0
    log_rotate_duration_s: float = 0.0
    log_rotate_max_files: int = 0
    exit_on_core_shutdown: bool = False
    verify_only: bool = False                           # check the configuration, print it, start nothing
