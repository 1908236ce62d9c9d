"""Snapshots as files: what goes in comes out, and what was changed on the way is not taken."""
import asyncio
import gzip
import hashlib
import io
import tarfile
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from holdfast.errors import BadRequest, IntegrityError
from holdfast.limits import SNAPSHOT_MEMBER_MAX_BYTES, STREAM_CHUNK_BYTES
from holdfast.storage.raft import archive
from holdfast.storage.raft.archive import META, SEALED, STATE, SUMS, Configuration, Meta, Server

SERVERS = Configuration(servers=(Server(suffrage=0, id="n1", address="n1:8201"),))


def meta_of(state: bytes) -> Meta:
    return Meta(id="7-100", index=100, term=7, configuration=SERVERS, size=len(state), wal_index=90, generation=2, cluster="c")


def seal(sums: bytes) -> bytes:
    return b"sealed:" + sums


def unseal(sealed: bytes) -> bytes:
    if not sealed.startswith(b"sealed:"):
        raise IntegrityError("another seal")
    return sealed[7:]


async def stream(pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def packed(state: bytes, *, chunk: int = 1 << 20, meta: Meta | None = None) -> list[bytes]:
    async def pack() -> list[bytes]:
        pieces = (state[at:at + chunk] for at in range(0, len(state), chunk))
        return [piece async for piece in archive.pack(meta or meta_of(state), stream(pieces), seal)]

    return asyncio.run(pack())


def unpacked(data: bytes, *, chunk: int = 1 << 16, force: bool = False, opens: Callable[[bytes], bytes] = unseal,
             size_max: int = 1 << 30) -> tuple[Meta, bytes]:
    taken = bytearray()

    async def take(piece: bytes) -> None:
        taken.extend(piece)

    async def unpack() -> Meta:
        pieces = (data[at:at + chunk] for at in range(0, len(data), chunk))
        return await archive.unpack(stream(pieces), take, None if force else opens, size_max=size_max)

    return asyncio.run(unpack()), bytes(taken)


def tar_of(members: Iterable[tuple[str, bytes]], *, kind: bytes = tarfile.REGTYPE) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", format=tarfile.GNU_FORMAT) as tar:
        for name, contents in members:
            info = tarfile.TarInfo(name)
            info.size, info.type = len(contents), kind
            tar.addfile(info, io.BytesIO(contents))
    return out.getvalue()


def members_of(data: bytes) -> list[tuple[str, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as tar:
        return [(info.name, file.read()) for info in tar if (file := tar.extractfile(info)) is not None]


def rejoined(data: bytes, **changed: bytes) -> bytes:
    """The same archive with members replaced, by name without dots."""
    return tar_of((name, changed.get(name.replace(".", "_"), contents)) for name, contents in members_of(data))


def refusal(data: bytes, **given_: object) -> str:
    with pytest.raises(BadRequest) as caught:
        unpacked(data, **given_)  # type: ignore[arg-type]
    return str(caught.value)


STATES = [b"", b"x", b"y" * 511, b"z" * 512, bytes(range(256)) * 5_000]


@pytest.mark.parametrize("state", STATES, ids=lambda state: str(len(state)))
def test_other_tools_read_it(state: bytes) -> None:
    data = b"".join(packed(state))
    members = members_of(data)
    assert [name for name, _ in members] == [META, STATE, SUMS, SEALED]
    found = dict(members)
    assert found[STATE] == state
    assert found[SUMS].decode().splitlines() == [
        f"{hashlib.sha256(found[META]).hexdigest()}  meta.json", f"{hashlib.sha256(state).hexdigest()}  state.bin"]
    assert found[SEALED] == seal(found[SUMS])
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as tar:
        assert {info.mode for info in tar} == {0o600}


def test_meta_is_as_in_vaults_file() -> None:
    text = dict(members_of(b"".join(packed(b"state"))))[META]
    assert text == (b'{"Version":1,"ID":"7-100","Index":100,"Term":7,"Configuration":'
                    b'{"Servers":[{"Suffrage":0,"ID":"n1","Address":"n1:8201"}]},"ConfigurationIndex":0,"Size":5,"HoldfastFormat":1,'
                    b'"HoldfastWalIndex":90,"HoldfastGeneration":2,"HoldfastClusterID":"c"}\n')


@pytest.mark.parametrize("state", STATES, ids=lambda state: str(len(state)))
@pytest.mark.parametrize("chunk", [7, 1 << 16])
def test_what_goes_in_comes_out(state: bytes, chunk: int) -> None:
    pieces = packed(state, chunk=60_000)
    assert all(0 < len(piece) <= STREAM_CHUNK_BYTES for piece in pieces)
    if len(state) > 10_000 and chunk < 10:
        chunk = 1_000
    assert unpacked(b"".join(pieces), chunk=chunk) == (meta_of(state), state)


@given(st.binary(max_size=3_000), st.data())
@settings(max_examples=60)
def test_no_changed_byte_and_no_cut_goes_unnoticed(state: bytes, data: st.DataObject) -> None:
    whole = b"".join(packed(state))
    at = data.draw(st.integers(0, len(whole) - 1))
    cut = whole[:at]
    refusal(cut)
    changed = bytearray(whole)
    changed[at] ^= data.draw(st.integers(1, 255))
    try:
        got = unpacked(bytes(changed))
    except BadRequest:
        return
    assert got == (meta_of(state), state)                # gzip has bytes and bits that mean nothing: in its header, before a stored block


@pytest.mark.parametrize(("changed", "said"), [
    ({"state_bin": b"other"}, "damaged"),
    ({"state_bin": b"longer state"}, "says 5"),
    ({"meta_json": b"{}"}, "not of a snapshot of Holdfast"),
    ({"meta_json": b'{"Version":1,"ID":"x","Index":1,"Term":1,"Size":5}'}, "not of a snapshot of Holdfast"),
    ({"SHA256SUMS": b"0" * 64}, "damaged"),
    ({"SHA256SUMS_sealed": b"sealed:other"}, "snapshot-force"),
    ({"SHA256SUMS_sealed": b"nothing"}, "snapshot-force"),
    ({"SHA256SUMS": b"x" * (SNAPSHOT_MEMBER_MAX_BYTES + 1)}, "the limit is 8192"),
    ({"meta_json": b"x" * (SNAPSHOT_MEMBER_MAX_BYTES + 1)}, "the limit is 8192"),
])
def test_a_member_that_is_not_what_it_should_be(changed: dict[str, bytes], said: str) -> None:
    assert said in refusal(rejoined(b"".join(packed(b"state")), **changed))


def test_force_skips_the_sealed_sums_and_nothing_else() -> None:
    whole = b"".join(packed(b"state"))
    foreign = rejoined(whole, SHA256SUMS_sealed=b"of another cluster")
    assert unpacked(foreign, force=True)[1] == b"state"
    assert "damaged" in refusal(rejoined(whole, state_bin=b"other"), force=True)


def test_members_missing_added_and_out_of_order() -> None:
    members = members_of(b"".join(packed(b"state")))
    for missing in range(4):
        assert "has" in refusal(tar_of(members[:missing] + members[missing + 1:]))
    assert "where meta.json belongs" in refusal(tar_of(members[::-1]))
    assert "goes on after" in refusal(tar_of([*members, ("more", b"x")]))
    assert "where meta.json belongs" in refusal(tar_of([("../../etc/passwd", b"x")]))
    assert "where meta.json belongs" in refusal(tar_of([(META, b"")], kind=tarfile.SYMTYPE))


def test_what_is_no_archive_at_all() -> None:
    assert "cut off" in refusal(b"")
    assert "no gzip file" in refusal(b"hello, world, this is no archive")
    assert "no tar" in refusal(gzip.compress(b"x" * 600))
    whole = b"".join(packed(b"state"))
    assert "after its end" in refusal(whole + whole)
    assert "after its end" in refusal(whole + b"\0", chunk=len(whole))
    assert "too early" in refusal(gzip.compress(b"x" * 100))


def test_no_more_than_there_is_room_for() -> None:
    assert "there is room for 4" in refusal(b"".join(packed(b"state")), size_max=4)


def test_a_format_of_later() -> None:
    assert "format 2" in refusal(b"".join(packed(b"state", meta=replace(meta_of(b"state"), format=2))))
    assert "negative" in refusal(b"".join(packed(b"state", meta=replace(meta_of(b"state"), generation=-1))))


@pytest.mark.parametrize("state", [b"shor", b"longer"])
def test_a_state_of_another_size_than_it_was_said_to_have(state: bytes) -> None:
    with pytest.raises(IntegrityError):
        packed(state, meta=meta_of(b"state"))


def test_memory_stays_bounded_though_the_archive_is_small_and_its_state_large() -> None:
    size = 64 << 20

    async def zeros() -> AsyncIterator[bytes]:
        for _ in range(64):
            yield bytes(1 << 20)

    async def there_and_back() -> tuple[int, int]:
        meta = replace(meta_of(b""), size=size)
        data = b"".join([piece async for piece in archive.pack(meta, zeros(), seal)])
        taken = 0

        async def take(piece: bytes) -> None:
            nonlocal taken
            taken += len(piece)

        tracemalloc.start()
        await archive.unpack(stream([data]), take, unseal, size_max=size)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return taken, peak

    taken, peak = asyncio.run(there_and_back())
    assert taken == size
    assert peak < 4 << 20
