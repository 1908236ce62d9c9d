"""Environment variables that have a key of the configuration file: they win over the file.

Invariant: a variable that is set to nothing counts as not set; one that does not fit is an error that names it.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from holdfast.config import units
from holdfast.config.decode import plans
from holdfast.config.finding import Findings
from holdfast.config.settings import SealStanza, Settings, StorageStanza, Use, UserLockout
from holdfast.config.tree import Literal, Position

VARIABLES = {
    "VAULT_API_ADDR": "api_addr", "VAULT_REDIRECT_ADDR": "api_addr", "VAULT_ADVERTISE_ADDR": "api_addr",
    "VAULT_CLUSTER_ADDR": "cluster_addr", "VAULT_LOG_LEVEL": "log_level", "VAULT_LOG_FORMAT": "log_format",
    "VAULT_DISABLE_MLOCK": "disable_mlock", "VAULT_UI": "ui",
    "VAULT_LICENSE_PATH": "license_path",
}
"""By variable, the key; of several for one key, the first that is set."""

RAFT_VARIABLES = {"VAULT_RAFT_PATH": "path", "VAULT_RAFT_NODE_ID": "node_id"}
"""By variable, the option of storage "raft"."""

RAFT_FLAG = "VAULT_RAFT_RETRY_JOIN_AS_NON_VOTER"       # any value is a yes
SEAL_TYPE = "VAULT_SEAL_TYPE"
NO_LOCKOUT = "VAULT_DISABLE_USER_LOCKOUT"
NOT_OURS = ("VAULT_RAFT_FREELIST_TYPE", "VAULT_RAFT_FREELIST_SYNC", "VAULT_RAFT_INITIAL_MMAP_SIZE", "VAULT_LICENSE")
"""Variables that Vault obeys and nobody here has a use for: said so, if one is set."""


def values_of(env: Mapping[str, str], findings: Findings) -> dict[str, object]:
    """The settings that variables give, by attribute."""
    known, found = plans(Settings), dict[str, object]()
    for variable, key in VARIABLES.items():
        written, plan = env.get(variable, ""), known[key]
        if not written or plan.attribute in found or plan.convert is None:
            continue
        if plan.use is Use.CHECKED:
            findings.warn(f"{variable} has no effect")
        try:
            value = plan.convert(Literal(written, Position(1, 1)))
            found[plan.attribute] = plan.rule(value) if plan.rule is not None else value
        except ValueError as error:
            findings.error(f"{variable}: {error}")
    for variable in NOT_OURS:
        if env.get(variable):
            findings.warn(f"{variable} has no effect")
    return found


def raft_options(stanza: StorageStanza, env: Mapping[str, str]) -> StorageStanza:
    """A raft stanza with what the environment says instead; any other as it is."""
    if stanza.type != "raft":
        return stanza
    given = {option: env[variable] for variable, option in RAFT_VARIABLES.items() if env.get(variable)}
    if env.get(RAFT_FLAG):
        given["retry_join_as_non_voter"] = "true"
    return replace(stanza, options={**stanza.options, **given})


def seal_types(seals: Sequence[SealStanza], env: Mapping[str, str], known: Sequence[str], findings: Findings) -> tuple[SealStanza, ...]:
    """Every seal is of the type that the environment names."""
    kind = env.get(SEAL_TYPE, "")
    if not kind:
        return tuple(seals)
    if kind not in known:
        findings.error(f"{SEAL_TYPE}: seal {kind[:40]!r} is not supported; these are: {', '.join(known)}")
        return tuple(seals)
    return tuple(replace(seal, type=kind) for seal in seals) or (SealStanza(type=kind),)


def lockouts(found: Sequence[UserLockout], env: Mapping[str, str], findings: Findings) -> tuple[UserLockout, ...]:
    """Whether failed logins lock anybody out: as the environment says, if it says anything, for all types."""
    if not env.get(NO_LOCKOUT):
        return tuple(found)
    disable = is_set(env, NO_LOCKOUT, findings)
    return tuple(replace(each, disable_lockout=disable) for each in found)


def is_set(env: Mapping[str, str], variable: str, findings: Findings) -> bool:
    """A variable that is a truth value."""
    try:
        return units.boolean(Literal(env.get(variable, ""), Position(1, 1)))
    except ValueError as error:
        findings.error(f"{variable}: {error}")
        return False
