"""docs/configuration.md against the settings: every key is there once, with its default, and says whether it is obeyed."""
from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from holdfast.config import environment, stanzas, units
from holdfast.config.decode import Plan, plans
from holdfast.config.options import IDLE_OF_RAFT, KNOWN_OPTIONS, RETRY_JOIN
from holdfast.config.rules import REFUSED, REFUSED_OF_LISTENERS, SUITES, WITHOUT_EFFECT
from holdfast.config.settings import (
    Listener,
    Replication,
    RequestLimiter,
    Settings,
    TcpListener,
    Telemetry,
    UnixListener,
    Use,
    UserLockout,
)
from holdfast.config.tree import Literal, Position

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/configuration.md").read_text()
ROW = re.compile(r"^\| `([a-z_.]+)` \| (.+?) \| (.+) \|$", re.MULTILINE)
CHECKED_ONLY = "*Checked only.*"
RECORDS: dict[str, type[msgspec.Struct]] = {
    "Top level": Settings, "listener": Listener, 'listener "tcp"': TcpListener, 'listener "unix"': UnixListener, "telemetry": Telemetry,
    "user_lockout": UserLockout, "replication": Replication, "request_limiter": RequestLimiter}


def section(title: str) -> str:
    """The text between a heading and the next one."""
    found = re.search(rf"^##+ {re.escape(title)}\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None, title
    return found[1]


def rows(title: str) -> dict[str, tuple[str, str]]:
    found = ROW.findall(section(title))
    assert len({key for key, _, _ in found}) == len(found), title
    return {key: (default, text) for key, default, text in found}


def keys(record: type[msgspec.Struct]) -> Iterator[tuple[str, object, Plan | None]]:
    """Key, default and plan of what a record adds to its base; keys of a listener's own blocks with their names before them."""
    inherited = {info.name for base in record.__bases__ if base is not msgspec.Struct for info in msgspec.structs.fields(base)}
    for info in msgspec.structs.fields(record):
        plan = plans(record).get(info.encode_name)
        if info.name in inherited or (record is UserLockout and info.name == "type"):
            continue
        if plan is not None and plan.block is not None and issubclass(record, Listener):
            for inner, default, own in keys(plan.block):
                yield f"{info.encode_name}.{inner}", default, own
        else:
            yield info.encode_name, info.default, plan


@pytest.mark.parametrize("title", RECORDS)
def test_every_key_is_on_the_page_and_no_other(title: str) -> None:
    assert list(rows(title)) == [key for key, _, _ in keys(RECORDS[title])]


@pytest.mark.parametrize("title", RECORDS)
def test_the_page_says_what_has_no_effect(title: str) -> None:
    said = {key for key, (_, text) in rows(title).items() if text.startswith(CHECKED_ONLY)}
    assert said == {key for key, _, plan in keys(RECORDS[title]) if plan is not None and plan.use is Use.CHECKED}


@pytest.mark.parametrize("title", RECORDS)
def test_defaults_are_those_of_the_settings(title: str) -> None:
    page, compared = rows(title), 0
    for key, default, plan in keys(RECORDS[title]):
        written = page[key][0]
        if plan is None or plan.convert is None or not re.fullmatch(r"`[^`]*`", written):
            continue
        text = written.strip("`").strip('"')
        if text in {other for other, _, _ in keys(Settings)}:
            assert default is None
            continue
        value = () if text == "[]" else plan.convert(Literal(text, Position(1, 1)))
        assert value == default, key
        compared += 1
    assert compared > 0


@pytest.mark.parametrize("record", RECORDS.values(), ids=lambda record: record.__name__)
def test_what_is_obeyed_is_read_by_some_room_and_what_is_checked_only_by_none(record: type[msgspec.Struct]) -> None:
    """Whoever begins to obey a key takes `Use.CHECKED` off it in settings.py, and the words off the page."""
    source = "".join(path.read_text() for path in (ROOT / "src/holdfast").rglob("*.py") if path.parent.name not in ("config", "cli"))
    names = {plan.attribute: plan for plan in plans(record).values() if plan.block is None or record is Settings}
    idle_stanzas = {"request_limiter"}         # all that stands in them is checked only
    unread = {name for name in names if not re.search(rf"\.{name}\b", source)}
    checked = {name for name, plan in names.items() if plan.use is Use.CHECKED}
    common = {"disable"}  # names that others have for other things
    assert unread - checked - idle_stanzas == set()
    assert checked - unread - common == set()


def test_options_of_raft_that_nobody_reads_are_said_to_be_checked_only() -> None:
    source = "".join(path.read_text() for path in (ROOT / "src/holdfast").rglob("*.py") if path.name != "options.py")
    assert {name for name in KNOWN_OPTIONS["storage", "raft"] if f'"{name}"' not in source} == IDLE_OF_RAFT
    sentence = re.search(r"look(?:ed)? after;\n(.*?) are checked only\.", section("storage"), re.DOTALL)
    assert sentence is not None
    assert set(re.findall(r"`([a-z_]+)`", sentence[1])) == IDLE_OF_RAFT


def test_what_is_refused_is_on_the_page() -> None:
    names = {name: why for line in section("Refused by name").splitlines() if line.startswith("| `")
             for name in re.findall(r"`([a-z_]+)`", line.split("|")[1]) for why in [line.split("|")[2].strip()]}
    assert names == {**REFUSED, **REFUSED_OF_LISTENERS}
    assert all(f"`{name}`" in section("Top level") for name in WITHOUT_EFFECT)


def test_types_and_their_options_are_on_the_page() -> None:
    table = re.findall(r"^\| `([a-z]+)` \| (.*) \|$", section("storage"), re.MULTILINE)
    page = {kind: set(re.findall(r"`([a-z_]+)`", options)) for kind, options in table}
    assert page == {kind: set(KNOWN_OPTIONS["storage", kind]) for kind in stanzas.STORAGES}
    assert all(f"`{key}`" in section("storage") for key in (*RETRY_JOIN, *stanzas.MOVED))
    assert all(f"`{key}`" in section("seal") for key in KNOWN_OPTIONS["seal", "static"])
    assert all(f'"{kind}"' in section("seal") for kind in stanzas.SEALS)
    assert all(f"`{kind}`" in section("service_registration") for kind in stanzas.REGISTRATIONS)
    assert all(f"`{key}`" in section("service_registration") for key in KNOWN_OPTIONS["service_registration", "kubernetes"])
    assert all(kind in section("user_lockout") for kind in stanzas.LOCKOUTS)


def test_cipher_suites_are_on_the_page() -> None:
    on_page = set(re.findall(r"`(TLS_[A-Z0-9_]+)`", PAGE))
    assert on_page == {name for name in SUITES if not name.endswith("CHACHA20_POLY1305")}


def test_variables_are_on_the_page() -> None:
    on_page = set(re.findall(r"`(VAULT_[A-Z_]+)`", section("Environment")))
    assert on_page == {
        *environment.VARIABLES, *environment.RAFT_VARIABLES, environment.RAFT_FLAG, environment.SEAL_TYPE, environment.NO_LOCKOUT,
        *environment.NOT_OURS, "VAULT_ENABLE_FILE_PERMISSIONS_CHECK"}


def test_units_of_the_page_are_read() -> None:
    examples = re.findall(r"`([^`]+)`", next(line for line in PAGE.splitlines() if line.startswith("| length of time")))
    assert [units.duration_s(example.strip('"')) for example in examples] == [90, 5_400, 0.25, 604_800, 90, 90]
