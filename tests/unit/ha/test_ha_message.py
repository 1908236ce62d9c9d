"""Messages between nodes: frames of released versions can be read for ever, bad ones are refused with a reason.

`tests/fixtures/frames/ha-v1.json` has one frame of each kind as version 1 writes it. It is never changed: a new version adds its own file.
Written by `python -m tests.unit.ha.frames`, once.
"""
import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from tests.unit.ha.frames import EXAMPLES

from holdfast.errors import IntegrityError, InvariantError
from holdfast.ha import message
from holdfast.ha.message import BOUNDS, FORWARDING_BOUNDS, PERFORMANCE_BOUNDS, Kind, LeaseGrant, Message, Update, decode, encode
from holdfast.ids import Index, Term

FRAMES = Path(__file__).parents[2] / "fixtures" / "frames"
VERSION_1 = {name: bytes.fromhex(body) for name, body in json.loads((FRAMES / "ha-v1.json").read_text()).items()}


def test_there_is_a_frame_of_every_kind() -> None:
    assert {Kind[name] for name in VERSION_1} == set(Kind)
    assert len(EXAMPLES) == len(Kind)
    assert set(BOUNDS) == set(Kind)
    assert not set(FORWARDING_BOUNDS) & set(PERFORMANCE_BOUNDS)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: type(example).__name__)
def test_a_message_comes_back_as_it_was(example: Message) -> None:
    kind, body = encode(example)
    assert decode(kind, body) == example


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: type(example).__name__)
def test_a_frame_of_version_1_is_understood(example: Message) -> None:
    kind, _ = encode(example)
    assert decode(kind, VERSION_1[Kind(kind).name]) == example


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: type(example).__name__)
def test_version_1_understands_what_is_written_now(example: Message) -> None:
    """Every field of a frame of version 1 is still there, with the same value; or it is left out, and had that value by itself then."""
    kind, body = encode(example)
    then, now = msgspec.msgpack.decode(VERSION_1[Kind(kind).name]), msgspec.msgpack.decode(body)
    assert set(left_out(then, now)) <= set(BY_ITSELF.items())


BY_ITSELF = {"content_type": "application/json", "headers": (), "redact_addresses": False, "redact_cluster_name": False,
             "redact_version": False, "hide_replication": False, "open_metrics": False}
"""Defaults of version 1: its nodes fill them in."""


def left_out(then: dict[str, object], now: dict[str, object]) -> Iterator[tuple[str, object]]:
    for name, value in then.items():
        if name not in now:
            yield name, tuple(value) if isinstance(value, list) else value
        elif isinstance(value, dict) and isinstance(found := now[name], dict):
            yield from left_out(value, found)
        else:
            assert now[name] == value, name


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: type(example).__name__)
def test_a_field_of_a_later_version_is_passed_over(example: Message) -> None:
    kind, body = encode(example)
    later = msgspec.msgpack.encode({"of_version_2": [1, {"a": b"b"}], **msgspec.msgpack.decode(body)})
    assert decode(kind, later) == example


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: type(example).__name__)
def test_no_secret_is_shown(example: Message) -> None:
    assert "canary" not in repr(example)


@pytest.mark.parametrize(("kind", "body", "why"), [
    (99, b"\x80", "kind 99 is not known"),
    (Kind.UPDATE, b"", "UPDATE cannot be read"),
    (Kind.UPDATE, b"\x80", "missing required field"),
    (Kind.UPDATE, b"\xc1", "UPDATE cannot be read"),
    (Kind.UPDATE, msgspec.msgpack.encode({"term": "x", "watermark": 1}), "Expected `int`"),
    (Kind.UPDATE, msgspec.msgpack.encode({"term": 1, "watermark": -1}), "UPDATE cannot be read"),
    (Kind.UPDATE, msgspec.msgpack.encode({"term": 1, "watermark": 1 << 63}), "UPDATE cannot be read"),
    (Kind.UPDATE, msgspec.msgpack.encode([1, 2]), "UPDATE cannot be read"),
    (Kind.UPDATE, b"\x91" * 10_000, "UPDATE cannot be read"),
    (Kind.UPDATE, bytes(BOUNDS[Kind.UPDATE] + 1), "the limit is"),
])
def test_what_is_no_message_is_refused(kind: int, body: bytes, why: str) -> None:
    with pytest.raises(IntegrityError, match=why):
        decode(kind, body)


def test_a_message_over_its_bound_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(message, "BOUNDS", {**BOUNDS, Kind.UPDATE: 3})
    with pytest.raises(InvariantError, match="UPDATE"):
        encode(Update(term=Term(1), watermark=Index(1)))


def test_a_truncated_frame_is_refused_at_every_length() -> None:
    kind, body = encode(next(example for example in EXAMPLES if isinstance(example, LeaseGrant)))
    for size in range(len(body)):
        with pytest.raises(IntegrityError):
            decode(kind, body[:size])
