"""The PROXY protocol's header."""
import struct

import pytest

from holdfast.config.settings import ProxyProtocol
from holdfast.http.proxy_protocol import V2, Found, Malformed, ProxyRules, read

SOURCE6, TARGET6 = bytes.fromhex("20010db8000000000000000000000001"), bytes.fromhex("20010db8000000000000000000000002")


def v2(command: int, family: int, payload: bytes) -> bytes:
    return V2 + struct.pack("!BBH", command, family, len(payload)) + payload


TCP4 = bytes([10, 1, 1, 1, 20, 2, 2, 2]) + struct.pack("!HH", 1_000, 2_000)
TCP6 = SOURCE6 + TARGET6 + struct.pack("!HH", 1_000, 2_000)


@pytest.mark.parametrize(("data", "address", "port"), [
    (b"PROXY TCP4 10.1.1.1 20.2.2.2 1000 2000\r\n", "10.1.1.1", 1_000),
    (b"PROXY TCP6 2001:db8::1 2001:db8::2 1000 2000\r\n", "2001:db8::1", 1_000),
    (b"PROXY TCP6 ::ffff:10.1.1.1 2001:db8::2 1000 2000\r\n", "10.1.1.1", 1_000),
    (b"PROXY UNKNOWN\r\n", "", 0),
    (b"PROXY UNKNOWN a b c d\r\n", "", 0),
    (v2(0x21, 0x11, TCP4), "10.1.1.1", 1_000),
    (v2(0x21, 0x11, TCP4 + b"\x04\x00\x03abc"), "10.1.1.1", 1_000),
    (v2(0x21, 0x21, TCP6), "2001:db8::1", 1_000),
    (v2(0x20, 0x00, b""), "", 0),
    (v2(0x20, 0x11, TCP4), "", 0),
    (v2(0x21, 0x31, b"x" * 216), "", 0),
])
def test_headers(data: bytes, address: str, port: int) -> None:
    assert read(data + b"GET") == Found(len(data), address, port)
    for end in range(len(data)):
        assert read(data[:end]) is None


@pytest.mark.parametrize("data", [b"GET /v1/a HTTP/1.1\r\n", b"\x16\x03\x01", b"PROXZ", b"\r\n\r\nGET", b"POST"])
def test_a_connection_without_one_speaks_for_itself(data: bytes) -> None:
    assert read(data) == Found(0)


@pytest.mark.parametrize("data", [
    b"PROXY TCP4 10.1.1.1 20.2.2.2 1000\r\n",
    b"PROXY TCP4 10.1.1.1 20.2.2.2 1000 2000 3000\r\n",
    b"PROXY TCP4 10.1.1 20.2.2.2 1000 2000\r\n",
    b"PROXY TCP4 2001:db8::1 2001:db8::2 1000 2000\r\n",
    b"PROXY TCP6 10.1.1.1 20.2.2.2 1000 2000\r\n",
    b"PROXY TCP4 10.1.1.1 20.2.2.2 -1 2000\r\n",
    b"PROXY TCP4 10.1.1.1 20.2.2.2 65536 2000\r\n",
    b"PROXY UDP4 10.1.1.1 20.2.2.2 1000 2000\r\n",
    b"PROXY  TCP4 10.1.1.1 20.2.2.2 1000 2000\r\n",
    b"PROXY " + b"x" * 200,
    v2(0x11, 0x11, TCP4),
    v2(0x22, 0x11, TCP4),
    v2(0x21, 0x11, TCP4[:8]),
    v2(0x21, 0x21, TCP4),
    V2 + struct.pack("!BBH", 0x21, 0x11, 65_535),
])
def test_what_begins_like_one_and_is_none(data: bytes) -> None:
    with pytest.raises(Malformed):
        read(data)


def test_whom_to_believe() -> None:
    known, stranger = "10.0.0.5", "192.0.2.1"
    networks = ("10.0.0.0/8",)
    always, allow, deny = (ProxyRules(each, networks) for each in (
        ProxyProtocol.USE_ALWAYS, ProxyProtocol.ALLOW_AUTHORIZED, ProxyProtocol.DENY_UNAUTHORIZED))
    assert [rules.believes(known) for rules in (always, allow, deny)] == [True, True, True]
    assert [rules.believes(stranger) for rules in (always, allow, deny)] == [True, False, False]
    assert [rules.refuses(stranger) for rules in (always, allow, deny)] == [False, False, True]
    assert not deny.refuses(known)
    assert deny.refuses("")
