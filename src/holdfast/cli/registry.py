"""Which commands there are, and where. A module is loaded only when one of its commands is asked for: starting must be quick.

1. Every word in MODULES loads a module whose COMMANDS all begin with it; no name is in two places.
2. MISSING are Vault's commands that do not exist here: they say so.
"""
from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from holdfast.cli.command import Command

MODULES: Mapping[str, tuple[str, ...]] = {
    "audit": ("audit",),
    "auth": ("auth",),
    "delete": ("logical",),
    "kv": ("kv", "kv_versions", "kv_metadata"),
    "lease": ("lease",),
    "list": ("logical",),
    "login": ("login",),
    "operator": ("operator", "operator_init", "operator_raft", "operator_autopilot", "operator_snapshot"),
    "patch": ("logical",),
    "path-help": ("info",),
    "policy": ("policy",),
    "print": ("info",),
    "read": ("logical",),
    "secrets": ("secrets",),
    "server": ("server",),
    "status": ("status",),
    "token": ("token",),
    "unwrap": ("logical",),
    "version": ("info",),
    "write": ("logical",),
}

MISSING = frozenset((
    "agent", "agent generate-config", "debug", "events", "events subscribe", "hcp", "monitor",
    "namespace", "namespace create", "namespace delete", "namespace list", "namespace lock", "namespace lookup", "namespace patch",
    "namespace unlock", "operator diagnose", "operator generate-root", "operator migrate", "operator rekey", "operator usage",
    "operator utilization", "pki", "pki health-check", "pki issue", "pki list-intermediates", "pki reissue",
    "pki verify-sign", "plugin", "plugin deregister", "plugin info", "plugin list",
    "plugin register", "plugin reload", "plugin reload-status", "plugin runtime", "proxy", "ssh", "transform", "transform import",
    "transform import-version", "transit", "transit import", "transit import-version", "version-history",
))


def _load(word: str) -> tuple[Command, ...]:
    found: list[Command] = []
    for name in MODULES.get(word, ()):
        found += import_module(f"holdfast.cli.{name}").COMMANDS
    return tuple(command for command in found if command.name.partition(" ")[0] == word)


def find(name: str) -> Command | None:
    """The command of exactly this name."""
    return next((command for command in _load(name.partition(" ")[0]) if command.name == name), None)


def knows(name: str) -> bool:
    """Whether this is a command, here or in Vault."""
    return name in MISSING or find(name) is not None


def below(name: str) -> tuple[Command, ...]:
    """The commands one word below this one, by name."""
    prefix, depth = name + " ", name.count(" ") + 1
    commands = (c for c in _load(name.partition(" ")[0]) if c.name.startswith(prefix) and c.name.count(" ") == depth)
    return tuple(sorted(commands, key=lambda command: command.name))


def top_level() -> tuple[Command, ...]:
    return tuple(command for word in MODULES for command in _load(word) if " " not in command.name)


def everything() -> tuple[Command, ...]:
    """All commands, by name."""
    return tuple(sorted((command for word in MODULES for command in _load(word)), key=lambda command: command.name))
