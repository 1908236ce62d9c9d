"""Under which addresses the other nodes and the clients find a node: what is given, and what follows from it.

`cluster_addr`, if it is not given, is `api_addr` with the next port and https; an `api_addr` without a port counts as 443. `api_addr`, if
it is not given, follows from what the HA backend says of its host (`detected_api_addr`); that is asked for later, by `node`.

Invariant: nothing is resolved and no network is touched.
"""
from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from holdfast.config.settings import TcpListener, UnixListener

DEFAULT_PORT = 443


def host_port(host: str, port: int | str) -> str:
    """As one text, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def cluster_addr_of(api_addr: str) -> str:
    """Empty where the port is still open (0). Raises ValueError for an address without a host, as that of a unix socket."""
    parts = urlsplit(api_addr)
    if not parts.hostname:
        raise ValueError(f"no cluster_addr follows from {api_addr!r}: set it")
    port = DEFAULT_PORT if parts.port is None else parts.port
    if port == 0:
        return ""
    if port == 65_535:
        raise ValueError(f"no port follows that of {api_addr!r}: set cluster_addr")
    return f"https://{host_port(parts.hostname, port + 1)}"


def with_https(address: str) -> str:
    """The cluster port is TLS, whatever is written."""
    return urlsplit(address)._replace(scheme="https").geturl()


def is_unspecified(address: str) -> bool:
    """`0.0.0.0` and `::` name no host."""
    try:
        return ip_address(urlsplit(address).hostname or "").is_unspecified
    except ValueError:
        return False


def next_port(address: str) -> str:
    """The cluster address of a listener: the same host, the next port; port 0 stays, as any free one will do."""
    host, _, port = address.rpartition(":")
    return f"{host}:{int(port) + 1 if int(port) else 0}"


def detected_api_addr(listeners: Sequence[TcpListener | UnixListener], detected_host: str) -> str:
    """Where the backend knows the host: http if any listener is without TLS; port, and the loopback address, of the last one."""
    scheme, host, port = "https", detected_host, "8200"
    for listener in listeners:
        if isinstance(listener, TcpListener):
            scheme = "http" if listener.tls_disable else scheme
            bound, _, port = listener.address.rpartition(":")
            host = bound if bound == "127.0.0.1" else host
    return f"{scheme}://{host_port(host, port)}"
