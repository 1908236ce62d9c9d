"""`status`, and the table of it that `operator unseal` prints too."""
from __future__ import annotations

from holdfast.cli.client import Client
from holdfast.cli.command import Command, Session, options
from holdfast.cli.errors import USAGE, ApiError, ExchangeError, Failure
from holdfast.cli.json_text import Json, Record, parse, plain
from holdfast.cli.layout import table
from holdfast.cli.output import Ui, output_data, print_field
from holdfast.cli.secret import Object, mapping, number, strings, text
from holdfast.cli.transport import HttpResponse

SEALED = 2
NO_TIME = "0001-01-01T00:00:00Z"
_SEAL_FIELDS: tuple[tuple[str, Json], ...] = (
    ("type", ""), ("initialized", False), ("sealed", False), ("t", 0), ("n", 0), ("progress", 0), ("nonce", ""), ("version", ""),
    ("build_date", ""), ("migration", False),
)
_SEAL_EXTRAS = ("cluster_name", "cluster_id", "recovery_seal", "recovery_seal_type", "storage_type", "removed_from_cluster", "warnings")
_LEADER_EXTRAS = (
    "leader_address", "leader_cluster_address", "performance_standby", "performance_standby_last_remote_wal", "last_wal",
    "raft_committed_index", "raft_applied_index",
)


def _object(response: HttpResponse) -> Object:
    value = mapping(parse(response.body))
    if value is None:
        raise ExchangeError("the answer is not a JSON object")
    return value


def seal_status(response: HttpResponse) -> Object:
    """Raises ExchangeError."""
    return _object(response)


def _leader(client: Client) -> Object:
    """What `sys/leader` says. A sealed node of an HA cluster refuses to, and that says that HA is on."""
    try:
        return _object(client.call("GET", "sys/leader"))
    except ApiError as error:
        if any("Vault is sealed" in message for message in error.errors):
            return {"ha_enabled": True}
        raise Failure(f"Error checking leader status: {error}", USAGE) from error
    except ExchangeError as error:
        raise Failure(f"Error checking leader status: {error}", USAGE) from error


def print_status(ui: Ui, client: Client, seal: Object) -> int:
    """Seal and HA status together. Returns 0; raises Failure if the leader cannot be asked for."""
    leader = _leader(client)
    if ui.is_table:
        ui.output(table(("Key", "Value"), [*_seal_rows(seal), *_ha_rows(seal, leader), *_index_rows(seal, leader)]))
        return 0
    return output_data(ui, _to_json(seal, leader))


def _to_json(seal: Object, leader: Object) -> Record:
    out = Record({name: seal.get(name, default) for name, default in _SEAL_FIELDS})
    for name in _SEAL_EXTRAS:
        if name == "recovery_seal":
            out[name] = seal.get(name) is True
        elif _is_said(seal.get(name)) or (name == "removed_from_cluster" and name in seal):
            out[name] = seal[name]
    out["ha_enabled"] = leader.get("ha_enabled") is True
    if leader.get("is_self") is True:
        out["is_self"] = True
    out["active_time"] = text(leader.get("active_time")) or NO_TIME
    for name in _LEADER_EXTRAS:
        if _is_said(leader.get(name)):
            out[name] = leader[name]
    return out


def _is_said(value: Json) -> bool:
    return value is True or bool(number(value)) or bool(text(value)) or bool(strings(value))


def _seal_rows(seal: Object) -> list[tuple[str, str]]:
    recovery = seal.get("recovery_seal") is True
    sealed = seal.get("sealed") is True
    threshold = number(seal.get("t"))
    rows = [("Seal Type", text(seal.get("type")))]
    if recovery:
        rows.append(("Recovery Seal Type", text(seal.get("recovery_seal_type"))))
    rows += [
        ("Initialized", plain(seal.get("initialized") is True)),
        ("Sealed", plain(sealed)),
        ("Total Recovery Shares" if recovery else "Total Shares", str(number(seal.get("n")))),
        ("Threshold", str(threshold)),
    ]
    if sealed:
        rows += [("Unseal Progress", f"{number(seal.get('progress'))}/{threshold}"), ("Unseal Nonce", text(seal.get("nonce")))]
    if seal.get("migration") is True:
        rows.append(("Seal Migration in Progress", "true"))
    named = (("Version", "version"), ("Build Date", "build_date"), ("Storage Type", "storage_type"))
    rows += [(title, text(seal.get(name))) for title, name in named if seal.get(name)]
    if seal.get("cluster_name") and seal.get("cluster_id"):
        rows += [("Cluster Name", text(seal.get("cluster_name"))), ("Cluster ID", text(seal.get("cluster_id")))]
    if "removed_from_cluster" in seal:
        rows.append(("Removed From Cluster", plain(seal["removed_from_cluster"])))
    return rows


def _ha_rows(seal: Object, leader: Object) -> list[tuple[str, str]]:
    enabled = leader.get("ha_enabled") is True
    rows = [("HA Enabled", plain(enabled))]
    if not enabled or seal.get("sealed") is True:
        return rows
    is_active = leader.get("is_self") is True
    rows += [("HA Cluster", text(leader.get("leader_cluster_address"))), ("HA Mode", "active" if is_active else "standby")]
    since = text(leader.get("active_time"))
    if is_active and since not in ("", NO_TIME):
        rows.append(("Active Since", since))
    if not is_active:
        rows.append(("Active Node Address", text(leader.get("leader_address")) or "<none>"))
    if leader.get("performance_standby") is True:
        wal = number(leader.get("performance_standby_last_remote_wal"))
        rows += [("Performance Standby Node", "true"), ("Performance Standby Last Remote WAL", str(wal))]
    return rows


def _index_rows(seal: Object, leader: Object) -> list[tuple[str, str]]:
    named = (("Raft Committed Index", "raft_committed_index"), ("Raft Applied Index", "raft_applied_index"), ("Last WAL", "last_wal"))
    rows = [(title, str(number(leader.get(name)))) for title, name in named if number(leader.get(name)) > 0]
    warnings = strings(seal.get("warnings"))
    return [*rows, ("Warnings", plain(warnings))] if warnings else rows


def _status(session: Session) -> int:
    session.arguments(0, 0)
    try:
        client = session.client().using(namespace="")
        seal = seal_status(client.call("GET", "sys/seal-status"))
    except Failure as failure:
        raise Failure(failure.message, USAGE) from failure
    except ExchangeError as error:
        raise Failure(f"Error checking seal status: {error}", USAGE) from error
    field = session.flags.string("field")
    if field:
        code = print_field(session.ui, _to_json(seal, _leader(client)), field, kind="seal status")
    else:
        code = print_status(session.ui, client, seal)
    return SEALED if seal.get("sealed") is True else code


COMMANDS = (
    Command(
        name="status",
        synopsis="Print seal and HA status",
        usage="[options]",
        text="Prints whether the node is sealed and what it is in its cluster; works on a sealed node and without a token. "
        "The exit code is 0 when unsealed, 2 when sealed, 1 for an error.",
        options=options(field=True),
        run=_status,
    ),
)
