"""sys/tools through the pipeline."""
import base64
import hashlib

import pytest
from tests.contract.one_node import OneNode

from holdfast.engine import Method
from holdfast.limits import RANDOM_MAX_BYTES

TEXT = base64.b64encode(b"abc").decode()


@pytest.fixture
def node() -> OneNode:
    return OneNode()


@pytest.mark.parametrize(("path", "body", "size"), [
    ("", {}, 32), ("", {"bytes": 5}, 5), ("/7", {}, 7), ("/platform", {"bytes": "9"}, 9), ("/platform/11", {"bytes": 1}, 11),
    ("", {"bytes": RANDOM_MAX_BYTES}, RANDOM_MAX_BYTES),
])
def test_random_bytes(node: OneNode, path: str, body: object, size: int) -> None:
    first, second = (node.call(Method.POST, f"sys/tools/random{path}", body).json["data"]["random_bytes"] for _ in range(2))
    assert len(base64.b64decode(first)) == size
    assert first != second


def test_random_bytes_in_hex(node: OneNode) -> None:
    assert len(bytes.fromhex(node.call(Method.POST, "sys/tools/random/4", {"format": "hex"}).json["data"]["random_bytes"])) == 4


@pytest.mark.parametrize(("path", "body", "expected"), [
    ("", {}, hashlib.sha256(b"abc").hexdigest()),
    ("/sha2-512", {"algorithm": "sha2-224"}, hashlib.sha512(b"abc").hexdigest()),
    ("", {"algorithm": "sha3-256"}, hashlib.sha3_256(b"abc").hexdigest()),
    ("", {"input": "YW\nJj\r\n"}, hashlib.sha256(b"abc").hexdigest()),
    ("", {"format": "base64"}, base64.b64encode(hashlib.sha256(b"abc").digest()).decode()),
])
def test_digests(node: OneNode, path: str, body: dict[str, str], expected: str) -> None:
    assert node.call(Method.POST, f"sys/tools/hash{path}", {"input": TEXT, **body}).json["data"] == {"sum": expected}


@pytest.mark.parametrize(("path", "body", "error"), [
    ("random", {"bytes": 0}, '"bytes" cannot be less than 1'),
    ("random", {"bytes": RANDOM_MAX_BYTES + 1}, f'"bytes" should be at most {RANDOM_MAX_BYTES}'),
    ("random/x", {}, "error parsing url-set byte count: 'x' is not a number"),
    ("random/odd/3", {}, 'unsupported entropy source "odd"; must be "platform" or "seal", or "all"'),
    ("random/seal", {}, 'the entropy source "seal" is not available'),
    ("random", {"format": "x"}, 'unsupported encoding format "x"; must be "hex" or "base64"'),
    ("hash/md5", {"input": TEXT}, "unsupported algorithm md5"),
    ("hash", {"input": TEXT, "format": "x"}, 'unsupported encoding format "x"; must be "hex" or "base64"'),
])
def test_refused(node: OneNode, path: str, body: object, error: str) -> None:
    seen = node.call(Method.POST, f"sys/tools/{path}", body)
    assert (seen.status, seen.json["errors"]) == (400, [error])


def test_what_is_no_base64(node: OneNode) -> None:
    assert node.call(Method.POST, "sys/tools/hash", {"input": "%"}).json["errors"][0].startswith("unable to decode input as base64")
