"""`server`: starts a node in this process. The only command that is not a client."""
from __future__ import annotations

from collections.abc import Callable

from holdfast.cli import token_file
from holdfast.cli.command import Command, Session
from holdfast.cli.durations import SECOND, parse_duration
from holdfast.cli.errors import USAGE, Failure
from holdfast.cli.flags import Flag, FlagGroup, Flags, Kind
from holdfast.cli.layout import wrap
from holdfast.node.options import DEV_LISTEN_ADDRESS, ServerOptions

_IMPLIES_DEV = ("dev-tls", "dev-kv-v1", "dev-no-kv")
_REFUSED = ("recovery", "dev-ha", "dev-three-node", "dev-four-cluster", "dev-plugin-dir")


def read_options(session: Session) -> ServerOptions:
    """Raises Failure for what contradicts itself or is not supported."""
    from holdfast.config import rules  # here, as the help of all commands loads this module

    flags = session.flags
    for name in _REFUSED:
        if flags.given(name):
            raise Failure(f"-{name} is not supported", USAGE)
    dev = flags.switch("dev") or any(flags.switch(name) for name in _IMPLIES_DEV)
    token = flags.string("dev-root-token-id")
    if not dev and not flags.strings("config"):
        raise Failure("Must specify at least one config path using -config", USAGE)
    if "" in flags.strings("config"):
        raise Failure("-config is empty: it takes the path of a file or of a folder", USAGE)    # "" would be the folder that we are in
    if not dev and token:
        session.ui.warn(wrap('You cannot specify a custom root token ID outside of "dev" mode. Your request has been ignored.'))
        token = ""

    def store(value: str) -> None:
        token_file.store(session.env, value)

    return ServerOptions(
        config_paths=flags.strings("config"),
        dev=dev,
        dev_root_token_id=token,
        dev_listen_address=flags.string("dev-listen-address") or DEV_LISTEN_ADDRESS,
        dev_tls=flags.switch("dev-tls"),
        dev_tls_cert_dir=flags.string("dev-tls-cert-dir"),
        dev_tls_san=flags.strings("dev-tls-san"),
        dev_no_kv=flags.switch("dev-no-kv"),
        dev_kv_v1=flags.switch("dev-kv-v1"),
        store_dev_token=store if dev and not flags.switch("dev-no-store-token") else None,
        log_level=_named(flags, "log-level", rules.log_level),
        log_format=_named(flags, "log-format", rules.log_format),
        log_file=flags.string("log-file"),
        log_rotate_bytes=flags.integer("log-rotate-bytes"),
        log_rotate_duration_s=_rotation(flags),
        log_rotate_max_files=flags.integer("log-rotate-max-files"),
        exit_on_core_shutdown=flags.switch("exit-on-core-shutdown"),
        verify_only=flags.switch("verify-only") or flags.switch("test-verify-only"),
    )


def _named(flags: Flags, name: str, rule: Callable[[object], object]) -> str:
    """What the rule of the configuration's key of this name makes of the flag."""
    given = flags.string(name)
    try:
        return str(rule(given)) if given else ""
    except ValueError as error:
        raise Failure(f"-{name}: {error}", USAGE) from error


def _rotation(flags: Flags) -> float:
    given = flags.string("log-rotate-duration")
    try:
        return parse_duration(given) / SECOND if given else 0.0
    except ValueError as error:
        raise Failure(f"-log-rotate-duration: {error}", USAGE) from error


def _run(session: Session) -> int:
    session.arguments(0, 0)
    options = read_options(session)
    session.ui.terminal.flush()
    from holdfast.node.run import run_server

    return run_server(options)


_GENERAL = (
    Flag(name="config", kind=Kind.STRINGS, text="Configuration file, or folder of .hcl and .json files; may be given several times."),
    Flag(name="exit-on-core-shutdown", kind=Kind.SWITCH, text="End the process when the node has shut itself down."),
    Flag(name="verify-only", kind=Kind.SWITCH, text="Check the configuration, print what follows from it, and start nothing."),
    Flag(name="test-verify-only", kind=Kind.SWITCH, hidden=True, text="As -verify-only."),
    Flag(name="recovery", kind=Kind.SWITCH, hidden=True, text="Not supported."),
)
_LOG = (
    Flag(name="log-level", kind=Kind.STRING, env="VAULT_LOG_LEVEL", text='"trace", "debug", "info", "warn" or "error".'),
    Flag(name="log-format", kind=Kind.STRING, env="VAULT_LOG_FORMAT", text='"standard" or "json".'),
    Flag(name="log-file", kind=Kind.STRING, text="File to log to as well."),
    Flag(name="log-rotate-bytes", kind=Kind.INTEGER, text="Size of the log file, in bytes, that makes a new one begin."),
    Flag(name="log-rotate-duration", kind=Kind.STRING, text="Age of the log file that makes a new one begin, as 24h."),
    Flag(name="log-rotate-max-files", kind=Kind.INTEGER, text="How many older log files are kept."),
)
_DEV = (
    Flag(name="dev", kind=Kind.SWITCH, text="Run a node for trying things: in memory, unsealed, its root token stored for later commands."),
    Flag(
        name="dev-root-token-id",
        kind=Kind.STRING,
        env="VAULT_DEV_ROOT_TOKEN_ID",
        text="The root token of a dev node; a random one if it is not given.",
    ),
    Flag(
        name="dev-listen-address",
        kind=Kind.STRING,
        default=DEV_LISTEN_ADDRESS,
        env="VAULT_DEV_LISTEN_ADDRESS",
        text="Address that a dev node listens on.",
    ),
    Flag(name="dev-tls", kind=Kind.SWITCH, text="A dev node with TLS: an authority and a certificate are made for it. Implies -dev."),
    Flag(name="dev-tls-cert-dir", kind=Kind.STRING, text="Folder for the files of -dev-tls; a temporary one if it is not given."),
    Flag(name="dev-tls-san", kind=Kind.STRINGS, text="Further name or address in the certificate of -dev-tls; may be given several times."),
    Flag(name="dev-no-store-token", kind=Kind.SWITCH, text="Do not store the root token of a dev node for the other commands."),
    Flag(name="dev-no-kv", kind=Kind.SWITCH, text="Mount nothing at secret/. Implies -dev."),
    Flag(name="dev-kv-v1", kind=Kind.SWITCH, hidden=True, text="Mount KV version 1 at secret/. Implies -dev."),
    Flag(name="dev-ha", kind=Kind.SWITCH, hidden=True, text="Not supported."),
    Flag(name="dev-three-node", kind=Kind.SWITCH, hidden=True, text="Not supported."),
    Flag(name="dev-four-cluster", kind=Kind.SWITCH, hidden=True, text="Not supported."),
    Flag(name="dev-plugin-dir", kind=Kind.STRING, hidden=True, text="Not supported."),
)

COMMANDS = (
    Command(
        name="server",
        synopsis="Start a server",
        usage="[options]",
        text="Starts a node with the given configuration and stays with it until it ends. "
        "It must then be initialised and unsealed (holdfast operator), unless it unseals itself.",
        examples=(
            ("With a configuration:", "holdfast server -config=/etc/holdfast/config.hcl"),
            ("To try things, in memory:", "holdfast server -dev -dev-root-token-id=root"),
        ),
        options=(FlagGroup("Command Options", _GENERAL), FlagGroup("Log Options", _LOG), FlagGroup("Dev Options", _DEV)),
        run=_run,
    ),
)
