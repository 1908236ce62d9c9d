"""A command as a record, and what it runs with.

1. Help, docs/commands.md and the reading of the command line come from the same records.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.cli import token_file
from holdfast.cli.errors import API, USAGE, Failure
from holdfast.cli.flags import Flag, FlagGroup, Flags, Kind
from holdfast.cli.output import Ui
from holdfast.cli.settings import DEFAULT_ADDRESS, NOT_SET, Settings, read_settings
from holdfast.cli.terminal import NoTerminalError

if TYPE_CHECKING:
    from holdfast.cli.client import Client

Run = Callable[["Session"], int]
ClientFactory = Callable[[Settings], "Client"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """`name` is the words behind `holdfast`. Without `run` it only groups the commands below it."""

    name: str
    synopsis: str
    usage: str = ""
    text: str = ""
    examples: tuple[tuple[str, str], ...] = ()
    options: tuple[FlagGroup, ...] = ()
    run: Run | None = None
    takes_raw: bool = False
    warns_of_late_flags: bool = True


@dataclass(slots=True, kw_only=True)
class Session:
    """One run of one command."""

    ui: Ui
    flags: Flags
    args: list[str]
    env: Mapping[str, str]
    make_client: ClientFactory

    def client(self) -> Client:
        """Raises Failure (exit code 2) when the settings cannot be used."""
        try:
            stored = "" if self.env.get("VAULT_TOKEN") else token_file.load(self.env)
        except OSError as error:
            raise Failure(f"failed to get token from token helper: {error}", API) from error
        return self.make_client(read_settings(self.flags, self.env, stored_token=stored))

    def arguments(self, least: int, most: int | None, *, expected: str = "") -> list[str]:
        """The arguments behind the flags, their number checked; `expected` is how the message names it. Raises Failure."""
        count = len(self.args)
        expected = expected or str(least)
        if count < least:
            raise Failure(f"Not enough arguments (expected {expected}, got {count})", USAGE)
        if most is not None and count > most:
            raise Failure(f"Too many arguments (expected {expected}, got {count})", USAGE)
        return self.args

    @property
    def _may_ask(self) -> bool:
        return not (self.flags.has("non-interactive") and self.flags.switch("non-interactive"))

    def read_stdin(self) -> bytes:
        """What is piped in; with -non-interactive nothing that somebody would have to type."""
        terminal = self.ui.terminal
        return terminal.read_stdin() if self._may_ask or not terminal.input_is_terminal() else b""

    def ask_secret(self, question: str, *, what: str, instead: str) -> str:
        """A hidden line from the terminal. Raises Failure that tells what to do instead."""
        if not self._may_ask:
            raise Failure(f"The {what} is not asked for with -non-interactive. {instead}", USAGE)
        try:
            return self.ui.terminal.ask_secret(question)
        except (NoTerminalError, OSError) as error:
            why = "most likely because this is not a terminal or something is piped in"
            raise Failure(f"The {what} could not be asked for, {why}. {instead}\n\n{error}", USAGE) from error


HTTP_FLAGS = (
    Flag(name="address", kind=Kind.STRING, default=DEFAULT_ADDRESS, env="VAULT_ADDR", text="Address of the server; also unix:///path/of/a/socket."),
    Flag(name="agent-address", kind=Kind.STRING, env="VAULT_AGENT_ADDR", text="Address of a local agent; wins over -address."),
    Flag(
        name="ca-cert",
        kind=Kind.STRING,
        env="VAULT_CACERT",
        text="PEM file with the authority that the server's certificate is verified against; wins over -ca-path.",
    ),
    Flag(name="ca-path", kind=Kind.STRING, env="VAULT_CAPATH", text="Folder of PEM files with such authorities."),
    Flag(
        name="client-cert",
        kind=Kind.STRING,
        env="VAULT_CLIENT_CERT",
        text="PEM file with a client certificate for TLS; needs -client-key.",
    ),
    Flag(name="client-key", kind=Kind.STRING, env="VAULT_CLIENT_KEY", text="PEM file with the private key of -client-cert."),
    Flag(
        name="disable-redirects",
        kind=Kind.SWITCH,
        env="VAULT_DISABLE_REDIRECTS",
        text="Do not follow the one redirect that is followed otherwise.",
    ),
    Flag(
        name="header",
        kind=Kind.PAIRS,
        text="HTTP header to add to each request; may be given several times. Names that start with X-Vault- are refused.",
    ),
    Flag(name="mfa", kind=Kind.STRINGS, env="VAULT_MFA", text="Credentials for the X-Vault-MFA header; may be given several times."),
    Flag(
        name="namespace",
        kind=Kind.STRING,
        default=NOT_SET,
        env="VAULT_NAMESPACE",
        text="Namespace that the command works in; -ns is the short form.",
    ),
    Flag(name="ns", kind=Kind.STRING, default=NOT_SET, hidden=True, text="As -namespace, and wins over it."),
    Flag(name="non-interactive", kind=Kind.SWITCH, text="Never ask for input at the terminal."),
    Flag(name="output-curl-string", kind=Kind.SWITCH, text="Print the request as a command for curl instead of sending it."),
    Flag(name="output-policy", kind=Kind.SWITCH, text="Print a policy that would allow the request instead of sending it."),
    Flag(name="policy-override", kind=Kind.SWITCH, text="Ask to override a soft-mandatory policy."),
    Flag(
        name="tls-server-name",
        kind=Kind.STRING,
        env="VAULT_TLS_SERVER_NAME",
        text="Name that the server's certificate must have, if it is not that of the address.",
    ),
    Flag(
        name="tls-skip-verify",
        kind=Kind.SWITCH,
        env="VAULT_SKIP_VERIFY",
        text="Do not verify the server's certificate. Whoever is on the way can then read and change everything.",
    ),
    Flag(name="unlock-key", kind=Kind.STRING, default=NOT_SET, text="Key that unlocks the API of a locked namespace."),
    Flag(
        name="wrap-ttl",
        kind=Kind.DURATION,
        env="VAULT_WRAP_TTL",
        text='Keep the answer on the server, for this long (30s, 5m), and print a token for it; "holdfast unwrap" gets it.',
    ),
)
HTTP = FlagGroup("HTTP Options", HTTP_FLAGS)
_FIELD = Flag(
    name="field",
    kind=Kind.STRING,
    text="Print this field alone, whatever the format says, without a line break at the end unless stdout is a terminal.",
)
_FORMAT = Flag(
    name="format",
    kind=Kind.STRING,
    default="table",
    env="VAULT_FORMAT",
    text='"table", "json", "yaml" or "pretty"; "raw" for "holdfast read" only.',
)
_DETAILED = Flag(name="detailed", kind=Kind.SWITCH, env="VAULT_DETAILED", text="Print more about each item, where the server tells more.")


def options(*own: Flag, field: bool = False, format: bool = True, detailed: bool = False) -> tuple[FlagGroup, ...]:
    """The flags of a command: those of every request, those of its output, its own."""
    output = [flag for flag, wanted in ((_FIELD, field), (_FORMAT, format), (_DETAILED, detailed)) if wanted]
    groups = [HTTP, FlagGroup("Output Options", tuple(output)), FlagGroup("Command Options", own)]
    return tuple(group for group in groups if group.flags)
