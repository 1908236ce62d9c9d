"""Snapshots as operators keep them: a state of the cluster in one file, a gzip'd tar, as it goes out and as it comes back.

Its members, in this order: `meta.json` (what it is a copy of), `state.bin` (the copy, as the log makes one for a follower: values are as
encrypted there as in the store), `SHA256SUMS` (of the two, as `sha256sum -c` reads them) and `SHA256SUMS.sealed` (the same, sealed by the
cluster's seal, so that nobody else can have made it). Source: Vault, "Snapshots"; clients look for the last member.

Invariants: (1) memory is bounded, however large the state is, in both directions; (2) `unpack` returns only if every byte was checked, and
whoever takes its pieces uses none of them before; (3) nothing after the last member, no other members, no other order.
Left to others: where the state comes from and goes to, the key of the seal, who may ask.
"""
import asyncio
import hashlib
import hmac
import tarfile
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import TypeAlias

import msgspec

from holdfast.errors import BadRequest, IntegrityError
from holdfast.limits import SNAPSHOT_MEMBER_MAX_BYTES, STREAM_CHUNK_BYTES
from holdfast.storage.batch import UNREADABLE

META, STATE, SUMS, SEALED = "meta.json", "state.bin", "SHA256SUMS", "SHA256SUMS.sealed"
FORMAT = 1
_BLOCK = 512                                             # of a tar
_GZIP = 31                                               # zlib: with gzip's head and tail
_LEVEL = 1                                               # most of a state is encrypted: what can be made smaller, the lowest level does

Transform: TypeAlias = Callable[[bytes], bytes]


