"""Addresses of peers, and the networks that the configuration trusts."""
import asyncio
import ipaddress
from collections.abc import Iterable
from typing import TypeAlias

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


def normal(address: str) -> str:
    """Without a zone, and an IPv4 address in IPv6 clothes as what it is. Raises ValueError."""
    found = ipaddress.ip_address(address.partition("%")[0])
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return str(mapped or found)


def peer_of(transport: asyncio.BaseTransport) -> tuple[str, int]:
    """Address and port of the other end; a unix socket has neither, nor has who is gone already."""
    peer = transport.get_extra_info("peername")
    return (normal(peer[0]), peer[1]) if isinstance(peer, tuple) else ("", 0)


class Networks:
    """Single addresses and networks as the configuration writes them. Raises ValueError."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._networks: tuple[Network, ...] = tuple(ipaddress.ip_network(text, strict=False) for text in texts)

    def __contains__(self, address: str) -> bool:
        try:
            found = ipaddress.ip_address(address)
        except ValueError:                               # a unix socket has none, and is in no network
            return False
        return any(found in network for network in self._networks)
