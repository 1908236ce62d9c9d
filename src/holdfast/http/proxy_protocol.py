"""The PROXY protocol's header, versions 1 and 2, at the beginning of a connection.

Source: the specification at haproxy.org, sections 2.1 and 2.2. A header is never required (Vault's `use_always` takes connections without
one); who may not send one, is refused or has it ignored, as `proxy_protocol_behavior` says.
"""
import ipaddress
import struct

import msgspec

from holdfast.config.settings import ProxyProtocol
from holdfast.http.networks import Networks, normal

V1, V1_MAX_BYTES = b"PROXY ", 107
V2, V2_HEAD_BYTES = b"\r\n\r\n\x00\r\nQUIT\n", 16
V2_MAX_BYTES = V2_HEAD_BYTES + 4096                  # addresses and the extensions that load balancers send


class Malformed(Exception):
    """Begins as a header and is none: the connection ends."""


class Found(msgspec.Struct, frozen=True):
    """`size` bytes of header; no address: the connection speaks for itself."""

    size: int
    address: str = ""
    port: int = 0


class ProxyRules:
    """Whose header is believed."""

    def __init__(self, behavior: ProxyProtocol, authorized: tuple[str, ...]) -> None:
        self.behavior, self._authorized = behavior, Networks(authorized)

    def refuses(self, peer: str) -> bool:
        """The connection ends before anything is read."""
        return self.behavior is ProxyProtocol.DENY_UNAUTHORIZED and peer not in self._authorized

    def believes(self, peer: str) -> bool:
        return self.behavior is ProxyProtocol.USE_ALWAYS or peer in self._authorized


def read(data: bytes) -> Found | None:
    """What stands at the beginning; None: more bytes are needed. Raises Malformed."""
    if data.startswith(V2[:len(data)]):
        return _read_v2(data) if len(data) >= V2_HEAD_BYTES else None
    if data.startswith(V1[:len(data)]):
        return _read_v1(data) if len(data) >= len(V1) else None
    return Found(0)


def _read_v1(data: bytes) -> Found | None:
    end = data.find(b"\r\n", 0, V1_MAX_BYTES)
    if end < 0:
        if len(data) >= V1_MAX_BYTES:
            raise Malformed("version 1 header without an end")
        return None
    words = data[:end].decode("latin-1").split(" ")
    if words[1] == "UNKNOWN":
        return Found(end + 2)
    if len(words) != 6 or words[1] not in ("TCP4", "TCP6"):
        raise Malformed("version 1 header of an unknown kind")
    family = ipaddress.IPv4Address if words[1] == "TCP4" else ipaddress.IPv6Address
    try:
        source = family(words[2])
        family(words[3])
    except ValueError as error:
        raise Malformed("version 1 header without addresses") from error
    if not all(port.isascii() and port.isdigit() and len(port) <= 5 and int(port) < 65_536 for port in words[4:]):
        raise Malformed("version 1 header without ports")
    return Found(end + 2, normal(str(source)), int(words[4]))


def _read_v2(data: bytes) -> Found | None:
    version_command, family, length = struct.unpack_from("!BBH", data, len(V2))
    size = V2_HEAD_BYTES + length
    if version_command not in (0x20, 0x21) or size > V2_MAX_BYTES:
        raise Malformed("version 2 header of an unknown kind")
    if len(data) < size:
        return None
    address_bytes = {0x11: 4, 0x21: 16}.get(family)
    if version_command == 0x20 or address_bytes is None:
        return Found(size)                               # LOCAL, or a kind of connection that has no address for us
    if length < 2 * address_bytes + 4:
        raise Malformed("version 2 header without addresses")
    source = data[V2_HEAD_BYTES:V2_HEAD_BYTES + address_bytes]
    (port,) = struct.unpack_from("!H", data, V2_HEAD_BYTES + 2 * address_bytes)
    return Found(size, normal(str(ipaddress.ip_address(source))), port)
