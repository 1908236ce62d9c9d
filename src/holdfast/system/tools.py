"""sys/tools/random, sys/tools/hash: random bytes and digests. They read nothing that is kept. Source: Vault API, "/sys/tools"."""
import base64
import binascii
import hashlib
from collections.abc import Mapping
from typing import Annotated

from holdfast.engine import Context, Input, Method, Output, Response, Route, Txn, doc, on
from holdfast.errors import BadRequest
from holdfast.limits import RANDOM_MAX_BYTES

ALGORITHMS: Mapping[str, str] = {
    f"{family}-{bits}": f"{name}{bits}" for family, name in (("sha2", "sha"), ("sha3", "sha3_")) for bits in (224, 256, 384, 512)}
FORMATS = ("hex", "base64")
LINE_ENDS = str.maketrans("", "", "\r\n")              # what `base64` breaks its lines with, and Go's decoder passes over
SOURCES = ("platform", "seal", "all")


class RandomInput(Input, frozen=True):
    bytes: Annotated[int, doc("How many bytes.")] = 32
    format: Annotated[str, doc("\"base64\" or \"hex\".")] = "base64"
    source: Annotated[str, doc("Where they come from: \"platform\"; or how many, in the path.")] = ""
    urlbytes: Annotated[str, doc("How many bytes, in the path.")] = ""


class HashInput(Input, frozen=True):
    input: Annotated[str, doc("What to hash, in base64.")] = ""
    algorithm: Annotated[str, doc("sha2-224, -256, -384, -512, or the same of sha3.")] = "sha2-256"
    urlalgorithm: Annotated[str, doc("The algorithm, in the path.")] = ""
    format: Annotated[str, doc("\"base64\" or \"hex\".")] = "hex"


class RandomOut(Output, frozen=True):
    random_bytes: str


class HashOut(Output, frozen=True):
    sum: str


def random(txn: Txn, args: RandomInput, ctx: Context) -> Response:
    """Give random bytes."""
    source, in_path = args.source or "platform", args.urlbytes
    if not in_path and source not in SOURCES:
        source, in_path = "platform", source         # a single part of the path is a number, too
    if source not in SOURCES:
        raise BadRequest(f'unsupported entropy source "{source[:40]}"; must be "platform" or "seal", or "all"')
    if source != "platform":
        raise BadRequest(f'the entropy source "{source}" is not available')
    size = args.bytes
    if in_path:
        if not in_path.isascii() or not in_path.isdigit() or len(in_path) > 9:
            raise BadRequest(f"error parsing url-set byte count: {in_path[:40]!r} is not a number")
        size = int(in_path)
    if size < 1:
        raise BadRequest('"bytes" cannot be less than 1')
    if size > RANDOM_MAX_BYTES:
        raise BadRequest(f'"bytes" should be at most {RANDOM_MAX_BYTES}')
    return Response(data=RandomOut(random_bytes=_shown(ctx.rng.bytes(size), args.format)))


def hash_input(txn: Txn, args: HashInput, ctx: Context) -> Response:
    """Hash what is given."""
    name = args.urlalgorithm or args.algorithm
    algorithm = ALGORITHMS.get(name)
    if algorithm is None:
        raise BadRequest(f"unsupported algorithm {name[:40]}")
    try:
        content = base64.b64decode(args.input.translate(LINE_ENDS), validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadRequest(f"unable to decode input as base64: {error}") from error
    return Response(data=HashOut(sum=_shown(hashlib.new(algorithm, content).digest(), args.format)))


ROUTES = (
    *(Route(f"tools/random{more}", "Random bytes.", {Method.POST: on(RandomInput, random)})
      for more in ("", "/:source", "/:source/:urlbytes")),
    *(Route(f"tools/hash{more}", "Digests.", {Method.POST: on(HashInput, hash_input)}) for more in ("", "/:urlalgorithm")),
)


def _shown(content: bytes, form: str) -> str:
    if form not in FORMATS:
        raise BadRequest(f'unsupported encoding format "{form[:40]}"; must be "hex" or "base64"')
    return content.hex() if form == "hex" else base64.b64encode(content).decode()
