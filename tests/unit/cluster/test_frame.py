"""Frames: bounds, versions, kinds that are not known; and the bytes of version 1, kept in files. Invariant 17."""
from pathlib import Path

import msgspec
import pytest

from holdfast.cluster.frame import HEAD, OWN_BOUNDS, FrameReader, Own, encode_frame
from holdfast.cluster.hello import Hello, decode_hello, encode_hello
from holdfast.ids import Millis, NodeId
from holdfast.limits import CLUSTER_FRAME_MAX_BYTES, CLUSTER_UNKNOWN_LOGGED

BOUNDS = {7: 100, 8: 10}
FIXTURES = Path(__file__).parents[2] / "fixtures" / "frames"


def test_a_frame_is_version_kind_length_and_body() -> None:
    assert encode_frame(0x0102, b"body") == bytes([1, 1, 2, 0, 0, 0, 4]) + b"body"


def test_frames_come_out_whole_however_the_bytes_come_in() -> None:
    frames = [(7, b"first"), (8, b""), (7, bytes(100))]
    data = b"".join(encode_frame(kind, body) for kind, body in frames)
    for size in (1, 2, 3, 6, 7, 8, 50, len(data)):
        reader = FrameReader(BOUNDS)
        assert [frame for at in range(0, len(data), size) for frame in reader.take(data[at:at + size])] == frames
        assert reader.is_between_frames


@pytest.mark.parametrize(("data", "why"), [
    (HEAD.pack(1, 8, 11), "a frame of kind 0x0008 with 11 bytes: the limit is 10"),
    (HEAD.pack(1, 9, CLUSTER_FRAME_MAX_BYTES + 1), "a frame of kind 0x0009 with 1048577 bytes: the limit is 1048576"),
    (HEAD.pack(1, 7, 0xFFFF_FFFF), "a frame of kind 0x0007 with 4294967295 bytes: the limit is 100"),
    (HEAD.pack(2, 7, 1), "a frame of version 2: this link has version 1"),
    (b"GET / HTTP/1.1\r\n", "a frame of version 71: this link has version 1"),
])
def test_a_head_that_breaks_a_rule_ends_the_reading_before_any_of_its_body(data: bytes, why: str) -> None:
    reader = FrameReader(BOUNDS)
    assert reader.take(encode_frame(7, b"good") + data) == [(7, b"good")]
    assert reader.failure == why
    assert reader.take(encode_frame(7, b"after")) == []
    assert reader.is_between_frames


def test_a_truncated_frame_is_seen() -> None:
    reader = FrameReader(BOUNDS)
    assert reader.take(encode_frame(7, b"whole") + encode_frame(7, b"cut")[:-1]) == [(7, b"whole")]
    assert not reader.is_between_frames
    reader = FrameReader(BOUNDS)
    reader.take(HEAD.pack(1, 99, 50) + bytes(49))
    assert not reader.is_between_frames


def test_kinds_that_are_not_known_are_passed_over_and_told_once() -> None:
    unknown, data = bytes(900_000), b""
    for kind in (99, 98, 99):
        data += encode_frame(kind, unknown) + encode_frame(7, b"known")
    for size in (1_000, 1_000_000, len(data)):
        reader = FrameReader(BOUNDS)
        got, told, kept = [], [], 0
        for at in range(0, len(data), size):
            got += reader.take(data[at:at + size])
            kept = max(kept, len(reader._buffer))
            if reader.has_unknown:
                told += reader.take_unknown()
        assert got == [(7, b"known")] * 3
        assert told == [99, 98]
        assert kept < 100


def test_of_many_unknown_kinds_only_some_are_remembered() -> None:
    reader = FrameReader(BOUNDS)
    reader.take(b"".join(encode_frame(kind, b"") for kind in range(100, 1_000)))
    assert reader.take_unknown() == list(range(100, 100 + CLUSTER_UNKNOWN_LOGGED))
    assert not reader.has_unknown


def test_what_follows_the_first_frame_may_be_of_another_version() -> None:
    reader = FrameReader({**OWN_BOUNDS, **BOUNDS}, greets=True)
    assert reader.take(encode_frame(Own.HELLO, b"hello") + encode_frame(7, b"new", 2)) == [(Own.HELLO, b"hello")]
    assert reader.take(encode_frame(8, b"too", 2)) == []
    assert reader.begin(2) == [(7, b"new"), (8, b"too")]
    assert reader.take(encode_frame(7, b"old")) == []
    assert reader.failure == "a frame of version 1: this link has version 2"


def test_the_first_frame_must_be_a_hello() -> None:
    reader = FrameReader({**OWN_BOUNDS, **BOUNDS}, greets=True)
    assert reader.take(HEAD.pack(1, 7, 100)) == []
    assert reader.failure == "the first frame is of kind 0x0007: it must be a hello"


def fixture(name: str) -> list[tuple[int, bytes]]:
    """The frames of a file, which were written by version 1 and never change."""
    reader = FrameReader({**OWN_BOUNDS, **BOUNDS}, 1)
    frames = reader.take((FIXTURES / name).read_bytes())
    assert reader.failure is None
    assert reader.is_between_frames
    return frames


HELLO = Hello(node=NodeId("node-a"), incarnation=0x0123_4567_89AB_CDEF, cluster="6c3b2f14-65f7-4d6e-8b68-6b1c3f9d2a10", frames_min=1,
              frames_max=1, wall_ms=Millis(1_700_000_000_123))


def test_version_1_reads_the_hello_of_version_1() -> None:
    [(kind, body)] = fixture("v1-hello.bin")
    assert kind == Own.HELLO
    assert decode_hello(body) == HELLO
    assert encode_frame(Own.HELLO, encode_hello(HELLO)) == (FIXTURES / "v1-hello.bin").read_bytes()


def test_version_1_reads_a_hello_with_fields_of_a_later_version() -> None:
    [(kind, body)] = fixture("v1-hello-with-more.bin")
    assert kind == Own.HELLO
    assert decode_hello(body) == msgspec.structs.replace(HELLO, frames_max=3)


def test_version_1_reads_the_frames_of_version_1() -> None:
    assert fixture("v1-frames.bin") == [
        (7, b""), (7, b"a body"), (8, bytes(range(10))), (Own.GOODBYE, b"this node is sealed")]


def test_version_1_reads_the_streams_of_version_1() -> None:
    assert fixture("v1-stream.bin") == [
        (Own.STREAM_OPEN, bytes.fromhex("00000005 00 0007 0000000000000000") + b"header"),
        (Own.STREAM_CHUNK, bytes.fromhex("00000005") + b"a piece"),
        (Own.STREAM_CREDIT, bytes.fromhex("00000005 0001")),
        (Own.STREAM_END, bytes.fromhex("00000005 00")),
        (Own.STREAM_OPEN, bytes.fromhex("00000006 01 0008 0000000000000003")),
        (Own.STREAM_END, bytes.fromhex("00000006 01") + b"its sender has broken it off"),
        (Own.STREAM_CANCEL, bytes.fromhex("00000007") + b"no room"),
    ]
