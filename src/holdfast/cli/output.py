"""What is printed: tables, JSON, YAML, single fields.

1. A result printed as a table and one printed as JSON come from the same record.
2. A single field ends in a line break only on a terminal, so that `$(…)` and pipes get the bare value.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence

from holdfast.cli import json_text, terminal
from holdfast.cli.durations import human_seconds
from holdfast.cli.errors import USAGE, Failure
from holdfast.cli.fields import field_of
from holdfast.cli.json_text import Json, Number, plain, quoted_list
from holdfast.cli.layout import EMPTY, go_time, table, wrap
from holdfast.cli.secret import Auth, Object, Secret, WrapInfo
from holdfast.cli.terminal import Terminal

FORMATS = ("json", "pretty", "raw", "table", "yaml", "yml")


class Ui:
    """A terminal, and the format asked for."""

    def __init__(self, terminal: Terminal, *, format: str, detailed: bool = False, color: bool = False) -> None:
        self.terminal = terminal
        self.format = format
        self.detailed = detailed
        self._color = color

    @property
    def is_table(self) -> bool:
        return self.format == "table"

    def output(self, text: str) -> None:
        self.terminal.out(text + "\n")

    def error(self, text: str) -> None:
        self._complain(text, terminal.RED)

    def warn(self, text: str) -> None:
        self._complain(text, terminal.YELLOW)

    def _complain(self, text: str, color: str) -> None:
        self.terminal.err((f"{color}{text}{terminal.RESET}" if self._color else text) + "\n")

    def success(self, text: str) -> int:
        """A sentence of success for a person: nothing with any other format. Returns 0."""
        if self.is_table:
            self.output(text)
        return 0


def print_warnings(ui: Ui, secret: Secret | None) -> None:
    if secret is not None and secret.warnings:
        ui.warn("WARNING! The following warnings were returned from Vault:\n")
        for warning in secret.warnings:
            ui.warn(wrap(f"* {warning}", indent=2))
            ui.warn("")


def output_secret(ui: Ui, secret: Secret) -> int:
    """A secret in the format asked for. Returns the exit code."""
    if not ui.is_table:
        return output_data(ui, secret.to_json())
    print_warnings(ui, secret)
    rows = secret_rows(secret)
    if rows:
        ui.output(table(("Key", "Value"), rows))
    return 0


def secret_rows(secret: Secret) -> list[tuple[str, str]]:
    """Rows of the table: lease, login, wrapping, then the data sorted by name."""
    rows: list[tuple[str, str]] = []
    if secret.lease_duration > 0 and secret.lease_id:
        rows += [
            ("lease_id", secret.lease_id),
            ("lease_duration", human_seconds(secret.lease_duration)),
            ("lease_renewable", plain(secret.renewable)),
        ]
    elif secret.lease_duration > 0:
        rows.append(("refresh_interval", human_seconds(secret.lease_duration)))
    if secret.auth is not None:
        rows += _auth_rows(secret.auth)
    if secret.wrap_info is not None:
        rows += _wrap_rows(secret.wrap_info)
    return rows + map_rows(secret.data or {})


def _auth_rows(auth: Auth) -> list[tuple[str, str]]:
    if auth.mfa_requirement is not None:
        return _mfa_rows(auth.mfa_requirement)
    return [
        ("token", auth.client_token),
        ("token_accessor", auth.accessor),
        ("token_duration", human_seconds(auth.lease_duration) if auth.lease_duration else "∞"),
        ("token_renewable", plain(auth.renewable)),
        ("token_policies", quoted_list(auth.token_policies)),
        ("identity_policies", quoted_list(auth.identity_policies)),
        ("policies", quoted_list(auth.policies)),
        *((f"token_meta_{key}", value) for key, value in sorted((auth.metadata or {}).items())),
    ]


def _mfa_rows(requirement: Object) -> list[tuple[str, str]]:
    rows = [("mfa_request_id", plain(requirement.get("mfa_request_id")))]
    constraints = requirement.get("mfa_constraints")
    for name, constraint in sorted(constraints.items()) if isinstance(constraints, Mapping) else ():
        methods = constraint.get("any") if isinstance(constraint, Mapping) else None
        for method in methods if isinstance(methods, list) else ():
            if isinstance(method, Mapping):
                head = f"mfa_constraint_{name}_{plain(method.get('type'))}"
                rows.append((f"{head}_id", plain(method.get("id"))))
                rows.append((f"{head}_uses_passcode", plain(method.get("uses_passcode") is True)))
                if method.get("name"):
                    rows.append((f"{head}_name", plain(method.get("name"))))
    return rows


def _wrap_rows(info: WrapInfo) -> list[tuple[str, str]]:
    rows = [
        ("wrapping_token:", info.token),
        ("wrapping_accessor:", info.accessor),
        ("wrapping_token_ttl:", human_seconds(info.ttl)),
        ("wrapping_token_creation_time:", go_time(info.creation_time)),
        ("wrapping_token_creation_path:", info.creation_path),
    ]
    return [*rows, ("wrapped_accessor:", info.wrapped_accessor)] if info.wrapped_accessor else rows


def map_rows(data: Object) -> list[tuple[str, str]]:
    return [(key, _cell(key, data[key])) for key in sorted(data)]


def _cell(key: str, value: Json) -> str:
    if is_duration_name(key) and isinstance(value, (int, Number)) and not isinstance(value, bool):
        seconds = str(value)
        if seconds.lstrip("-").isdecimal():
            return human_seconds(int(seconds))
    return plain(value)


def is_duration_name(key: str) -> bool:
    """Whether a field of this name holds seconds that a person wants to see as a duration."""
    return key in ("period", "ttl", "duration", "lease_max", "ttl_max") or key.endswith(("_period", "_ttl", "_duration"))


def output_data(ui: Ui, value: Json) -> int:
    """Any value in the format asked for; as a table it must be an object or a list of names."""
    match ui.format:
        case "json":
            ui.output(json_text.encode(value, "  "))
        case "yaml" | "yml":
            from holdfast.cli import yaml_text

            ui.output(yaml_text.encode(value))
        case "table" if isinstance(value, Mapping):
            if value:
                ui.output(table(("Key", "Value"), map_rows(value)))
        case "table" if isinstance(value, (list, tuple)):
            _output_names(ui, value)
        case "table":
            raise Failure("Could not parse output: cannot use the table formatter for this type", USAGE)
        case "raw":
            raise Failure("Could not parse output: This command does not support the -format=raw option; only `vault read` does.", USAGE)
        case _:
            raise Failure(f"Could not parse output: cannot use the {ui.format} formatter for this type", USAGE)
    return 0


def output_list(ui: Ui, secret: Secret) -> int:
    """The names of a LIST answer."""
    if not ui.is_table:
        return output_data(ui, secret.to_json() if ui.format == "json" and ui.detailed else secret["keys"])
    print_warnings(ui, secret)
    names = secret.keys() or []
    info = secret["key_info"]
    if ui.detailed and isinstance(info, Mapping) and info:
        _output_detailed(ui, names, info)
    else:
        _output_names(ui, names)
    return 0


def _names(values: Sequence[Json]) -> list[str]:
    for value in values:
        if not isinstance(value, str):
            raise Failure(f"Could not parse output: {plain(value)} is not a string", USAGE)
    return sorted(plain(value) for value in values)


def _output_names(ui: Ui, values: Sequence[Json]) -> None:
    if values:
        ui.output(table(("Keys",), [(name,) for name in _names(values)]))


def _output_detailed(ui: Ui, values: Sequence[Json], info: Object) -> None:
    names = _names(values)
    rows = {name: row for name, row in info.items() if isinstance(row, Mapping)}
    headers = sorted({field for name, row in rows.items() if name in names for field in row})
    lines = [[name, *(_cell(h, rows[name][h]) if name in rows and h in rows[name] else EMPTY for h in headers)] for name in names]
    if lines:
        ui.output(table(("Keys", *headers), lines))


def print_field(ui: Ui, source: Secret | Object, field: str, *, kind: str = "secret") -> int:
    """One field, raw in the table format, else in the format asked for. `kind`: what is said not to have it."""
    value = field_of(source, field) if isinstance(source, Secret) else source.get(field)
    if value is None:
        raise Failure(f'Field "{field}" not present in {kind}', USAGE)
    match ui.format:
        case "json":
            text = json_text.encode(value, "  ")
        case "yaml" | "yml":
            from holdfast.cli import yaml_text

            text = yaml_text.encode(value) + "\n"
        case "pretty":
            text = ""
        case _:
            text = plain(value)
    ui.terminal.out(text + "\n" if ui.terminal.is_terminal() else text)
    return 0

