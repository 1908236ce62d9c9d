"""What the stanza of an integrated storage says beyond where it lies: whom to join, and how patient to be.

Invariant: a stanza that was read without an error gives settings without one; only its files can still be missing.
"""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from holdfast.config import units
from holdfast.config.finding import ConfigError, Finding, Findings
from holdfast.config.settings import StorageStanza
from holdfast.config.tree import Literal, Position, Value
from holdfast.limits import PEM_FILE_MAX_BYTES

T = TypeVar("T")
UPDATE_EVERY_S, RECONCILE_EVERY_S = 2.0, 10.0            # Vault's


class RetryJoin(msgspec.Struct, frozen=True, kw_only=True):
    """One node to ask, until one of them lets this node in. PEM stands in the stanza, or in the files that it names."""

    leader_api_addr: str = ""
    leader_tls_servername: str = ""
    leader_ca_cert: str = ""
    leader_ca_cert_file: str = ""
    leader_client_cert: str = ""
    leader_client_cert_file: str = ""
    leader_client_key: str = ""
    leader_client_key_file: str = ""

    def __repr__(self) -> str:
        return f"RetryJoin({self.leader_api_addr!r})"


class RaftSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`performance_multiplier`: by how much longer a silent leader is waited for; 1 unless the stanza says more."""

    performance_multiplier: int = 1
    autopilot_update_interval_s: float = UPDATE_EVERY_S
    autopilot_reconcile_interval_s: float = RECONCILE_EVERY_S
    retry_join: tuple[RetryJoin, ...] = ()               # without those that would have to be discovered
    retry_join_as_non_voter: bool = False


def raft_settings(stanza: StorageStanza) -> RaftSettings:
    """Raises ConfigError."""
    try:
        return RaftSettings(
            performance_multiplier=_option(stanza, "performance_multiplier", units.whole) or 1,
            autopilot_update_interval_s=_option(stanza, "autopilot_update_interval", units.seconds) or UPDATE_EVERY_S,
            autopilot_reconcile_interval_s=_option(stanza, "autopilot_reconcile_interval", units.seconds) or RECONCILE_EVERY_S,
            retry_join=tuple(each for each in _joins(stanza) if each.leader_api_addr),
            retry_join_as_non_voter=_option(stanza, "retry_join_as_non_voter", units.boolean) or False)
    except ValueError as error:
        raise ConfigError([Finding(f'storage "raft": {error}')]) from error


def check_raft_options(stanza: StorageStanza, findings: Findings) -> None:
    """What must hold between options, each of which is right by itself."""
    update_s = _option(stanza, "autopilot_update_interval", units.seconds) or UPDATE_EVERY_S
    reconcile_s = _option(stanza, "autopilot_reconcile_interval", units.seconds) or RECONCILE_EVERY_S
    if reconcile_s < update_s:
        findings.error("autopilot_reconcile_interval should be larger than autopilot_update_interval")
    if _option(stanza, "retry_join_as_non_voter", units.boolean) and not _joins(stanza):
        findings.error("retry_join_as_non_voter wants at least one retry_join")


def _option(stanza: StorageStanza, name: str, read: Callable[[Value], T]) -> T | None:
    written = stanza.options.get(name, "")
    return read(Literal(written, Position(1, 1))) if written else None


def _joins(stanza: StorageStanza) -> tuple[RetryJoin, ...]:
    try:
        return msgspec.json.decode(stanza.options.get("retry_join", "") or "[]", type=tuple[RetryJoin, ...])
    except msgspec.MsgspecError as error:
        raise ValueError("retry_join: a list of blocks of texts is wanted") from error


def with_files(block: RetryJoin) -> RetryJoin:
    """With what stands in its files. They are read when a node is to join: one that has joined needs them no more. Raises ConfigError."""
    try:
        return msgspec.structs.replace(
            block, leader_ca_cert=block.leader_ca_cert or _contents(block.leader_ca_cert_file),
            leader_client_cert=block.leader_client_cert or _contents(block.leader_client_cert_file),
            leader_client_key=block.leader_client_key or _contents(block.leader_client_key_file))
    except ValueError as error:
        raise ConfigError([Finding(f'storage "raft": {error}')]) from error


def _contents(file: str) -> str:
    if not file:
        return ""
    try:
        with Path(file).open(encoding="utf-8") as opened:
            text = opened.read(PEM_FILE_MAX_BYTES + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"retry_join: {file!r} cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}") from None
    if len(text) > PEM_FILE_MAX_BYTES:
        raise ValueError(f"retry_join: {file!r} is longer than {PEM_FILE_MAX_BYTES} bytes")
    return text
