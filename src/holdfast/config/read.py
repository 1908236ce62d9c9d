"""From paths and environment to settings.

Invariants:
1. Of a configuration with an error nothing is used; all its errors are told at once.
2. Everything that was left unread, replaced or without effect is a warning with its place.
3. A file is read once, however often and by whichever path it is named.
"""
from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path

import msgspec

from holdfast.config import environment, stanzas
from holdfast.config.check import checked, checked_listener
from holdfast.config.decode import Block, fields, plans, without_refused
from holdfast.config.finding import Finding, Findings
from holdfast.config.hcl import parse
from holdfast.config.hcl_print import quote
from holdfast.config.merge import key_name, merge
from holdfast.config.rules import REFUSED, WITHOUT_EFFECT
from holdfast.config.settings import Settings, TcpListener, UnixListener, Use
from holdfast.config.tree import HclError, Item, Object, Position
from holdfast.limits import HCL_SIZE_MAX_BYTES

ENDINGS = (".hcl", ".json")
_OWN_FORM = frozenset({"storage", "ha_storage", "listener", "seal", "service_registration", "user_lockout"})
_PERMISSIONS = "VAULT_ENABLE_FILE_PERMISSIONS_CHECK"


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """What was read, and what an operator should know of it."""

    settings: Settings
    warnings: tuple[Finding, ...] = ()
    files: tuple[str, ...] = ()


def load(paths: Sequence[Path], env: Mapping[str, str]) -> Loaded:
    """The settings of files, and of all `.hcl` and `.json` files of folders, in order of name. Raises ConfigError."""
    return _load(paths, env, first=())


def dev_settings(*, listen_address: str = "127.0.0.1:8200", tls_cert_file: str = "", tls_key_file: str = "", paths: Sequence[Path] = (),
                 env: Mapping[str, str] | None = None) -> Loaded:
    """For `server -dev`: in memory, in one process, no locked memory; with TLS if a certificate is given. `paths` are merged over it."""
    scheme = "https" if tls_cert_file else "http"
    tls = f'tls_cert_file = {quote(tls_cert_file)}\n tls_key_file = {quote(tls_key_file)}' if tls_cert_file else "tls_disable = true"
    text = f"""
        storage "inmem" {{}}
        listener "tcp" {{
          address = {quote(listen_address)}
          {tls}
        }}
        telemetry {{
          prometheus_retention_time = "24h"
          disable_hostname = true
        }}
        api_addr = {quote(f"{scheme}://{listen_address}")}
        disable_mlock = true
        read_workers = 0
    """
    return _load(paths, env or {}, first=(parse(text, source="-dev"),))


def _load(paths: Sequence[Path], env: Mapping[str, str], *, first: tuple[Object, ...]) -> Loaded:
    findings = Findings()
    must_be_ours = environment.is_set(env, _PERMISSIONS, findings)
    files = tuple(_files(paths, findings))
    trees = [*first, *(tree for file in files if (tree := _parsed(file, must_be_ours, findings)) is not None)]
    findings.check()
    settings = settings_of(merge(trees, findings), env, findings)
    findings.check()
    return Loaded(settings=settings, warnings=tuple(findings.warnings), files=tuple(str(file) for file in files))


def _files(paths: Sequence[Path], findings: Findings) -> Iterator[Path]:
    seen: set[Path] = set()
    for path in paths:
        try:
            inner = sorted(each for each in path.iterdir() if _is_ours(each)) if path.is_dir() else [path]
        except OSError as error:
            findings.error(f"{path}: {error.strerror}")
            continue
        if not inner:
            findings.warn(f"{path}: the folder has no .hcl and no .json file")
        for file in inner:
            if (real := file.resolve()) not in seen:
                seen.add(real)
                yield file


def _is_ours(file: Path) -> bool:
    """No folders, and nothing that an editor left behind."""
    name = file.name
    return name.endswith(ENDINGS) and not name.startswith((".#", "#")) and not file.is_dir()


def _parsed(file: Path, must_be_ours: bool, findings: Findings) -> Object | None:
    try:
        with file.open("rb") as opened:
            if must_be_ours:
                _check_owner(os.fstat(opened.fileno()))
            return parse(opened.read(HCL_SIZE_MAX_BYTES + 1), source=str(file))
    except OSError as error:
        findings.error(f"{file}: {error.strerror or error}")
    except HclError as error:
        findings.error(error.problem, error.at)
    return None


