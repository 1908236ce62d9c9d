"""Frames are the same however the network cuts their bytes, and no bytes make the reader fail or keep more than its bounds allow."""
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.cluster.frame import HEAD_BYTES, FrameReader, encode_frame

BOUNDS = {7: 300, 8: 10}


@settings(max_examples=200)
@given(st.lists(st.tuples(st.sampled_from((7, 8, 99)), st.binary(max_size=10)), max_size=20), st.lists(st.integers(0, 400), max_size=20))
def test_the_cuts_do_not_matter(frames: list[tuple[int, bytes]], cuts: list[int]) -> None:
    data = b"".join(encode_frame(kind, body) for kind, body in frames)
    reader, at = FrameReader(BOUNDS), 0
    got: list[tuple[int, bytes]] = []
    for cut in [*sorted(cuts), len(data)]:
        got += reader.take(data[at:cut])
        at = max(at, min(cut, len(data)))
    assert got == [frame for frame in frames if frame[0] in BOUNDS]
    assert reader.is_between_frames
    assert reader.failure is None


@settings(max_examples=200)
@given(st.lists(st.one_of(st.binary(max_size=40), st.binary(max_size=12).map(lambda body: encode_frame(8, body)),
                          st.binary(max_size=40).map(lambda body: encode_frame(99, body))), max_size=10))
def test_no_bytes_are_too_strange(parts: list[bytes]) -> None:
    reader = FrameReader(BOUNDS)
    for part in parts:
        for kind, body in reader.take(part):
            assert len(body) <= BOUNDS[kind]
        assert len(reader._buffer) < HEAD_BYTES + max(BOUNDS.values())
