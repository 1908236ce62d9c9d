"""`holdfast server`, from its options to its exit code."""
import asyncio
import contextlib
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import uvloop
from msgspec.structs import replace

from holdfast import config
from holdfast.config.settings import Settings, TcpListener, UnixListener
from holdfast.errors import HoldfastError
from holdfast.node import banner, harden
from holdfast.node.options import ServerOptions
from holdfast.node.process import share_interpreter, stop_on_defects
from holdfast.node.server import Server
from holdfast.telemetry.setup import LogOptions, capture_libraries, open_logs
from holdfast.telemetry.sinks import FileOptions
from holdfast.version import VERSION

OK, FAILED = 0, 1


def run_server(options: ServerOptions) -> int:
    """Runs a node until SIGTERM or SIGINT. 0: it ended as asked; 1: it could not start, or could not go on."""
    with _dev_folder(options) as folder:
        try:
            settings, warnings = read_settings(options, os.environ, folder)
        except (HoldfastError, OSError, ValueError) as error:
            print(f"error loading configuration: {error}", file=sys.stderr)
            return FAILED
        for warning in warnings:
            print(f"WARNING! {warning}", file=sys.stderr)
        if options.verify_only:
            print(banner.configuration_table(rows(settings)))
            return OK
        harden.forbid_core_dumps()
        return uvloop.run(_run(options, settings, folder))


def read_settings(options: ServerOptions, env: Mapping[str, str], dev_folder: Path | None) -> tuple[Settings, tuple[str, ...]]:
    """What files, environment and flags say together, and what deserves a warning. Raises ConfigError, OSError."""
    paths = [Path(path) for path in options.config_paths]
    if options.dev:
        from holdfast.node.dev import DEV_CERT, DEV_KEY  # here, as below: certificates are slow to import, and only dev nodes make them

        certificate, key = (str(dev_folder / DEV_CERT), str(dev_folder / DEV_KEY)) if dev_folder is not None else ("", "")
        loaded = config.dev_settings(listen_address=options.dev_listen_address, tls_cert_file=certificate, tls_key_file=key, paths=paths,
                                     env=env)
    else:
        loaded = config.load(paths, env)
    settings = loaded.settings
    given = {name: value for name, value in (
        ("log_level", options.log_level), ("log_format", options.log_format), ("log_file", options.log_file),
        ("log_rotate_bytes", options.log_rotate_bytes), ("log_rotate_duration_s", options.log_rotate_duration_s),
        ("log_rotate_max_files", options.log_rotate_max_files)) if value}
    return replace(settings, **given), tuple(str(warning) for warning in loaded.warnings)


def log_options(settings: Settings) -> LogOptions:
    """What of the settings concerns the log; the same for every process of the node."""
    file = FileOptions(path=settings.log_file, rotate_bytes=settings.log_rotate_bytes, rotate_after_s=settings.log_rotate_duration_s,
                       files_max=settings.log_rotate_max_files) if settings.log_file else None
    return LogOptions(level=settings.log_level, format=settings.log_format, file=file)


def rows(settings: Settings) -> Mapping[str, str]:
    """What the table of the start says."""
    found = {"Api Address": settings.api_addr, "Cluster Address": settings.cluster_addr, "Log Level": settings.log_level,
             "Mlock": f"supported: true, enabled: {str(not settings.disable_mlock).lower()}", "Storage": settings.storage.type,
             "Version": f"Holdfast v{VERSION}"}
    for number, listener in enumerate(settings.listeners, 1):
        match listener:
            case TcpListener(address=address, tls_disable=plain):
                found[f"Listener {number}"] = f'tcp (addr: "{address}", tls: "{"disabled" if plain else "enabled"}")'
            case UnixListener(address=address):
                found[f"Listener {number}"] = f'unix (addr: "{address}")'
    return found


async def _run(options: ServerOptions, settings: Settings, dev_folder: Path | None) -> int:
    loop = asyncio.get_running_loop()
    share_interpreter()
    try:
        of_log = log_options(settings)
        logs = open_logs(of_log)
    except (HoldfastError, OSError, ValueError) as error:
        print(f"Error opening the log: {error}", file=sys.stderr)
        return FAILED
    capture_libraries(logs.logger("library"))
    stop_on_defects(loop, logs.logger("core"), str(settings.storage.options.get("path", "")))

    def reread() -> Settings:
        return read_settings(options, os.environ, dev_folder)[0]

    server = Server(settings, logs, of_log, reread)
    print(banner.configuration_table(rows(settings)), flush=True)
    try:
        with _pid_file(settings.pid_file):
            await server.start()
            print(banner.STARTED, flush=True)
            if options.dev:
                await _begin_dev(options, server, dev_folder)
            _on_signals(loop, server)
            await server.ended
            print(banner.SHUTDOWN, flush=True)
            await server.stop()
            return OK
    except (HoldfastError, OSError, ValueError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return FAILED
    finally:
        logs.close()


def _on_signals(loop: asyncio.AbstractEventLoop, server: Server) -> None:
    def end() -> None:
        if not server.ended.done():
            server.ended.set_result(None)

    def reload() -> None:
        print(banner.RELOAD, flush=True)
        server.begin_reload()

    loop.add_signal_handler(signal.SIGTERM, end)
    loop.add_signal_handler(signal.SIGINT, end)
    loop.add_signal_handler(signal.SIGHUP, reload)


async def _begin_dev(options: ServerOptions, server: Server, folder: Path | None) -> None:
    from holdfast.node.dev import DEV_CA, begin_dev

    kv = "" if options.dev_no_kv else "1" if options.dev_kv_v1 else "2"
    begun = await begin_dev(server.main, root_token=options.dev_root_token_id, kv=kv)
    notes = []
    if options.store_dev_token is not None:
        try:
            options.store_dev_token(begun.root_token)
        except OSError as error:
            notes.append(f"The root token could not be stored for later commands: {error.strerror}")
    ca = str(folder / DEV_CA) if folder is not None and options.dev_tls else ""
    print(banner.dev_banner(address=server.settings.api_addr, root_token=begun.root_token, unseal_key=begun.unseal_key, ca_cert=ca,
                            notes=notes), flush=True)


@contextlib.contextmanager
def _dev_folder(options: ServerOptions) -> Iterator[Path | None]:
    """Where a dev node's certificates lie: a folder of its own, or the one that was asked for."""
    if not options.dev_tls:
        yield None
        return
    from holdfast.node.dev import write_dev_certificate

    own = not options.dev_tls_cert_dir
    folder = Path(tempfile.mkdtemp(prefix="holdfast-tls-")) if own else Path(options.dev_tls_cert_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_dev_certificate(folder, options.dev_tls_san)
        yield folder
    finally:
        if own:
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _pid_file(path: str) -> Iterator[None]:
    """Tells supervisors which process to signal."""
    if path:
        Path(path).write_text(f"{os.getpid()}\n")
    try:
        yield
    finally:
        if path:
            Path(path).unlink(missing_ok=True)