def _check_owner(found: os.stat_result) -> None:
    if found.st_uid != os.getuid():
        raise OSError(f"{_PERMISSIONS} is set, and the file's owner is not this process's user")
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise OSError(f"{_PERMISSIONS} is set, and others than the owner may write the file")


def settings_of(tree: Object, env: Mapping[str, str], findings: Findings) -> Settings:
    """The settings of a merged tree, where `findings` has no error. Raises ConfigError where reading cannot go on."""
    own = {name: tuple(item for item in tree.items if key_name(item) == name) for name in _OWN_FORM}
    block = Block(tuple(item for item in tree.items if key_name(item) not in _OWN_FORM), tree.at)
    plain = _without_effect(without_refused(block, REFUSED, findings), findings).items
    moved = _moved(own, {item.name.lower() for item in plain}, findings)
    found = fields(Settings, Block((*plain, *moved), tree.at), findings)
    _warn_of_idle(own, findings)
    found.update(environment.values_of(env, findings))
    storage = stanzas.one_of(own["storage"], stanzas.storage, findings)
    ha_storage = stanzas.one_of(own["ha_storage"], stanzas.storage, findings)
    if storage is None and not findings.errors:
        findings.error("a storage backend must be specified: there is no storage stanza")
    found["listeners"] = _listeners(own["listener"], findings)
    seals = stanzas.each_of(own["seal"], stanzas.seal, findings)
    found["seals"] = environment.seal_types(seals, env, stanzas.SEALS, findings)
    found["service_registration"] = stanzas.one_of(own["service_registration"], stanzas.service_registration, findings)
    found["user_lockouts"] = environment.lockouts(stanzas.user_lockouts(own["user_lockout"], findings), env, findings)
    findings.check()
    assert storage is not None, "without storage there was an error"
    found["storage"] = environment.raft_options(storage, env)
    found["ha_storage"] = environment.raft_options(ha_storage, env) if ha_storage is not None else None
    return checked(Settings(**found), findings)  # type: ignore[arg-type]


def _moved(own: Mapping[str, tuple[Item, ...]], given: Set[str], findings: Findings) -> tuple[Item, ...]:
    """What the stanza that HA rests on says of the node, where the top level does not."""
    found = stanzas.moved_options(own["ha_storage"] or own["storage"])
    unread = stanzas.moved_options(own["storage"]) if own["ha_storage"] else ()
    for item in (*unread, *(item for item in found if item.name in given)):
        findings.warn(f"{item.name!r} in a storage stanza: another one holds", item.at)
    return tuple(item for item in found if item.name not in given)


def _without_effect(block: Block, findings: Findings) -> Block:
    """Without the stanzas that nothing here is configured by."""
    for item in block.items:
        if item.name.lower() in WITHOUT_EFFECT:
            findings.warn(f"{item.name!r} is accepted, and has no effect", item.at)
    return block.without(*WITHOUT_EFFECT)


def _warn_of_idle(own: Mapping[str, tuple[Item, ...]], findings: Findings) -> None:
    """Stanzas with a form of their own that are checked only."""
    for name, items in own.items():
        plan = plans(Settings).get(name)
        if plan is not None and plan.use is Use.CHECKED:
            for item in items:
                findings.warn(f"{item.name!r} is accepted, and has no effect", item.at)


def _listeners(items: Sequence[Item], findings: Findings) -> tuple[TcpListener | UnixListener, ...]:
    def read(kind: str, block: Block, findings: Findings) -> TcpListener | UnixListener:
        before = len(findings.errors)
        listener = stanzas.listener(kind, block, findings)
        return checked_listener(listener, block.at, findings) if len(findings.errors) == before else listener

    found = tuple(stanzas.each_of(items, read, findings))
    if len(found) == len(items):
        _check_twice(found, items, findings)
    return found


def _check_twice(listeners: Sequence[TcpListener | UnixListener], items: Sequence[Item], findings: Findings) -> None:
    seen: dict[str, Position] = {}
    for listener, item in zip(listeners, items, strict=True):
        before = seen.setdefault(listener.address, item.at)
        if before is not item.at and not listener.address.endswith(":0"):
            findings.error(f"a listener has the address {listener.address!r} already: {before}", item.at)

