"""Batches and records as bytes."""
import pytest

from holdfast.errors import IntegrityError, InvariantError
from holdfast.ids import Index, Millis, Term
from holdfast.limits import BATCH_CHANGES_MAX, BATCH_OWN_CHANGES_MAX, BATCH_WIRE_MAX_BYTES, KEY_BYTES_MAX
from holdfast.storage import WriteBatch
from holdfast.storage import segment as form
from holdfast.storage.batch import decode, encode
from holdfast.storage.disk import BLOCK_BYTES
from holdfast.storage.segment import Head

BATCH = WriteBatch(index=Index(7), time_ms=Millis(1_700_000_000_000), changes={"b/ü": b"\0\xff", "a": None, "c": b""})
HEAD = Head(3, Index(7), b"s" * 16)


def record(offset: int = BLOCK_BYTES, head: Head = HEAD, batches: int = 1) -> bytes:
    group = [WriteBatch(index=Index(7 + at), time_ms=Millis(1), changes={"k": b"v" * 3_000}) for at in range(batches)]
    return form.write_record(head, offset, form.payload_of(group), first=Index(7), count=batches, term=Term(2))


def test_a_batch_comes_back_as_it_was() -> None:
    again = decode(encode(BATCH))
    assert again == BATCH
    assert list(again.changes) == ["b/ü", "a", "c"]


def test_every_changed_byte_and_every_cut_is_noticed() -> None:
    data = encode(BATCH)
    for at in range(len(data)):
        with pytest.raises(IntegrityError):
            decode(data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1:])
        with pytest.raises(IntegrityError):
            decode(data[:at])
    with pytest.raises(IntegrityError):
        decode(data + b"\0")


def test_a_later_version_is_refused_by_name() -> None:
    with pytest.raises(IntegrityError, match="version 1"):
        decode(b"\x02" + encode(BATCH)[1:])


def test_the_bounds_of_a_batch() -> None:
    limit = BATCH_CHANGES_MAX + BATCH_OWN_CHANGES_MAX
    most = {f"k{number}": b"" for number in range(limit)}
    assert len(decode(encode(WriteBatch(index=Index(1), time_ms=Millis(0), changes={**most}))).changes) == limit
    with pytest.raises(InvariantError, match=str(limit)):
        encode(WriteBatch(index=Index(1), time_ms=Millis(0), changes={**most, "one more": b""}))
    assert limit * KEY_BYTES_MAX + (40 << 20) < BATCH_WIRE_MAX_BYTES, "the largest request fits"
    with pytest.raises(InvariantError, match=str(BATCH_WIRE_MAX_BYTES)):
        encode(WriteBatch(index=Index(1), time_ms=Millis(0), changes={"k": bytes(BATCH_WIRE_MAX_BYTES + 1)}))


def test_a_number_or_a_time_below_the_first_is_refused() -> None:
    for index, time_ms in ((0, 5), (-1, 5), (1, -1)):
        with pytest.raises(IntegrityError):
            decode(encode(WriteBatch(index=Index(index), time_ms=Millis(time_ms), changes={})))


def test_a_record_fills_whole_blocks_and_comes_back() -> None:
    data = record(batches=3)
    assert len(data) % BLOCK_BYTES == 0
    assert form.record_head(data[:BLOCK_BYTES], 3) == len(data)
    found = form.read_record(HEAD, BLOCK_BYTES, data)
    assert found is not None
    assert (found.first, found.last, found.term, found.size) == (7, 9, 2, len(data))
    assert [batch.index for batch in found.batches()] == [7, 8, 9]


def test_a_record_is_valid_in_its_own_place_alone() -> None:
    data = record()
    assert form.read_record(HEAD, 2 * BLOCK_BYTES, data) is None, "at another offset"
    assert form.read_record(Head(3, Index(7), b"t" * 16), BLOCK_BYTES, data) is None, "in another use of the file"
    assert form.record_head(data[:BLOCK_BYTES], 4) is None, "in another segment"


def test_every_changed_byte_of_a_record_is_noticed() -> None:
    data = record()
    for at in (*range(form.BODY_AT), form.BODY_AT, form.BODY_AT + 1_000, form.BODY_AT + 3_000):
        changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]
        assert form.record_head(changed[:BLOCK_BYTES], 3) is None or form.read_record(HEAD, BLOCK_BYTES, changed) is None


def test_a_head_names_its_segment() -> None:
    block = form.write_head(HEAD)
    assert len(block) == BLOCK_BYTES
    assert form.read_head(block, 3) == HEAD
    assert form.read_head(block, 4) is None
    assert form.read_head(bytes(BLOCK_BYTES), 0) is None
    assert form.read_head(b"", 3) is None
    assert all(form.read_head(block[:at] + bytes([block[at] ^ 1]) + block[at + 1:], 3) is None for at in range(56))