class Server(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """A member, when the copy was made. `suffrage`: 0 has a vote."""

    suffrage: int
    id: str = msgspec.field(name="ID")
    address: str


class Configuration(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    servers: tuple[Server, ...] = ()


class Meta(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """What the copy is of. The names are those of Vault's file, but for the last four, which are ours. `size`: of the state, in bytes."""

    version: int = 1
    id: str = msgspec.field(name="ID")
    index: int                                           # of the last entry of raft's that is in it
    term: int
    configuration: Configuration = Configuration()
    configuration_index: int = 0
    size: int
    format: int = msgspec.field(default=FORMAT, name="HoldfastFormat")
    wal_index: int = msgspec.field(name="HoldfastWalIndex")
    generation: int = msgspec.field(name="HoldfastGeneration")
    cluster: str = msgspec.field(default="", name="HoldfastClusterID")


async def pack(meta: Meta, state: AsyncIterator[bytes], seal: Transform, *, time_s: int = 0) -> AsyncIterator[bytes]:
    """The archive, in pieces of at most 64 KiB. Raises IntegrityError where the state is not `meta.size` bytes long, and what taking it
    raises: then what went out is no whole archive, and nobody takes it for one."""
    out = _Deflater()
    head = msgspec.json.encode(meta) + b"\n"
    for piece in out.member(META, head, time_s):
        yield piece
    for piece in out.take(_header(STATE, meta.size, time_s)):
        yield piece
    digest, size = hashlib.sha256(), 0
    async for chunk in state:
        size += len(chunk)
        if size > meta.size:
            raise IntegrityError(f"the state is longer than the {meta.size} bytes it was said to have")
        for piece in await asyncio.to_thread(out.hash_and_take, chunk, digest.update):
            yield piece
    if size < meta.size:
        raise IntegrityError(f"the state has {size} bytes, not the {meta.size} it was said to have")
    sums = _sums(hashlib.sha256(head).hexdigest(), digest.hexdigest())
    for piece in (*out.take(_padding(size)), *out.member(SUMS, sums, time_s), *out.member(SEALED, seal(sums), time_s), *out.end()):
        yield piece


async def unpack(archive: AsyncIterator[bytes], take: Callable[[bytes], Awaitable[None]], unseal: Transform | None, *,
                 size_max: int) -> Meta:
    """Gives the state to `take`, piece by piece; returns once all of the archive is known to be whole and from this cluster.

    `unseal`: opens the sealed sums, raising IntegrityError or BadRequest where it cannot; None: they are not looked at. `size_max`: of the
    state, in bytes. Raises BadRequest, with what is wrong: then nothing that was taken counts.
    """
    source = _Inflater(archive)
    head = await source.small_member(META)
    meta = _meta(head)
    size = await source.header(STATE)
    if size != meta.size:
        raise BadRequest(f"{STATE} has {size} bytes, {META} says {meta.size}")
    if size > size_max:
        raise BadRequest(f"the snapshot's state has {size} bytes: there is room for {size_max}")
    digest = hashlib.sha256()
    async for piece in source.contents(STATE, size):
        digest.update(piece)
        await take(piece)
    sums = await source.small_member(SUMS)
    if not hmac.compare_digest(sums, _sums(hashlib.sha256(head).hexdigest(), digest.hexdigest())):
        raise BadRequest(f"the snapshot is damaged: its contents have not the checksums of {SUMS}")
    sealed = await source.small_member(SEALED)
    if unseal is not None:
        _check_sealed(unseal, sealed, sums)
    await source.end()
    return meta


def _check_sealed(unseal: Transform, sealed: bytes, sums: bytes) -> None:
    try:
        genuine = hmac.compare_digest(unseal(sealed), sums)
    except (IntegrityError, BadRequest):
        genuine = False
    if not genuine:
        raise BadRequest("the snapshot's checksums are not sealed by this cluster's seal: it is of another cluster, or from before a "
                         "change of the unseal keys; snapshot-force takes it without this check")


def _meta(text: bytes) -> Meta:
    try:
        meta = msgspec.json.decode(text, type=Meta)
    except UNREADABLE as error:
        raise BadRequest(f"{META}: not of a snapshot of Holdfast: {error}") from error
    if meta.format != FORMAT:
        raise BadRequest(f"the snapshot is of format {meta.format}: this program knows {FORMAT}")
    if meta.size < 0 or meta.wal_index < 0 or meta.generation < 0:
        raise BadRequest(f"{META}: a negative number")
    return meta


def _sums(meta: str, state: str) -> bytes:
    return f"{meta}  {META}\n{state}  {STATE}\n".encode()


def _header(name: str, size: int, time_s: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = size, 0o600, time_s
    return info.tobuf(tarfile.GNU_FORMAT)                # which has room for sizes above 8 GiB


def _padding(size: int) -> bytes:
    return bytes(-size % _BLOCK)


class _Deflater:
    """Members in, pieces of the compressed archive out."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)

    def member(self, name: str, contents: bytes, time_s: int) -> Iterator[bytes]:
        return self.take(_header(name, len(contents), time_s) + contents + _padding(len(contents)))

    def take(self, data: bytes) -> Iterator[bytes]:
        return _pieces(self._deflate.compress(data))

    def hash_and_take(self, data: bytes, update: Callable[[bytes], None]) -> list[bytes]:
        """For a thread: both let go of the interpreter."""
        update(data)
        return list(self.take(data))

    def end(self) -> Iterator[bytes]:
        return _pieces(self._deflate.compress(bytes(2 * _BLOCK)) + self._deflate.flush())


def _pieces(data: bytes) -> Iterator[bytes]:
    return (data[at:at + STREAM_CHUNK_BYTES] for at in range(0, len(data), STREAM_CHUNK_BYTES))


class _Inflater:
    """The compressed archive in, its members out. Never holds more than a piece beyond what is asked for, whatever it would inflate to."""

    def __init__(self, archive: AsyncIterator[bytes]) -> None:
        self._archive = archive
        self._inflate = zlib.decompressobj(_GZIP)
        self._ready = b""
        self._full = False

    async def small_member(self, name: str) -> bytes:
        size = await self.header(name)
        if size > SNAPSHOT_MEMBER_MAX_BYTES:
            raise BadRequest(f"{name} has {size} bytes: the limit is {SNAPSHOT_MEMBER_MAX_BYTES}")
        return b"".join([piece async for piece in self.contents(name, size)])

    async def header(self, name: str) -> int:
        """The size of the next member, which must be this one."""
        block = await self._exactly(_BLOCK)
        if not block.strip(b"\0"):
            raise BadRequest(f"the snapshot has no {name}")
        try:
            info = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
        except (tarfile.HeaderError, UnicodeDecodeError) as error:
            raise BadRequest(f"the snapshot is no tar: {error}") from error
        if info.name != name or info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or info.size < 0:
            raise BadRequest(f"the snapshot has {info.name[:64]!r} where {name} belongs")
        return info.size

    async def contents(self, name: str, size: int) -> AsyncIterator[bytes]:
        missing = size
        while missing:
            piece = await self._some(missing)
            if not piece:
                raise BadRequest(f"the snapshot ends within {name}")
            missing -= len(piece)
            yield piece
        await self._exactly(-size % _BLOCK)

    async def end(self) -> None:
        """Nothing but zeros, to the end of the file, whose checksum zlib has seen."""
        while piece := await self._some(STREAM_CHUNK_BYTES):
            if piece.strip(b"\0"):
                raise BadRequest(f"the snapshot goes on after {SEALED}")
        if self._inflate.unused_data or [True async for more in self._archive if more]:
            raise BadRequest("the snapshot goes on after its end")

    async def _exactly(self, size: int) -> bytes:
        pieces = []
        while size:
            piece = await self._some(size)
            if not piece:
                raise BadRequest("the snapshot ends too early")
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    async def _some(self, at_most: int) -> bytes:
        """The next bytes; none at the archive's end."""
        while not self._ready and not self._inflate.eof:
            data: bytes | None = self._inflate.unconsumed_tail
            if not data and not self._full:              # after a full piece zlib may hold more, though it has taken all it was given
                data = await anext(self._archive, None)
            if data is None:
                raise BadRequest("the snapshot is cut off")
            try:
                self._ready = await asyncio.to_thread(self._inflate.decompress, data, STREAM_CHUNK_BYTES)
            except zlib.error as error:
                raise BadRequest(f"the snapshot is no gzip file, or a damaged one: {error}") from error
            self._full = len(self._ready) == STREAM_CHUNK_BYTES
        piece, self._ready = self._ready[:at_most], self._ready[at_most:]
        return piece
